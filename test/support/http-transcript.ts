/** Plays a recorded exchange with the web update server on a bench, and says what came of it in the recording's words. */
import { layoutByName } from '../../flash/layouts.ts';
import type { FlashOperation } from '../../flash/nor-flash.ts';
import { UPDATE_PAGE } from '../../ota-services/http-update-server/page.ts';
import { HTTP_PORT, HttpBench, HttpPeer } from './http-bench.ts';
import { flashSummary, imagesOf, type Transcript, type TranscriptEvent, textOf } from './transcript.ts';

/** CPU address of flash offset 0: the recordings give the file system so. */
const FLASH_MAPPED_BASE = 0x40200000;
/** The form's length in the recordings; ours differs, and is put in its place. */
const RECORDED_PAGE = 'Content-Length: 664\r\n';
const OUR_PAGE = `Content-Length: ${UPDATE_PAGE.length}\r\n`;
/** How long the playback waits for what the recording says comes next: 1.2 MB take half a minute to erase and program. */
const PATIENCE_MS = 60_000;
/** What comes later than this after the last event is not looked at. */
const AFTERMATH_MS = 5000;
/** Two actions of a peer closer than this were one moment. */
const SAME_MOMENT_MS = 0.2;

/** The device ended a connection, so long after the last byte or close on it. */
export interface Ending {
  readonly ch: string;
  readonly how: 'FIN' | 'RST';
  readonly gapMs: number;
}

export interface Outcome {
  /** All bytes of the device, by channel, in order. */
  readonly sent: Record<string, string>;
  readonly endings: Ending[];
}

/** Bytes of one entry, with the form as we have it. */
function bytesOfEvent(event: TranscriptEvent, images: ReadonlyMap<string, Uint8Array>): string {
  const { ch, dir, t_ms } = event;
  return (event.parts ?? [event.bytes ?? ''])
    .map((part) => {
      if (typeof part === 'object' && 'page' in part) return UPDATE_PAGE;
      return textOf({ ch, dir, t_ms, parts: [part] }, images);
    })
    .join('')
    .replace(RECORDED_PAGE, OUR_PAGE);
}

/** What the recording says. */
export function recorded(transcript: Transcript): Outcome {
  const images = imagesOf(transcript);
  const sent: Record<string, string> = {};
  const endings: Ending[] = [];
  const lastAt = new Map<string, number>();
  for (const event of transcript.events) {
    const { ch, what = '', t_ms: atMs } = event;
    if (what === 'peer connects') sent[ch] ??= '';
    if (event.dir === 'device>peer') sent[ch] += bytesOfEvent(event, images);
    if (what.startsWith('device')) {
      endings.push({ ch, how: what.includes('RST') ? 'RST' : 'FIN', gapMs: atMs - lastAt.get(ch)! });
    }
    lastAt.set(ch, atMs);
  }
  return { sent, endings };
}

interface Channel {
  readonly ch: string;
  readonly peer: HttpPeer;
  /** When the peer did something last. */
  actedAtMs: number;
  /** The peer ended it, and did not look what became of it. */
  left: boolean;
}

