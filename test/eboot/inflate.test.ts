/** The unpacker against Node's zlib where streams are sound, and against spec chapter 01 §10 where they are not. */
import { constants, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  DICTIONARY_BYTES,
  INFLATE_DATA_ERROR,
  INFLATE_DONE,
  INFLATE_NEED_INPUT,
  INFLATE_OK,
  INPUT_BYTES,
  Inflate,
} from '../../eboot/inflate.ts';
import { expectBytes } from '../support/flash.ts';
import { build, type Content } from '../support/golden-flash.ts';

/** Feeds a stream in windows, with zeros behind it, and collects output in steps. */
class Feeder {
  readonly input = new Uint8Array(INPUT_BYTES);
  readonly dictionary = new Uint8Array(DICTIONARY_BYTES).fill(0xd1);
  readonly inflate = new Inflate(this.input, this.dictionary);
  /** Windows fetched. */
  windows = 0;
  /** Bytes before the stream in its first window. */
  constructor(
    private readonly stream: Uint8Array,
    private readonly skip = 0,
  ) {}

  /** One step of `limit` bytes into `output`; what the inflater says about it. */
  step(output: Uint8Array, limit = output.length): number {
    this.inflate.begin(output, limit);
    for (;;) {
      const status = this.inflate.run();
      if (status !== INFLATE_NEED_INPUT) return status;
      this.input.fill(0);
      const from = this.windows++ * INPUT_BYTES - this.skip;
      const piece = this.stream.subarray(Math.max(0, from), from + INPUT_BYTES);
      this.input.set(piece, Math.max(0, -from));
      this.inflate.refilled();
      if (this.windows === 1) this.inflate.position = this.skip;
    }
  }

  /** `size` bytes in steps of `stepBytes`. */
  all(size: number, stepBytes = 4096): Uint8Array {
    const out = new Uint8Array(size);
    for (let at = 0; at < size; at += stepBytes) {
      const status = this.step(out.subarray(at, Math.min(size, at + stepBytes)));
      if (status !== INFLATE_OK) throw new Error(`status ${status} at ${at} of ${size}`);
    }
    return out;
  }
}

/** Data with matches of every distance and length in it. */
const compressible = fc
  .record({
    seed: fc.integer({ min: 1, max: 0x7fffffff }),
    size: fc.integer({ min: 1, max: 60_000 }),
    bits: fc.integer({ min: 1, max: 8 }),
  })
  .map(({ seed, size, bits }) => {
    const literals: Content = { type: 'bits', seed, bits, size: size >> 2 };
    return build({ type: 'concat', of: [{ type: 'mix', seed, size: size - (size >> 2) }, literals] });
  });

describe('sound streams', () => {
  test('invariant: gives what went into zlib, for any level, strategy, window and step', () => {
    const options = fc.record({
      level: fc.integer({ min: 0, max: 9 }),
      strategy: fc.constantFrom(
        constants.Z_DEFAULT_STRATEGY,
        constants.Z_FILTERED,
        constants.Z_HUFFMAN_ONLY,
        constants.Z_RLE,
        constants.Z_FIXED,
      ),
      memLevel: fc.integer({ min: 1, max: 9 }),
      windowBits: fc.integer({ min: 9, max: 15 }),
    });
    fc.assert(
      fc.property(compressible, options, fc.nat(4095), fc.integer({ min: 1, max: 4096 }), (plain, how, skip, step) => {
        expectBytes(new Feeder(deflateRawSync(plain, how), skip).all(plain.length, step), plain);
      }),
      { numRuns: 60 },
    );
  });

  test('invariant: no window is fetched before a bit of it is needed', () => {
    fc.assert(
      fc.property(compressible, fc.nat(4095), (plain, skip) => {
        const stream = deflateRawSync(plain, { level: 9 });
        const feeder = new Feeder(stream, skip);
        const out = new Uint8Array(plain.length + 1);
        // The final block's end code is part of what is read here.
        expect(feeder.step(out)).toBe(INFLATE_DONE);
        expect(feeder.windows).toBe(Math.ceil((skip + stream.length) / INPUT_BYTES));
      }),
      { numRuns: 40 },
    );
  });

  test('a window boundary inside every element of a dynamic block', () => {
    const plain = build({ type: 'mix', seed: 5, size: 9000 });
    const stream = deflateRawSync(plain, { level: 9 });
    for (let skip = INPUT_BYTES - 120; skip < INPUT_BYTES; skip++)
      expectBytes(new Feeder(stream, skip).all(9000), plain);
  });

  test('the largest distance and length', () => {
    const plain = new Uint8Array(32768 + 258 * 3);
    plain.set(build({ type: 'prng', seed: 3, size: 32768 }));
    plain.copyWithin(32768, 0, 258 * 3);
    expectBytes(new Feeder(deflateRawSync(plain, { level: 9, memLevel: 9 })).all(plain.length), plain);
  });
});

