/**
 * Code on the LX106 with the mask ROM and the devices around it: runs until it jumps away, resets, faults or hangs.
 * Everything that takes time or can fail goes out as a request. Source: spec chapter 07 §3 to §5, §7.
 */
import type { Lx106, Lx106Devices } from '../../assembly/host/lx106.ts';
import { BOOT_STACK, IRAM_BASE, IRAM_BYTES, ROM_BASE, ROM_BYTES } from '../memory-map.ts';
import type { RomResult } from '../rom-spi.ts';
import { RomFault } from './cpu-memory.ts';
import { goesRound } from './endless.ts';
import { type PeripheralOptions, Peripherals } from './peripherals.ts';
import type { NativeRequest, NativeRequests } from './requests.ts';
import {
  DEBUG_VECTOR,
  ISR_RETURN,
  type RomFunction,
  RUN_USER_CODE,
  romFunctionAt,
  USER_CODE_RETURN,
} from './rom-entries.ts';
import { type RomHost, RomReset, RomService } from './rom-service.ts';

const PS_UM = 0x20;
const PS_INTLEVEL = 0x0f;
const SYSCALL = 1;
const LEVEL1_INTERRUPT = 4;
const SYSCALL_BYTES = 3;
const FETCH_ERROR = 2;
const FETCH_PROHIBITED = 20;
const UART_INTERRUPT = 5;
const ISR_FRAME_BYTES = 256;
/** Instructions between two chances to breathe: a tenth of a second, or less. */
const SLICE_STEPS = 10_000_000;
const FIRST_SLICE_STEPS = 1_000_000;
/** Reads up to this size may be an image header, whose second word is the entry. */
const HEADER_READ_BYTES = 64;
const IMAGE_MAGIC = 0xe9;
/** Addresses that a header named as entry; of more, the oldest give way. */
const ENTRIES_KEPT = 64;

/** Why code stopped. */
export type NativeStop =
  /** A jump away from its own code with the boot stack: into an application. */
  | { readonly stop: 'left'; readonly pc: number }
  | { readonly stop: 'reset' }
  | { readonly stop: 'exception'; readonly cause: number; readonly epc1: number; readonly excvaddr: number }
  /** It never ends, or what it called is not modelled. */
  | { readonly stop: 'hang'; readonly reason: HangReason; readonly pc: number }
  /** Back in the ROM's main routine: `user` prints `user code done`; `run-flash` boots the flash image. */
  | { readonly stop: 'returned'; readonly to: 'user' | 'run-flash' };

/**
 * `budget`: the step limit; `loop`: a loop that cannot end; `waiti`: asleep for ever; `break`: in the ROM's debug vector;
 * `rom-call`: a ROM function that is not served; `watchdog`: the watchdog would have bitten.
 */
export type HangReason = 'budget' | 'loop' | 'waiti' | 'break' | 'rom-call' | 'watchdog';

export interface NativeMachineOptions extends Omit<PeripheralOptions, 'transmit'> {
  readonly host: RomHost;
  readonly maxSteps: number;
  /** Asked after each slice: the hardware watchdog has been hungry for that long. */
  readonly watchdogBites?: (() => boolean) | undefined;
  /** A loop that cannot end by itself waits for the host on UART0: `slice` requests with `idle`. Else it is a hang. */
  readonly waits?: boolean;
  /** Instructions between two chances to breathe. */
  readonly sliceSteps?: number;
  /** Sees every ROM function that is called; for traces. */
  readonly onRomCall?: ((name: RomFunction, registers: Uint32Array) => void) | undefined;
}

/** Who looks over the machine's shoulder. May change between two requests. */
export interface MachineDebugger {
  /** Addresses before which the machine halts. */
  readonly breakpoints: ReadonlySet<number>;
  /** Instructions until it halts. */
  budget: number;
  /** It stands still, and makes a request of the kind `slice` before it goes on: the driver may hold that. */
  halted(reason: 'breakpoint' | 'step'): void;
}

/** A core whose devices can be changed: one core serves many starts. */
export class CpuSocket implements Lx106Devices {
  readonly cpu: Lx106;
  private devices: Lx106Devices | undefined;

