/**
 * The personality manifest: what a built image does when it runs, as data in its `.rodata` segment (design.md §7).
 *
 * Format (docs/formats.md): 32 bytes of magic, the length of the text, its CRC-32/MPEG-2 (both little-endian words), the
 * text: JSON in UTF-8. It stands at the beginning of a data segment, so finding it means reading a few segment headers.
 * Images come from strangers: every size has a limit, and what is not as described is not a manifest.
 */
import { APP_START_OFFSET } from './geometry.ts';
import { crc32 } from './image-assemble.ts';
import { IMAGE_HEADER_BYTES, putWord, SEGMENT_HEADER_BYTES, segmentKind, wordAt } from './image-header.ts';
import { unknownName } from './names.ts';

const MAGIC = new TextEncoder().encode('esp8266-ota-emulator manifest 1\n');
const PREFIX_BYTES = MAGIC.length + 8;
/** A data segment lies in 80 KiB of RAM; a manifest with two certificates is still below this. */
export const MANIFEST_MAX_BYTES = 16384;
const MAX_SKETCHES = 8;
const MAX_VERSION = 64;
/** No application reaches further than the largest chip. */
const MAX_ADDRESS = 0x1000000;

export type SettingValue = string | number | boolean;

/** What a setting holds, and how it is checked. */
export type SettingKind =
  /** Up to 512 characters, no control characters. */
  | 'text'
  /** As text; never shown. */
  | 'secret'
  /** 0 … 65535; 0 lets the system choose. */
  | 'port'
  /** 0 … 2,147,483. */
  | 'seconds'
  | 'flag'
  /** `http://…` or `https://…`. */
  | 'url'
  /** 32 hex digits. */
  | 'md5'
  /** SHA-1 of a certificate: 40 hex digits, `:` or spaces between them. */
  | 'fingerprint'
  /** The text of a PEM file: an image never names a file of the machine it runs on. */
  | 'pem'
  | 'redirects';

/** The options of `run` that belong to the firmware, by their long names: what an image may set. */
export const manifestSettings: Readonly<Record<string, SettingKind>> = {
  hostname: 'text',
  password: 'secret',
  'password-hash': 'secret',
  mdns: 'flag',
  'ota-port': 'port',
  'stream-port': 'port',
  'http-port': 'port',
  'https-port': 'port',
  'http-user': 'text',
  'http-password': 'secret',
  'http-path': 'text',
  'update-url': 'url',
  'update-fs-url': 'url',
  'update-interval': 'seconds',
  'current-version': 'text',
  md5: 'md5',
  'follow-redirects': 'redirects',
  ca: 'pem',
  fingerprint: 'fingerprint',
  insecure: 'flag',
  'public-key': 'pem',
  'atomic-fs': 'flag',
};

export interface Manifest {
  /** Sketches that run side by side, by the names of `--sketch`. */
  readonly sketch: readonly string[];
  readonly version: string;
  readonly settings: Readonly<Record<string, SettingValue>>;
  /** Era of the core the image was built for. */
  readonly core?: string;
  readonly layout?: string;
}

const inText = (value: SettingValue, limit = 512): value is string =>
  typeof value === 'string' && value.length <= limit && !/\p{Cc}/u.test(value);

const inRange = (value: SettingValue, last: number): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= last;

/** What each kind wants, in words and as a check. */
const kinds: Readonly<Record<SettingKind, { wants: string; fits(value: SettingValue): boolean }>> = {
  text: { wants: 'text of up to 512 characters without control characters', fits: (value) => inText(value) },
  secret: { wants: 'text of up to 512 characters without control characters', fits: (value) => inText(value) },
  port: { wants: 'a port, 0 to 65535', fits: (value) => inRange(value, 0xffff) },
  seconds: { wants: 'whole seconds, 0 to 2147483', fits: (value) => inRange(value, 2147483) },
  flag: { wants: 'true or false', fits: (value) => typeof value === 'boolean' },
  url: { wants: 'an http:// or https:// address', fits: (value) => inText(value) && /^https?:\/\/[^\s/]/i.test(value) },
  md5: { wants: '32 hex digits', fits: (value) => inText(value) && /^[0-9a-f]{32}$/i.test(value) },
  fingerprint: {
    wants: 'a SHA-1 fingerprint, 40 hex digits',
    fits: (value) => inText(value) && /^([0-9a-f]{2}[: ]?){19}[0-9a-f]{2}$/i.test(value),
  },
  pem: {
    wants: 'the text of a PEM file',
    fits: (value) => typeof value === 'string' && value.length <= 8192 && value.includes('-----BEGIN '),
  },
  redirects: {
    wants: 'disabled, strict or force',
    fits: (value) => inText(value) && /^(disabled|strict|force)$/.test(value),
  },
};

