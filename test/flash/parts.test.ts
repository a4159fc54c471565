/** Parts by their JEDEC ids. Spec chapter 01 §1 (timing), §3 (ids). */
import { describe, expect, test } from 'vitest';
import { CHIP_MAX_BYTES } from '../../flash/geometry.ts';
import { capacityOfId, coreSizeById, defaultPart, partById, parts, vendorOfId, vendors } from '../../flash/parts.ts';

const K = 1024;
const M = K * K;

/** JEDEC id, name, capacity, `getFlashChipSizeByChipId()`: the table of §3. */
const table: [number, string, number, number][] = [
  [0x1740c8, 'GD25Q64B', 8 * M, 8 * M],
  [0x1640c8, 'GD25Q32B', 4 * M, 4 * M],
  [0x1540c8, 'GD25Q16B', 2 * M, 2 * M],
  [0x1440c8, 'GD25Q80', 1 * M, 1 * M],
  [0x1340c8, 'GD25Q40', 512 * K, 512 * K],
  [0x1240c8, 'GD25Q20', 256 * K, 256 * K],
  [0x1140c8, 'GD25Q10', 128 * K, 128 * K],
  [0x1040c8, 'GD25Q12', 64 * K, 64 * K],
  [0x1840ef, 'W25Q128', 16 * M, 16 * M],
  [0x1640ef, 'W25Q32', 4 * M, 4 * M],
  [0x1540ef, 'W25Q16', 2 * M, 2 * M],
  [0x1440ef, 'W25Q80', 1 * M, 1 * M],
  [0x1340ef, 'W25Q40', 512 * K, 512 * K],
  [0x1640e0, 'BG25Q32', 4 * M, 4 * M],
  [0x1540e0, 'BG25Q16', 2 * M, 2 * M],
  [0x1440e0, 'BG25Q80', 1 * M, 1 * M],
  [0x1340e0, 'BG25Q40', 512 * K, 512 * K],
  [0x164020, 'XM25QH32B', 4 * M, 4 * M],
  [0x1740ef, 'W25Q64', 8 * M, 0],
];

describe('parts', () => {
  test.each(table)('%i is %s', (jedecId, name, capacityBytes, byCore) => {
    expect(partById(jedecId)).toMatchObject({ jedecId, name, capacityBytes });
    expect(coreSizeById(jedecId)).toBe(byCore);
  });

  test('the table has no other part', () => {
    expect(parts.map(({ jedecId }) => jedecId).sort()).toEqual(table.map(([jedecId]) => jedecId).sort());
  });

  test('timings are the suggested model of the spec', () => {
    expect(partById(0x1640ef)).toMatchObject({
      pageProgramUs: 700,
      sectorEraseUs: 45_000,
      blockEraseUs: 150_000,
      chipEraseUs: 10_000_000,
      readUsPer4KiB: 600,
      enduranceCycles: 100_000,
    });
    for (const part of parts) expect(part.sectorEraseUs + 16 * part.pageProgramUs).toBe(56_200);
  });

  test('an unknown id is a generic part of the capacity that it claims, and the core lists none of them', () => {
    expect(partById(0x146085)).toMatchObject({ name: 'PUYA 0x146085', capacityBytes: 1 * M });
    expect(partById(0x1620c2)).toMatchObject({ name: 'Macronix 0x1620c2', capacityBytes: 4 * M });
    expect(partById(0x150077).name).toBe('generic 0x150077');
    expect(coreSizeById(0x146085)).toBe(0);
    for (const [vendor, name] of vendors) expect(partById(0x160000 | vendor).name).toContain(name);
  });

  test.each([0, -1, 1.5, 0x1000000, Number.NaN])('%s is no JEDEC id', (jedecId) => {
    expect(() => partById(jedecId)).toThrow(/24 bits/);
  });

  test('an id that claims more than 24 address bits reach is refused', () => {
    expect(partById(0x1840ff).capacityBytes).toBe(CHIP_MAX_BYTES);
    expect(() => partById(0x1940ff)).toThrow(/claims 2\^25 bytes/);
  });

  test('the default part of a capacity is a Winbond', () => {
    const sizes = [512 * K, M, 2 * M, 4 * M, 8 * M, 16 * M];
    expect(sizes.map((size) => defaultPart(size).name)).toEqual([
      'W25Q40',
      'W25Q80',
      'W25Q16',
      'W25Q32',
      'W25Q64',
      'W25Q128',
    ]);
    for (const size of sizes) expect(defaultPart(size).capacityBytes).toBe(size);
    for (const size of [0, 256 * K, 3 * M, 32 * M]) expect(() => defaultPart(size)).toThrow(/512 KiB to 16 MiB/);
  });

  test('an id tells vendor and capacity', () => {
    expect([vendorOfId(0x146085), capacityOfId(0x146085)]).toEqual([0x85, M]);
  });
});
