/** Device texts, arguments, credentials, response bytes: the pure parts. Source: spec chapter 04 §3, §6, §7. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { substring, toInt, trim } from '../../ota-services/web-server/arduino-string.ts';
import { parseArguments, urlDecode } from '../../ota-services/web-server/arguments.ts';
import { credentialHash, isBasicGood, isDigestGood } from '../../ota-services/web-server/authentication.ts';
import { bytesOf, byteText, toByteText, toText } from '../../ota-services/web-server/byte-text.ts';
import { contentTypeOf } from '../../ota-services/web-server/mime-types.ts';
import type { HttpMethod } from '../../ota-services/web-server/parsed-request.ts';
import { CONTENT_LENGTH_UNKNOWN, reasonPhrase, responseHead } from '../../ota-services/web-server/response.ts';
import { StringHeap } from '../../ota-services/web-server/string-heap.ts';
import { nodeMd5 } from '../support/flash.ts';

describe('texts of a sketch and bytes of the device', () => {
  test('invariant: any bytes come back from the text they show as', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(bytesOf(toByteText(toText(byteText(bytes))))).toEqual(bytes);
      }),
    );
  });

  test('invariant: any text is UTF-8 on the wire, and comes back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 32 }), (text) => {
        expect(bytesOf(toByteText(text))).toEqual(new TextEncoder().encode(text));
        expect(toText(toByteText(text))).toBe(text);
      }),
    );
  });

  test.each<[string, number[]]>([
    ['overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['a lone continuation', [0x80]],
    ['a sequence cut short', [0xe2, 0x82]],
    ['overlong in 3 and 4 bytes', [0xe0, 0x9f, 0xbf, 0xf0, 0x8f, 0xbf, 0xbf]],
    ['bytes UTF-8 never has', [0xfe, 0xff, 0xf8]],
  ])('not UTF-8: %s', (_what, bytes) => {
    const text = toText(byteText(Uint8Array.from(bytes)));
    expect([...text].every((one) => one.charCodeAt(0) >= 0xdc80 && one.charCodeAt(0) <= 0xdcff)).toBe(true);
    expect([...bytesOf(toByteText(text))]).toEqual(bytes);
  });

  test('long texts, and characters that are no bytes', () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i & 0xff);
    expect(Buffer.compare(bytesOf(byteText(bytes)), bytes)).toBe(0);
    expect(() => bytesOf('€')).toThrow('U+20ac');
    expect(toByteText('\ud800')).toBe('\xef\xbf\xbd');
  });
});

describe("the device's String", () => {
  test.each<[string, number]>([
    ['12', 12],
    [' \t-3x', -3],
    ['+4', 4],
    ['', 0],
    ['x1', 0],
    ['- 1', 0],
    ['-', 0],
    ['2147483648', 2147483647],
    ['-99999999999999999999', -2147483648],
  ])('toInt(%j) is %i', (text, value) => expect(toInt(text)).toBe(value));

  test('trim takes off what C calls white space, and nothing else', () => {
    expect(trim(' \t\n\v\f\r a b\xa0 \r\n')).toBe('a b\xa0');
    expect(trim('  ')).toBe('');
  });

  test('substring exchanges bounds, and −1 is the end', () => {
    expect(substring('abcdef', 4, 2)).toBe('cd');
    expect(substring('abcdef', 2, -1)).toBe('cdef');
    expect(substring('abc', 5)).toBe('');
    expect(substring('', 0, -1)).toBe('');
  });
});

describe('arguments (§3.1)', () => {
  const parse = (query: string) => parseArguments(query, new StringHeap(30_000)).map(({ key, value }) => [key, value]);

  test.each<[string, [string, string][]]>([
    ['', []],
    [
      'a=1&b=2;c=3',
      [
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
      ],
    ],
    [
      '&&a&;=&b=',
      [
        ['a', ''],
        ['', ''],
        ['b', ''],
      ],
    ],
    [
      'a=1&a=2',
      [
        ['a', '1'],
        ['a', '2'],
      ],
    ],
    ['a=b=c', [['a', 'b=c']]],
    ['a%3db=%26', [['a=b', '&']]],
    ['a+b=c+d', [['a b', 'c d']]],
  ])('%j', (query, items) => expect(parse(query)).toEqual(items));

  test.each([
    ['%41%7a', 'Az'],
    ['%c3%BC', '\xc3\xbc'],
    ['%zz', '\0'],
    ['%4x', '\x04'],
    ['%x4', '\0'],
    ['%+4', '\0'],
    ['%4', '%4'],
    ['%', '%'],
    ['100%', '100%'],
    ['%%41', '\0' + '1'],
    ['%\n1', '\0'],
    ['++', '  '],
  ])('%j is %j', (text, decoded) => expect(urlDecode(text)).toBe(decoded));
});

describe('Basic (§7.2)', () => {
  const good = (value: string) => isBasicGood(value, 'admin', 'admin');
  test.each([
    ['Basic YWRtaW46YWRtaW4=', true],
    ['Basic  YWRtaW46YWRtaW4= ', true],
    ['BasicXYWRtaW46YWRtaW4=', true],
    ['basic YWRtaW46YWRtaW4=', false],
    ['Basic YWRtaW46YWRtaW4', false],
    ['Basic', false],
    ['asic YWRtaW46YWRtaW4=', false],
    ['', false],
  ])('%j: %s', (value, is) => expect(good(value)).toBe(is));

  test('credentials are UTF-8', () => {
    const value = `Basic ${Buffer.from('jürgen:pässwörd€').toString('base64')}`;
    expect(isBasicGood(value, toByteText('jürgen'), toByteText('pässwörd€'))).toBe(true);
  });
});

describe('Digest (§7.3, §27)', () => {
  const challenge = { realm: 'Login Required', nonce: '0123456789abcdef0123456789abcdef', opaque: 'fedc' };
  const parts = {
    username: '"admin"',
    realm: '"Login Required"',
    nonce: `"${challenge.nonce}"`,
    uri: '"/update"',
    opaque: '"fedc"',
    qop: 'auth',
    nc: '00000001',
    cnonce: '"deadbeef"',
    response: '"e588864ecca569be156137250d8d994c"',
  };
  const header = (changes: Partial<Record<keyof typeof parts, string | undefined>> = {}) =>
    `Digest ${Object.entries({ ...parts, ...changes })
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${value}`)
      .join(', ')}`;
  const good = (authorization: string, method: HttpMethod = 'GET', password = 'admin') =>
    isDigestGood(
      nodeMd5,
      { authorization, method },
      'admin',
      (realm) => credentialHash(nodeMd5, 'admin', realm, password),
      challenge,
    );
  const noQop = { qop: undefined, nc: undefined, cnonce: undefined, response: '"6c1b583eca8566fe92a6dcb351e0a7a0"' };
  const md5 = (text: string) => createHash('md5').update(text).digest('hex');

  test('the vector, with and without qop (row 58)', () => {
    expect(credentialHash(nodeMd5, 'admin', 'Login Required', 'admin')).toBe('2a796ef9bfe8425affb901bed7ec2864');
    expect(good(header())).toBe(true);
    expect(good(header({ qop: '"auth"' }))).toBe(true);
    expect(good(header(noQop))).toBe(true);
  });

  test.each<[string, string]>([
    ['another user', header({ username: '"root"' })],
    ['an upper-case response', header({ response: '"E588864ECCA569BE156137250D8D994C"' })],
    ['another nonce', header({ nonce: '"1123456789abcdef0123456789abcdef"' })],
    ['another opaque', header({ opaque: '"fedd"' })],
    ['another realm', header({ realm: '"login required"' })],
    ['another uri', header({ uri: '"/updatf"' })],
    ['no uri', header({ uri: undefined })],
    ['an empty response', header({ response: '""' })],
    ['a nonce without quotes', header({ nonce: challenge.nonce })],
    ['a lower-case scheme', header().replace('Digest', 'digest')],
    ['Basic', 'Basic YWRtaW46YWRtaW4='],
  ])('refused: %s', (_what, value) => expect(good(value)).toBe(false));

  test('cnonce before nonce is refused, as `nonce="` is found inside it (row 59)', () => {
    const { cnonce, ...others } = parts;
    const text = `Digest cnonce=${cnonce}, ${Object.entries(others)
      .map(([name, value]) => `${name}=${value}`)
      .join(', ')}`;
    expect(good(text)).toBe(false);
  });

  test('wrong password', () => expect(good(header(), 'GET', 'admin2')).toBe(false));

  test.each<[HttpMethod, string]>([
    ['POST', 'POST'],
    ['PUT', 'PUT'],
    ['DELETE', 'DELETE'],
    ['HEAD', 'GET'],
    ['OPTIONS', 'GET'],
    ['PATCH', 'GET'],
  ])('a digest of %s is computed with %s', (method, word) => {
    const h1 = '2a796ef9bfe8425affb901bed7ec2864';
    const response = `"${md5(`${h1}:${challenge.nonce}:${md5(`${word}:/update`)}`)}"`;
    expect(good(header({ ...noQop, response }), method)).toBe(true);
  });

  test('before the first challenge nothing is good', () => {
    const value = header({ nonce: '""', opaque: '""', realm: '""' });
    const nothing = { realm: '', nonce: '', opaque: '' };
    expect(isDigestGood(nodeMd5, { authorization: value, method: 'GET' }, 'admin', () => '', nothing)).toBe(false);
  });
});

describe('response head (§6.1)', () => {
  const head = { code: 200, version: 1, contentType: '', headers: '', contentLength: 5, cors: false, keepAlive: true };

  test('the order of its lines', () => {
    expect(responseHead({ ...head, headers: 'A: b\r\n', cors: true })).toBe(
      'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nA: b\r\nContent-Length: 5\r\nAccess-Control-Allow-Origin: *\r\n' +
        'Connection: keep-alive\r\nKeep-Alive: timeout=2000\r\n\r\n',
    );
    expect(responseHead({ ...head, version: 0, contentType: 'text/plain', keepAlive: false })).toBe(
      'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\n',
    );
  });

  test('an unknown length is chunked from HTTP/1.1 on', () => {
    const unknown = { ...head, contentLength: CONTENT_LENGTH_UNKNOWN };
    expect(responseHead(unknown)).toContain(
      'text/html\r\nAccept-Ranges: none\r\nTransfer-Encoding: chunked\r\nConnection',
    );
    expect(responseHead({ ...unknown, version: 0 })).toContain('text/html\r\nConnection');
  });

  test.each<[number, string]>([
    [100, 'Continue'],
    [206, 'Partial Content'],
    [307, 'Temporary Redirect'],
    [408, 'Request Timeout'],
    [413, 'Request Entity Too Large'],
    [416, 'Range not satisfiable'],
    [505, 'HTTP Version not supported'],
    [306, ''],
    [308, ''],
    [418, ''],
    [429, ''],
  ])('%i %s', (code, reason) => {
    expect(reasonPhrase(code)).toBe(reason);
    expect(responseHead({ ...head, code }).startsWith(`HTTP/1.1 ${code} ${reason}\r\n`)).toBe(true);
  });

  test('every code that the core knows has a text', () => {
    const codes = [100, 101, ...span(200, 206), ...span(300, 305), 307, ...span(400, 417), ...span(500, 505)];
    expect(codes.filter((code) => reasonPhrase(code) === '')).toEqual([]);
    expect(span(0, 999).filter((code) => reasonPhrase(code) !== '')).toEqual(codes);
  });
});

const span = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test.each([
  ['/index.htm', 'text/html'],
  ['/a.js', 'application/javascript'],
  ['/a.json', 'application/json'],
  ['/a.woff2', 'application/font-woff2'],
  ['/a.js.gz', 'application/x-gzip'],
  ['/a.JS', 'application/octet-stream'],
  ['/a', 'application/octet-stream'],
])('content type of %s is %s (§8)', (path, type) => expect(contentTypeOf(path)).toBe(type));