const kindOf = (key: string): SettingKind | undefined =>
  Object.hasOwn(manifestSettings, key) ? manifestSettings[key] : undefined;

/** @throws RangeError for a key that no image may set, or a value that does not fit it */
export function checkSetting(key: string, value: SettingValue): void {
  const kind = kindOf(key);
  if (!kind) throw unknownName('setting', key, Object.keys(manifestSettings));
  // The value stays out of the message: it may be a password.
  if (!kinds[kind].fits(value)) throw new RangeError(`setting ${key}: wants ${kinds[kind].wants}`);
}

/**
 * A setting as typed: `8266` becomes a number, `true` a flag, where the key wants one.
 *
 * @throws RangeError as {@link checkSetting} does
 */
export function parseSetting(key: string, text: string): SettingValue {
  const kind = kindOf(key);
  let value: SettingValue = text;
  if ((kind === 'port' || kind === 'seconds') && /^\d{1,10}$/.test(text)) value = Number(text);
  if (kind === 'flag' && /^(true|false)$/.test(text)) value = text === 'true';
  checkSetting(key, value);
  return value;
}

const isSketchName = (name: unknown): name is string =>
  typeof name === 'string' && /^[a-z0-9][a-z0-9-]{0,39}$/.test(name);

const isVersion = (text: unknown): text is string =>
  typeof text === 'string' && text.length >= 1 && text.length <= MAX_VERSION && !/\p{Cc}/u.test(text);

/**
 * The bytes of a manifest, padded to whole words.
 *
 * @throws RangeError for names, versions or settings that do not fit, or when all of it exceeds 16 KiB
 */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const { sketch, version, core, layout, settings } = manifest;
  if (sketch.length < 1 || sketch.length > MAX_SKETCHES || !sketch.every(isSketchName)) {
    throw new RangeError(`sketch "${sketch.join(',').slice(0, 80)}": want 1 to ${MAX_SKETCHES} names like basic-ota`);
  }
  if (!isVersion(version)) {
    throw new RangeError(`version "${String(version).slice(0, 80)}": want 1 to ${MAX_VERSION} printable characters`);
  }
  const entries = Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [key, value] of entries) checkSetting(key, value);
  const text = JSON.stringify({ sketch, version, core, layout, settings: Object.fromEntries(entries) });
  const json = new TextEncoder().encode(text);
  if (json.length > MANIFEST_MAX_BYTES) {
    throw new RangeError(
      `the manifest takes ${json.length} bytes: want at most ${MANIFEST_MAX_BYTES}; shorten the settings`,
    );
  }
  const bytes = new Uint8Array((PREFIX_BYTES + json.length + 3) & ~3);
  bytes.set(MAGIC);
  putWord(bytes, MAGIC.length, json.length);
  putWord(bytes, MAGIC.length + 4, crc32(json));
  bytes.set(json, PREFIX_BYTES);
  return bytes;
}

/** Reads `length` bytes of a chip at `address`; undefined when it cannot. */
export type ReadBytes = (address: number, length: number) => Uint8Array | undefined;

export type ManifestReading =
  | { readonly manifest: Manifest; readonly address: number }
  /** `found`: there is one, but it cannot be used. */
  | { readonly manifest: undefined; readonly reason: string; readonly found: boolean };

