/**
 * The LX106 core, written to be read: one instruction at a time, no decoded code, plain arrays. The oracle of the
 * WebAssembly core, the fallback where that cannot be loaded, and its rival in the benchmark. Source: spec chapter 07
 * §1 to §4 (section numbers below are of that chapter);
 * `lx106.ts` for what it leaves open.
 */
import {
  DRAM_BYTES,
  DRAM_START,
  IRAM_BYTES,
  IRAM_START,
  type Lx106,
  type Lx106Devices,
  type Lx106Options,
  type Lx106State,
  ROM_BYTES,
  ROM_START,
  type StopReason,
} from './lx106.ts';

const DRAM_END = DRAM_START + DRAM_BYTES;
const IRAM_END = IRAM_START + IRAM_BYTES;
const ROM_END = ROM_START + ROM_BYTES;
/** Data and instruction accesses below are refused by the region attributes that the ROM sets. */
const REGION_1 = 0x20000000;

/** EXCCAUSE values, §3. */
const ILLEGAL_INSTRUCTION = 0;
const SYSCALL = 1;
const FETCH_ERROR = 2;
const LOAD_STORE_ERROR = 3;
const LEVEL1_INTERRUPT = 4;
const ALIGNMENT = 9;
const FETCH_PROHIBITED = 20;
const LOAD_PROHIBITED = 28;
const STORE_PROHIBITED = 29;

const PS_INTLEVEL = 0x0f;
const PS_EXCM = 0x10;
const PS_UM = 0x20;
const PS_BITS = 0x3f;

const VECTOR_DEBUG = 0x10;
const VECTOR_NMI = 0x20;
const VECTOR_KERNEL = 0x30;
const VECTOR_USER = 0x50;
const VECTOR_DOUBLE = 0x70;
const RESET_VECTOR = 0x40000080;

const INTERRUPT_LEVEL1 = 0x3fff;
const INTERRUPT_NMI = 1 << 14;
const INTERRUPT_ALL = 0x7fff;
const INTERRUPT_TIMER = 1 << 6;
const INTERRUPT_SOFTWARE = 1 << 7;
/** Held by the core until INTCLEAR: software, edge and NMI. The others follow their line. */
const INTERRUPT_LATCHED = INTERRUPT_SOFTWARE | 0x3f00 | INTERRUPT_NMI;
const INTERRUPT_CLEARABLE = INTERRUPT_SOFTWARE | 0x3f00;

const B4CONST = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];
const B4CONSTU = [32768, 65536, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];

type Access = 'read-write' | 'read' | 'write';

/** Special registers by number: name, bits that exist, access. §1. */
const SPECIAL: Readonly<Record<number, readonly [name: string, mask: number, access?: Access]>> = {
  3: ['sar', 0x3f],
  5: ['litbase', 0xffffffff],
  96: ['ibreakenable', 0xffffffff],
  104: ['ddr', 0xffffffff],
  128: ['ibreaka0', 0xffffffff],
  144: ['dbreaka0', 0xffffffff],
  160: ['dbreakc0', 0xffffffff],
  176: ['configid0', 0xffffffff, 'read'],
  177: ['epc1', 0xffffffff],
  178: ['epc2', 0xffffffff],
  179: ['epc3', 0xffffffff],
  192: ['depc', 0xffffffff],
  194: ['eps2', 0xffffffff],
  195: ['eps3', 0xffffffff],
  208: ['configid1', 0xffffffff, 'read'],
  209: ['excsave1', 0xffffffff],
  210: ['excsave2', 0xffffffff],
  211: ['excsave3', 0xffffffff],
  226: ['interrupt', 0xffffffff],
  227: ['intclear', 0xffffffff, 'write'],
  228: ['intenable', INTERRUPT_ALL],
  230: ['ps', PS_BITS],
  231: ['vecbase', 0xffffff00],
  232: ['exccause', 0x3f],
  233: ['debugcause', 0xffffffff, 'read'],
  234: ['ccount', 0xffffffff],
  235: ['prid', 0xffffffff, 'read'],
  236: ['icount', 0xffffffff],
  237: ['icountlevel', 0xffffffff],
  238: ['excvaddr', 0xffffffff],
  240: ['ccompare0', 0xffffffff],
};
const NUMBER_OF = new Map(Object.entries(SPECIAL).map(([number, [name]]) => [name, Number(number)]));

