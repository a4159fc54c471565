/**
 * Runs many instructions. The loop takes one decoded entry at a time; its handlers do the ordinary case and leave the
 * switch for everything else (unaligned, not in DRAM, a device, leaving the IRAM), which `execute` then does from the
 * bytes of the instruction.
 */
import { decode } from './decode';
import { account, sleepToTimer, stepsToTimer, takeInterrupt } from './exceptions';
import { execute } from './execute';
import {
  DRAM,
  DRAM_BYTES,
  ENTRIES,
  ENTRY_BYTES,
  ENTRY_SHIFT,
  EXTRA_CYCLES,
  IRAM_BYTES,
  IRAM_START,
  PC,
  REGISTERS,
  REPORTED,
  SPECIAL,
  WAITING,
} from './layout';
import { Op } from './ops';
import { Sr, Status } from './state';

/** From an entry to the next one. */
const WIDE: usize = 3 * ENTRY_BYTES;
const NARROW: usize = 2 * ENTRY_BYTES;

/** Behind the entries of the IRAM. */
const ENTRIES_END: usize = ENTRIES + (IRAM_BYTES as usize) * ENTRY_BYTES;

const SAR: usize = SPECIAL + 4 * Sr.SAR;

// @ts-ignore: decorator
@inline
function s(ip: usize): u32 {
  return load<u32>(load<u8>(ip, 2) as usize, REGISTERS);
}
// @ts-ignore: decorator
@inline
function t(ip: usize): u32 {
  return load<u32>(load<u8>(ip, 3) as usize, REGISTERS);
}
// @ts-ignore: decorator
@inline
function r(ip: usize): u32 {
  return load<u32>(load<u8>(ip, 1) as usize, REGISTERS);
}
// @ts-ignore: decorator
@inline
function give(ip: usize, value: u32): void {
  store<u32>(load<u8>(ip, 1) as usize, value, REGISTERS);
}
// @ts-ignore: decorator
@inline
function constant(ip: usize): u32 {
  return load<u32>(ip, 4);
}
/** Loads and stores of DRAM, with the offset of the entry; false, and nothing done, when it is not so simple. */
// @ts-ignore: decorator
@inline
function load8(ip: usize): bool {
  const offset = s(ip) + constant(ip);
  if (offset >= DRAM_BYTES) return false;
  give(ip, load<u8>(offset as usize, DRAM));
  return true;
}
// @ts-ignore: decorator
@inline
function load16(ip: usize): bool {
  const offset = s(ip) + constant(ip);
  if (rotr<u32>(offset, 1) >= DRAM_BYTES / 2) return false;
  give(ip, load<u16>(offset as usize, DRAM));
  return true;
}
// @ts-ignore: decorator
@inline
function load16Signed(ip: usize): bool {
  const offset = s(ip) + constant(ip);
  if (rotr<u32>(offset, 1) >= DRAM_BYTES / 2) return false;
  give(ip, load<i16>(offset as usize, DRAM) as u32);
  return true;
}
// @ts-ignore: decorator
@inline
function load32(ip: usize): bool {
  const offset = s(ip) + constant(ip);
  if (rotr<u32>(offset, 2) >= DRAM_BYTES / 4) return false;
  give(ip, load<u32>(offset as usize, DRAM));
  return true;
}
// @ts-ignore: decorator
@inline
function store8(ip: usize): bool {
  const offset = s(ip) + constant(ip);
  if (offset >= DRAM_BYTES) return false;
  store<u8>(offset as usize, r(ip) as u8, DRAM);
  return true;
}
// @ts-ignore: decorator
@inline
function store16(ip: usize): bool {
  const offset = s(ip) + constant(ip);
  if (rotr<u32>(offset, 1) >= DRAM_BYTES / 2) return false;
  store<u16>(offset as usize, r(ip) as u16, DRAM);
  return true;
}
// @ts-ignore: decorator
@inline
function store32(ip: usize): bool {
  const offset = s(ip) + constant(ip);
  if (rotr<u32>(offset, 2) >= DRAM_BYTES / 4) return false;
  store<u32>(offset as usize, r(ip), DRAM);
  return true;
}
// @ts-ignore: decorator
@inline
function addressOf(ip: usize): u32 {
  return IRAM_START + (((ip - ENTRIES) >> ENTRY_SHIFT) as u32);
}
// @ts-ignore: decorator
@inline
function entryAt(offset: u32): usize {
  return ENTRIES + ((offset as usize) << ENTRY_SHIFT);
}

