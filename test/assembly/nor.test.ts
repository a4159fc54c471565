import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as twins from '../../assembly/host/reference.ts';
import { bareInstance, hex, noise, ROOM } from './support.ts';

const SPACE = 0x4000;
const TARGET = ROOM;
const SOURCE = ROOM + SPACE;
/** Bytes on both sides of a range that must stay as they were. */
const MARGIN = 32;

const { exports, bytes } = bareInstance(2 * SPACE);

/** Both memories hold the same, from `ROOM` on. */
function bothWith(cells: Uint8Array, data: Uint8Array, target: number, source: number): Uint8Array {
  const memory = new Uint8Array(ROOM + 2 * SPACE);
  for (const bank of [bytes, memory]) {
    bank.fill(0xa5, ROOM, ROOM + 2 * SPACE);
    bank.set(cells, target);
    bank.set(data, source);
  }
  return memory;
}

const sameMemory = (memory: Uint8Array) =>
  expect(hex(bytes.subarray(ROOM, ROOM + 2 * SPACE))).toBe(hex(memory.subarray(ROOM, ROOM + 2 * SPACE)));

/** A range's length, with the borders of the vector loops likelier; and where it lies. */
const length = fc.oneof(fc.nat(300), fc.constantFrom(0, 1, 7, 8, 15, 16, 63, 64, 65, 127, 128, 129, 255, 256, 4096));
const place = fc.tuple(length, fc.nat(17), fc.nat(17), fc.integer());

describe('cells: kernel against twin', () => {
  test('invariant: programming gives the same cells and the same count of stuck bits, whatever the alignment', () => {
    const kinds = fc.constantFrom('any', 'sound', 'all stuck');
    fc.assert(
      fc.property(place, kinds, ([count, t, s, seed], kind) => {
        const cells = kind === 'all stuck' ? new Uint8Array(count) : noise(count, seed);
        const data = kind === 'sound' ? noise(count, ~seed).map((byte, i) => byte & cells[i]!) : noise(count, ~seed);
        const target = TARGET + MARGIN + t;
        const source = SOURCE + MARGIN + s;
        const memory = bothWith(cells, data, target, source);
        const stuckBits = exports.norProgram(target, source, count);
        expect(stuckBits).toBe(twins.norProgram(memory, target, source, count));
        if (kind === 'sound') expect(stuckBits).toBe(0);
        sameMemory(memory);
      }),
      { numRuns: 400 },
    );
  });

  test('invariant: without an erase no bit goes 0 -> 1', () => {
    fc.assert(
      fc.property(place, fc.array(fc.integer(), { minLength: 1, maxLength: 5 }), ([count, t, s, seed], writes) => {
        const target = TARGET + MARGIN + t;
        bothWith(noise(count, seed), new Uint8Array(0), target, SOURCE);
        for (const write of writes) {
          const before = bytes.slice(target, target + count);
          bytes.set(noise(count, write), SOURCE + s);
          exports.norProgram(target, SOURCE + s, count);
          const after = bytes.subarray(target, target + count);
          expect(after.every((byte, i) => (byte & ~before[i]!) === 0)).toBe(true);
        }
      }),
    );
  });

  test('stuck bits are counted one by one: 16 KiB of them, and each single one of 136 bytes', () => {
    bothWith(new Uint8Array(SPACE), new Uint8Array(SPACE).fill(0xff), TARGET, SOURCE);
    expect(exports.norProgram(TARGET, SOURCE, SPACE)).toBe(8 * SPACE);
    for (let bit = 0; bit < 8 * 137; bit++) {
      const cells = new Uint8Array(137).fill(0xff);
      cells[bit >> 3]! ^= 1 << (bit & 7);
      bothWith(cells, new Uint8Array(137).fill(0xff), TARGET, SOURCE);
      expect(exports.norProgram(TARGET, SOURCE, 137), `bit ${bit}`).toBe(1);
    }
  });

  test('erase and copy do what they say and no more', () => {
    fc.assert(
      fc.property(place, ([count, t, s, seed]) => {
        const target = TARGET + MARGIN + t;
        const source = SOURCE + MARGIN + s;
        const memory = bothWith(noise(count, seed), noise(count, ~seed), target, source);
        exports.copyBytes(target, source, count);
        twins.copyBytes(memory, target, source, count);
        sameMemory(memory);
        exports.copyBytes(target + 5, target, count);
        twins.copyBytes(memory, target + 5, target, count);
        sameMemory(memory);
        exports.norErase(target, count);
        twins.norErase(memory, target, count);
        sameMemory(memory);
      }),
      { numRuns: 200 },
    );
  });

  test('blank check and comparison see a difference in any single byte, and none outside the range', () => {
    const sizes = [0, 1, 15, 16, 17, 63, 64, 65, 128, 200];
    for (const count of sizes) {
      for (let shift = 0; shift < 3; shift++) {
        const at = TARGET + MARGIN + shift;
        const other = SOURCE + MARGIN + 2 * shift;
        bothWith(new Uint8Array(count).fill(0xff), new Uint8Array(count).fill(0xff), at, other);
        expect([exports.isBlank(at, count), twins.isBlank(bytes, at, count)]).toEqual([1, 1]);
        expect([exports.equalBytes(at, other, count), twins.equalBytes(bytes, at, other, count)]).toEqual([1, 1]);
        for (let i = 0; i < count; i++) {
          bytes[at + i] = 0xff ^ (1 << (i & 7));
          expect([exports.isBlank(at, count), twins.isBlank(bytes, at, count)], `byte ${i} of ${count}`).toEqual([
            0, 0,
          ]);
          expect([exports.equalBytes(at, other, count), twins.equalBytes(bytes, at, other, count)]).toEqual([0, 0]);
          bytes[at + i] = 0xff;
        }
      }
    }
  });
});
