/** Source: spec chapter 03 §3.1, §3.2, §4. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DatagramReader } from '../../ota-services/arduino-ota/datagram-reader.ts';
import { readAuthAnswer, readInvitation } from '../../ota-services/arduino-ota/invitation.ts';

const MD5 = 'c33b17e9393c109d161d353058627093';
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

describe('invariant: an integer is read as the device reads it (§3.1)', () => {
  const rest = (text: string): [number, string] => {
    const reader = new DatagramReader(bytes(text));
    const value = reader.integer();
    return [value, reader.textUntil('\n')];
  };

  test.each<[string, number, string]>([
    ['0', 0, ''],
    ['42 x', 42, ' x'],
    ['   7;', 7, ';'],
    ['\t7', 0, '\t7'],
    ['\r7', 0, '\r7'],
    ['', 0, ''],
    ['   ', 0, ''],
    ['-5', 0, '-5'],
    ['+5', 0, '+5'],
    ['007', 7, ''],
    ['2147483647', 2147483647, ''],
    ['2147483648', 2147483647, ''],
    ['4294967296', 2147483647, ''],
    ['999999999999999', 2147483647, ''],
    ['000000000000005', 5, ''],
    ['1000000000000000', 0, ''],
    ['0000000000000005', 0, ''],
    ['12345678901234567', 0, '7'],
    ['123456789012345678 9', 0, '78 9'],
  ])('%j reads as %i and leaves %j', (text, value, left) => {
    expect(rest(text)).toEqual([value, left]);
  });

  test('any number of up to 15 digits reads as itself, saturated at 2^31 - 1', () => {
    fc.assert(
      fc.property(fc.nat(999_999_999_999_999), fc.nat(5), (number, spaces) => {
        expect(rest(`${' '.repeat(spaces)}${number}`)).toEqual([Math.min(number, 0x7fffffff), '']);
      }),
    );
  });
});

describe('invariant: a text ends before its terminator, NUL, or the end, and the terminator is taken (§3.1)', () => {
  test.each<[string, string, string]>([
    ['abc def', 'abc', 'def'],
    ['abc\0def', 'abc', 'def'],
    ['abc', 'abc', ''],
    ['', '', ''],
    [' abc', '', 'abc'],
    ['a\xff\x80 b', 'a\xff\x80', 'b'],
  ])('%j gives %j and leaves %j', (text, first, second) => {
    const reader = new DatagramReader(bytes(text));
    expect([reader.textUntil(' '), reader.textUntil('\n')]).toEqual([first, second]);
  });
});

describe('invariant: every row of the table of §3.2 is read so', () => {
  const accepted = (command: number, tcpPort: number, size: number, md5 = MD5) => ({
    kind: 'accepted',
    invitation: { command, tcpPort, size, md5 },
  });
  const malformed = (command: number, tcpPort: number, size: number, md5: string) => ({
    kind: 'malformed',
    invitation: { command, tcpPort, size, md5 },
  });
  const other = { kind: 'other-command' };

  test.each<[string, string, object]>([
    ['canonical', `0 48266 300000 ${MD5}\n`, accepted(0, 48266, 300000)],
    ['file system', `100 48266 65536 ${MD5}\n`, accepted(100, 48266, 65536)],
    ['row 4: no newline', `0 48266 300000 ${MD5}`, accepted(0, 48266, 300000)],
    ['row 5: CR LF', `0 48266 300000 ${MD5}\r\n`, accepted(0, 48266, 300000)],
    ['row 6: many spaces', `  0   48266   300000   ${MD5}`, accepted(0, 48266, 300000)],
    ['newline as separator', `0 48266 300000\n${MD5}`, accepted(0, 48266, 300000)],
    ['comma as separator', `0 48266 300000,${MD5}`, accepted(0, 48266, 300000)],
    ['row 7: tabs', `0\t48266\t300000\t${MD5}`, malformed(0, 0, 0, `48266\t300000\t${MD5}`)],
    ['commas', `0,48266,300000,${MD5}`, malformed(0, 0, 0, `48266,300000,${MD5}`)],
    ['row 8: command 1', `1 48266 300000 ${MD5}\n`, other],
    ['command 50', `50 48266 300000 ${MD5}\n`, other],
    ['row 8: command 99', `99 48266 300000 ${MD5}\n`, other],
    ['row 8: command 101', `101 48266 300000 ${MD5}\n`, other],
    ['row 8: command 200', `200 48266 300000 ${MD5}\n`, other],
    ['a sign', `-1 48266 300000 ${MD5}`, malformed(0, 0, 0, `1 48266 300000 ${MD5}`)],
    ['hello', 'hello', malformed(0, 0, 0, 'ello')],
    ['row 10: empty', '', malformed(0, 0, 0, '')],
    ['row 11: X and 32 characters', `X${MD5}`, accepted(0, 0, 0)],
    ['row 9: 31 characters', `0 48266 300000 ${MD5.slice(1)}`, malformed(0, 48266, 300000, MD5.slice(1))],
    ['row 9: 33 characters', `0 48266 300000 ${MD5}a`, malformed(0, 48266, 300000, `${MD5}a`)],
    ['no separator, md5 begins with a letter', `0 48266 300000${MD5}`, malformed(0, 48266, 300000, MD5.slice(1))],
    [
      'no separator, md5 begins with a digit',
      `0 48266 30${MD5.slice(1)}1`,
      malformed(0, 48266, 3033, `${MD5.slice(4)}1`),
    ],
    ['port above 65535', `0 70000 5000 ${MD5}`, accepted(0, 4464, 5000)],
    ['row 18: port 65536 + 48266', `0 113802 5000 ${MD5}`, accepted(0, 48266, 5000)],
    ['size 2^32', `0 48266 4294967296 ${MD5}`, accepted(0, 48266, 2147483647)],
    ['row 14: size of 11 digits', `0 48266 99999999999 ${MD5}`, accepted(0, 48266, 2147483647)],
    ['row 15: size of 16 digits', `0 48266 1000000000000000 ${MD5}`, accepted(0, 48266, 0)],
    ['row 12: size 0', `0 48266 0 ${MD5}`, accepted(0, 48266, 0)],
    ['leading zeros', `0100 48266 5000 ${MD5}`, accepted(100, 48266, 5000)],
    ['command 000', `000 48266 5000 ${MD5}`, accepted(0, 48266, 5000)],
    ['NUL in the md5', `0 48266 5000 ${MD5.slice(0, 9)}\0${MD5.slice(9)}`, malformed(0, 48266, 5000, MD5.slice(0, 9))],
    ['NUL after the md5', `0 48266 5000 ${MD5}\0trailing`, accepted(0, 48266, 5000)],
    ['text after the newline', `0 48266 5000 ${MD5}\ntrailing`, accepted(0, 48266, 5000)],
    ['space after the md5', `0 48266 5000 ${MD5} \n`, accepted(0, 48266, 5000)],
    ['row 72: negative size', `0 48266 -5 ${MD5}`, malformed(0, 48266, 0, `5 ${MD5}`)],
    ['row 37: upper case', `0 1 2 ${MD5.toUpperCase()}`, accepted(0, 1, 2, MD5.toUpperCase())],
    ['row 74: not hex', `0 1 2 ${'?'.repeat(32)}`, accepted(0, 1, 2, '?'.repeat(32))],
    [
      'no-break spaces are no white space',
      `0 1 2 \xa0${MD5.slice(2)}\xa0\n`,
      accepted(0, 1, 2, `\xa0${MD5.slice(2)}\xa0`),
    ],
    ['all of C white space is trimmed', `0 1 2 \t\v\f\r ${MD5} \t\v\f\r\n`, accepted(0, 1, 2)],
  ])('%s', (_name, text, expected) => {
    expect(readInvitation(bytes(text))).toEqual(expected);
  });

  test('invariant: any bytes are read without an exception, and numbers stay in their ranges', () => {
    const texts = fc.stringMatching(/^[ 0-9a-f\t\n\r\0,-]*$/).map(bytes);
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), texts), (datagram) => {
        const read = readInvitation(datagram);
        if (read.kind === 'other-command') return;
        const { command, tcpPort, size, md5 } = read.invitation;
        expect([0, 100]).toContain(command);
        expect(tcpPort).toSatisfy((port: number) => Number.isInteger(port) && port >= 0 && port <= 65535);
        expect(size).toSatisfy((value: number) => Number.isInteger(value) && value >= 0 && value <= 0x7fffffff);
        expect(md5.length === 32).toBe(read.kind === 'accepted');
      }),
    );
  });

  test('invariant: what a tool formats is what the device reads', () => {
    const hex32 = fc.stringMatching(/^[0-9a-f]{32}$/);
    fc.assert(
      fc.property(fc.constantFrom(0, 100), fc.nat(65535), fc.nat(0x7fffffff), hex32, (command, port, size, md5) => {
        expect(readInvitation(bytes(`${command} ${port} ${size} ${md5}\n`))).toEqual(
          accepted(command, port, size, md5),
        );
      }),
    );
  });

  test('invariant: a datagram full of spaces costs linear time', () => {
    // 65,507 bytes are the largest UDP payload; a trimming that looks again from each space makes billions of steps.
    const flood = bytes(`0 1 2 x${' '.repeat(65_499)}y`);
    let looks = 0;
    const counted = new Proxy(flood, {
      get: (target, key) => {
        looks++;
        return Reflect.get(target, key, target);
      },
    });
    expect(readInvitation(counted).kind).toBe('malformed');
    expect(looks).toBeLessThan(10 * flood.length);
    expect(readInvitation(bytes(' '.repeat(65_507))).kind).toBe('malformed');
  });
});

describe('invariant: an answer to a challenge counts only with two parts of 32 characters (§4)', () => {
  const C = '9dba9637e8635a4d912075cd6ea55530';
  const R = '19195b7326fdc81e230731bd10379940';

  test.each<[string, string, object | undefined]>([
    ['canonical', `200 ${C} ${R}\n`, { cnonce: C, response: R }],
    ['no newline', `200 ${C} ${R}`, { cnonce: C, response: R }],
    ['text after the newline', `200 ${C} ${R}\ntrailing`, { cnonce: C, response: R }],
    ['cnonce not hex', `200 ${'z'.repeat(32)} ${R}\n`, { cnonce: 'z'.repeat(32), response: R }],
    ['any separator after 200', `200,${C} ${R}\n`, { cnonce: C, response: R }],
    ['leading zeros and spaces', `  0200 ${C} ${R}\n`, { cnonce: C, response: R }],
    ['row 26: CR LF', `200 ${C} ${R}\r\n`, undefined],
    ['row 27: cnonce of 31', `200 ${C.slice(1)} ${R}\n`, undefined],
    ['response of 31', `200 ${C} ${R.slice(1)}\n`, undefined],
    ['row 28: two spaces', `200  ${C} ${R}\n`, undefined],
    ['command 100', `100 ${C} ${R}\n`, undefined],
    ['an invitation', `0 48266 5000 ${C}\n`, undefined],
    ['empty', '', undefined],
  ])('%s', (_name, text, expected) => {
    expect(readAuthAnswer(bytes(text))).toEqual(expected);
  });

  test('invariant: any bytes are read without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (datagram) => {
        const answer = readAuthAnswer(datagram);
        if (answer) expect([answer.cnonce.length, answer.response.length]).toEqual([32, 32]);
      }),
    );
  });
});
