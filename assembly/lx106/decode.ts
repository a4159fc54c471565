/** From the bytes of an instruction to its entry, see `layout.ts`. Whatever is rare becomes COLD, which is always right. */
import {
  addinOf,
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
  target12,
  target18,
  target6,
  target8,
  tOf,
} from './fields';
import {
  B4CONST_AT,
  B4CONSTU_AT,
  BREAKPOINTS,
  DRAM_START,
  ENTRIES,
  ENTRY_SHIFT,
  IRAM,
  IRAM_BYTES,
  IRAM_START,
  ZERO_AT,
} from './layout';
import { fuse } from './fuse';
import { Op } from './ops';

// @ts-ignore: decorator
@inline
function pack(op: u8, r: u32, s: u32, t: u32, constant: u32): u64 {
  const low = (op as u32) | (r << 8) | (s << 16) | (t << 24);
  return (low as u64) | ((constant as u64) << 32);
}

/** r, s, t are numbers of registers. */
// @ts-ignore: decorator
@inline
function entry(op: u8, r: u32, s: u32 = 0, t: u32 = 0, constant: u32 = 0): u64 {
  return pack(op, r << 2, s << 2, t << 2, constant);
}

const COLD: u64 = Op.COLD as u64;

/** Decodes what is at the entry `at`, and keeps it there. */
export function decode(at: usize): void {
  const offset = ((at - ENTRIES) >> ENTRY_SHIFT) as u32;
  const first = alone(offset);
  const length = lengthOf(fetch(offset));
  const next = at + ((length as usize) << ENTRY_SHIFT);
  const second = alone(offset + length);
  const both = fuse(first as u8, second as u8);
  if (!both) {
    store<u64>(at, first);
    return;
  }
  // The second may have been decoded already, alone or as the first of another pair: its operands are the same.
  if (!load<u8>(next)) store<u64>(next, second);
  store<u64>(at, (first & ~0xff) | (both as u64));
}

/** The entry of one instruction. */
function alone(offset: u32): u64 {
  if (offset >= IRAM_BYTES) return COLD;
  if (load<u8>(BREAKPOINTS + (offset >> 3)) >> ((offset & 7) as u8) & 1) return Op.BREAKPOINT as u64;
  const w = fetch(offset);
  return offset + lengthOf(w) <= IRAM_BYTES ? entryOf(w, IRAM_START + offset) : COLD;
}

function entryOf(w: u32, pc: u32): u64 {
  const r = rOf(w);
  const s = sOf(w);
  const t = tOf(w);
  switch (op0Of(w)) {
    case 0:
      return qrst(w);
    case 1: {
      const offset = literalAddress(pc, w) - IRAM_START;
      return offset < IRAM_BYTES ? entry(Op.L32R, t, 0, 0, (IRAM as u32) + offset) : COLD;
    }
    case 2:
      return lsai(w);
    case 5:
      return nOf(w) ? COLD : jump(Op.CALL0, 0, 0, callTarget(pc, w));
    case 6:
      return si(w, pc);
    case 7:
      return rri8(w, pc);
    case 8:
      return entry(Op.L32I_N, t, s, 0, (r << 2) - DRAM_START);
    case 9:
      return entry(Op.S32I_N, t, s, 0, (r << 2) - DRAM_START);
    case 10:
      return entry(Op.ADD_N, r, s, t);
    case 11:
      return entry(Op.ADDI_N, r, s, 0, addinOf(w));
    case 12:
      if (!(w & 0x80)) return entry(Op.MOVI_N, s, 0, 0, movinOf(w));
      return jump(mOf(w) == 2 ? Op.BEQZ_N : Op.BNEZ_N, s, 0, target6(pc, w));
    case 13:
      if (r == 0) return entry(Op.MOV_N, t, s);
      if (r == 15 && s == 0 && t == 0) return entry(Op.RET_N, 0);
      if (r == 15 && s == 0 && t == 3) return entry(Op.NOP_N, 0);
      break;
  }
  return COLD;
}

/** What goes to another instruction in IRAM; other targets are for `execute.ts`. */
function jump(op: u8, s: u32, t: u32, target: u32): u64 {
  const offset = target - IRAM_START;
  if (offset >= IRAM_BYTES) return COLD;
  return pack(op, 0, s << 2, t << 2, (ENTRIES as u32) + (offset << ENTRY_SHIFT));
}

function lsai(w: u32): u64 {
  const s = sOf(w);
  const t = tOf(w);
  const imm8 = imm8Of(w);
  switch (rOf(w)) {
    case 0:
      return entry(Op.L8UI, t, s, 0, imm8 - DRAM_START);
    case 1:
      return entry(Op.L16UI, t, s, 0, (imm8 << 1) - DRAM_START);
    case 2:
      return entry(Op.L32I, t, s, 0, (imm8 << 2) - DRAM_START);
    case 4:
      return entry(Op.S8I, t, s, 0, imm8 - DRAM_START);
    case 5:
      return entry(Op.S16I, t, s, 0, (imm8 << 1) - DRAM_START);
    case 6:
      return entry(Op.S32I, t, s, 0, (imm8 << 2) - DRAM_START);
    case 9:
      return entry(Op.L16SI, t, s, 0, (imm8 << 1) - DRAM_START);
    case 10:
      return entry(Op.MOVI, t, 0, 0, moviOf(w));
    case 12:
      return entry(Op.ADDI, t, s, 0, simm8Of(w));
    case 13:
      return entry(Op.ADDI, t, s, 0, simm8Of(w) << 8);
  }
  return COLD;
}

