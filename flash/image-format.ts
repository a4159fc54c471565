/**
 * Reads a file as an ESP8266 would meet it, and says in words what is wrong with it. Any bytes are fine: nothing throws,
 * and the work is linear in their number. Sources: spec chapter 01 §7 (format), §8.2 (what the ROM checks), §9.5 (what
 * eboot does), §7.5 (what the core computes); design.md §7 (what counts as damaged).
 */
import { type EbootIdentity, recogniseEboot } from './eboot-sector.ts';
import { checkEmbedded, type EmbeddedCrc, findEmbedded, withChecksumAsBuilt } from './embedded-crc.ts';
import { foreignChip, foreignFormat } from './foreign-format.ts';
import { APP_START_OFFSET, FLASH_MAPPED_BASE } from './geometry.ts';
import { type GzipReport, isGzip, parseGzip } from './gzip-image.ts';
import { EMBEDDED_IN_APP } from './image-assemble.ts';
import { IMAGE_MAGIC } from './image-header.ts';
import { type AddProblem, checkHeader, hex, type ImagePart, type ImageProblem, parsePart } from './image-part.ts';
import { type Manifest, readManifest } from './manifest.ts';
import { splitSignature } from './signed-image.ts';

export type { EmbeddedCrc } from './embedded-crc.ts';
export type { ImageChecksum, ImagePart, ImageProblem, ImageSegment, Severity } from './image-part.ts';

export type ImageKind =
  /** A boot sector and an application: what a sketch's `.bin` is. */
  | 'firmware'
  /** One 0xE9 image without an application at 0x1000. */
  | 'lone-image'
  | 'gzip'
  /** Something else; the problems say what, where that is known. */
  | 'unknown';

export interface ImageReport {
  /** Bytes of the file. */
  readonly size: number;
  readonly kind: ImageKind;
  /** The image at 0, which the ROM loads. */
  readonly boot?: ImagePart;
  /** Which bootloader that is; absent when unknown. */
  readonly eboot?: EbootIdentity;
  /** The image at 0x1000, which eboot loads. */
  readonly app?: ImagePart;
  /** What `ESP.getSketchSize()` returns for it: the length of an undamaged file. */
  readonly sketchSize?: number;
  readonly embedded?: EmbeddedCrc;
  readonly gzip?: GzipReport;
  /** A signature at the end. Whether it is in the new or the legacy format only the public key can tell. */
  readonly signature?: { readonly at: number; readonly length: number };
  /** Bytes behind the image that belong to nothing. */
  readonly trailing?: { readonly at: number; readonly length: number; readonly blank: boolean };
  readonly manifest?: Manifest;
  /**
   * Why the application counts as damaged, and so crashes instead of running its sketch: the embedded CRC fails (with
   * patched header bytes forgiven), or where there is none the checksum. Absent when it is whole.
   */
  readonly damage?: string;
  readonly problems: readonly ImageProblem[];
}

/**
 * Describes any bytes.
 *
 * @param bytes a whole file; of a chip's content, its first `getSketchSize()` bytes
 * @example parseImage(readFileSync('firmware.bin')).problems.map((problem) => problem.message)
 */
export function parseImage(bytes: Uint8Array): ImageReport {
  const problems: ImageProblem[] = [];
  const add: AddProblem = (severity, where, message) => void problems.push({ severity, where, message });
  const size = bytes.length;
  if (size === 0) {
    add('error', 'file', 'is empty');
    return { size, kind: 'unknown', damage: 'the file is empty', problems };
  }
  if (isGzip(bytes)) return { size, kind: 'gzip', ...gzipFile(bytes, add), problems };
  const foreign = bytes[0] === IMAGE_MAGIC ? chipUnlessFirmware(bytes) : (foreignFormat(bytes) ?? firstByte(bytes[0]!));
  if (foreign !== undefined) {
    add('error', 'file', `is ${foreign}`);
    return { size, kind: 'unknown', damage: `it is ${foreign}`, problems };
  }
  const boot = parsePart(bytes, 0, add);
  if (!boot) return { size, kind: 'unknown', damage: 'it has no complete header', problems };
  checkHeader(boot, add);
  checkBoot(boot, add);
  const eboot = recogniseEboot(bytes);
  const app = findApplication(bytes, boot, add);
  if (!app) {
    const rest = { boot, damage: 'there is no application image at 0x1000', problems };
    return { size, kind: 'lone-image', ...(eboot ? { eboot } : {}), ...rest };
  }
  return { size, kind: 'firmware', boot, ...firmwareFile(bytes, boot, app, eboot, add), problems };
}

