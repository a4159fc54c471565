/**
 * Zlib streams (RFC 1950, 1951) as the flasher stub unpacks them: resumable at every byte of input, with a window of
 * 32 KiB that is output buffer and dictionary in one, and no other memory.
 *
 * eboot unpacks too, but with the few checks of its own small library; this one is strict, since the stub reports every
 * unsound stream (spec chapter 05 §9, C7), and it can be put back to an earlier state for a block that comes again.
 */
import { HuffmanCode, NEEDS_INPUT, NO_CODE } from './huffman.ts';

export const WINDOW_BYTES = 32768;
const WINDOW_MASK = WINDOW_BYTES - 1;

/** All input is used up. */
export const INFLATE_NEEDS_INPUT = 0;
/** The window is full: {@link ZlibInflate.take} its content, then go on. */
export const INFLATE_FULL = 1;
/** The stream has ended, and its checksum was right. */
export const INFLATE_DONE = 2;
/** This is no zlib stream. It stays so. */
export const INFLATE_ERROR = 3;

/** Go on with the next state. */
const CONTINUE = 4;

// What comes next.
const ZLIB_HEADER = 0;
const BLOCK_HEADER = 1;
const STORED_LENGTH = 2;
const STORED_DATA = 3;
const TABLE_SIZES = 4;
const TABLE_CODE_LENGTHS = 5;
const TABLE_LENGTHS = 6;
const SYMBOL = 7;
const DISTANCE = 8;
const DISTANCE_EXTRA = 9;
const MATCH = 10;
const TRAILER = 11;
const DONE = 12;
const FAILED = 13;

const LITERAL_SYMBOLS = 288;
const DISTANCE_SYMBOLS = 32;
const END_OF_BLOCK = 256;
const ADLER_MODULUS = 65521;
/** So many bytes can be added up before the sums leave 32 bits (RFC 1950 §9). */
const ADLER_RUN = 3800;

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

export class ZlibInflate {
  private state = ZLIB_HEADER;
  private input: Uint8Array = new Uint8Array(0);
  private position = 0;
  /** Bits taken from the input but not yet used. */
  private hold = 0;
  private held = 0;
  private finalBlock = 0;
  /** Bytes left of a stored block or of a match. */
  private remaining = 0;
  private distance = 0;
  private distanceSymbol = 0;
  private literalCount = 0;
  private distanceCount = 0;
  private codeLengthCount = 0;
  private index = 0;
  /** Low and high half of the Adler-32 of what was taken. */
  private sum = 1;
  private sumOfSums = 0;
  private readonly window = new Uint8Array(WINDOW_BYTES);
  /** Output is at `start` … `end` of the window. */
  private start = 0;
  private end = 0;
  /** Bytes put out by now, up to the window's size: no distance reaches further back. */
  private history = 0;
  private readonly lengths = new Uint8Array(LITERAL_SYMBOLS + DISTANCE_SYMBOLS);
  private readonly literals = new HuffmanCode(LITERAL_SYMBOLS);
  private readonly distances = new HuffmanCode(DISTANCE_SYMBOLS);

  /** Starts a new stream. */
  reset(): void {
    this.state = ZLIB_HEADER;
    this.input = new Uint8Array(0);
    this.position = 0;
    this.hold = 0;
    this.held = 0;
    this.sum = 1;
    this.sumOfSums = 0;
    this.start = 0;
    this.end = 0;
    this.history = 0;
  }

  /** Takes over the state of another one, so that either can go on. */
  copyFrom(other: ZlibInflate): void {
    this.state = other.state;
    this.input = other.input;
    this.position = other.position;
    this.hold = other.hold;
    this.held = other.held;
    this.finalBlock = other.finalBlock;
    this.remaining = other.remaining;
    this.distance = other.distance;
    this.distanceSymbol = other.distanceSymbol;
    this.literalCount = other.literalCount;
    this.distanceCount = other.distanceCount;
    this.codeLengthCount = other.codeLengthCount;
    this.index = other.index;
    this.sum = other.sum;
    this.sumOfSums = other.sumOfSums;
    this.start = other.start;
    this.end = other.end;
    this.history = other.history;
    this.window.set(other.window);
    this.lengths.set(other.lengths);
    this.literals.copyFrom(other.literals);
    this.distances.copyFrom(other.distances);
  }

