/** Torn and worn states: between old and new, monotone in the bit count. Spec chapter 01 §1 rule 4; design.md §8. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  clampBits,
  missingOnes,
  stuckProgram,
  tornErase,
  tornProgram,
  withHeld,
  wornErase,
} from '../../flash/tearing.ts';

const bytes = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength });
const same = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const programs = bytes(64).chain((before) =>
  fc.record({
    before: fc.constant(before),
    data: same(before.length),
    mask: same(before.length),
    bits: fc.nat(before.length * 8),
    more: fc.nat(before.length * 8),
  }),
);
/** Bit `n` in the order in which bits happen: bytes rising, high bit first. */
const bitAt = (cells: Uint8Array, n: number): number => (cells[n >> 3]! >> (7 - (n & 7))) & 1;

describe('a torn program', () => {
  test.each([
    [0, [0xff, 0xff]],
    [1, [0x7f, 0xff]],
    [4, [0x0f, 0xff]],
    [8, [0x00, 0xff]],
    [9, [0x00, 0x7f]],
    [16, [0x00, 0x00]],
    [99, [0x00, 0x00]],
    [-1, [0xff, 0xff]],
  ])('of zeros over a blank cell pair, cut after %i bits', (bits, after) => {
    expect([...tornProgram(Uint8Array.of(0xff, 0xff), Uint8Array.of(0, 0), bits)]).toEqual(after);
  });

  test('invariant: bits before the cut are old AND new, those after it old', () => {
    fc.assert(
      fc.property(programs, ({ before, data, bits }) => {
        const after = tornProgram(before, data, bits);
        for (let n = 0; n < before.length * 8; n++) {
          expect(bitAt(after, n)).toBe(n < bits ? bitAt(before, n) & bitAt(data, n) : bitAt(before, n));
        }
      }),
    );
  });

  test('invariant: more bits never bring a bit back, none is the old and all is the whole', () => {
    fc.assert(
      fc.property(programs, ({ before, data, bits, more }) => {
        const [less, later] = [tornProgram(before, data, bits), tornProgram(before, data, bits + more)];
        expect(missingOnes(later, less)).toBe(0);
        expect(tornProgram(before, data, 0)).toEqual(before);
        expect(tornProgram(before, data, before.length * 8)).toEqual(before.map((byte, i) => byte & data[i]!));
      }),
    );
  });
});

describe('a torn erase', () => {
  test('of a programmed sector, cut after 4 and after 12 bits', () => {
    expect([...tornErase(Uint8Array.of(0, 0, 0), 4)]).toEqual([0xf0, 0, 0]);
    expect([...tornErase(Uint8Array.of(0, 0x12, 0), 12)]).toEqual([0xff, 0xf2, 0]);
  });

  test('invariant: bits before the cut are 1, those after it old; more bits never take one away', () => {
    fc.assert(
      fc.property(programs, ({ before, bits, more }) => {
        const after = tornErase(before, bits);
        for (let n = 0; n < before.length * 8; n++) expect(bitAt(after, n)).toBe(n < bits ? 1 : bitAt(before, n));
        expect(missingOnes(after, tornErase(before, bits + more))).toBe(0);
        expect(tornErase(before, before.length * 8)).toEqual(before.map(() => 0xff));
      }),
    );
  });
});

describe('worn cells', () => {
  test('invariant: masked bits do not change when programmed, the others do as ever', () => {
    fc.assert(
      fc.property(programs, ({ before, data, mask }) => {
        const after = stuckProgram(before, data, mask);
        for (let n = 0; n < before.length * 8; n++) {
          const sound = bitAt(before, n) & bitAt(data, n);
          expect(bitAt(after, n)).toBe(bitAt(mask, n) ? bitAt(before, n) : sound);
        }
      }),
    );
  });

  test('invariant: an erase leaves the masked bits at 0 and all others at 1', () => {
    fc.assert(
      fc.property(bytes(32), (mask) => {
        expect(wornErase(mask.length, mask)).toEqual(mask.map((byte) => byte ^ 0xff));
      }),
    );
  });

  test('invariant: held bits stay, whatever an operation that was cut off did around them', () => {
    fc.assert(
      fc.property(programs, ({ before, data, mask, bits }) => {
        for (const torn of [tornProgram(before, data, bits), tornErase(before, bits)]) {
          const after = withHeld(torn, before, mask);
          for (let n = 0; n < before.length * 8; n++) {
            expect(bitAt(after, n)).toBe(bitAt(bitAt(mask, n) ? before : torn, n));
          }
        }
        expect(withHeld(data, before, new Uint8Array(0))).toEqual(data);
      }),
    );
  });

  test('a mask shorter than the unit leaves the rest sound', () => {
    expect([...wornErase(3, Uint8Array.of(0x81))]).toEqual([0x7e, 0xff, 0xff]);
    expect([...stuckProgram(Uint8Array.of(0xff, 0xff), Uint8Array.of(0, 0), Uint8Array.of(0x0f))]).toEqual([0x0f, 0]);
  });
});

test('missing ones are counted bit by bit, and bit counts stay inside the unit', () => {
  expect(missingOnes(Uint8Array.of(0xff, 0x0f), Uint8Array.of(0x00, 0x0e))).toBe(9);
  expect([-1, 0, 3.9, 16, 17, Number.POSITIVE_INFINITY].map((bits) => clampBits(bits, 2))).toEqual([
    0, 0, 3, 16, 16, 16,
  ]);
});
