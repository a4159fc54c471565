/**
 * One instruction from its bytes: the whole instruction set of spec chapter 07 §2, as that chapter has it. `run.ts` has
 * quick copies of what is common, and comes here for the rest and whenever something is out of the ordinary.
 *
 * Each function leaves pc behind the instruction, or where it jumps, or (not executed) where it was.
 */
import { Cause, raise, raiseAt, raiseDebug } from './exceptions';
import {
  addinOf,
  b4const,
  b4constu,
  callTarget,
  fetch,
  imm8Of,
  lengthOf,
  literalAddress,
  mOf,
  movinOf,
  moviOf,
  nOf,
  op0Of,
  op1Of,
  op2Of,
  rOf,
  sOf,
  simm8Of,
  srOf,
  target12,
  target18,
  target6,
  target8,
  tOf,
} from './fields';
import { FAULT, IRAM_BYTES, IRAM_START, PC, REGION_0_END, ROM_BYTES, ROM_START, ROM_TRAPS, WAITING } from './layout';
import { loadData, SERVED, storeData } from './memory';
import { EXCM, INTLEVEL, Sr, Status, register, setPc, setRegister, setSpecial, special, spendCycles } from './state';
import { isReadable, isWritable, readSpecial, writeSpecial } from './special';

/** What a transfer of control costs above its first cycle, and a load. */
const TRANSFER_CYCLES: u32 = 2;
const LOAD_CYCLES: u32 = 1;

/** Executes the instruction at pc. */
export function execute(): u32 {
  spendCycles(0);
  const pc = load<u32>(PC);
  const offset = pc - IRAM_START;
  if (offset >= IRAM_BYTES) {
    if (load<u32>(ROM_TRAPS) && pc - ROM_START < ROM_BYTES) return Status.TRAP;
    return raiseAt(pc < REGION_0_END ? Cause.FETCH_PROHIBITED : Cause.FETCH_ERROR, pc);
  }
  const w = fetch(offset);
  const next = pc + lengthOf(w);
  if (next - IRAM_START > IRAM_BYTES) return raiseAt(Cause.FETCH_ERROR, pc);
  switch (op0Of(w)) {
    case 0:
      return qrst(w, pc, next);
    case 1:
      return loadTo(tOf(w), literalAddress(pc, w), 4, next);
    case 2:
      return lsai(w, next);
    case 5:
      if (nOf(w)) break;
      setRegister(0, next);
      return transfer(callTarget(pc, w));
    case 6:
      return si(w, pc, next);
    case 7:
      return branch(compares(w), target8(pc, w), next);
    case 8:
      return loadTo(tOf(w), register(sOf(w)) + (rOf(w) << 2), 4, next);
    case 9:
      return storeFrom(tOf(w), register(sOf(w)) + (rOf(w) << 2), 4, next);
    case 10:
      return give(rOf(w), register(sOf(w)) + register(tOf(w)), next);
    case 11:
      return give(rOf(w), register(sOf(w)) + addinOf(w), next);
    case 12:
      if (!(w & 0x80)) return give(sOf(w), movinOf(w), next);
      return branch((register(sOf(w)) == 0) == (mOf(w) == 2), target6(pc, w), next);
    case 13:
      return st3(w, next);
  }
  return raise(Cause.ILLEGAL);
}

function give(to: u32, value: u32, next: u32): u32 {
  setRegister(to, value);
  setPc(next);
  return Status.NEXT;
}

function transfer(target: u32): u32 {
  spendCycles(TRANSFER_CYCLES);
  setPc(target);
  return Status.NEXT;
}

function branch(taken: bool, target: u32, next: u32): u32 {
  if (taken) return transfer(target);
  setPc(next);
  return Status.NEXT;
}

function nothing(next: u32): u32 {
  setPc(next);
  return Status.NEXT;
}

function loadTo(to: u32, address: u32, size: u32, next: u32, signed: bool = false): u32 {
  const value = loadData(address, size);
  const fault = load<u32>(FAULT);
  if (fault != SERVED) return raiseAt(fault, address);
  spendCycles(LOAD_CYCLES);
  setRegister(to, signed ? ((value as i16) as u32) : value);
  setPc(next);
  // A device may have raised or lowered an interrupt line.
  return Status.LOOK;
}

function storeFrom(from: u32, address: u32, size: u32, next: u32): u32 {
  if (!storeData(address, register(from), size)) return Status.TRAP;
  const fault = load<u32>(FAULT);
  if (fault != SERVED) return raiseAt(fault, address);
  setPc(next);
  return Status.LOOK;
}

/** op0 13: moves and what has no operands. */
function st3(w: u32, next: u32): u32 {
  const s = sOf(w);
  if (rOf(w) == 0) return give(tOf(w), register(s), next);
  if (rOf(w) != 15) return raise(Cause.ILLEGAL);
  if (tOf(w) == 2) return raiseDebug(16, next);
  if (s == 0 && tOf(w) == 0) return transfer(register(0));
  if (s == 0 && tOf(w) == 3) return nothing(next);
  return raise(Cause.ILLEGAL);
}

