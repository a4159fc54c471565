/** The pure parts of the update client: URL, request, head of the answer, redirects, tables. Source: spec chapter 04 §15–§20, §27. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideUpdate, decideVersion, sketchHeaderError } from '../../ota-services/http-update-client/decision.ts';
import { httpErrorText, lastErrorText } from '../../ota-services/http-update-client/error-codes.ts';
import { type FollowRedirects, redirectTarget } from '../../ota-services/http-update-client/redirect.ts';
import {
  type GetRequest,
  type HeaderLine,
  macsOf,
  requestBytes,
  SDK_VERSION,
  updateHeaders,
} from '../../ota-services/http-update-client/request.ts';
import { ResponseParser } from '../../ota-services/http-update-client/response.ts';
import { type HttpTarget, parseUrl, shownUrl } from '../../ota-services/http-update-client/url.ts';
import { latin1, toBytes } from '../support/transcript.ts';

describe('a URL (§15)', () => {
  const target = (
    host: string,
    port: number,
    uri: string,
    rest: { protocol?: 'http' | 'https'; credentials?: string } = {},
  ): HttpTarget => ({ protocol: 'http', host, port, uri, ...rest });

  test.each<[string, HttpTarget | undefined]>([
    ['http://h/x', target('h', 80, '/x')],
    ['https://h/x', target('h', 443, '/x', { protocol: 'https' })],
    ['HtTpS://h/x', target('h', 443, '/x', { protocol: 'https' })],
    ['http://h:8080/x?y=1#z', target('h', 8080, '/x?y=1#z')],
    ['http://h', target('h', 80, '')],
    ['http://h:8080', target('h', 8080, '')],
    ['http://h?x', target('h?x', 80, '')],
    ['http://h:8080?x', target('h', 8080, '')],
    ['http://h?a/b', target('h?a', 80, '/b')],
    ['http://u:p@h/x', target('h', 80, '/x', { credentials: 'dTpw' })],
    ['http://u@h:81/x', target('h', 81, '/x', { credentials: 'dQ==' })],
    ['http://u:p@q@h/x', target('q@h', 80, '/x', { credentials: 'dTpw' })],
    ['http://h/x@y:z', target('h', 80, '/x@y:z')],
    ['http!!!h/x', undefined],
    ['http:abh/x', target('h', 80, '/x')],
    ['http:', target('', 80, '')],
    ['http://', target('', 80, '')],
    ['http://h:/x', target('h', 0, '/x')],
    ['http://h:x/x', target('h', 0, '/x')],
    ['http://h:65616/x', target('h', 80, '/x')],
    ['http://[::1]:80/x', target('[', 0, '/x')],
    ['ftp://h/x', undefined],
    [' http://h/x', undefined],
    ['h/x', undefined],
    ['', undefined],
  ])('%s', (url, expected) => expect(parseUrl(url)).toEqual(expected));

  test('invariant: any text is a target or none, and a port is 16 bits', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary-ascii' }),
        fc.constantFrom('http:', 'https://', 'http://a:', ''),
        (text, start) => {
          const parsed = parseUrl(start + text);
          if (parsed) expect(parsed.port).toBe(parsed.port & 0xffff);
          expect(parsed === undefined).toBe(!/^https?:/i.test(start + text));
        },
      ),
    );
  });

  test('is shown without user information and without a usual port', () => {
    expect(shownUrl(parseUrl('http://u:p@h/x')!)).toBe('http://h/x');
    expect(shownUrl(parseUrl('https://h:80')!)).toBe('https://h:80/');
    expect(shownUrl(target('h', 80, 'fw.bin'))).toBe('http://h/fw.bin');
  });
});

describe('a request (§16, §27)', () => {
  const request = (changes: Partial<GetRequest> = {}): string =>
    latin1(
      requestBytes({
        host: '192.168.1.8',
        port: 8000,
        uri: '/fw/file.bin',
        http10: true,
        keepAlive: false,
        userAgent: 'ESP8266-http-Update',
        authorization: '',
        headers: [],
        ...changes,
      }),
    );

  test('row 61: lines 1 to 17 in order, the worked example of §27', () => {
    const facts = {
      chipId: 0xc0ffee,
      freeSketchSpace: 1794048,
      sketchSize: 301072,
      sketchMd5: '0123456789abcdef0123456789abcdef',
      chipSize: 4194304,
      sdkVersion: SDK_VERSION,
      ...macsOf(0xc0ffee),
    };
    expect(request({ headers: updateHeaders(facts, 'sketch', '1.0.0') })).toBe(
      'GET /fw/file.bin HTTP/1.0\r\n' +
        'Host: 192.168.1.8:8000\r\n' +
        'User-Agent: ESP8266-http-Update\r\n' +
        'Connection: close\r\n' +
        'x-ESP8266-Chip-ID: 12648430\r\n' +
        'x-ESP8266-STA-MAC: 5C:CF:7F:C0:FF:EE\r\n' +
        'x-ESP8266-AP-MAC: 5E:CF:7F:C0:FF:EE\r\n' +
        'x-ESP8266-free-space: 1794048\r\n' +
        'x-ESP8266-sketch-size: 301072\r\n' +
        'x-ESP8266-sketch-md5: 0123456789abcdef0123456789abcdef\r\n' +
        'x-ESP8266-chip-size: 4194304\r\n' +
        'x-ESP8266-sdk-version: 2.2.2-dev(38a443e)\r\n' +
        'x-ESP8266-mode: sketch\r\n' +
        'x-ESP8266-version: 1.0.0\r\n' +
        'Content-Length: 0\r\n' +
        '\r\n',
    );
    expect(updateHeaders(facts, 'spiffs', '').map(([name]) => name)).not.toContain('x-ESP8266-version');
  });

  test('without anything added: the redirected request of §27', () => {
    expect(request({ uri: '/other.bin' })).toBe(
      'GET /other.bin HTTP/1.0\r\nHost: 192.168.1.8:8000\r\nUser-Agent: ESP8266-http-Update\r\n' +
        'Connection: close\r\nContent-Length: 0\r\n\r\n',
    );
  });

  test('row 62: the port is named unless it is 80 or 443', () => {
    for (const [port, host] of [
      [80, 'h'],
      [443, 'h'],
      [8080, 'h:8080'],
      [0, 'h:0'],
    ] as const) {
      expect(request({ host: 'h', port })).toContain(`\r\nHost: ${host}\r\n`);
    }
  });

  test('an empty URI is sent as /, one without a slash as it is', () => {
    expect(request({ uri: '' })).toMatch(/^GET \/ HTTP\/1\.0\r\n/);
    expect(request({ uri: 'fw.bin' })).toMatch(/^GET fw\.bin HTTP\/1\.0\r\n/);
  });

  test('HTTP/1.1 adds Accept-Encoding; Authorization stands before Connection', () => {
    expect(request({ http10: false, keepAlive: true, authorization: 'dTpw', headers: [['X-Own', '1']] })).toBe(
      'GET /fw/file.bin HTTP/1.1\r\nHost: 192.168.1.8:8000\r\nUser-Agent: ESP8266-http-Update\r\n' +
        'Accept-Encoding: identity;q=1,chunked;q=0.1,*;q=0\r\nAuthorization: Basic dTpw\r\nConnection: keep-alive\r\n' +
        'X-Own: 1\r\nContent-Length: 0\r\n\r\n',
    );
  });
});

/** What a parser says of an answer. */
interface Reading {
  readonly result: number | undefined;
  readonly status: number;
  readonly size: number;
  readonly location: string;
  readonly md5: string;
  /** Bytes of the body that it left. */
  readonly left: number;
}

