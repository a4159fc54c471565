/** Canonical Huffman codes as DEFLATE uses them (RFC 1951 §3.2.2), and as eboot reads them when they are not sound. */

export const MAX_BITS = 15;
export const LITERAL_SYMBOLS = 288;
export const DISTANCE_SYMBOLS = 32;
/** Codes up to this length are found by one look into a table. */
const FAST_BITS = 9;
const FAST_SIZE = 1 << FAST_BITS;
export const FAST_MASK = FAST_SIZE - 1;

/**
 * A canonical Huffman code, complete or not. An over-subscribed one is no error: codes are given out in order of length
 * until none are left.
 */
export class HuffmanTree {
  readonly counts = new Uint16Array(MAX_BITS + 1);
  readonly symbols = new Uint16Array(LITERAL_SYMBOLS);
  /** By the next bits: symbol << 4 | length, or 0 for a longer (or no) code. */
  readonly fast = new Uint16Array(FAST_SIZE);
  private readonly offsets = new Uint16Array(MAX_BITS + 1);

  /** @param lengths code lengths of symbols 0 … count-1 begin at `start` */
  build(lengths: Uint8Array, start: number, count: number): void {
    const { counts, symbols, fast, offsets } = this;
    counts.fill(0);
    for (let i = 0; i < count; i++) counts[lengths[start + i]!]!++;
    counts[0] = 0;
    for (let bits = 1, sum = 0; bits <= MAX_BITS; bits++) {
      offsets[bits] = sum;
      sum += counts[bits]!;
    }
    for (let i = 0; i < count; i++) {
      const length = lengths[start + i]!;
      if (length !== 0) symbols[offsets[length]!++] = i;
    }
    fast.fill(0);
    let first = 0;
    let index = 0;
    for (let bits = 1; bits <= FAST_BITS; bits++) {
      const size = 1 << bits;
      const length = counts[bits]!;
      for (let i = 0; i < length && first + i < size; i++) {
        const entry = (symbols[index + i]! << 4) | bits;
        for (let slot = reverse(first + i, bits); slot < FAST_SIZE; slot += size) fast[slot] = entry;
      }
      index += length;
      first = (first + length) << 1;
      if (first >= size << 1) break;
    }
  }
}

/** The low `bits` bits of `code` in opposite order: codes are sent from their high end. */
function reverse(code: number, bits: number): number {
  let reversed = 0;
  for (let i = 0; i < bits; i++) reversed |= ((code >> i) & 1) << (bits - 1 - i);
  return reversed;
}
