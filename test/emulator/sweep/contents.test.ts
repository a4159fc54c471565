import fc from 'fast-check';
import { expect, test } from 'vitest';
import { referenceKernels } from '../../../assembly/host/reference.ts';
import { ReferenceSectorTables } from '../../../assembly/host/sector-tables.ts';
import { Contents } from '../../../emulator/sweep/contents.ts';

const SECTOR = 4096;

function make(): Contents {
  const { crc32 } = referenceKernels();
  return new Contents(new ReferenceSectorTables(crc32, 4, 2), crc32);
}

/** Few different sectors, so that equal ones come up. */
const sector = fc.tuple(fc.nat(3), fc.nat(3)).map(([a, b]) => new Uint8Array(SECTOR).fill(a, 0, 100).fill(b, 100));

test('invariant: equal bytes have equal numbers, others have not, and each number gives its bytes back', () => {
  fc.assert(
    fc.property(fc.array(sector, { maxLength: 20 }), (sectors) => {
      const contents = make();
      const numbers = sectors.map((bytes) => contents.intern(bytes));
      sectors.forEach((bytes, i) => {
        expect(Buffer.compare(contents.bytes(numbers[i]!), bytes)).toBe(0);
        sectors.forEach((other, j) => {
          expect(numbers[i] === numbers[j]).toBe(Buffer.compare(bytes, other) === 0);
        });
      });
    }),
    { numRuns: 30 },
  );
});

test('invariant: programming only clears bits, as a NOR chip does', () => {
  const contents = make();
  fc.assert(
    fc.property(sector, fc.nat(SECTOR - 256), fc.uint8Array({ minLength: 1, maxLength: 256 }), (bytes, at, data) => {
      const after = contents.bytes(contents.program(contents.intern(bytes), at, data));
      const wanted = bytes.slice();
      data.forEach((byte, i) => {
        wanted[at + i]! &= byte;
      });
      expect(Buffer.compare(after, wanted)).toBe(0);
    }),
    { numRuns: 50 },
  );
});

test('a partly copied sector is the erased one with the first pages of the content', () => {
  const contents = make();
  const whole = contents.intern(new Uint8Array(SECTOR).fill(0x5a));
  contents.own(whole);
  for (const pages of [0, 1, 7, 15, 16]) {
    const wanted = new Uint8Array(SECTOR).fill(0xff).fill(0x5a, 0, pages * 256);
    expect(Buffer.compare(contents.bytes(contents.partial(whole, pages)), wanted), `${pages} pages`).toBe(0);
    expect(contents.partial(whole, pages)).toBe(contents.partial(whole, pages));
  }
});

test('invariant: what a scope makes is gone with it, unless somebody owns it', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(sector, fc.boolean()), { maxLength: 15 }), (made) => {
      const contents = make();
      const forgotten: number[] = [];
      contents.onForget((content) => void forgotten.push(content));
      contents.open();
      const owned = new Set<number>();
      for (const [bytes, keep] of made) {
        const content = contents.intern(bytes);
        if (!keep) continue;
        contents.own(content);
        owned.add(content);
      }
      contents.close();
      expect(contents.size).toBe(1 + [...owned].filter((content) => content !== contents.blank).length);
      for (const content of owned) expect(forgotten).not.toContain(content);
      // Numbers that are free again serve for new contents.
      const again = contents.intern(new Uint8Array(SECTOR).fill(0x77));
      expect(contents.bytes(again)[0]).toBe(0x77);
    }),
    { numRuns: 50 },
  );
});

test('a content goes when its last owner does, and its parts with it', () => {
  const contents = make();
  const content = contents.intern(new Uint8Array(SECTOR).fill(1));
  contents.own(content);
  contents.own(content);
  contents.partial(content, 3);
  expect(contents.size).toBe(3);
  contents.disown(content);
  expect(contents.size).toBe(3);
  contents.disown(content);
  expect(contents.size).toBe(1);
});
