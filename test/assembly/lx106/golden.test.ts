/** The golden vectors of spec chapter 07: one instruction each. */
import { describe, expect, test } from 'vitest';
import { createLx106Sync } from '../../../eboot/lx106.ts';
import { check, runOne, vectors } from './vectors.ts';

const all = vectors();

test('all 4559 vectors are there', () => {
  expect(all.reduce((sum, [, cases]) => sum + cases.length, 0)).toBe(4559);
});

describe('every vector passes', () => {
  const cpu = createLx106Sync();
  for (const [mnemonic, cases] of all) {
    test(`${mnemonic} (${cases.length})`, () => {
      for (const vector of cases) {
        const name = `${vector.i} ${vector.n ?? ''}`;
        expect(
          check(cpu, vector, (core) => core.step()),
          `step ${name}`,
        ).toEqual([]);
        expect(check(cpu, vector, runOne), `run ${name}`).toEqual([]);
      }
    });
  }
});
