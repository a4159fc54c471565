/**
 * Cells of the chip that no longer change: what `stuck-bits` and `worn-sector` leave behind for good. A cell that holds a 1
 * cannot be programmed any more, one that holds a 0 stays 0 after an erase. Source: design.md §8; spec chapter 01 §1.
 */
import { PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';

interface Sector {
  /** Bits that no longer change. */
  readonly held: Uint8Array;
  /** What those hold. */
  readonly value: Uint8Array;
}

export class ChipDamage {
  private readonly sectors = new Map<number, Sector>();

  /** True while every cell is sound: the hot paths ask first. */
  get none(): boolean {
    return this.sectors.size === 0;
  }

  /** As good as new. */
  repair(): void {
    this.sectors.clear();
  }

  /** After an erase these bits are 0 for ever. @param address of the sector */
  wear(address: number, mask: Uint8Array): void {
    this.add(address, mask, new Uint8Array(mask.length));
  }

  /**
   * These bits of a page keep for ever what they hold.
   *
   * @param address where the mask begins; it wraps inside its page, as a program does
   * @param cells what is there now
   */
  stick(address: number, mask: Uint8Array, cells: Uint8Array): void {
    for (const [i, byte] of mask.entries()) {
      this.add(inPage(address, i), Uint8Array.of(byte), Uint8Array.of(cells[i]!));
    }
  }

  /** Bits that a program here cannot change; undefined when all are sound. */
  programMask(address: number, length: number): Uint8Array | undefined {
    const sector = this.sectors.get(Math.floor(address / SECTOR_BYTES));
    if (!sector) return undefined;
    return anyOf(Uint8Array.from({ length }, (_, i) => sector.held[inPage(address, i) % SECTOR_BYTES]!));
  }

  /** Bits that are 0 after an erase of this range of whole sectors. */
  eraseMask(address: number, length: number): Uint8Array | undefined {
    const mask = new Uint8Array(length);
    for (let at = 0; at < length; at += SECTOR_BYTES) {
      const sector = this.sectors.get(Math.floor((address + at) / SECTOR_BYTES));
      if (sector) for (let i = 0; i < SECTOR_BYTES; i++) mask[at + i] = sector.held[i]! & ~sector.value[i]!;
    }
    return anyOf(mask);
  }

  private add(address: number, mask: Uint8Array, cells: Uint8Array): void {
    const index = Math.floor(address / SECTOR_BYTES);
    const sector = this.sectors.get(index) ?? {
      held: new Uint8Array(SECTOR_BYTES),
      value: new Uint8Array(SECTOR_BYTES),
    };
    this.sectors.set(index, sector);
    for (const [i, byte] of mask.entries()) {
      const at = (address % SECTOR_BYTES) + i;
      const fresh = byte & ~sector.held[at]!;
      sector.held[at]! |= fresh;
      sector.value[at]! |= cells[i]! & fresh;
    }
  }
}

const inPage = (address: number, offset: number): number =>
  address - (address % PAGE_BYTES) + (((address % PAGE_BYTES) + offset) % PAGE_BYTES);

const anyOf = (mask: Uint8Array): Uint8Array | undefined => (mask.some((byte) => byte !== 0) ? mask : undefined);
