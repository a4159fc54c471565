/**
 * The chip as the loader uses it: ranges taken apart into the chip's operations, with a chance to pause or to stop before
 * each. Source: spec chapter 05 §7.2, §8.4.
 *
 * Real loaders erase 64 KiB blocks and whole chips with one command. Here each is the erases of its sectors, every one an
 * operation with its own event and fault point, and with its share of the part's block or chip erase time.
 */
import { BLOCK_BYTES, PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';
import type { NorFlash } from '../../flash/nor-flash.ts';
import type { ChipClock } from '../../flash/ports.ts';

export const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES;

export class FlashAccess {
  constructor(
    readonly chip: NorFlash,
    readonly clock: ChipClock,
  ) {}

  get capacityBytes(): number {
    return this.chip.capacityBytes;
  }

  /**
   * Erases `count` sectors from `first` on, whole 64 KiB blocks at a time where they are aligned.
   *
   * @returns false when one failed; the sectors before it are erased
   */
  async eraseSectors(first: number, count: number): Promise<boolean> {
    for (let sector = first; sector < first + count; ) {
      const step = eraseStep(sector, first + count);
      if (!(await this.eraseStep(sector, step))) return false;
      sector += step;
    }
    return true;
  }

  /** One sector, or the 16 of a block. */
  eraseStep(sector: number, count: number): Promise<boolean> {
    const { part } = this.chip;
    return this.eraseEach(sector, count, count === 1 ? part.sectorEraseUs : part.blockEraseUs / SECTORS_PER_BLOCK);
  }

  eraseChip(): Promise<boolean> {
    const { chip } = this;
    return this.eraseEach(0, chip.sectorCount, chip.part.chipEraseUs / chip.sectorCount);
  }

  /**
   * Programs bytes, page by page; bits only become 0.
   *
   * @returns false when a page failed; those before it are programmed
   */
  async program(address: number, data: Uint8Array): Promise<boolean> {
    for (let done = 0; done < data.length; ) {
      const at = address + done;
      const piece = data.subarray(done, done + PAGE_BYTES - (at % PAGE_BYTES));
      const wait = this.clock.settle();
      if (wait) await wait;
      if (!this.chip.programPage(at, piece).ok) return false;
      done += piece.length;
    }
    return true;
  }

  /** A copy of flash, or `undefined` for a read fault. */
  async read(address: number, length: number): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(length);
    const ok = this.chip.read(address, bytes);
    const wait = this.clock.settle();
    if (wait) await wait;
    return ok ? bytes : undefined;
  }

  private async eraseEach(first: number, count: number, busyUs: number): Promise<boolean> {
    for (let sector = first; sector < first + count; sector++) {
      const wait = this.clock.settle();
      if (wait) await wait;
      if (!this.chip.eraseSector(sector, Math.round(busyUs)).ok) return false;
    }
    return true;
  }
}

/** How many sectors the next erase command takes on the way from `sector` to `end`. */
export const eraseStep = (sector: number, end: number): number =>
  sector % SECTORS_PER_BLOCK === 0 && end - sector >= SECTORS_PER_BLOCK ? SECTORS_PER_BLOCK : 1;
