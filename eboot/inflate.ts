/**
 * DEFLATE (RFC 1951) as eboot unpacks it: resumable at every byte of input and output, with a 32 KiB ring for the latest
 * output, and with the checks that its build of uzlib makes and no others. Source: spec chapter 01 §10.
 *
 * Input arrives in windows of 4096 bytes that the caller refills. A window is asked for when the next bit is needed and
 * not before, because on the device the copy may have overwritten the source by then.
 *
 * Only numbers and typed arrays, so that the same text can become a WASM kernel.
 */

import { DISTANCE_SYMBOLS, FAST_MASK, HuffmanTree, LITERAL_SYMBOLS, MAX_BITS } from './huffman.ts';

export const INPUT_BYTES = 4096;
export const DICTIONARY_BYTES = 32768;
const DICTIONARY_MASK = DICTIONARY_BYTES - 1;

/** The wanted number of bytes was produced. */
export const INFLATE_OK = 0;
/** The final block ended before that; another call goes on in the mode it ended in. */
export const INFLATE_DONE = 1;
/** The window is used up: refill it, call {@link Inflate.refilled}, run again. */
export const INFLATE_NEED_INPUT = 2;
export const INFLATE_DATA_ERROR = -3;

// Where to go on. `HEADER`: at a block header.
const HEADER = 0;
const STORED_LENGTH = 1;
const STORED_DATA = 2;
const TREE_SIZES = 3;
const TREE_CODE_LENGTHS = 4;
const TREE_LENGTHS = 5;
const SYMBOL = 6;
const DISTANCE = 7;
const DISTANCE_EXTRA = 8;
const MATCH = 9;

/** An undecodable code costs one bit more than the longest code. */
const UNDECODABLE_BITS = 16;
/** The error value that nobody checks: it serves as literal (0xFD) or as table index. */
const UNDECODABLE = -3;
const END_OF_BLOCK = 256;

/** Order in which code length codes are sent. Source: RFC 1951 §3.2.7. */
const CODE_LENGTH_ORDER = Uint8Array.of(16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15);
/** Source: RFC 1951 §3.2.5. */
const LENGTH_BASE = Uint16Array.of(
  ...[
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
  ],
);
const LENGTH_EXTRA = Uint8Array.of(
  ...[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0],
);
const DISTANCE_BASE = new Uint16Array(30);
const DISTANCE_EXTRA_BITS = new Uint8Array(30);
for (let symbol = 0, base = 1; symbol < 30; symbol++) {
  DISTANCE_EXTRA_BITS[symbol] = symbol < 2 ? 0 : (symbol >> 1) - 1;
  DISTANCE_BASE[symbol] = base;
  base += 1 << DISTANCE_EXTRA_BITS[symbol]!;
}

/** What the unchecked error value finds as a table index: a distance of `base` plus the next `extraBits` bits. */
export interface UndecodableDistance {
  readonly base: number;
  readonly extraBits: number;
}

export class Inflate {
  /** Read position in the input window; {@link INPUT_BYTES} when it is used up. */
  position = INPUT_BYTES;
  /** Bits taken from the window but not yet used. */
  private hold = 0;
  private held = 0;
  private state = HEADER;
  private finalBlock = 0;
  private blockType = 0;
  /** Bytes left of a stored block or of a match. */
  private remaining = 0;
  /** Where in the ring a match reads, and where output goes. */
  private source = 0;
  private ring = 0;
  private distanceSymbol = 0;
  private literalCount = 0;
  private distanceCount = 0;
  private codeLengthCount = 0;
  private index = 0;
  private readonly lengths = new Uint8Array(LITERAL_SYMBOLS + DISTANCE_SYMBOLS);
  private readonly literals = new HuffmanTree();
  private readonly distances = new HuffmanTree();
  /** Length of the code that {@link Inflate.decode} found. */
  private codeBits = 0;
  private output: Uint8Array = new Uint8Array(0);
  private produced = 0;
  private limit = 0;

  /**
   * @param input the window, {@link INPUT_BYTES} long; the caller fills it
   * @param dictionary the ring, {@link DICTIONARY_BYTES} long; never cleared, so distances that point before the start of
   *   the output find what RAM held
   */
  constructor(
    readonly input: Uint8Array,
    private readonly dictionary: Uint8Array,
    private readonly undecodable: UndecodableDistance = { base: 227, extraBits: 5 },
  ) {
    if (input.length !== INPUT_BYTES)
      throw new RangeError(`input window of ${input.length} bytes: ${INPUT_BYTES} wanted`);
    if (dictionary.length !== DICTIONARY_BYTES) {
      throw new RangeError(`dictionary of ${dictionary.length} bytes: ${DICTIONARY_BYTES} wanted`);
    }
  }

  /** Starts a new stream at the next byte of input. The ring keeps its content. */
  reset(): void {
    this.hold = 0;
    this.held = 0;
    this.state = HEADER;
    this.finalBlock = 0;
    this.ring = 0;
  }

  /** The window holds the next bytes. */
  refilled(): void {
    this.position = 0;
  }

