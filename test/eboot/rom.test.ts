import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Ram } from '../../eboot/ram.ts';
import {
  ETS_MAIN_LINE,
  exceptionText,
  type RomInput,
  type RomRun,
  romBanner,
  romBoot,
  romText,
} from '../../eboot/rom.ts';
import { RomSpi } from '../../eboot/rom-spi.ts';
import { syntheticEboot } from '../../flash/eboot-sector.ts';
import { makeChip } from '../support/flash.ts';

/** Runs the ROM over an array that reads as erased beyond its end. */
function boot(image: Uint8Array, input: Partial<RomInput> = {}): RomRun {
  return romBoot({
    rstCause: 2,
    strap: 3,
    secondNumber: 6,
    read: (address, target) => {
      for (let i = 0; i < target.length; i++) target[i] = image[address + i] ?? 0xff;
      return true;
    },
    ...input,
  });
}

const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** An image of segments in IRAM with these lengths, all zero but for what makes the checksum come out right. */
function image(lengths: number[], checksum = 0xef): Uint8Array {
  const chunks = [words(0x020000e9 | (lengths.length << 8), 0x40100000)];
  for (const length of lengths) chunks.push(words(0x40100000, length), new Uint8Array(length));
  const bytes = Buffer.concat(chunks);
  const padded = new Uint8Array(bytes.length - (bytes.length % 16) + 16);
  padded.set(bytes);
  padded[padded.length - 1] = checksum;
  return padded;
}

/** The ROM's own lines: without the banner, LF for CR LF. */
const body = (run: RomRun): string => run.text.slice(romBanner(2, 3, 6).length).replaceAll('\r\n', '\n');

describe('banner (ch. 01 §8.1)', () => {
  test('bytes for cause 2, mode (3,6)', () => {
    const bytes =
      '0D 0A 20 65 74 73 20 4A 61 6E 20 20 38 20 32 30 31 33 2C 72 73 74 20 63 61 75 73 65 3A 32 2C 20 62 6F 6F 74 20 6D 6F 64 65 3A ' +
      '28 33 2C 36 29 0D 0A 0D 0A';
    expect(Buffer.from(romBanner(2, 3, 6), 'latin1').toString('hex')).toBe(bytes.replaceAll(' ', '').toLowerCase());
  });

  test('LF becomes CR LF, a CR is dropped', () => {
    expect(romText('a\r\nb\n')).toBe('a\r\nb\r\n');
  });
});

describe('the bootloader of each release (ch. 01 §8.3)', () => {
  const old = (length: number, tail: number, sum: string): string =>
    `load 0x4010f000, len ${length}, room 16 \ntail ${tail}\nchksum 0x${sum}\ncsum 0x${sum}\n`;
  test.each([
    ['2.0.0', old(1264, 0, '42')],
    ['2.2.0', old(1264, 0, '0f')],
    ['2.3.0', old(1384, 8, '2d')],
    ['2.6.3', old(1392, 0, 'd0')],
    ['2.7.0', old(3656, 8, '0c')],
    ['2.7.1', old(3456, 0, '84')],
    ['2.7.2', old(3664, 0, 'ee')],
    ['2.7.4', old(3584, 0, 'b0')],
    [
      '3.0.2',
      'load 0x4010f000, len 3460, room 16 \ntail 4\nchksum 0xcc\nload 0x3fff20b8, len 40, room 4 \ntail 4\nchksum 0xc9\ncsum 0xc9\n',
    ],
    [
      '3.1.2',
      'load 0x4010f000, len 3424, room 16 \ntail 0\nchksum 0x2e\nload 0x3fff20b8, len 40, room 8 \ntail 0\nchksum 0x2b\ncsum 0x2b\n',
    ],
    [
      'master',
      'load 0x4010f000, len 3408, room 16 \ntail 0\nchksum 0xa2\nload 0x3fff20b8, len 40, room 8 \ntail 0\nchksum 0xa7\ncsum 0xa7\n',
    ],
  ])('%s', (core, lines) => {
    const run = boot(syntheticEboot(core, 'dio', 0x400000, 40));
    expect(body(run)).toBe(lines);
    expect(run.end.result).toBe('boot');
    expect(run.event).toMatchObject({ type: 'rom.boot', rstCause: 2, bootMode: [3, 6], checksumOk: true });
    expect(run.event).not.toHaveProperty('failure');
  });
});