/** The low word of a 64-bit value shifted right by SAR. */
// @ts-ignore: decorator
@inline
function funnel(high: u32, low: u32): u32 {
  return ((((high as u64) << 32) | (low as u64)) >> (load<u32>(SAR) as u64)) as u32;
}

/**
 * Runs at most `budget` instructions.
 *
 * @param stopOnException whether to come back when an exception was entered
 * @returns a `Status`, not NEXT or LOOK
 */
export function run(budget: u32, stopOnException: bool): u32 {
  while (budget) {
    if (load<u32>(WAITING)) sleepToTimer();
    if (takeInterrupt() == Status.EXCEPTION && stopOnException) return Status.EXCEPTION;
    if (load<u32>(WAITING)) return Status.WAITING;
    const most = min<u32>(budget, stepsToTimer());
    left = most;
    const status = loop();
    budget -= most - left;
    if (status >= Status.WAITING) return status;
    if (status == Status.EXCEPTION && stopOnException) return status;
  }
  return Status.BUDGET;
}

/** One instruction, or else the entry of a pending interrupt. */
export function step(): u32 {
  if (load<u32>(WAITING)) sleepToTimer();
  const status = takeInterrupt();
  if (status != Status.NEXT) return status;
  if (load<u32>(WAITING)) return Status.WAITING;
  store<u32>(REPORTED, 0);
  return one();
}

/** How many instructions `loop` may execute; and afterwards, how many of them it did not. */
let left: u32 = 0;

/**
 * Executes up to `left` instructions, fewer when something wants to be looked at: LOOK, or why `run` should end. pc, steps
 * and cycles are up to date whenever the host is asked something, and at the end.
 */