/** Does what the peer did, at its times, though never before the device has said what comes before it. */
export async function play(transcript: Transcript): Promise<Outcome & { readonly bench: HttpBench }> {
  const images = imagesOf(transcript);
  const bench = benchFor(transcript);
  const channels: Channel[] = [];
  const open = (ch: string): Channel => channels.findLast((channel) => channel.ch === ch)!;
  const expected = new Map<Channel, number>();
  /** The recording's clock as the bench's; it may fall behind, as its flash takes time. */
  let offset = 0;
  for (const [index, event] of transcript.events.entries()) {
    const { ch, what = '' } = event;
    if (event.dir === 'device>peer') {
      const channel = open(ch);
      const count = (expected.get(channel) ?? 0) + bytesOfEvent(event, images).length;
      expected.set(channel, count);
      await bench.until(() => channel.peer.text.length >= count, `${transcript.name}: ${count} bytes`, PATIENCE_MS);
    } else if (what.startsWith('device')) {
      await open(ch).peer.ended(PATIENCE_MS);
    } else {
      await bench.advance(Math.max(0, event.t_ms + offset - bench.nowMs));
      if (what === 'peer connects') {
        const peer = new HttpPeer(bench, bench.network.connectTcp(HTTP_PORT));
        channels.push({ ch, peer, actedAtMs: bench.nowMs, left: false });
        await bench.until(() => peer.connection.state !== 'connecting', 'the connection');
      } else if (event.dir !== 'silence') {
        act(open(ch), event, transcript.events[index + 1], images, bench.nowMs);
      }
    }
    offset = Math.max(offset, bench.nowMs - event.t_ms);
  }
  await bench.advance(AFTERMATH_MS);
  if (bench.crash) throw bench.crash;
  const sent: Record<string, string> = {};
  const endings: Ending[] = [];
  for (const { ch, peer, actedAtMs, left } of channels) {
    sent[ch] = (sent[ch] ?? '') + peer.text;
    if (left || !peer.ending) continue;
    const gapMs = peer.endedAtMs! - Math.max(actedAtMs, peer.pieces.at(-1)?.atMs ?? 0);
    endings.push({ ch, how: peer.ending, gapMs });
  }
  return { bench, sent, endings };
}

function act(
  channel: Channel,
  event: TranscriptEvent,
  next: TranscriptEvent | undefined,
  images: ReadonlyMap<string, Uint8Array>,
  nowMs: number,
): void {
  const { peer } = channel;
  const { what = '' } = event;
  channel.actedAtMs = nowMs;
  if (event.dir === 'peer>device') {
    const closes = next?.what?.startsWith('peer half-closes') && next.t_ms - event.t_ms < SAME_MOMENT_MS;
    if (closes) peer.end(bytesOfEvent(event, images));
    else peer.write(bytesOfEvent(event, images));
  } else if (what.startsWith('peer half-closes')) {
    peer.end();
  } else if (what.startsWith('peer closes')) {
    channel.left = true;
    peer.end();
  } else if (what.startsWith('peer resets')) {
    channel.left = true;
    peer.reset();
  } else if (what.startsWith('connection still open')) {
    if (peer.ending) throw new Error(`the device ended a connection (${peer.ending}) that was open when recorded`);
    channel.left = true;
    peer.reset();
  } else {
    throw new Error(`the recording has an event that nobody knows: ${what}`);
  }
}

/** What the device has done to its flash. */
export const flashOf = (bench: HttpBench) =>
  flashSummary(
    bench.flashEvents,
    (address, length) => bench.chip.peek(address, length),
    bench.command,
    bench.restartAtMs !== undefined,
  );

/** Serial lines as the recordings have them: without CR. */
export function serialLines(bench: HttpBench): string[] {
  const lines = bench.printed.replaceAll('\r', '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

function benchFor(transcript: Transcript): HttpBench {
  const { device } = transcript;
  const layout = layoutByName('4m2m');
  const offset = (key: string, otherwise: number): number =>
    device[key] === undefined ? otherwise : Number(device[key]) - FLASH_MAPPED_BASE;
  const bench = new HttpBench({
    layout: { ...layout, fsStart: offset('fs_start', layout.fsStart), fsEnd: offset('fs_end', layout.fsEnd) },
    user: String(device['http_user'] ?? ''),
    password: String(device['http_password'] ?? ''),
    serialDebug: device['update_server_serial_debug'] !== 0,
  });
  if (device['flash_page_write_fails_after'] !== undefined) {
    failWrites(bench, Number(device['flash_page_write_fails_after']));
  }
  return bench;
}

/**
 * The recorder counted the core's calls, those of zero bytes at the end of a sector too (spec chapter 02 §6.1), and a write
 * that failed as bytes written.
 */
function failWrites(bench: HttpBench, after: number): void {
  let calls = 0;
  bench.esp.onSdkCall = ([kind]) => void (kind === 'write' && calls++);
  bench.chip.faults = {
    decide({ kind, address, length }: FlashOperation) {
      if (kind !== 'program' || calls <= after) return undefined;
      bench.flashEvents.push({ type: 'flash.program', address, length, area: 'staging', stuckBits: 0, wear: 0 });
      return { do: 'fail' };
    },
  };
}
