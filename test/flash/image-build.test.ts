/** Images made by us are images. Spec chapter 01 §7; design.md §7. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BootOnceResult, bootOnce } from '../../eboot/boot-once.ts';
import { encodeCommand } from '../../eboot/command.ts';
import { ebootBuildFor, ebootBuilds } from '../../flash/eboot-sector.ts';
import { crc32 } from '../../flash/image-assemble.ts';
import { type BuildOptions, buildImage, defaultImageSize, maxImageSize } from '../../flash/image-build.ts';
import { fillLikeCode } from '../../flash/image-filler.ts';
import { fitOn, fitSubject } from '../../flash/image-fit.ts';
import { parseImage } from '../../flash/image-format.ts';
import { layoutByName, layoutNames, resolveLayout } from '../../flash/layouts.ts';
import { expectBytes, makeEsp } from '../support/flash.ts';
import { makeRig } from '../support/updater.ts';

const fixed = layoutNames.filter((name) => !name.startsWith('auto'));
const cores = ['master', ...ebootBuilds.map(({ build }) => build), '2.1.0', '2.5.2', '3.0.0', '4.0.0'];

const someOptions = fc.record({
  sketch: fc.constantFrom('basic-ota', 'blank', 'basic-ota,web-updater'),
  version: fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !/\p{Cc}/u.test(text)),
  size: fc.integer({ min: 5000, max: 90_000 }),
  layout: fc.constantFrom(...layoutNames),
  core: fc.constantFrom(...cores),
  mode: fc.constantFrom('qio', 'qout', 'dio', 'dout'),
  freq: fc.constantFrom(20, 26, 40, 80),
  seed: fc.nat(),
}) satisfies fc.Arbitrary<BuildOptions>;

test('invariant: what is built is read back without a word of complaint', () => {
  fc.assert(
    fc.property(someOptions, (options) => {
      const image = buildImage(options);
      const report = parseImage(image);
      expect(report.problems).toEqual([]);
      expect(report).toMatchObject({
        kind: 'firmware',
        sketchSize: image.length,
        eboot: { synthetic: true, exact: true },
      });
      expect(image.length).toBe(Math.ceil(options.size / 16) * 16);
      expect(report.eboot?.build).toBe(ebootBuildFor(options.core).build);
      expect(report.embedded?.position).toBe(ebootBuildFor(options.core).embeddedAt);
      expect(report.manifest).toEqual({
        sketch: options.sketch.split(','),
        version: options.version,
        core: options.core,
        layout: options.layout,
        settings: {},
      });
      const auto = options.layout.startsWith('auto');
      for (const header of [report.boot!.header, report.app!.header]) {
        expect([header.mode, header.freqMHz]).toEqual([options.mode, options.freq]);
        expect(header.flashSize).toBe(auto ? 0x1000000 : layoutByName(options.layout).chipSize);
      }
    }),
  );
});

test('invariant: the chip agrees: getSketchSize, checkFlashCRC', () => {
  fc.assert(
    fc.property(someOptions, (options) => {
      const image = buildImage(options);
      const layout = resolveLayout(options.layout, 0x400000);
      const { esp } = makeEsp({ capacity: layout.chipSize, layout, image });
      expect(esp.getSketchSize()).toBe(image.length);
      expect(esp.checkFlashCRC()).toBe(ebootBuildFor(options.core).embeddedAt === 4112);
    }),
    { numRuns: 30 },
  );
});

test('the five segments are those of a real build, in its order', () => {
  const { app } = parseImage(buildImage({ sketch: 'basic-ota', version: '1', size: 300_000 }));
  expect(app?.segments.map(({ kind }) => kind)).toEqual(['irom', 'iram', 'iram', 'dram', 'dram']);
  expect(app?.segments.map(({ address }) => address)).toEqual([
    0x40201010, 0x40100000, 0x4010013c, 0x3ffe8000, 0x3ffe8520,
  ]);
});

test('nothing in it can be executed by accident: the entry is an illegal instruction', () => {
  const image = buildImage({ sketch: 'basic-ota', version: '1' });
  const { app } = parseImage(image);
  const text = app!.segments[1]!;
  const at = text.dataAt + app!.header.entry - text.address;
  expect([...image.subarray(at, at + 3)]).toEqual([0, 0, 0]);
});

test('invariant: equal options give equal bytes; two versions, sketches or seeds share no sector of code', () => {
  const base = { sketch: 'basic-ota', version: '1.0', size: 60_000, layout: '1m64', seed: 1 };
  const image = buildImage(base);
  expectBytes(buildImage({ ...base }), image);
  for (const other of [{ version: '1.1' }, { sketch: 'blank' }, { seed: 2 }]) {
    const different = buildImage({ ...base, ...other });
    expect(different.length).toBe(image.length);
    for (let at = 4096; at < image.length; at += 4096) {
      expect(Buffer.compare(image.subarray(at, at + 4096), different.subarray(at, at + 4096))).not.toBe(0);
    }
  }
});

test.each([16, 64, 256, 1024])('%i KiB of filler shrink in gzip to between 0.4 and 0.6', (kib) => {
  for (const seed of [1, 7, 0xffffffff]) {
    const filler = new Uint8Array(kib * 1024);
    fillLikeCode(filler, seed);
    const ratio = gzipSync(filler, { level: 9 }).length / filler.length;
    expect(ratio).toBeGreaterThan(0.4);
    expect(ratio).toBeLessThan(0.6);
  }
});

describe('sizes', () => {
  test.each(fixed)(
    '%s: the largest image fits by serial, one row more does not; the default updates itself',
    (name) => {
      const layout = layoutByName(name);
      const build = (size?: number): Uint8Array =>
        buildImage({ sketch: 'blank', version: '1', layout: name, ...(size ? { size } : {}) });
      const judged = (image: Uint8Array) => fitOn(layout, fitSubject(parseImage(image))!);
      const most = maxImageSize(name);
      expect(judged(build(most)).serial).toEqual({ ok: true });
      expect(() => build(most + 1)).toThrow(RangeError);
      const usual = build();
      expect(usual.length).toBe(defaultImageSize(name));
      expect(judged(usual).ota.ok).toBe(true);
    },
  );

  test('1 MiB fits a layout with room for it, to the byte', () => {
    expect([maxImageSize('4m2m'), maxImageSize('4m3m'), maxImageSize('auto')]).toEqual([0x100000, 0x100000, 0x100000]);
    expect([maxImageSize('1m'), maxImageSize('512k64')]).toEqual([0xfb000, 0x6b000]);
  });

  test('the smallest image is small, and a longer manifest raises it', () => {
    const least = (settings: Record<string, string>): number => {
      for (let size = 4096; ; size += 16) {
        try {
          return buildImage({ sketch: 'blank', version: '1', size, settings }).length;
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }
    };
    expect(least({})).toBeLessThan(5000);
    expect(least({ hostname: 'h'.repeat(400) })).toBe(least({ hostname: 'h'.repeat(400 - 16) }) + 16);
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 30, 3_000_000, 1e20])(
    '%d is refused with the range',
    (size) => {
      expect(() => buildImage({ sketch: 'blank', version: '1', size })).toThrow(
        /^image size .*: want whole bytes from \d+ to 1048576/,
      );
    },
  );
});

test.each<[string, Partial<BuildOptions>, RegExp]>([
  ['layout', { layout: '4m4m' }, /unknown layout "4m4m"/],
  ['layout without linker script', { layout: '8m' }, /8m6m and 8m7m/],
  ['run-time map', { layout: 'auto:x' }, /unknown layout/],
  ['core', { core: '1.6.5' }, /core "1\.6\.5": want master or a release from 2\.0\.0 on/],
  ['core', { core: 'latest' }, /core "latest"/],
  ['mode', { mode: 'fast' as never }, /flash mode fast: want one of qio, qout, dio, dout/],
  ['frequency', { freq: 60 }, /flash frequency 60 MHz/],
  ['sketch', { sketch: '' }, /sketch ""/],
  ['version', { version: '' }, /version ""/],
  ['version', { version: 'a\nb' }, /version/],
  ['setting', { settings: { board: 'x' } }, /unknown setting "board"/],
  ['setting', { settings: { 'ota-port': 'x' } }, /setting ota-port: wants a port/],
])('an unknown %s is refused in words', (_name, options, message) => {
  expect(() => buildImage({ sketch: 'basic-ota', version: '1', ...options })).toThrow(message);
});

test('the Updater takes it, and stages every byte', async () => {
  const rig = makeRig();
  const image = buildImage({ sketch: 'basic-ota', version: '2.0', size: 30_000, layout: '4m2m' });
  expect(await rig.update.begin(image.length)).toBe(true);
  expect(await rig.update.write(image)).toBe(image.length);
  expect(await rig.update.end()).toBe(true);
  const { source, destination, size } = rig.commands[0]!;
  expect([destination, size]).toEqual([0, image.length]);
  expectBytes(rig.chip.peek(source, size), image);
});

describe.each(ebootBuilds.map(({ build }) => build))('core %s', (core) => {
  test('eboot boots it, and installs the next version from the staging area', async () => {
    const image = (version: string): Uint8Array => buildImage({ sketch: 'blank', version, size: 12_000, core });
    const flash = new Uint8Array(0x400000).fill(0xff);
    const rtcUser = new Uint8Array(512);
    flash.set(image('1.0'));
    const boot = (): Promise<BootOnceResult> => bootOnce({ flash, rtcUser, engine: 'model', core });
    expect(await boot()).toMatchObject({ outcome: 'boot', entry: 0x401000b8, flashOps: [] });

    flash.set(image('2.0'), 0x100000);
    rtcUser.set(encodeCommand({ action: 1, args: [0x100000, 0, 12_000] }, crc32));
    expect(await boot()).toMatchObject({ outcome: 'boot', entry: 0x401000b8, uart: expect.stringContaining('cp:') });
    expectBytes(flash.subarray(0, 12_000), image('2.0'));
  });
});