/** An instruction that did not happen, with EXCCAUSE and what goes to EXCVADDR. */
class Fault {
  constructor(
    readonly cause: number,
    readonly address?: number,
  ) {}
}

const DEFAULT_MAX_STEPS = 1e9;
const CYCLES_OF_A_JUMP = 2;
const CYCLES_OF_A_LOAD = 1;

/** The host refused a store; the instruction is to be tried again. */
const REFUSED = Symbol('refused');

const WAITING = { waiting: true } as const;

/** A core in pure TypeScript; the same interface and behaviour as the one in WebAssembly. */
export function referenceLx106(options: Lx106Options = {}): Lx106 {
  return new ReferenceLx106(options.devices, options.romTraps ?? false);
}

class ReferenceLx106 implements Lx106 {
  readonly registers = new Uint32Array(16);
  readonly breakpoints = new Set<number>();
  readonly special = {
    get: (name: string): number => this.readSpecial(specialNumber(name)),
    set: (name: string, value: number): void => this.pokeSpecial(specialNumber(name), value >>> 0),
  };
  stopOnException = true;

  private readonly specials = new Uint32Array(256);
  private readonly dram = new Uint8Array(DRAM_END - DRAM_START);
  private readonly iram = new Uint8Array(IRAM_END - IRAM_START);
  private readonly dramView = new DataView(this.dram.buffer);
  private readonly iramView = new DataView(this.iram.buffer);
  /** Levels of the interrupt lines, and what is latched of them. */
  private lines = 0;
  private latched = 0;
  private stepCount = 0;
  /** Address of the instruction in work; `next` is where it leads; `extraCycles` what it costs beyond one. */
  private at = 0;
  private next = 0;
  private extraCycles = 0;
  private asleep = false;
  /** Where `run` stopped at a breakpoint last: called again there, it goes on. */
  private stoppedAt = -1;

  constructor(
    private readonly devices: Lx106Devices | undefined,
    private readonly romTraps: boolean,
  ) {
    this.reset();
  }

  get steps(): number {
    return this.stepCount;
  }

  get pc(): number {
    return this.at;
  }

  set pc(address: number) {
    this.at = address >>> 0;
    this.asleep = false;
    this.stoppedAt = -1;
  }

  reset(kind: 'zero' | 'chip' = 'zero'): void {
    this.specials.fill(0);
    this.specials[176] = 0xc28cdafa;
    this.specials[208] = 0x1082b6f6;
    this.latched = 0;
    this.asleep = false;
    this.stoppedAt = -1;
    if (kind === 'zero') {
      this.registers.fill(0);
      this.dram.fill(0);
      this.iram.fill(0);
      this.lines = 0;
      this.at = 0;
      this.stepCount = 0;
    } else {
      this.specials[230] = 0x1f;
      this.specials[231] = ROM_START;
      this.at = RESET_VECTOR;
    }
  }

  // Memory as the host sees it: RAM only, any size.

  readWord(address: number): number {
    const [view, offset] = this.hostRam(address, 4);
    return view.getUint32(offset, true);
  }

  writeWord(address: number, value: number): void {
    const [view, offset] = this.hostRam(address, 4);
    view.setUint32(offset, value, true);
  }

  readByte(address: number): number {
    const [view, offset] = this.hostRam(address, 1);
    return view.getUint8(offset);
  }

  writeByte(address: number, value: number): void {
    const [view, offset] = this.hostRam(address, 1);
    view.setUint8(offset, value);
  }

  readBytes(address: number, length: number): Uint8Array {
    const [view, offset] = this.hostRam(address, length);
    return new Uint8Array(view.buffer).slice(offset, offset + length);
  }

  readInto(address: number, target: Uint8Array): void {
    const [view, offset] = this.hostRam(address, target.length);
    target.set(new Uint8Array(view.buffer, offset, target.length));
  }

  writeBytes(address: number, data: Uint8Array): void {
    const [view, offset] = this.hostRam(address, data.length);
    new Uint8Array(view.buffer).set(data, offset);
  }

  view(address: number, length: number): Uint8Array {
    const [view, offset] = this.hostRam(address, length);
    if (address >= IRAM_START) throw new RangeError(`view: 0x${address.toString(16)} is not in DRAM`);
    return new Uint8Array(view.buffer, offset, length);
  }