function read(pieces: readonly Uint8Array[], heapBytes?: number): Reading {
  const parser = new ResponseParser(['x-MD5', 'x-version'], heapBytes);
  let left = 0;
  for (const piece of pieces) left += piece.length - parser.push(piece);
  const { result, status, size, location } = parser;
  return { result, status, size, location, md5: parser.value('x-md5'), left };
}

const readText = (text: string): Reading => read([toBytes(text)]);

describe('the head of an answer (§17)', () => {
  test.each<[string, string, Partial<Reading>]>([
    ['a usual one', 'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nbody', { result: 200, size: 12, left: 4 }],
    ['no reason', 'HTTP/1.1 200\r\n\r\n', { result: 200, size: -1 }],
    ['HTTP/1.0', 'HTTP/1.0 404 Not Found\r\n\r\n', { result: 404 }],
    ['row 77: HTTP/2', 'HTTP/2 200 OK\r\n\r\n', { result: -7, status: 0 }],
    ['ICY', 'ICY 200 OK\r\n\r\n', { result: -7 }],
    ['two spaces: no number there', 'HTTP/1.1  200 OK\r\n\r\n', { result: -7 }],
    ['letters', 'HTTP/1.1 abc\r\n\r\n', { result: -7 }],
    ['a negative status', 'HTTP/1.1 -5 x\r\n\r\n', { result: -7 }],
    ['number, then letters', 'HTTP/1.1 200OK fine\r\n\r\n', { result: 200 }],
    ['the last status line counts', 'HTTP/1.1 200 OK\r\nHTTP/1.1 304 No\r\n\r\n', { result: 304 }],
    ['a status line among headers', 'Server: x\r\nHTTP/1.1 200 OK\r\n\r\n', { result: 200 }],
    ['100 ends the head', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n', { result: 100, left: 19 }],
    ['an empty line first', '\r\nHTTP/1.1 200 OK\r\n\r\n', { result: -7 }],
    ['LF only', 'HTTP/1.1 200 OK\nContent-Length: 7\n\nx', { result: 200, size: 7, left: 1 }],
    ['white space is an empty line', 'HTTP/1.1 200 OK\r\n \t \r\nx', { result: 200, left: 1 }],
    ['white space around a line', '  HTTP/1.1 200 OK \r\n  content-LENGTH:  5  \r\n\r\n', { result: 200, size: 5 }],
    ['no number', 'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n', { size: 0 }],
    ['a huge number', 'HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n', { size: 0x7fffffff }],
    ['the last length counts', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', { size: 2 }],
    ['a colon first is no header', 'HTTP/1.1 200 OK\r\n:Content-Length: 5\r\n\r\n', { result: 200, size: -1 }],
    ['no colon is no header', 'HTTP/1.1 200 OK\r\nContent-Length 5\r\n\r\n', { result: 200, size: -1 }],
    ['a name with a space', 'HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n', { size: -1 }],
    ['Location', 'HTTP/1.1 302 Found\r\nLOCATION: http://a/b:c\r\n\r\n', { result: 302, location: 'http://a/b:c' }],
    ['row 67: identity', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n', { result: -9, status: 200 }],
    ['gzip before a bad status', 'Transfer-Encoding: gzip\r\n\r\n', { result: -9 }],
    ['chunked, any case', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: cHunked\r\n\r\n', { result: 200, size: -1 }],
    ['an empty encoding is none', 'HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n', { result: 200 }],
    ['collected twice', 'HTTP/1.1 200 OK\r\nx-MD5: a\r\nX-md5: b\r\n\r\n', { md5: 'a,b' }],
    ['collected, first empty', 'HTTP/1.1 200 OK\r\nx-MD5:\r\nx-MD5: b\r\n\r\n', { md5: 'b' }],
    ['not ended', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n', { result: undefined, status: 200, size: 5 }],
  ])('%s', (_what, text, expected) => expect(readText(text)).toMatchObject(expected));

  test('a line that is not continued counts as one', () => {
    const parser = new ResponseParser();
    parser.push(toBytes('HTTP/1.1 200 OK\r\nContent-Length: 5'));
    expect(parser.lineBegun).toBe(true);
    parser.endLine();
    expect(parser).toMatchObject({ lineBegun: false, size: 5, result: undefined });
    parser.push(toBytes('\r'));
    parser.endLine();
    expect(parser.result).toBe(200);
  });
});

const SAMPLES = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nx-MD5: c33b17e9393c109d161d353058627093\r\n\r\n\xe9\x01\x03\x40',
  'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:26034/abs.bin\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.0 304 Not Modified\n\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Version: 2\r\n\r\n4\r\n\xe9\x01\x03\x40\r\n0\r\n\r\n',
  'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
];
const FRAGMENTS = [
  '\r\n',
  '\n',
  '\r',
  ':',
  ' ',
  'HTTP/1.1 ',
  'Content-Length: ',
  'x-MD5: a\r\n',
  'Transfer-Encoding: ',
  '200',
  '\0',
  '\xff',
];

/** The rules of §17 over a whole text: an oracle without state between pieces. */
function oracle(text: string): Reading {
  const reading = { result: undefined as number | undefined, status: 0, size: -1, location: '', md5: '', left: 0 };
  let encoding = '';
  for (let rest = text; ; ) {
    const lf = rest.indexOf('\n');
    if (lf < 0) return reading;
    const line = rest.slice(0, lf).replace(/^[ \t-\r]+|[ \t-\r]+$/g, '');
    rest = rest.slice(lf + 1);
    if (line === '') {
      const bad = encoding !== '' && encoding !== 'chunked';
      return { ...reading, result: bad ? -9 : reading.status > 0 ? reading.status : -7, left: rest.length };
    }
    const integer = (digits: string): number =>
      Math.max(-0x80000000, Math.min(0x7fffffff, Number(/^[ \t-\r]*([+-]?\d+)/.exec(digits)?.[1] ?? 0))) || 0;
    const header = /^([^:]+):(.*)$/s.exec(line);
    if (line.startsWith('HTTP/1.')) reading.status = integer(line.slice(9).split(' ')[0]!);
    else if (header) {
      const value = header[2]!.replace(/^[ \t-\r]+|[ \t-\r]+$/g, '');
      const name = header[1]!.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      if (name === 'content-length') reading.size = integer(value);
      if (name === 'transfer-encoding') encoding = value.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      if (name === 'location') reading.location = value;
      if (name === 'x-md5') reading.md5 = reading.md5 === '' ? value : `${reading.md5},${value}`;
    }
  }
}

describe('the head of an answer, in any pieces', () => {
  test.each(SAMPLES)('invariant: split at every byte, %j reads the same', (sample) => {
    const bytes = toBytes(sample);
    const whole = read([bytes]);
    expect(whole).toEqual(oracle(sample));
    for (let at = 0; at <= bytes.length; at++) expect(read([bytes.slice(0, at), bytes.slice(at)])).toEqual(whole);
    expect(read(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole);
  });

  test('invariant: 10,000 answers, mutated or random, read the same in any pieces and as the oracle says', () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(...SAMPLES),
        fc.array(fc.tuple(fc.nat(120), fc.nat(8), fc.constantFrom(...FRAGMENTS)), { maxLength: 5 }),
      )
      .map(([sample, edits]) =>
        edits.reduce((text, [at, gone, put]) => text.slice(0, at) + put + text.slice(at + gone), sample),
      );
    const random = fc
      .array(fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string({ unit: 'binary-ascii' })))
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.oneof(mutated, random), fc.array(fc.nat(200), { maxLength: 6 }), (text, cuts) => {
        const bytes = toBytes(text);
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const pieces = at.slice(1).map((end, i) => bytes.slice(at[i], end));
        expect(read(pieces)).toEqual(oracle(text));
      }),
      { numRuns: 10_000 },
    );
  });

  test('invariant: no flood makes the parser hold more than the heap for each text', () => {
    const heap = 1000;
    const parser = new ResponseParser(['x-MD5'], heap);
    const line = toBytes(
      `x-MD5: ${'a'.repeat(300)}\r\nLocation: ${'b'.repeat(3000)}\r\nX-Junk: ${'c'.repeat(500)}\r\n`,
    );
    for (let i = 0; i < 500; i++) parser.push(line);
    const endless = new Uint8Array(65536).fill(0x61);
    for (let i = 0; i < 100; i++) {
      parser.push(endless);
      expect(parser.heldLength).toBeLessThan(4 * heap + 4096);
    }
    expect(parser.result).toBeUndefined();
    expect(parser.value('x-md5')).toHaveLength(heap);
    expect(parser.shown.length).toBeGreaterThan(0);
  });
});

