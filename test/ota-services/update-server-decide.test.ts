/** What `serve` answers, and which URLs are paths at all. Sources: design.md §4; spec chapter 04 §16, §25. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, type Offer, readDeviceRequest } from '../../ota-services/update-server/decide.ts';
import { MAX_DEPTH, MAX_URL, urlPath } from '../../ota-services/update-server/url-path.ts';

const MD5 = '0123456789abcdef0123456789abcdef';
const OTHER = 'f'.repeat(32);

describe('headers', () => {
  test('those of the device', () => {
    expect(
      readDeviceRequest({
        host: 'x',
        'x-esp8266-chip-id': '12648430',
        'x-esp8266-sta-mac': '5C:CF:7F:C0:FF:EE',
        'x-esp8266-free-space': '1794048',
        'x-esp8266-sketch-md5': MD5.toUpperCase(),
        'x-esp8266-chip-size': '4194304',
        'x-esp8266-mode': 'sketch',
        'x-esp8266-version': '1.0.0',
      }),
    ).toEqual({
      mode: 'sketch',
      mac: '5C:CF:7F:C0:FF:EE',
      version: '1.0.0',
      sketchMd5: MD5,
      freeSpace: 1794048,
      chipSize: 4194304,
    });
  });

  test('none of them: not a device', () => {
    expect(readDeviceRequest({ host: 'x', 'user-agent': 'curl', 'x-esp-8266': '1' })).toBeUndefined();
  });

  test.each([
    ['mode', 'spiffs', { mode: 'spiffs' }],
    ['mode', 'VERSION', { mode: 'version' }],
    ['mode', 'littlefs', { mode: undefined }],
    ['mode', '', { mode: 'sketch' }],
    ['sta-mac', '5c-cf-7f-c0-ff-ee', { mode: 'sketch', mac: '5C:CF:7F:C0:FF:EE' }],
    ['sta-mac', '../../etc', { mode: 'sketch' }],
    ['sketch-md5', 'abc', { mode: 'sketch' }],
    ['free-space', '-1', { mode: 'sketch' }],
    ['free-space', '1e3', { mode: 'sketch' }],
    ['free-space', '0', { mode: 'sketch', freeSpace: 0 }],
    ['version', '  ', { mode: 'sketch' }],
  ])('x-esp8266-%s: %j', (name, value, expected) => {
    expect(readDeviceRequest({ [`x-esp8266-${name}`]: value })).toEqual(expected);
  });
});

describe('decision', () => {
  const offer: Offer = { version: '2.0', size: 1000, sketchMd5s: [MD5] };
  const unnamed: Offer = { size: 1000, sketchMd5s: [MD5] };

  test.each([
    ['an older version', { mode: 'sketch', version: '1.0' }, offer, 200],
    ['a newer version: the server decides', { mode: 'sketch', version: '3.0' }, offer, 200],
    ['the same version', { mode: 'sketch', version: '2.0' }, offer, 304],
    ['the same version, another MD5', { mode: 'sketch', version: '2.0', sketchMd5: OTHER }, offer, 304],
    ['another version, the same MD5', { mode: 'sketch', version: '1.0', sketchMd5: MD5 }, offer, 200],
    ['no version, the same MD5', { mode: 'sketch', sketchMd5: MD5 }, offer, 304],
    ['no version, another MD5', { mode: 'sketch', sketchMd5: OTHER }, offer, 200],
    ['neither', { mode: 'sketch' }, offer, 200],
    ['a file without a version, the same MD5', { mode: 'sketch', version: '2.0', sketchMd5: MD5 }, unnamed, 304],
    ['a file without a version, another MD5', { mode: 'sketch', version: '2.0', sketchMd5: OTHER }, unnamed, 200],
    ['just enough space', { mode: 'sketch', freeSpace: 1000 }, offer, 200],
    ['one byte too little', { mode: 'sketch', freeSpace: 999 }, offer, 500],
    ['the same version and too little', { mode: 'sketch', version: '2.0', freeSpace: 1 }, offer, 304],
    ['a file system and little space for sketches', { mode: 'spiffs', freeSpace: 1, chipSize: 1000 }, offer, 200],
    ['a file system larger than the chip', { mode: 'spiffs', chipSize: 999 }, offer, 500],
    ['a file system of the same version', { mode: 'spiffs', version: '2.0' }, offer, 304],
    ['the version, which it has', { mode: 'version', version: '2.0', sketchMd5: MD5 }, offer, 200],
    ['the version of what does not fit', { mode: 'version', freeSpace: 999 }, offer, 500],
    ['an unknown mode', { mode: undefined }, offer, 404],
  ] as const)('%s', (_name, request, candidate, status) => {
    const answer = decide(request, [candidate]);
    expect(answer.status).toBe(status);
    if (answer.status === 200) expect(answer.body).toBe(request.mode !== 'version');
  });

  test('nothing there', () => {
    expect(decide({ mode: 'sketch' }, [])).toEqual({ status: 404, reason: 'nothing here for mode sketch' });
  });

  test('of several variants the first that fits, and the best one sets the reason when none does', () => {
    const small = { ...offer, size: 400 };
    expect(decide({ mode: 'sketch', freeSpace: 1000 }, [offer, small])).toMatchObject({ offer });
    expect(decide({ mode: 'sketch', freeSpace: 500 }, [offer, small])).toMatchObject({ status: 200, offer: small });
    expect(decide({ mode: 'sketch', freeSpace: 300 }, [offer, small])).toMatchObject({
      status: 500,
      reason: '1000 bytes do not fit into 300',
    });
  });
});

describe('URLs', () => {
  test.each([
    ['/', []],
    ['/lamps/kitchen', ['lamps', 'kitchen']],
    ['//lamps///kitchen/', ['lamps', 'kitchen']],
    ['/a%20b/%C3%A4?x=/../y#z', ['a b', 'ä']],
    ['/a?', ['a']],
    ['http://host:8000/lamps', ['lamps']],
    ['HTTPS://host', []],
    ['http://host?x', []],
    ['/100%25', ['100%']],
  ])('%s is a path', (url, names) => {
    expect(urlPath(url)).toEqual({ ok: true, names });
  });

  test.each([
    ['', 400],
    ['*', 400],
    ['fw.bin', 400],
    ['?x', 400],
    ['ftp://host/x', 400],
    ['/%', 400],
    ['/%zz', 400],
    ['/%ff', 400],
    ['/%c0%ae%c0%ae/', 400],
    ['/a%00b', 400],
    ['/a%0d%0ab', 400],
    ['/..%2fx', 400],
    ['/a%2fb', 400],
    ['/a\\b', 400],
    ['/..%5c..%5cx', 400],
    [`/${'a'.repeat(MAX_URL)}`, 400],
    ['/..', 404],
    ['/../x', 404],
    ['/%2e%2e/x', 404],
    ['/a/.%2E/x', 404],
    ['/./x', 404],
    ['/.git/config', 404],
    ['/a/%2ehidden', 404],
    [`/${'a'.repeat(256)}`, 404],
    [`/${'a/'.repeat(MAX_DEPTH + 1)}`, 404],
  ])('%j is none: %i', (url, status) => {
    expect(urlPath(url)).toMatchObject({ ok: false, status });
  });

  test('invariant: names of a path never climb, hide, or hold a separator or a control character', () => {
    const piece = fc.constantFrom(
      '/',
      '..',
      '.',
      '%2e',
      '%2E',
      '%2f',
      '%5c',
      '\\',
      '%00',
      '%',
      'a',
      '%25',
      '2e',
      '?',
      '\0',
    );
    const target = fc.oneof(
      fc.array(piece, { maxLength: 20 }).map((pieces) => `/${pieces.join('')}`),
      fc.string({ unit: 'binary', maxLength: 60 }),
    );
    fc.assert(
      fc.property(target, (url) => {
        const path = urlPath(url);
        if (!path.ok) return;
        for (const name of path.names) expect(name).toMatch(/^[^./\\\p{Cc}][^/\\\p{Cc}]*$/u);
      }),
      { numRuns: 5000 },
    );
  });
});