  writeRam(dram: Uint8Array, iram: Uint8Array): void {
    if (dram.length !== DRAM_BYTES || iram.length !== IRAM_BYTES) {
      throw new RangeError(
        `writeRam: wants ${DRAM_BYTES} and ${IRAM_BYTES} bytes, got ${dram.length} and ${iram.length}`,
      );
    }
    this.writeBytes(DRAM_START, dram);
    this.writeBytes(IRAM_START, iram);
  }

  setInterruptLine(line: number, level: boolean): void {
    if (!Number.isInteger(line) || line < 0 || line > 14) {
      throw new RangeError(`interrupt line ${line}: 0 to 14 wanted`);
    }
    const bit = 1 << line;
    if (level && !(this.lines & bit)) this.latched |= bit & INTERRUPT_LATCHED;
    this.lines = level ? this.lines | bit : this.lines & ~bit;
  }

  snapshot(): Lx106State {
    const { at, stepCount, lines, latched, asleep, stoppedAt } = this;
    const high = Math.floor(stepCount / 2 ** 32);
    return {
      core: Uint32Array.of(
        ...this.registers,
        ...this.specials,
        at,
        stepCount,
        high,
        lines,
        latched,
        +asleep,
        stoppedAt,
      ),
      dram: this.dram.slice(),
      iram: this.iram.slice(),
    };
  }

  restore({ core, dram, iram }: Lx106State): void {
    this.registers.set(core.subarray(0, 16));
    this.specials.set(core.subarray(16, 272));
    const [at, low, high, lines, latched, asleep, stoppedAt] = core.subarray(272) as unknown as number[];
    this.at = at!;
    this.stepCount = high! * 2 ** 32 + low!;
    this.lines = lines!;
    this.latched = latched!;
    this.asleep = asleep === 1;
    this.stoppedAt = stoppedAt!;
    this.dram.set(dram);
    this.iram.set(iram);
  }

  step(): undefined | { exception: number } | { waiting: true } {
    this.stoppedAt = -1;
    const outcome = this.one();
    return outcome === 'trap' ? undefined : outcome;
  }

  run({ maxSteps = DEFAULT_MAX_STEPS }: { maxSteps?: number } = {}): { reason: StopReason; steps: number } {
    const first = this.stepCount;
    const stop = (reason: StopReason): { reason: StopReason; steps: number } => {
      this.stoppedAt = reason === 'breakpoint' ? this.at : -1;
      return { reason, steps: this.stepCount - first };
    };
    while (this.stepCount - first < maxSteps) {
      if (this.breakpoints.has(this.at) && this.stoppedAt !== this.at) return stop('breakpoint');
      this.stoppedAt = -1;
      const outcome = this.one();
      if (outcome === undefined) continue;
      if (outcome === 'trap') return stop('trap');
      if ('waiting' in outcome) return stop('waiting');
      if (this.stopOnException) return stop('exception');
    }
    return stop('budget');
  }

  /** One instruction, or the entry of an interrupt. */
  private one(): undefined | 'trap' | { exception: number } | { waiting: true } {
    if (this.asleep && this.dueInterrupts() === 0) this.sleepUntilTimer();
    const interrupt = this.dueInterrupts();
    if (interrupt & INTERRUPT_NMI) {
      this.asleep = false;
      this.latched &= ~INTERRUPT_NMI;
      this.enterHighLevel(3, VECTOR_NMI);
      return undefined;
    }
    if (interrupt) {
      this.asleep = false;
      this.enterException(LEVEL1_INTERRUPT);
      return { exception: LEVEL1_INTERRUPT };
    }
    if (this.asleep) return WAITING;
    if (this.romTraps && this.at >= ROM_START && this.at < ROM_END) return 'trap';
    this.extraCycles = 0;
    try {
      this.execute(this.fetch(this.at));
    } catch (error) {
      if (error === REFUSED) return 'trap';
      if (!(error instanceof Fault)) throw error;
      this.count(1);
      if (error.address !== undefined) this.specials[238] = error.address;
      this.enterException(error.cause);
      return { exception: error.cause };
    }
    this.count(1 + this.extraCycles);
    this.at = this.next >>> 0;
    return this.asleep ? WAITING : undefined;
  }

  private count(cycles: number): void {
    this.stepCount++;
    this.passCycles(cycles);
  }

  /** Interrupt 6 becomes pending when the counter reaches or steps over the compare value. */
  private passCycles(cycles: number): void {
    const before = this.specials[234]!;
    const distance = (this.specials[240]! - before) >>> 0;
    if (distance !== 0 && distance <= cycles) this.latched |= INTERRUPT_TIMER;
    this.specials[234] = before + cycles;
  }

