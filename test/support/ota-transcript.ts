/**
 * Plays a recorded ArduinoOTA exchange against a device in virtual time: acts as the peer did, and compares what the
 * device does with what it did then. Knows nothing of any single recording.
 *
 * How exact (README of the recordings): bytes and their order are compared exactly; acknowledgements by their sum where
 * the peer did not wait for each; nonces by their form, and answers to them are computed anew; pauses of 100 ms and more
 * with a tolerance.
 */
import { expect } from 'vitest';
import type { PeerConnection, PeerUdpSocket } from '../../emulator/network/simulated-peer.ts';
import { readInvitation } from '../../ota-services/arduino-ota/invitation.ts';
import { OtaBench, PEER } from './ota-bench.ts';
import {
  digest,
  faultsOf,
  flashSummary,
  imagesOf,
  latin1,
  type Transcript,
  type TranscriptEvent,
  textOf,
  toBytes,
} from './transcript.ts';

/** A shorter gap before something the peer does is noise of the host; a longer one was its intention. */
const INTENDED_PAUSE_MS = 20;
/** Pauses of the device from this length on come from its code. */
const CODED_PAUSE_MS = 100;
/** Noise of the recording host: pauses of 1000 ms took up to 1020. */
const TOLERANCE_MS = 40;
/** After the peer ended the connection the device may be in the middle of its wait of 1000 steps. */
const REST_OF_WAIT_MS = 1150;
const LIMIT_MS = 3000;
/** A longer piece arrives in several. */
const LARGEST_SEGMENT = 1460;

/** What one connection has carried from the device. */
class TcpChannel {
  heard = '';
  expected = '';
  expectedSum = 0;
  /** Bytes sent since the last entry from the device. */
  outstanding = 0;
  /** The peer sent without waiting for each acknowledgement: only their sum is fixed. */
  flooded = false;
  constructor(readonly connection: PeerConnection) {
    connection.onData((data) => {
      this.heard += latin1(data);
    });
  }
}

export async function playOtaTranscript(transcript: Transcript): Promise<void> {
  await new Player(transcript).play();
}

class Player {
  private readonly bench: OtaBench;
  private readonly images;
  private readonly port: number;
  private readonly sockets = new Map<string, PeerUdpSocket>();
  private readonly taken = new Map<PeerUdpSocket, number>();
  private readonly channels = new Map<string, TcpChannel>();
  private readonly accepted: PeerConnection[] = [];
  private listeningOn: { port: number; close(): void } | undefined;
  private nonces = { recorded: '', actual: '' };
  private acknowledged = 0;
  /** When the entry before was done, in our time and in the recording's. */
  private before = { nowMs: 0, recordedMs: 0 };

  constructor(private readonly transcript: Transcript) {
    const { device } = transcript;
    this.images = imagesOf(transcript);
    this.port = Number(device['ota_udp_port']);
    this.bench = new OtaBench({
      faults: faultsOf(device),
      chipTakesTime: false, // as when it was recorded
      setup: (ota) => {
        ota.setPort(this.port);
        if (device['ota_password'] !== undefined) ota.setPassword(String(device['ota_password']));
        ota.setRebootOnSuccess(Number(device['reboot_on_success'] ?? 1) !== 0);
      },
    });
    this.bench.network.addHost(PEER);
  }

  async play(): Promise<void> {
    const { bench, transcript } = this;
    await bench.advance(5);
    this.before = { nowMs: bench.nowMs, recordedMs: 0 };
    for (const [index, event] of transcript.events.entries()) {
      await this.playEvent(event, index);
      this.before = { nowMs: bench.nowMs, recordedMs: event.t_ms };
    }
    await bench.until(() => bench.serial.length >= transcript.serial.length, 'the last serial line', LIMIT_MS);
    if (transcript.flash.restart) await bench.until(() => bench.restart !== undefined, 'the restart', LIMIT_MS);
    else await bench.advance(LIMIT_MS);
    this.compareEnd();
  }

  private async playEvent(event: TranscriptEvent, index: number): Promise<void> {
    switch (event.dir) {
      case 'silence':
        await this.bench.advance(event.waited_ms!);
        if (event.ch.startsWith('udp')) expect(this.unheard(this.socket(event.ch)), describe(event)).toEqual([]);
        else this.compareTcp(this.channel(event.ch), event);
        break;
      case 'peer>device':
        await this.pauseAsThePeerDid(event);
        if (event.ch.startsWith('udp')) this.sendDatagram(event, index);
        else this.sendBytes(event);
        break;
      case 'device>peer':
        if (event.ch.startsWith('udp')) await this.expectDatagram(event);
        else await this.expectBytes(event);
        this.comparePause(event);
        break;
      case 'event':
        await this.playConnectionEvent(event);
        break;
    }
  }

