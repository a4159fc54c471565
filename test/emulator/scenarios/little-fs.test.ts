/** The file system of the scenarios: what a mount finds, and that it notices every change. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeLittleFs, mountLittleFs } from '../../../emulator/scenarios/little-fs.ts';

const geometry = { size: 65_536, block: 4096 };
const files = { 'a.txt': 'first', 'config.txt': 'second' };
const image = makeLittleFs(geometry, files);
/** Bytes that are not erased. */
const used = image.findLastIndex((byte) => byte !== 0xff) + 1;
const mount = (bytes: Uint8Array) => mountLittleFs(bytes.subarray(0, 2 * geometry.block), geometry.block);

test('the superblock is where LittleFS 2 has it', () => {
  expect(Buffer.from(image.subarray(12, 20)).toString()).toBe('littlefs');
  expect(Buffer.from(image.subarray(0, 4)).readUInt32LE()).toBe(1);
  // The first tag, "create the entry 0", is stored XORed with all ones.
  expect(Buffer.from(image.subarray(4, 8)).toString('hex')).toBe('bfefffff');
});

test('either block of the pair may be the valid one', () => {
  expect(mount(image)).toEqual(new Map(Object.entries(files)));
  const swapped = image.slice().copyWithin(geometry.block, 0, geometry.block).fill(0xff, 0, geometry.block);
  expect(mount(swapped)).toEqual(new Map(Object.entries(files)));
});

test('invariant: no change of a bit in the metadata mounts as it did', () => {
  const flip = fc.record({ at: fc.nat(used - 1), bit: fc.nat(7) });
  fc.assert(
    fc.property(flip, ({ at, bit }) => {
      const changed = image.slice();
      changed[at]! ^= 1 << bit;
      expect(typeof mount(changed)).toBe('string');
    }),
  );
});

test('invariant: any bytes are a file system or none, and never an error', () => {
  const { block } = geometry;
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(used), (bytes, at) => {
      const pair = image.slice(0, 2 * block);
      pair.set(bytes, at);
      const found = mount(pair);
      expect(typeof found === 'string' || found instanceof Map).toBe(true);
    }),
  );
});
