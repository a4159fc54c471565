import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { type BootOnceResult, bootOnce, type Cut } from '../../eboot/boot-once.ts';
import { ACTION_COPY_RAW, ACTION_LOAD_APP, encodeCommand } from '../../eboot/command.ts';
import { CORE_VERSIONS, eraOf } from '../../eboot/eras.ts';
import { romBoot } from '../../eboot/rom.ts';
import { syntheticEboot } from '../../flash/eboot-sector.ts';
import { expectBytes } from '../support/flash.ts';
import { build, type Content } from '../support/golden-flash.ts';

const { crc32 } = referenceKernels();
const SECTOR = 4096;
const STAGING = 0x40000;

function commanded(action: number, ...args: number[]): Uint8Array {
  const rtc = new Uint8Array(512);
  rtc.set(encodeCommand({ action, args }, crc32));
  return rtc;
}
const copies = (source: number, destination: number, size: number): Uint8Array =>
  commanded(ACTION_COPY_RAW, source, destination, size);

interface Segment {
  address: number;
  data: Uint8Array;
  /** Length in the header, when it is not that of the data. */
  size?: number;
}

const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

/** A chip of 512 KiB with an application of these segments. */
function flashWith(segments: Segment[], entry = 0x40100004): Uint8Array {
  const flash = new Uint8Array(0x80000).fill(0xff);
  const chunks = [Uint8Array.of(0xe9, segments.length, 2, 0x40), word(entry)];
  for (const { address, data, size } of segments) chunks.push(word(address), word(size ?? data.length), data);
  flash.set(Buffer.concat(chunks), 0x1000);
  return flash;
}

const mix = (seed: number, size: number): Uint8Array => build({ type: 'mix', seed, size });

/** An image whose application does nothing but jump. */
function image(seed: number, size: number): Uint8Array {
  const bytes = mix(seed, size);
  bytes.set(Uint8Array.of(0xe9, 0, 2, 0x40, 4, 1, 0x10, 0x40), 0x1000);
  return bytes;
}

const load = (segments: Segment[], entry?: number): Promise<BootOnceResult> =>
  bootOnce({ flash: flashWith(segments, entry), rtcUser: new Uint8Array(512) });

describe('what it takes', () => {
  test('mistakes of the caller', async () => {
    const flash = new Uint8Array(SECTOR);
    await expect(bootOnce({ flash, rtcUser: new Uint8Array(128) })).rejects.toThrow('rtcUser has 128 bytes');
    await expect(bootOnce({ flash: new Uint8Array(0), rtcUser: new Uint8Array(512) })).rejects.toThrow(
      'flash has 0 bytes',
    );
    await expect(bootOnce({ flash, rtcUser: new Uint8Array(512), core: '1.0.0' })).rejects.toThrow('known are 2.0.0');
    await expect(bootOnce({ flash, rtcUser: new Uint8Array(512), engine: 'other' as 'native' })).rejects.toThrow(
      'model or native wanted',
    );
  });

  test('defaults are the model of master and RAM of 0xA5', async () => {
    const run = await bootOnce({ flash: flashWith([]), rtcUser: new Uint8Array(512) });
    expect(run).toEqual({
      outcome: 'boot',
      entry: 0x40100004,
      sp: 0x3ffffff0,
      uart: 'vffffffff\r\n~ld\r\n',
      flashOps: [],
      watchdog: [],
    });
  });

  test('flash repeats modulo its size', async () => {
    const flash = flashWith([]);
    const run = await bootOnce({ flash, rtcUser: commanded(ACTION_LOAD_APP, 0x80000 * 3) });
    expect(run.entry).toBe(0x40100004);
  });
});

