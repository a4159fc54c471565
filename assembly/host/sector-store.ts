/** {@link SectorStore} over the copy-on-write store in linear memory (`assembly/sectors.ts`). */
import { isTrap, type KernelInstance } from './instance.ts';
import type { SectorStore } from './kernels.ts';
import { checkCapacity, checkRange, checkSector, MAX_DEPTH, SECTOR_BYTES } from './ranges.ts';

/** Below this, copying byte by byte beats making a view. Measured: break-even near 16 bytes. */
const FEW_BYTES = 16;

export class WasmSectorStore implements SectorStore {
  readonly capacityBytes: number;
  readonly instance: KernelInstance;
  #depth = 0;

  constructor(instance: KernelInstance, capacityBytes: number) {
    checkCapacity(capacityBytes);
    const sectors = capacityBytes / SECTOR_BYTES;
    const table = instance.exports.FIXED_END.value as number;
    const marks = table + 4 * sectors;
    const base = Math.ceil((marks + 4 * MAX_DEPTH) / SECTOR_BYTES) * SECTOR_BYTES;
    const arena = base + capacityBytes;
    instance.reserve(arena);
    instance.exports.storePlace(table, marks, base, arena, sectors);
    this.instance = instance;
    this.capacityBytes = capacityBytes;
  }

  get depth(): number {
    return this.#depth;
  }

  readInto(address: number, target: Uint8Array): void {
    checkRange('readInto', address, target.length, this.capacityBytes);
    const { exports, bytes } = this.instance;
    let done = 0;
    while (done < target.length) {
      const run = exports.storeRun(address + done, target.length - done);
      const at = exports.storeAt(address + done);
      if (run < FEW_BYTES) for (let i = 0; i < run; i++) target[done + i] = bytes[at + i]!;
      else target.set(bytes.subarray(at, at + run), done);
      done += run;
    }
  }

  read(address: number, length: number): Uint8Array {
    checkRange('read', address, length, this.capacityBytes);
    const bytes = new Uint8Array(length);
    this.readInto(address, bytes);
    return bytes;
  }

  program(address: number, data: Uint8Array): number {
    checkRange('program', address, data.length, this.capacityBytes);
    const { exports, transfer } = this.instance;
    let stuckBits = 0;
    try {
      for (let done = 0; done < data.length; ) {
        const length = this.instance.lend(data, done);
        stuckBits += exports.storeProgram(address + done, transfer, length);
        done += length;
      }
    } catch (error) {
      throw this.#outOfMemory(error);
    }
    return stuckBits;
  }

  eraseSector(sector: number): void {
    checkSector('eraseSector', sector, this.capacityBytes);
    try {
      this.instance.exports.storeErase(sector);
    } catch (error) {
      throw this.#outOfMemory(error);
    }
  }

  copySector(from: number, to: number): void {
    checkSector('copySector', from, this.capacityBytes);
    checkSector('copySector', to, this.capacityBytes);
    try {
      this.instance.exports.storeCopySector(from, to);
    } catch (error) {
      throw this.#outOfMemory(error);
    }
  }

  overwrite(address: number, data: Uint8Array): void {
    checkRange('overwrite', address, data.length, this.capacityBytes);
    try {
      for (let done = 0; done < data.length; ) {
        const length = this.instance.lend(data, done);
        this.instance.exports.storeOverwrite(address + done, this.instance.transfer, length);
        done += length;
      }
    } catch (error) {
      throw this.#outOfMemory(error);
    }
  }

  isBlank(address: number, length: number): boolean {
    checkRange('isBlank', address, length, this.capacityBytes);
    return this.instance.exports.storeIsBlank(address, length) !== 0;
  }

  equals(address: number, data: Uint8Array): boolean {
    checkRange('equals', address, data.length, this.capacityBytes);
    for (let done = 0; done < data.length; ) {
      const length = this.instance.lend(data, done);
      if (!this.instance.exports.storeEquals(address + done, this.instance.transfer, length)) return false;
      done += length;
    }
    return true;
  }

  crc32(address: number, length: number, crc = 0xffffffff): number {
    checkRange('crc32', address, length, this.capacityBytes);
    return this.instance.exports.storeCrc32(address, length, crc) >>> 0;
  }

  fork(): number {
    if (this.#depth === MAX_DEPTH) throw new RangeError(`fork: ${MAX_DEPTH} branches are open, and that is the limit`);
    this.#depth = this.instance.exports.storeFork();
    return this.#depth;
  }

  drop(): void {
    if (this.#depth === 0) throw new RangeError('drop: no branch is open');
    this.instance.exports.storeDrop();
    this.#depth--;
  }

  commit(): void {
    if (this.#depth === 0) throw new RangeError('commit: no branch is open');
    this.instance.exports.storeCommit();
    this.#depth--;
  }

  touchedSectors(): number[] {
    const { exports } = this.instance;
    const sectors = Array.from({ length: exports.storeTouchedCount() }, (_, index) => exports.storeTouched(index));
    return sectors.sort((a, b) => a - b);
  }

  /** A change claims memory for its branch, and the module traps when there is none. */
  #outOfMemory(error: unknown): unknown {
    if (!isTrap(error)) return error;
    return new RangeError(`no memory for another changed sector, ${this.#depth} branches being open`, { cause: error });
  }
}