  /** Nothing else can wake the core: time passes until the timer does, if it may. */
  private sleepUntilTimer(): void {
    const ps = this.specials[230]!;
    if (ps & (PS_INTLEVEL | PS_EXCM) || !(this.specials[228]! & INTERRUPT_TIMER)) return;
    const distance = (this.specials[240]! - this.specials[234]!) >>> 0;
    this.passCycles(distance === 0 ? 2 ** 32 : distance);
    this.latched |= INTERRUPT_TIMER;
  }

  // Exceptions and interrupts, §3.

  private enterException(cause: number): void {
    const ps = this.specials[230]!;
    let vector: number;
    if (ps & PS_EXCM) {
      this.specials[192] = this.at;
      vector = VECTOR_DOUBLE;
    } else {
      this.specials[177] = this.at;
      vector = ps & PS_UM ? VECTOR_USER : VECTOR_KERNEL;
    }
    this.specials[232] = cause;
    this.specials[230] = ps | PS_EXCM;
    this.at = (this.specials[231]! + vector) >>> 0;
  }

  /** Debug exceptions (level 2) and the NMI (level 3). */
  private enterHighLevel(level: 2 | 3, vector: number): void {
    const ps = this.specials[230]!;
    this.specials[176 + level] = this.at;
    this.specials[192 + level] = ps;
    this.specials[230] = (ps & ~PS_INTLEVEL) | level | PS_EXCM;
    this.next = (this.specials[231]! + vector) >>> 0;
    if (level === 3) this.at = this.next;
  }

  private pendingInterrupts(): number {
    return (this.lines & ~INTERRUPT_LATCHED & ~INTERRUPT_TIMER) | this.latched;
  }

  private dueInterrupts(): number {
    const pending = this.pendingInterrupts();
    if (pending === 0) return 0;
    const ps = this.specials[230]!;
    const level = ps & PS_INTLEVEL;
    if (pending & INTERRUPT_NMI && level < 3) return INTERRUPT_NMI;
    if (level > 0 || ps & PS_EXCM) return 0;
    return pending & this.specials[228]! & INTERRUPT_LEVEL1;
  }

  // Special registers, §1.

  private readSpecial(number: number): number {
    if (number === 226) return this.pendingInterrupts();
    return this.specials[number]!;
  }

  /** What WSR does; `pokeSpecial` is the same for the host, which may set everything. */
  private writeSpecial(number: number, value: number): void {
    const mask = SPECIAL[number]![1];
    switch (number) {
      case 226:
        this.latched |= value & INTERRUPT_SOFTWARE;
        return;
      case 227:
        this.latched &= ~(value & INTERRUPT_CLEARABLE);
        return;
      case 240:
        this.latched &= ~INTERRUPT_TIMER;
        break;
      default:
    }
    this.specials[number] = value & mask;
  }

  private pokeSpecial(number: number, value: number): void {
    if (number === 226) this.latched = value & (INTERRUPT_LATCHED | INTERRUPT_TIMER);
    else if (number === 227) this.writeSpecial(number, value);
    else this.specials[number] = value & SPECIAL[number]![1];
  }

  // Memory as the core sees it, §4. Alignment is looked at first.

  private fetch(pc: number): number {
    const offset = pc - IRAM_START;
    if (offset >= 0 && offset < IRAM_BYTES) {
      const word = this.iram[offset]! | (this.iram[offset + 1]! << 8);
      const end = offset + (isNarrow(word) ? 2 : 3);
      if (end <= IRAM_BYTES) return end - offset === 2 ? word : word | (this.iram[offset + 2]! << 16);
    }
    throw new Fault(pc < REGION_1 ? FETCH_PROHIBITED : FETCH_ERROR, pc);
  }

  private load(address: number, size: 1 | 2 | 4): number {
    if (address & (size - 1)) throw new Fault(ALIGNMENT, address);
    this.extraCycles += CYCLES_OF_A_LOAD;
    if (address >= DRAM_START && address < DRAM_END) {
      const offset = address - DRAM_START;
      if (size === 4) return this.dramView.getUint32(offset, true);
      return size === 2 ? this.dramView.getUint16(offset, true) : this.dram[offset]!;
    }
    if (address >= IRAM_START && address < IRAM_END) {
      if (size !== 4) throw new Fault(LOAD_STORE_ERROR, address);
      return this.iramView.getUint32(address - IRAM_START, true);
    }
    if (this.devices && (isDevice(address) || (isRom(address) && size === 4))) {
      return this.devices.load(address, size) >>> 0;
    }
    throw new Fault(this.devices && isRom(address) ? LOAD_STORE_ERROR : LOAD_PROHIBITED, address);
  }

