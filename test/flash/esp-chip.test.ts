/** What `ESP` says about chip and sketch. Spec chapter 01 §3, §7.5, §12. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { EspFlash } from '../../flash/esp-class.ts';
import { layoutByName, resolveLayout } from '../../flash/layouts.ts';
import { parts } from '../../flash/parts.ts';
import { headerFor, makeChip, makeEsp, nodeMd5 } from '../support/flash.ts';

const M = 0x100000;

/** Four header bytes with byte 2 and byte 3. */
const header = (mode: number, sizeAndSpeed: number): Uint8Array => Uint8Array.of(0xe9, 0, mode, sizeAndSpeed);

describe('what the chip is', () => {
  test.each(parts.filter(({ capacityBytes }) => capacityBytes >= M / 2).map((part) => [part.name, part] as const))(
    '%s: id, vendor, real size, size by id',
    (name, part) => {
      const { esp } = makeEsp({ part });
      expect([esp.spiFlashGetId(), esp.getFlashChipId()]).toEqual([part.jedecId, part.jedecId]);
      expect(esp.getFlashChipVendorId()).toBe(part.jedecId & 0xff);
      expect(esp.getFlashChipRealSize()).toBe(part.capacityBytes);
      expect(esp.getFlashChipSizeByChipId()).toBe(name === 'W25Q64' ? 0 : part.capacityBytes);
    },
  );

  test('the id is asked for once, and again while it is 0; the real size asks each time', () => {
    const { esp, chip } = makeEsp({ capacity: M });
    const asNext = (jedecId: number) => Object.assign(chip, { part: { ...chip.part, jedecId } });
    asNext(0);
    expect([esp.getFlashChipId(), esp.getFlashChipVendorId()]).toEqual([0, 0]);
    asNext(0x1640ef);
    expect(esp.getFlashChipId()).toBe(0x1640ef);
    asNext(0x146085);
    expect([esp.getFlashChipId(), esp.getFlashChipVendorId(), esp.getFlashChipRealSize()]).toEqual([0x1640ef, 0xef, M]);
    esp.sdkStart();
    expect(esp.getFlashChipId()).toBe(0x146085);
  });

  const K512 = M / 2;
  /** Nibble, size as the core shows it, `chip_size` of the SDK. */
  const sizes: [number, number, number][] = [
    [0, K512, K512],
    [1, M / 4, M / 4],
    [2, M, M],
    [3, 2 * M, 2 * M],
    [4, 4 * M, 4 * M],
    [5, 0, 2 * M],
    [6, 0, 4 * M],
    [7, 0, K512],
    [8, 8 * M, 8 * M],
    [9, 16 * M, 16 * M],
    ...[10, 11, 12, 13, 14, 15].map((nibble): [number, number, number] => [nibble, 0, K512]),
  ];
  test.each(sizes)('size nibble %i: %i bytes for the core, %i for the SDK', (nibble, core, sdk) => {
    const { esp } = makeEsp({ capacity: 4 * M, image: header(0, nibble << 4) });
    expect([esp.getFlashChipSize(), esp.sdkChipSize]).toEqual([core, sdk]);
    const auto = makeEsp({ capacity: 4 * M, image: header(0, nibble << 4), flashMapSupport: true });
    expect([auto.esp.getFlashChipSize(), auto.esp.sdkChipSize]).toEqual([4 * M, sdk]);
  });

  test.each([
    [0, 40_000_000],
    [1, 26_000_000],
    [2, 20_000_000],
    [15, 80_000_000],
    ...[3, 7, 8, 14].map((nibble): [number, number] => [nibble, 0]),
  ])('speed nibble %i: %i Hz', (nibble, hz) => {
    expect(makeEsp({ capacity: M, image: header(0, 0x20 | nibble) }).esp.getFlashChipSpeed()).toBe(hz);
  });

  test.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 0xff],
    [0x80, 0xff],
    [0xff, 0xff],
  ])('mode byte %i: %i', (byte, mode) => {
    expect(makeEsp({ capacity: M, image: header(byte, 0x20) }).esp.getFlashChipMode()).toBe(mode);
  });

  test('a header that cannot be read: size 0, speed 0, mode unknown; the SDK believes in 512 KiB', () => {
    const { esp, chip } = makeEsp({ capacity: M });
    chip.faults = { decide: () => ({ do: 'fail' }) };
    expect([esp.getFlashChipSize(), esp.getFlashChipSpeed(), esp.getFlashChipMode()]).toEqual([0, 0, 0xff]);
    esp.sdkStart();
    expect(esp.sdkChipSize).toBe(K512);
  });

  test.each([
    // real, header byte 3, enough, equal
    [4 * M, 0x40, true, true],
    [4 * M, 0x20, true, false],
    [M, 0x40, false, false],
    [4 * M, 0xf0, true, false],
    [4 * M, 0x50, true, false],
  ])(
    'a chip of %i bytes under header byte %i: checkFlashConfig %s, needing equality %s',
    (real, byte, enough, equal) => {
      const { esp } = makeEsp({ capacity: real, image: header(2, byte) });
      expect([esp.checkFlashConfig(false), esp.checkFlashConfig(true)]).toEqual([enough, equal]);
    },
  );

  test('an autoflash build is always configured right', () => {
    const { esp } = makeEsp({ capacity: M, image: headerFor(16 * M), flashMapSupport: true });
    expect(esp.checkFlashConfig(true)).toBe(true);
  });
});