  /** Sets the goal of the next runs: the first `limit` bytes of `output`. What a run does not reach keeps its content. */
  begin(output: Uint8Array, limit: number): void {
    this.output = output;
    this.produced = 0;
    this.limit = limit;
  }

  /** Unpacks until the goal is reached or something else happens; one of the INFLATE_ values. */
  run(): number {
    for (;;) {
      let status: number;
      switch (this.state) {
        case HEADER:
          status = this.blockHeader();
          break;
        case STORED_LENGTH:
          status = this.storedLength();
          break;
        case STORED_DATA:
          status = this.storedData();
          break;
        case TREE_SIZES:
          status = this.treeSizes();
          break;
        case TREE_CODE_LENGTHS:
          status = this.treeCodeLengths();
          break;
        case TREE_LENGTHS:
          status = this.treeLengths();
          break;
        default:
          status = this.symbols();
      }
      if (status === INFLATE_DONE) {
        if (this.finalBlock !== 0) return status;
        this.state = HEADER;
      } else if (status !== CONTINUE) return status;
    }
  }

  /** Makes `bits` bits available in `hold`; false when the window ends first. At most 25, or 32 when byte-aligned. */
  private need(bits: number): boolean {
    while (this.held < bits) {
      if (this.position === INPUT_BYTES) return false;
      this.hold |= this.input[this.position++]! << this.held;
      this.held += 8;
    }
    return true;
  }

  private take(bits: number): number {
    const value = this.hold & ((1 << bits) - 1);
    this.hold >>>= bits;
    this.held -= bits;
    return value;
  }

  private blockHeader(): number {
    if (!this.need(3)) return INFLATE_NEED_INPUT;
    this.finalBlock = this.take(1);
    this.blockType = this.take(2);
    if (this.blockType === 0) this.state = STORED_LENGTH;
    else if (this.blockType === 1) {
      this.fixedTrees();
      this.state = SYMBOL;
    } else if (this.blockType === 2) this.state = TREE_SIZES;
    else return INFLATE_DATA_ERROR;
    return CONTINUE;
  }

  private fixedTrees(): void {
    const { lengths } = this;
    lengths.fill(8, 0, 144);
    lengths.fill(9, 144, 256);
    lengths.fill(7, 256, 280);
    lengths.fill(8, 280, LITERAL_SYMBOLS);
    lengths.fill(5, LITERAL_SYMBOLS);
    this.literals.build(lengths, 0, LITERAL_SYMBOLS);
    this.distances.build(lengths, LITERAL_SYMBOLS, DISTANCE_SYMBOLS);
  }

  private storedLength(): number {
    if ((this.held & 7) !== 0) this.take(this.held & 7);
    if (!this.need(32)) return INFLATE_NEED_INPUT;
    const length = this.hold & 0xffff;
    const complement = this.hold >>> 16;
    this.hold = 0;
    this.held = 0;
    if (length !== (~complement & 0xffff)) return INFLATE_DATA_ERROR;
    this.remaining = length;
    this.state = STORED_DATA;
    return CONTINUE;
  }

  private storedData(): number {
    const { output, input, dictionary } = this;
    while (this.remaining > 0) {
      if (this.produced === this.limit) return INFLATE_OK;
      const room = Math.min(this.limit - this.produced, INPUT_BYTES - this.position);
      const count = Math.min(this.remaining, room);
      if (count === 0) return INFLATE_NEED_INPUT;
      for (let i = 0; i < count; i++) {
        const byte = input[this.position + i]!;
        output[this.produced + i] = byte;
        dictionary[(this.ring + i) & DICTIONARY_MASK] = byte;
      }
      this.position += count;
      this.produced += count;
      this.remaining -= count;
      this.ring = (this.ring + count) & DICTIONARY_MASK;
    }
    if (this.produced === this.limit) return INFLATE_OK;
    // After the final block a further length is expected: eboot goes on "in the mode it ended in".
    this.state = STORED_LENGTH;
    return INFLATE_DONE;
  }

  private treeSizes(): number {
    if (!this.need(14)) return INFLATE_NEED_INPUT;
    this.literalCount = this.take(5) + 257;
    this.distanceCount = this.take(5) + 1;
    this.codeLengthCount = this.take(4) + 4;
    this.lengths.fill(0, 0, CODE_LENGTH_ORDER.length);
    this.index = 0;
    this.state = TREE_CODE_LENGTHS;
    return CONTINUE;
  }

  private treeCodeLengths(): number {
    while (this.index < this.codeLengthCount) {
      if (!this.need(3)) return INFLATE_NEED_INPUT;
      this.lengths[CODE_LENGTH_ORDER[this.index++]!] = this.take(3);
    }
    this.literals.build(this.lengths, 0, CODE_LENGTH_ORDER.length);
    this.index = 0;
    this.state = TREE_LENGTHS;
    return CONTINUE;
  }

