/**
 * From segments to bytes: one image (header, segments, checksum row), a whole firmware file, and the length and CRC words
 * in it. Source: spec chapter 01 §7.1–§7.3 (tools/elf2bin.py).
 */
import { crc32, xorBytes } from './checksums.ts';
import { APP_START_OFFSET } from './geometry.ts';
import {
  CHECKSUM_START,
  encodeMode,
  encodeSizeFreq,
  type FlashMode,
  IMAGE_HEADER_BYTES,
  IMAGE_MAGIC,
  IMAGE_ROW_BYTES,
  putWord,
  SEGMENT_HEADER_BYTES,
} from './image-header.ts';

const MAX_SEGMENTS = 255; // one byte counts them

/**
 * File offset of the length word; the CRC word follows it. Cores 3.0 and newer: the first words of `.irom0.text`. Cores
 * 2.7.x: the end of the boot sector. Older cores have neither. Source: spec chapter 01 §7.3.
 */
export type EmbeddedPosition = 4112 | 4088;
export const EMBEDDED_IN_APP: EmbeddedPosition = 4112;
export const EMBEDDED_IN_BOOT_SECTOR: EmbeddedPosition = 4088;

export { crc32 } from './checksums.ts';

export interface ImageParts {
  readonly mode: FlashMode;
  /** Bytes; what the header claims. */
  readonly flashSize: number;
  readonly freqMHz: number;
  readonly entry: number;
  readonly segments: readonly { readonly address: number; readonly data: Uint8Array }[];
}

/** XOR over bytes, continuing from `checksum`. */
export function xorChecksum(data: Uint8Array, checksum = CHECKSUM_START): number {
  return xorBytes(data, checksum);
}

/**
 * One image: header, segments, zeros, checksum; a multiple of 16 bytes.
 *
 * @throws RangeError for more than 255 segments, or a mode, size or rate that no header can name
 */
export function encodeImage(parts: ImageParts): Uint8Array {
  const { segments } = parts;
  if (segments.length > MAX_SEGMENTS) throw new RangeError(`${segments.length} segments: a header counts up to 255`);
  let end = IMAGE_HEADER_BYTES;
  for (const { data } of segments) end += SEGMENT_HEADER_BYTES + data.length;
  const image = new Uint8Array((end & -IMAGE_ROW_BYTES) + IMAGE_ROW_BYTES);
  image[0] = IMAGE_MAGIC;
  image[1] = segments.length;
  image[2] = encodeMode(parts.mode);
  image[3] = encodeSizeFreq(parts.flashSize, parts.freqMHz);
  putWord(image, 4, parts.entry);
  let at = IMAGE_HEADER_BYTES;
  let checksum = CHECKSUM_START;
  for (const { address, data } of segments) {
    putWord(image, at, address);
    putWord(image, at + 4, data.length);
    image.set(data, at + SEGMENT_HEADER_BYTES);
    checksum = xorChecksum(data, checksum);
    at += SEGMENT_HEADER_BYTES + data.length;
  }
  image[image.length - 1] = checksum;
  return image;
}

/** The CRC of a file with its length and CRC words taken as zero, over its first `length` bytes. */
export function embeddedCrc(file: Uint8Array, position: EmbeddedPosition, length = file.length): number {
  const before = crc32(file.subarray(0, position));
  return crc32(file.subarray(position + 8, length), crc32(new Uint8Array(8), before));
}

/** Stores length and CRC, as the last step of a build: the checksum byte is not made anew, on purpose (elf2bin.py). */
export function embedLengthAndCrc(file: Uint8Array, position: EmbeddedPosition): void {
  const crc = embeddedCrc(file, position);
  putWord(file, position, file.length);
  putWord(file, position + 4, crc);
}

export interface FirmwareParts {
  /** The boot sector: 4096 bytes, whatever they are. */
  readonly sector0: Uint8Array;
  readonly app: ImageParts;
  /** Where length and CRC go; nowhere for cores up to 2.6.3. */
  readonly embed?: EmbeddedPosition | undefined;
}

/**
 * A whole firmware file out of its parts, for those who want every byte their way; `buildImage` is the comfortable one.
 *
 * @throws RangeError when the boot sector is not one sector, or the application too short to hold the words
 */
export function assembleImage({ sector0, app, embed }: FirmwareParts): Uint8Array {
  if (sector0.length !== APP_START_OFFSET) {
    throw new RangeError(`the boot sector has ${sector0.length} bytes: want ${APP_START_OFFSET}`);
  }
  const image = encodeImage(app);
  const file = new Uint8Array(APP_START_OFFSET + image.length);
  file.set(sector0);
  file.set(image, APP_START_OFFSET);
  if (embed !== undefined) {
    if (embed === EMBEDDED_IN_APP && (app.segments[0]?.data.length ?? 0) < 8) {
      throw new RangeError('the first segment has less than 8 bytes: no room for the length and CRC words');
    }
    embedLengthAndCrc(file, embed);
  }
  return file;
}