  /** The next bytes of the stream; those before must be used up. Not copied: they must stay until they are used up too. */
  feed(input: Uint8Array): void {
    this.input = input;
    this.position = 0;
  }

  /** Input bytes not looked at; after the end of the stream, what does not belong to it. */
  get unused(): number {
    return this.input.length - this.position + (this.held >> 3);
  }

  /** How many bytes {@link ZlibInflate.take} would give. */
  get available(): number {
    return this.end - this.start;
  }

  /** The output since the last call: a view of the window, good until the next {@link ZlibInflate.run}. */
  take(): Uint8Array {
    const output = this.window.subarray(this.start, this.end);
    this.addToSum(output);
    this.start = this.end & WINDOW_MASK;
    this.end = this.start;
    return output;
  }

  /** Unpacks until something must be done; one of the INFLATE_ values. */
  run(): number {
    for (;;) {
      const status = this.step();
      if (status === INFLATE_ERROR) this.state = FAILED;
      if (status !== CONTINUE) return status;
    }
  }

  private step(): number {
    switch (this.state) {
      case ZLIB_HEADER:
        return this.zlibHeader();
      case BLOCK_HEADER:
        return this.blockHeader();
      case STORED_LENGTH:
        return this.storedLength();
      case STORED_DATA:
        return this.storedData();
      case TABLE_SIZES:
        return this.tableSizes();
      case TABLE_CODE_LENGTHS:
        return this.tableCodeLengths();
      case TABLE_LENGTHS:
        return this.tableLengths();
      case TRAILER:
        return this.trailer();
      case DONE:
        return INFLATE_DONE;
      case FAILED:
        return INFLATE_ERROR;
      default:
        return this.symbols();
    }
  }

  /** Makes `bits` bits available in `hold`, at most 25; false when the input ends first. */
  private need(bits: number): boolean {
    while (this.held < bits) {
      if (this.position === this.input.length) return false;
      this.hold |= this.input[this.position++]! << this.held;
      this.held += 8;
    }
    return true;
  }

  private bits(count: number): number {
    const value = this.hold & ((1 << count) - 1);
    this.hold >>>= count;
    this.held -= count;
    return value;
  }

  /** RFC 1950 §2.2: deflate, a window up to 32 KiB, the check bits right, no preset dictionary. */
  private zlibHeader(): number {
    if (!this.need(16)) return INFLATE_NEEDS_INPUT;
    const method = this.bits(8);
    const flags = this.bits(8);
    const sound = (method & 0x0f) === 8 && method >> 4 <= 7 && ((method << 8) | flags) % 31 === 0;
    if (!sound || (flags & 0x20) !== 0) return INFLATE_ERROR;
    this.state = BLOCK_HEADER;
    return CONTINUE;
  }

  private blockHeader(): number {
    if (!this.need(3)) return INFLATE_NEEDS_INPUT;
    this.finalBlock = this.bits(1);
    const type = this.bits(2);
    if (type === 3) return INFLATE_ERROR;
    if (type === 0) this.state = STORED_LENGTH;
    else if (type === 2) this.state = TABLE_SIZES;
    else {
      this.fixedCodes();
      this.state = SYMBOL;
    }
    return CONTINUE;
  }

  private fixedCodes(): void {
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
    if ((this.held & 7) !== 0) this.bits(this.held & 7);
    if (!this.hasFourBytes()) return INFLATE_NEEDS_INPUT;
    const length = this.nextByte() | (this.nextByte() << 8);
    const complement = this.nextByte() | (this.nextByte() << 8);
    if (length !== (~complement & 0xffff)) return INFLATE_ERROR;
    this.remaining = length;
    this.state = STORED_DATA;
    return CONTINUE;
  }

