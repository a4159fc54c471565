/** Registers, special registers, and how an instruction can end. */
import { EXTRA_CYCLES, PC, REGISTERS, SPECIAL } from './layout';

/** How an instruction, or `run`, ended. The host knows these numbers: `host/lx106-wasm.ts`. */
export namespace Status {
  /** Executed; the next one follows. */
  export const NEXT: u32 = 0;
  /** Executed, and interrupts must be looked at again. */
  export const LOOK: u32 = 1;
  /** An exception was entered. */
  export const EXCEPTION: u32 = 2;
  export const WAITING: u32 = 3;
  export const BREAKPOINT: u32 = 4;
  /** Not executed: pc is in the mask ROM, or a device refused the store. */
  export const TRAP: u32 = 5;
  export const BUDGET: u32 = 6;
}

/** Numbers of special registers. Spec chapter 07 §1. */
export namespace Sr {
  export const SAR: u32 = 3;
  export const LITBASE: u32 = 5;
  export const CONFIGID0: u32 = 176;
  export const EPC1: u32 = 177;
  export const DEPC: u32 = 192;
  export const EPS2: u32 = 194;
  export const CONFIGID1: u32 = 208;
  export const INTERRUPT: u32 = 226;
  export const INTCLEAR: u32 = 227;
  export const INTENABLE: u32 = 228;
  export const PS: u32 = 230;
  export const VECBASE: u32 = 231;
  export const EXCCAUSE: u32 = 232;
  export const DEBUGCAUSE: u32 = 233;
  export const CCOUNT: u32 = 234;
  export const PRID: u32 = 235;
  export const EXCVADDR: u32 = 238;
  export const CCOMPARE0: u32 = 240;
}

/** Bits of PS. */
export const INTLEVEL: u32 = 0x0f;
export const EXCM: u32 = 0x10;
export const UM: u32 = 0x20;

// @ts-ignore: decorator
@inline
export function register(number: u32): u32 {
  return load<u32>(REGISTERS + ((number as usize) << 2));
}

// @ts-ignore: decorator
@inline
export function setRegister(number: u32, value: u32): void {
  store<u32>(REGISTERS + ((number as usize) << 2), value);
}

// @ts-ignore: decorator
@inline
export function special(number: u32): u32 {
  return load<u32>(SPECIAL + ((number as usize) << 2));
}

// @ts-ignore: decorator
@inline
export function setSpecial(number: u32, value: u32): void {
  store<u32>(SPECIAL + ((number as usize) << 2), value);
}

// @ts-ignore: decorator
@inline
export function setPc(value: u32): void {
  store<u32>(PC, value);
}

// @ts-ignore: decorator
@inline
export function spendCycles(extra: u32): void {
  store<u32>(EXTRA_CYCLES, extra);
}