  private store(address: number, value: number, size: 1 | 2 | 4): void {
    if (address & (size - 1)) throw new Fault(ALIGNMENT, address);
    if (address >= DRAM_START && address < DRAM_END) {
      const offset = address - DRAM_START;
      if (size === 4) this.dramView.setUint32(offset, value, true);
      else if (size === 2) this.dramView.setUint16(offset, value, true);
      else this.dram[offset] = value;
      return;
    }
    if (address >= IRAM_START && address < IRAM_END) {
      if (size !== 4) throw new Fault(LOAD_STORE_ERROR, address);
      this.iramView.setUint32(address - IRAM_START, value, true);
      return;
    }
    if (this.devices && isDevice(address)) {
      if (!this.devices.store(address, value >>> 0, size)) throw REFUSED;
      return;
    }
    throw new Fault(this.devices && isRom(address) ? LOAD_STORE_ERROR : STORE_PROHIBITED, address);
  }

  private hostRam(address: number, length: number): [view: DataView, offset: number] {
    if (address >= DRAM_START && address + length <= DRAM_END) return [this.dramView, address - DRAM_START];
    if (address >= IRAM_START && address + length <= IRAM_END) return [this.iramView, address - IRAM_START];
    throw new RangeError(`${length} bytes at 0x${(address >>> 0).toString(16)}: not inside DRAM or IRAM`);
  }

  // Instructions, §2. `w` is the instruction word, its fields named as in §2.1.

  private execute(w: number): void {
    const a = this.registers;
    const op0 = w & 15;
    const t = (w >> 4) & 15;
    const s = (w >> 8) & 15;
    const r = (w >> 12) & 15;
    const pc = this.at;
    this.next = pc + (isNarrow(op0) ? 2 : 3);
    switch (op0) {
      case 0:
        this.executeRrr(w, r, s, t);
        return;
      case 1: // L32R
        a[t] = this.load((((pc + 3) & ~3) + (((0xffff0000 | (w >> 8)) << 2) >>> 0)) >>> 0, 4);
        return;
      case 2:
        this.executeRri8(w >>> 16, r, s, t);
        return;
      case 5: {
        if (t & 3) throw new Fault(ILLEGAL_INSTRUCTION);
        a[0] = pc + 3;
        this.jump((pc & ~3) + 4 + (((w << 8) >> 14) << 2)); // CALL0
        return;
      }
      case 6:
        this.executeSi(w, r, s, t);
        return;
      case 7:
        if (this.compares(r, a[s]!, a[t]!, t)) this.jump(pc + 4 + ((w << 8) >> 24));
        return;
      case 8: // L32I.N
        a[t] = this.load((a[s]! + 4 * r) >>> 0, 4);
        return;
      case 9: // S32I.N
        this.store((a[s]! + 4 * r) >>> 0, a[t]!, 4);
        return;
      case 10: // ADD.N
        a[r] = a[s]! + a[t]!;
        return;
      case 11: // ADDI.N
        a[r] = a[s]! + (t === 0 ? -1 : t);
        return;
      case 12:
        if (t < 8) {
          const imm7 = ((t & 7) << 4) | r;
          a[s] = imm7 >= 96 ? imm7 - 128 : imm7; // MOVI.N
        } else {
          const taken = t & 4 ? a[s] !== 0 : a[s] === 0; // BNEZ.N, BEQZ.N
          if (taken) this.jump(pc + 4 + (((t & 3) << 4) | r));
        }
        return;
      case 13:
        this.executeSt3(r, s, t);
        return;
      default:
        throw new Fault(ILLEGAL_INSTRUCTION);
    }
  }

  private jump(target: number): void {
    this.next = target;
    this.extraCycles += CYCLES_OF_A_JUMP;
  }

  /** op0 = 13. */
  private executeSt3(r: number, s: number, t: number): void {
    const a = this.registers;
    if (r === 0)
      a[t] = a[s]!; // MOV.N
    else if (r === 15 && t === 0 && s === 0)
      this.jump(a[0]!); // RET.N
    else if (r === 15 && t === 2)
      this.debugException(16); // BREAK.N
    else if (r === 15 && t === 3 && s === 0)
      return; // NOP.N
    else throw new Fault(ILLEGAL_INSTRUCTION);
  }

