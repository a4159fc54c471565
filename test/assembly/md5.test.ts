import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels } from '../../assembly/host/load.ts';
import * as twins from '../../assembly/host/reference.ts';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { ascii, bareInstance, hex, implementations, noise, ROOM } from './support.ts';

const oracle = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

/** RFC 1321, appendix A.5. */
const vectors: [message: string, digest: string][] = [
  ['', 'd41d8cd98f00b204e9800998ecf8427e'],
  ['a', '0cc175b9c0f1b6a831c399e269772661'],
  ['abc', '900150983cd24fb0d6963f7d28e17f72'],
  ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
  ['abcdefghijklmnopqrstuvwxyz', 'c3fcd3d76192e4007dfb496cca67e13b'],
  ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 'd174ab98d277d9f5a5611c2c9f419d9f'],
  ['1234567890'.repeat(8), '57edf4a22be3c955ac49da2e2107b67a'],
];

describe.each(implementations)('MD5, %s', (_, make) => {
  test.each(vectors)('RFC 1321: %j', (message, digest) => {
    const kernels = make();
    expect(hex(kernels.md5().update(ascii(message)).digest())).toBe(digest);
    expect(kernels.md5x4([ascii(message)]).map(hex)).toEqual([digest]);
  });

  test('every length up to 300, which passes every border of the padding', () => {
    const stream = make().md5();
    const bytes = noise(300);
    for (let length = 0; length <= 300; length++) {
      const message = bytes.subarray(0, length);
      expect(hex(stream.reset().update(message).digest()), `${length} bytes`).toBe(oracle(message));
    }
  });

  test('cut at every byte of 200', () => {
    const stream = make().md5();
    const bytes = noise(200);
    for (let cut = 0; cut <= 200; cut++) {
      stream.reset().update(bytes.subarray(0, cut)).update(bytes.subarray(cut));
      expect(hex(stream.digest()), `cut at ${cut}`).toBe(oracle(bytes));
    }
  });

  test('invariant: the digest does not depend on how the message was cut', () => {
    const stream = make().md5();
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }), (parts) => {
        stream.reset();
        for (const part of parts) stream.update(part);
        expect(hex(stream.digest())).toBe(oracle(Buffer.concat(parts)));
      }),
      { numRuns: 200 },
    );
  });

  test.each([65535, 65536, 65537, 150_001])('%i bytes, more than the kernel is lent at once', (length) => {
    expect(hex(make().md5().update(noise(length)).digest())).toBe(oracle(noise(length)));
  });

  test('of the chip, over sectors that a branch has moved', () => {
    const kernels = make();
    const chip = kernels.createChip(0x80000);
    const bytes = noise(40_000, 4);
    chip.overwrite(100, bytes.subarray(0, 20_000));
    chip.fork();
    chip.overwrite(20_100, bytes.subarray(20_000));
    for (const sector of [3, 1]) chip.overwrite(sector * 4096, chip.read(sector * 4096, 4096));
    const stream = kernels.md5().update(ascii('before '));
    const message = Buffer.concat([ascii('before '), bytes, ascii(' after')]);
    expect(hex(stream.updateFromChip(chip, 100, 40_000).update(ascii(' after')).digest())).toBe(oracle(message));
    expect(() => kernels.md5().updateFromChip(chip, 0x7ffff, 2)).toThrow(RangeError);
  });

  test('of a chip of the other implementation', () => {
    const chip = referenceKernels().createChip(0x80000);
    const bytes = noise(50_000, 5);
    chip.overwrite(77, bytes);
    expect(hex(make().md5().updateFromChip(chip, 77, 50_000).digest())).toBe(oracle(bytes));
  });

  test('a stream that has ended says so until it is reset', () => {
    const stream = make().md5();
    stream.digest();
    expect(() => stream.update(ascii('x'))).toThrow(RangeError);
    expect(() => stream.digest()).toThrow(RangeError);
    expect(hex(stream.reset().digest())).toBe(vectors[0]![1]);
    stream.reset().free();
    stream.free();
    expect(() => stream.digest()).toThrow('this MD5 has ended');
  });

  test('more streams at once than there are slots, in turn', () => {
    const kernels = make();
    const messages = Array.from({ length: 200 }, (_x, i) => noise(100 + i, i));
    const streams = messages.map(() => kernels.md5());
    for (let part = 0; part < 3; part++) {
      messages.forEach((message, i) => {
        const [from, to] = [0, 37, 99, message.length].slice(part, part + 2);
        streams[i]!.update(message.subarray(from, to));
      });
    }
    expect(streams.map((stream) => hex(stream.digest()))).toEqual(messages.map(oracle));
  });

  test('four inputs of any lengths', () => {
    const kernels = make();
    const length = fc.oneof(fc.nat(70), fc.nat(300), fc.integer({ min: 16_300, max: 33_000 }));
    fc.assert(
      fc.property(fc.array(length, { maxLength: 4 }), fc.integer(), (lengths, seed) => {
        const inputs = lengths.map((count, i) => noise(count, seed + i));
        expect(kernels.md5x4(inputs).map(hex)).toEqual(inputs.map(oracle));
      }),
      { numRuns: 60 },
    );
    expect(() => kernels.md5x4([0, 1, 2, 3, 4].map(() => ascii('')))).toThrow('at most 4');
  });

  test('lanes that end in different blocks', () => {
    const kernels = make();
    for (let block = 0; block < 130; block++) {
      const inputs = [block, 130 - block, 64, 0].map((length) => noise(length, block));
      expect(kernels.md5x4(inputs).map(hex)).toEqual(inputs.map(oracle));
    }
  });
});

