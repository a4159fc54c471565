/**
 * What `serve` answers: a device's headers and the image that is there for it. Pure. Sources: design.md §4 (`serve`); spec
 * chapter 04 §16 (what devices send), §25 (what servers may answer).
 *
 * Where the two are silent: a request with some of the headers is one of a device; a missing mode is `sketch`. A file system
 * does not have to fit the sketch's free space, which says nothing about it, but the chip. A header that is no number limits
 * nothing.
 */
import { type ImageSort, sameVersion } from './catalogue.ts';

export type RequestMode = 'sketch' | 'spiffs' | 'version';

/** What a device says of itself. */
export interface DeviceRequest {
  /** undefined: a mode that nobody knows. */
  readonly mode: RequestMode | undefined;
  /** `XX:XX:XX:XX:XX:XX`, upper case. */
  readonly mac?: string;
  readonly version?: string;
  /** 32 hex digits, lower case. */
  readonly sketchMd5?: string;
  /** Bytes. */
  readonly freeSpace?: number;
  /** Bytes. */
  readonly chipSize?: number;
}

/** Header names in lower case, as Node has them. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

const PREFIX = 'x-esp8266-';
/** Longer ones are cut: they are compared and logged, and no file name holds as much. */
const MAX_VALUE = 255;

/**
 * Reads the headers of spec chapter 04 §16.
 *
 * @returns undefined when there is no `x-ESP8266-*` header at all
 */
export function readDeviceRequest(headers: RequestHeaders): DeviceRequest | undefined {
  if (!Object.keys(headers).some((name) => name.startsWith(PREFIX))) return undefined;
  const text = (name: string): string => {
    const value = headers[PREFIX + name];
    return typeof value === 'string' ? value.trim().slice(0, MAX_VALUE) : '';
  };
  const mode = text('mode').toLowerCase() || 'sketch';
  const mac = /^[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}$/i.test(text('sta-mac')) ? text('sta-mac') : undefined;
  const md5 = /^[0-9a-f]{32}$/i.test(text('sketch-md5')) ? text('sketch-md5') : undefined;
  const version = text('version');
  const freeSpace = sizeOf(text('free-space'));
  const chipSize = sizeOf(text('chip-size'));
  return {
    mode: mode === 'sketch' || mode === 'spiffs' || mode === 'version' ? mode : undefined,
    ...(mac === undefined ? {} : { mac: mac.replaceAll('-', ':').toUpperCase() }),
    ...(version === '' ? {} : { version }),
    ...(md5 === undefined ? {} : { sketchMd5: md5.toLowerCase() }),
    ...(freeSpace === undefined ? {} : { freeSpace }),
    ...(chipSize === undefined ? {} : { chipSize }),
  };
}

const sizeOf = (text: string): number | undefined => (/^\d{1,12}$/.test(text) ? Number(text) : undefined);

/** Where a mode looks. */
export const sortOf = (mode: RequestMode): ImageSort => (mode === 'spiffs' ? 'spiffs' : 'sketch');

/** A file that could be the answer. */
export interface Offer {
  /** Absent for a file that was asked for by its path and has none in its name. */
  readonly version?: string;
  /** Bytes of the file. */
  readonly size: number;
  /**
   * What a device that runs it may say in `x-ESP8266-sketch-md5`: MD5 of the file, and of what it becomes on a chip
   * (unpacked, without its signature, with a patched header). 32 hex digits, lower case.
   */
  readonly sketchMd5s: readonly string[];
}

export type Answer<T extends Offer> =
  | { readonly status: 200; readonly offer: T; readonly body: boolean }
  | { readonly status: 304; readonly offer: T }
  | { readonly status: 404 | 500; readonly reason: string };

/**
 * Decides between variants of one build.
 *
 * @param offers best first; the first that fits the device is taken
 * @example decide({ mode: 'sketch', version: '1.0' }, [{ version: '1.0', size: 4096, sketchMd5s: [] }]) // { status: 304, … }
 */
export function decide<T extends Offer>(request: DeviceRequest, offers: readonly T[]): Answer<T> {
  const [best] = offers;
  if (request.mode === undefined) return { status: 404, reason: 'unknown mode' };
  if (best === undefined) return { status: 404, reason: `nothing here for mode ${request.mode}` };
  const current = offers.find((offer) => isCurrent(request, offer));
  if (current && request.mode !== 'version') return { status: 304, offer: current };
  const room = request.mode === 'spiffs' ? request.chipSize : request.freeSpace;
  const fitting = offers.find(({ size }) => room === undefined || size <= room);
  if (!fitting) return { status: 500, reason: `${best.size} bytes do not fit into ${room}` };
  return { status: 200, offer: fitting, body: request.mode !== 'version' };
}

/** Same version; without one, on the device's side or the file's, the same MD5. */
function isCurrent({ version, sketchMd5 }: DeviceRequest, offer: Offer): boolean {
  if (version !== undefined && offer.version !== undefined) return sameVersion(version, offer.version);
  return sketchMd5 !== undefined && offer.sketchMd5s.includes(sketchMd5);
}