/** op0 2: loads, stores, and additions of constants. */
function lsai(w: u32, next: u32): u32 {
  const t = tOf(w);
  const base = register(sOf(w));
  const imm8 = imm8Of(w);
  switch (rOf(w)) {
    case 0:
      return loadTo(t, base + imm8, 1, next);
    case 1:
      return loadTo(t, base + (imm8 << 1), 2, next);
    case 2:
      return loadTo(t, base + (imm8 << 2), 4, next);
    case 4:
      return storeFrom(t, base + imm8, 1, next);
    case 5:
      return storeFrom(t, base + (imm8 << 1), 2, next);
    case 6:
      return storeFrom(t, base + (imm8 << 2), 4, next);
    case 9:
      return loadTo(t, base + (imm8 << 1), 2, next, true);
    case 10:
      return give(t, moviOf(w), next);
    case 12:
      return give(t, base + simm8Of(w), next);
    case 13:
      return give(t, base + (simm8Of(w) << 8), next);
  }
  return raise(Cause.ILLEGAL);
}

/** op0 6: J, and branches that compare with a constant. */
function si(w: u32, pc: u32, next: u32): u32 {
  const s = register(sOf(w));
  const m = mOf(w);
  switch (nOf(w)) {
    case 0:
      return transfer(target18(pc, w));
    case 1: {
      const negative = (s as i32) < 0;
      const is = m & 2 ? negative : s == 0;
      return branch(is != ((m & 1) != 0), target12(pc, w), next);
    }
    case 2: {
      const constant = b4const(rOf(w));
      const is = m & 2 ? (s as i32) < constant : (s as i32) == constant;
      return branch(is != ((m & 1) != 0), target8(pc, w), next);
    }
  }
  if (m < 2) return raise(Cause.ILLEGAL);
  return branch(s < b4constu(rOf(w)) != (m == 3), target8(pc, w), next);
}

/** op0 7: the condition of a branch that compares two registers; bit 3 of r negates. */
function compares(w: u32): bool {
  const s = register(sOf(w));
  const t = register(tOf(w));
  const negated = (w & 0x8000) != 0;
  switch (rOf(w) & 7) {
    case 0:
      return ((s & t) == 0) != negated;
    case 1:
      return (s == t) != negated;
    case 2:
      return (s as i32) < (t as i32) != negated;
    case 3:
      return s < t != negated;
    case 4:
      return ((~s & t) == 0) != negated;
    case 5:
      return ((s >> (t & 31)) & 1) == (negated ? 1 : 0);
    default:
      return ((s >> (tOf(w) | (rOf(w) & 1) << 4)) & 1) == (negated ? 1 : 0);
  }
}

/** op0 0, by op1. */
function qrst(w: u32, pc: u32, next: u32): u32 {
  switch (op1Of(w)) {
    case 0:
      return rst0(w, next);
    case 1:
      return rst1(w, next);
    case 2:
      if (op2Of(w) == 8) return give(rOf(w), register(sOf(w)) * register(tOf(w)), next);
      break;
    case 3:
      return rst3(w, next);
    case 4:
    case 5: {
      const shift = sOf(w) | (op1Of(w) & 1) << 4;
      return give(rOf(w), (register(tOf(w)) >> shift) & ((2 << op2Of(w)) - 1), next);
    }
  }
  return raise(Cause.ILLEGAL);
}

function rst0(w: u32, next: u32): u32 {
  const r = rOf(w);
  const s = register(sOf(w));
  const t = register(tOf(w));
  switch (op2Of(w)) {
    case 0:
      return st0(w, next);
    case 1:
      return give(r, s & t, next);
    case 2:
      return give(r, s | t, next);
    case 3:
      return give(r, s ^ t, next);
    case 4:
      return st1(w, next);
    case 5:
      // Region attributes: no effect. What reads them is r 3, 5, 7 and the same above 8, and gives 0.
      if ((r & 7) < 3) break;
      return r & 1 ? give(tOf(w), 0, next) : nothing(next);
    case 6:
      if (sOf(w) == 0) return give(r, 0 - t, next);
      if (sOf(w) == 1) return give(r, (t as i32) < 0 ? 0 - t : t, next);
      break;
    case 8:
    case 9:
    case 10:
    case 11:
      return give(r, (s << (op2Of(w) & 3)) + t, next);
    case 12:
    case 13:
    case 14:
    case 15:
      return give(r, (s << (op2Of(w) & 3)) - t, next);
  }
  return raise(Cause.ILLEGAL);
}