  /** BREAK: nothing happens at level 2 and above. */
  private debugException(cause: number): void {
    const ps = this.specials[230]!;
    const level = Math.max(ps & PS_INTLEVEL, ps & PS_EXCM ? 1 : 0);
    if (level >= 2) return;
    this.enterHighLevel(2, VECTOR_DEBUG);
    this.specials[233] = cause;
  }

  /** op0 = 0. */
  private executeRrr(w: number, r: number, s: number, t: number): void {
    const op1 = (w >> 16) & 15;
    const op2 = (w >> 20) & 15;
    switch (op1) {
      case 0:
        this.executeRst0(op2, r, s, t);
        return;
      case 1:
        this.executeShift(op2, r, s, t);
        return;
      case 2: // MULL
        if (op2 !== 8) throw new Fault(ILLEGAL_INSTRUCTION);
        this.registers[r] = Math.imul(this.registers[s]!, this.registers[t]!);
        return;
      case 3:
        this.executeRst3(op2, r, s, t);
        return;
      case 4:
      case 5: // EXTUI
        this.registers[r] = (this.registers[t]! >>> (((op1 & 1) << 4) | s)) & ((2 << op2) - 1);
        return;
      default:
        throw new Fault(ILLEGAL_INSTRUCTION);
    }
  }

  private executeRst0(op2: number, r: number, s: number, t: number): void {
    const a = this.registers;
    const left = a[s]!;
    const right = a[t]!;
    switch (op2) {
      case 0:
        this.executeSt0(r, s, t);
        return;
      case 1:
        a[r] = left & right;
        return;
      case 2:
        a[r] = left | right;
        return;
      case 3:
        a[r] = left ^ right;
        return;
      case 4:
        this.executeSt1(r, s, t);
        return;
      case 5: // region attributes: no effect, reads give 0
        if (r === 3 || r === 7 || r === 11 || r === 15 || r === 5 || r === 13) a[t] = 0;
        else if (r !== 4 && r !== 6 && r !== 12 && r !== 14) throw new Fault(ILLEGAL_INSTRUCTION);
        return;
      case 6:
        if (s === 0)
          a[r] = -right; // NEG
        else if (s === 1) a[r] = Math.abs(right | 0);
        else throw new Fault(ILLEGAL_INSTRUCTION);
        return;
      case 8: // ADD
        a[r] = left + right;
        return;
      case 9:
      case 10:
      case 11: // ADDX2, ADDX4, ADDX8
        a[r] = (left << (op2 - 8)) + right;
        return;
      case 12: // SUB
        a[r] = left - right;
        return;
      case 13:
      case 14:
      case 15: // SUBX2, SUBX4, SUBX8
        a[r] = (left << (op2 - 12)) - right;
        return;
      default:
        throw new Fault(ILLEGAL_INSTRUCTION);
    }
  }

  /** Jumps, synchronisation, system. */
  private executeSt0(r: number, s: number, t: number): void {
    const a = this.registers;
    switch (r) {
      case 0:
        if (t === 8 && s === 0) {
          this.jump(a[0]!); // RET
          return;
        }
        if (t === 10) {
          this.jump(a[s]!); // JX
          return;
        }
        if (t === 12) {
          this.jump(a[s]!); // CALLX0
          a[0] = this.at + 3;
          return;
        }
        break;
      case 2:
        // ISYNC, RSYNC, ESYNC, DSYNC, EXCW, MEMW, EXTW, NOP
        if (s === 0 && (t < 4 || t === 8 || t === 12 || t === 13 || t === 15)) return;
        break;
      case 3:
        if (this.returnFrom(s, t)) return;
        break;
      case 4: // BREAK
        this.debugException(8);
        return;
      case 5:
        if (s === 0 && t === 0) throw new Fault(SYSCALL);
        break;
      case 6: // RSIL
        a[t] = this.specials[230]!;
        this.specials[230] = (this.specials[230]! & ~PS_INTLEVEL) | s;
        return;
      case 7: // WAITI
        if (t !== 0) break;
        this.specials[230] = (this.specials[230]! & ~PS_INTLEVEL) | s;
        this.asleep = true;
        return;
      default:
    }
    throw new Fault(ILLEGAL_INSTRUCTION);
  }

