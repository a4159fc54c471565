import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { referenceKernels } from '../../assembly/host/reference.ts';
import {
  ACTION_COPY_RAW,
  ACTION_LOAD_APP,
  COMMAND_BYTES,
  clearCommand,
  commandPort,
  decodeCommand,
  encodeCommand,
  isValidCommand,
  meaningOf,
  writeCommand,
} from '../../eboot/command.ts';
import { goodCrc } from '../support/golden-flash.ts';

const { crc32 } = referenceKernels();
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A word store that remembers the order of writes. */
function makeStore(): { bytes: Uint8Array; order: number[]; writeUserWord(offset: number, value: number): void } {
  const bytes = new Uint8Array(COMMAND_BYTES).fill(0x33);
  const order: number[] = [];
  return {
    bytes,
    order,
    writeUserWord(offset, value) {
      order.push(offset);
      new DataView(bytes.buffer).setUint32(offset, value, true);
    },
  };
}

describe('CRC-32/MPEG-2 (ch. 01 §12)', () => {
  test.each([
    ['empty', new Uint8Array(0), 0xffffffff],
    ['123456789', new TextEncoder().encode('123456789'), 0x0376e6e7],
    ['4 zero bytes', new Uint8Array(4), 0xc704dd7b],
    ['32 zero bytes', new Uint8Array(32), 0x4a55af67],
    ['bytes 00…FF', Uint8Array.from({ length: 256 }, (_, i) => i), 0x494a116a],
    ['124 zero bytes', new Uint8Array(124), 0xcf8f1457],
    ['124 × 0xFF', new Uint8Array(124).fill(0xff), 0x025a5f0e],
  ])('%s', (_name, data, expected) => {
    expect(crc32(data)).toBe(expected);
    expect(goodCrc(data)).toBe(expected);
  });
});

describe('commands (ch. 01 §12)', () => {
  test.each([
    [ACTION_COPY_RAW, [0x1ac000, 0, 342704], '001000eb0100000000c01a0000000000b03a0500', '5c186a3a'],
    [ACTION_COPY_RAW, [0, 0, 0], '001000eb01000000000000000000000000000000', '766c9d1a'],
    [ACTION_LOAD_APP, [0], '001000ebffffffff000000000000000000000000', 'b9abe8e5'],
    [ACTION_COPY_RAW, [0x180000, 0x200000, 524288], '001000eb01000000000018000000200000000800', 'ce159780'],
    [ACTION_COPY_RAW, [0xa0000, 0, 262144], '001000eb0100000000000a000000000000000400', 'ae93a7e7'],
  ])('action %i, arguments %j', (action, args, start, crc) => {
    const bytes = encodeCommand({ action, args }, crc32);
    expect(bytes).toHaveLength(COMMAND_BYTES);
    expect(hex(bytes.subarray(0, 20))).toBe(start);
    expect(hex(bytes.subarray(124))).toBe(crc);
  });

  test('invariant: what was encoded is decoded, and valid', () => {
    const word = fc.nat(0xffffffff);
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 29 }), (action, args) => {
        const record = decodeCommand(encodeCommand({ action, args }, crc32), crc32);
        expect(isValidCommand(record)).toBe(true);
        expect(record.action).toBe(action);
        expect(record.args).toEqual([...args, ...new Array(29 - args.length).fill(0)]);
      }),
    );
  });

  test('invariant: any one flipped bit makes it invalid, save the ignored bits of the magic with a new CRC', () => {
    const good = encodeCommand({ action: 1, args: [0x80000, 0, 4096] }, crc32);
    fc.assert(
      fc.property(fc.nat(COMMAND_BYTES * 8 - 1), (bit) => {
        const bytes = good.slice();
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        expect(isValidCommand(decodeCommand(bytes, crc32))).toBe(false);
      }),
    );
  });

  test.each([
    [0xeb001000, true, true],
    [0xeb001fff, true, false],
    [0xeb001ffe, true, true],
    [0xeb002000, false, true],
    [0, false, true],
    [1, false, false],
  ])('magic 0x%s: now %s, before 2.7.0 %s', (magic, now, before) => {
    const bytes = encodeCommand({ action: 1, args: [] }, crc32);
    const words = new DataView(bytes.buffer);
    words.setUint32(0, magic, true);
    words.setUint32(124, goodCrc(bytes.subarray(0, 124)), true);
    const record = decodeCommand(bytes, crc32);
    expect([isValidCommand(record), isValidCommand(record, false)]).toEqual([now, before]);
  });

  test('a 30th argument and a short record are refused', () => {
    expect(() => encodeCommand({ action: 1, args: new Array(30).fill(0) }, crc32)).toThrow('holds 29');
    expect(() => decodeCommand(new Uint8Array(127), crc32)).toThrow('127 bytes');
  });
});

describe('in RTC memory', () => {
  test('writing stores 32 words in order, clearing only the first and the last', () => {
    const store = makeStore();
    writeCommand(store, { action: 1, args: [1, 2, 3] }, crc32);
    expect(store.order).toEqual(Array.from({ length: 32 }, (_, i) => i * 4));
    expect(isValidCommand(decodeCommand(store.bytes, crc32))).toBe(true);
    const before = store.bytes.slice();
    store.order.length = 0;
    clearCommand(store);
    expect(store.order).toEqual([0, 124]);
    expect(store.bytes.subarray(4, 124)).toEqual(before.subarray(4, 124));
    expect(isValidCommand(decodeCommand(store.bytes, crc32))).toBe(false);
  });

  test('the port writes what the Updater wants', () => {
    const store = makeStore();
    const port = commandPort(store, crc32);
    port.writeCopy(0x1ac000, 0, 342704);
    expect(hex(store.bytes.subarray(124))).toBe('5c186a3a');
    port.clear();
    expect(decodeCommand(store.bytes, crc32)).toMatchObject({ magic: 0, crc: 0, action: 1 });
  });

  test.each([
    [0, 0xeb001000, 'eboot command: magic'],
    [0, 0, 'eboot command: magic cleared'],
    [4, 1, 'eboot command: action'],
    [8, 0, 'eboot command: argument 0 (source)'],
    [12, 0, 'eboot command: argument 1 (destination)'],
    [16, 5, 'eboot command: argument 2 (size)'],
    [20, 5, 'eboot command: argument 3'],
    [124, 7, 'eboot command: CRC'],
    [124, 0, 'eboot command: CRC cleared'],
    [128, 7, undefined],
  ])('word at %i, value %i means %s', (offset, value, meaning) => {
    expect(meaningOf(offset, value)).toBe(meaning);
  });
});
