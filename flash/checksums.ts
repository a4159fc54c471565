/**
 * The two sums over an image, a word at a time: they are taken over a quarter MiB several times at each start, by code that
 * the engine has not compiled yet. Source: spec chapter 01 §7.2, §7.3.
 */

const POLYNOMIAL = 0x04c11db7;

/** `tables[256 * n + byte]`: what `byte` does to the sum when n more bytes follow it in the word. */
const tables = new Int32Array(4 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? POLYNOMIAL : 0);
  tables[byte] = crc;
}
for (let i = 256; i < tables.length; i++) {
  const before = tables[i - 256]!;
  tables[i] = (before << 8) ^ tables[before >>> 24]!;
}

/** CRC-32/MPEG-2, continuing from `crc`. The kernels have a faster one, for where they are at hand. */
export function crc32(data: Uint8Array, crc = 0xffffffff): number {
  let state = crc | 0;
  let i = 0;
  for (; i + 3 < data.length; i += 4) {
    state ^= (data[i]! << 24) | (data[i + 1]! << 16) | (data[i + 2]! << 8) | data[i + 3]!;
    state =
      tables[768 + (state >>> 24)]! ^
      tables[512 + ((state >>> 16) & 0xff)]! ^
      tables[256 + ((state >>> 8) & 0xff)]! ^
      tables[state & 0xff]!;
  }
  for (; i < data.length; i++) state = (state << 8) ^ tables[(state >>> 24) ^ data[i]!]!;
  return state >>> 0;
}

/** XOR over bytes, continuing from `checksum`. */
export function xorBytes(data: Uint8Array, checksum: number): number {
  let result = checksum;
  let i = 0;
  while (i < data.length && (data.byteOffset + i) % 4 !== 0) result ^= data[i++]!;
  if (i === data.length) return result;
  const words = new Int32Array(data.buffer, data.byteOffset + i, (data.length - i) >> 2);
  let folded = 0;
  for (let word = 0; word < words.length; word++) folded ^= words[word]!;
  result ^= (folded ^ (folded >>> 8) ^ (folded >>> 16) ^ (folded >>> 24)) & 0xff;
  for (i += words.length * 4; i < data.length; i++) result ^= data[i]!;
  return result;
}
