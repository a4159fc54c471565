/**
 * The LX106 core as TypeScript sees it (spec chapter 07). Two implementations: the WASM core (`lx106-wasm.ts`, made by
 * `createLx106` of `eboot/lx106.ts`) and a pure TypeScript one (`lx106-reference.ts`), which is its oracle.
 *
 * What the chapter leaves open, decided the same way for both:
 * - One instruction is one step, also one that raises an exception. Entering an interrupt is no step, nor is a trap.
 * - CCOUNT counts 1 for each step, 2 more where control goes elsewhere (taken branch, J, JX, CALL0, CALLX0, RET; not
 *   RFE, RFDE, RFI and exceptions), and 1 more for each load that succeeds, L32R too (a plain reading of §6). RSR.CCOUNT gives the count before the
 *   instruction. The host adds what devices and ROM functions cost by `special.set('ccount', ...)`.
 * - CCOMPARE0: interrupt 6 becomes pending when CCOUNT, by counting, reaches or steps over CCOMPARE0; setting either
 *   of the two raises nothing. Writing CCOMPARE0 (WSR, XSR or the host) clears it.
 * - WSR and XSR of a read-only register (CONFIGID0, CONFIGID1, DEBUGCAUSE, PRID), RSR and XSR of INTCLEAR, RFI of other
 *   levels than 2 and 3, and SLLI's reserved amounts aside (they give 0), every encoding that chapter 07 §2 does not list
 *   with its fixed fields: exception 0. XSR of INTERRUPT reads it and then sets what INTSET may set.
 * - LITBASE, the breakpoint registers, DDR and ICOUNT are plain storage. SAR above 32 shifts the 64-bit value of SRC
 *   that far (SRA: sign-extended).
 * - An instruction fetch that cannot be served raises 20 (region 0) or 2, with EXCVADDR = pc; likewise an instruction
 *   whose last byte lies behind the IRAM. With `romTraps` a pc in the mask ROM (0x40000000-0x4000FFFF) is a trap instead.
 * - Level-1 interrupts (0-13) are taken as exception 4 when INTLEVEL = 0 and EXCM = 0, before the instruction at pc.
 *   NMI (14) is edge-triggered, ignores INTENABLE and is taken below level 3: EPC3, EPS3, INTLEVEL 3, EXCM 1, vector 0x20.
 * - WAITI ends `run` with 'waiting'. The core then wakes only by an interrupt it takes, by `pc = ...` or by `reset`. Called
 *   again with the timer enabled and able to wake it, `run` and `step` let CCOUNT run on to CCOMPARE0.
 */

/** Where RAM is. Spec chapter 07 §4. */
export const DRAM_START = 0x3ffe8000;
export const DRAM_BYTES = 0x18000;
export const IRAM_START = 0x40100000;
export const IRAM_BYTES = 0x10000;
/** The mask ROM, whose functions the host serves. */
export const ROM_START = 0x40000000;
export const ROM_BYTES = 0x10000;

/**
 * Everything that is neither DRAM nor IRAM: devices at 0x3FF00000-0x3FF1FFFF and 0x60000000-0x60000FFF, RTC RAM at
 * 0x60001000-0x600013FF, and aligned 32-bit loads of the mask ROM (data in it). Addresses are aligned to `size`. Elsewhere
 * the exceptions of chapter 07 §3 are raised without asking.
 */
export interface Lx106Devices {
  /** The value, unsigned, of `size` bytes. */
  load(address: number, size: 1 | 2 | 4): number;
  /**
   * `value` is unsigned and has `size` bytes. false: not performed. run() then stops before the instruction with reason
   * 'trap'; the host does what must wait and calls run() again, and this must then return true.
   */
  store(address: number, value: number, size: 1 | 2 | 4): boolean;
}

/**
 * Why `run` came back: the step budget is used up; an exception (a level-1 interrupt too, but neither NMI nor the debug
 * exception of BREAK) was entered; the core sleeps in
 * WAITI; pc is at a breakpoint; pc is in the mask ROM, or a store was refused.
 */
export type StopReason = 'budget' | 'exception' | 'waiting' | 'breakpoint' | 'trap';

/** All that a core holds; layout private to the implementation that made it. */
export interface Lx106State {
  readonly core: Uint32Array;
  readonly dram: Uint8Array;
  readonly iram: Uint8Array;
}

export interface Lx106 {
  /** Live view of a0..a15. */
  readonly registers: Uint32Array;
  /**
   * Special registers by their lower-case names (`sar`, `ps`, `ccount`, `interrupt`, `ccompare0`, ...), masked as WSR
   * does. The host may also set read-only ones; for `interrupt` it sets what is pending and does not follow a line. Other names throw RangeError.
   */
  readonly special: { get(name: string): number; set(name: string, value: number): void };
  /** Address of the next instruction. Setting it wakes a sleeping core. */
  pc: number;
  /** Instructions executed so far. */
  readonly steps: number;
  /**
   * 'zero' (unless told): registers, special registers, RAM, pc and steps are 0. 'chip': special registers and pc as
   * after a reset (chapter 07 §1: PS 0x1F, VECBASE 0x40000000, others 0, pc 0x40000080); registers and RAM stay.
   */
  reset(kind?: 'zero' | 'chip'): void;
  /** RAM as the host sees it: any alignment, little-endian; RangeError outside DRAM and IRAM. Decoded code follows. */
  readWord(address: number): number;
  writeWord(address: number, value: number): void;
  readByte(address: number): number;
  writeByte(address: number, value: number): void;
  /** A copy. */
  readBytes(address: number, length: number): Uint8Array;
  /** As `readBytes`, into `target`, as many bytes as it has. */
  readInto(address: number, target: Uint8Array): void;
  writeBytes(address: number, data: Uint8Array): void;
  /**
   * A live view of DRAM, where no decoded code is: good as long as the core, and changed by whatever it executes.
   *
   * @throws RangeError for a range outside DRAM
   */
  view(address: number, length: number): Uint8Array;
  /** All of RAM (DRAM 98,304 bytes, IRAM 65,536); what was decoded stays where the bytes are the same. */
  writeRam(dram: Uint8Array, iram: Uint8Array): void;
  /**
   * One instruction, or else the entry of a pending interrupt; exception 4 for level 1. undefined also when pc is in the mask ROM and when a
   * store was refused (nothing happened then: `steps` tells). Breakpoints do not matter.
   */
  step(): undefined | { exception: number } | { waiting: true };
  /**
   * Runs at most `maxSteps` (1e9 unless told) instructions. A breakpoint is reported once for each arrival: called again
   * there, run() goes on.
   */
  run(options?: { maxSteps?: number }): { reason: StopReason; steps: number };
  /** Addresses where `run` stops before the instruction. */
  readonly breakpoints: Set<number>;
  /** true (unless told): run() ends when an exception was entered. false: it goes on at the vector. */
  stopOnException: boolean;
  /** Level of an interrupt line 0..5 (level-sensitive), 8..13 (rising edge) or 14 (NMI, rising edge). */
  setInterruptLine(line: number, level: boolean): void;
  snapshot(): Lx106State;
  restore(state: Lx106State): void;
}

export interface Lx106Options {
  /** Without it every address outside DRAM and IRAM raises 28 (load) or 29 (store). */
  devices?: Lx106Devices;
  /** true: pc in the mask ROM ends run() with 'trap'. false (unless told): a fetch error. */
  romTraps?: boolean;
}
