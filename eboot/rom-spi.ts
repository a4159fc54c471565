/**
 * The ROM's flash routines over the chip. They believe the chip has 4 MiB, whatever is fitted and whatever the header
 * says, so eboot can never reach beyond. Source: spec chapter 01 §2.2; chapter 07 §5.1.
 */
import { PAGE_BYTES, SECTOR_BYTES } from '../flash/geometry.ts';

/** The ROM's chip description, never changed on the way to the application. */
export const ROM_CHIP_BYTES = 0x400000;

/** What the routines need from the chip; `NorFlash` has this shape. */
export interface ChipPort {
  readonly capacityBytes: number;
  /** Addresses wrap at the capacity. False: a read fault. */
  read(address: number, target: Uint8Array): boolean;
  /** Up to one page, not crossing its end. */
  programPage(address: number, data: Uint8Array): { ok: boolean };
  eraseSector(sector: number): { ok: boolean };
  /** Whole pages at once, where nobody could tell; false: nothing was done. */
  programRun?(address: number, data: Uint8Array): boolean;
}

/** 0 ok, 1 error: the only results of the routines. */
export type RomResult = 0 | 1;

/** The ROM's range check: the end, in 32-bit arithmetic that wraps, lies beyond 4 MiB. */
export const beyondRomChip = (address: number, size: number): boolean => (address + size) >>> 0 > ROM_CHIP_BYTES;

/** How many bytes SPIRead fetches: the size is signed. */
export const romReadLength = (size: number): number => Math.max(0, size | 0);

export class RomSpi {
  constructor(private readonly chip: ChipPort) {}

  /**
   * SPIRead.
   *
   * @param size of the call; `target` may be shorter when the RAM behind it ends earlier
   */
  read(address: number, size: number, target: Uint8Array): RomResult {
    if (beyondRomChip(address, size)) return 1;
    const length = Math.min(romReadLength(size), target.length);
    if (length === 0) return 0;
    return this.chip.read(this.wrap(address), target.subarray(0, length)) ? 0 : 1;
  }

  /** SPIEraseSector. */
  erase(sector: number): RomResult {
    if (sector >= ROM_CHIP_BYTES / SECTOR_BYTES) return 1;
    return this.chip.eraseSector(sector % (this.chip.capacityBytes / SECTOR_BYTES)).ok ? 0 : 1;
  }

  /** SPIWrite in one go. */
  write(address: number, data: Uint8Array): RomResult {
    const pages = this.pages(address, data);
    for (;;) {
      const step = pages.next();
      if (step.done) return step.value;
    }
  }

  /** SPIWrite of whole pages at once, where nobody could tell it from {@link RomSpi.pages}. False: nothing was done. */
  writeRun(address: number, data: Uint8Array): boolean {
    return !beyondRomChip(address, data.length) && this.chip.programRun?.(this.wrap(address), data) === true;
  }

  /**
   * SPIWrite page by page: yields the length of the piece before each chip operation, so that a driver may pause there.
   * Pieces end at page ends. The first failing page ends it.
   */
  *pages(address: number, data: Uint8Array): Generator<number, RomResult, unknown> {
    if (beyondRomChip(address, data.length) || data.length % 4 !== 0) return 1;
    for (let done = 0; done < data.length; ) {
      const at = this.wrap(address + done);
      const length = Math.min(PAGE_BYTES - (at % PAGE_BYTES), data.length - done);
      yield length;
      if (!this.chip.programPage(at, data.subarray(done, done + length)).ok) return 1;
      done += length;
    }
    return 0;
  }

  private wrap(address: number): number {
    return (address >>> 0) % this.chip.capacityBytes;
  }
}
