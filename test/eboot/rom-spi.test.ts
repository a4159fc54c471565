import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RomSpi } from '../../eboot/rom-spi.ts';
import { makeChip } from '../support/flash.ts';

describe('the ROM believes in 4 MiB (ch. 01 §2.2)', () => {
  test.each([
    [0x3ff000, 4096, 0],
    [0x3ff001, 4096, 1],
    [0x400000, 1, 1],
    [0x400000, 0, 0],
    [0xfffff000, 4096, 0], // the end wraps to 0
    [0xffffffff, 0xffffffff, 1],
    [0, 0xffffffff, 1], // signed -1, but refused before
    [0x1010, 0xfffffff8, 0], // wraps, then reads nothing: the size is signed
  ])('read of %i for %i gives %i', (address, size, result) => {
    const { chip } = makeChip({ capacity: 0x1000000 });
    expect(new RomSpi(chip).read(address, size, new Uint8Array(16))).toBe(result);
  });

  test('no byte above 4 MiB of a larger chip is ever written or erased', () => {
    const { chip, events } = makeChip({ capacity: 0x800000 });
    const spi = new RomSpi(chip);
    expect(spi.erase(1023)).toBe(0);
    expect(spi.erase(1024)).toBe(1);
    expect(spi.write(0x3ff004, new Uint8Array(4096))).toBe(1);
    expect(spi.write(0, new Uint8Array(6))).toBe(1);
    expect(events.map((event) => [event.type, event.address])).toEqual([['flash.erase', 0x3ff000]]);
  });

  test('a smaller chip repeats', () => {
    const { chip } = makeChip({ capacity: 0x100000 });
    chip.load(0xff000, Uint8Array.of(1, 2, 3, 4));
    const spi = new RomSpi(chip);
    const target = new Uint8Array(4);
    expect(spi.read(0x3ff000, 4, target)).toBe(0);
    expect(target).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(spi.erase(0x3ff)).toBe(0);
    expect(chip.peek(0xff000, 4)).toEqual(new Uint8Array(4).fill(0xff));
  });
});

test('invariant: a write is split at page ends and ends in the same cells as one AND', () => {
  fc.assert(
    fc.property(fc.nat(0x2000), fc.integer({ min: 1, max: 300 }), fc.nat(255), (address, count, value) => {
      const { chip, events } = makeChip({ capacity: 0x80000 });
      const data = new Uint8Array(count * 4).fill(value);
      expect(new RomSpi(chip).write(address, data)).toBe(0);
      expect(chip.peek(address, data.length)).toEqual(data);
      let at = address;
      for (const event of events) {
        expect(event.address).toBe(at);
        expect((event.address % 256) + event.length).toBeLessThanOrEqual(256);
        at += event.length;
      }
      expect(at).toBe(address + data.length);
    }),
  );
});

test('faults of the chip are error 1, and a failing page ends the write', () => {
  const made = makeChip({
    capacity: 0x80000,
    faults: {
      decide: (operation) => (operation.address === 0x1100 || operation.kind === 'read' ? { do: 'fail' } : undefined),
    },
  });
  const spi = new RomSpi(made.chip);
  expect(spi.write(0x1000, new Uint8Array(4096))).toBe(1);
  expect(made.chip.peek(0x1000, 0x300).lastIndexOf(0)).toBe(0xff);
  expect(spi.read(0, 4, new Uint8Array(4))).toBe(1);
});