/**
 * The manifest of a firmware image; never throws, whatever the bytes.
 *
 * @param source the file from its first byte, or a way to read the chip that holds it
 */
export function readManifest(source: Uint8Array | ReadBytes): ManifestReading {
  const read: ReadBytes =
    typeof source === 'function'
      ? source
      : (address, length) =>
          address + length > source.length ? undefined : source.subarray(address, address + length);
  const header = read(APP_START_OFFSET, IMAGE_HEADER_BYTES);
  if (!header) return none('there is no application image');
  let at = APP_START_OFFSET + IMAGE_HEADER_BYTES;
  let damaged: string | undefined;
  for (let segment = 0; segment < header[1]!; segment++) {
    const head = at < MAX_ADDRESS ? read(at, SEGMENT_HEADER_BYTES) : undefined;
    if (!head) return none(`the image ends before the header of segment ${segment}`);
    const length = wordAt(head, 4);
    at += SEGMENT_HEADER_BYTES;
    if (segmentKind(wordAt(head, 0)) === 'dram' && length >= PREFIX_BYTES) {
      const found = manifestAt(read, at, length);
      if (found?.manifest) return found;
      if (found) damaged = found.reason;
    }
    at += length;
  }
  return damaged ? none(damaged, true) : none('the image has no manifest');
}

const none = (reason: string, found = false) => ({ manifest: undefined, reason, found }) as const;

function manifestAt(read: ReadBytes, address: number, room: number): ManifestReading | undefined {
  const prefix = read(address, PREFIX_BYTES);
  if (!prefix || !MAGIC.every((byte, i) => prefix[i] === byte)) return undefined;
  const where = `the manifest at 0x${address.toString(16)}`;
  const length = wordAt(prefix, MAGIC.length);
  if (length > MANIFEST_MAX_BYTES || length > room - PREFIX_BYTES) {
    return none(`${where} claims ${length} bytes, more than its segment or the limit of ${MANIFEST_MAX_BYTES}`, true);
  }
  const json = read(address + PREFIX_BYTES, length);
  if (!json) return none(`${where} goes beyond the end of the image`, true);
  if (crc32(json) !== wordAt(prefix, MAGIC.length + 4)) return none(`${where} is damaged: its CRC does not fit`, true);
  const manifest = fromJson(json);
  return manifest ? { manifest, address } : none(`${where} does not hold sketch, version and settings`, true);
}

function fromJson(json: Uint8Array): Manifest | undefined {
  let data: unknown;
  try {
    data = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch {
    return undefined; // nothing here waits, so no Interruption can pass
  }
  if (typeof data !== 'object' || data === null) return undefined;
  const { sketch, version, core, layout, settings } = data as Record<string, unknown>;
  if (!Array.isArray(sketch) || sketch.length < 1 || sketch.length > MAX_SKETCHES || !sketch.every(isSketchName)) {
    return undefined;
  }
  if (!isVersion(version) || typeof settings !== 'object' || settings === null) return undefined;
  const known = Object.entries(settings as Record<string, SettingValue>).filter(([key, value]) => {
    const kind = kindOf(key);
    return kind !== undefined && kinds[kind].fits(value); // what a newer builder may know is left out
  });
  return {
    sketch,
    version,
    settings: Object.fromEntries(known),
    ...(typeof core === 'string' && core.length <= 40 ? { core } : {}),
    ...(typeof layout === 'string' && layout.length <= 40 ? { layout } : {}),
  };
}

/** The settings as they may be shown: secrets hidden, PEM texts by their length, no user name in an address. */
export function shownSettings(manifest: Manifest): Record<string, SettingValue> {
  return Object.fromEntries(
    Object.entries(manifest.settings).map(([key, value]): [string, SettingValue] => {
      const kind = kindOf(key);
      if (kind === 'secret') return [key, value === '' ? '(empty)' : '(hidden)'];
      if (kind === 'pem') return [key, `(PEM, ${String(value).length} characters)`];
      if (kind === 'url') return [key, String(value).replace(/\/\/[^/]*@/, '//(hidden)@')];
      return [key, value];
    }),
  );
}
