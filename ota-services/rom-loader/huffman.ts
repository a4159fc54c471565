/** Canonical Huffman codes of DEFLATE (RFC 1951 §3.2.2), unsound ones refused. */

export const MAX_BITS = 15;
/** Codes up to this length are found by one look into a table. */
const FAST_BITS = 9;
const FAST_SIZE = 1 << FAST_BITS;

/** The window ends inside the code. */
export const NEEDS_INPUT = -1;
/** No code begins with these bits. */
export const NO_CODE = -2;

export class HuffmanCode {
  private readonly counts = new Uint16Array(MAX_BITS + 1);
  private readonly symbols: Uint16Array;
  /** By the next bits: symbol << 4 | length, or 0 for a longer (or no) code. */
  private readonly fast = new Uint16Array(FAST_SIZE);
  private readonly offsets = new Uint16Array(MAX_BITS + 2);

  constructor(symbolLimit: number) {
    this.symbols = new Uint16Array(symbolLimit);
  }

  /**
   * Takes the code with these lengths of its symbols, 0 for a symbol without a code.
   *
   * @returns false for a set of lengths that is no code: over-subscribed, or incomplete with more than one symbol
   */
  build(lengths: Uint8Array, start: number, count: number): boolean {
    const { counts, symbols, fast, offsets } = this;
    counts.fill(0);
    for (let i = 0; i < count; i++) counts[lengths[start + i]!]!++;
    counts[0] = 0;
    let left = 1;
    let used = 0;
    for (let bits = 1; bits <= MAX_BITS; bits++) {
      offsets[bits] = used;
      used += counts[bits]!;
      left = 2 * left - counts[bits]!;
      if (left < 0) return false;
    }
    if (left > 0 && used > 1) return false;
    for (let i = 0; i < count; i++) {
      const length = lengths[start + i]!;
      if (length !== 0) symbols[offsets[length]!++] = i;
    }
    fast.fill(0);
    for (let bits = 1, code = 0, index = 0; bits <= FAST_BITS; bits++, code <<= 1) {
      for (let i = 0; i < counts[bits]!; i++, code++, index++) {
        const entry = (symbols[index]! << 4) | bits;
        for (let slot = reverse(code, bits); slot < FAST_SIZE; slot += 1 << bits) fast[slot] = entry;
      }
    }
    return true;
  }

  /**
   * The code at the low end of `hold`.
   *
   * @param held how many bits `hold` has
   * @returns symbol << 4 | length of its code, {@link NEEDS_INPUT} or {@link NO_CODE}
   */
  find(hold: number, held: number): number {
    const entry = this.fast[hold & (FAST_SIZE - 1)]!;
    if (entry === 0) return this.findLong(hold, held);
    return (entry & 15) > held ? NEEDS_INPUT : entry;
  }

  copyFrom(other: HuffmanCode): void {
    this.counts.set(other.counts);
    this.symbols.set(other.symbols);
    this.fast.set(other.fast);
  }

  private findLong(hold: number, held: number): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let bits = 1; bits <= MAX_BITS; bits++) {
      if (bits > held) return NEEDS_INPUT;
      code |= (hold >>> (bits - 1)) & 1;
      const count = this.counts[bits]!;
      if (code - first < count) return (this.symbols[index + code - first]! << 4) | bits;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return NO_CODE;
  }
}

/** The low `bits` bits of `code` in opposite order: codes are sent from their high end. */
function reverse(code: number, bits: number): number {
  let reversed = 0;
  for (let i = 0; i < bits; i++) reversed |= ((code >> i) & 1) << (bits - 1 - i);
  return reversed;
}
