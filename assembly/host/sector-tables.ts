/**
 * Chips as tables of content numbers (`assembly/tables.ts`): in linear memory for speed, and as plain arrays, the twin.
 */
import type { KernelInstance } from './instance.ts';
import { SECTOR_BYTES } from './ranges.ts';

/** How many contents may exist at once: the largest chip has 4096 sectors. */
export const MAX_CONTENTS = 0x10000;
const SHIFT_WORDS = 4 * 256;

/** Several chips of the same size. A chip is chosen by its `slot`; sectors are indexes; ranges are the caller's duty. */
export interface SectorTables {
  readonly sectors: number;
  readonly slots: number;
  /** The words of one chip: a live view. */
  table(slot: number): Uint32Array;
  /** Tells the CRC-32/MPEG-2 of a content's 4096 bytes that starts from 0. */
  setCrc(content: number, crc: number): void;
  /** Makes `to` the same as `from`. */
  fork(from: number, to: number): void;
  /** eboot's raw copy inside one chip; true when `compareFirst` found the first sector equal and left it alone. */
  copy(slot: number, source: number, destination: number, count: number, compareFirst: boolean): boolean;
  /** The first sector from `first` on, of `count`, in which two chips differ; -1 for none. */
  firstDifference(left: number, right: number, first: number, count: number): number;
  /** Continues a CRC-32/MPEG-2 over whole sectors. */
  crc(slot: number, first: number, count: number, crc: number): number;
}

/** The four tables of a CRC taken through 4096 zero bytes; `crc32` as {@link Kernels.crc32}. */
function shiftTables(crc32: (data: Uint8Array, crc: number) => number): Uint32Array {
  const zeros = new Uint8Array(SECTOR_BYTES);
  const bits = Array.from({ length: 32 }, (_, bit) => crc32(zeros, (1 << bit) >>> 0));
  const tables = new Uint32Array(SHIFT_WORDS);
  for (let byte = 0; byte < 4; byte++) {
    for (let value = 0; value < 256; value++) {
      let word = 0;
      for (let bit = 0; bit < 8; bit++) if (value & (1 << bit)) word ^= bits[8 * byte + bit]!;
      tables[256 * byte + value] = word;
    }
  }
  return tables;
}

/** In linear memory, of which the instance is used for nothing else. Its size is fixed, so views stay good. */
export class WasmSectorTables implements SectorTables {
  readonly #exports: KernelInstance['exports'];
  readonly #tables: readonly Uint32Array[];
  readonly #crcs: Uint32Array;
  readonly #firstTable: number;
  readonly #crcsAt: number;
  readonly #shiftAt: number;

  constructor(
    instance: KernelInstance,
    readonly sectors: number,
    readonly slots: number,
  ) {
    const { exports } = instance;
    this.#exports = exports;
    this.#shiftAt = Math.ceil((exports.FIXED_END.value as number) / 16) * 16;
    this.#firstTable = this.#shiftAt + 4 * SHIFT_WORDS;
    this.#crcsAt = this.#firstTable + 4 * sectors * slots;
    instance.reserve(this.#crcsAt + 4 * MAX_CONTENTS);
    const { buffer } = instance.memory;
    this.#tables = Array.from(
      { length: slots },
      (_, slot) => new Uint32Array(buffer, this.#firstTable + 4 * sectors * slot, sectors),
    );
    this.#crcs = new Uint32Array(buffer, this.#crcsAt, MAX_CONTENTS);
    const crc32 = (data: Uint8Array, crc: number): number => {
      instance.lend(data, 0);
      return exports.crc32(instance.transfer, data.length, crc) >>> 0;
    };
    new Uint32Array(buffer, this.#shiftAt, SHIFT_WORDS).set(shiftTables(crc32));
  }

  table(slot: number): Uint32Array {
    const table = this.#tables[slot];
    if (!table) throw new RangeError(`table(${slot}): there are ${this.slots} chips`);
    return table;
  }

  setCrc(content: number, crc: number): void {
    this.#crcs[content] = crc;
  }

  fork(from: number, to: number): void {
    this.#exports.tableFork(this.#at(from), this.#at(to), this.sectors);
  }

  copy(slot: number, source: number, destination: number, count: number, compareFirst: boolean): boolean {
    return this.#exports.tableCopy(this.#at(slot), source, destination, count, compareFirst ? 1 : 0) !== 0;
  }

  firstDifference(left: number, right: number, first: number, count: number): number {
    const offset = 4 * first;
    const same = this.#exports.tableDifference(this.#at(left) + offset, this.#at(right) + offset, count);
    return same === count ? -1 : first + same;
  }

  crc(slot: number, first: number, count: number, crc: number): number {
    return this.#exports.tableCrc(this.#at(slot), first, count, this.#crcsAt, this.#shiftAt, crc) >>> 0;
  }

  #at(slot: number): number {
    return this.#firstTable + 4 * this.sectors * slot;
  }
}

/** The twin in plain TypeScript. */
export class ReferenceSectorTables implements SectorTables {
  readonly #tables: readonly Uint32Array[];
  readonly #crcs = new Map<number, number>();
  readonly #shift: Uint32Array;

  /** @param crc32 CRC-32/MPEG-2 that continues from its second argument */
  constructor(
    crc32: (data: Uint8Array, crc: number) => number,
    readonly sectors: number,
    readonly slots: number,
  ) {
    this.#tables = Array.from({ length: slots }, () => new Uint32Array(sectors));
    this.#shift = shiftTables(crc32);
  }

  table(slot: number): Uint32Array {
    const table = this.#tables[slot];
    if (!table) throw new RangeError(`table(${slot}): there are ${this.slots} chips`);
    return table;
  }

  setCrc(content: number, crc: number): void {
    this.#crcs.set(content, crc);
  }

  fork(from: number, to: number): void {
    this.table(to).set(this.table(from));
  }

  copy(slot: number, source: number, destination: number, count: number, compareFirst: boolean): boolean {
    const table = this.table(slot);
    const skipped = compareFirst && count > 0 && table[source] === table[destination];
    for (let i = skipped ? 1 : 0; i < count; i++) table[destination + i] = table[source + i]!;
    return skipped;
  }

  firstDifference(left: number, right: number, first: number, count: number): number {
    const a = this.table(left);
    const b = this.table(right);
    for (let sector = first; sector < first + count; sector++) if (a[sector] !== b[sector]) return sector;
    return -1;
  }

  crc(slot: number, first: number, count: number, crc: number): number {
    const table = this.table(slot);
    let state = crc;
    for (let sector = first; sector < first + count; sector++) {
      let next = this.#crcs.get(table[sector]!) ?? 0;
      for (let byte = 0; byte < 4; byte++) next ^= this.#shift[256 * byte + ((state >>> (8 * byte)) & 0xff)]!;
      state = next >>> 0;
    }
    return state;
  }
}