  constructor(create: (options: { devices: Lx106Devices; romTraps: true }) => Lx106) {
    this.cpu = create({ devices: this, romTraps: true });
  }

  plug(devices: Lx106Devices): void {
    this.devices = devices;
  }

  load(address: number, size: 1 | 2 | 4): number {
    return this.devices?.load(address, size) ?? 0;
  }

  store(address: number, value: number, size: 1 | 2 | 4): boolean {
    return this.devices?.store(address, value, size) ?? true;
  }
}

interface SavedContext {
  readonly registers: Uint32Array;
  readonly pc: number;
  readonly ps: number;
  readonly sar: number;
}

export class NativeMachine {
  readonly cpu: Lx106;
  readonly peripherals: Peripherals;
  readonly rom: RomService;
  /** Flash address of the read that last brought each possible entry. */
  readonly headers = new Map<number, number>();
  debug: MachineDebugger | undefined;
  private readonly watched = new Set<number>();
  /** Breakpoints of the debugger that the core has. */
  private readonly set = new Set<number>();
  private saved: SavedContext | undefined;
  private firstStep = 0;
  private fed = 0;

  constructor(
    socket: CpuSocket,
    private readonly options: NativeMachineOptions,
  ) {
    this.cpu = socket.cpu;
    this.peripherals = new Peripherals({
      ...options,
      transmit: (byte) => options.host.transmit(String.fromCharCode(byte)),
    });
    socket.plug(this.peripherals);
    this.rom = new RomService(this.cpu, this.peripherals, options.host);
  }

  /** The state in which the ROM jumps to an image. RAM is the caller's. */
  start(entry: number): void {
    const { cpu } = this;
    cpu.reset('chip');
    cpu.stopOnException = true;
    cpu.registers.fill(0);
    cpu.registers[0] = USER_CODE_RETURN;
    cpu.registers[1] = BOOT_STACK;
    cpu.registers[2] = entry;
    cpu.special.set('ps', PS_UM);
    cpu.pc = entry;
    this.firstStep = cpu.steps;
    this.fed = cpu.steps;
  }

  /** Instructions since the start. */
  get steps(): number {
    return this.cpu.steps - this.firstStep;
  }

  /** Steps since the watchdog was fed. */
  get hungrySteps(): number {
    return this.cpu.steps - this.fed;
  }

  feedWatchdog(): void {
    this.fed = this.cpu.steps;
  }

  /** Runs to the end. Breakpoints that were set are left behind no longer than that. */
  *run(): NativeRequests<NativeStop> {
    try {
      return yield* this.loop();
    } finally {
      for (const address of [...this.watched, ...this.set]) this.cpu.breakpoints.delete(address);
      this.watched.clear();
      this.set.clear();
    }
  }

  private *loop(): NativeRequests<NativeStop> {
    const { cpu, options } = this;
    const usual = options.sliceSteps ?? SLICE_STEPS;
    let slice = Math.min(FIRST_SLICE_STEPS, usual);
    for (;;) {
      const left = Math.min(options.maxSteps - this.steps, slice);
      if (left <= 0) return { stop: 'hang', reason: 'budget', pc: cpu.pc };
      cpu.setInterruptLine(UART_INTERRUPT, this.peripherals.uart.interrupt);
      const { reason, steps } = this.debug ? yield* this.watchedRun(this.debug, left) : cpu.run({ maxSteps: left });
      switch (reason) {
        case 'budget':
          if (steps < slice) break;
          yield { op: 'slice', steps };
          if (this.idles()) {
            if (!options.waits) return { stop: 'hang', reason: 'loop', pc: cpu.pc };
            yield { op: 'slice', steps: 0, idle: true };
          }
          if (options.watchdogBites?.()) return { stop: 'hang', reason: 'watchdog', pc: cpu.pc };
          slice = usual;
          break;
        case 'breakpoint':
          if (this.watched.has(cpu.pc) && cpu.registers[1] === BOOT_STACK) return { stop: 'left', pc: cpu.pc };
          break;
        case 'waiting':
          return { stop: 'hang', reason: 'waiti', pc: cpu.pc };
        case 'exception': {
          const stop = this.exception();
          if (stop) return stop;
          break;
        }
        case 'trap': {
          const request = this.flashRequest();
          if (request) {
            const result: RomResult = yield request;
            if (request.op === 'read' && result === 0) this.lookAtRead(request.address, request.target);
            cpu.registers[2] = result;
            cpu.pc = cpu.registers[0]!;
            break;
          }
          const stop = yield* this.trap();
          if (stop) return stop;
          break;
        }
        default:
          return reason satisfies never;
      }
    }
  }

