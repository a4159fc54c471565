/** The core's `MD5Builder` over the ROM's MD5. Source: spec chapter 02 §10 (MD5Builder.h). */
import type { Md5 } from './ports.ts';
import type { Stream } from './stream.ts';

/** Size of the pieces `addStream` reads. */
const STREAM_PIECE_BYTES = 512;
export const MD5_BYTES = 16;

/** The part of `System` that tells whether the heap has room; without it every allocation succeeds. */
export interface Heap {
  allocate(bytes: number): boolean;
  release(bytes: number): void;
}

const ROOMY_HEAP: Heap = { allocate: () => true, release: () => {} };

export class Md5Builder {
  private readonly result = new Uint8Array(MD5_BYTES);
  private computation: Md5 | undefined;

  /**
   * @param start starts one MD5 computation
   * @param heap where `addHexString` and `addStream` take their buffers from
   */
  constructor(
    private readonly start: () => Md5,
    private readonly heap: Heap = ROOMY_HEAP,
  ) {}

  /** Zeroes the result and starts a computation. */
  begin(): void {
    this.result.fill(0);
    this.computation = this.start();
  }

  /**
   * Adds bytes, or a text in UTF-8 without its terminator. The core's length is 16 bits wide: of 65536 or more bytes only
   * the first `length % 65536` count. Without a {@link Md5Builder.begin} (or after `calculate`) nothing is added; the
   * device would hash on from whatever is in memory.
   */
  add(data: Uint8Array | string): void {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    this.computation?.update(bytes.subarray(0, bytes.length & 0xffff));
  }

  /** Adds the bytes that pairs of hex digits stand for. Anything else counts as 0; an odd last character is dropped. */
  addHexString(text: string): void {
    const length = text.length >> 1;
    if (!this.heap.allocate(length)) return;
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = (hexDigit(text, 2 * i) << 4) | hexDigit(text, 2 * i + 1);
    this.add(bytes);
    this.heap.release(length);
  }

  /**
   * Adds what the stream has at this instant, at most `maxLength` bytes.
   * @returns false only when a read returned nothing although bytes were announced, or without memory
   */
  async addStream(stream: Stream, maxLength: number): Promise<boolean> {
    if (!this.heap.allocate(STREAM_PIECE_BYTES)) return false;
    try {
      let left = maxLength;
      for (let available = stream.available(); available > 0 && left > 0; available = stream.available()) {
        const piece = await stream.readBytes(Math.min(available, left, STREAM_PIECE_BYTES));
        if (piece.length < 1) return false;
        this.add(piece);
        left -= piece.length;
      }
      return true;
    } finally {
      this.heap.release(STREAM_PIECE_BYTES);
    }
  }

  /** Finishes the computation. A second call keeps the result. */
  calculate(): void {
    if (!this.computation) return;
    this.result.set(this.computation.digest());
    this.computation = undefined;
  }

  /** A copy of the 16 result bytes; zeros before {@link Md5Builder.calculate}. */
  getBytes(): Uint8Array {
    return this.result.slice();
  }

  /** The result as 32 lower-case hex characters; `getChars` of the core gives the same. */
  toString(): string {
    return Array.from(this.result, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
}

function hexDigit(text: string, index: number): number {
  const digit = text[index] ?? '';
  return /^[0-9a-fA-F]$/.test(digit) ? Number.parseInt(digit, 16) : 0;
}