  private async playConnectionEvent(event: TranscriptEvent): Promise<void> {
    const { bench } = this;
    const what = event.what!;
    if (what.startsWith('variant:')) {
      await this.pauseAsThePeerDid(event);
      return;
    }
    if (what === 'device connects to peer TCP port') {
      await bench.until(() => this.accepted.length > 0, what, LIMIT_MS);
      this.channels.set(event.ch, new TcpChannel(this.accepted.shift()!));
      this.acknowledged = this.ackSum();
      this.comparePause(event);
      return;
    }
    const { connection } = this.channel(event.ch);
    const state = { FIN: ['device-ended', 'closed'], RST: ['reset'] };
    if (what.startsWith('device closed connection')) {
      await bench.until(() => state.FIN.includes(connection.state), what, LIMIT_MS);
      this.comparePause(event);
    } else if (what.startsWith('device reset connection')) {
      await bench.until(() => state.RST.includes(connection.state), what, LIMIT_MS);
      this.comparePause(event);
    } else {
      await this.pauseAsThePeerDid(event);
      if (what.startsWith('peer half-closes') || what.startsWith('peer closes')) connection.end();
      else if (what.startsWith('peer resets')) connection.reset();
      else throw new Error(`unknown event: ${what}`);
    }
  }

  private sendDatagram(event: TranscriptEvent, index: number): void {
    const text = textOf(event, this.images);
    const read = readInvitation(toBytes(text));
    if (read.kind === 'accepted') this.listen(read.invitation.tcpPort, this.deviceConnectsAfter(index));
    this.socket(event.ch).send(toBytes(this.withOurNonce(text)), this.port);
  }

  /** Whether the peer listened: then the device connects before the next invitation on this channel. */
  private deviceConnectsAfter(index: number): boolean {
    const { events } = this.transcript;
    const rest = events.slice(index + 1);
    const next = rest.findIndex(
      (event) =>
        event.dir === 'peer>device' &&
        event.ch === events[index]!.ch &&
        readInvitation(toBytes(textOf(event, this.images))).kind === 'accepted',
    );
    return (next < 0 ? rest : rest.slice(0, next)).some(({ what }) => what?.startsWith('device connects'));
  }

  private listen(port: number, wanted: boolean): void {
    if (this.listeningOn && (!wanted || this.listeningOn.port !== port)) {
      this.listeningOn.close();
      this.listeningOn = undefined;
    }
    if (!wanted || this.listeningOn) return;
    const listener = this.bench.network.listenTcp(PEER, port);
    listener.onConnection((connection) => void this.accepted.push(connection));
    this.listeningOn = { port, close: () => listener.close() };
  }

  private sendBytes(event: TranscriptEvent): void {
    const text = textOf(event, this.images);
    const channel = this.channel(event.ch);
    if (channel.outstanding > 0 || text.length > LARGEST_SEGMENT) channel.flooded = true;
    channel.outstanding += text.length;
    expect(channel.connection.write(toBytes(text)), describe(event)).toBe(true);
  }

  private async expectDatagram(event: TranscriptEvent): Promise<void> {
    const socket = this.socket(event.ch);
    await this.bench.until(() => this.unheard(socket).length > 0, describe(event), LIMIT_MS);
    const [text] = this.unheard(socket);
    this.taken.set(socket, (this.taken.get(socket) ?? 0) + 1);
    const expected = textOf(event, this.images);
    const nonce = /^AUTH ([0-9a-f]{32})$/;
    if (nonce.test(expected)) {
      expect(text).toMatch(nonce);
      expect(text).not.toBe(`AUTH ${this.nonces.actual}`);
      this.nonces = { recorded: nonce.exec(expected)![1]!, actual: nonce.exec(text!)![1]! };
    } else {
      expect(text, describe(event)).toBe(expected);
    }
  }

  private async expectBytes(event: TranscriptEvent): Promise<void> {
    const channel = this.channel(event.ch);
    const text = textOf(event, this.images);
    const digits = /^\d*/.exec(text)![0];
    if (digits !== '') channel.outstanding = 0;
    channel.expectedSum += Number(digits);
    channel.expected += text;
    const enough = (): boolean =>
      channel.flooded
        ? channel.heard.replace(/^\d+/, '').length >= channel.expected.replace(/^\d+/, '').length &&
          this.ackSum() - this.acknowledged >= channel.expectedSum
        : channel.heard.length >= channel.expected.length;
    await this.bench.until(enough, describe(event), LIMIT_MS);
    this.compareTcp(channel, event);
  }

  private compareTcp(channel: TcpChannel, event: TranscriptEvent): void {
    if (!channel.flooded) {
      expect(channel.heard, describe(event)).toBe(channel.expected);
      return;
    }
    expect(this.ackSum() - this.acknowledged, describe(event)).toBe(channel.expectedSum);
    expect(channel.heard.replace(/^\d+/, ''), describe(event)).toBe(channel.expected.replace(/^\d+/, ''));
  }

