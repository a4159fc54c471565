/** Loads the WASM kernels: compiled once per process, instantiated once per device. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileKernels, KernelInstance, type WasmModule } from './instance.ts';
import type { Kernels, Md5Stream, SectorStore } from './kernels.ts';
import { Md5Slots, md5x4, WasmMd5 } from './md5.ts';
import { WasmSectorStore } from './sector-store.ts';

let compiled: WasmModule | undefined;
let compiledLx106: WasmModule | undefined;

/** The compiled module; the first call reads and compiles it, synchronously. Workers may be sent it. */
export function kernelModule(): WasmModule {
  if (!compiled) {
    const file = fileURLToPath(new URL('../build/kernels.wasm', import.meta.url));
    compiled = compileKernels(readFileSync(file));
  }
  return compiled;
}

/** The module of the LX106 core: read and compiled at the first call, since most devices do without. */
export function lx106Module(): WasmModule {
  if (!compiledLx106) {
    const file = fileURLToPath(new URL('../build/lx106.wasm', import.meta.url));
    compiledLx106 = compileKernels(readFileSync(file));
  }
  return compiledLx106;
}

/**
 * A bare instance, for what works on linear memory itself: tests against the twins, and the bench.
 *
 * @param maximumBytes how far its memory may grow; 1 GiB unless told
 */
export function instantiateKernels(maximumBytes?: number): KernelInstance {
  return new KernelInstance(kernelModule(), maximumBytes);
}

class WasmKernels implements Kernels {
  readonly #instance = instantiateKernels();
  readonly #slots = new Md5Slots(this.#instance);
  #chip: WasmSectorStore | undefined;

  crc32(data: Uint8Array, crc = 0xffffffff): number {
    let state = crc;
    for (let done = 0; done < data.length; ) {
      const length = this.#instance.lend(data, done);
      state = this.#instance.exports.crc32(this.#instance.transfer, length, state);
      done += length;
    }
    return state >>> 0;
  }

  md5(): Md5Stream {
    return new WasmMd5(this.#slots);
  }

  md5x4(inputs: readonly Uint8Array[]): Uint8Array[] {
    return md5x4(this.#instance, inputs);
  }

  createChip(capacityBytes: number): SectorStore {
    if (this.#chip)
      throw new Error(`createChip: this instance has a chip of ${this.#chip.capacityBytes} bytes already`);
    this.#chip = new WasmSectorStore(this.#instance, capacityBytes);
    return this.#chip;
  }
}

/**
 * One instance of the kernels, with its own linear memory. Synchronous.
 *
 * @example
 * const kernels = loadKernels();
 * kernels.crc32(new TextEncoder().encode('123456789')); // 0x0376e6e7
 */
export function loadKernels(): Kernels {
  return new WasmKernels();
}