describe('room, tail and ho (ch. 01 §8.2, from public logs)', () => {
  test.each([
    [1384, 'room 16 \ntail 8\n', undefined],
    [3424, 'tail 0\n', 8],
    [3460, 'tail 4\n', 4],
    [3548, 'tail 12\nchksum 0xef\nho 0 tail 12 room 4\n', 12],
    [31320, 'tail 8\n', 0],
  ])('len %i', (length, lines, nextRoom) => {
    const text = body(boot(image(nextRoom === undefined ? [length] : [length, 100])));
    expect(text).toContain(`load 0x40100000, len ${length}, room 16 \n`);
    expect(text).toContain(lines);
    if (nextRoom !== undefined) expect(text).toContain(`len 100, room ${nextRoom} \n`);
  });

  test('invariant: the lines follow from the position of the data in its row', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200), { minLength: 1, maxLength: 8 }), (lengths) => {
        const run = boot(image(lengths));
        expect(run.end).toEqual({ result: 'boot', entry: 0x40100000 });
        let position = 16;
        const text = body(run);
        const lines = text.split('\n').filter((line) => /^(load|ho)/.test(line));
        const wanted: string[] = [];
        for (const [index, length] of lengths.entries()) {
          const room = index === 0 ? 16 : (16 - (position % 16)) % 16;
          const shown = Number(/room (\d+)/.exec(lines[wanted.length] ?? '')?.[1]);
          // A header that fills a row to its end leaves room 0, which the row arithmetic cannot tell from 16.
          expect(shown % 16).toBe(room % 16);
          wanted.push(`load 0x40100000, len ${length}, room ${shown} `);
          position += length;
          const left = 16 - (position % 16);
          if (left < 8 && index + 1 < lengths.length) wanted.push(lines[wanted.length]!);
          position += 8;
        }
        expect(lines).toEqual(wanted);
        expect(
          lines.filter((line) => line.startsWith('ho')).every((line) => Number(/room (\d+)$/.exec(line)![1]) < 8),
        ).toBe(true);
      }),
    );
  });

  test('an image without segments is summed up at once', () => {
    expect(body(boot(image([])))).toBe('csum 0xef\n');
  });
});

