import { describe, expect, test } from 'vitest';
import { commandName } from '../../../ota-services/rom-loader/commands.ts';
import {
  checksum,
  encodeRequest,
  encodeResponse,
  isSync,
  parseBlock,
  parseRequest,
  REQUEST_LIMIT,
  SYNC_DATA,
  word,
  wordBytes,
} from '../../../ota-services/rom-loader/packets.ts';
import { bytes, hex } from '../../support/loader-bench.ts';

describe('packets', () => {
  test('the first READ_REG on the wire (spec chapter 05 §11.1)', () => {
    expect(hex(encodeRequest(0x0a, wordBytes(0x40001000)))).toBe(
      hex(bytes('C0 00 0A 04 00 00 00 00 00 00 10 00 40 C0')),
    );
    expect(hex(encodeResponse({ command: 0x0a, value: 0xfff0c101, status: 0, error: 0 }))).toBe(
      hex(bytes('C0 01 0A 02 00 01 C1 F0 FF 00 00 C0')),
    );
  });

  test('the length of a response counts its data and the two status bytes', () => {
    const reply = encodeResponse({ command: 0x13, data: new Uint8Array(16), status: 0, error: 0 });
    expect(hex(reply.subarray(1, 5))).toBe('01131200');
  });

  test('a request', () => {
    const request = parseRequest(bytes('00 03 03 00 E7 00 00 80 01 02 03'))!;
    expect(request).toMatchObject({ command: 3, checksum: 0x800000e7, whole: true });
    expect(hex(request.data)).toBe('010203');
  });

  test.each([
    ['shorter than a header', '00 08 24 00 00 00 00'],
    ['a response', '01 08 00 00 00 00 00 00'],
  ])('%s is no request', (_, frame) => {
    expect(parseRequest(bytes(frame))).toBeUndefined();
  });

  test('a length field that disagrees, or a frame that is too long, is not whole', () => {
    expect(parseRequest(bytes('00 08 01 00 00 00 00 00'))!.whole).toBe(false);
    expect(parseRequest(bytes('00 08 00 00 00 00 00 00 55'))!.whole).toBe(false);
    const long = new Uint8Array(REQUEST_LIMIT + 1);
    long[2] = (long.length - 8) & 0xff;
    long[3] = (long.length - 8) >> 8;
    expect(parseRequest(long)!.whole).toBe(false);
  });

  test('the checksum is the XOR of the bytes and 0xEF', () => {
    expect(checksum(new Uint8Array(0))).toBe(0xef);
    expect(checksum(bytes('E9 03 02 40'))).toBe(0xef ^ 0xe9 ^ 0x03 ^ 0x02 ^ 0x40);
  });

  test('a block states its own length', () => {
    const block = parseBlock(bytes('02 00 00 00 07 00 00 00 00 00 00 00 00 00 00 00 AA BB'))!;
    expect(block.sequence).toBe(7);
    expect(hex(block.bytes)).toBe('aabb');
    expect(parseBlock(bytes('03 00 00 00 07 00 00 00 00 00 00 00 00 00 00 00 AA BB'))).toBeUndefined();
    expect(parseBlock(bytes('00 00 00 00'))).toBeUndefined();
  });

  test('a SYNC is known by all of its bytes', () => {
    const sync = bytes(`00 08 24 00 00 00 00 00 ${hex(SYNC_DATA)}`);
    expect(isSync(sync)).toBe(true);
    for (const at of [0, 1, 2, 8, 20, 43]) {
      const other = sync.slice();
      other[at]! ^= 1;
      expect(isSync(other), `byte ${at}`).toBe(false);
    }
    expect(isSync(sync.subarray(0, 43))).toBe(false);
  });

  test('words are little-endian and unsigned', () => {
    expect(word(wordBytes(0xfff0c101), 0)).toBe(0xfff0c101);
    expect(hex(wordBytes(0x01020304))).toBe('04030201');
  });

  test('commands have names', () => {
    expect([0x02, 0x14, 0xd3, 0x99, 0x00].map(commandName)).toEqual([
      'FLASH_BEGIN',
      'GET_SECURITY_INFO',
      'RUN_USER_CODE',
      '0x99',
      '0x00',
    ]);
  });
});
