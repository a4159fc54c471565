/** The invariants of docs/fault-model.md on random lives of a device, on every path. */
import { describe, test } from 'vitest';
import { assertInvariants } from '../../../emulator/fast-check.ts';

const runs = { seed: 20_240_717, numRuns: 20 };

describe('random updates, faults, resets and power cycles', () => {
  test.each(['arduino-ota', 'web', 'http-update', 'stream'] as const)('%s: power faults', async (path) => {
    await assertInvariants({ path }, runs);
  });

  test.each(['arduino-ota', 'web', 'http-update', 'stream'] as const)('%s: faults of all families', async (path) => {
    await assertInvariants({ path, faults: { families: ['power', 'chip', 'net'] } }, runs);
  });

  test('http-update of file systems', async () => {
    await assertInvariants({ path: 'http-update', target: 'fs' }, runs);
  });

  test('atomic file systems', async () => {
    await assertInvariants({ device: { atomicFs: true } }, runs);
  });

  test('a layout of 4 MiB', async () => {
    await assertInvariants({ layout: '4m1m' }, { ...runs, numRuns: 10 });
  });
});
