/** File names, versions and folders as `serve` reads them. Source: design.md §4. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CatalogueImage,
  compareImages,
  compareVersions,
  foldersOf,
  imagesOf,
  parseFileName,
  sameVersion,
} from '../../ota-services/update-server/catalogue.ts';

describe('file names', () => {
  test.each([
    ['fw-1.2.bin', 'sketch', '1.2', ''],
    ['fw-1.2.bin.gz', 'sketch', '1.2', 'gzip'],
    ['fw-1.2.bin.signed', 'sketch', '1.2', 'signed'],
    ['fw-1.2.bin.gz.signed', 'sketch', '1.2', 'gzip signed'],
    ['fw-1.2.fs.bin', 'spiffs', '1.2', ''],
    ['fw-1.2.fs.bin.gz', 'spiffs', '1.2', 'gzip'],
    ['fw-1.2.fs.bin.signed', 'spiffs', '1.2', 'signed'],
    ['FW-1.2.BIN', 'sketch', '1.2', ''],
    ['fw-7.bin', 'sketch', '7', ''],
    ['fw-v3.bin', 'sketch', 'v3', ''],
    ['living-room-lamp-1.2.3.bin', 'sketch', '1.2.3', ''],
    ['esp-12e-fw-2.0.bin', 'sketch', '2.0', ''],
    ['node-1-1.0.bin', 'sketch', '1.0', ''],
    ['fw-1.2-rc1.bin', 'sketch', '1.2-rc1', ''],
    ['fw-1.2-5-gdeadbee.bin', 'sketch', '1.2-5-gdeadbee', ''],
    ['fw-3-beta.bin', 'sketch', '3-beta', ''],
    ['fw-2024-01-15.bin', 'sketch', '2024-01-15', ''],
    ['fw-1.2+build.7.bin', 'sketch', '1.2+build.7', ''],
    ['lämpchen-1.0.bin', 'sketch', '1.0', ''],
  ])('%s is a %s of version %s (%s)', (name, sort, version, packing) => {
    const image = parseFileName(name);
    expect(image).toMatchObject({ fileName: name, sort, version });
    expect([image?.gzip ? 'gzip' : '', image?.signed ? 'signed' : ''].join(' ').trim()).toBe(packing);
  });

  test.each([
    ['fw.bin'],
    ['fw-latest.bin'],
    ['1.0.bin'],
    ['-1.0.bin'],
    ['.fw-1.0.bin'],
    ['fw-1.0.bin.part'],
    ['fw-1.0.bin.signed.gz'],
    ['fw-1.0.elf'],
    ['fw-1.0'],
    ['fw-.bin'],
    ['.bin'],
    [''],
    ['fw-1.0 (copy).bin'],
    ['fw-1.ö.bin'],
    ['fw-1.0\r\nx.bin'],
    [`${'f'.repeat(300)}-1.0.bin`],
  ])('%j is not offered', (name) => {
    expect(parseFileName(name)).toBeUndefined();
  });

  test('invariant: any name is read without an error, and what is found is safe in a header', () => {
    const names = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.string({ unit: fc.constantFrom(...'fw-.v12bingzsed/\\\0\r\n'), maxLength: 30 }).map((text) => `${text}.bin`),
    );
    fc.assert(
      fc.property(names, (name) => {
        const image = parseFileName(name);
        if (!image) return;
        expect(image.version).toMatch(/^[\w.+~-]*\d[\w.+~-]*$/);
        expect(image.stem.endsWith(`-${image.version}`)).toBe(true);
        expect(name.startsWith(image.stem)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });
});

const version = fc
  .array(fc.oneof(fc.nat(30).map(String), fc.constantFrom('00', '007', '99999999999999999999', 'rc', 'v', '')), {
    maxLength: 5,
  })
  .map((groups) => groups.join('.'));

describe('versions', () => {
  test.each([
    ['1.9', '1.10'],
    ['1.2', '1.2.0'],
    ['9', '10'],
    ['1.0', '2'],
    ['v1.9', '2.0'],
    ['1.0-rc1', '1.0-rc2'],
    ['2024-01-15', '2024-02-01'],
    ['99999999999999999998', '99999999999999999999'],
    ['9007199254740992.1', '9007199254740993'],
  ])('%s is lower than %s', (low, high) => {
    expect(compareVersions(low, high)).toBe(-1);
    expect(compareVersions(high, low)).toBe(1);
  });

  test.each([
    ['1.0', '1.0'],
    ['v1.0', '1.0'],
    ['1.00', '1.0'],
    ['1-0', '1.0'],
  ])('%s and %s have equal numbers', (a, b) => {
    expect(compareVersions(a, b)).toBe(0);
  });

  test('invariant: the order is total, antisymmetric and transitive', () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect([-1, 0, 1]).toContain(compareVersions(a, b));
        expect(compareVersions(a, b) + compareVersions(b, a)).toBe(0);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('oracle: dotted small numbers compare as lists of numbers', () => {
    const numbers = fc.array(fc.nat(12), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const at = a.findIndex((value, index) => value !== b[index]);
        const expected = at < 0 ? a.length - b.length : b[at] === undefined ? 1 : a[at]! - b[at];
        expect(compareVersions(a.join('.'), b.join('.'))).toBe(Math.sign(expected));
      }),
    );
  });

  test.each([
    ['1.0', '1.0', true],
    ['V1.0', '1.0', true],
    [' 1.0-RC1 ', '1.0-rc1', true],
    ['1.0', '1.00', false],
    ['1.0', '1.0-rc1', false],
    ['', '1.0', false],
  ])('a device that says %j has %j: %s', (current, offered, same) => {
    expect(sameVersion(current, offered)).toBe(same);
  });
});

describe('images of a folder', () => {
  const order = (names: string[], sort: 'sketch' | 'spiffs' = 'sketch'): string[] =>
    imagesOf(names, sort).flatMap((group) => group.map(({ fileName }) => fileName));

  test('the highest version first, others of its build beside it, other kinds and files left out', () => {
    const names = ['README.md', 'fw-1.9.bin', 'fw-1.10.bin.gz', 'fw-1.10.fs.bin', 'fw-1.10.bin', 'fw.bin', '.fw-9.bin'];
    expect(imagesOf(names, 'sketch').map((group) => group.map(({ fileName }) => fileName))).toEqual([
      ['fw-1.10.bin', 'fw-1.10.bin.gz'],
      ['fw-1.9.bin'],
    ]);
    expect(order(names, 'spiffs')).toEqual(['fw-1.10.fs.bin']);
  });

  test('of one build the variant first that does no harm to any device', () => {
    expect(order(['a-1.bin.gz.signed', 'a-1.bin.gz', 'a-1.bin', 'a-1.bin.signed'])).toEqual([
      'a-1.bin.signed',
      'a-1.bin',
      'a-1.bin.gz',
      'a-1.bin.gz.signed',
    ]);
  });

  test('equal numbers: the plain version before the one with a word, then by name', () => {
    expect(order(['b-1.0.bin', 'a-1.0-beta.bin', 'a-1.0.bin'])).toEqual(['a-1.0.bin', 'b-1.0.bin', 'a-1.0-beta.bin']);
  });

  test('invariant: the best image does not depend on the order of the names, and none is lost', () => {
    const name = fc
      .tuple(
        fc.constantFrom('a', 'b-2', 'c'),
        fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
        fc.constantFrom('', '-rc1', '-beta'),
        fc.constantFrom('.bin', '.bin.gz', '.bin.signed', '.BIN', '.fs.bin'),
      )
      .map(([first, numbers, word, suffix]) => `${first}-${numbers.join('.')}${word}${suffix}`);
    const shuffled = fc
      .uniqueArray(name, { maxLength: 12 })
      .chain((names) => fc.tuple(fc.constant(names), fc.shuffledSubarray(names, { minLength: names.length })));
    fc.assert(
      fc.property(shuffled, ([names, others]) => {
        expect(order(others)).toEqual(order(names));
        expect(order(names).length + order(names, 'spiffs').length).toBe(names.length);
        const images = names.map(parseFileName) as CatalogueImage[];
        for (const a of images) {
          for (const b of images) {
            expect(compareImages(a, b) + compareImages(b, a)).toBe(0);
            expect(compareImages(a, b) === 0).toBe(a.fileName === b.fileName);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

test('folders of a device: dashes for colons, in any case', () => {
  const names = ['5c-CF-7f-c0-ff-ee', '5C-CF-7F-C0-FF-EE', '5ccf7fc0ffee', '5C:CF:7F:C0:FF:EE', 'lamps'];
  expect(foldersOf(names, '5c:cf:7F:C0:FF:EE')).toEqual(['5C-CF-7F-C0-FF-EE', '5c-CF-7f-c0-ff-ee']);
  expect(foldersOf(names, '5C:CF:7F:00:00:00')).toEqual([]);
});
