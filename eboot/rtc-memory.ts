/**
 * RTC RAM: 1024 bytes that survive every reset but not a loss of power. Source: spec chapter 01 §6.2, §6.3.
 */
import type { Emit } from '../flash/ports.ts';
import { meaningOf } from './command.ts';
import type { BootEvent } from './events.ts';
import { RTC_BASE, RTC_BYTES, RTC_SYSTEM_OFFSET, RTC_USER_BYTES, RTC_USER_OFFSET } from './memory-map.ts';
import type { ResetCause } from './reset-cause.ts';

const BLOCK_BYTES = 4;
/** First block number of the user area, and the first that does not exist. */
const USER_BLOCK = 64;
const BLOCK_END = 192;

/**
 * Called around every word written to user memory: the place for faults. Either may throw an `Interruption`; when
 * `before` does, the word keeps its old value.
 */
export interface RtcGate {
  before?(offset: number, value: number): void;
  after?(offset: number, value: number): void;
}

export interface RtcMemoryOptions {
  /** Fills RAM as power-up leaves it: with noise. */
  readonly noise: (target: Uint8Array) => void;
  /** Flips some bits, as a brown-out does. Without it a brown-out keeps all. */
  readonly flipBits?: (target: Uint8Array) => void;
  readonly emit?: Emit<BootEvent>;
}

export class RtcMemory {
  private readonly bytes = new Uint8Array(RTC_BYTES);
  private readonly words = new DataView(this.bytes.buffer);
  /** Where faults strike; see {@link RtcGate}. */
  gate: RtcGate | undefined;

  /** Starts as after power-up. */
  constructor(private readonly options: RtcMemoryOptions) {
    options.noise(this.bytes);
  }

  /**
   * What this cause leaves of the memory. A loss of power is `power-on`; every other cause keeps it, a brown-out with
   * flipped bits.
   *
   * @returns whether it was kept
   */
  reset(cause: ResetCause): boolean {
    if (cause === 'power-on') {
      this.options.noise(this.bytes);
      return false;
    }
    if (cause === 'brown-out') this.options.flipBits?.(this.bytes);
    return true;
  }

  /**
   * A copy of user memory.
   *
   * @param offset byte offset, 0 to 511
   * @throws RangeError outside the 512 bytes
   */
  readUser(offset = 0, length = RTC_USER_BYTES - offset): Uint8Array {
    if (offset < 0 || length < 0 || offset + length > RTC_USER_BYTES) {
      throw new RangeError(`RTC user memory: ${length} bytes at ${offset} are not inside ${RTC_USER_BYTES}`);
    }
    return this.bytes.slice(RTC_USER_OFFSET + offset, RTC_USER_OFFSET + offset + length);
  }

  /** One word of user memory at byte `offset`, a multiple of 4; unsigned. */
  readUserWord(offset: number): number {
    return this.words.getUint32(RTC_USER_OFFSET + wordOffset(offset, RTC_USER_BYTES), true);
  }

  /** Stores one word of user memory: one operation, one event, one chance for a fault. */
  writeUserWord(offset: number, value: number): void {
    const at = RTC_USER_OFFSET + wordOffset(offset, RTC_USER_BYTES);
    const word = value >>> 0;
    this.gate?.before?.(offset, word);
    this.words.setUint32(at, word, true);
    const meaning = meaningOf(offset, word);
    const event = { type: 'rtc.write', offset, length: BLOCK_BYTES } as const;
    this.options.emit?.(meaning === undefined ? event : { ...event, meaning });
    this.gate?.after?.(offset, word);
  }

  /** One word of the SDK's system data (the `rst_info` record is at its start), byte `offset` 0 to 252. */
  readSystemWord(offset: number): number {
    return this.words.getUint32(RTC_SYSTEM_OFFSET + wordOffset(offset, RTC_USER_OFFSET - RTC_SYSTEM_OFFSET), true);
  }

