/** Node's zlib is the oracle, both ways. */
import { constants, deflateSync, inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  INFLATE_DONE,
  INFLATE_ERROR,
  INFLATE_FULL,
  INFLATE_NEEDS_INPUT,
  ZlibInflate,
} from '../../../ota-services/rom-loader/zlib-inflate.ts';
import { expectBytes } from '../../support/flash.ts';
import { noise } from '../../support/loader-bench.ts';

interface Result {
  status: number;
  output: Buffer;
  unused: number;
}

/** @param rewind the state is copied to another object after every piece, which goes on */
function unpack(stream: Uint8Array, pieceBytes: number, rewind = false): Result {
  let inflate = new ZlibInflate();
  const output: Uint8Array[] = [];
  let status = INFLATE_NEEDS_INPUT;
  for (let at = 0; at < stream.length && status === INFLATE_NEEDS_INPUT; at += pieceBytes) {
    inflate.feed(stream.subarray(at, at + pieceBytes));
    do {
      status = inflate.run();
      if (status !== INFLATE_ERROR) output.push(inflate.take().slice());
    } while (status === INFLATE_FULL);
    if (rewind) {
      const other = new ZlibInflate();
      other.copyFrom(inflate);
      inflate = other;
    }
  }
  return { status, output: Buffer.concat(output), unused: inflate.unused };
}

/** Text-like and random parts, longer than the window now and then. */
const contents = fc
  .array(
    fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 40_000 })).map(([byte, length]) => Buffer.alloc(length, byte)),
      fc
        .tuple(fc.string({ minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 900 }))
        .map(([text, count]) => Buffer.from(text.repeat(count))),
    ),
    { maxLength: 8 },
  )
  .map((parts) => Buffer.concat(parts));

const options = fc.record({
  level: fc.integer({ min: 0, max: 9 }),
  strategy: fc.constantFrom(
    constants.Z_DEFAULT_STRATEGY,
    constants.Z_FIXED,
    constants.Z_HUFFMAN_ONLY,
    constants.Z_RLE,
    constants.Z_FILTERED,
  ),
  windowBits: fc.integer({ min: 9, max: 15 }),
});

describe('zlib inflate', () => {
  test('invariant: what zlib packs comes out again, in pieces of any size', () => {
    fc.assert(
      fc.property(
        contents,
        options,
        fc.constantFrom(1, 2, 3, 7, 100, 0x4000),
        fc.boolean(),
        (data, how, piece, rewind) => {
          const result = unpack(deflateSync(data, how), piece, rewind && piece > 50);
          expect(result.status).toBe(INFLATE_DONE);
          expectBytes(result.output, data);
          expect(result.unused).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('a stream can be cut at every byte', () => {
    const data = Buffer.concat([noise(2000), Buffer.from('page sector erase program '.repeat(60)), noise(100, 5)]);
    const stream = deflateSync(data, { level: 6 });
    for (let at = 1; at < stream.length; at++) {
      const inflate = new ZlibInflate();
      inflate.feed(stream.subarray(0, at));
      expect(inflate.run()).toBe(INFLATE_NEEDS_INPUT);
      const first = inflate.take().slice();
      inflate.feed(stream.subarray(at));
      expect(inflate.run()).toBe(INFLATE_DONE);
      expectBytes(Buffer.concat([first, inflate.take()]), data, `cut at ${at}`);
    }
  });

  test('invariant: a damaged stream is unpacked as zlib does, or refused as zlib does', () => {
    const data = Buffer.concat([Buffer.from('the quick brown fox '.repeat(20)), noise(150), Buffer.alloc(400, 7)]);
    const whole = [
      deflateSync(data, { level: 9 }),
      deflateSync(data, { strategy: constants.Z_FIXED }),
      deflateSync(data, { level: 0 }),
    ];
    const kinds = { ended: 0, refused: 0 };
    fc.assert(
      fc.property(
        fc.nat(2),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 2 }),
        (which, flips) => {
          const stream = Buffer.from(whole[which]!);
          for (const [at, xor] of flips) stream[at % stream.length]! ^= xor;
          let expected: Buffer | undefined;
          try {
            expected = inflateSync(stream);
          } catch {
            expected = undefined;
          }
          const { status, output } = unpack(stream, 64);
          if (status === INFLATE_DONE) {
            kinds.ended++;
            if (!expected) throw new Error('unpacked a stream that zlib refuses');
            expectBytes(output, expected);
          } else {
            kinds.refused++;
            if (expected) throw new Error('refused a stream that zlib unpacks');
          }
        },
      ),
      { numRuns: 3000 },
    );
    expect(kinds.refused).toBeGreaterThan(1000);
  });

  test.each([
    ['another method', [0x79, 0x9c]],
    ['check bits', [0x78, 0x9d]],
    ['a preset dictionary', [0x78, 0xbb]],
    ['a window beyond 32 KiB', [0x88, 0x1c]],
    ['gzip', [0x1f, 0x8b]],
  ])('a header is refused for %s, and stays refused', (_, header) => {
    const inflate = new ZlibInflate();
    inflate.feed(Uint8Array.from(header));
    expect(inflate.run()).toBe(INFLATE_ERROR);
    inflate.feed(deflateSync(Buffer.from('x')));
    expect(inflate.run()).toBe(INFLATE_ERROR);
    inflate.reset();
    inflate.feed(deflateSync(Buffer.from('x')));
    expect(inflate.run()).toBe(INFLATE_DONE);
  });

  test('what follows the stream is counted, not looked at', () => {
    const stream = Buffer.concat([deflateSync(noise(500)), Buffer.from([1, 2, 3])]);
    expect(unpack(stream, 0x4000)).toMatchObject({ status: INFLATE_DONE, unused: 3 });
  });

  test('going back to an earlier state does not show', () => {
    const data = Buffer.from('back and forth '.repeat(5000));
    const stream = deflateSync(data);
    const settled = new ZlibInflate();
    settled.feed(stream.subarray(0, 30));
    settled.run();
    const attempt = new ZlibInflate();
    attempt.copyFrom(settled);
    attempt.feed(noise(2000)); // a block that is thrown away
    attempt.run();
    attempt.copyFrom(settled);
    attempt.feed(stream.subarray(30));
    const output: Uint8Array[] = [];
    let status: number;
    do {
      status = attempt.run();
      output.push(attempt.take().slice());
    } while (status === INFLATE_FULL);
    expect(status).toBe(INFLATE_DONE);
    expectBytes(Buffer.concat(output), data);
  });
});