  /** RFE, RFDE, RFI; false when it is none of them. */
  private returnFrom(s: number, t: number): boolean {
    if (t === 0 && s === 0) {
      this.specials[230] = this.specials[230]! & ~PS_EXCM;
      this.next = this.specials[177]!;
    } else if (t === 0 && s === 2) {
      this.next = this.specials[192]!;
    } else if (t === 1 && (s === 2 || s === 3)) {
      this.specials[230] = this.specials[192 + s]! & PS_BITS;
      this.next = this.specials[176 + s]!;
    } else return false;
    return true;
  }

  /** Shift amounts, external registers, normalisation. */
  private executeSt1(r: number, s: number, t: number): void {
    const a = this.registers;
    const value = a[s]!;
    switch (r) {
      case 0: // SSR
        if (t !== 0) break;
        this.specials[3] = value & 31;
        return;
      case 1: // SSL
        if (t !== 0) break;
        this.specials[3] = 32 - (value & 31);
        return;
      case 2: // SSA8L
        if (t !== 0) break;
        this.specials[3] = (value & 3) * 8;
        return;
      case 3: // SSA8B
        if (t !== 0) break;
        this.specials[3] = 32 - (value & 3) * 8;
        return;
      case 4: // SSAI
        if (t > 1) break;
        this.specials[3] = (t << 4) | s;
        return;
      case 6: // RER
        a[t] = 0;
        return;
      case 7: // WER
        return;
      case 14: // NSA
        a[t] = Math.clz32((value | 0) < 0 ? ~value : value) - 1;
        return;
      case 15: // NSAU
        a[t] = Math.clz32(value);
        return;
      default:
    }
    throw new Fault(ILLEGAL_INSTRUCTION);
  }

  /** op1 = 1: shifts, 16-bit products, XSR. */
  private executeShift(op2: number, r: number, s: number, t: number): void {
    const a = this.registers;
    const sar = this.specials[3]!;
    switch (op2) {
      case 0:
      case 1: // SLLI
        a[r] = funnel(a[s]!, 0, (op2 << 4) | t);
        return;
      case 2:
      case 3: // SRAI
        a[r] = (a[t]! | 0) >> (((op2 & 1) << 4) | s);
        return;
      case 4: // SRLI
        a[r] = a[t]! >>> s;
        return;
      case 6: // XSR
        this.exchangeSpecial((r << 4) | s, t);
        return;
      case 8: // SRC
        a[r] = funnel(a[s]!, a[t]!, sar);
        return;
      case 9: // SRL
        if (s !== 0) break;
        a[r] = sar < 32 ? a[t]! >>> sar : 0;
        return;
      case 10: // SLL
        if (t !== 0) break;
        a[r] = funnel(a[s]!, 0, sar);
        return;
      case 11: // SRA
        if (s !== 0) break;
        a[r] = (a[t]! | 0) >> Math.min(sar, 31);
        return;
      case 12: // MUL16U
        a[r] = (a[s]! & 0xffff) * (a[t]! & 0xffff);
        return;
      case 13: // MUL16S
        a[r] = ((a[s]! << 16) >> 16) * ((a[t]! << 16) >> 16);
        return;
      default:
    }
    throw new Fault(ILLEGAL_INSTRUCTION);
  }

  /** op1 = 3: special registers, conditional moves. */
  private executeRst3(op2: number, r: number, s: number, t: number): void {
    const a = this.registers;
    const test = a[t]! | 0;
    switch (op2) {
      case 0: // RSR
        a[t] = this.readSpecial(accessible((r << 4) | s, 'write'));
        return;
      case 1: // WSR
        this.writeSpecial(accessible((r << 4) | s, 'read'), a[t]!);
        return;
      case 8:
        if (test === 0) a[r] = a[s]!; // MOVEQZ
        return;
      case 9:
        if (test !== 0) a[r] = a[s]!; // MOVNEZ
        return;
      case 10:
        if (test < 0) a[r] = a[s]!; // MOVLTZ
        return;
      case 11:
        if (test >= 0) a[r] = a[s]!; // MOVGEZ
        return;
      default:
        throw new Fault(ILLEGAL_INSTRUCTION);
    }
  }

  private exchangeSpecial(number: number, t: number): void {
    accessible(number, 'read');
    accessible(number, 'write');
    const old = this.readSpecial(number);
    this.writeSpecial(number, this.registers[t]!);
    this.registers[t] = old;
  }