describe('eraseConfig', () => {
  test.each([
    ['the true size', M, M, [0xfc, 0xfd, 0xfe, 0xff]],
    ['a smaller one', M, M / 2, [0x7c, 0x7d, 0x7e, 0x7f]],
    ['the largest', 16 * M, 16 * M, [0xffc, 0xffd, 0xffe, 0xfff]],
  ])('with %s in the header, the last four sectors of that size', async (_, capacity, configured, sectors) => {
    const { esp, events } = makeEsp({ capacity, image: headerFor(configured) });
    expect(await esp.eraseConfig()).toBe(true);
    expect(events.map(({ type, address }) => [type, address / 4096])).toEqual(
      sectors.map((sector) => ['flash.erase', sector]),
    );
  });

  test('with an unknown size in the header, the first sector is out of range and nothing is erased', async () => {
    const { esp, calls, events } = makeEsp({ capacity: M, image: headerFor(0) });
    expect(await esp.eraseConfig()).toBe(false);
    expect([calls.at(-1), events]).toEqual([['erase', 0xfffc * 4096, 4096], []]);
  });

  test('stops at the first sector that fails', async () => {
    let seen = 0;
    const { esp, chip, events } = makeEsp({ capacity: M });
    chip.faults = { decide: ({ kind }) => (kind === 'erase' && seen++ === 1 ? { do: 'fail' } : undefined) };
    expect(await esp.eraseConfig()).toBe(false);
    expect([seen, events.length]).toEqual([2, 1]);
  });
});

/** An application header at 0x1000 and its segment headers, data left blank. */
function application(lengths: readonly number[]): Uint8Array {
  const end = lengths.reduce((sum, length) => sum + 8 + length, 0x1008);
  const bytes = new Uint8Array(Math.min(end, 0x8000)).fill(0xff);
  bytes.set(headerFor(M));
  bytes.set([0xe9, lengths.length, 2, 0x20], 0x1000);
  let at = 0x1008;
  for (const length of lengths) {
    if (at + 8 <= bytes.length) new DataView(bytes.buffer).setUint32(at + 4, length, true);
    at += 8 + length;
  }
  return bytes;
}

