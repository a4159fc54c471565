/** The personality manifest. design.md §7; docs/formats.md. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assembleImage } from '../../flash/image-assemble.ts';
import { buildImage } from '../../flash/image-build.ts';
import {
  checkSetting,
  encodeManifest,
  MANIFEST_MAX_BYTES,
  type Manifest,
  manifestSettings,
  parseSetting,
  readManifest,
  type SettingValue,
  shownSettings,
} from '../../flash/manifest.ts';
import { patched, smallImage } from '../support/images.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 60 }).filter((value) => !/\p{Cc}/u.test(value));
const values: Record<string, fc.Arbitrary<SettingValue>> = {
  text,
  secret: text,
  port: fc.nat(0xffff),
  seconds: fc.nat(2147483),
  flag: fc.boolean(),
  url: text.map((path) => `http://host/${path}`),
  md5: fc.constant('0123456789abcdefABCDEF0123456789'),
  fingerprint: fc.constant('01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67'),
  pem: fc.constant('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'),
  redirects: fc.constantFrom('disabled', 'strict', 'force'),
};
const settings: fc.Arbitrary<Record<string, SettingValue>> = fc
  .subarray(Object.keys(manifestSettings))
  .chain((keys) => fc.record(Object.fromEntries(keys.map((key) => [key, values[manifestSettings[key]!]!]))));

test('invariant: settings, sketches and versions come back from an image as they went in', () => {
  const names = fc.array(fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,15}$/), { minLength: 1, maxLength: 8 });
  const version = text.filter((value) => value !== '');
  fc.assert(
    fc.property(names, version, settings, (sketch, version, settings) => {
      const image = buildImage({ sketch, version, settings, size: 20_000 });
      const { manifest } = readManifest(image);
      expect(manifest).toEqual({ sketch, version, settings, core: 'master', layout: '4m2m' });
      expect(readManifest((address, length) => image.slice(address, address + length)).manifest).toEqual(manifest);
    }),
  );
});

describe('a stranger’s bytes', () => {
  const image = smallImage();
  const at = (() => {
    const reading = readManifest(image);
    if (!reading.manifest) throw new Error(reading.reason);
    return reading.address;
  })();

  test('invariant: any bytes, changes or cuts give a manifest or a reason', () => {
    const changes = fc.array(fc.tuple(fc.oneof(fc.integer({ min: 0x1000, max: 0x1030 }), fc.nat(5999)), fc.nat(255)));
    fc.assert(
      fc.property(changes, fc.nat(6000), (changes, end) => {
        const bytes = image.slice();
        for (const [place, value] of changes) bytes[place] = value;
        const reading = readManifest(bytes.subarray(0, end));
        expect(reading.manifest ?? reading.reason).toBeTruthy();
      }),
    );
  });

  test('invariant: a changed text is not believed', () => {
    fc.assert(
      fc.property(fc.integer({ min: at + 40, max: at + 100 }), fc.nat(7), (place, bit) => {
        expect(readManifest(patched(image, place, image[place]! ^ (1 << bit)))).toMatchObject({
          found: true,
          manifest: undefined,
        });
      }),
      { numRuns: 30 },
    );
  });

  test.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(), 'there is no application image'],
    ['a blank chip', new Uint8Array(9000).fill(0xff), 'the image ends before the header of segment'],
    ['other firmware', patched(image, at, 0), 'the image has no manifest'],
    ['a length beyond the segment', patched(image, at + 32, 0xff, 0x3f), 'claims 16383 bytes'],
    ['a length without sense', patched(image, at + 32, 0xff, 0xff, 0xff, 0xff), 'claims 4294967295 bytes'],
  ])('%s', (_name, bytes, reason) => {
    const reading = readManifest(bytes);
    expect(reading).toMatchObject({ manifest: undefined, reason: expect.stringContaining(reason) });
  });

  test('segments that point round in circles end at once', () => {
    let reads = 0;
    const reading = readManifest((_address, length) => {
      reads++;
      return new Uint8Array(length).fill(0xff);
    });
    expect(reading.manifest).toBeUndefined();
    expect(reads).toBeLessThanOrEqual(256);
  });

  /** A firmware whose manifest holds any JSON, with a good CRC. */
  function withJson(json: string): Uint8Array {
    const made = encodeManifest({ sketch: ['blank'], version: '1', settings: { hostname: 'x'.repeat(200) } });
    const real = new TextEncoder().encode(json);
    const bytes = new Uint8Array(40 + real.length);
    bytes.set(made.subarray(0, 40));
    bytes.set(real, 40);
    const view = new DataView(bytes.buffer);
    view.setUint32(32, real.length, true);
    view.setUint32(36, crc32(real), true);
    return assembleImage({
      sector0: new Uint8Array(4096),
      app: {
        mode: 'dio',
        flashSize: 0x400000,
        freqMHz: 40,
        entry: 0,
        segments: [{ address: 0x3ffe8000, data: bytes }],
      },
    });
  }

  test.each([
    'null',
    '[]',
    '{}',
    '{"sketch":[],"version":"1","settings":{}}',
    '{"sketch":["../x"],"version":"1","settings":{}}',
    '{"sketch":["x"],"version":"","settings":{}}',
    '{"sketch":["x"],"version":1,"settings":{}}',
    '{"sketch":["x"],"version":"1","settings":null}',
    '{"sketch":["x"],"version":"1"',
    '{"sketch":"x","version":"1","settings":{}}',
  ])('%s is no manifest', (json) => {
    expect(readManifest(withJson(json))).toMatchObject({ found: true, manifest: undefined });
  });

  test('settings that no image may have, or of another type, are left out', () => {
    const json =
      '{"sketch":["x"],"version":"1","core":7,"settings":{"hostname":"h","flash":"/etc/passwd","public-key":"/etc/passwd","ota-port":"1","__proto__":{"a":1},"mdns":1}}';
    expect(readManifest(withJson(json)).manifest).toEqual({ sketch: ['x'], version: '1', settings: { hostname: 'h' } });
  });
});

