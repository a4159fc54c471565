/**
 * Recorded wire exchanges (test/golden/wire): the format, the images they are made of, and what they say about flash.
 * Recorded from the Arduino core compiled for a host; see the README beside them.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FlashEvent } from '../../flash/events.ts';
import type { FlashFaults } from '../../flash/nor-flash.ts';

const FOLDER = new URL('../golden/wire/', import.meta.url);
const SECTOR_BYTES = 4096;

export type Part =
  | string
  | { readonly image: string; readonly from: number; readonly to: number }
  | { readonly page: string; readonly len: number; readonly sha256: string; readonly md5: string };

export interface TranscriptEvent {
  readonly t_ms: number;
  /** `udp`, `tcp`, `udp2` … */
  readonly ch: string;
  readonly dir: 'peer>device' | 'device>peer' | 'event' | 'silence';
  readonly len?: number;
  readonly bytes?: string;
  readonly parts?: readonly Part[];
  readonly what?: string;
  readonly waited_ms?: number;
}

export interface TranscriptFlash {
  readonly erase_ops: number;
  readonly write_bytes: number;
  /** First and last in time. */
  readonly erased_sectors?: readonly [number, number];
  /** Lowest and highest address; the hash is of the whole range as it is at the end. */
  readonly written_range?: readonly [number, number];
  readonly written_sha256?: string;
  readonly boot_command?: { readonly action: number; readonly args: readonly [number, number, number] };
  readonly staged_sha256?: string;
  readonly staged_md5?: string;
  readonly restart: boolean;
}

export interface Transcript {
  readonly name: string;
  readonly group: string;
  readonly what: string;
  readonly device: Readonly<Record<string, string | number>>;
  readonly flash: TranscriptFlash;
  readonly images?: Readonly<
    Record<
      string,
      { readonly length: number; readonly md5: string; readonly sha256: string; readonly header: number[] | null }
    >
  >;
  readonly events: readonly TranscriptEvent[];
  readonly serial: readonly { readonly t_ms: number; readonly line: string }[];
  readonly espota?: {
    readonly args: string[];
    readonly exit: number;
    readonly stdout: string;
    readonly stderr: string;
  };
  readonly file?: { readonly name: string; readonly length: number; readonly md5: string };
}

/** All transcripts whose name begins so. @throws Error when there is none */
export function transcripts(prefix: string): Transcript[] {
  const names = readdirSync(FOLDER).filter((name) => name.startsWith(prefix) && name.endsWith('.json'));
  if (names.length === 0) throw new Error(`no transcripts ${prefix}* in ${fileURLToPath(FOLDER)}`);
  return names.sort().map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Transcript);
}

/** Byte `i` is `(i*31 + (i>>8)*7 + 11) & 255`; `header` replaces the first bytes. Source: the README of the recordings. */
export function imageByRule(length: number, header: readonly number[] | null = [0xe9, 1, 3, 0x40]): Uint8Array {
  const image = Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + 11) & 255);
  if (header) image.set(header.slice(0, length));
  return image;
}

/** The images of a transcript, checked against their hashes. */
export function imagesOf(transcript: Transcript): Map<string, Uint8Array> {
  const images = new Map<string, Uint8Array>();
  for (const [name, { length, header, md5, sha256 }] of Object.entries(transcript.images ?? {})) {
    const image = imageByRule(length, header);
    if (digest('md5', image) !== md5 || digest('sha256', image) !== sha256) {
      throw new Error(`${transcript.name}: image ${name} is not what its hash says`);
    }
    images.set(name, image);
  }
  return images;
}

/** The bytes of an entry, one latin1 character each. */
export function textOf(event: TranscriptEvent, images: ReadonlyMap<string, Uint8Array>): string {
  const parts = event.parts ?? [event.bytes ?? ''];
  const text = parts
    .map((part) => {
      if (typeof part === 'string') return unescapeBytes(part);
      if ('page' in part) throw new Error(`page ${part.page} is known by its hash only`);
      const image = images.get(part.image);
      if (!image) throw new Error(`no image ${part.image}`);
      return latin1(image.subarray(part.from, part.to));
    })
    .join('');
  if (event.len !== undefined && event.len !== text.length) {
    throw new Error(`an entry of ${text.length} bytes says that it has ${event.len}`);
  }
  return text;
}

export function toBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function latin1(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString('latin1');
}

export function digest(algorithm: 'md5' | 'sha256', data: Uint8Array | string): string {
  return createHash(algorithm).update(data).digest('hex');
}

/** The faults of `flash_erase_fails_after` and `flash_page_write_fails_after`: so many operations succeed, none later. */
export function faultsOf(device: Transcript['device']): FlashFaults {
  const left = {
    erase: Number(device['flash_erase_fails_after'] ?? Number.POSITIVE_INFINITY),
    program: Number(device['flash_page_write_fails_after'] ?? Number.POSITIVE_INFINITY),
  };
  return {
    decide: ({ kind }) => (kind !== 'read' && left[kind]-- <= 0 ? { do: 'fail' } : undefined),
  };
}

/** What a device has done to its flash, in the words of the transcripts. */
export function flashSummary(
  events: readonly FlashEvent[],
  peek: (address: number, length: number) => Uint8Array,
  command: { source: number; destination: number; size: number } | undefined,
  restart: boolean,
): TranscriptFlash {
  const erases = events.filter(({ type }) => type === 'flash.erase').map(({ address }) => address / SECTOR_BYTES);
  const programs = events.filter(({ type }) => type === 'flash.program');
  const from = Math.min(...programs.map(({ address }) => address));
  const to = Math.max(...programs.map(({ address, length }) => address + length));
  return {
    erase_ops: erases.length,
    write_bytes: programs.reduce((sum, { length }) => sum + length, 0),
    ...(erases.length > 0 && { erased_sectors: [erases[0]!, erases.at(-1)!] as const }),
    ...(programs.length > 0 && {
      written_range: [from, to] as const,
      written_sha256: digest('sha256', peek(from, to - from)),
    }),
    ...(command && {
      boot_command: { action: 1, args: [command.source, command.destination, command.size] as const },
      staged_sha256: digest('sha256', peek(command.source, command.size)),
      staged_md5: digest('md5', peek(command.source, command.size)),
    }),
    restart,
  };
}

const ESCAPES: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '\\': '\\' };

function unescapeBytes(text: string): string {
  return text.replace(/\\(?:x([0-9a-f]{2})|([rnt\\]))/g, (_, hex: string | undefined, letter: string) =>
    hex === undefined ? ESCAPES[letter]! : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
