/** RTC memory of one branch of a sweep: the 1024 bytes, the eboot command in them, and how chance goes on. */
import { type CommandRecord, decodeCommand, isValidCommand } from '../../eboot/command.ts';
import type { Era } from '../../eboot/eras.ts';
import { RTC_BASE, RTC_BYTES, RTC_USER_OFFSET } from '../../eboot/memory-map.ts';
import { flipSomeBits } from '../brown-out.ts';
import { SeededRandom } from '../random.ts';

const WORD_BYTES = 4;
const NOISE_WORDS = RTC_BYTES / WORD_BYTES;
/** The device filled its RTC memory when it was made and when it was switched on. */
const FILLS_BEFORE = 2;
/** When power goes, and when it comes again. */
const FILLS_A_POWER_CYCLE = 2;

/** The numbers that a device of this seed draws for its RTC memory, in order; kept, as every branch wants them again. */
export class RtcChance {
  private readonly random: SeededRandom;
  private readonly words: number[] = [];

  constructor(seed: number) {
    this.random = new SeededRandom(seed).stream('ram');
  }

  at(index: number): number {
    while (this.words.length <= index) this.words.push(this.random.next32());
    return this.words[index]!;
  }
}

export class RtcImage {
  readonly bytes = new Uint8Array(RTC_BYTES);
  private readonly words = new DataView(this.bytes.buffer);
  private record: CommandRecord | undefined;
  /** Numbers drawn so far. */
  private drawn = FILLS_BEFORE * NOISE_WORDS;
  /**
   * Power was lost: noise, which is filled in when somebody wants to see it. Noise is taken for no command: a CRC and a
   * magic would have to fit by chance.
   */
  private lost = false;

  constructor(
    private readonly chance: RtcChance,
    private readonly crc32: (data: Uint8Array) => number,
  ) {}

  become(other: RtcImage): void {
    this.record = other.record;
    this.lost = other.lost;
    this.drawn = other.drawn;
    if (!this.lost) this.bytes.set(other.bytes);
  }

  load(bytes: Uint8Array): void {
    this.bytes.set(bytes);
    this.lost = false;
    this.record = undefined;
  }

  /** Whether a start sees the same in both. */
  equals(other: RtcImage): boolean {
    if (this.lost || other.lost) return this.lost === other.lost && this.drawn === other.drawn;
    return Buffer.compare(this.bytes, other.bytes) === 0;
  }

  /** Power goes, and comes again. */
  lose(): void {
    this.drawn += FILLS_A_POWER_CYCLE * NOISE_WORDS;
    this.lost = true;
    this.record = undefined;
  }

  /** The voltage sags. */
  flip(): void {
    this.materialise();
    flipSomeBits(this.bytes, { below: (limit) => this.chance.at(this.drawn++) % limit });
    this.record = undefined;
  }

  /** Reads the command now, so that branches which become this one need not. */
  decode(): void {
    if (!this.lost) this.record ??= decodeCommand(this.user(), this.crc32);
  }

  /** A word of user memory by its byte offset. */
  storeUser(offset: number, value: number): void {
    this.store(RTC_BASE + RTC_USER_OFFSET + offset, value);
  }

  /** A word by its CPU address. */
  store(address: number, value: number): void {
    this.materialise();
    this.words.setUint32(address - RTC_BASE, value >>> 0, true);
    this.record = undefined;
  }

  /** A word by its offset in RTC memory. */
  load32(offset: number): number {
    this.materialise();
    return this.words.getUint32(offset, true);
  }

  /** The record if a bootloader of this era acts on it. */
  command(era: Era): CommandRecord | undefined {
    this.decode();
    return this.record && isValidCommand(this.record, era.magicChecked) ? this.record : undefined;
  }

  /** All of it: a live view. */
  all(): Uint8Array {
    this.materialise();
    return this.bytes;
  }

  /** User memory: a live view. */
  user(): Uint8Array {
    this.materialise();
    return this.bytes.subarray(RTC_USER_OFFSET);
  }

  private materialise(): void {
    if (!this.lost) return;
    this.lost = false;
    const first = this.drawn - NOISE_WORDS;
    for (let i = 0; i < NOISE_WORDS; i++) this.words.setUint32(i * WORD_BYTES, this.chance.at(first + i), true);
  }
}
