/** What `image info` says, and whether a file fits. Spec chapter 01 §4, §11.2; chapter 02 §5; chapter 04 §10. */
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildImage } from '../../flash/image-build.ts';
import { type FitSubject, fitOn } from '../../flash/image-fit.ts';
import { formatImageInfo, imageInfo } from '../../flash/image-info.ts';
import { layoutByName, resolveLayout } from '../../flash/layouts.ts';
import { appendSignature } from '../../flash/signed-image.ts';
import { patched, smallImage } from '../support/images.ts';
import { makeRig } from '../support/updater.ts';

const inflate = (bytes: Uint8Array): Uint8Array | undefined => {
  try {
    return gunzipSync(bytes);
  } catch {
    return undefined;
  }
};

const subject = (bytes: number, more: Partial<FitSubject> = {}): FitSubject => ({
  uploadBytes: bytes,
  imageBytes: bytes,
  programBytes: bytes - 4148,
  flashSize: 0,
  gzip: false,
  ...more,
});

/** Chapter 02 §5, worked examples where the running sketch rounds to the size of the new one. */
test.each([
  ['1m64', 400_000, 0x89000],
  ['4m3m', 524_288, 0x80000],
  ['4m3m', 524_289, undefined],
  ['1m', 514_048, undefined],
  ['512k', 240_000, 0x40000],
  ['2m', 1_044_464, undefined],
  ['16m14m', 700_000, 0x155000],
])('over ArduinoOTA, %s with %i bytes is staged at %s', (layout, bytes, staging) => {
  const { ota } = fitOn(layoutByName(layout), subject(bytes));
  expect([ota.ok, ota.staging]).toEqual([staging !== undefined, staging]);
});

test('invariant: the verdict over ArduinoOTA is that of Update.begin() beside a sketch of the same size', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('512k64', '1m', '1m64', '1m512', '2m1m', '4m3m'),
      fc.integer({ min: 5000, max: 600_000 }),
      async (layout, size) => {
        const rig = makeRig({ layout, sketchSize: size & ~15 });
        const began = await rig.update.begin(size & ~15);
        const { ota } = fitOn(layoutByName(layout), subject(size & ~15));
        expect(ota.ok).toBe(began);
      },
    ),
    { numRuns: 40 },
  );
});

describe('reasons', () => {
  const m = layoutByName('1m64');
  test.each<[string, FitSubject, 'serial' | 'ota' | 'web', RegExp]>([
    [
      'beyond the file system’s start',
      subject(0xeb001),
      'serial',
      /^1 byte too large: it would reach into the file system$/,
    ],
    [
      'beyond the linker’s limit',
      subject(0xe0000, { programBytes: 958_449 }),
      'serial',
      /^1 byte above the linker's limit of 958448$/,
    ],
    ['gzip by serial', subject(1000, { gzip: true }), 'serial', /unpack it first/],
    [
      'header of a larger chip',
      subject(1000, { flashSize: 0x400000 }),
      'ota',
      /^error 9: its header says 4M of flash$/,
    ],
    ['no room', subject(0x80000), 'ota', /^error 4: \d+ bytes missing$/],
    ['the form, with the last free sector', subject(0xea000), 'web', /^error 5: no free sectors$/],
    ['the form, without', subject(0xeb000), 'web', /^error 4: no free sectors$/],
  ])('%s', (_name, what, way, why) => {
    const fit = fitOn(m, what)[way];
    expect(fit).toMatchObject({ ok: false, why: expect.stringMatching(why) });
  });

  test('a layout that stages above 4 MiB, where eboot cannot read', () => {
    const fit = fitOn(resolveLayout('auto:no-fs', 0x800000), subject(300_000));
    expect(fit).toMatchObject({ ota: { ok: false, why: 'eboot reads only the first 4 MiB' }, web: { ok: true } });
  });

  test('the form needs one sector more than ArduinoOTA does', () => {
    const bytes = 0x75000; // F − 2 × 0x75000 = 0x1000
    expect(fitOn(m, subject(bytes))).toMatchObject({ ota: { ok: true }, web: { ok: true } });
    expect(fitOn(m, subject(bytes + 0x800))).toMatchObject({ ota: { ok: false }, web: { ok: false } });
    const odd = layoutByName('1m'); // F = 0xfb000
    expect(fitOn(odd, subject(0x7d000))).toMatchObject({ ota: { ok: true }, web: { ok: true } });
  });
});

