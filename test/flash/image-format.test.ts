/** The parser of image files. Spec chapter 01 §7, §12; design.md §7. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assembleImage, encodeImage } from '../../flash/image-assemble.ts';
import { buildImage } from '../../flash/image-build.ts';
import { type ImageReport, parseImage } from '../../flash/image-format.ts';
import { appendSignature } from '../../flash/signed-image.ts';
import { formatEras, patched, smallImage } from '../support/images.ts';

const errors = ({ problems }: ImageReport): string[] =>
  problems.filter(({ severity }) => severity === 'error').map(({ where, message }) => `${where} ${message}`);

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

describe('the vector of spec chapter 01 §12', () => {
  const sector0 = Uint8Array.from({ length: 4096 }, (_, offset) => offset & 0xff);
  const data = Uint8Array.from({ length: 100 }, (_, i) => (7 * i) & 0xff);
  const app = {
    mode: 'dio',
    flashSize: 0x400000,
    freqMHz: 40,
    entry: 0x40100000,
    segments: [{ address: 0x40201010, data }],
  } as const;
  const file = assembleImage({ sector0, app, embed: 4112 });

  test('is reproduced byte for byte', () => {
    expect(file.length).toBe(4224);
    expect(file[4223]).toBe(0x53);
    expect(Buffer.from(file.subarray(4096, 4128)).toString('hex')).toBe(
      'e90102400000104010102040640000008010000056 26f0a3383f464d545b6269'.replaceAll(' ', ''),
    );
    expect(md5(file)).toBe('f6d2f0da648c5e32df7b0c942824f1c4');
  });

  test('is read back, once a boot image stands before it', () => {
    const boot = new Uint8Array(4096).fill(0xaa);
    boot.set(encodeImage({ ...app, entry: 0x4010f000, segments: [{ address: 0x4010f000, data }] }));
    const report = parseImage(assembleImage({ sector0: boot, app, embed: 4112 }));
    expect(report).toMatchObject({
      kind: 'firmware',
      sketchSize: 4224,
      embedded: { position: 4112, length: 4224, ok: true, patched: false },
      app: { header: { segmentCount: 1, mode: 'dio', flashSize: 0x400000, freqMHz: 40, entry: 0x40100000 } },
    });
    expect(report.app?.segments[0]).toMatchObject({ address: 0x40201010, length: 100, kind: 'irom', loaded: false });
    expect(errors(report)).toEqual([]);
  });
});

describe('survives', () => {
  const check = (bytes: Uint8Array): ImageReport => {
    const report = parseImage(bytes);
    expect(report.size).toBe(bytes.length);
    for (const part of [report.boot, report.app]) expect(part?.segments.length ?? 0).toBeLessThanOrEqual(255);
    expect(report.problems.length).toBeLessThan(1100);
    JSON.stringify(report);
    return report;
  };

  test('invariant: any bytes give a report', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 6000 }), (bytes) => void check(bytes)));
  });

  test('invariant: any bytes behind the magics and segment headers give a report', () => {
    const start = fc.constantFrom([0xe9], [0xe9, 1], [0xe9, 255], [0x1f, 0x8b], [0x1f, 0x8b, 8, 0xff], [0xea]);
    const rest = fc.oneof(
      fc.uint8Array({ maxLength: 5000, size: 'max' }),
      fc.constant(new Uint8Array(5000).fill(0xff)),
    );
    fc.assert(
      fc.property(start, rest, start, (head, tail, app) => {
        const bytes = Uint8Array.from([...head, ...tail]);
        if (bytes.length > 0x1010) bytes.set(app, 0x1000);
        check(bytes);
      }),
    );
  });

  test('invariant: a valid image with any bytes changed gives a report', () => {
    const images = formatEras.map((core) => smallImage(core));
    const header = fc.oneof(
      fc.nat(40),
      fc.nat(48).map((n) => 0x1000 + n),
      fc.nat(5999),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...images),
        fc.array(fc.tuple(header, fc.nat(255)), { minLength: 1, maxLength: 12 }),
        (image, changes) => {
          const bytes = image.slice();
          for (const [at, value] of changes) bytes[at] = value;
          check(bytes);
        },
      ),
    );
  });

  test('a file made of 255 empty segments, again and again', () => {
    const bytes = new Uint8Array(0x100000);
    bytes.set([0xe9, 255], 0);
    bytes.set([0xe9, 255], 0x1000);
    expect(check(bytes).app?.segments).toHaveLength(255);
  });

  test.each(['master', '2.7.4', '2.0.0'])(
    'invariant: an image of core %s cut at any byte is an error, and damaged',
    (core) => {
      const image = smallImage(core);
      expect(errors(parseImage(image))).toEqual([]);
      for (let length = 0; length < image.length; length++) {
        const report = parseImage(image.subarray(0, length));
        if (errors(report).length === 0 || report.damage === undefined) expect.fail(`cut at ${length} went unnoticed`);
      }
    },
  );
});

describe('what counts as damaged', () => {
  test.each(formatEras)('a whole image of core %s does not', (core) => {
    expect(parseImage(smallImage(core))).not.toHaveProperty('damage');
  });

  test.each(['master', '2.7.4'])('invariant: any bit flipped in an image of core %s does', (core) => {
    const image = smallImage(core);
    fc.assert(
      fc.property(fc.nat(image.length * 8 - 1), (bit) => {
        const at = bit >> 3;
        fc.pre(at !== 2 && at !== 3 && at !== 0);
        const report = parseImage(patched(image, at, image[at]! ^ (1 << (bit & 7))));
        expect(report.damage).toBeDefined();
        expect(errors(report)).not.toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test('invariant: without a CRC any bit flipped in the segments does, by the checksum', () => {
    const image = smallImage('2.6.3');
    const { segments } = parseImage(image).app!;
    const bits = segments.flatMap(({ dataAt, length }) => Array.from({ length }, (_, i) => dataAt + i));
    fc.assert(
      fc.property(fc.constantFrom(...bits), fc.nat(7), (at, bit) => {
        const report = parseImage(patched(image, at, image[at]! ^ (1 << bit)));
        expect(report.damage).toMatch(/^the checksum is 0x/);
      }),
    );
  });

  test('invariant: other bytes 2 and 3 at the front do not', () => {
    fc.assert(
      fc.property(fc.constantFrom(...formatEras), fc.nat(255), fc.nat(255), (core, mode, size) => {
        const image = patched(smallImage(core), 2, mode, size);
        const report = parseImage(image);
        expect(report).not.toHaveProperty('damage');
        if (report.embedded) expect(report.embedded.ok).toBe(mode === 2 && size === 0x40);
      }),
    );
  });

  test('bytes 2 and 3 at 0x1000 do, where there is a CRC: nobody patches those', () => {
    expect(parseImage(patched(smallImage(), 0x1002, 3)).damage).toMatch(/CRC/);
    expect(parseImage(patched(smallImage('2.6.3'), 0x1002, 3))).not.toHaveProperty('damage');
  });

  test('a known bootloader decides where the words must be, however they are damaged', () => {
    for (const [core, at] of [
      ['master', 4112],
      ['2.7.0', 4088],
    ] as const) {
      const report = parseImage(patched(smallImage(core), at, 0xff, 0xff, 0xff, 0xff));
      expect(report.embedded?.position).toBe(at);
      expect(report.damage).toBe('the embedded length is 4294967295, but there are 6000 bytes');
    }
  });

  test('a missing magic at 0x1000 is an error, but no damage when the rest is whole: eboot does not look', () => {
    const report = parseImage(patched(smallImage('2.6.3'), 0x1000, 0));
    expect(report.kind).toBe('firmware');
    expect(report).not.toHaveProperty('damage');
    expect(errors(report)).toEqual([
      'header at 0x1000 the byte there is 0x00 instead of 0xe9: there is no application that eboot could start',
    ]);
  });
});

test('the application checksum is judged as it was when the build computed it', () => {
  const { checksum } = parseImage(smallImage()).app!;
  expect(checksum?.asBuilt).toBe(checksum?.given);
  expect(checksum?.computed).not.toBe(checksum?.given);
  const old = parseImage(smallImage('2.7.4')).app!.checksum;
  expect(old).toEqual({ at: 5999, given: old?.given, computed: old?.given });
});

describe('says what is wrong, where, and what to do', () => {
  const image = smallImage();
  const irom = parseImage(image).app!.segments[0]!;
  const rows: [name: string, bytes: Uint8Array, error: RegExp][] = [
    ['nothing at all', new Uint8Array(), /^file is empty$/],
    [
      'a cut file',
      image.subarray(0, 5000),
      /^segment 0 at 0x1008 claims \d+ bytes, but the file ends at 0x1388, 888 bytes into it/,
    ],
    [
      'a cut header',
      image.subarray(0, 0x1004),
      /^header at 0x1000 the file ends at 0x1004, before the 8 bytes of this header$/,
    ],
    ['a boot sector alone', image.subarray(0, 4096), /no application/],
    ['a wrong boot checksum', patched(image, 0x600, 1), /^checksum at 0xd9f is 0xa7, but .* "csum err"/],
    [
      'a changed byte',
      patched(image, 4200, 1),
      /^length and CRC at 0x1010 the CRC is 0x[0-9a-f]{8}, but the bytes give/,
    ],
    [
      'code linked for another place',
      patched(image, irom.headerAt + 1, 0x20),
      /^segment 0 at 0x1008 is linked for 0x40202010/,
    ],
    ['no segments', patched(smallImage('2.6.3'), 0x1001, 0), /^header at 0x1000 counts no segments/],
    ['a page of HTML', new TextEncoder().encode('<!DOCTYPE html>'), /^file is a web page: the download went wrong/],
    ['an ELF file', new TextEncoder().encode('\x7fELF\x01'), /^file is an ELF file: give the \.bin/],
    [
      'a LittleFS image',
      Uint8Array.from([1, 0, 0, 0, 0xf0, 0xf, 0xff, 0xf7, ...Buffer.from('littlefs')]),
      /file-system image/,
    ],
    ['an erased chip', new Uint8Array(9000).fill(0xff), /^file is blank: every byte is 0xff$/],
    ['text', new TextEncoder().encode('hello'), /^file is no firmware image: the first byte is 0x68 instead of 0xe9/],
    ['an SDK image', Uint8Array.of(0xea, 4, 0, 0, 0, 0, 0, 0), /user1\.bin/],
    [
      'an ESP32 image',
      Uint8Array.from([0xe9, 1, 2, 0x20, 0x24, 0x43, 8, 0x40, 0xee, ...new Array(40).fill(0)]),
      /ESP32 family \(entry 0x40084324\)/,
    ],
  ];
  test.each(rows)('%s', (_name, bytes, error) => {
    expect(errors(parseImage(bytes)).join('\n')).toMatch(new RegExp(error.source, `${error.flags}m`));
  });

  test('and warns of header bytes that nobody understands', () => {
    const messages = parseImage(patched(image, 2, 9, 0x75)).problems.map(
      ({ severity, message }) => `${severity} ${message}`,
    );
    expect(messages).toEqual([
      expect.stringMatching(/^warning flash mode byte 9 is none of 0 to 3/),
      expect.stringMatching(/^warning size nibble 7 names no flash size/),
      expect.stringMatching(/^warning frequency nibble 5 names no SPI clock/),
      expect.stringMatching(/^note bytes 2 and 3 are 0x09 0x75 at 0x0 and 0x02 0x40 at 0x1000/),
      expect.stringMatching(/^note fits the image as it was built/),
    ]);
  });
});

describe('gzip and signatures', () => {
  const image = smallImage();

  test('a gzip is told by its header and the size word that eboot believes', () => {
    const bytes = new Uint8Array(gzipSync(image));
    expect(parseImage(bytes)).toMatchObject({
      kind: 'gzip',
      gzip: { method: 8, flags: 0, isize: image.length, dataAt: 10 },
    });
    expect(errors(parseImage(bytes))).toEqual([]);
  });

  test.each([
    ['0', 0],
    ['2 GiB', 0x80000000],
  ])('a size word of %s means that eboot copies nothing', (_text, isize) => {
    const bytes = new Uint8Array(gzipSync(image));
    new DataView(bytes.buffer).setUint32(bytes.length - 4, isize, true);
    expect(errors(parseImage(bytes))).toEqual([expect.stringMatching(/copies nothing/)]);
  });

  const header = (flags: number, ...rest: number[]): Uint8Array =>
    Uint8Array.from([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3, ...rest]);
  test.each<[string, Uint8Array, Partial<NonNullable<ImageReport['gzip']>>]>([
    ['name and comment', header(0x18, 97, 0, 98, 0, 0, 0, 0, 1), { name: 'a', comment: 'b', dataAt: 14 }],
    ['extra field', header(4, 2, 0, 9, 9, 0, 0, 0, 1), { dataAt: 14 }],
    ['header CRC, which is not checked', header(2, 9, 9, 0, 0, 0, 1), { dataAt: 12 }],
    ['a reserved flag', header(0x20, 0, 0, 0, 1), { headerError: 'reserved flag bits are set (flags 0x20)' }],
    [
      'another method',
      patched(header(0, 0, 0, 0, 1), 2, 7),
      { headerError: 'compression method 7 instead of 8 (deflate)' },
    ],
    ['a name without end', header(8, 1, 1, 1, 1), { headerError: 'the name in the gzip header has no end' }],
    ['no room', header(0).subarray(0, 6), { headerError: 'the file ends inside the gzip header, at 6 bytes' }],
  ])('gzip header with %s', (_name, bytes, expected) => {
    expect(parseImage(bytes).gzip).toMatchObject(expected);
  });

  test('a signed image is taken apart', () => {
    const report = parseImage(appendSignature(image, new Uint8Array(256).fill(7)));
    expect(report).toMatchObject({ signature: { at: image.length, length: 256 }, sketchSize: image.length });
    expect(report.embedded?.ok).toBe(true);
    expect(report).not.toHaveProperty('damage');
    expect(report).not.toHaveProperty('trailing');
  });

  test('a signed gzip is one, with a warning for devices without verification', () => {
    const report = parseImage(appendSignature(new Uint8Array(gzipSync(image)), new Uint8Array(256)));
    expect(report).toMatchObject({ gzip: { isize: image.length }, signature: { length: 256 } });
    expect(report.problems).toEqual([expect.objectContaining({ severity: 'warning' })]);
  });

  test('other bytes behind an image are noted, not taken for a signature', () => {
    const dump = new Uint8Array(0x80000).fill(0xff);
    dump.set(image);
    expect(parseImage(dump)).toMatchObject({
      trailing: { at: image.length, length: 0x80000 - image.length, blank: true },
    });
    expect(errors(parseImage(dump))).toEqual([]);
  });
});

test('the largest image is read to its end', () => {
  const bytes = buildImage({ sketch: 'blank', version: '1', size: 0x100000 });
  expect(parseImage(bytes).sketchSize).toBe(0x100000);
});