const firstByte = (byte: number): string =>
  `no firmware image: the first byte is ${hex(byte, 2)} instead of 0xe9 (or 1f 8b for gzip)`;

function chipUnlessFirmware(bytes: Uint8Array): string | undefined {
  return bytes[APP_START_OFFSET] === IMAGE_MAGIC ? undefined : foreignChip(bytes);
}

function gzipFile(bytes: Uint8Array, add: AddProblem): Pick<ImageReport, 'gzip' | 'signature'> {
  const signed = splitSignature(bytes);
  // An RSA signature has whole words by the dozen; a shorter or odd "length" is the size of a small file.
  const signature = signed && signed.signature.length % 32 === 0 ? signed : undefined;
  const gzip = parseGzip(signature ? signature.payload : bytes);
  if (gzip.headerError) add('error', 'gzip header', `eboot refuses it with code 5: ${gzip.headerError}`);
  if (gzip.isize <= 0) {
    const size = bytes.length;
    add(
      'error',
      `gzip size word at ${hex(Math.max(0, size - 4))}`,
      `eboot reads ${gzip.isize} as the uncompressed size and copies nothing: cut short, or with bytes behind it?`,
    );
  }
  if (!signature) return { gzip };
  const { length } = signature.signature;
  add(
    'warning',
    `signature at ${hex(signature.payload.length)}`,
    `never send this to a device without verification: eboot would take the signature's length, ${length}, for the uncompressed size and leave a boot sector that no longer starts`,
  );
  return { gzip, signature: { at: signature.payload.length, length } };
}

/** What the ROM would say to the image at 0. */
function checkBoot(boot: ImagePart, add: AddProblem): void {
  const { checksum, header } = boot;
  if (checksum && checksum.given !== checksum.computed) {
    add(
      'error',
      `checksum at ${hex(checksum.at)}`,
      `is ${hex(checksum.given, 2)}, but the segments give ${hex(checksum.computed, 2)}: the ROM prints "csum err" and stops`,
    );
  }
  const inside = boot.segments.some(
    ({ address, length }) => header.entry >= address && header.entry < address + length && address < 0x60000000,
  );
  if (boot.checksum && !inside) {
    add('warning', 'header at 0x0', `the entry ${hex(header.entry, 8)} is in none of the segments`);
  }
}

function findApplication(bytes: Uint8Array, boot: ImagePart, add: AddProblem): ImagePart | undefined {
  const where = `header at ${hex(APP_START_OFFSET)}`;
  const magic = bytes[APP_START_OFFSET];
  if (magic === IMAGE_MAGIC) {
    if (boot.end > APP_START_OFFSET) {
      add('error', 'image at 0x0', `ends at ${hex(boot.end)}, beyond the boot sector: it runs into the application`);
    }
    return parsePart(bytes, APP_START_OFFSET, add);
  }
  if (magic === undefined) {
    add(
      'error',
      where,
      `the file ends at ${hex(bytes.length)}: there is a boot sector, or one image, but no application`,
    );
    return undefined;
  }
  add(
    'error',
    where,
    `the byte there is ${hex(magic, 2)} instead of 0xe9: there is no application that eboot could start`,
  );
  // eboot does not look at the magic, and what it then loads may be whole.
  const quiet: AddProblem = () => {};
  const part = boot.end <= APP_START_OFFSET ? parsePart(bytes, APP_START_OFFSET, quiet) : undefined;
  return part?.checksum && part.segments.length > 0 ? part : undefined;
}

type FirmwareFields = Omit<ImageReport, 'size' | 'kind' | 'boot' | 'problems'>;

