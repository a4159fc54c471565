import fc from 'fast-check';
import { expect, test } from 'vitest';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { crc32, xorBytes } from '../../flash/checksums.ts';

const kernels = referenceKernels();

test('the check value of CRC-32/MPEG-2', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0x0376e6e7);
});

test('invariant: by words, at any alignment, and in pieces, both sums are those by bytes', () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(bytes, fc.nat(7), fc.nat(200), fc.nat(0xffffffff), (whole, skip, cut, start) => {
      const data = whole.subarray(Math.min(skip, whole.length));
      const wanted = kernels.crc32(data, start);
      expect(crc32(data, start)).toBe(wanted);
      const middle = Math.min(cut, data.length);
      expect(crc32(data.subarray(middle), crc32(data.subarray(0, middle), start))).toBe(wanted);
      expect(xorBytes(data, start & 0xff)).toBe(data.reduce((sum, byte) => sum ^ byte, start & 0xff));
    }),
    { numRuns: 2000 },
  );
});