describe('what the sketch is', () => {
  test.each<[string, number[], number]>([
    ['one segment of 100 bytes', [100], 4224],
    ['no segment', [], 0x1010],
    ['a full last row: one more row for the checksum', [112], 0x1090],
    ['one byte before that', [111], 0x1080],
    ['five segments', [1000, 0, 33, 4, 5], (0x1008 + 40 + 1042 + 16) & ~15],
  ])('getSketchSize: %s', (_, lengths, size) => {
    const { esp, calls } = makeEsp({ capacity: M, image: application(lengths) });
    expect(esp.getSketchSize()).toBe(size);
    expect(calls.map(([, , length]) => length)).toEqual(Array(lengths.length + 1).fill(8));
  });

  test('getSketchSize of erased flash: 255 segments of -1 bytes make 5904', () => {
    const { esp, calls } = makeEsp({ capacity: M, image: headerFor(M) });
    expect(esp.getSketchSize()).toBe(5904);
    expect(calls).toHaveLength(256);
  });

  test('getSketchSize keeps its first answer until the next start', () => {
    const { esp, chip, calls } = makeEsp({ capacity: M, image: application([100]) });
    expect(esp.getSketchSize()).toBe(4224);
    chip.load(0, application([1000]));
    expect([esp.getSketchSize(), calls.length]).toEqual([4224, 2]);
    esp.sdkStart();
    expect(esp.getSketchSize()).toBe(5120);
  });

  test('getSketchSize is 0 when a read fails, and asks again', () => {
    const { esp, chip } = makeEsp({ capacity: M, image: application([100]) });
    for (const nth of [0, 1]) {
      let seen = 0;
      chip.faults = { decide: () => (seen++ === nth ? { do: 'fail' } : undefined) };
      expect(esp.getSketchSize()).toBe(0);
    }
    chip.faults = undefined;
    expect(esp.getSketchSize()).toBe(4224);
  });

  test('getSketchSize is 0 when a segment leads past the end of the chip', () => {
    expect(makeEsp({ capacity: M, image: application([0x200000, 4]) }).esp.getSketchSize()).toBe(0);
    expect(makeEsp({ capacity: M, image: application([0x200000]) }).esp.getSketchSize()).toBe(0x201020);
  });

  test('invariant: getSketchSize is the file length of 0x1000, headers, data and a checksum row', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3000), { maxLength: 5 }), (lengths) => {
        const data = lengths.reduce((sum, length) => sum + 8 + length, 0x1008);
        expect(makeEsp({ capacity: M, image: application(lengths) }).esp.getSketchSize()).toBe(
          Math.ceil((data + 1) / 16) * 16,
        );
      }),
      { numRuns: 50 },
    );
  });

  test('getFreeSketchSpace: up to the file system, by whole sectors, unsigned', () => {
    const of = (layout: string, length: number) =>
      makeEsp({ capacity: M, layout, image: application([length]) }).esp.getFreeSketchSpace();
    expect(of('4m2m', 100)).toBe(0x200000 - 0x2000);
    expect(of('1m64', 0x2fe0)).toBe(0xeb000 - 0x4000);
    expect(of('1m64', 0x2ff0)).toBe(0xeb000 - 0x5000);
    expect(of('512k', 0x7a000)).toBe((0x7b000 - 0x7c000) >>> 0);
    const auto = makeEsp({ capacity: 2 * M, layout: resolveLayout('auto:max-fs', 2 * M), image: application([100]) });
    expect(auto.esp.getFreeSketchSpace()).toBe(0x100000 - 0x2000);
  });
});

/** The synthetic firmware file of §12. */
function synthetic(): Uint8Array {
  const file = Uint8Array.from({ length: 4224 }, (_, i) => (i < 4096 ? i & 0xff : 0));
  file.set([0xe9, 1, 2, 0x40, 0, 0, 0x10, 0x40, 0x10, 0x10, 0x20, 0x40, 100, 0, 0, 0], 4096);
  for (let i = 0; i < 100; i++) file[4112 + i] = (7 * i) & 0xff;
  file[4223] = 0x53;
  file.fill(0, 4112, 4120);
  const view = new DataView(file.buffer);
  view.setUint32(4116, referenceKernels().crc32(file), true);
  view.setUint32(4112, file.length, true);
  return file;
}