describe('redirects (§18)', () => {
  const from = parseUrl('http://h:8000/a')!;
  const secure = parseUrl('https://h/a')!;
  const go = (location: string, status = 302, mode: FollowRedirects = 1, origin = from): HttpTarget | undefined =>
    redirectTarget(mode, { status, location }, origin);

  test.each([301, 302, 303, 307])('%i is followed, in both modes, and not when disabled', (status) => {
    const there = { protocol: 'http', host: 'h', port: 8000, uri: '/new' };
    expect(go('/new', status, 1)).toEqual(there);
    expect(go('/new', status, 2)).toEqual(there);
    expect(go('/new', status, 0)).toBeUndefined();
  });

  test.each([200, 300, 304, 305, 308, 404])('row 81: %i is not followed', (status) => {
    expect(go('/new', status, 2)).toBeUndefined();
  });

  test('a path keeps host and port; //host/path is a path', () => {
    expect(go('//other/x')).toMatchObject({ host: 'h', port: 8000, uri: '//other/x' });
  });

  test('an absolute address of the same protocol', () => {
    expect(go('http://other:81/x')).toEqual({ protocol: 'http', host: 'other', port: 81, uri: '/x' });
    expect(go('http://u:p@other/x')).toMatchObject({ host: 'other', credentials: 'dTpw' });
    expect(go('https://other/x', 302, 1, secure)).toMatchObject({ host: 'other', port: 443 });
  });

  test('row 80: other protocols, relative paths, other cases, and nothing are refused', () => {
    for (const location of ['https://h/a', 'ftp://h/a', 'new', 'HTTP://h/a', '']) expect(go(location)).toBeUndefined();
    expect(go('http://h/a', 302, 1, secure)).toBeUndefined();
  });
});