  /** op0 = 2. */
  private executeRri8(imm8: number, r: number, s: number, t: number): void {
    const a = this.registers;
    const base = a[s]!;
    const signed = (imm8 << 24) >> 24;
    switch (r) {
      case 0: // L8UI
        a[t] = this.load((base + imm8) >>> 0, 1);
        return;
      case 1: // L16UI
        a[t] = this.load((base + 2 * imm8) >>> 0, 2);
        return;
      case 2: // L32I
        a[t] = this.load((base + 4 * imm8) >>> 0, 4);
        return;
      case 4: // S8I
        this.store((base + imm8) >>> 0, a[t]! & 0xff, 1);
        return;
      case 5: // S16I
        this.store((base + 2 * imm8) >>> 0, a[t]! & 0xffff, 2);
        return;
      case 6: // S32I
        this.store((base + 4 * imm8) >>> 0, a[t]!, 4);
        return;
      case 9: // L16SI
        a[t] = (this.load((base + 2 * imm8) >>> 0, 2) << 16) >> 16;
        return;
      case 10: // MOVI
        a[t] = (((s << 8) | imm8) << 20) >> 20;
        return;
      case 12: // ADDI
        a[t] = base + signed;
        return;
      case 13: // ADDMI
        a[t] = base + (signed << 8);
        return;
      default:
        throw new Fault(ILLEGAL_INSTRUCTION);
    }
  }

  /** op0 = 6: J and the branches against zero and constants. */
  private executeSi(w: number, r: number, s: number, t: number): void {
    const value = this.registers[s]!;
    const signed = value | 0;
    const m = t >> 2;
    let taken: boolean;
    switch (t & 3) {
      case 0: // J
        this.jump(this.at + 4 + ((w << 8) >> 14));
        return;
      case 1: // BEQZ, BNEZ, BLTZ, BGEZ
        taken = [signed === 0, signed !== 0, signed < 0, signed >= 0][m]!;
        if (taken) this.jump(this.at + 4 + ((w << 8) >> 20));
        return;
      case 2: // BEQI, BNEI, BLTI, BGEI
        taken = [signed === B4CONST[r], signed !== B4CONST[r], signed < B4CONST[r]!, signed >= B4CONST[r]!][m]!;
        break;
      default: // BLTUI, BGEUI
        if (m < 2) throw new Fault(ILLEGAL_INSTRUCTION);
        taken = m === 2 ? value < B4CONSTU[r]! : value >= B4CONSTU[r]!;
    }
    if (taken) this.jump(this.at + 4 + ((w << 8) >> 24));
  }

  /** op0 = 7: whether the branch is taken. */
  private compares(r: number, left: number, right: number, t: number): boolean {
    switch (r) {
      case 0: // BNONE
        return (left & right) === 0;
      case 1: // BEQ
        return left === right;
      case 2: // BLT
        return (left | 0) < (right | 0);
      case 3: // BLTU
        return left < right;
      case 4: // BALL
        return (~left & right) === 0;
      case 5: // BBC
        return ((left >>> (right & 31)) & 1) === 0;
      case 6:
      case 7: // BBCI
        return ((left >>> (((r & 1) << 4) | t)) & 1) === 0;
      default:
        // BANY, BNE, BGE, BGEU, BNALL, BBS, BBSI: the opposites.
        return !this.compares(r - 8, left, right, t);
    }
  }
}

const isDevice = (address: number): boolean =>
  (address >= 0x60000000 && address < 0x60001400) || (address >= 0x3ff00000 && address < 0x3ff20000);
const isRom = (address: number): boolean => address >= ROM_START && address < ROM_END;

/** op0 8 to 13: 16-bit instructions. §2.1. */
const isNarrow = (first: number): boolean => (first & 15) >= 8 && (first & 15) <= 13;

/** The low word of `high:low` shifted right by 0 to 63. */
function funnel(high: number, low: number, amount: number): number {
  if (amount === 0) return low;
  if (amount >= 32) return high >>> (amount - 32);
  return (low >>> amount) | (high << (32 - amount));
}

/** The number back, or an illegal instruction when the register does not exist or is `refused`-only. */
function accessible(number: number, refused: Access): number {
  const register = SPECIAL[number];
  if (!register || register[2] === refused) throw new Fault(ILLEGAL_INSTRUCTION);
  return number;
}

function specialNumber(name: string): number {
  const number = NUMBER_OF.get(name);
  if (number === undefined) {
    throw new RangeError(`special register "${name}": known are ${[...NUMBER_OF.keys()].join(', ')}`);
  }
  return number;
}
