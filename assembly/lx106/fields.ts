/** Fields of an instruction word w = b0 | b1 << 8 | b2 << 16. Spec chapter 07 §2.1. */
import { IRAM } from './layout';

// @ts-ignore: decorator
@inline
export function op0Of(w: u32): u32 {
  return w & 15;
}
// @ts-ignore: decorator
@inline
export function tOf(w: u32): u32 {
  return (w >> 4) & 15;
}
// @ts-ignore: decorator
@inline
export function sOf(w: u32): u32 {
  return (w >> 8) & 15;
}
// @ts-ignore: decorator
@inline
export function rOf(w: u32): u32 {
  return (w >> 12) & 15;
}
// @ts-ignore: decorator
@inline
export function op1Of(w: u32): u32 {
  return (w >> 16) & 15;
}
// @ts-ignore: decorator
@inline
export function op2Of(w: u32): u32 {
  return (w >> 20) & 15;
}
/** Number of a special register. */
// @ts-ignore: decorator
@inline
export function srOf(w: u32): u32 {
  return (w >> 8) & 0xff;
}
// @ts-ignore: decorator
@inline
export function nOf(w: u32): u32 {
  return (w >> 4) & 3;
}
// @ts-ignore: decorator
@inline
export function mOf(w: u32): u32 {
  return (w >> 6) & 3;
}
// @ts-ignore: decorator
@inline
export function imm8Of(w: u32): u32 {
  return (w >> 16) & 0xff;
}
/** The same, sign-extended. */
// @ts-ignore: decorator
@inline
export function simm8Of(w: u32): u32 {
  return (((w << 8) as i32) >> 24) as u32;
}
/** The immediate of MOVI: s has the high bits. */
// @ts-ignore: decorator
@inline
export function moviOf(w: u32): u32 {
  return ((((sOf(w) << 8) | imm8Of(w)) << 20) as i32 >> 20) as u32;
}
/** The immediate of MOVI.N: 96..127 mean -32..-1. */
// @ts-ignore: decorator
@inline
export function movinOf(w: u32): u32 {
  const imm7 = rOf(w) | (tOf(w) & 7) << 4;
  return imm7 >= 96 ? imm7 - 128 : imm7;
}
/** The immediate of ADDI.N: 0 means -1. */
// @ts-ignore: decorator
@inline
export function addinOf(w: u32): u32 {
  return tOf(w) ? tOf(w) : -1;
}

/** op0 8-13: 2 bytes; every other value: 3 bytes. */
// @ts-ignore: decorator
@inline
export function lengthOf(w: u32): u32 {
  const op0 = w & 15;
  return op0 >= 8 && op0 <= 13 ? 2 : 3;
}

/** Three bytes at any offset of IRAM. */
// @ts-ignore: decorator
@inline
export function fetch(offset: u32): u32 {
  return load<u32>(IRAM + offset) & 0xffffff;
}

/** Where BRI8, RRI8 go. */
// @ts-ignore: decorator
@inline
export function target8(pc: u32, w: u32): u32 {
  return pc + 4 + simm8Of(w);
}
// @ts-ignore: decorator
@inline
export function target12(pc: u32, w: u32): u32 {
  return pc + 4 + ((((w << 8) as i32) >> 20) as u32);
}
// @ts-ignore: decorator
@inline
export function target18(pc: u32, w: u32): u32 {
  return pc + 4 + ((((w << 8) as i32) >> 14) as u32);
}
/** BEQZ.N and BNEZ.N: forward only. */
// @ts-ignore: decorator
@inline
export function target6(pc: u32, w: u32): u32 {
  return pc + 4 + (rOf(w) | (tOf(w) & 3) << 4);
}
// @ts-ignore: decorator
@inline
export function callTarget(pc: u32, w: u32): u32 {
  return (pc & ~3) + 4 + (((((w << 8) as i32) >> 14) as u32) << 2);
}
// @ts-ignore: decorator
@inline
export function literalAddress(pc: u32, w: u32): u32 {
  return ((pc + 3) & ~3) + ((0xffff0000 | (w >> 8)) << 2);
}

/** B4CONST. */
export function b4const(r: u32): i32 {
  switch (r) {
    case 0:
      return -1;
    case 9:
      return 10;
    case 10:
      return 12;
    case 11:
      return 16;
    default:
      return r < 9 ? r : 1 << (r - 7);
  }
}

/** B4CONSTU. */
export function b4constu(r: u32): u32 {
  return r == 0 ? 32768 : r == 1 ? 65536 : b4const(r);
}
