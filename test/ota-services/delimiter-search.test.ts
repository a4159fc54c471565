import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DelimiterSearch } from '../../ota-services/web-server/delimiter-search.ts';

const CR = 0x0d;

/** Looks at every place. */
function oracle(bytes: Uint8Array, delimiter: Uint8Array, from: number): number {
  for (let at = from; at < bytes.length; at++) {
    const rest = bytes.subarray(at, at + delimiter.length);
    if (rest.every((byte, i) => byte === delimiter[i])) return at;
  }
  return bytes.length;
}

// Few values, so that beginnings of the delimiter are frequent; it has one CR, its first byte.
const letter = fc.constantFrom(0x0a, 0x2d, 0x61, 0x62);
const delimiters = fc.array(letter, { minLength: 3, maxLength: 40 }).map((rest) => Uint8Array.of(CR, ...rest));
const pieces = fc.array(fc.oneof(letter, fc.constant(CR)), { maxLength: 60 }).map((bytes) => Uint8Array.from(bytes));

test('invariant: finds what a search at every place finds, a delimiter cut off at the end included', () => {
  fc.assert(
    fc.property(
      delimiters,
      fc.array(pieces, { maxLength: 5 }),
      fc.nat(80),
      fc.nat(10),
      (delimiter, between, cut, from) => {
        const whole = between.flatMap((piece, i) => [...(i > 0 ? delimiter : []), ...piece]);
        const bytes = Uint8Array.from(whole.slice(0, Math.max(0, whole.length - cut)));
        const start = Math.min(from, bytes.length);
        expect(new DelimiterSearch(delimiter).find(bytes, start)).toBe(oracle(bytes, delimiter, start));
      },
    ),
    { numRuns: 3000 },
  );
});