describe('cuts', () => {
  const start = (): { flash: Uint8Array; rtcUser: Uint8Array } => {
    const flash = flashWith([]);
    flash.set(image(7, 3 * SECTOR), STAGING);
    return { flash, rtcUser: copies(STAGING, 0, 3 * SECTOR) };
  };

  test.each([
    [{ atOp: 2, when: 'before' }, 'old', 0],
    [{ atOp: 2, when: 'after' }, 'erased', SECTOR],
    [{ atOp: 2, when: 'mid', bytes: 100 }, 'erased', 100],
    [{ atOp: 2, when: 'mid' }, 'erased', 0],
    [{ atOp: 3, when: 'mid', bytes: 100 }, 'new', 100],
    [{ atOp: 3, when: 'after' }, 'new', SECTOR],
    [{ atOp: 3, when: 'mid', bytes: 9999 }, 'new', SECTOR],
  ] as [Cut, 'old' | 'erased' | 'new', number][])('%j', async (cut, content, bytes) => {
    const { flash, rtcUser } = start();
    const before = flash.slice();
    const run = await bootOnce({ flash, rtcUser, cut });
    expect(run).toMatchObject({ outcome: 'powercut', uart: 'vffffffff\r\n@cp:', watchdog: ['disable'] });
    expect(run.flashOps).toHaveLength(cut.atOp + 1);
    expect(run).not.toHaveProperty('entry');
    const sector = before.slice(0x1000, 0x2000);
    if (cut.atOp === 3) sector.fill(0xff);
    if (content === 'erased') sector.fill(0xff, 0, bytes);
    if (content === 'new') sector.set(before.subarray(STAGING + 0x1000, STAGING + 0x1000 + bytes));
    expectBytes(flash.subarray(0x1000, 0x2000), sector);
    expectBytes(flash.subarray(0x2000), before.subarray(0x2000));
    expect(rtcUser).toEqual(copies(STAGING, 0, 3 * SECTOR));
  });

  test('a cut after the last operation never comes', async () => {
    expect(await bootOnce({ ...start(), cut: { atOp: 6, when: 'before' } })).toMatchObject({ outcome: 'boot' });
  });

  test('invariant: cut anywhere and started again, the copy ends as if uncut (no overlap, cleared after)', async () => {
    const late = CORE_VERSIONS.filter((version) => eraOf(version).clears === 'after');
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 0x7fffffff }),
        fc.constantFrom(...late),
        fc.boolean(),
        fc.array(
          fc.record({
            atOp: fc.nat(9),
            when: fc.constantFrom('before', 'mid', 'after' as const),
            bytes: fc.nat(SECTOR),
          }),
          { maxLength: 3 },
        ),
        async (seed, core, zip, cuts) => {
          const plain = image(seed, 5 * SECTOR);
          const staged = zip && eraOf(core).gzip ? gzipSync(plain) : plain;
          const flash = flashWith([]);
          flash.set(staged, STAGING);
          const rtcUser = copies(STAGING, 0, staged.length);
          const uncut = { flash: flash.slice(), rtcUser: rtcUser.slice() };
          await bootOnce({ ...uncut, core });
          for (const cut of cuts) {
            if ((await bootOnce({ flash, rtcUser, core, cut: cut as Cut })).outcome !== 'powercut') return;
          }
          const run = await bootOnce({ flash, rtcUser, core });
          expect(run).toMatchObject({ outcome: 'boot', entry: 0x40100104 });
          expectBytes(flash, uncut.flash);
          expectBytes(rtcUser, uncut.rtcUser);
          expectBytes(flash.subarray(0, plain.length), plain);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('copies (ch. 01 §9.4, §11)', () => {
  test('invariant: a raw copy makes the destination equal to the source, whole sectors, nothing else', async () => {
    const sector = fc.integer({ min: 0, max: 30 });
    await fc.assert(
      fc.asyncProperty(sector, sector, fc.integer({ min: 1, max: 8 * SECTOR }), async (from, to, size) => {
        const source = (64 + from) * SECTOR;
        const destination = to * SECTOR;
        const flash = mix(from + 1, 0x80000);
        flash.set([1, 2], source);
        const before = flash.slice();
        const run = await bootOnce({ flash, rtcUser: copies(source, destination, size) });
        expect(run.uart).toContain('@cp:0\r\nld\r\n');
        const length = Math.ceil(size / SECTOR) * SECTOR;
        before.set(before.subarray(source, source + length), destination);
        expectBytes(flash, before);
      }),
      { numRuns: 40 },
    );
  });

  test('raw, destination running into the source from below: each sector is read before it is written', async () => {
    const flash = mix(3, 0x80000);
    flash.set([0, 0], 0x3000);
    const wanted = flash.slice(0x3000, 0x3000 + 8 * SECTOR);
    await bootOnce({ flash, rtcUser: copies(0x3000, 0, 8 * SECTOR) });
    expectBytes(flash.subarray(0, wanted.length), wanted);
  });

  test('gzip: sound as long as output stays below what is still to be read, destroyed beyond', async () => {
    const plain = image(11, 12 * SECTOR);
    const zipped = gzipSync(plain, { level: 9 });
    const results: boolean[] = [];
    for (let source = 0; source <= 12 * SECTOR; source += SECTOR) {
      const flash = flashWith([]);
      flash.set(zipped, source);
      await bootOnce({ flash, rtcUser: copies(source, 0, zipped.length) });
      results.push(Buffer.compare(flash.subarray(0, plain.length), plain) === 0);
    }
    // Output sector n harms when it lies where the input was not yet read (ch. 01 §11.2).
    expect(results.at(-1)).toBe(true);
    expect(results[0]).toBe(false);
    expect(results).toEqual([...results].sort());
    expect(results.indexOf(true)).toBeGreaterThan(2);
    expect(results.indexOf(true)).toBeLessThan(12);
  });

  test('sector 0 is left alone when equal, other sectors are rewritten even when equal', async () => {
    const flash = flashWith([]);
    flash.copyWithin(STAGING, 0, 2 * SECTOR);
    const run = await bootOnce({ flash, rtcUser: copies(STAGING, 0, 2 * SECTOR) });
    expect(run.uart).toContain('@cp:B0\r\n');
    expect(run.flashOps).toEqual([
      ['erase', 0x1000, 4096],
      ['write', 0x1000, 4096],
    ]);
  });

  test('a failure after the skip shows both: B2', async () => {
    const flash = new Uint8Array(0x400000).fill(0xff);
    const run = await bootOnce({ flash, rtcUser: copies(0x3ff000, 0, 2 * SECTOR) });
    expect(run).toMatchObject({ outcome: 'reset', uart: 'vffffffff\r\n@cp:B3\r\n' });
  });

  test('the word that ISIZE is taken from keeps its content when it cannot be read', async () => {
    const plain = image(5, 2 * SECTOR);
    const flash = flashWith([]);
    flash.set(gzipSync(plain), STAGING);
    // The last readable word is the stream's first: 1F 8B 08 00, so the size is 0x00088B1F bytes.
    const run = await bootOnce({ flash, rtcUser: copies(STAGING, 0x10000, 0x80000000) });
    const sectors = run.flashOps.filter(([kind]) => kind === 'write').length;
    expect(run.uart).toContain('@cp:6');
    expect(sectors).toBeGreaterThanOrEqual(2);
    expectBytes(flash.subarray(0x10000, 0x10000 + plain.length), plain);
  });

  test('a header text without end reads on for ever', async () => {
    const flash = new Uint8Array(0x80000).fill(0xff);
    flash.set([0x1f, 0x8b, 8, 8, 1, 1, 1, 1, 1, 3], STAGING);
    flash.set(word(0x01010101), STAGING + 100);
    for (const maxSteps of [undefined, 1e7]) {
      const rtcUser = copies(STAGING, 0, 104);
      const run = await bootOnce({ flash: flash.slice(), rtcUser, ...(maxSteps ? { maxSteps } : {}) });
      expect(run).toMatchObject({ outcome: 'hang', uart: 'vffffffff\r\n@cp:', watchdog: ['disable'], flashOps: [] });
      expect(rtcUser).toEqual(copies(STAGING, 0, 104));
    }
  });

  test('a file system whose second sector is blank starts an application at 0xFFFFFFFF (ATOMIC_FS_UPDATE)', async () => {
    const flash = flashWith([]);
    flash.set(mix(9, SECTOR), STAGING);
    const run = await bootOnce({ flash, rtcUser: copies(STAGING, 0x60000, 4 * SECTOR) });
    expect(run).toMatchObject({ outcome: 'boot', entry: 0xffffffff, uart: 'vffffffff\r\n@cp:0\r\nld\r\n' });
  });

  test('a signed gzip on a device that does not verify: old application once, then csum err (ch. 01 §11.4)', async () => {
    const flash = flashWith([]);
    const old = flash.slice(0x1000, 0x2000);
    const update = Buffer.concat([syntheticEboot('master', 'dio', 0x400000, 40), mix(4, 3 * SECTOR)]);
    const signed = Buffer.concat([gzipSync(update), mix(6, 256), word(256)]);
    flash.set(syntheticEboot('3.1.2', 'dio', 0x400000, 40));
    flash.set(signed, STAGING);
    const run = await bootOnce({ flash, rtcUser: copies(STAGING, 0, signed.length) });
    expect(run).toMatchObject({ outcome: 'boot', entry: 0x40100004 });
    expect(run.uart).toContain('@cp:0\r\nld');
    expectBytes(flash.subarray(0, 256), update.subarray(0, 256));
    expect(flash.subarray(256, SECTOR).every((byte) => byte === 0xff)).toBe(true);
    expectBytes(flash.subarray(0x1000, 0x2000), old);
    const read = (address: number, target: Uint8Array): boolean => {
      target.set(flash.subarray(address, address + target.length));
      return true;
    };
    expect(romBoot({ rstCause: 2, strap: 3, secondNumber: 7, read }).text).toContain('csum err');
  });
});

describe('loading (ch. 01 §9.5)', () => {
  const data = Uint8Array.of(1, 2, 3, 4);

  test('segments to RTC memory land there, also in the command', async () => {
    const flash = flashWith([{ address: 0x600012f8, data: Uint8Array.of(1, 2, 3, 4, 5, 6) }]);
    const rtcUser = new Uint8Array(512).fill(0x77);
    expect(await bootOnce({ flash, rtcUser })).toMatchObject({ outcome: 'boot' });
    // Whole words are stored: two surplus bytes.
    expect([...rtcUser.subarray(0xf7, 0x101)]).toEqual([0x77, 1, 2, 3, 4, 5, 6, 0, 0, 0x77]);
  });

  test('a device segment with the reset bit is a software reset', async () => {
    const bytes = new Uint8Array(16);
    bytes[15] = 0x80;
    expect(await load([{ address: 0x600006f4, data: bytes }])).toMatchObject({
      outcome: 'reset',
      uart: 'vffffffff\r\n~ld\r\n'.replace('vffffffff', 'v00000000'),
    });
    expect(await load([{ address: 0x600006f8, data: bytes }])).toMatchObject({ outcome: 'boot' });
  });

  test.each([
    ['no memory below DRAM', 0x20000000, 4],
    ['region 0', 0x00010000, 4],
    ['beyond the end of DRAM, in the ROM', 0x3ffffffc, 8],
    ['beyond RTC memory', 0x600013fc, 8],
    ['high addresses', 0xfffffff0, 4],
    ['an unaligned address', 0x3ffe8001, 4],
    ['over the loader', 0x4010b000, 0x5000],
    ['beyond instruction RAM', 0x4010b000, 0x5004],
  ])('exception: %s', async (_name, address, size) => {
    const run = await load([{ address, data: new Uint8Array(size) }]);
    expect(run).toMatchObject({ outcome: 'exception' });
    expect(run.uart).toMatch(/~ld\r\n$/);
    expect(run).not.toHaveProperty('entry');
  });

  test('what is stored before the fault stays stored', async () => {
    const flash = flashWith([{ address: 0x600013f8, data: new Uint8Array(64).fill(5) }]);
    const rtcUser = new Uint8Array(512);
    expect(await bootOnce({ flash, rtcUser })).toMatchObject({ outcome: 'exception' });
    expect([...rtcUser.subarray(500)]).toEqual([0, 0, 0, 0, 5, 5, 5, 5, 5, 5, 5, 5]);
  });

  test('an empty or negative length stores nothing anywhere', async () => {
    for (const size of [0, 0xfffffff0, 0xffffffff]) {
      expect(await load([{ address: 0x20000001, data: new Uint8Array(0), size }])).toMatchObject({ outcome: 'boot' });
    }
  });

  test('how far a segment may run over the loader: to the first word it still needs', async () => {
    const outcomes = async (end: number, more: boolean): Promise<string> => {
      const segments = [{ address: 0x4010b000, data: new Uint8Array(end - 0x4010b000) }];
      return (await load(more ? [...segments, { address: 0x3ffe8000, data }] : segments)).outcome;
    };
    expect(await outcomes(0x4010f008, true)).toBe('boot');
    expect(await outcomes(0x4010f00c, true)).toBe('exception');
    expect(await outcomes(0x4010f014, false)).toBe('boot');
    expect(await outcomes(0x4010f018, false)).toBe('exception');
  });

  test('a segment over the stack changes the headers that lie there: measured on the real loader', async () => {
    // The image header of master is at 0x3FFFFF48: segment count and entry.
    expect(await load([{ address: 0x3fffff4c, data: word(0x40101234) }])).toMatchObject({
      outcome: 'boot',
      entry: 0x40101234,
    });
    expect(
      (
        await load([
          { address: 0x3fffff48, data: new Uint8Array(4) },
          { address: 0x20000000, data },
        ])
      ).outcome,
    ).toBe('boot');
    // The segment length at 0x3FFFFF44 decides where the next header is looked for.
    const lost = await load([
      { address: 0x3fffff44, data: word(0x0badf000) },
      { address: 0x3ffe8000, data },
    ]);
    expect(lost).toMatchObject({ outcome: 'reset', uart: 'v0badf000\r\n~ld\r\ne:2\r\n' });
    // And where loading returns to when it fails.
    const way = await load([
      { address: 0x3fffff5c, data: word(0x20) },
      { address: 0x3ffe8000, data, size: 0x500000 },
    ]);
    expect(way).toMatchObject({ outcome: 'exception', uart: 'v00000020\r\n~ld\r\n' });
  });

  test.each([
    [0x3ff000, 'e:1'], // base + 0x1000 is the end of what the ROM reads
    [0x3fe000, 'e:2'], // header fine at 0x3FF000, its segment is skipped and too long
  ])('load from base %i: %s', async (base, text) => {
    const flash = new Uint8Array(0x400000).fill(0xff);
    flash.set(
      flashWith([
        { address: 0x40201010, data, size: 0x2000 },
        { address: 0, data },
      ]).subarray(0x1000, 0x1020),
      0x3ff000,
    );
    expect(await bootOnce({ flash, rtcUser: commanded(ACTION_LOAD_APP, base) })).toMatchObject({
      outcome: 'reset',
      uart: `vffffffff\r\n@ld\r\n${text}\r\n`,
    });
  });
});

test('invariant: no RTC memory and no flash make a run fail otherwise than by an outcome', async () => {
  const address = fc.oneof(
    fc.constantFrom(0, 0x1000, 0x40000, 0x3ff000, 0x400000, 0xfffff000, 0x80000000),
    fc.nat(0xffffffff),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...CORE_VERSIONS),
      fc.array(fc.tuple(fc.nat(0x7ffff), fc.uint8Array({ minLength: 1, maxLength: 40 })), { maxLength: 6 }),
      fc.constantFrom(1, 1, 1, 0xffffffff, 7),
      fc.tuple(address, address, address),
      fc.constantFrom<Content['type']>('none', 'gzip', 'app'),
      async (core, patches, action, args, planted) => {
        const flash = new Uint8Array(0x80000).fill(0xff);
        for (const [at, bytes] of patches) flash.set(bytes.subarray(0, flash.length - at), at);
        if (planted === 'gzip') flash.set([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 5], (args[0] % flash.length) & ~0xfff);
        if (planted === 'app') flash.set([0xe9, 3], 0x1000);
        const run = await bootOnce({ flash, rtcUser: commanded(action, ...args), core, maxSteps: 3e7 });
        expect(['boot', 'reset', 'exception', 'hang']).toContain(run.outcome);
        expect(run.entry !== undefined).toBe(run.outcome === 'boot');
      },
    ),
    { numRuns: 150 },
  );
});