describe('imageInfo', () => {
  const image = buildImage({ sketch: 'basic-ota', version: '2.0', size: 40_000, settings: { password: 'geheim' } });

  test('tells the parts of an image, every layout, and no password', () => {
    const info = imageInfo(image, { md5: () => 'a'.repeat(32) });
    expect(info.fit).toHaveLength(26 + 6);
    const text = formatImageInfo('x.bin', info);
    for (const part of [
      'x.bin: 40000 bytes, firmware',
      `md5          ${'a'.repeat(32)}`,
      'header       dio 40 MHz, flash 4M',
      'boot sector  eboot master (master (2023-03 and later)), stand-in without code, entry 0x4010f474',
      'checksum   0xa7 ok',
      'segment 0  at 0x1008',
      'length, CRC  40000, 0x',
      'condition    whole',
      'manifest     basic-ota version 2.0; core master, layout 4m2m; password=(hidden)',
      'signature    none',
      'serial, ArduinoOTA, web: yes',
    ]) {
      expect(text).toContain(part);
    }
    expect(text + JSON.stringify(info)).not.toContain('geheim');
  });

  test('looks into a gzip, signed or not', () => {
    const gzip = new Uint8Array(gzipSync(image));
    const info = imageInfo(gzip, { inflate });
    expect(info).toMatchObject({ kind: 'gzip', contents: { kind: 'firmware', sketchSize: 40_000 }, problems: [] });
    expect(info.fit?.find(({ layout }) => layout === '4m2m')).toMatchObject({
      serial: { ok: false },
      ota: { ok: true },
    });
    expect(formatImageInfo('x', info)).toContain('unpacked: 40000 bytes');
    const signed = imageInfo(appendSignature(gzip, new Uint8Array(256)), { inflate });
    expect(signed).toMatchObject({ contents: { kind: 'firmware' }, signature: { length: 256 } });
    expect(formatImageInfo('x', signed)).toContain('signature    256 bytes (RSA-2048)');
    expect(imageInfo(gzip).fit).toBeDefined(); // without the means to unpack, by what the size word says
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['a damaged gzip', patched(new Uint8Array(gzipSync(image)), 500, 0, 0, 0, 0), /error: gzip data: does not unpack/],
    [
      'a gzip with two members',
      new Uint8Array(Buffer.concat([gzipSync(image), gzipSync(Buffer.alloc(100))])),
      /error: gzip size word: says 100, but 40100 bytes come out/,
    ],
    [
      'a gzip of something else',
      new Uint8Array(gzipSync(Buffer.from('hello'))),
      /error: inside, file: is no firmware image/,
    ],
    ['a damaged image', patched(image, 5000, 1, 2, 3), /condition {4}damaged: the embedded CRC is/],
    ['a patched image', patched(image, 2, 0), /ok as built; header bytes were patched/],
    ['a cut image', image.subarray(0, 20_000), /\(cut short\)/],
    ['an old image', smallImage('2.4.0'), /none: cores up to 2\.6\.3 do not embed them/],
    ['no image', new Uint8Array(100), /no ESP8266 image\nproblems:\n {2}error: file: is blank: every byte is 0x00/],
  ])('%s', (_name, bytes, text) => {
    expect(formatImageInfo('x', imageInfo(bytes, { inflate }))).toMatch(text);
  });

  test('invariant: any bytes have a text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(0xe9, 0x1f, 0), (bytes, first) => {
        const input = Uint8Array.from([first, first === 0x1f ? 0x8b : 255, ...bytes]);
        expect(formatImageInfo('x', imageInfo(input, { inflate }))).toMatch(/^x: \d+ bytes/);
      }),
    );
  });
});
