/**
 * One branch of the chip in a sweep: a table of content numbers, read and changed as flash is. It has the shape that the
 * ROM's flash routines want, and no time, no events and no wear: those change no verdict.
 */
import type { SectorTables } from '../../assembly/host/sector-tables.ts';
import type { ChipPort } from '../../eboot/rom-spi.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';
import { tornErase, tornProgram } from '../../flash/tearing.ts';
import type { Contents } from './contents.ts';

const OK = { ok: true } as const;

export class BranchChip implements ChipPort {
  readonly capacityBytes: number;
  /** The words of this branch: a live view. */
  readonly table: Uint32Array;

  constructor(
    readonly contents: Contents,
    readonly tables: SectorTables,
    readonly slot: number,
  ) {
    this.table = tables.table(slot);
    this.capacityBytes = tables.sectors * SECTOR_BYTES;
  }

  /** Takes over the state of another branch. */
  become(other: BranchChip): void {
    this.tables.fork(other.slot, this.slot);
  }

  byte(address: number): number {
    const at = address % this.capacityBytes;
    return this.contents.bytes(this.table[Math.floor(at / SECTOR_BYTES)]!)[at % SECTOR_BYTES]!;
  }

  /** A little-endian word, unsigned. */
  word(address: number): number {
    const at = address % this.capacityBytes;
    const offset = at % SECTOR_BYTES;
    if (offset <= SECTOR_BYTES - 4) {
      const bytes = this.contents.bytes(this.table[(at - offset) / SECTOR_BYTES]!);
      return (
        (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>> 0
      );
    }
    let word = 0;
    for (let i = 3; i >= 0; i--) word = (word << 8) | this.byte(at + i);
    return word >>> 0;
  }

  read(address: number, target: Uint8Array): true {
    for (let done = 0; done < target.length; ) {
      const at = (address + done) % this.capacityBytes;
      const offset = at % SECTOR_BYTES;
      const count = Math.min(SECTOR_BYTES - offset, target.length - done);
      const bytes = this.contents.bytes(this.table[(at - offset) / SECTOR_BYTES]!);
      target.set(count === SECTOR_BYTES ? bytes : bytes.subarray(offset, offset + count), done);
      done += count;
    }
    return true;
  }

  /** A fresh copy of a range. */
  peek(address: number, length: number): Uint8Array {
    const target = new Uint8Array(length);
    this.read(address, target);
    return target;
  }

  /** Programs any range inside one sector. */
  programPage(address: number, data: Uint8Array): typeof OK {
    const at = address % this.capacityBytes;
    const sector = Math.floor(at / SECTOR_BYTES);
    const whole = data.length === SECTOR_BYTES && this.table[sector] === this.contents.blank;
    this.table[sector] = whole
      ? this.contents.intern(data)
      : this.contents.program(this.table[sector]!, at % SECTOR_BYTES, data);
    return OK;
  }

  eraseSector(sector: number): typeof OK {
    this.table[sector] = this.contents.blank;
    return OK;
  }

  /** Programs the first `bits` bits of `data` (flash/tearing.ts). */
  tearProgram(address: number, data: Uint8Array, bits: number): void {
    const sector = Math.floor(address / SECTOR_BYTES);
    const offset = address % SECTOR_BYTES;
    const before = this.contents.bytes(this.table[sector]!).slice(offset, offset + data.length);
    this.table[sector] = this.contents.replace(this.table[sector]!, offset, tornProgram(before, data, bits));
  }

  /** Erases the first `bits` bits of a sector. */
  tearErase(sector: number, bits: number): void {
    this.table[sector] = this.contents.intern(tornErase(this.contents.bytes(this.table[sector]!), bits));
  }
}

if (SECTOR_BYTES % PAGE_BYTES !== 0) throw new Error('no page lies in two sectors');
