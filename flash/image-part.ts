/**
 * One image inside a file (the boot sector's, or the application's): header, segments and checksum row, with what is
 * wrong about them. Source: spec chapter 01 §7.1, §8.2, §9.5.
 */
import { xorChecksum } from './image-assemble.ts';
import {
  CHECKSUM_START,
  decodeHeader,
  ebootLoads,
  IMAGE_HEADER_BYTES,
  IMAGE_ROW_BYTES,
  type ImageHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentKind,
  segmentKind,
  wordAt,
} from './image-header.ts';

/** `error`: it will not work; `warning`: it may not, or not as one thinks; `note`: good to know. */
export type Severity = 'error' | 'warning' | 'note';

export interface ImageProblem {
  readonly severity: Severity;
  /** Which part of the file, with its offset: `segment 3 at 0x5a310`. */
  readonly where: string;
  /** What is so, and what to do about it where that is known. */
  readonly message: string;
}

export type AddProblem = (severity: Severity, where: string, message: string) => void;

export interface ImageSegment {
  readonly index: number;
  /** File offsets of its header and of its data. */
  readonly headerAt: number;
  readonly dataAt: number;
  /** Load address, CPU view. */
  readonly address: number;
  /** Bytes it claims. */
  readonly length: number;
  readonly kind: SegmentKind;
  /** eboot copies it to RAM; otherwise it stays in flash. Only meaningful in an application. */
  readonly loaded: boolean;
  /** All of its data is in the file. */
  readonly complete: boolean;
}

export interface ImageChecksum {
  /** File offset of the checksum byte. */
  readonly at: number;
  readonly given: number;
  readonly computed: number;
  /** With the length and CRC words of an application taken as zero, as when its build computed it. */
  readonly asBuilt?: number;
}

export interface ImagePart {
  /** File offset of the header. */
  readonly at: number;
  readonly header: ImageHeader;
  readonly segments: readonly ImageSegment[];
  /** File offset behind the last segment's data, as far as the file goes. */
  readonly dataEnd: number;
  /** File offset behind the checksum row, whether the file reaches that far or not. */
  readonly end: number;
  /** Absent when the file ends before it. */
  readonly checksum?: ImageChecksum;
}

export const hex = (value: number, digits = 1): string => `0x${value.toString(16).padStart(digits, '0')}`;

/**
 * Decodes the image whose header is at `at`.
 *
 * @returns undefined when not even the header is there
 */
export function parsePart(bytes: Uint8Array, at: number, add: AddProblem): ImagePart | undefined {
  if (bytes.length < at + IMAGE_HEADER_BYTES) {
    add('error', `header at ${hex(at)}`, `the file ends at ${hex(bytes.length)}, before the 8 bytes of this header`);
    return undefined;
  }
  const header = decodeHeader(bytes, at);
  const segments: ImageSegment[] = [];
  let position = at + IMAGE_HEADER_BYTES;
  let whole = true;
  let computed = CHECKSUM_START;
  for (let index = 0; index < header.segmentCount && whole; index++) {
    const where = `segment ${index} at ${hex(position)}`;
    if (position + SEGMENT_HEADER_BYTES > bytes.length) {
      const count = header.segmentCount;
      add('error', where, `the header counts ${count} segments, but the file ends at ${hex(bytes.length)}: cut short?`);
      whole = false;
      break;
    }
    const address = wordAt(bytes, position);
    const length = wordAt(bytes, position + 4);
    const dataAt = position + SEGMENT_HEADER_BYTES;
    const kind = segmentKind(address);
    whole = length <= bytes.length - dataAt;
    segments.push({
      index,
      headerAt: position,
      dataAt,
      address,
      length,
      kind,
      loaded: ebootLoads(address),
      complete: whole,
    });
    if (!whole) {
      const there = bytes.length - dataAt;
      add(
        'error',
        where,
        `claims ${length} bytes, but the file ends at ${hex(bytes.length)}, ${there} bytes into it: cut short, or no image`,
      );
    }
    if (kind === 'other') add('warning', where, `loads to ${hex(address, 8)}, where an ESP8266 has no memory`);
    position = whole ? dataAt + length : bytes.length;
    computed = xorChecksum(bytes.subarray(dataAt, position), computed);
  }
  const end = (position & -IMAGE_ROW_BYTES) + IMAGE_ROW_BYTES;
  const part = { at, header, segments, dataEnd: position, end };
  if (!whole) return part;
  if (end > bytes.length) {
    add(
      'error',
      `checksum at ${hex(end - 1)}`,
      `the file ends at ${hex(bytes.length)}, before the checksum byte: ${end - bytes.length} too few`,
    );
    return part;
  }
  return { ...part, checksum: { at: end - 1, given: bytes[end - 1]!, computed } };
}

/** What a header says that no loader understands, or that the Updater stumbles over. */
export function checkHeader(part: ImagePart, add: AddProblem): void {
  const { header, at } = part;
  const where = `header at ${hex(at)}`;
  if (header.mode === 'unknown') {
    add(
      'warning',
      where,
      `flash mode byte ${header.modeByte} is none of 0 to 3: an upload with an MD5 of this file will fail (Updater quirk Q10)`,
    );
  }
  if (header.flashSize === 0) {
    add('warning', where, `size nibble ${header.sizeFreqByte >> 4} names no flash size: the core takes it as 0 bytes`);
  }
  if (header.freqMHz === 0) {
    add('warning', where, `frequency nibble ${header.sizeFreqByte & 0xf} names no SPI clock`);
  }
  if (header.segmentCount === 0) add('error', where, 'counts no segments, so nothing is loaded');
}