/** CRC-32/MPEG-2 bit by bit. */
function crc32(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
  }
  return crc >>> 0;
}

test('the layout of the bytes is the documented one', () => {
  const bytes = encodeManifest({
    sketch: ['blank'],
    version: '1.0',
    settings: { mdns: false },
    core: 'master',
    layout: '4m2m',
  });
  const json = '{"sketch":["blank"],"version":"1.0","core":"master","layout":"4m2m","settings":{"mdns":false}}';
  const view = new DataView(bytes.buffer);
  expect(Buffer.from(bytes.subarray(0, 32)).toString()).toBe('esp8266-ota-emulator manifest 1\n');
  expect(view.getUint32(32, true)).toBe(json.length);
  expect(view.getUint32(36, true)).toBe(crc32(new TextEncoder().encode(json)));
  expect(Buffer.from(bytes.subarray(40, 40 + json.length)).toString()).toBe(json);
  expect(bytes.length % 4).toBe(0);
});

test.each<[string, string, SettingValue]>([
  ['ota-port', '8266', 8266],
  ['password', '123', '123'],
  ['password', '', ''],
  ['mdns', 'false', false],
  ['update-interval', '60', 60],
  ['current-version', '2', '2'],
  ['follow-redirects', 'strict', 'strict'],
])('%s=%s is taken as %j', (key, typed, value) => {
  expect(parseSetting(key, typed)).toBe(value);
});

test.each([
  ['ota-port', '65536'],
  ['ota-port', '-1'],
  ['mdns', 'yes'],
  ['update-url', 'ftp://x'],
  ['update-url', '/etc/passwd'],
  ['md5', 'abc'],
  ['fingerprint', 'zz'],
  ['public-key', '/etc/passwd'],
  ['hostname', 'a\nb'],
  ['follow-redirects', 'maybe'],
  ['flash', 'x.bin'],
  ['__proto__', 'x'],
  ['constructor', 'x'],
])('%s=%s is refused', (key, typed) => {
  expect(() => parseSetting(key, typed)).toThrow(RangeError);
});

test('no message repeats a password', () => {
  expect(() => checkSetting('password', 'geheim\n')).toThrow(/^(?!.*geheim)/s);
});

test('secrets are not shown', () => {
  const manifest: Manifest = {
    sketch: ['x'],
    version: '1',
    settings: {
      password: 'geheim',
      'http-password': '',
      'password-hash': 'geheim',
      'update-url': 'http://me:geheim@host/a@b',
      'public-key': '-----BEGIN geheim',
      hostname: 'h',
    },
  };
  const shown = shownSettings(manifest);
  expect(JSON.stringify(shown)).not.toContain('geheim');
  expect(shown).toEqual({
    password: '(hidden)',
    'http-password': '(empty)',
    'password-hash': '(hidden)',
    'update-url': 'http://(hidden)@host/a@b',
    'public-key': '(PEM, 17 characters)',
    hostname: 'h',
  });
});

test('a manifest has a limit', () => {
  const pem = `-----BEGIN PUBLIC KEY-----${'A'.repeat(8000)}`;
  expect(() => encodeManifest({ sketch: ['x'], version: '1', settings: { ca: pem, 'public-key': pem } })).not.toThrow();
  const keys = Object.keys(manifestSettings).filter((key) => manifestSettings[key] === 'text');
  const long = Object.fromEntries(keys.map((key) => [key, '\u{1F600}'.repeat(256)]));
  const everything = { ca: pem, 'public-key': pem, ...long };
  expect(() => encodeManifest({ sketch: ['x'], version: '1', settings: everything })).toThrow(
    new RegExp(`want at most ${MANIFEST_MAX_BYTES}`),
  );
});