  private ackSum(): number {
    return this.bench.eventsOf('ota.ack').reduce((sum, { bytes }) => sum + bytes, 0);
  }

  private async pauseAsThePeerDid(event: TranscriptEvent): Promise<void> {
    const pause = event.t_ms - this.before.recordedMs;
    if (pause >= INTENDED_PAUSE_MS) await this.bench.advance(pause);
  }

  /** Did the device pause as it did then? */
  private comparePause(event: TranscriptEvent): void {
    const recorded = event.t_ms - this.before.recordedMs;
    const ours = this.bench.nowMs - this.before.nowMs;
    if (recorded < CODED_PAUSE_MS) {
      expect(ours, `${describe(event)}: nothing makes the device wait here`).toBeLessThan(
        CODED_PAUSE_MS + TOLERANCE_MS,
      );
      return;
    }
    expect(Math.abs(ours - recorded), `${describe(event)}: recorded ${recorded} ms, ours ${ours} ms`).toBeLessThan(
      TOLERANCE_MS,
    );
  }

  /** An answer that was right for the recorded nonce becomes one that is right for ours, in the same case. */
  private withOurNonce(text: string): string {
    const { recorded, actual } = this.nonces;
    const answer = /^200 ?([^ ]*) ([0-9a-fA-F]{32})/.exec(text.replace('200  ', '200 '));
    if (!answer || recorded === '') return text;
    const passwordHash = digest('md5', String(this.transcript.device['ota_password']));
    const response = (nonce: string): string => digest('md5', `${passwordHash}:${nonce}:${answer[1]}`);
    const given = answer[2]!;
    if (given.toLowerCase() !== response(recorded)) return text;
    const ours = response(actual);
    return text.replace(given, given === given.toLowerCase() ? ours : ours.toUpperCase());
  }

  private compareEnd(): void {
    const { bench, transcript } = this;
    expect(bench.crash).toBeUndefined();
    const lines = bench.lines;
    const recorded = transcript.serial.map(({ line }) => line);
    if ([...this.channels.values()].some(({ flooded }) => flooded)) {
      expect(withoutPartialProgress(lines)).toEqual(withoutPartialProgress(recorded));
    } else {
      expect(lines).toEqual(recorded);
    }
    for (const [socket] of this.taken) expect(this.unheard(socket)).toEqual([]);
    const flash = flashSummary(
      bench.flashEvents,
      (address, length) => bench.chip.peek(address, length),
      bench.bootCommand,
      bench.restart === 'restart',
    );
    expect(flash).toEqual(transcript.flash);
    if (lines.length === recorded.length) this.compareSerialTimes();
  }

  /** Pauses between lines; where a FIN or RST of the peer lies between, the device may have waited on. */
  private compareSerialTimes(): void {
    const { serial } = this.transcript;
    const ends = this.transcript.events.filter(({ what }) => what?.startsWith('peer ')).map(({ t_ms }) => t_ms);
    for (let i = 1; i < serial.length; i++) {
      const [earlier, later] = [serial[i - 1]!, serial[i]!];
      const recorded = later.t_ms - earlier.t_ms;
      const ours = this.bench.serial[i]!.atMs - this.bench.serial[i - 1]!.atMs;
      const ended = ends.some((t) => t <= later.t_ms + 1 && t >= earlier.t_ms - 1);
      expect(Math.abs(ours - recorded), `${earlier.line} → ${later.line}: ${recorded} ms, ours ${ours}`).toBeLessThan(
        ended ? REST_OF_WAIT_MS : 2 * TOLERANCE_MS,
      );
    }
  }

  private socket(channel: string): PeerUdpSocket {
    let socket = this.sockets.get(channel);
    if (!socket) {
      socket = this.bench.network.udp(PEER);
      this.sockets.set(channel, socket);
      this.taken.set(socket, 0);
    }
    return socket;
  }

  private unheard(socket: PeerUdpSocket): string[] {
    return socket.received.slice(this.taken.get(socket)).map(({ data }) => latin1(data));
  }

  private channel(name: string): TcpChannel {
    const channel = this.channels.get(name);
    if (!channel) throw new Error(`nothing is connected as ${name}`);
    return channel;
  }
}

/** The first progress and each full one; what lies between depends on how the bytes arrived. */
function withoutPartialProgress(lines: readonly string[]): string[] {
  return lines.filter((line) => {
    const [, done, total] = /^Progress (\d+)\/(\d+)$/.exec(line) ?? [];
    return done === undefined || done === '0' || done === total;
  });
}

function describe(event: TranscriptEvent): string {
  return `${event.t_ms} ms ${event.ch} ${event.dir} ${event.what ?? event.bytes ?? JSON.stringify(event.parts)}`.slice(
    0,
    160,
  );
}