describe('failures (ch. 01 §8.4)', () => {
  test('blank or foreign sector 0: nothing but the last line', () => {
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0xea, 1, 2, 3)]) {
      const run = boot(bytes);
      expect(run.text).toBe(romBanner(2, 3, 6) + ETS_MAIN_LINE);
      expect(run.end).toEqual({ result: 'hang', why: 'no-image', failure: 'no-image' });
      expect(run.event).toMatchObject({ segments: 0, checksumOk: false, failure: 'no-image' });
    }
    expect(boot(image([4]), { read: () => false }).end).toMatchObject({ failure: 'no-image' });
  });

  test('headers fine, data blank: the sums of an even number of 0xFF, then csum err', () => {
    const sector = syntheticEboot('master', 'dio', 0x400000, 40);
    sector.fill(0xff, 16, 3424);
    sector.fill(0xff, 3432);
    const run = boot(sector);
    expect(body(run)).toBe(
      'load 0x4010f000, len 3408, room 16 \ntail 0\nchksum 0xef\nload 0x3fff20b8, len 40, room 8 \ntail 0\nchksum 0xef\n' +
        'csum 0xef\ncsum err\nets_main.c \n',
    );
    expect(run.end).toEqual({ result: 'hang', why: 'bad-checksum', failure: 'bad-checksum' });
  });

  test('a wrong checksum byte', () => {
    expect(body(boot(image([20], 0xee)))).toBe(
      'load 0x40100000, len 20, room 16 \ntail 4\nchksum 0xef\ncsum 0xef\ncsum err\nets_main.c \n',
    );
  });

  test.each([3, 5, 6])('cause %i skips the selection and hangs although sector 0 is intact', (rstCause) => {
    const run = boot(syntheticEboot('master', 'dio', 0x400000, 40), { rstCause, secondNumber: 7 });
    expect(run.text).toBe(romBanner(rstCause, 3, 7) + ETS_MAIN_LINE);
    expect(run.end).toEqual({ result: 'hang', why: 'rom-hang', failure: 'flash-not-attached' });
  });

  test('cause 4 says so and goes on', () => {
    const run = boot(image([4]), { rstCause: 4, secondNumber: 7 });
    expect(run.text).toContain('boot mode:(3,7)\r\n\r\nwdt reset\r\nload 0x40100000');
    expect(run.end.result).toBe('boot');
  });

  test.each([0, 7])('cause %i is unknown', (rstCause) => {
    const run = boot(image([4]), { rstCause });
    expect(run.text).toBe(`${romBanner(rstCause, 3, 6)}unknown reset\r\n${ETS_MAIN_LINE}`);
  });

  test('straps: download mode is silent, the invalid ones hang', () => {
    expect(boot(image([4]), { strap: 1 })).toMatchObject({ text: romBanner(2, 1, 6), end: { result: 'download' } });
    expect(boot(image([4]), { strap: 1, rstCause: 4 }).text).toBe(`${romBanner(4, 1, 6)}wdt reset\r\n`);
    for (const strap of [0, 2]) expect(boot(image([4]), { strap }).end).toMatchObject({ failure: 'invalid-straps' });
    for (const strap of [4, 5, 6, 7]) {
      expect(boot(image([4]), { strap })).toMatchObject({
        text: `${romBanner(2, strap, 6)}waiting for host\r\n`,
        end: { failure: 'sdio-straps' },
      });
    }
  });

  test('a segment that runs past 4 MiB is a read error, one without RAM ends silently', () => {
    const far = image([4]);
    far.set(words(0x40100000, 0x400000), 8);
    expect(body(boot(far))).toMatch(/^load 0x40100000, len 4194304, room 16 \nflash read err, /);
    const nowhere = image([4]);
    nowhere.set(words(0x50000000, 4), 8);
    expect(boot(nowhere).end).toMatchObject({ why: 'rom-hang', failure: 'bad-segment' });
  });

  test('exceptions: two lines for the hooked causes, silence for others', () => {
    expect(exceptionText(2, { epc1: 0xffffffff, excvaddr: 0xffffffff })).toBe(
      'Fatal exception (2): \r\nepc1=0xffffffff, epc2=0x00000000, epc3=0x00000000, excvaddr=0xffffffff, depc=0x00000000\r\n',
    );
    expect(exceptionText(20, { epc1: 0, excvaddr: 0 })).toBe('');
  });
});

test('the image lands in RAM, and the ROM clears its own BSS first', () => {
  const ram = new Ram(0xa5);
  const sector = syntheticEboot('master', 'dio', 0x400000, 40);
  const { chip } = makeChip({ capacity: 0x100000 });
  chip.load(0, sector);
  const spi = new RomSpi(chip);
  const run = boot(sector, { ram, read: (address, target) => spi.read(address, target.length, target) === 0 });
  expect(run.end).toEqual({ result: 'boot', entry: 0x4010f474 });
  expect(ram.view(0x4010f000, 3408)).toEqual(sector.subarray(16, 3424));
  expect(ram.view(0x3fff20b8, 40)).toEqual(sector.subarray(3432, 3472));
  expect(ram.view(0x3fffdab0, 0x1080).every((byte) => byte === 0)).toBe(true);
  expect([ram.view(0x3fffdaaf, 1)[0], ram.view(0x3fffeb30, 1)[0], ram.view(0x3ffe8000, 1)[0]]).toEqual([
    0xa5, 0xa5, 0xa5,
  ]);
});

test('invariant: no bytes in flash make the ROM fail otherwise than by its own words', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, magic) => {
      if (magic && bytes.length > 1) bytes.set([0xe9, bytes[1]! & 3]);
      const run = boot(bytes, { ram: new Ram(0) });
      expect(run.text.startsWith(romBanner(2, 3, 6))).toBe(true);
      expect(run.text.endsWith('ets_main.c \r\n')).toBe(run.end.result === 'hang');
    }),
    { numRuns: 60 },
  );
});