/** A hand-made stream: `l` least bit first, `m` most first, `f` fixed code. */
function bits(...fields: (string | number)[][]): Uint8Array {
  const gzip = build({ type: 'gzipbits', fields });
  return gzip.subarray(10, gzip.length - 8);
}

/** Runs it for `size` bytes on a buffer of 0xEE. */
function run(stream: Uint8Array, size: number): { status: number; out: string } {
  const out = new Uint8Array(size).fill(0xee);
  const status = new Feeder(stream).step(out);
  return { status, out: Buffer.from(out).toString('hex') };
}

const FINAL_FIXED = [
  ['l', 1, 1],
  ['l', 1, 2],
];
/** A dynamic block header whose code lengths are all sent with codes of 3 bits for the lengths 0 to 7. */
const FINAL_DYNAMIC = (literals: number, distances: number): (string | number)[][] => [
  ['l', 1, 1],
  ['l', 2, 2],
  ['l', literals - 257, 5],
  ['l', distances - 1, 5],
  ['l', 15, 4],
  // Order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1 15: symbols 0–7 get 3 bits, the others none.
  ...[0, 0, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0].map((length) => ['l', length, 3]),
];
const lengths = (...values: number[]): (string | number)[][] => values.map((value) => ['m', value, 3]);
const zeros = (count: number): number[] => new Array(count).fill(0);

describe('errors that are found', () => {
  test.each([
    ['block type 3', bits(['l', 1, 1], ['l', 3, 2])],
    ['stored length and complement differ', bits(['l', 1, 1], ['l', 0, 2], ['a'], ['l', 5, 16], ['l', 5, 16])],
    ['length symbol 286', bits(...FINAL_FIXED, ['f', 286])],
    ['length symbol 287', bits(...FINAL_FIXED, ['f', 287])],
    ['distance symbol 30', bits(...FINAL_FIXED, ['f', 257], ['m', 30, 5])],
    ['distance symbol 31', bits(...FINAL_FIXED, ['f', 257], ['m', 31, 5])],
    [
      'repeat with nothing before it',
      bits(
        ['l', 1, 1],
        ['l', 2, 2],
        ['l', 0, 5],
        ['l', 0, 5],
        ['l', 0, 4],
        ['l', 1, 3],
        ['l', 1, 3],
        ['l', 0, 3],
        ['l', 0, 3],
        ['m', 0, 1],
      ),
    ],
    [
      'repeat beyond the table',
      bits(
        ['l', 1, 1],
        ['l', 2, 2],
        ['l', 0, 5],
        ['l', 0, 5],
        ['l', 0, 4],
        ['l', 0, 3],
        ['l', 0, 3],
        ['l', 1, 3],
        ['l', 1, 3],
        ...new Array(4)
          .fill([
            ['m', 1, 1],
            ['l', 127, 7],
          ])
          .flat(),
      ),
    ],
    [
      'no code for the code lengths',
      bits(['l', 1, 1], ['l', 2, 2], ['l', 0, 5], ['l', 0, 5], ['l', 0, 4], ...new Array(4).fill(['l', 0, 3])),
    ],
  ])('%s', (_name, stream) => {
    expect(run(stream, 100)).toEqual({ status: INFLATE_DATA_ERROR, out: 'ee'.repeat(100) });
  });
});

