/** A whole {@link Kernels} in TypeScript: oracle of the tests, and for where there is no WASM. The twins come along. */
import type { Kernels, Md5Stream, SectorStore } from './kernels.ts';
import { ReferenceStore } from './reference-store.ts';
import { crc32, MD5_STATE_BYTES, md5Finish, md5Start, md5Update } from './twins.ts';

export {
  bitCount,
  copyBytes,
  crc32,
  equalBytes,
  isBlank,
  MD5_STATE_BYTES,
  md5Blocks,
  md5Finish,
  md5Start,
  md5Update,
  norErase,
  norProgram,
} from './twins.ts';

/** How many bytes {@link ReferenceMd5} takes beside its state at once. */
const MD5_PIECE = 4096;

class ReferenceMd5 implements Md5Stream {
  readonly #memory = new Uint8Array(MD5_STATE_BYTES + MD5_PIECE);
  #ended = true;

  constructor() {
    this.reset();
  }

  reset(): this {
    md5Start(this.#memory, 0);
    this.#ended = false;
    return this;
  }

  update(data: Uint8Array): this {
    this.#mustRun('update');
    for (let done = 0; done < data.length; done += MD5_PIECE) {
      const piece = data.subarray(done, done + MD5_PIECE);
      this.#memory.set(piece, MD5_STATE_BYTES);
      md5Update(this.#memory, 0, MD5_STATE_BYTES, piece.length);
    }
    return this;
  }

  updateFromChip(chip: SectorStore, address: number, length: number): this {
    return this.update(chip.read(address, length));
  }

  digest(): Uint8Array {
    this.#mustRun('digest');
    md5Finish(this.#memory, 0);
    this.#ended = true;
    return this.#memory.slice(0, 16);
  }

  free(): void {
    this.#ended = true;
  }

  #mustRun(what: string): void {
    if (this.#ended) throw new RangeError(`${what}: this MD5 has ended; reset() starts another`);
  }
}

class ReferenceKernels implements Kernels {
  #chip: SectorStore | undefined;

  crc32(data: Uint8Array, crc = 0xffffffff): number {
    return crc32(data, 0, data.length, crc);
  }

  md5(): Md5Stream {
    return new ReferenceMd5();
  }

  md5x4(inputs: readonly Uint8Array[]): Uint8Array[] {
    if (inputs.length > 4) throw new RangeError(`md5x4: ${inputs.length} inputs, at most 4`);
    return inputs.map((input) => new ReferenceMd5().update(input).digest());
  }

  createChip(capacityBytes: number): SectorStore {
    if (this.#chip)
      throw new Error(`createChip: this instance has a chip of ${this.#chip.capacityBytes} bytes already`);
    this.#chip = new ReferenceStore(capacityBytes);
    return this.#chip;
  }
}

/** The kernels in TypeScript alone: slower, otherwise the same. */
export function referenceKernels(): Kernels {
  return new ReferenceKernels();
}
