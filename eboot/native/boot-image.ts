/** The image in the boot sector, as far as executing it needs to know it. Source: spec chapter 01 §8.2; chapter 07 §8.1. */
import { isSyntheticEboot } from '../../flash/eboot-sector.ts';
import { IMAGE_HEADER_BYTES, IMAGE_MAGIC, SEGMENT_HEADER_BYTES, wordAt } from '../../flash/image-header.ts';
import { IRAM_BASE, IRAM_BYTES, windowAt } from '../memory-map.ts';
import type { Ram } from '../ram.ts';

/** More segments are not loaded by the ROM of any sound image. */
const SEGMENT_LIMIT = 16;

export interface BootSegment {
  /** CPU address. */
  readonly address: number;
  readonly data: Uint8Array;
}

export interface BootImage {
  readonly entry: number;
  readonly segments: readonly BootSegment[];
}

/**
 * Header and segments of a boot image; undefined when it is none: wrong magic, cut short, or a segment outside RAM. The
 * checksum is not looked at.
 *
 * @param bytes the boot sector, or a file that begins with it
 */
export function readBootImage(bytes: Uint8Array): BootImage | undefined {
  if (bytes.length < IMAGE_HEADER_BYTES || bytes[0] !== IMAGE_MAGIC || bytes[1]! > SEGMENT_LIMIT) return undefined;
  const segments: BootSegment[] = [];
  let at = IMAGE_HEADER_BYTES;
  for (let index = 0; index < bytes[1]!; index++) {
    if (at + SEGMENT_HEADER_BYTES > bytes.length) return undefined;
    const address = wordAt(bytes, at);
    const length = wordAt(bytes, at + 4);
    at += SEGMENT_HEADER_BYTES;
    if (at + length > bytes.length) return undefined;
    const { region, end } = windowAt(address);
    if (length > 0 && ((region !== 'dram' && region !== 'iram') || address + length > end)) return undefined;
    segments.push({ address, data: bytes.subarray(at, at + length) });
    at += length;
  }
  return { entry: wordAt(bytes, 4), segments };
}

/** Puts the segments into RAM as the ROM does. */
export function loadBootImage(image: BootImage, ram: Ram): void {
  for (const { address, data } of image.segments) if (data.length > 0) ram.view(address, data.length).set(data);
}

/** Whether a CPU address lies in the image's own code. */
export function isOwnCode(image: BootImage, address: number): boolean {
  return image.segments.some(
    (segment) =>
      segment.address >= IRAM_BASE &&
      segment.address < IRAM_BASE + IRAM_BYTES &&
      address >= segment.address &&
      address < segment.address + segment.data.length,
  );
}

/**
 * True when the boot sector holds code that an LX106 can execute: an image whose entry lies inside one of its segments in
 * instruction RAM, and none of our stand-ins. What `bootloader: 'auto'` goes by.
 *
 * @param sector0 the first 4096 bytes of the chip
 */
export function holdsBootCode(sector0: Uint8Array): boolean {
  if (isSyntheticEboot(sector0)) return false;
  const image = readBootImage(sector0);
  return image !== undefined && isOwnCode(image, image.entry);
}
