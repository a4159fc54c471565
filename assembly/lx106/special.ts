/** Special registers: which exist, and what is kept of a value. Spec chapter 07 §1. */
import { EXCM, INTLEVEL, Sr, UM, setSpecial, special } from './state';

const CONFIGID0: u32 = 0xc28cdafa;
const CONFIGID1: u32 = 0x1082b6f6;

/** INTERRUPT: what software may set, what it may clear, and the timer. */
const SOFTWARE: u32 = 1 << 7;
const CLEARABLE: u32 = 0x3f80;
const TIMER: u32 = 1 << 6;

function exists(number: u32): bool {
  switch (number) {
    case Sr.SAR:
    case Sr.LITBASE:
    case 96: // IBREAKENABLE
    case 104: // DDR
    case 128: // IBREAKA0
    case 144: // DBREAKA0
    case 160: // DBREAKC0
    case Sr.CONFIGID0:
    case Sr.EPC1:
    case Sr.EPC1 + 1:
    case Sr.EPC1 + 2:
    case Sr.DEPC:
    case Sr.EPS2:
    case Sr.EPS2 + 1:
    case Sr.CONFIGID1:
    case 209: // EXCSAVE1 and on
    case 210:
    case 211:
    case Sr.INTERRUPT:
    case Sr.INTCLEAR:
    case Sr.INTENABLE:
    case Sr.PS:
    case Sr.VECBASE:
    case Sr.EXCCAUSE:
    case Sr.DEBUGCAUSE:
    case Sr.CCOUNT:
    case Sr.PRID:
    case 236: // ICOUNT
    case 237: // ICOUNTLEVEL
    case Sr.EXCVADDR:
    case Sr.CCOMPARE0:
      return true;
  }
  return false;
}

/** Whether RSR may read it. */
export function isReadable(number: u32): bool {
  return number != Sr.INTCLEAR && exists(number);
}

/** Whether WSR may write it. */
export function isWritable(number: u32): bool {
  switch (number) {
    case Sr.CONFIGID0:
    case Sr.CONFIGID1:
    case Sr.DEBUGCAUSE:
    case Sr.PRID:
      return false;
  }
  return exists(number);
}

export function readSpecial(number: u32): u32 {
  if (number == Sr.CONFIGID0) return CONFIGID0;
  if (number == Sr.CONFIGID1) return CONFIGID1;
  return special(number);
}

/** What WSR does. */
export function writeSpecial(number: u32, value: u32): void {
  switch (number) {
    case Sr.INTERRUPT:
      value = special(Sr.INTERRUPT) | (value & SOFTWARE);
      break;
    case Sr.INTCLEAR:
      number = Sr.INTERRUPT;
      value = special(Sr.INTERRUPT) & ~(value & CLEARABLE);
      break;
    case Sr.CCOMPARE0:
      setSpecial(Sr.INTERRUPT, special(Sr.INTERRUPT) & ~TIMER);
      break;
    default:
      value = masked(number, value);
  }
  setSpecial(number, value);
}

/** The bits that a register has. */
export function masked(number: u32, value: u32): u32 {
  switch (number) {
    case Sr.SAR:
    case Sr.EXCCAUSE:
      return value & 0x3f;
    case Sr.INTERRUPT:
    case Sr.INTENABLE:
      return value & 0x7fff;
    case Sr.PS:
      return value & (INTLEVEL | EXCM | UM);
    case Sr.VECBASE:
      return value & 0xffffff00;
  }
  return value;
}