function firmwareFile(
  file: Uint8Array,
  boot: ImagePart,
  app: ImagePart,
  eboot: EbootIdentity | undefined,
  add: AddProblem,
): FirmwareFields {
  checkHeader(app, add);
  compareHeaders(boot, app, add);
  checkApplication(app, add);
  const signed = splitSignature(file);
  const isSigned = signed !== undefined && app.checksum !== undefined && signed.payload.length === app.end;
  const bytes = isSigned ? signed.payload : file;
  const embedded = findEmbedded(bytes, app, eboot);
  if (embedded) checkEmbedded(embedded, bytes, app, add);
  const damage = damageOf(bytes, app, embedded);
  if (!embedded && damage) add('error', 'application', damage);
  if (!eboot) add('note', 'boot sector', 'holds a bootloader that no release of the core contains');
  if (eboot && !eboot.exact) add('warning', 'boot sector', `has the shape of eboot ${eboot.build}, but other bytes`);
  const trailing = isSigned || !app.checksum || app.end >= file.length ? undefined : behind(file, app.end);
  if (trailing) {
    const content = trailing.blank ? 'blank bytes' : 'bytes';
    add('note', `end at ${hex(trailing.at)}`, `${trailing.length} ${content} follow the image and belong to nothing`);
  }
  const reading = readManifest(bytes);
  if (!reading.manifest && reading.found) add('warning', 'manifest', reading.reason);
  return {
    app: embedded?.position === EMBEDDED_IN_APP ? withChecksumAsBuilt(bytes, app) : app,
    ...(eboot ? { eboot } : {}),
    ...(app.checksum ? { sketchSize: app.end } : {}),
    ...(embedded ? { embedded } : {}),
    ...(isSigned ? { signature: { at: signed.payload.length, length: signed.signature.length } } : {}),
    ...(trailing ? { trailing } : {}),
    ...(reading.manifest ? { manifest: reading.manifest } : {}),
    ...(damage ? { damage } : {}),
  };
}

function compareHeaders(boot: ImagePart, app: ImagePart, add: AddProblem): void {
  const a = boot.header;
  const b = app.header;
  if (a.modeByte === b.modeByte && a.sizeFreqByte === b.sizeFreqByte) return;
  const text = (part: typeof a): string => `${hex(part.modeByte, 2)} ${hex(part.sizeFreqByte, 2)}`;
  add(
    'note',
    'headers',
    `bytes 2 and 3 are ${text(a)} at 0x0 and ${text(b)} at 0x1000: patched by the Updater or esptool after the build`,
  );
}

function checkApplication(app: ImagePart, add: AddProblem): void {
  const { entry } = app.header;
  if (!(entry >= 0x40100000 && entry < 0x4010c000) && !(entry >= 0x40000000 && entry < 0x40010000)) {
    add('warning', `header at ${hex(app.at)}`, `the entry ${hex(entry, 8)} is outside instruction RAM`);
  }
  for (const { index, headerAt, dataAt, address, kind } of app.segments) {
    if (kind !== 'irom') continue;
    const mapped = FLASH_MAPPED_BASE + dataAt;
    if (address !== mapped) {
      const where = `segment ${index} at ${hex(headerAt)}`;
      add(
        'error',
        where,
        `is linked for ${hex(address, 8)}, but lies where the CPU sees ${hex(mapped, 8)}: made for another bootloader?`,
      );
    }
  }
}

function damageOf(bytes: Uint8Array, app: ImagePart, embedded: EmbeddedCrc | undefined): string | undefined {
  if (embedded) {
    if (embedded.ok || embedded.patched) return undefined;
    const { computed, given } = embedded;
    return computed === undefined
      ? `the embedded length is ${embedded.length}, but there are ${bytes.length} bytes`
      : `the embedded CRC is ${hex(given, 8)}, but the bytes give ${hex(computed, 8)}`;
  }
  const { checksum } = app;
  if (!checksum) return 'the application is cut short';
  if (checksum.given === checksum.computed) return undefined;
  return `the checksum is ${hex(checksum.given, 2)}, but the segments give ${hex(checksum.computed, 2)}`;
}

function behind(file: Uint8Array, at: number): { at: number; length: number; blank: boolean } {
  const rest = file.subarray(at);
  return { at, length: rest.length, blank: rest.every((byte) => byte === 0xff) };
}
