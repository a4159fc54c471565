/** The LX106 core in WASM, as `lx106.ts` describes it. */
import type { WasmModule } from './instance.ts';
import { lx106Module } from './load.ts';
import {
  DRAM_BYTES,
  DRAM_START,
  IRAM_BYTES,
  IRAM_START,
  type Lx106,
  type Lx106Options,
  type Lx106State,
  type StopReason,
} from './lx106.ts';
import { specialNumber } from './lx106-special.ts';

/** The parts of the WebAssembly API in use; Node's type packages leave them to the DOM library. */
declare const WebAssembly: {
  Instance: new (module: WasmModule, imports: Record<string, Record<string, unknown>>) => { readonly exports: object };
  Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

interface WasmGlobal {
  readonly value: number;
}

/** The module's exports, see `assembly/lx106/index.ts`. */
interface Lx106Exports {
  readonly CORE: WasmGlobal;
  readonly CORE_BYTES: WasmGlobal;
  readonly DRAM: WasmGlobal;
  readonly END: WasmGlobal;
  readonly IRAM: WasmGlobal;
  readonly PC: WasmGlobal;
  readonly REGISTERS: WasmGlobal;
  readonly REPORTED: WasmGlobal;
  readonly STEPS: WasmGlobal;
  readonly TRANSFER: WasmGlobal;
  readonly WAITING: WasmGlobal;
  prepare(hasDevices: boolean, romTraps: boolean): void;
  resetZero(): void;
  resetChip(): void;
  getSpecial(number: number): number;
  setSpecialFromHost(number: number, value: number): void;
  setLine(line: number, level: boolean): void;
  changed(offset: number, length: number): void;
  setBreakpoint(offset: number, on: boolean): void;
  restoreIram(source: number): void;
  run(budget: number, stopOnException: boolean): number;
  step(): number;
}

/** How `run` and `step` end: `Status` of `assembly/lx106/state.ts`. */
const EXCEPTION = 2;
const WAITING = 3;
const BREAKPOINT = 4;
const TRAP = 5;
const BUDGET = 6;
const REASONS: readonly (StopReason | undefined)[] = [
  undefined,
  undefined,
  'exception',
  'waiting',
  'breakpoint',
  'trap',
  'budget',
];

/** What the module's regions take; `END` of `assembly/lx106/layout.ts` in WASM pages. */
const MEMORY_PAGES = 12;

/**
 * Instructions in one call of the module. V8 replaces its first, slow code of a function only when it is called again, so
 * the first calls are short.
 */
const FIRST_CHUNK = 20_000;
const MOST_CHUNK = 20_000_000;

/** `run` without `maxSteps`. */
const DEFAULT_MAX_STEPS = 1_000_000_000;

/** Tells the core of each breakpoint in IRAM as it comes and goes. */
class Breakpoints extends Set<number> {
  readonly #changed: (address: number, on: boolean) => void;

  constructor(changed: (address: number, on: boolean) => void) {
    super();
    this.#changed = changed;
  }

  override add(address: number): this {
    super.add(address);
    this.#changed(address, true);
    return this;
  }

  override delete(address: number): boolean {
    const was = super.delete(address);
    if (was) this.#changed(address, false);
    return was;
  }

  override clear(): void {
    for (const address of [...this]) this.delete(address);
  }
}

class WasmLx106 implements Lx106 {
  readonly registers: Uint32Array;
  readonly breakpoints: Set<number>;
  readonly special: Lx106['special'];
  stopOnException = true;
  readonly #exports: Lx106Exports;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #data: DataView;
  readonly #core: number;
  readonly #coreBytes: number;
  readonly #dram: number;
  readonly #iram: number;
  readonly #pc: number;
  readonly #stepsAt: number;
  readonly #romTraps: boolean;
  #chunk = FIRST_CHUNK;
  /** A breakpoint in the mask ROM that has just been reported. */
  #reported: number | undefined;

  constructor(options: Lx106Options) {
    const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
    const { devices } = options;
    const { exports } = new WebAssembly.Instance(lx106Module(), {
      env: {
        memory,
        deviceLoad: (address: number, size: number) => devices?.load(address >>> 0, size as 1 | 2 | 4) ?? 0,
        deviceStore: (address: number, value: number, size: number) =>
          devices?.store(address >>> 0, value >>> 0, size as 1 | 2 | 4) ?? true,
        abort: (_message: number, _file: number, line: number, column: number) => {
          throw new Error(`assertion failed in the LX106 core, line ${line}:${column}`);
        },
      },
    });
    const core = exports as unknown as Lx106Exports;
    if (core.END.value > memory.buffer.byteLength) throw new Error(`the LX106 core needs ${core.END.value} bytes`);
    this.#exports = core;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#data = new DataView(memory.buffer);
    this.#core = core.CORE.value;
    this.#coreBytes = core.CORE_BYTES.value;
    this.#dram = core.DRAM.value;
    this.#iram = core.IRAM.value;
    this.#pc = core.PC.value >>> 2;
    this.#stepsAt = core.STEPS.value;
    this.#romTraps = options.romTraps ?? false;
    this.registers = new Uint32Array(memory.buffer, core.REGISTERS.value, 16);
    this.special = {
      get: (name) => core.getSpecial(specialNumber(name)) >>> 0,
      set: (name, value) => core.setSpecialFromHost(specialNumber(name), value),
    };
    this.breakpoints = new Breakpoints((address, on) => {
      if (!this.#isOutside(address)) core.setBreakpoint(address - IRAM_START, on);
    });
    core.prepare(devices !== undefined, this.#romTraps);
  }

  get pc(): number {
    return this.#words[this.#pc]!;
  }

  set pc(address: number) {
    this.#words[this.#pc] = address;
    this.#words[this.#exports.WAITING.value >>> 2] = 0;
    this.#words[this.#exports.REPORTED.value >>> 2] = 0;
    this.#reported = undefined;
  }

  get steps(): number {
    return this.#data.getFloat64(this.#stepsAt, true);
  }

  reset(kind: 'zero' | 'chip' = 'zero'): void {
    this.#reported = undefined;
    if (kind === 'zero') this.#exports.resetZero();
    else this.#exports.resetChip();
  }

  readWord(address: number): number {
    return this.#data.getUint32(this.#at(address, 4), true);
  }

  writeWord(address: number, value: number): void {
    this.#data.setUint32(this.#at(address, 4), value, true);
    this.#changed(address, 4);
  }

  readByte(address: number): number {
    return this.#bytes[this.#at(address, 1)]!;
  }

  writeByte(address: number, value: number): void {
    this.#bytes[this.#at(address, 1)] = value;
    this.#changed(address, 1);
  }

  readBytes(address: number, length: number): Uint8Array {
    const at = this.#at(address, length);
    return this.#bytes.slice(at, at + length);
  }

  readInto(address: number, target: Uint8Array): void {
    const at = this.#at(address, target.length);
    target.set(this.#bytes.subarray(at, at + target.length));
  }

  writeBytes(address: number, data: Uint8Array): void {
    this.#bytes.set(data, this.#at(address, data.length));
    this.#changed(address, data.length);
  }

  view(address: number, length: number): Uint8Array {
    const at = this.#at(address, length);
    if (address >= IRAM_START) throw new RangeError(`view: 0x${address.toString(16)} is not in DRAM`);
    return this.#bytes.subarray(at, at + length);
  }

  writeRam(dram: Uint8Array, iram: Uint8Array): void {
    if (dram.length !== DRAM_BYTES || iram.length !== IRAM_BYTES) {
      throw new RangeError(
        `writeRam: wants ${DRAM_BYTES} and ${IRAM_BYTES} bytes, got ${dram.length} and ${iram.length}`,
      );
    }
    this.#bytes.set(dram, this.#dram);
    const transfer = this.#exports.TRANSFER.value;
    this.#bytes.set(iram, transfer);
    this.#exports.restoreIram(transfer);
  }

  step(): undefined | { exception: number } | { waiting: true } {
    this.#reported = undefined;
    const status = this.#exports.step();
    if (status === EXCEPTION) return { exception: this.special.get('exccause') };
    return status === WAITING ? { waiting: true } : undefined;
  }

  run(options: { maxSteps?: number } = {}): { reason: StopReason; steps: number } {
    const { maxSteps = DEFAULT_MAX_STEPS } = options;
    if (!(maxSteps >= 0)) throw new RangeError(`run: maxSteps is a count from 0, not ${maxSteps}`);
    const before = this.steps;
    const end = before + Math.floor(maxSteps);
    const passed = this.#reported;
    this.#reported = undefined;
    let status = BUDGET;
    for (let now = before; now < end && status === BUDGET; ) {
      const chunk = Math.min(end - now, this.#chunk);
      status = this.#exports.run(chunk, this.stopOnException);
      now = this.steps;
      if (chunk === this.#chunk && chunk < MOST_CHUNK) this.#chunk *= 2;
    }
    // The core itself knows the breakpoints in IRAM; in the mask ROM it always comes back.
    if (status === TRAP && this.breakpoints.has(this.pc) && this.#isOutside(this.pc)) {
      if (passed !== this.pc || this.steps !== before) {
        this.#reported = this.pc;
        status = BREAKPOINT;
      }
    }
    return { reason: REASONS[status] ?? 'budget', steps: this.steps - before };
  }

  setInterruptLine(line: number, level: boolean): void {
    if (!Number.isInteger(line) || line < 0 || line > 14 || line === 6 || line === 7) {
      throw new RangeError(`setInterruptLine: lines are 0..5 and 8..14, not ${line}`);
    }
    this.#exports.setLine(line, level);
  }

  snapshot(): Lx106State {
    const words = this.#core >>> 2;
    return {
      core: this.#words.slice(words, words + (this.#coreBytes >>> 2)),
      dram: this.#bytes.slice(this.#dram, this.#dram + DRAM_BYTES),
      iram: this.#bytes.slice(this.#iram, this.#iram + IRAM_BYTES),
    };
  }

  restore(state: Lx106State): void {
    if (state.core.length !== this.#coreBytes >>> 2) throw new RangeError('restore: a state of another implementation');
    this.#reported = undefined;
    this.#words.set(state.core, this.#core >>> 2);
    this.writeRam(state.dram, state.iram);
  }

  /** Where `length` bytes of RAM lie in linear memory. */
  #at(address: number, length: number): number {
    if (address >= DRAM_START && address + length <= DRAM_START + DRAM_BYTES) return address - DRAM_START + this.#dram;
    if (address >= IRAM_START && address + length <= IRAM_START + IRAM_BYTES) return address - IRAM_START + this.#iram;
    const range = `0x${address.toString(16)} + ${length}`;
    throw new RangeError(`no RAM at ${range}: DRAM is 0x3ffe8000 + 98304, IRAM 0x40100000 + 65536`);
  }

  /** Decoded instructions follow their bytes. */
  #changed(address: number, length: number): void {
    if (address >= IRAM_START) this.#exports.changed(address - IRAM_START, length);
  }

  #isOutside(address: number): boolean {
    return address < IRAM_START || address >= IRAM_START + IRAM_BYTES;
  }
}

/** A core in WASM with its own memory. Synchronous; the module is read and compiled at the first call. */
export function wasmLx106(options: Lx106Options = {}): Lx106 {
  return new WasmLx106(options);
}