describe('tables', () => {
  test.each([
    [-1, 'connection failed'],
    [-2, 'send header failed'],
    [-3, 'send payload failed'],
    [-4, 'not connected'],
    [-5, 'connection lost'],
    [-6, 'no stream'],
    [-7, 'no HTTP server'],
    [-8, 'not enough ram'],
    [-9, 'Transfer-Encoding not supported'],
    [-10, 'Stream write error'],
    [-11, 'read Timeout'],
  ])('§19.1: %i', (code, text) => {
    expect(httpErrorText(code)).toBe(text);
    expect(lastErrorText(code, () => '')).toBe(`HTTP error: ${text}`);
  });

  test.each([
    [-100, 'Not Enough space'],
    [-101, 'Server Did Not Report Size'],
    [-102, 'File Not Found (404)'],
    [-103, 'Forbidden (403)'],
    [-104, 'Wrong HTTP Code'],
    [-105, 'Wrong MD5'],
    [-106, 'Verify Bin Header Failed'],
    [-107, 'New Binary Does Not Fit Flash Size'],
    [-108, 'Unauthorized (401)'],
    [-109, ''],
    [0, ''],
    [4, 'Update error: ERROR[4]: Not Enough Space'],
  ])('§19.2: %i', (code, text) => expect(lastErrorText(code, () => 'ERROR[4]: Not Enough Space\n')).toBe(text));

  test.each([
    [-11, -11],
    [100, -104],
    [204, -104],
    [206, -104],
    [301, -104],
    [401, -108],
    [403, -103],
    [404, -102],
    [500, -104],
    [503, -104],
  ])('§20: status %i fails with %i, whatever the size', (code, error) => {
    for (const size of [-1, 0, 5000]) expect(decideUpdate(code, size, 10_000)).toEqual({ do: 'fail', error });
    expect(decideVersion(code, '2')).toEqual({ do: 'fail', error });
  });

  test('§20: 304 is no update, 200 needs a size that fits', () => {
    expect(decideUpdate(304, -1, 0)).toEqual({ do: 'nothing' });
    expect(decideUpdate(200, -1, 100)).toEqual({ do: 'fail', error: -101 });
    expect(decideUpdate(200, 0, 100)).toEqual({ do: 'fail', error: -101 });
    expect(decideUpdate(200, 101, 100)).toEqual({ do: 'fail', error: -100 });
    expect(decideUpdate(200, 100, 100)).toEqual({ do: 'update' });
  });

  test('§22: a version, none, and 304', () => {
    expect(decideVersion(200, '1.2')).toEqual({ do: 'tell', version: '1.2' });
    expect(decideVersion(200, '')).toEqual({ do: 'fail', error: -109 });
    expect(decideVersion(304, '1.2')).toEqual({ do: 'fail', error: -104 });
  });

  const MIB = 0x100000;
  test.each<[string, number[], number | undefined]>([
    ['sketch', [0xe9, 1, 2, 0x40], undefined],
    ['larger chip', [0xe9, 1, 2, 0x90], -107],
    ['8 MiB', [0xe9, 1, 2, 0x80], -107],
    ['smaller chip', [0xe9, 1, 2, 0x20], undefined],
    ['unknown size', [0xe9, 1, 2, 0x70], undefined],
    ['gzip, no size in it', [0x1f, 0x8b, 8, 0x90], undefined],
    ['1F without 8B', [0x1f, 0, 0, 0x90], undefined],
    ['HTML', [0x3c, 0x21, 0x44, 0x4f], -106],
    ['three bytes', [0xe9, 1, 2], -106],
    ['none', [], -106],
  ])('§20 steps 7 to 9: %s', (_what, bytes, error) => {
    const first = Uint8Array.from(bytes);
    expect(sketchHeaderError(first, { realSizeBytes: 4 * MIB, flashMapSupport: false })).toBe(error);
    const auto = sketchHeaderError(first, { realSizeBytes: 4 * MIB, flashMapSupport: true });
    expect(auto).toBe(error === -107 ? undefined : error);
  });

  test('MAC addresses of a chip id', () => {
    expect(macsOf(0x00000a)).toEqual({ staMac: '5C:CF:7F:00:00:0A', apMac: '5E:CF:7F:00:00:0A' });
  });
});

test('a header line is shown as it came', () => {
  const parser = new ResponseParser();
  parser.push(toBytes('HTTP/1.1 200 OK\r\nServer:  nginx \r\nA: 1\r\nA: 2\r\n\r\n'));
  expect(parser.shown).toEqual<HeaderLine[]>([
    ['Server', 'nginx'],
    ['A', '1'],
    ['A', '2'],
  ]);
});