  /** Whether {@link ZlibInflate.nextByte} can be called four times; if not, what there is moves to `hold`. */
  private hasFourBytes(): boolean {
    if (this.held + 8 * (this.input.length - this.position) >= 32) return true;
    while (this.position < this.input.length) {
      this.hold |= this.input[this.position++]! << this.held;
      this.held += 8;
    }
    return false;
  }

  /** A byte that is known to be there, at a byte boundary. */
  private nextByte(): number {
    return this.held >= 8 ? this.bits(8) : this.input[this.position++]!;
  }

  private storedData(): number {
    while (this.remaining > 0) {
      if (this.end === WINDOW_BYTES) return INFLATE_FULL;
      if (this.held > 0) {
        this.window[this.end] = this.bits(8);
        this.wrote(1);
        continue;
      }
      const room = Math.min(this.remaining, WINDOW_BYTES - this.end);
      const count = Math.min(room, this.input.length - this.position);
      if (count === 0) return INFLATE_NEEDS_INPUT;
      this.window.set(this.input.subarray(this.position, this.position + count), this.end);
      this.position += count;
      this.wrote(count);
    }
    return this.blockEnd();
  }

  private wrote(count: number): void {
    this.remaining -= count;
    this.end += count;
    this.history = Math.min(WINDOW_BYTES, this.history + count);
  }

  private blockEnd(): number {
    this.state = this.finalBlock ? TRAILER : BLOCK_HEADER;
    return CONTINUE;
  }

  private tableSizes(): number {
    if (!this.need(14)) return INFLATE_NEEDS_INPUT;
    this.literalCount = this.bits(5) + 257;
    this.distanceCount = this.bits(5) + 1;
    this.codeLengthCount = this.bits(4) + 4;
    this.lengths.fill(0, 0, CODE_LENGTH_ORDER.length);
    this.index = 0;
    this.state = TABLE_CODE_LENGTHS;
    return CONTINUE;
  }

  private tableCodeLengths(): number {
    while (this.index < this.codeLengthCount) {
      if (!this.need(3)) return INFLATE_NEEDS_INPUT;
      this.lengths[CODE_LENGTH_ORDER[this.index++]!] = this.bits(3);
    }
    if (!this.literals.build(this.lengths, 0, CODE_LENGTH_ORDER.length)) return INFLATE_ERROR;
    this.index = 0;
    this.state = TABLE_LENGTHS;
    return CONTINUE;
  }

  private tableLengths(): number {
    const { lengths } = this;
    const total = this.literalCount + this.distanceCount;
    while (this.index < total) {
      const found = this.find(this.literals);
      if (found < 0) return found === NO_CODE ? INFLATE_ERROR : INFLATE_NEEDS_INPUT;
      const symbol = found >> 4;
      const bits = found & 15;
      if (symbol < 16) {
        this.bits(bits);
        lengths[this.index++] = symbol;
        continue;
      }
      const extra = symbol === 16 ? 2 : symbol === 17 ? 3 : 7;
      if (!this.need(bits + extra)) return INFLATE_NEEDS_INPUT;
      this.bits(bits);
      const repeat = this.bits(extra) + (symbol === 18 ? 11 : 3);
      if (symbol === 16 && this.index === 0) return INFLATE_ERROR;
      if (this.index + repeat > total) return INFLATE_ERROR;
      lengths.fill(symbol === 16 ? lengths[this.index - 1]! : 0, this.index, this.index + repeat);
      this.index += repeat;
    }
    if (!this.literals.build(lengths, 0, this.literalCount)) return INFLATE_ERROR;
    if (!this.distances.build(lengths, this.literalCount, this.distanceCount)) return INFLATE_ERROR;
    this.state = SYMBOL;
    return CONTINUE;
  }