function loop(): u32 {
  let offset = load<u32>(PC) - IRAM_START;
  const reported = load<u32>(REPORTED);
  store<u32>(REPORTED, 0);
  if (reported || offset >= IRAM_BYTES) return one();
  let ip = entryAt(offset);
  let budget = left;
  /** What has not been charged yet: instructions since the budget was so, and their cycles above the first. */
  let charged = budget;
  let extra: u32 = 0;
  while (budget) {
    budget--;
    switch (load<u8>(ip)) {
      case Op.UNDECODED:
        if (ip >= ENTRIES_END) break;
        decode(ip);
        budget++;
        continue;
      case Op.BREAKPOINT:
        budget++;
        store<u32>(REPORTED, 1);
        store<u32>(PC, addressOf(ip));
        account(charged - budget, extra);
        left = budget;
        return Status.BREAKPOINT;
      case Op.COLD:
        break;
      case Op.ADD:
        give(ip, s(ip) + t(ip));
        ip += WIDE;
        continue;
      case Op.ADD_N:
        give(ip, s(ip) + t(ip));
        ip += NARROW;
        continue;
      case Op.ADDX2:
        give(ip, (s(ip) << 1) + t(ip));
        ip += WIDE;
        continue;
      case Op.ADDX4:
        give(ip, (s(ip) << 2) + t(ip));
        ip += WIDE;
        continue;
      case Op.ADDX8:
        give(ip, (s(ip) << 3) + t(ip));
        ip += WIDE;
        continue;
      case Op.SUB:
        give(ip, s(ip) - t(ip));
        ip += WIDE;
        continue;
      case Op.SUBX2:
        give(ip, (s(ip) << 1) - t(ip));
        ip += WIDE;
        continue;
      case Op.SUBX4:
        give(ip, (s(ip) << 2) - t(ip));
        ip += WIDE;
        continue;
      case Op.SUBX8:
        give(ip, (s(ip) << 3) - t(ip));
        ip += WIDE;
        continue;
      case Op.AND:
        give(ip, s(ip) & t(ip));
        ip += WIDE;
        continue;
      case Op.OR:
        give(ip, s(ip) | t(ip));
        ip += WIDE;
        continue;
      case Op.XOR:
        give(ip, s(ip) ^ t(ip));
        ip += WIDE;
        continue;
      case Op.MULL:
        give(ip, s(ip) * t(ip));
        ip += WIDE;
        continue;
      case Op.MUL16U:
        give(ip, (s(ip) & 0xffff) * (t(ip) & 0xffff));
        ip += WIDE;
        continue;
      case Op.MUL16S:
        give(ip, ((s(ip) as i16) as u32) * ((t(ip) as i16) as u32));
        ip += WIDE;
        continue;
      case Op.SRC:
        give(ip, funnel(s(ip), t(ip)));
        ip += WIDE;
        continue;
      case Op.NEG:
        give(ip, 0 - t(ip));
        ip += WIDE;
        continue;
      case Op.ABS: {
        const value = t(ip);
        give(ip, (value as i32) < 0 ? 0 - value : value);
        ip += WIDE;
        continue;
      }
      case Op.SRL:
        give(ip, funnel(0, t(ip)));
        ip += WIDE;
        continue;
      case Op.SRA:
        give(ip, (((t(ip) as i32) as i64) >> (load<u32>(SAR) as i64)) as u32);
        ip += WIDE;
        continue;
      case Op.SLL:
        give(ip, funnel(s(ip), 0));
        ip += WIDE;
        continue;
      case Op.MOV:
        give(ip, s(ip));
        ip += WIDE;
        continue;
      case Op.MOV_N:
        give(ip, s(ip));
        ip += NARROW;
        continue;
      case Op.NSA: {
        const value = s(ip);
        give(ip, clz<u32>((value as i32) < 0 ? ~value : value) - 1);
        ip += WIDE;
        continue;
      }
      case Op.NSAU:
        give(ip, clz<u32>(s(ip)));
        ip += WIDE;
        continue;
      case Op.SLLI:
        give(ip, s(ip) << (load<u8>(ip, 3) as u32));
        ip += WIDE;
        continue;
      case Op.SRAI:
        give(ip, ((t(ip) as i32) >> (load<u8>(ip, 2) as i32)) as u32);
        ip += WIDE;
        continue;
      case Op.SRLI:
        give(ip, t(ip) >> (load<u8>(ip, 2) as u32));
        ip += WIDE;
        continue;
      case Op.EXTUI:
        give(ip, (t(ip) >> (load<u8>(ip, 2) as u32)) & constant(ip));
        ip += WIDE;
        continue;
      case Op.SSR:
        store<u32>(SAR, s(ip) & 31);
        ip += WIDE;
        continue;
      case Op.SSL:
        store<u32>(SAR, 32 - (s(ip) & 31));
        ip += WIDE;
        continue;
      case Op.SSAI:
        store<u32>(SAR, constant(ip));
        ip += WIDE;
        continue;
      case Op.MOVI:
        give(ip, constant(ip));
        ip += WIDE;
        continue;
      case Op.MOVI_N:
        give(ip, constant(ip));
        ip += NARROW;
        continue;
      case Op.L32R:
        give(ip, load<u32>(constant(ip) as usize));
        extra++;
        ip += WIDE;
        continue;
      case Op.ADDI:
        give(ip, s(ip) + constant(ip));
        ip += WIDE;
        continue;
      case Op.ADDI_N:
        give(ip, s(ip) + constant(ip));
        ip += NARROW;
        continue;
      case Op.MOVEQZ:
        if (t(ip) == 0) give(ip, s(ip));
        ip += WIDE;
        continue;
      case Op.MOVNEZ:
        if (t(ip) != 0) give(ip, s(ip));
        ip += WIDE;
        continue;
      case Op.MOVLTZ:
        if ((t(ip) as i32) < 0) give(ip, s(ip));
        ip += WIDE;
        continue;
      case Op.MOVGEZ:
        if ((t(ip) as i32) >= 0) give(ip, s(ip));
        ip += WIDE;
        continue;
      case Op.NOP:
        ip += WIDE;
        continue;
      case Op.NOP_N:
        ip += NARROW;
        continue;
      case Op.L8UI:
        if (!load8(ip)) break;
        extra++;
        ip += WIDE;
        continue;
      case Op.L16UI:
        if (!load16(ip)) break;
        extra++;
        ip += WIDE;
        continue;
      case Op.L16SI:
        if (!load16Signed(ip)) break;
        extra++;
        ip += WIDE;
        continue;
      case Op.L32I:
        if (!load32(ip)) break;
        extra++;
        ip += WIDE;
        continue;
      case Op.L32I_N:
        if (!load32(ip)) break;
        extra++;
        ip += NARROW;
        continue;
      case Op.S8I:
        if (!store8(ip)) break;
        ip += WIDE;
        continue;
      case Op.S16I:
        if (!store16(ip)) break;
        ip += WIDE;
        continue;
      case Op.S32I:
        if (!store32(ip)) break;
        ip += WIDE;
        continue;
      case Op.S32I_N:
        if (!store32(ip)) break;
        ip += NARROW;
        continue;
      case Op.BEQ:
        if (s(ip) == t(ip)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BNE:
        if (s(ip) != t(ip)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BLT:
        if ((s(ip) as i32) < (t(ip) as i32)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BGE:
        if ((s(ip) as i32) >= (t(ip) as i32)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BLTU:
        if (s(ip) < t(ip)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BGEU:
        if (s(ip) >= t(ip)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BANY:
        if ((s(ip) & t(ip)) != 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BNONE:
        if ((s(ip) & t(ip)) == 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BALL:
        if ((~s(ip) & t(ip)) == 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BNALL:
        if ((~s(ip) & t(ip)) != 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BBC:
        if (!((s(ip) >> (t(ip) & 31)) & 1)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BBS:
        if ((s(ip) >> (t(ip) & 31)) & 1) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BBCI:
        if (!((s(ip) >> (load<u8>(ip, 3) as u32)) & 1)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BBSI:
        if ((s(ip) >> (load<u8>(ip, 3) as u32)) & 1) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BEQZ:
        if (s(ip) == 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BNEZ:
        if (s(ip) != 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BLTZ:
        if ((s(ip) as i32) < 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BGEZ:
        if ((s(ip) as i32) >= 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.BEQZ_N:
        if (s(ip) == 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += NARROW;
        }
        continue;
      case Op.BNEZ_N:
        if (s(ip) != 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += NARROW;
        }
        continue;
      case Op.J:
        extra += 2;
        ip = constant(ip) as usize;
        continue;
      case Op.CALL0:
        store<u32>(REGISTERS, addressOf(ip) + 3);
        extra += 2;
        ip = constant(ip) as usize;
        continue;
      case Op.JX: {
        const offset = s(ip) - IRAM_START;
        if (offset < IRAM_BYTES) {
          extra += 2;
          ip = entryAt(offset);
          continue;
        }
        break;
      }
      case Op.CALLX0: {
        const offset = s(ip) - IRAM_START;
        if (offset < IRAM_BYTES) {
          store<u32>(REGISTERS, addressOf(ip) + 3);
          extra += 2;
          ip = entryAt(offset);
          continue;
        }
        break;
      }
      case Op.RET: {
        const offset = load<u32>(REGISTERS) - IRAM_START;
        if (offset < IRAM_BYTES) {
          extra += 2;
          ip = entryAt(offset);
          continue;
        }
        break;
      }
      case Op.RET_N: {
        const offset = load<u32>(REGISTERS) - IRAM_START;
        if (offset < IRAM_BYTES) {
          extra += 2;
          ip = entryAt(offset);
          continue;
        }
        break;
      }
      case Op.L32I_N__L32I_N:
        if (!load32(ip)) break;
        extra++;
        ip += NARROW;
        if (!budget) continue;
        budget--;
        if (!load32(ip)) break;
        extra++;
        ip += NARROW;
        continue;
      case Op.S32I_N__S32I_N:
        if (!store32(ip)) break;
        ip += NARROW;
        if (!budget) continue;
        budget--;
        if (!store32(ip)) break;
        ip += NARROW;
        continue;
      case Op.L32I_N__ADDI:
        if (!load32(ip)) break;
        extra++;
        ip += NARROW;
        if (!budget) continue;
        budget--;
        give(ip, s(ip) + constant(ip));
        ip += WIDE;
        continue;
      case Op.ADDI_N__S32I_N:
        give(ip, s(ip) + constant(ip));
        ip += NARROW;
        if (!budget) continue;
        budget--;
        if (!store32(ip)) break;
        ip += NARROW;
        continue;
      case Op.L8UI__ADD_N:
        if (!load8(ip)) break;
        extra++;
        ip += WIDE;
        if (!budget) continue;
        budget--;
        give(ip, s(ip) + t(ip));
        ip += NARROW;
        continue;
      case Op.SLLI__ADD_N:
        give(ip, s(ip) << (load<u8>(ip, 3) as u32));
        ip += WIDE;
        if (!budget) continue;
        budget--;
        give(ip, s(ip) + t(ip));
        ip += NARROW;
        continue;
      case Op.ADDI_N__ADD_N:
        give(ip, s(ip) + constant(ip));
        ip += NARROW;
        if (!budget) continue;
        budget--;
        give(ip, s(ip) + t(ip));
        ip += NARROW;
        continue;
      case Op.SRLI__S32I_N:
        give(ip, t(ip) >> (load<u8>(ip, 2) as u32));
        ip += WIDE;
        if (!budget) continue;
        budget--;
        if (!store32(ip)) break;
        ip += NARROW;
        continue;
      case Op.SSR__SRL:
        store<u32>(SAR, s(ip) & 31);
        ip += WIDE;
        if (!budget) continue;
        budget--;
        give(ip, funnel(0, t(ip)));
        ip += WIDE;
        continue;
      case Op.L32I__SUB:
        if (!load32(ip)) break;
        extra++;
        ip += WIDE;
        if (!budget) continue;
        budget--;
        give(ip, s(ip) - t(ip));
        ip += WIDE;
        continue;
      case Op.MOV_N__BNEZ_N:
        give(ip, s(ip));
        ip += NARROW;
        if (!budget) continue;
        budget--;
        if (s(ip) != 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += NARROW;
        }
        continue;
      case Op.L16UI__SLLI:
        if (!load16(ip)) break;
        extra++;
        ip += WIDE;
        if (!budget) continue;
        budget--;
        give(ip, s(ip) << (load<u8>(ip, 3) as u32));
        ip += WIDE;
        continue;
      case Op.SUB__BGEZ:
        give(ip, s(ip) - t(ip));
        ip += WIDE;
        if (!budget) continue;
        budget--;
        if ((s(ip) as i32) >= 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.MOV__ADD:
        give(ip, s(ip));
        ip += WIDE;
        if (!budget) continue;
        budget--;
        give(ip, s(ip) + t(ip));
        ip += WIDE;
        continue;
      case Op.ADD_N__BEQ:
        give(ip, s(ip) + t(ip));
        ip += NARROW;
        if (!budget) continue;
        budget--;
        if (s(ip) == t(ip)) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.SRAI__SRAI:
        give(ip, ((t(ip) as i32) >> (load<u8>(ip, 2) as i32)) as u32);
        ip += WIDE;
        if (!budget) continue;
        budget--;
        give(ip, ((t(ip) as i32) >> (load<u8>(ip, 2) as i32)) as u32);
        ip += WIDE;
        continue;
      case Op.SUB__BNONE:
        give(ip, s(ip) - t(ip));
        ip += WIDE;
        if (!budget) continue;
        budget--;
        if ((s(ip) & t(ip)) == 0) {
          extra += 2;
          ip = constant(ip) as usize;
        } else {
          ip += WIDE;
        }
        continue;
      case Op.SSL__SLL:
        store<u32>(SAR, 32 - (s(ip) & 31));
        ip += WIDE;
        if (!budget) continue;
        budget--;
        give(ip, funnel(s(ip), 0));
        ip += WIDE;
        continue;
    }
    budget++;
    store<u32>(PC, addressOf(ip));
    account(charged - budget, extra);
    charged = budget;
    extra = 0;
    left = budget;
    const status = one();
    if (status != Status.NEXT) return status;
    budget--;
    charged = budget;
    offset = load<u32>(PC) - IRAM_START;
    if (offset >= IRAM_BYTES) return Status.LOOK;
    ip = entryAt(offset);
  }
  store<u32>(PC, addressOf(ip));
  account(charged, extra);
  left = 0;
  return Status.LOOK;
}

/** One instruction from its bytes, counted unless it was not executed. */
function one(): u32 {
  const status = execute();
  if (status == Status.TRAP) return status;
  account(1, load<u32>(EXTRA_CYCLES));
  left--;
  return status;
}