  /** The code goes round, and only something from outside can change that. */
  private idles(): boolean {
    const { cpu, peripherals } = this;
    const mayWake = cpu.special.get('intenable') !== 0;
    if (this.options.waits ? peripherals.uart.waiting > 0 : mayWake) return false;
    return goesRound(cpu, () => peripherals.activity);
  }

  /** As `cpu.run`, with a debugger: halts first where it wants that. */
  private *watchedRun(debug: MachineDebugger, maxSteps: number): NativeRequests<ReturnType<Lx106['run']>> {
    const { cpu } = this;
    if (debug.budget <= 0) {
      debug.halted('step');
      yield { op: 'slice', steps: 0 };
    }
    for (const address of this.set) {
      if (debug.breakpoints.has(address)) continue;
      this.set.delete(address);
      if (!this.watched.has(address)) cpu.breakpoints.delete(address);
    }
    for (const address of debug.breakpoints) {
      this.set.add(address);
      cpu.breakpoints.add(address);
    }
    const stop = cpu.run({ maxSteps: Math.max(1, Math.min(maxSteps, debug.budget)) });
    debug.budget -= stop.steps;
    if (stop.reason === 'breakpoint' && this.set.has(cpu.pc)) {
      debug.halted('breakpoint');
      yield { op: 'slice', steps: 0 };
    }
    return stop;
  }

  /** What a function of the flash asks for, when it does nothing else. */
  private flashRequest(): NativeRequest | undefined {
    const { cpu, rom } = this;
    const name = inRom(cpu.pc) ? romFunctionAt(cpu.pc) : undefined;
    const request = name && rom.flashRequest(name);
    if (!request) return undefined;
    rom.calls++;
    this.options.onRomCall?.(name, cpu.registers);
    return request;
  }

  /** pc is in the ROM, or a store waits for its deed. */
  private *trap(): NativeRequests<NativeStop | undefined> {
    const { cpu, peripherals } = this;
    try {
      if (!inRom(cpu.pc)) {
        const { deed } = peripherals;
        if (deed) yield* this.watch(this.rom.perform(deed));
        peripherals.complete();
        return undefined;
      }
      const name = romFunctionAt(cpu.pc);
      if (name !== undefined) {
        this.options.onRomCall?.(name, cpu.registers);
        const result = yield* this.watch(this.rom.serve(name));
        if (result !== undefined) cpu.registers[2] = result;
        cpu.pc = cpu.registers[0]!;
        return undefined;
      }
      return this.otherRomAddress(cpu.pc);
    } catch (error) {
      if (error instanceof RomReset) return { stop: 'reset' };
      if (!(error instanceof RomFault)) throw error;
      const epc1 = error.at ?? cpu.pc;
      const excvaddr = error.address ?? cpu.special.get('excvaddr');
      return { stop: 'exception', cause: error.cause, epc1, excvaddr };
    }
  }

  private otherRomAddress(pc: number): NativeStop | undefined {
    switch (pc) {
      case ISR_RETURN:
        if (this.saved) {
          this.resume(this.saved);
          return undefined;
        }
        break;
      case USER_CODE_RETURN:
        return { stop: 'returned', to: 'user' };
      case RUN_USER_CODE:
        return { stop: 'returned', to: 'run-flash' };
      case DEBUG_VECTOR:
        return { stop: 'hang', reason: 'break', pc: this.cpu.special.get('epc2') };
      default:
    }
    // An application whose entry lies in the ROM; a bootloader that calls a function has something on the stack.
    if (this.cpu.registers[1] === BOOT_STACK) return { stop: 'left', pc };
    return { stop: 'hang', reason: 'rom-call', pc };
  }

