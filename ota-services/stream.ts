/**
 * Arduino's `Stream`, as far as the Updater reads it. Source: spec chapter 02 §6.4, chapter 04 §21.
 */
import type { Clock } from './ports.ts';

/** Default of `Stream::setTimeout`: the longest gap between two bytes, in milliseconds. */
export const STREAM_TIMEOUT_MS = 1000;

export interface Stream {
  /** Bytes that can be read without waiting. */
  available(): number;
  /** The next byte without taking it; −1 when nothing is available. */
  peek(): number;
  /**
   * Takes up to `length` bytes, waiting for each at most the stream's own timeout. Shorter than `length` (possibly
   * empty) only when such a gap was too long.
   */
  readBytes(length: number): Promise<Uint8Array>;
}

/** What {@link TimedStream} reads from: a TCP connection (ports.ts), a file, bytes in memory. */
export interface ByteSource {
  /** Bytes that can be read now. */
  available(): number;
  /** Takes up to `max` bytes, possibly none. */
  read(max: number): Uint8Array;
  /** Up to `max` bytes without taking them. */
  peek(max: number): Uint8Array;
  /** Resolves when something arrived, at the latest after `ms`. Without it the stream looks again every millisecond. */
  wait?(ms: number): Promise<void>;
  /** False when no more can arrive. */
  connected?(): boolean;
}

/** Waits for bytes as `Stream::timedRead` does: per byte, and without noticing that the peer is gone. */
export class TimedStream implements Stream {
  constructor(
    private readonly source: ByteSource,
    private readonly clock: Clock,
    private timeoutMs: number = STREAM_TIMEOUT_MS,
  ) {}

  setTimeout(ms: number): void {
    this.timeoutMs = ms;
  }

  available(): number {
    return this.source.available();
  }

  peek(): number {
    return this.source.peek(1)[0] ?? -1;
  }

  async readBytes(length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let count = 0;
    let gapStart = this.clock.millis();
    while (count < length) {
      const piece = this.source.read(length - count);
      if (piece.length > 0) {
        bytes.set(piece, count);
        count += piece.length;
        gapStart = this.clock.millis();
        continue;
      }
      // millis() is a 32-bit counter that wraps.
      const waited = (this.clock.millis() - gapStart) >>> 0;
      if (waited >= this.timeoutMs) break;
      await this.pause(this.timeoutMs - waited);
    }
    return bytes.subarray(0, count);
  }

  private async pause(ms: number): Promise<void> {
    // The wait of a closed connection may resolve at once, and nobody outside waits any more: let device time pass.
    if (this.source.connected?.() === false) await this.clock.delay(ms);
    else if (this.source.wait) await this.source.wait(ms);
    else await this.clock.delay(1);
  }
}

/** Bytes in memory, or of an open file, as a source that ends. */
export class BytesSource implements ByteSource {
  private position = 0;

  constructor(private readonly bytes: Uint8Array) {}

  available(): number {
    return this.bytes.length - this.position;
  }

  read(max: number): Uint8Array {
    const piece = this.peek(max);
    this.position += piece.length;
    return piece;
  }

  peek(max: number): Uint8Array {
    return this.bytes.subarray(this.position, this.position + max);
  }

  connected(): boolean {
    return this.available() > 0;
  }
}
