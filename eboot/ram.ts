/**
 * The RAM that boot code sees. Nobody clears it: after power-up it holds noise, after a reset what was there, and eboot's
 * buffers start with that. Source: spec chapter 07 §7.
 */
import { DRAM_BASE, DRAM_BYTES, IRAM_BASE, IRAM_BYTES, ROM_BSS_END, ROM_BSS_START } from './memory-map.ts';

/** A byte for all of it, or a source of noise. */
export type RamFill = number | ((target: Uint8Array) => void);

export class Ram {
  /** 0x3FFE8000 to 0x3FFFFFFF. */
  readonly dram = new Uint8Array(DRAM_BYTES);
  /** 0x40100000 to 0x4010FFFF. */
  readonly iram = new Uint8Array(IRAM_BYTES);

  /** @param fill content before anything ran; the golden traces begin with 0xA5 */
  constructor(fill: RamFill = 0xa5) {
    this.fill(fill);
  }

  /** Gives all of it new content, as a power cycle does. */
  fill(fill: RamFill): void {
    for (const bank of [this.dram, this.iram]) {
      if (typeof fill === 'number') bank.fill(fill);
      else fill(bank);
    }
  }

  /**
   * A live view of `length` bytes at a CPU address.
   *
   * @throws RangeError when the range is not inside one bank
   */
  view(address: number, length: number): Uint8Array {
    const inDram = address >= DRAM_BASE && address + length <= DRAM_BASE + DRAM_BYTES;
    const inIram = address >= IRAM_BASE && address + length <= IRAM_BASE + IRAM_BYTES;
    if (!inDram && !inIram) {
      throw new RangeError(`RAM view of ${length} bytes at 0x${address.toString(16)}: not inside DRAM or IRAM`);
    }
    const offset = address - (inDram ? DRAM_BASE : IRAM_BASE);
    return (inDram ? this.dram : this.iram).subarray(offset, offset + length);
  }

  /** What the ROM does to RAM before it loads an image: its own BSS becomes zero, the rest stays. */
  clearRomBss(): void {
    this.view(ROM_BSS_START, ROM_BSS_END - ROM_BSS_START).fill(0);
  }

  snapshot(): RamSnapshot {
    return { dram: this.dram.slice(), iram: this.iram.slice() };
  }

  restore(snapshot: RamSnapshot): void {
    this.dram.set(snapshot.dram);
    this.iram.set(snapshot.iram);
  }
}

export interface RamSnapshot {
  readonly dram: Uint8Array;
  readonly iram: Uint8Array;
}
