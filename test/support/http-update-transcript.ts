/**
 * Plays a recorded exchange of `ESPhttpUpdate` with a server: acts as the server did, and compares what the device does with
 * what it did then. Bytes, order, callbacks and flash are compared exactly; pauses with a tolerance for the recording host.
 */
import { expect } from 'vitest';
import type { PeerConnection, PeerListener } from '../../emulator/network/simulated-peer.ts';
import type { FlashEvent } from '../../flash/events.ts';
import type { FollowRedirects } from '../../ota-services/http-update-client/redirect.ts';
import { HttpUpdateBench } from './http-update-bench.ts';
import {
  faultsOf,
  flashSummary,
  imagesOf,
  latin1,
  type Transcript,
  type TranscriptEvent,
  textOf,
  toBytes,
} from './transcript.ts';

/** A shorter gap before something the server does is noise of the host. */
const INTENDED_PAUSE_MS = 20;
const LIMIT_MS = 100_000;
/** The host that recorded them took up to so much longer between two lines, and its flash no time. */
const TOLERANCE_MS = 60;

/** Values of the recording set-up. Its running sketch is not in the recordings, so its MD5 is replaced by ours. */
const RECORDED_CHIP_ID = 15_602_487;
const RECORDED_MAC = 'DE:BA:7A:B1:E0:42';
const SKETCH_MD5 = /(x-ESP8266-sketch-md5: )[0-9a-f]{32}/;

const ERASE: FlashEvent = { type: 'flash.erase', address: 0, length: 4096, area: 'staging', stuckBits: 0, wear: 0 };

const KNOWN_SETTINGS = [
  'client_url',
  'client_port',
  'client_timeout_ms',
  'client_mode',
  'client_current_version',
  'client_md5',
  'client_user',
  'client_password',
  'client_follow_redirects',
  'reboot_on_success',
  'flash_erase_fails_after',
  'flash_page_write_fails_after',
];

export async function playHttpUpdateTranscript(transcript: Transcript): Promise<void> {
  await new Player(transcript).play();
}

class Player {
  private readonly bench: HttpUpdateBench;
  private readonly images;
  private readonly listener: PeerListener | undefined;
  private readonly channels = new Map<
    string,
    { readonly connection: PeerConnection; heard: string; expected: string }
  >();
  private readonly lines: { readonly atMs: number; readonly line: string }[] = [];
  private readonly erases: FlashEvent[] = [];
  private before = { nowMs: 0, recordedMs: 0 };

  constructor(private readonly transcript: Transcript) {
    const { device } = transcript;
    for (const key of Object.keys(device)) {
      if (!KNOWN_SETTINGS.includes(key)) throw new Error(`${transcript.name}: unknown setting ${key} of the device`);
    }
    this.images = imagesOf(transcript);
    this.bench = new HttpUpdateBench({
      faults: faultsOf(device),
      chipId: RECORDED_CHIP_ID,
      identity: { staMac: RECORDED_MAC, apMac: RECORDED_MAC },
      clientTimeoutMs: Number(device['client_timeout_ms']),
    });
    // The recordings count what the SDK was asked to erase, also when the chip refused.
    this.bench.esp.onSdkCall = ([kind, address]) => {
      if (kind === 'erase') this.erases.push({ ...ERASE, address });
    };
    const { network } = this.bench;
    network.addHost('127.0.0.1');
    const connects = transcript.events.some(({ what }) => what === 'device connects');
    this.listener = connects ? network.listenTcp('127.0.0.1', Number(device['client_port'])) : undefined;
  }

  async play(): Promise<void> {
    const { bench, transcript } = this;
    const attempt = bench.start(() => this.sketch());
    for (const event of transcript.events) {
      await this.playEvent(event);
      this.before = { nowMs: bench.nowMs, recordedMs: event.t_ms };
    }
    await bench.until(() => attempt.endedAtMs !== undefined, 'the end of the update', LIMIT_MS);
    await bench.advance(1000);
    this.compareEnd();
  }

