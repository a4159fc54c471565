import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { layoutByName, layouts } from '../../flash/layouts.ts';
import { findUpdateArea, U_FLASH, U_FS } from '../../ota-services/update-area.ts';

const areaIn = (layout: string, size: number, sketchSize: number, command = U_FLASH, atomicFs = false) => {
  const { fsStart, fsEnd } = layoutByName(layout);
  return findUpdateArea(size, command, { fsStart, fsEnd, sketchSize, atomicFs });
};

describe('where an update goes', () => {
  /** Spec chapter 02 §5, worked examples: layout, new size, running sketch, rounded size, start (or none: error 4). */
  const sketches: [layout: string, size: number, sketch: number, rounded: number, start?: number][] = [
    ['4m2m', 342704, 344352, 0x54000, 0x1ac000],
    ['1m64', 400000, 400000, 0x62000, 0x89000],
    ['1m64', 480000, 487424, 0x76000],
    ['1m', 500000, 512000, 0x7b000, 0x80000],
    ['1m', 514048, 514048, 0x7e000],
    ['512k', 240000, 240000, 0x3b000, 0x40000],
    ['4m3m', 524288, 524288, 0x80000, 0x80000],
    ['4m3m', 524289, 524288, 0x81000],
    ['2m', 1044464, 1044464, 0xff000],
    ['16m14m', 700000, 650000, 0xab000, 0x155000],
  ];
  test.each(sketches)('sketch on %s, %i bytes beside %i', (layout, size, sketch, rounded, start) => {
    const area = areaIn(layout, size, sketch);
    if (start !== undefined) expect(area).toEqual({ ok: true, start, roundedSize: rounded });
    else expect(area).toMatchObject({ ok: false, error: { name: 'SPACE', code: 4, needed: rounded } });
  });

  const fileSystems: [layout: string, size: number, atomic: boolean, start?: number][] = [
    ['4m2m', 2072576, false, 0x200000],
    ['4m2m', 2072577, false],
    ['1m64', 65536, false, 0xeb000],
    ['1m64', 65537, false],
    ['1m', 1, false],
    ['4m2m', 524288, true, 0x180000],
    ['4m2m', 2072576, true],
    ['4m2m', 2072577, true],
  ];
  test.each(fileSystems)('file system on %s, %i bytes, atomic %s', (layout, size, atomic, start) => {
    const area = areaIn(layout, size, 344352, U_FS, atomic);
    expect(area.ok ? area.start : area.error.code).toBe(start ?? 4);
  });

  test('a sketch of up to the free space fits, one byte more does not; free space is told', () => {
    expect(areaIn('4m2m', 1794048, 300000)).toEqual({ ok: true, start: 0x4a000, roundedSize: 1794048 });
    expect(areaIn('4m2m', 1794049, 300000)).toEqual({
      ok: false,
      error: { name: 'SPACE', code: 4, needed: 1798144, free: 1794048 },
    });
  });

  test('sizes that round to 0 fit everywhere (Q12), the sizes just below nowhere', () => {
    for (const size of [0xfffff001, 0xffffffff]) {
      expect(areaIn('4m2m', size, 344352)).toEqual({ ok: true, start: 0x200000, roundedSize: 0 });
      expect(areaIn('4m2m', size, 344352, U_FS)).toEqual({ ok: true, start: 0x200000, roundedSize: 0 });
    }
    expect(areaIn('4m2m', 0xfffff000, 344352).ok).toBe(false);
  });

  test('the sum of a file system is 32 bits wide: it wraps for sizes near 4 GiB', () => {
    // 0x200000 + 0xFFE00000 = 2^32, which is 0 and not behind the end.
    expect(areaIn('4m2m', 0xffe00000, 344352, U_FS)).toEqual({ ok: true, start: 0x200000, roundedSize: 0xffe00000 });
    expect(areaIn('4m2m', 0xffdff000, 344352, U_FS).ok).toBe(false);
  });

  test('a sketch whose size could not be read hides the lower end: any size is accepted, at offset 0', () => {
    expect(areaIn('4m2m', 0x200001, 0)).toEqual({ ok: true, start: 0, roundedSize: 0x201000 });
    expect(areaIn('4m2m', 0x200001, 1).ok).toBe(false);
  });

  test('invariant: what is accepted overlaps neither the running sketch nor, unless it is one, the file system', () => {
    const layout = fc.constantFrom(...layouts);
    fc.assert(
      fc.property(
        layout,
        fc.integer({ min: 1, max: 0x1000000 }),
        fc.integer({ min: 1, max: 0x100000 }),
        fc.boolean(),
        fc.boolean(),
        (l, size, sketch, isFs, atomicFs) => {
          const { fsStart, fsEnd } = l;
          const area = findUpdateArea(size, isFs ? U_FS : U_FLASH, { fsStart, fsEnd, sketchSize: sketch, atomicFs });
          if (!area.ok) return;
          expect(area.start % 4096).toBe(0);
          const end = area.start + area.roundedSize;
          expect(area.roundedSize).toBeGreaterThanOrEqual(size);
          if (isFs && !atomicFs) {
            expect([area.start, end <= fsEnd]).toEqual([fsStart, true]);
          } else {
            expect(end).toBe(fsStart);
            expect(area.start).toBeGreaterThanOrEqual(sketch);
          }
        },
      ),
    );
  });
});