describe('what its bytes are', () => {
  test('the synthetic file of the spec: CRC, size, MD5', () => {
    const file = synthetic();
    expect(new DataView(file.buffer).getUint32(4116, true)).toBe(0xa3f02656);
    expect(Buffer.from(file.subarray(4096, 4128)).toString('hex')).toBe(
      'e901024000001040101020406400000080100000' + '5626f0a3383f464d545b6269',
    );
    const { esp, calls } = makeEsp({ capacity: M, image: file });
    expect([esp.checkFlashCRC(), esp.getSketchSize(), calls.length]).toEqual([true, 4224, 2]);
    expect(esp.getSketchMD5()).toBe('f6d2f0da648c5e32df7b0c942824f1c4');
    const reads = calls.slice(2).map(([, address, length]) => [address, length]);
    expect(reads).toEqual([0, 512, 1024, 1536, 2048, 2560, 3072, 3584, 4096].map((at) => [at, at < 4096 ? 512 : 128]));
  });

  test('getSketchMD5 keeps its first answer until the next start, but no failure', () => {
    const { esp, chip } = makeEsp({ capacity: M, image: synthetic() });
    chip.faults = { decide: ({ address }) => (address === 512 ? { do: 'fail' } : undefined) };
    expect(esp.getSketchMD5()).toBe('');
    chip.faults = undefined;
    expect(esp.getSketchMD5()).toBe('f6d2f0da648c5e32df7b0c942824f1c4');
    chip.load(0, Uint8Array.of(0xee));
    expect(esp.getSketchMD5()).toBe('f6d2f0da648c5e32df7b0c942824f1c4');
    esp.sdkStart();
    expect(esp.getSketchMD5()).not.toBe('f6d2f0da648c5e32df7b0c942824f1c4');
  });

  test('getSketchMD5 of a sketch of no bytes is the MD5 of nothing', () => {
    const { esp } = makeEsp({ capacity: M, image: application([0x200000, 4]) });
    expect(esp.getSketchMD5()).toBe('d41d8cd98f00b204e9800998ecf8427e');
  });

  test('invariant: one changed bit below the length fails checkFlashCRC', () => {
    const file = synthetic();
    fc.assert(
      fc.property(fc.nat(file.length * 8 - 1), (bit) => {
        const changed = file.slice();
        changed[bit >> 3]! ^= 1 << (bit & 7);
        expect(makeEsp({ capacity: M, image: changed }).esp.checkFlashCRC()).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  test.each([0, 0x1017, M + 1, 0xffffffff])('a stored length of %i is never right', (length) => {
    const file = synthetic();
    new DataView(file.buffer).setUint32(4112, length, true);
    expect(makeEsp({ capacity: M, image: file }).esp.checkFlashCRC()).toBe(false);
  });

  test('a length past the end of a small chip: the mapping shows its start again', () => {
    const { esp, chip } = makeEsp({ capacity: M / 2, image: synthetic() });
    const words = new DataView(new ArrayBuffer(8));
    chip.load(4112, new Uint8Array(8));
    const kernels = referenceKernels();
    words.setUint32(4, kernels.crc32(chip.peek(0, 32), kernels.crc32(chip.peek(0, M / 2))), true);
    words.setUint32(0, M / 2 + 32, true);
    chip.load(4112, new Uint8Array(words.buffer));
    expect(esp.checkFlashCRC()).toBe(true);
    chip.load(31, Uint8Array.of(0));
    expect(esp.checkFlashCRC()).toBe(false);
  });
});

test('before the SDK starts, the chip size of ROM data is in force: 4 MiB', () => {
  const { chip, clock } = makeChip({ capacity: 8 * M });
  const esp = new EspFlash({ chip, clock, layout: layoutByName('8m7m'), md5: nodeMd5 });
  expect([esp.sdkChipSize, esp.flashMapSupport]).toEqual([0x400000, false]);
  expect(esp.flashRead(0x400000, 4)).toBeUndefined();
  expect(esp.flashRead(0x3ffffc, 4)).toBeDefined();
});