  /** Fills `hold` as far as the input goes, and looks for a code. */
  private find(code: HuffmanCode): number {
    while (this.held <= 16 && this.position < this.input.length) {
      this.hold |= this.input[this.position++]! << this.held;
      this.held += 8;
    }
    return code.find(this.hold, this.held);
  }

  /** Literals and matches, until the window is full, the block ends or the input does. */
  private symbols(): number {
    const { window } = this;
    for (;;) {
      if (this.state === SYMBOL) {
        if (this.end === WINDOW_BYTES) return INFLATE_FULL;
        const found = this.find(this.literals);
        if (found < 0) return found === NEEDS_INPUT ? INFLATE_NEEDS_INPUT : INFLATE_ERROR;
        const symbol = found >> 4;
        if (symbol < END_OF_BLOCK) {
          this.bits(found & 15);
          window[this.end++] = symbol;
          if (this.history < WINDOW_BYTES) this.history++;
          continue;
        }
        if (symbol === END_OF_BLOCK) {
          this.bits(found & 15);
          return this.blockEnd();
        }
        const code = symbol - END_OF_BLOCK - 1;
        if (code >= LENGTH_BASE.length) return INFLATE_ERROR;
        const extra = LENGTH_EXTRA[code]!;
        if (!this.need((found & 15) + extra)) return INFLATE_NEEDS_INPUT;
        this.bits(found & 15);
        this.remaining = LENGTH_BASE[code]! + this.bits(extra);
        this.state = DISTANCE;
      }
      if (this.state === DISTANCE) {
        const found = this.find(this.distances);
        if (found < 0) return found === NEEDS_INPUT ? INFLATE_NEEDS_INPUT : INFLATE_ERROR;
        if (found >> 4 >= DISTANCE_BASE.length) return INFLATE_ERROR;
        this.bits(found & 15);
        this.distanceSymbol = found >> 4;
        this.state = DISTANCE_EXTRA;
      }
      if (this.state === DISTANCE_EXTRA) {
        const extra = DISTANCE_EXTRA_BITS[this.distanceSymbol]!;
        if (!this.need(extra)) return INFLATE_NEEDS_INPUT;
        this.distance = DISTANCE_BASE[this.distanceSymbol]! + this.bits(extra);
        if (this.distance > this.history) return INFLATE_ERROR;
        this.state = MATCH;
      }
      const count = Math.min(this.remaining, WINDOW_BYTES - this.end);
      let from = (this.end - this.distance) & WINDOW_MASK;
      for (let to = this.end; to < this.end + count; to++) {
        window[to] = window[from]!;
        from = (from + 1) & WINDOW_MASK;
      }
      this.wrote(count);
      if (this.remaining > 0) return INFLATE_FULL;
      this.state = SYMBOL;
    }
  }

  /** The Adler-32 of all output, high byte first. What was not taken yet counts too. */
  private trailer(): number {
    if ((this.held & 7) !== 0) this.bits(this.held & 7);
    if (!this.hasFourBytes()) return INFLATE_NEEDS_INPUT;
    let expected = 0;
    for (let i = 0; i < 4; i++) expected = (expected << 8) | this.nextByte();
    const { sum, sumOfSums } = this;
    this.addToSum(this.window.subarray(this.start, this.end));
    const actual = (this.sumOfSums << 16) | this.sum;
    this.sum = sum;
    this.sumOfSums = sumOfSums;
    if ((expected | 0) !== (actual | 0)) return INFLATE_ERROR;
    this.state = DONE;
    return INFLATE_DONE;
  }

  private addToSum(bytes: Uint8Array): void {
    let { sum, sumOfSums } = this;
    for (let done = 0; done < bytes.length; ) {
      for (const stop = Math.min(bytes.length, done + ADLER_RUN); done < stop; done++) {
        sum += bytes[done]!;
        sumOfSums += sum;
      }
      sum %= ADLER_MODULUS;
      sumOfSums %= ADLER_MODULUS;
    }
    this.sum = sum;
    this.sumOfSums = sumOfSums;
  }
}
