/**
 * Which bytes a loss of power or a defect leaves behind, as pure functions of the bytes before.
 * Bits happen in order, bytes rising and the high bit of each first. Source: spec chapter 01 §1 rule 4; design.md §8.
 */

/** The byte whose first (high) `count` of 8 bits are 1. */
const highBits = (count: number): number => (0xff00 >> count) & 0xff;

/** Limits a bit count to what `length` bytes have. */
export const clampBits = (bits: number, length: number): number => Math.min(Math.max(0, Math.floor(bits)), length * 8);

/**
 * A program that stopped after `bits` bits of its data: those were ANDed into the cells, the rest is as before.
 *
 * @param before the cells, one byte for each of `data`
 * @param bits 0 to 8 times the length; more is the whole
 */
export function tornProgram(before: Uint8Array, data: Uint8Array, bits: number): Uint8Array {
  const after = before.slice();
  const done = clampBits(bits, data.length);
  const whole = done >> 3;
  for (let i = 0; i < whole; i++) after[i] = before[i]! & data[i]!;
  if (done & 7) after[whole] = before[whole]! & (data[whole]! | (highBits(done & 7) ^ 0xff));
  return after;
}

/**
 * An erase that stopped after `bits` bits of the sector: those are 1, the rest is as before.
 *
 * @param before the sector
 * @param bits 0 to 8 times its length; more is the whole
 */
export function tornErase(before: Uint8Array, bits: number): Uint8Array {
  const after = before.slice();
  const done = clampBits(bits, before.length);
  const whole = done >> 3;
  after.fill(0xff, 0, whole);
  if (done & 7) after[whole] = before[whole]! | highBits(done & 7);
  return after;
}

/**
 * A program of cells some of which no longer change: bits in `mask` keep what they hold.
 *
 * @param mask may be shorter than the cells; the cells past its end are sound
 */
export function stuckProgram(before: Uint8Array, data: Uint8Array, mask: Uint8Array): Uint8Array {
  return Uint8Array.from(before, (cell, i) => cell & (data[i]! | (mask[i] ?? 0)));
}

/**
 * An erase of cells some of which are worn out. A part programs every cell to 0 before it erases them all, so a bit in
 * `mask` is 0 afterwards, whatever it held.
 *
 * @param mask may be shorter than the sector; the cells past its end are sound
 */
export function wornErase(length: number, mask: Uint8Array): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 0xff & ~(mask[i] ?? 0));
}

/**
 * The outcome of an operation with cells among it that did not take part: bits in `mask` hold what they held before.
 *
 * @param mask may be shorter than the cells; the cells past its end are sound
 */
export function withHeld(after: Uint8Array, before: Uint8Array, mask: Uint8Array): Uint8Array {
  return Uint8Array.from(after, (cell, i) => (cell & ~(mask[i] ?? 0)) | (before[i]! & (mask[i] ?? 0)));
}

/** How many bits are 1 in `wanted` and 0 in `cells`: asked to be 1, and stayed 0. */
export function missingOnes(wanted: Uint8Array, cells: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < wanted.length; i++) {
    for (let rest = wanted[i]! & ~cells[i]!; rest !== 0; rest &= rest - 1) count++;
  }
  return count;
}