  /** The CPU is at an exception vector. Undefined: it goes on. */
  private exception(): NativeStop | undefined {
    const { cpu } = this;
    const cause = cpu.special.get('exccause');
    // Vectors of its own are the code's own business.
    if (!inRom(cpu.pc)) return undefined;
    if (cause === LEVEL1_INTERRUPT && this.interrupt()) return undefined;
    const epc1 = cpu.special.get('epc1');
    if (cause === SYSCALL) {
      // The ROM's handler skips it.
      cpu.registers[2] = 0xffffffff;
      cpu.special.set('ps', cpu.special.get('ps') & ~0x10);
      cpu.pc = (epc1 + SYSCALL_BYTES) >>> 0;
      return undefined;
    }
    const excvaddr = cpu.special.get('excvaddr');
    const fetch = cause === FETCH_ERROR || cause === FETCH_PROHIBITED;
    if (fetch && cpu.registers[1] === BOOT_STACK) return { stop: 'left', pc: epc1 };
    return { stop: 'exception', cause, epc1, excvaddr };
  }

  /** Calls the attached handler as the ROM's dispatcher does. False when there is none. */
  private interrupt(): boolean {
    const { cpu } = this;
    const pending = cpu.special.get('interrupt') & cpu.special.get('intenable');
    const line = this.rom.handlers.findIndex((candidate, index) => candidate && pending & (1 << index));
    const handler = this.rom.handlers[line];
    if (!handler || this.saved) return false;
    const ps = cpu.special.get('ps') & ~0x10;
    this.saved = {
      registers: cpu.registers.slice(),
      pc: cpu.special.get('epc1'),
      ps,
      sar: cpu.special.get('sar'),
    };
    const frame = (cpu.registers[1]! - ISR_FRAME_BYTES) >>> 0;
    cpu.registers[0] = ISR_RETURN;
    cpu.registers[1] = frame;
    cpu.registers[2] = handler.argument;
    cpu.registers[3] = frame;
    // The ROM holds interrupts off by a mask; here the level does it, so that the mask is the handler's to change.
    cpu.special.set('ps', (ps & ~PS_INTLEVEL) | 1);
    cpu.pc = handler.address;
    return true;
  }

  private resume(saved: SavedContext): void {
    const { cpu } = this;
    this.saved = undefined;
    cpu.registers.set(saved.registers);
    cpu.special.set('sar', saved.sar);
    cpu.special.set('ps', saved.ps);
    cpu.pc = saved.pc;
  }

  /** Passes requests on, and looks at what reads bring: the entry of an image may be among it. */
  private *watch<T>(requests: NativeRequests<T>): NativeRequests<T> {
    let result: RomResult = 0;
    for (;;) {
      const step = requests.next(result);
      if (step.done) return step.value;
      const request: NativeRequest = step.value;
      result = yield request;
      if (request.op === 'read' && result === 0) this.lookAtRead(request.address, request.target);
    }
  }

  private lookAtRead(address: number, bytes: Uint8Array): void {
    if (bytes.length < 8 || (bytes.length > HEADER_READ_BYTES && bytes[0] !== IMAGE_MAGIC)) return;
    const entry = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
    this.headers.delete(entry);
    this.headers.set(entry, address);
    if (entry >= IRAM_BASE && entry < IRAM_BASE + IRAM_BYTES && !this.ownCode(entry)) {
      this.watched.add(entry);
      this.cpu.breakpoints.add(entry);
    }
    if (this.headers.size <= ENTRIES_KEPT) return;
    const oldest = this.headers.keys().next().value!;
    this.headers.delete(oldest);
    if (this.watched.delete(oldest)) this.cpu.breakpoints.delete(oldest);
  }

  /** Where the running code lies itself; a jump there is none into an application. */
  ownCode: (address: number) => boolean = () => false;
}

const inRom = (address: number): boolean => address >= ROM_BASE && address < ROM_BASE + ROM_BYTES;
