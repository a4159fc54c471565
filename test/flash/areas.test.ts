/** What an address is for. design.md §5. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { areaOf, largestAppEnd } from '../../flash/areas.ts';
import type { Area } from '../../flash/events.ts';
import { layoutByName, layouts, resolveLayout } from '../../flash/layouts.ts';

describe('areas', () => {
  const layout = layoutByName('4m2m');
  const staging = { start: 0x1a0000, end: 0x200000 };
  test.each<[number, Area]>([
    [0, 'eboot'],
    [0xfff, 'eboot'],
    [0x1000, 'app'],
    [0x4ffff, 'app'],
    [0x50000, 'gap'],
    [0x19ffff, 'gap'],
    [0x1a0000, 'staging'],
    [0x1fffff, 'staging'],
    [0x200000, 'fs'],
    [0x3f9fff, 'fs'],
    [0x3fa000, 'gap'],
    [0x3fb000, 'eeprom'],
    [0x3fbfff, 'eeprom'],
    [0x3fc000, 'rfcal'],
    [0x3fcfff, 'rfcal'],
    [0x3fd000, 'wifi'],
    [0x3fffff, 'wifi'],
    [0x400000, 'gap'],
  ])('4m2m with an update under way: %i is %s', (address, area) => {
    expect(areaOf(layout, address, staging, 0x50000)).toBe(area);
  });

  test('without an image or an update the largest sketch is the application', () => {
    expect(largestAppEnd(layout)).toBe(0x100000);
    expect([areaOf(layout, 0xfffff), areaOf(layout, 0x100000)]).toEqual(['app', 'gap']);
    expect(largestAppEnd(layoutByName('1m64'))).toBe(0xeb000);
    expect(largestAppEnd(resolveLayout('auto', 0x80000))).toBe(0x73000);
  });

  test('staging that reaches over the application is staging, over the file system it is the file system', () => {
    const over = { start: 0x2000, end: 0x210000 };
    expect(areaOf(layout, 0x3000, over)).toBe('staging');
    expect(areaOf(layout, 0x200000, over)).toBe('fs');
    expect(areaOf(layout, 0, { start: 0, end: 0x1000 })).toBe('eboot');
  });

  test('invariant: on every layout, each sector below the chip end has one area, the same for all of its bytes', () => {
    const fixed = layouts.filter(({ chipSize }) => chipSize > 0);
    fc.assert(
      fc.property(fc.constantFrom(...fixed), fc.nat(), (layout, random) => {
        const sector = random % (layout.chipSize / 0x1000);
        const first = areaOf(layout, sector * 0x1000);
        expect(areaOf(layout, sector * 0x1000 + 0xfff)).toBe(first);
        expect(first === 'fs').toBe(sector * 0x1000 >= layout.fsStart && sector * 0x1000 < layout.fsEnd);
      }),
    );
  });
});
