/** Instructions as bytes, by the formats of spec chapter 07 §2.1: as few as the tests need. */

type Bytes = readonly number[];

const wide = (w: number): Bytes => [w & 0xff, (w >> 8) & 0xff, (w >> 16) & 0xff];
const narrow = (w: number): Bytes => [w & 0xff, (w >> 8) & 0xff];
const rri8 = (r: number, s: number, t: number, imm8: number): Bytes =>
  wide(((imm8 & 0xff) << 16) | (r << 12) | (s << 8) | (t << 4) | 2);
const rrr = (op2: number, op1: number, r: number, s: number, t: number): Bytes =>
  wide((op2 << 20) | (op1 << 16) | (r << 12) | (s << 8) | (t << 4));
const special = (op2: number, op1: number, t: number, number: number): Bytes =>
  wide((op2 << 20) | (op1 << 16) | (number << 8) | (t << 4));

export const l8ui = (t: number, s: number, offset: number) => rri8(0, s, t, offset);
export const l16ui = (t: number, s: number, offset: number) => rri8(1, s, t, offset >> 1);
export const l32i = (t: number, s: number, offset: number) => rri8(2, s, t, offset >> 2);
export const s8i = (t: number, s: number, offset: number) => rri8(4, s, t, offset);
export const s16i = (t: number, s: number, offset: number) => rri8(5, s, t, offset >> 1);
export const s32i = (t: number, s: number, offset: number) => rri8(6, s, t, offset >> 2);
export const movi = (t: number, value: number) => rri8(10, (value >> 8) & 15, t, value);
export const addi = (t: number, s: number, value: number) => rri8(12, s, t, value);
export const add = (r: number, s: number, t: number) => rrr(8, 0, r, s, t);
/** Offset from the instruction itself. */
export const j = (offset: number) => wide(((offset - 4) << 6) | 6);
export const bnez = (s: number, offset: number) => wide((((offset - 4) & 0xfff) << 12) | (s << 8) | 0x56);
export const jx = (s: number) => rrr(0, 0, 0, s, 10);
export const callx0 = (s: number) => rrr(0, 0, 0, s, 12);
/** Words back from the next word boundary: -1 is the word before. */
export const l32r = (t: number, words: number) => wide(((words & 0xffff) << 8) | (t << 4) | 1);
export const rsr = (t: number, number: number) => special(0, 3, t, number);
export const wsr = (t: number, number: number) => special(1, 3, t, number);
export const xsr = (t: number, number: number) => special(6, 1, t, number);
export const rsil = (t: number, level: number) => rrr(0, 0, 6, level, t);
export const waiti = (level: number) => rrr(0, 0, 7, level, 0);
export const rfe = rrr(0, 0, 3, 0, 0);
export const rfi = (level: number) => rrr(0, 0, 3, level, 1);
export const breakN = narrow(0xf02d);
export const breakWide = rrr(0, 0, 4, 1, 1);
export const syscall = rrr(0, 0, 5, 0, 0);
export const ill = rrr(0, 0, 0, 0, 0);
export const nop = rrr(0, 0, 2, 0, 15);
export const nopN = narrow(0xf03d);
export const retN = narrow(0xf00d);

export const program = (...instructions: Bytes[]): Uint8Array => Uint8Array.from(instructions.flat());
