/** The copy-on-write store in plain TypeScript: a base, and per open branch a map of the sectors that it changed. */
import type { SectorStore } from './kernels.ts';
import { checkCapacity, checkRange, checkSector, MAX_DEPTH, SECTOR_BYTES } from './ranges.ts';
import { bitCount, crc32, isBlank } from './twins.ts';

export class ReferenceStore implements SectorStore {
  readonly capacityBytes: number;
  readonly #base: Uint8Array[];
  readonly #branches: Map<number, Uint8Array>[] = [];

  constructor(capacityBytes: number) {
    checkCapacity(capacityBytes);
    this.capacityBytes = capacityBytes;
    this.#base = Array.from({ length: capacityBytes / SECTOR_BYTES }, () => new Uint8Array(SECTOR_BYTES).fill(0xff));
  }

  get depth(): number {
    return this.#branches.length;
  }

  readInto(address: number, target: Uint8Array): void {
    checkRange('readInto', address, target.length, this.capacityBytes);
    for (const { sector, from, to, offset } of pieces(address, target.length)) {
      target.set(this.#now(sector).subarray(from, to), offset);
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
    let stuckBits = 0;
    for (const { sector, from, to, offset } of pieces(address, data.length)) {
      const cells = this.#own(sector);
      for (let i = from; i < to; i++) {
        const wanted = data[offset + i - from]!;
        stuckBits += bitCount(wanted & ~cells[i]!);
        cells[i]! &= wanted;
      }
    }
    return stuckBits;
  }

  eraseSector(sector: number): void {
    checkSector('eraseSector', sector, this.capacityBytes);
    this.#own(sector).fill(0xff);
  }

  copySector(from: number, to: number): void {
    checkSector('copySector', from, this.capacityBytes);
    checkSector('copySector', to, this.capacityBytes);
    this.#own(to).set(this.#now(from));
  }

  overwrite(address: number, data: Uint8Array): void {
    checkRange('overwrite', address, data.length, this.capacityBytes);
    for (const { sector, from, to, offset } of pieces(address, data.length)) {
      this.#own(sector).set(data.subarray(offset, offset + to - from), from);
    }
  }

  isBlank(address: number, length: number): boolean {
    checkRange('isBlank', address, length, this.capacityBytes);
    for (const { sector, from, to } of pieces(address, length)) {
      if (!isBlank(this.#now(sector), from, to - from)) return false;
    }
    return true;
  }

  equals(address: number, data: Uint8Array): boolean {
    return this.read(address, data.length).every((byte, i) => byte === data[i]);
  }

  crc32(address: number, length: number, crc = 0xffffffff): number {
    return crc32(this.read(address, length), 0, length, crc);
  }

  fork(): number {
    if (this.depth === MAX_DEPTH) throw new RangeError(`fork: ${MAX_DEPTH} branches are open, and that is the limit`);
    return this.#branches.push(new Map());
  }

  drop(): void {
    if (!this.#branches.pop()) throw new RangeError('drop: no branch is open');
  }

  commit(): void {
    const branch = this.#branches.pop();
    if (!branch) throw new RangeError('commit: no branch is open');
    const parent = this.#branches.at(-1);
    for (const [sector, bytes] of branch) {
      if (parent) parent.set(sector, bytes);
      else this.#base[sector] = bytes;
    }
  }

  touchedSectors(): number[] {
    return [...(this.#branches.at(-1)?.keys() ?? [])].sort((a, b) => a - b);
  }

  /** A sector's bytes as the open branch sees them. */
  #now(sector: number): Uint8Array {
    for (let depth = this.#branches.length; depth-- > 0; ) {
      const bytes = this.#branches[depth]?.get(sector);
      if (bytes) return bytes;
    }
    return this.#base[sector]!;
  }

  /** A sector's bytes, for the open branch to change. */
  #own(sector: number): Uint8Array {
    const branch = this.#branches.at(-1);
    const bytes = this.#now(sector);
    if (!branch || branch.has(sector)) return bytes;
    const own = bytes.slice();
    branch.set(sector, own);
    return own;
  }
}

/** A range as parts of sectors: bytes `from` to `to` of each, the first of them `offset` bytes into the range. */
function* pieces(address: number, length: number) {
  for (let offset = 0; offset < length; ) {
    const sector = Math.floor((address + offset) / SECTOR_BYTES);
    const from = (address + offset) % SECTOR_BYTES;
    const to = Math.min(SECTOR_BYTES, from + length - offset);
    yield { sector, from, to, offset };
    offset += to - from;
  }
}