describe('errors that are not found', () => {
  test('an undecodable literal takes 16 bits and comes out as 0xFD', () => {
    // Only symbol 65 (code 0) and 256 (code 10): 11… is no code.
    const tree = [...FINAL_DYNAMIC(257, 1), ...lengths(...zeros(65), 1, ...zeros(190), 2, 0)];
    const stream = bits(...tree, ['m', 0, 1], ['m', 0xffff, 16], ['m', 0, 1], ['m', 2, 2]);
    expect(run(stream, 4)).toEqual({ status: INFLATE_DONE, out: '41fd41ee' });
  });

  test.each([
    ['of 3.x', undefined, 227 + 3, 5],
    ['of 2.7.x', { base: 2827, extraBits: 1 }, 2827 + 1, 1],
  ] as const)('an undecodable distance is a table entry %s', (_name, undecodable, distance, extraBits) => {
    // Literals: 65 (0), 256 (10), 257 (11): length 3. Distances: none.
    const tree = [...FINAL_DYNAMIC(258, 1), ...lengths(...zeros(65), 1, ...zeros(190), 2, 2, 0)];
    const stream = bits(...tree, ['m', 0, 1], ['m', 3, 2], ['m', 0, 16], ['l', distance, extraBits], ['m', 2, 2]);
    const input = new Uint8Array(INPUT_BYTES);
    input.set(stream);
    const dictionary = Uint8Array.from({ length: DICTIONARY_BYTES }, (_, i) => i >> 7);
    const inflate = new Inflate(input, dictionary, undecodable);
    inflate.refilled();
    const out = new Uint8Array(8).fill(0xee);
    inflate.begin(out, 8);
    expect(inflate.run()).toBe(INFLATE_DONE);
    const from = (1 - (distance & ((1 << extraBits) - 1)) - (undecodable?.base ?? 227)) & (DICTIONARY_BYTES - 1);
    expect([...out]).toEqual([
      65,
      ...[0, 1, 2].map((i) => ((from + i) & (DICTIONARY_BYTES - 1)) >> 7),
      0xee,
      0xee,
      0xee,
      0xee,
    ]);
  });

  test('a distance before the start shows old RAM', () => {
    expect(
      run(bits(...FINAL_FIXED, ['f', 65], ['f', 259], ['m', 4, 5], ['l', 0, 1], ['f', 66], ['f', 256]), 8),
    ).toEqual({
      status: INFLATE_DONE,
      out: '41d1d1d1d14142ee',
    });
  });

  test('an over-subscribed tree gives its codes to the shorter lengths first', () => {
    // Three codes of one bit: the third is never met.
    const tree = [...FINAL_DYNAMIC(257, 1), ...lengths(...zeros(65), 1, 1, 1, ...zeros(188), 1, 0)];
    expect(run(bits(...tree, ['m', 0, 1], ['m', 1, 1], ['m', 0, 1]), 3)).toEqual({ status: INFLATE_OK, out: '414241' });
  });

  test('without an end-of-block code the block never ends', () => {
    const tree = [...FINAL_DYNAMIC(257, 1), ...lengths(...zeros(65), 1, 1, ...zeros(190), 0)];
    expect(run(bits(...tree), 100)).toEqual({ status: INFLATE_OK, out: '41'.repeat(100) });
  });
});

describe('after the final block', () => {
  test('a Huffman block goes on with its codes; the rest of the step keeps what it held', () => {
    const feeder = new Feeder(bits(...FINAL_FIXED, ['f', 65], ['f', 256], ['f', 66], ['f', 67], ['f', 256]));
    const out = new Uint8Array(4).fill(0xee);
    expect(feeder.step(out)).toBe(INFLATE_DONE);
    expect([...out]).toEqual([65, 0xee, 0xee, 0xee]);
    expect(feeder.step(out)).toBe(INFLATE_DONE);
    expect([...out]).toEqual([66, 67, 0xee, 0xee]);
  });

  test('a stored block goes on with a further length and complement', () => {
    const stored = (...bytes: number[]): Uint8Array =>
      Uint8Array.of(bytes.length, 0, ~bytes.length & 255, 255, ...bytes);
    const feeder = new Feeder(Uint8Array.of(1, ...stored(1, 2), ...stored(3), 9, 9, 9, 9));
    const out = new Uint8Array(4).fill(0xee);
    expect(feeder.step(out)).toBe(INFLATE_DONE);
    expect(feeder.step(out)).toBe(INFLATE_DONE);
    expect([...out]).toEqual([3, 2, 0xee, 0xee]);
    expect(feeder.step(out)).toBe(INFLATE_DATA_ERROR);
  });

  test('a step that ends exactly with a stored block meets the end in the next one', () => {
    const feeder = new Feeder(Uint8Array.of(1, 2, 0, 253, 255, 7, 8));
    const out = new Uint8Array(2);
    expect(feeder.step(out)).toBe(INFLATE_OK);
    expect(feeder.step(out)).toBe(INFLATE_DONE);
    expect([...out]).toEqual([7, 8]);
  });
});

test('invariant: any bytes whatever end in a status, and never write beyond the goal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 1, max: 64 }), (stream, limit) => {
      const feeder = new Feeder(stream);
      const out = new Uint8Array(80).fill(0xee);
      for (let i = 0; i < 20; i++) {
        const status = feeder.step(out, limit);
        expect([INFLATE_OK, INFLATE_DONE, INFLATE_DATA_ERROR]).toContain(status);
        expect(out.subarray(limit).every((byte) => byte === 0xee)).toBe(true);
        if (status === INFLATE_DATA_ERROR) return;
      }
    }),
  );
});

test('buffers of a wrong size are refused', () => {
  expect(() => new Inflate(new Uint8Array(4095), new Uint8Array(DICTIONARY_BYTES))).toThrow('4096 wanted');
  expect(() => new Inflate(new Uint8Array(4096), new Uint8Array(4096))).toThrow('32768 wanted');
});
