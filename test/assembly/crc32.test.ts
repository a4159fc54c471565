import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels } from '../../assembly/host/load.ts';
import { crc32 as twin } from '../../assembly/host/reference.ts';
import { ascii, bareInstance, implementations, noise, ROOM } from './support.ts';

const START = 0xffffffff;

const reverse8 = (byte: number): number => {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit++) reversed |= ((byte >> bit) & 1) << (7 - bit);
  return reversed;
};
const reverse32 = (word: number): number =>
  ((reverse8(word & 0xff) << 24) |
    (reverse8((word >>> 8) & 0xff) << 16) |
    (reverse8((word >>> 16) & 0xff) << 8) |
    reverse8(word >>> 24)) >>>
  0;

/** An oracle that shares no code: CRC-32/MPEG-2 of a message is the mirrored CRC-32 of the mirrored message. */
const mirrored = (bytes: Uint8Array): Uint8Array => bytes.map(reverse8);
const oracle = (mirroredBytes: Uint8Array): number => ~reverse32(zlibCrc32(mirroredBytes)) >>> 0;

/** Spec chapter 01 §12. */
const vectors: [name: string, bytes: Uint8Array, crc: number][] = [
  ['empty', new Uint8Array(0), 0xffffffff],
  ['123456789', ascii('123456789'), 0x0376e6e7],
  ['4 zero bytes', new Uint8Array(4), 0xc704dd7b],
  ['32 zero bytes', new Uint8Array(32), 0x4a55af67],
  ['00..FF', Uint8Array.from({ length: 256 }, (_, i) => i), 0x494a116a],
  ['124 zero bytes', new Uint8Array(124), 0xcf8f1457],
  ['124 x 0xFF', new Uint8Array(124).fill(0xff), 0x025a5f0e],
];

describe.each(implementations)('CRC-32/MPEG-2, %s', (_, make) => {
  test.each(vectors)('test vector: %s', (_name, bytes, crc) => {
    const kernels = make();
    expect(kernels.crc32(bytes)).toBe(crc);
    expect(kernels.crc32(bytes, START)).toBe(crc);
  });

  test('invariant: a message may be cut anywhere, the CRC of the first part being continued', () => {
    const kernels = make();
    const message = fc.uint8Array({ maxLength: 5000 });
    fc.assert(
      fc.property(message, fc.array(fc.nat(5000), { maxLength: 4 }), (bytes, cuts) => {
        const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
        let crc = START;
        let from = 0;
        for (const end of ends) {
          crc = kernels.crc32(bytes.subarray(from, end), crc);
          from = end;
        }
        expect(crc).toBe(kernels.crc32(bytes));
      }),
      { numRuns: 100 },
    );
  });

  test('cut at every byte of 600', () => {
    const kernels = make();
    const bytes = noise(600);
    const whole = kernels.crc32(bytes);
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(kernels.crc32(bytes.subarray(cut), kernels.crc32(bytes.subarray(0, cut))), `cut at ${cut}`).toBe(whole);
    }
  });

  test.each([65535, 65536, 65537, 200_001])('%i bytes, more than the kernel is lent at once', (length) => {
    const bytes = noise(length);
    expect(make().crc32(bytes)).toBe(oracle(mirrored(bytes)));
  });
});

describe('CRC-32/MPEG-2, kernel against twin and zlib', () => {
  const LONGEST = 40_000;
  const bytes = noise(LONGEST + 16, 3);
  const mirror = mirrored(bytes);
  const { exports, bytes: memory } = bareInstance(LONGEST + 64);
  memory.set(bytes, ROOM);
  const kernel = (at: number, length: number, crc = START) => exports.crc32(ROOM + at, length, crc) >>> 0;

  test('every length up to 4000', () => {
    for (let length = 0; length <= 4000; length++) {
      expect(kernel(0, length), `${length} bytes`).toBe(oracle(mirror.subarray(0, length)));
    }
  });

  // The levels of crc32-fold.ts take over at 320, 2560 and 32768 bytes; the widest leaves 300 to 303 vectors.
  const borders = [320, 2560, 32768, 4800 + 32768].flatMap((border) =>
    Array.from({ length: 130 }, (_, i) => border - 65 + i),
  );
  test('every length around the borders between the levels, at every alignment', () => {
    for (const length of borders) {
      const at = length % 16;
      expect(kernel(at, length), `${length} bytes at ${at}`).toBe(oracle(mirror.subarray(at, at + length)));
    }
    for (let at = 0; at < 16; at++) {
      for (const length of [15, 319, 321, 2559, 2561, 32767, 32769, 39_990]) {
        expect(kernel(at, length), `${length} bytes at ${at}`).toBe(oracle(mirror.subarray(at, at + length)));
      }
    }
  });

  test('invariant: whatever the bytes, the length and the CRC continued, kernel and twin agree', () => {
    const length = fc.oneof(fc.nat(400), fc.nat(4000), fc.nat(LONGEST));
    const crc = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(length, fc.nat(15), crc, fc.integer(), (count, at, before, seed) => {
        const message = noise(count, seed);
        memory.set(message, ROOM + at);
        expect(kernel(at, count, before)).toBe(twin(memory, ROOM + at, count, before));
      }),
      { numRuns: 150 },
    );
  });

  test('what a long message leaves behind does not touch the next', () => {
    memory.set(bytes, ROOM);
    const wanted = [40_000, 3000, 400, 30].map((length) => oracle(mirror.subarray(0, length)));
    for (const order of [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [1, 0, 3, 2],
      [2, 0, 1, 0],
    ]) {
      for (const i of order) expect(kernel(0, [40_000, 3000, 400, 30][i]!)).toBe(wanted[i]);
    }
  });

  test('a message of 2 MiB', () => {
    const long = noise(0x200000, 9);
    const chip = loadKernels().createChip(0x400000);
    chip.overwrite(5, long);
    expect(chip.crc32(5, long.length)).toBe(oracle(mirrored(long)));
  });
});
