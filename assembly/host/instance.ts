/** One instance of the WASM module as TypeScript sees it: the export list of `assembly/index.ts` and a current view. */

/** The parts of the WebAssembly API in use; Node's type packages leave them to the DOM library. */
interface WasmGlobal {
  readonly value: unknown;
}
interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
/** A compiled module; opaque, and may be sent to a worker. */
export interface WasmModule {
  readonly [Symbol.toStringTag]: string;
}
declare const WebAssembly: {
  Module: {
    new (bytes: Uint8Array): WasmModule;
    imports(module: WasmModule): { module: string; name: string }[];
  };
  Instance: new (module: WasmModule, imports: Record<string, Record<string, unknown>>) => { readonly exports: object };
  Memory: new (size: { initial: number; maximum: number }) => WasmMemory;
  RuntimeError: ErrorConstructor;
};

/** Compiles a module; throws when the bytes are not one. */
export const compileKernels = (bytes: Uint8Array): WasmModule => new WebAssembly.Module(bytes);

/** A kernel executed `unreachable`: what it was asked needs more memory than there is. */
export const isTrap = (error: unknown): boolean => error instanceof WebAssembly.RuntimeError;

/** The module's exports. Addresses and counts are numbers; results that are words come back signed. */
export interface KernelExports {
  readonly FIXED_END: WasmGlobal;
  readonly MD5_SLOTS: WasmGlobal;
  readonly MD5_SLOT_BYTES: WasmGlobal;
  readonly MD5_SLOT_COUNT: WasmGlobal;
  readonly MD5X4_STATE: WasmGlobal;
  readonly TRANSFER: WasmGlobal;
  readonly TRANSFER_BYTES: WasmGlobal;
  prepareCrc32(): void;
  crc32(at: number, length: number, crc: number): number;
  md5Start(state: number): void;
  md5Blocks(state: number, at: number, count: number): void;
  md5Update(state: number, at: number, length: number): void;
  md5Finish(state: number): void;
  md5x4Start(): void;
  md5x4Blocks(
    at0: number,
    at1: number,
    at2: number,
    at3: number,
    count0: number,
    count1: number,
    count2: number,
    count3: number,
  ): void;
  norProgram(target: number, source: number, length: number): number;
  norErase(target: number, length: number): void;
  copyBytes(target: number, source: number, length: number): void;
  isBlank(at: number, length: number): number;
  equalBytes(left: number, right: number, length: number): number;
  storePlace(tableAt: number, marksAt: number, baseAt: number, arenaAt: number, sectors: number): void;
  storeFork(): number;
  storeDrop(): void;
  storeCommit(): void;
  storeTouchedCount(): number;
  storeTouched(index: number): number;
  storeAt(address: number): number;
  storeRun(address: number, length: number): number;
  storeRead(address: number, target: number, length: number): void;
  storeProgram(address: number, source: number, length: number): number;
  storeOverwrite(address: number, source: number, length: number): void;
  storeErase(sector: number): void;
  storeCopySector(from: number, to: number): void;
  storeIsBlank(address: number, length: number): number;
  storeEquals(address: number, other: number, length: number): number;
  storeCrc32(address: number, length: number, crc: number): number;
  storeMd5Update(state: number, address: number, length: number): void;
  tableFork(from: number, to: number, sectors: number): void;
  tableCopy(table: number, source: number, destination: number, count: number, compareFirst: number): number;
  tableDifference(left: number, right: number, count: number): number;
  tableCrc(table: number, first: number, count: number, crcs: number, shift: number, crc: number): number;
}

/** Linear memory grows in these units. */
const WASM_PAGE_BYTES = 0x10000;
/** How far linear memory may grow: room for 63 branches of a 16 MiB chip that each changed every sector. */
const MAXIMUM_BYTES = 0x40000000;

/** An instance with its memory. The view {@link KernelInstance.bytes} is taken afresh after anything that may grow it. */
export class KernelInstance {
  readonly exports: KernelExports;
  readonly memory: WasmMemory;
  /** Where the host puts bytes for a kernel, and how many fit. */
  readonly transfer: number;
  readonly transferBytes: number;
  #view: Uint8Array<ArrayBuffer>;

  constructor(module: WasmModule, maximumBytes = MAXIMUM_BYTES) {
    const imports = WebAssembly.Module.imports(module);
    if (imports.some(({ module: from, name }) => from !== 'env' || (name !== 'memory' && name !== 'abort'))) {
      throw new Error(`the kernels import ${imports.map(({ module: from, name }) => `${from}.${name}`).join(', ')}`);
    }
    this.memory = new WebAssembly.Memory({ initial: 2, maximum: Math.ceil(maximumBytes / WASM_PAGE_BYTES) });
    const abort = (_message: number, _file: number, line: number, column: number) => {
      throw new Error(`assertion failed in a kernel, line ${line}:${column}`);
    };
    const instance = new WebAssembly.Instance(module, { env: { memory: this.memory, abort } });
    this.exports = instance.exports as unknown as KernelExports;
    this.transfer = this.exports.TRANSFER.value as number;
    this.transferBytes = this.exports.TRANSFER_BYTES.value as number;
    this.reserve(this.exports.FIXED_END.value as number);
    this.#view = new Uint8Array(this.memory.buffer);
    this.exports.prepareCrc32();
  }

  /** All of linear memory. A view that was detached because memory grew has no length, which is cheap to see. */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#view.length === 0) this.#view = new Uint8Array(this.memory.buffer);
    return this.#view;
  }

  /** Makes sure that memory reaches to `end`. Throws RangeError when the engine will not give that much. */
  reserve(end: number): void {
    const missing = end - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / WASM_PAGE_BYTES));
  }

  /** Puts at most one transfer region of `data`, from `offset` on, where kernels can read it; returns how many bytes. */
  lend(data: Uint8Array, offset: number): number {
    const length = Math.min(data.length - offset, this.transferBytes);
    this.bytes.set(length === data.length ? data : data.subarray(offset, offset + length), this.transfer);
    return length;
  }
}