/** op2 0: jumps by register, synchronization, exceptions. */
function st0(w: u32, next: u32): u32 {
  const s = sOf(w);
  const t = tOf(w);
  switch (rOf(w)) {
    case 0:
      if (t == 8 && s == 0) return transfer(register(0));
      if (t == 10) return transfer(register(s));
      if (t == 12) {
        const target = register(s);
        setRegister(0, next);
        return transfer(target);
      }
      break;
    case 2:
      // ISYNC, RSYNC, ESYNC, DSYNC, EXCW, MEMW, EXTW, NOP.
      if (s == 0 && (0b1011_0001_0000_1111 >> t) & 1) return nothing(next);
      break;
    case 3:
      if (w == 0x003000) {
        setSpecial(Sr.PS, special(Sr.PS) & ~EXCM);
        return resume(special(Sr.EPC1));
      }
      if (w == 0x003200) return resume(special(Sr.DEPC));
      if (t == 1 && (s == 2 || s == 3)) {
        writeSpecial(Sr.PS, special(Sr.EPS2 + s - 2));
        return resume(special(Sr.EPC1 + s - 1));
      }
      break;
    case 4:
      return raiseDebug(8, next);
    case 5:
      if (w == 0x005000) return raise(Cause.SYSCALL);
      break;
    case 6: {
      const before = special(Sr.PS);
      setSpecial(Sr.PS, (before & ~INTLEVEL) | s);
      give(t, before, next);
      return Status.LOOK;
    }
    case 7:
      if (t != 0) break;
      setSpecial(Sr.PS, (special(Sr.PS) & ~INTLEVEL) | s);
      setPc(next);
      store<u32>(WAITING, 1);
      return Status.WAITING;
  }
  return raise(Cause.ILLEGAL);
}

/** Back from an exception. */
function resume(pc: u32): u32 {
  setPc(pc);
  return Status.LOOK;
}

/** op2 4: setting SAR, external registers, leading bits. */
function st1(w: u32, next: u32): u32 {
  const s = register(sOf(w));
  const t = tOf(w);
  switch (rOf(w)) {
    case 0:
      if (t == 0) return shiftBy(s & 31, next);
      break;
    case 1:
      if (t == 0) return shiftBy(32 - (s & 31), next);
      break;
    case 2:
      if (t == 0) return shiftBy((s & 3) << 3, next);
      break;
    case 3:
      if (t == 0) return shiftBy(32 - ((s & 3) << 3), next);
      break;
    case 4:
      if (t < 2) return shiftBy(sOf(w) | t << 4, next);
      break;
    case 6:
      return give(t, 0, next);
    case 7:
      return nothing(next);
    case 14:
      return give(t, clz<u32>(((s as i32) < 0 ? ~s : s)) - 1, next);
    case 15:
      return give(t, clz<u32>(s), next);
  }
  return raise(Cause.ILLEGAL);
}

function shiftBy(amount: u32, next: u32): u32 {
  setSpecial(Sr.SAR, amount);
  setPc(next);
  return Status.NEXT;
}

/** The low word of a 64-bit value shifted right by SAR. */
function funnel(high: u32, low: u32): u32 {
  return ((((high as u64) << 32) | (low as u64)) >> (special(Sr.SAR) as u64)) as u32;
}

function rst1(w: u32, next: u32): u32 {
  const r = rOf(w);
  const s = register(sOf(w));
  const t = register(tOf(w));
  switch (op2Of(w)) {
    case 0:
    case 1: {
      const field = (op2Of(w) & 1) << 4 | tOf(w);
      return give(r, field ? s << (32 - field) : 0, next);
    }
    case 2:
    case 3:
      return give(r, ((t as i32) >> ((op2Of(w) & 1) << 4 | sOf(w))) as u32, next);
    case 4:
      return give(r, t >> sOf(w), next);
    case 6:
      return exchangeSpecial(w, next);
    case 8:
      return give(r, funnel(s, t), next);
    case 9:
      if (sOf(w) == 0) return give(r, funnel(0, t), next);
      break;
    case 10:
      if (tOf(w) == 0) return give(r, funnel(s, 0), next);
      break;
    case 11:
      if (sOf(w) == 0) return give(r, (((t as i32) as i64) >> (special(Sr.SAR) as i64)) as u32, next);
      break;
    case 12:
      return give(r, (s & 0xffff) * (t & 0xffff), next);
    case 13:
      return give(r, ((s as i16) as u32) * ((t as i16) as u32), next);
  }
  return raise(Cause.ILLEGAL);
}

function rst3(w: u32, next: u32): u32 {
  const s = register(sOf(w));
  const t = register(tOf(w));
  let moves = false;
  switch (op2Of(w)) {
    case 0: {
      if (!isReadable(srOf(w))) return raise(Cause.ILLEGAL);
      return give(tOf(w), readSpecial(srOf(w)), next);
    }
    case 1: {
      if (!isWritable(srOf(w))) return raise(Cause.ILLEGAL);
      writeSpecial(srOf(w), t);
      setPc(next);
      return Status.LOOK;
    }
    case 8:
      moves = t == 0;
      break;
    case 9:
      moves = t != 0;
      break;
    case 10:
      moves = (t as i32) < 0;
      break;
    case 11:
      moves = (t as i32) >= 0;
      break;
    default:
      return raise(Cause.ILLEGAL);
  }
  return moves ? give(rOf(w), s, next) : nothing(next);
}

function exchangeSpecial(w: u32, next: u32): u32 {
  const number = srOf(w);
  if (!isReadable(number) || !isWritable(number)) return raise(Cause.ILLEGAL);
  const before = readSpecial(number);
  writeSpecial(number, register(tOf(w)));
  give(tOf(w), before, next);
  return Status.LOOK;
}