  /** As the SDK does it: no event, no fault. */
  writeSystemWord(offset: number, value: number): void {
    this.words.setUint32(
      RTC_SYSTEM_OFFSET + wordOffset(offset, RTC_USER_OFFSET - RTC_SYSTEM_OFFSET),
      value >>> 0,
      true,
    );
  }

  /** A 32-bit load from the CPU, at an address of 0x60001000 to 0x600013FC; unsigned. */
  load(address: number): number {
    return this.words.getUint32(wordOffset(address - RTC_BASE, RTC_BYTES), true);
  }

  /**
   * A 32-bit store from the CPU, anywhere in 0x60001000 to 0x600013FF.
   *
   * @param address CPU address, a multiple of 4
   */
  store(address: number, value: number): void {
    const at = wordOffset(address - RTC_BASE, RTC_BYTES);
    if (at >= RTC_USER_OFFSET) this.writeUserWord(at - RTC_USER_OFFSET, value);
    else this.words.setUint32(at, value >>> 0, true);
  }

  /**
   * `ESP.rtcUserMemoryRead`.
   *
   * @param offset in 4-byte blocks; 32-bit arithmetic, so 0x40000000 is 0 again
   * @param target the caller's buffer; up to 3 bytes after `size` are overwritten when it has them
   * @param size bytes to read; rounded up to whole words
   * @param aligned whether the caller's pointer is 4-byte aligned
   * @returns false when the core or the SDK refuses
   */
  rtcUserMemoryRead(offset: number, target: Uint8Array, size = target.length, aligned = true): boolean {
    const at = sdkOffset(offset, size, aligned);
    if (at === undefined) return false;
    const length = Math.min(roundUp(size), target.length);
    target.set(this.bytes.subarray(at, at + length));
    return true;
  }

  /**
   * `ESP.rtcUserMemoryWrite`, word by word. Parameters as for the read; bytes that `data` does not have are written as 0
   * (the real call takes what lies behind the caller's buffer).
   */
  rtcUserMemoryWrite(offset: number, data: Uint8Array, size = data.length, aligned = true): boolean {
    const at = sdkOffset(offset, size, aligned);
    if (at === undefined) return false;
    for (let i = 0; i < size; i += BLOCK_BYTES) {
      const byte = (n: number): number => data[i + n] ?? 0;
      this.store(RTC_BASE + at + i, byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24));
    }
    return true;
  }

  /** All 1024 bytes, to be given back to {@link RtcMemory.restore}. */
  snapshot(): Uint8Array {
    return this.bytes.slice();
  }

  restore(snapshot: Uint8Array): void {
    if (snapshot.length !== RTC_BYTES)
      throw new RangeError(`RTC snapshot of ${snapshot.length} bytes: ${RTC_BYTES} wanted`);
    this.bytes.set(snapshot);
  }
}

const roundUp = (size: number): number => (size + BLOCK_BYTES - 1) & ~(BLOCK_BYTES - 1);

function wordOffset(offset: number, size: number): number {
  if (!Number.isInteger(offset) || offset < 0 || offset > size - BLOCK_BYTES || offset % BLOCK_BYTES !== 0) {
    throw new RangeError(`RTC word at offset ${offset}: a multiple of 4 below ${size} wanted`);
  }
  return offset;
}

/** Byte offset in RTC RAM that a user call reaches, or undefined when it is refused. Source: spec chapter 01 §6.2. */
function sdkOffset(offset: number, size: number, aligned: boolean): number | undefined {
  if (size === 0 || (Math.imul(offset, BLOCK_BYTES) + size) >>> 0 > RTC_USER_BYTES) return undefined;
  const block = (USER_BLOCK + offset) & 0xff;
  if (block >= BLOCK_END || !aligned) return undefined;
  // Block 0 of the SDK is RTC RAM offset 0x100: the first quarter is out of its reach.
  if (block * BLOCK_BYTES + size > BLOCK_END * BLOCK_BYTES) return undefined;
  return RTC_SYSTEM_OFFSET + block * BLOCK_BYTES;
}