/** Comparisons with a constant are comparisons with the register that holds it. */
function si(w: u32, pc: u32): u64 {
  const r = rOf(w);
  const s = sOf(w);
  const m = mOf(w);
  switch (nOf(w)) {
    case 0:
      return jump(Op.J, 0, 0, target18(pc, w));
    case 1:
      return jump(Op.BEQZ + (m as u8), s, ZERO_AT, target12(pc, w));
    case 2:
      return jump(Op.BEQ + (m as u8), s, B4CONST_AT + r, target8(pc, w));
  }
  if (m < 2) return COLD;
  return jump(m == 2 ? Op.BLTU : Op.BGEU, s, B4CONSTU_AT + r, target8(pc, w));
}

function rri8(w: u32, pc: u32): u64 {
  const s = sOf(w);
  const t = tOf(w);
  const target = target8(pc, w);
  switch (rOf(w)) {
    case 0:
      return jump(Op.BNONE, s, t, target);
    case 1:
      return jump(Op.BEQ, s, t, target);
    case 2:
      return jump(Op.BLT, s, t, target);
    case 3:
      return jump(Op.BLTU, s, t, target);
    case 4:
      return jump(Op.BALL, s, t, target);
    case 5:
      return jump(Op.BBC, s, t, target);
    case 6:
    case 7:
      return bitJump(Op.BBCI, w, target);
    case 8:
      return jump(Op.BANY, s, t, target);
    case 9:
      return jump(Op.BNE, s, t, target);
    case 10:
      return jump(Op.BGE, s, t, target);
    case 11:
      return jump(Op.BGEU, s, t, target);
    case 12:
      return jump(Op.BNALL, s, t, target);
    case 13:
      return jump(Op.BBS, s, t, target);
    default:
      return bitJump(Op.BBSI, w, target);
  }
}

/** The byte of t is the number of the bit. */
function bitJump(op: u8, w: u32, target: u32): u64 {
  const jumps = jump(op, sOf(w), 0, target);
  const bit = tOf(w) | (rOf(w) & 1) << 4;
  return jumps == COLD ? COLD : jumps | ((bit as u64) << 24);
}

function qrst(w: u32): u64 {
  const r = rOf(w);
  const s = sOf(w);
  const t = tOf(w);
  switch (op1Of(w)) {
    case 0:
      return rst0(w);
    case 1:
      return rst1(w);
    case 2:
      return op2Of(w) == 8 ? entry(Op.MULL, r, s, t) : COLD;
    case 3:
      return op2Of(w) >= 8 && op2Of(w) <= 11 ? entry(Op.MOVEQZ + (op2Of(w) as u8) - 8, r, s, t) : COLD;
    case 4:
    case 5:
      return pack(Op.EXTUI, r << 2, s | (op1Of(w) & 1) << 4, t << 2, (2 << op2Of(w)) - 1);
  }
  return COLD;
}

function rst0(w: u32): u64 {
  const r = rOf(w);
  const s = sOf(w);
  const t = tOf(w);
  const op2 = op2Of(w);
  switch (op2) {
    case 0:
      if (w == 0x000080) return entry(Op.RET, 0);
      if (r == 0 && t == 10) return entry(Op.JX, 0, s);
      if (r == 0 && t == 12) return entry(Op.CALLX0, 0, s);
      if (r == 2 && s == 0 && (0b1011_0001_0000_1111 >> t) & 1) return entry(Op.NOP, 0);
      break;
    case 1:
      return entry(Op.AND, r, s, t);
    case 2:
      return s == t ? entry(Op.MOV, r, s) : entry(Op.OR, r, s, t);
    case 3:
      return entry(Op.XOR, r, s, t);
    case 4:
      if (r == 0 && t == 0) return entry(Op.SSR, 0, s);
      if (r == 1 && t == 0) return entry(Op.SSL, 0, s);
      if (r == 4 && t < 2) return entry(Op.SSAI, 0, 0, 0, s | t << 4);
      if (r == 14) return entry(Op.NSA, t, s);
      if (r == 15) return entry(Op.NSAU, t, s);
      break;
    case 6:
      if (s == 0) return entry(Op.NEG, r, 0, t);
      if (s == 1) return entry(Op.ABS, r, 0, t);
      break;
    case 8:
    case 9:
    case 10:
    case 11:
      return entry((op2 == 8 ? Op.ADD : Op.ADDX2 + (op2 as u8) - 9) as u8, r, s, t);
    case 12:
    case 13:
    case 14:
    case 15:
      return entry(Op.SUB + (op2 as u8) - 12, r, s, t);
  }
  return COLD;
}

function rst1(w: u32): u64 {
  const r = rOf(w);
  const s = sOf(w);
  const t = tOf(w);
  const op2 = op2Of(w);
  switch (op2) {
    case 0:
    case 1: {
      const field = (op2 & 1) << 4 | t;
      return field ? pack(Op.SLLI, r << 2, s << 2, 32 - field, 0) : COLD;
    }
    case 2:
    case 3:
      return pack(Op.SRAI, r << 2, (op2 & 1) << 4 | s, t << 2, 0);
    case 4:
      return pack(Op.SRLI, r << 2, s, t << 2, 0);
    case 8:
      return entry(Op.SRC, r, s, t);
    case 9:
      return s == 0 ? entry(Op.SRL, r, 0, t) : COLD;
    case 10:
      return t == 0 ? entry(Op.SLL, r, s) : COLD;
    case 11:
      return s == 0 ? entry(Op.SRA, r, 0, t) : COLD;
    case 12:
      return entry(Op.MUL16U, r, s, t);
    case 13:
      return entry(Op.MUL16S, r, s, t);
  }
  return COLD;
}