  private treeLengths(): number {
    const { lengths } = this;
    const total = this.literalCount + this.distanceCount;
    while (this.index < total) {
      const symbol = this.decode(this.literals);
      if (symbol === NEED) return INFLATE_NEED_INPUT;
      if (symbol < 0) return INFLATE_DATA_ERROR;
      if (symbol < 16) {
        this.take(this.codeBits);
        lengths[this.index++] = symbol;
        continue;
      }
      const extra = symbol === 16 ? 2 : symbol === 17 ? 3 : 7;
      if (!this.need(this.codeBits + extra)) return INFLATE_NEED_INPUT;
      this.take(this.codeBits);
      const repeat = this.take(extra) + (symbol === 18 ? 11 : 3);
      if (symbol === 16 && this.index === 0) return INFLATE_DATA_ERROR;
      if (this.index + repeat > total) return INFLATE_DATA_ERROR;
      lengths.fill(symbol === 16 ? lengths[this.index - 1]! : 0, this.index, this.index + repeat);
      this.index += repeat;
    }
    this.literals.build(lengths, 0, this.literalCount);
    this.distances.build(lengths, this.literalCount, this.distanceCount);
    this.state = SYMBOL;
    return CONTINUE;
  }

  /**
   * Finds the code at the front of the input without taking it; its length is in `codeBits`.
   *
   * @returns the symbol, UNDECODABLE when 16 bits are no code, or NEED when the window ends inside the code
   */
  private decode(tree: HuffmanTree): number {
    while (this.held <= 16 && this.position < INPUT_BYTES) {
      this.hold |= this.input[this.position++]! << this.held;
      this.held += 8;
    }
    const entry = tree.fast[this.hold & FAST_MASK]!;
    if (entry !== 0) {
      this.codeBits = entry & 15;
      return this.codeBits > this.held ? NEED : entry >> 4;
    }
    return this.decodeLong(tree);
  }

  private decodeLong(tree: HuffmanTree): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let bits = 1; bits <= MAX_BITS; bits++) {
      if (bits > this.held) return NEED;
      code |= (this.hold >>> (bits - 1)) & 1;
      const count = tree.counts[bits]!;
      if (code - first < count) {
        this.codeBits = bits;
        return tree.symbols[index + code - first]!;
      }
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    if (this.held < UNDECODABLE_BITS) return NEED;
    this.codeBits = UNDECODABLE_BITS;
    return UNDECODABLE;
  }

  /** Literals and matches, until the goal, the end of the block or the end of the window. */
  private symbols(): number {
    const { output, dictionary } = this;
    for (;;) {
      if (this.state === MATCH) {
        const count = Math.min(this.remaining, this.limit - this.produced);
        let from = this.source;
        let to = this.ring;
        let at = this.produced;
        for (const end = at + count; at < end; at++) {
          const byte = dictionary[from]!;
          from = (from + 1) & DICTIONARY_MASK;
          output[at] = byte;
          dictionary[to] = byte;
          to = (to + 1) & DICTIONARY_MASK;
        }
        this.source = from;
        this.ring = to;
        this.produced = at;
        this.remaining -= count;
        if (this.remaining === 0) this.state = SYMBOL;
      }
      if (this.produced === this.limit) return INFLATE_OK;
      if (this.state === SYMBOL) {
        const symbol = this.decode(this.literals);
        if (symbol === NEED) return INFLATE_NEED_INPUT;
        if (symbol < END_OF_BLOCK) {
          this.take(this.codeBits);
          output[this.produced++] = symbol;
          dictionary[this.ring] = symbol;
          this.ring = (this.ring + 1) & DICTIONARY_MASK;
          continue;
        }
        if (symbol === END_OF_BLOCK) {
          this.take(this.codeBits);
          return INFLATE_DONE;
        }
        const code = symbol - END_OF_BLOCK - 1;
        if (code >= LENGTH_BASE.length) return INFLATE_DATA_ERROR;
        const extra = LENGTH_EXTRA[code]!;
        if (!this.need(this.codeBits + extra)) return INFLATE_NEED_INPUT;
        this.take(this.codeBits);
        this.remaining = LENGTH_BASE[code]! + this.take(extra);
        this.state = DISTANCE;
      }
      if (this.state === DISTANCE) {
        const symbol = this.decode(this.distances);
        if (symbol === NEED) return INFLATE_NEED_INPUT;
        if (symbol >= DISTANCE_BASE.length) return INFLATE_DATA_ERROR;
        this.take(this.codeBits);
        this.distanceSymbol = symbol;
        this.state = DISTANCE_EXTRA;
      }
      // DISTANCE_EXTRA. No distance exceeds the ring, so there is nothing to check.
      const undecodable = this.distanceSymbol < 0;
      const extra = undecodable ? this.undecodable.extraBits : DISTANCE_EXTRA_BITS[this.distanceSymbol]!;
      if (!this.need(extra)) return INFLATE_NEED_INPUT;
      const base = undecodable ? this.undecodable.base : DISTANCE_BASE[this.distanceSymbol]!;
      this.source = (this.ring - base - this.take(extra)) & DICTIONARY_MASK;
      this.state = MATCH;
    }
  }
}

/** A part of the work is done, go on with the next. */
const CONTINUE = 3;
/** From {@link Inflate.decode}: the window ends inside the code. */
const NEED = -1;
