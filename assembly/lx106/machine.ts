/** What the host does with the core from outside: start state, special registers, interrupt lines, changed memory. */
import { b4const, b4constu } from './fields';
import {
  B4CONST_AT,
  B4CONSTU_AT,
  BREAKPOINTS,
  CORE,
  CORE_BYTES,
  DRAM,
  DRAM_BYTES,
  HAS_DEVICES,
  IRAM,
  IRAM_BYTES,
  LINES,
  PC,
  REPORTED,
  ROM_TRAPS,
  SPECIAL,
  WAITING,
  ZERO_AT,
} from './layout';
import { forget } from './memory';
import { masked, readSpecial, writeSpecial } from './special';
import { Sr, setRegister, setSpecial, special } from './state';

/** Called once per instance. */
export function prepare(hasDevices: bool, romTraps: bool): void {
  store<u32>(HAS_DEVICES, hasDevices ? 1 : 0);
  store<u32>(ROM_TRAPS, romTraps ? 1 : 0);
  constants();
}

function constants(): void {
  for (let r: u32 = 0; r < 16; r++) {
    setRegister(B4CONST_AT + r, b4const(r));
    setRegister(B4CONSTU_AT + r, b4constu(r));
  }
  setRegister(ZERO_AT, 0);
}

/** Registers, special registers, RAM, pc and steps to zero. */
export function resetZero(): void {
  memory.fill(CORE, 0, CORE_BYTES);
  constants();
  memory.fill(DRAM, 0, DRAM_BYTES);
  memory.fill(IRAM, 0, IRAM_BYTES);
  forget(0, IRAM_BYTES);
}

/** Lines 0..5 show in INTERRUPT as long as they are high; of the others only the rising edge counts. */
const LEVEL_LINES: u32 = 0x3f;

const RESET_PS: u32 = 0x1f;
const RESET_VECBASE: u32 = 0x40000000;
const RESET_PC: u32 = 0x40000080;

/** What a reset of the chip does to the core: a0..a15, RAM and the levels of the lines stay. Spec chapter 07 §1. */
export function resetChip(): void {
  memory.fill(SPECIAL, 0, 1024);
  setSpecial(Sr.PS, RESET_PS);
  setSpecial(Sr.VECBASE, RESET_VECBASE);
  store<u32>(WAITING, 0);
  store<u32>(REPORTED, 0);
  setSpecial(Sr.INTERRUPT, load<u32>(LINES) & LEVEL_LINES);
  store<u32>(PC, RESET_PC);
}

export function getSpecial(number: u32): u32 {
  return readSpecial(number);
}

/** The host may write everything there is, as it is; CCOMPARE0 and INTCLEAR act as with WSR. */
export function setSpecialFromHost(number: u32, value: u32): void {
  if (number == Sr.CCOMPARE0 || number == Sr.INTCLEAR) {
    writeSpecial(number, value);
    return;
  }
  value = masked(number, value);
  if (number == Sr.INTERRUPT) value = (value & ~LEVEL_LINES) | (load<u32>(LINES) & LEVEL_LINES);
  setSpecial(number, value);
}

export function setLine(line: u32, level: bool): void {
  const bit: u32 = 1 << line;
  const before = load<u32>(LINES);
  const pending = special(Sr.INTERRUPT);
  if (level) {
    if (bit & LEVEL_LINES || !(before & bit)) setSpecial(Sr.INTERRUPT, pending | bit);
    store<u32>(LINES, before | bit);
  } else {
    if (bit & LEVEL_LINES) setSpecial(Sr.INTERRUPT, pending & ~bit);
    store<u32>(LINES, before & ~bit);
  }
}

/** The host has changed bytes of IRAM. */
export function changed(offset: u32, length: u32): void {
  forget(offset, length);
}

/** Sets or clears a breakpoint at a byte of IRAM. */
export function setBreakpoint(offset: u32, on: bool): void {
  const at = BREAKPOINTS + (offset >> 3);
  const bit: u8 = 1 << ((offset & 7) as u8);
  store<u8>(at, on ? load<u8>(at) | bit : load<u8>(at) & ~bit);
  forget(offset, 1);
}

/** Puts the whole IRAM back; decoded code stays where the bytes are the same. */
export function restoreIram(source: usize): void {
  for (let offset: u32 = 0; offset < IRAM_BYTES; offset += 8) {
    const wanted = load<u64>(source + offset);
    if (load<u64>(IRAM + offset) == wanted) continue;
    store<u64>(IRAM + offset, wanted);
    forget(offset, 8);
  }
}
