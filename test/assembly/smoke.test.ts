import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadKernels } from '../../assembly/host/load.ts';
import { referenceKernels } from '../../assembly/host/reference.ts';

test.each([['wasm', loadKernels], ['ts', referenceKernels]] as const)('%s', (_, make) => {
  const k = make();
  expect(k.crc32(new TextEncoder().encode('123456789'))).toBe(0x0376e6e7);
  for (const n of [0, 1, 55, 56, 63, 64, 65, 1000, 70000]) {
    const d = randomBytes(n);
    const want = createHash('md5').update(d).digest('hex');
    expect(Buffer.from(k.md5().update(d).digest()).toString('hex')).toBe(want);
    expect(k.md5x4([d, d.subarray(n >> 1), d.subarray(3), d]).map((x) => Buffer.from(x).toString('hex'))).toEqual(
      [d, d.subarray(n >> 1), d.subarray(3), d].map((x) => createHash('md5').update(x).digest('hex')));
  }
  const chip = k.createChip(1 << 20);
  const d = randomBytes(5000);
  expect(chip.program(4000, d)).toBe(0);
  expect(chip.read(4000, 5000)).toEqual(new Uint8Array(d));
  chip.fork();
  chip.eraseSector(1);
  expect(chip.touchedSectors()).toEqual([1]);
  chip.drop();
  expect(chip.equals(4000, d)).toBe(true);
});
