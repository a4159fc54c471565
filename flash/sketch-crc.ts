/**
 * The CRC that the build embeds in an image, checked in flash as the running sketch does. Source: spec chapter 01 §7.3, §7.5.
 */
import type { SectorStore } from '../assembly/host/kernels.ts';

/** Chip offset of the embedded length (the CRC follows), and of the first byte behind both. */
export const EMBEDDED_LENGTH_OFFSET = 0x1010;
const BEHIND_WORDS_OFFSET = 0x1018;
/** The mapping shows the first MiB of the chip. */
const MAPPED_BYTES = 0x100000;
const POLYNOMIAL = 0x04c11db7;

/**
 * `checkFlashCRC()`: CRC over the image with the two words taken as 0. Reads through the cache, so no SDK range applies.
 * A stored length below 0x1018 would underflow in the core, and one past the mapping would crash it: false here.
 */
export function embeddedCrcMatches(store: SectorStore): boolean {
  const words = store.read(EMBEDDED_LENGTH_OFFSET, 8);
  const view = new DataView(words.buffer, words.byteOffset);
  const length = view.getUint32(0, true);
  if (length < BEHIND_WORDS_OFFSET || length > MAPPED_BYTES) return false;
  let crc = mappedCrc(store, 0, EMBEDDED_LENGTH_OFFSET, 0xffffffff);
  crc = crcOfZeros(crc, 8);
  crc = mappedCrc(store, BEHIND_WORDS_OFFSET, length, crc);
  return crc === view.getUint32(4, true);
}

/** CRC over mapped bytes; a chip smaller than the mapping appears in it again and again. */
function mappedCrc(store: SectorStore, start: number, end: number, crc: number): number {
  let result = crc;
  for (let at = start; at < end; ) {
    const from = at % store.capacityBytes;
    const length = Math.min(end - at, store.capacityBytes - from);
    result = store.crc32(from, length, result);
    at += length;
  }
  return result;
}

/** CRC-32/MPEG-2 continued over `count` zero bytes. */
function crcOfZeros(crc: number, count: number): number {
  let result = crc;
  for (let bit = 0; bit < count * 8; bit++) result = (result << 1) ^ ((result | 0) < 0 ? POLYNOMIAL : 0);
  return result >>> 0;
}