  private async sketch(): Promise<void> {
    const { bench } = this;
    const { httpUpdate } = bench;
    const setting = (key: string): string | undefined => {
      const value = this.transcript.device[key];
      return value === undefined ? undefined : String(value);
    };
    const print = (line: string): void => void this.lines.push({ atMs: bench.nowMs, line });
    httpUpdate.rebootOnUpdate(setting('reboot_on_success') !== '0');
    httpUpdate.setFollowRedirects(Number(setting('client_follow_redirects') ?? 0) as FollowRedirects);
    if (setting('client_md5') !== undefined) httpUpdate.setMD5sum(setting('client_md5')!);
    if (setting('client_user') !== undefined) {
      httpUpdate.setAuthorization(setting('client_user')!, setting('client_password') ?? '');
    }
    httpUpdate.onStart(() => print('CALLBACK start'));
    httpUpdate.onEnd(() => print('CALLBACK end'));
    httpUpdate.onError((code) => print(`CALLBACK error ${code}`));
    httpUpdate.onProgress((done, total) => print(`CALLBACK progress ${done}/${total}`));
    const client = bench.plainClient();
    const url = setting('client_url')!;
    const port = Number(setting('client_port'));
    const version = setting('client_current_version');
    const run = async (): Promise<number> => {
      switch (setting('client_mode')) {
        case undefined:
          return httpUpdate.update(client, url, version);
        case 'fs':
          return httpUpdate.updateFS(client, url, version);
        case 'hostport':
          return httpUpdate.update(client, '127.0.0.1', port, url, version);
        case 'version': {
          const available = await httpUpdate.getAvailableVersion(client, '127.0.0.1', port, url, version);
          print(`available version '${available.version}'`);
          return available.result;
        }
        default:
          throw new Error(`unknown client_mode ${setting('client_mode')}`);
      }
    };
    const result = await run();
    print(`RESULT ${result} lastError ${httpUpdate.getLastError()} '${httpUpdate.getLastErrorString()}'`);
  }

  private async playEvent(event: TranscriptEvent): Promise<void> {
    const { bench } = this;
    if (event.what === 'device connects') {
      let connection: PeerConnection | undefined;
      const accepted = (): boolean => {
        connection = this.listener?.accept();
        return connection !== undefined;
      };
      await bench.until(accepted, event.what, LIMIT_MS, 0.1);
      const channel = { connection: connection!, heard: '', expected: '' };
      connection!.onData((data) => {
        channel.heard += latin1(data);
      });
      this.channels.set(event.ch, channel);
      return;
    }
    const channel = this.channels.get(event.ch);
    if (!channel) throw new Error(`nothing is connected as ${event.ch}`);
    const { connection } = channel;
    switch (event.dir) {
      case 'device>peer':
        channel.expected += textOf(event, this.images);
        await bench.until(
          () => channel.heard.length >= channel.expected.length,
          `${channel.expected.length} bytes on ${event.ch} (so far ${JSON.stringify(channel.heard)})`,
          LIMIT_MS,
          0.1,
        );
        break;
      case 'peer>device':
        await this.pauseAsThePeerDid(event);
        connection.write(toBytes(textOf(event, this.images)));
        break;
      case 'silence':
        await bench.advance(event.waited_ms!);
        break;
      case 'event':
        await this.playEnding(event, connection);
        break;
    }
  }

  private async playEnding(event: TranscriptEvent, connection: PeerConnection): Promise<void> {
    const { bench } = this;
    const what = event.what!;
    if (what.startsWith('device closed connection')) {
      await bench.until(() => ['device-ended', 'closed'].includes(connection.state), what, LIMIT_MS);
    } else if (what.startsWith('device reset connection')) {
      await bench.until(() => connection.state === 'reset', what, LIMIT_MS);
    } else {
      await this.pauseAsThePeerDid(event);
      if (what.startsWith('peer half-closes') || what.startsWith('peer closes')) connection.end();
      else if (what.startsWith('peer resets')) connection.reset();
      else throw new Error(`unknown event ${what}`);
    }
  }

  private async pauseAsThePeerDid(event: TranscriptEvent): Promise<void> {
    const pause = event.t_ms - this.before.recordedMs;
    if (pause >= INTENDED_PAUSE_MS) await this.bench.advance(pause);
  }

  private compareEnd(): void {
    const { bench, transcript } = this;
    expect(bench.crash).toBeUndefined();
    for (const [name, { heard, expected }] of this.channels) {
      const ours = SKETCH_MD5.exec(heard)?.[0];
      if (ours !== undefined) expect(ours).toBe(`x-ESP8266-sketch-md5: ${bench.esp.getSketchMD5()}`);
      expect(heard, name).toBe(ours === undefined ? expected : expected.replace(SKETCH_MD5, ours));
    }
    // Whether the line was still caught by the recording is chance.
    const serial = transcript.serial.filter(({ line }) => line !== 'Booting');
    expect(this.lines.map(({ line }) => line)).toEqual(serial.map(({ line }) => line));
    for (let i = 1; i < serial.length; i++) {
      const recorded = serial[i]!.t_ms - serial[i - 1]!.t_ms;
      const ours = this.lines[i]!.atMs - this.lines[i - 1]!.atMs;
      expect(Math.abs(ours - recorded), `${serial[i]!.line}: ${recorded} ms, ours ${ours}`).toBeLessThan(TOLERANCE_MS);
    }
    const flash = flashSummary(
      [...this.erases, ...bench.flashEvents.filter(({ type }) => type === 'flash.program')],
      (address, length) => bench.chip.peek(address, length),
      bench.bootCommand,
      bench.restart === 'restart',
    );
    expect(flash).toEqual(transcript.flash);
  }
}