describe('MD5, kernel against twin', () => {
  test('invariant: state and memory are the same after the same calls, from any state', () => {
    const instance = bareInstance(0x10000);
    const { exports, bytes } = instance;
    const state = ROOM;
    const input = ROOM + 256;
    const part = fc.tuple(fc.nat(15), fc.uint8Array({ maxLength: 200 }));
    fc.assert(
      // The count is set by hand to far beyond 4 GiB: it is carried in 64 bits.
      fc.property(fc.array(part, { maxLength: 5 }), fc.bigInt({ min: 0n, max: (1n << 55n) - 1n }), (parts, blocks) => {
        const memory = new Uint8Array(ROOM + 1024);
        exports.md5Start(state);
        twins.md5Start(memory, state);
        for (const bank of [bytes, memory]) {
          new DataView(bank.buffer, bank.byteOffset + state).setBigUint64(16, blocks * 64n, true);
          bank.fill(0, state + 24, state + 88);
        }
        for (const [offset, data] of parts) {
          bytes.set(data, input + offset);
          memory.set(data, input + offset);
          exports.md5Update(state, input + offset, data.length);
          twins.md5Update(memory, state, input + offset, data.length);
          // The rest of an unfinished block is whatever was there before, and is never looked at.
          const held = Number(new DataView(memory.buffer, state).getBigUint64(16, true) % 64n);
          expect(hex(bytes.subarray(state, state + 24 + held))).toBe(hex(memory.subarray(state, state + 24 + held)));
        }
        exports.md5Finish(state);
        twins.md5Finish(memory, state);
        expect(hex(bytes.subarray(state, state + 24))).toBe(hex(memory.subarray(state, state + 24)));
      }),
      { numRuns: 200 },
    );
  });
});

test('streams of one instance do not disturb another, nor the chip', () => {
  const kernels = loadKernels();
  const chip = kernels.createChip(0x80000);
  const stream = kernels.md5().update(noise(100));
  chip.overwrite(0, noise(70_000, 2));
  chip.fork();
  chip.crc32(0, 0x80000);
  chip.eraseSector(3);
  kernels.md5x4([noise(20_000)]);
  expect(hex(stream.update(noise(50, 3)).digest())).toBe(oracle(Buffer.concat([noise(100), noise(50, 3)])));
});
