/** Entering exceptions and interrupts, and the timer. Spec chapter 07 §3. */
import { PC, STEPS, WAITING } from './layout';
import { EXCM, INTLEVEL, Sr, Status, UM, setPc, setSpecial, special } from './state';

/** Causes. */
export namespace Cause {
  export const ILLEGAL: u32 = 0;
  export const SYSCALL: u32 = 1;
  export const FETCH_ERROR: u32 = 2;
  export const LOAD_STORE_ERROR: u32 = 3;
  export const LEVEL_1_INTERRUPT: u32 = 4;
  export const ALIGNMENT: u32 = 9;
  export const FETCH_PROHIBITED: u32 = 20;
  export const LOAD_PROHIBITED: u32 = 28;
  export const STORE_PROHIBITED: u32 = 29;
}

/** Interrupt numbers with a role of their own. */
const TIMER: u32 = 1 << 6;
const NMI: u32 = 1 << 14;
const MASKABLE: u32 = NMI - 1;

const DEBUG_VECTOR: u32 = 0x10;
const NMI_VECTOR: u32 = 0x20;
const KERNEL_VECTOR: u32 = 0x30;
const USER_VECTOR: u32 = 0x50;
const DOUBLE_VECTOR: u32 = 0x70;

/** Enters a general exception at the current pc. EXCVADDR is the caller's. */
export function raise(cause: u32): u32 {
  const ps = special(Sr.PS);
  const twice = (ps & EXCM) != 0;
  setSpecial(twice ? Sr.DEPC : Sr.EPC1, load<u32>(PC));
  const vector = twice ? DOUBLE_VECTOR : ps & UM ? USER_VECTOR : KERNEL_VECTOR;
  setSpecial(Sr.EXCCAUSE, cause);
  setSpecial(Sr.PS, ps | EXCM);
  setPc(special(Sr.VECBASE) + vector);
  return Status.EXCEPTION;
}

/** The same for causes that come with an address. */
export function raiseAt(cause: u32, address: u32): u32 {
  setSpecial(Sr.EXCVADDR, address);
  return raise(cause);
}

/** BREAK (cause bit 3) and BREAK.N (bit 4): enters the debug level unless it is there already. */
export function raiseDebug(cause: u32, next: u32): u32 {
  const ps = special(Sr.PS);
  const level = max<u32>(ps & INTLEVEL, ps & EXCM ? 1 : 0);
  if (level >= 2) {
    setPc(next);
    return Status.NEXT;
  }
  setSpecial(Sr.EPC1 + 1, load<u32>(PC));
  setSpecial(Sr.EPS2, ps);
  setSpecial(Sr.DEBUGCAUSE, cause);
  setSpecial(Sr.PS, (ps & ~INTLEVEL) | EXCM | 2);
  setPc(special(Sr.VECBASE) + DEBUG_VECTOR);
  return Status.LOOK;
}

/** Enters a pending interrupt that may be taken now: EXCEPTION (level 1), LOOK (NMI), or NEXT when there is none. */
export function takeInterrupt(): u32 {
  const pending = special(Sr.INTERRUPT);
  if (!pending) return Status.NEXT;
  const ps = special(Sr.PS);
  if (pending & NMI && (ps & INTLEVEL) < 3) {
    setSpecial(Sr.INTERRUPT, pending & ~NMI);
    setSpecial(Sr.EPC1 + 2, load<u32>(PC));
    setSpecial(Sr.EPS2 + 1, ps);
    setSpecial(Sr.PS, (ps & ~INTLEVEL) | EXCM | 3);
    setPc(special(Sr.VECBASE) + NMI_VECTOR);
    store<u32>(WAITING, 0);
    return Status.LOOK;
  }
  if (!(pending & special(Sr.INTENABLE) & MASKABLE) || ps & (INTLEVEL | EXCM)) return Status.NEXT;
  store<u32>(WAITING, 0);
  return raise(Cause.LEVEL_1_INTERRUPT);
}

/** Charges what has been executed, and notices when CCOUNT reaches CCOMPARE0 or steps over it. */
export function account(steps: u32, extraCycles: u32): void {
  store<f64>(STEPS, load<f64>(STEPS) + (steps as f64));
  const before = special(Sr.CCOUNT);
  const cycles = steps + extraCycles;
  setSpecial(Sr.CCOUNT, before + cycles);
  if (special(Sr.CCOMPARE0) - before - 1 < cycles) setSpecial(Sr.INTERRUPT, special(Sr.INTERRUPT) | TIMER);
}

/** No instruction costs more cycles. */
const MOST_CYCLES: u32 = 3;

/** How many instructions can be executed for sure before the timer's interrupt is due, at least 1. */
export function stepsToTimer(): u32 {
  if (!(special(Sr.INTENABLE) & TIMER)) return u32.MAX_VALUE;
  const cycles = special(Sr.CCOMPARE0) - special(Sr.CCOUNT);
  return cycles == 0 ? u32.MAX_VALUE / MOST_CYCLES : max<u32>(1, cycles / MOST_CYCLES);
}

/** A sleeping core that the timer can wake sleeps until it does. */
export function sleepToTimer(): void {
  if (!(special(Sr.INTENABLE) & TIMER) || special(Sr.PS) & (INTLEVEL | EXCM)) return;
  setSpecial(Sr.CCOUNT, special(Sr.CCOMPARE0));
  setSpecial(Sr.INTERRUPT, special(Sr.INTERRUPT) | TIMER);
}
