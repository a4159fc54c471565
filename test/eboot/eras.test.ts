/** The matrix of spec chapter 07 §8.3: what eleven builds of the bootloader do in thirteen situations. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bootOnce } from '../../eboot/boot-once.ts';
import { CORE_VERSIONS, ERAS, type EraName, eraOf } from '../../eboot/eras.ts';
import { expectBytes } from '../support/flash.ts';
import { build, buildFlash, buildRtc, type Content, type Recipe } from '../support/golden-flash.ts';

const STAGING = 0x80000;
const SIZE = 0x400000;
const OLD_ENTRY = 0x40100004;
const NEW_ENTRY = 0x40100100;
const OTHER_ENTRY = 0x40100200;

const app = (entry: number, seed: number): Content => ({
  type: 'app',
  entry,
  segments: [
    { address: 0x40100000, data: { type: 'prng', seed, size: 512 } },
    { address: 0x3ffe8000, data: { type: 'prng', seed: seed + 1, size: 128 } },
  ],
});

/** Three sectors with an application: what is staged. */
const NEW_IMAGE: Content = {
  type: 'image',
  size: 0x3000,
  parts: [
    { at: 0, type: 'prng', seed: 2, size: 4096 },
    { ...app(NEW_ENTRY, 20), at: 4096 },
    { at: 4800, type: 'prng', seed: 3, size: 7488 },
  ],
};
const newImage = build(NEW_IMAGE);

/** The stream of a golden trace: three sectors in 6057 bytes. */
const trace = JSON.parse(readFileSync(new URL('../golden/eboot/gzip-3-sectors.json', import.meta.url), 'utf8'));
const GZIP = trace.recipe.flash.parts.at(-1) as Content;
const gzip = build(GZIP);
const unpacked = build(trace.about.plain as Content);

interface Situation {
  staged?: Content[];
  command?: { magic?: number; action?: number; args: number[]; crc?: { xor: number } };
}

function start({ staged = [], command }: Situation): { flash: Uint8Array; rtcUser: Uint8Array } {
  const parts = [{ at: 0, type: 'prng', seed: 1, size: 4096 }, { ...app(OLD_ENTRY, 10), at: 4096 }, ...staged];
  const rtc: Recipe['rtc'] = { fill: 0 };
  if (command) rtc.command = { magic: 0xeb001000, action: 1, crc: 'good', ...command };
  const recipe: Recipe = { flash: { size: SIZE, fill: 255, parts }, rtc };
  return { flash: buildFlash(recipe), rtcUser: buildRtc(recipe) };
}

const ALL: EraName[] = [
  '2.0.0',
  '2.2.0',
  '2.3.0',
  '2.6.3',
  '2.7.0',
  '2.7.1',
  '2.7.2',
  '2.7.4',
  '3.0.2',
  '3.1.2',
  'master',
];
const NO_LINE: EraName[] = ['2.0.0', '2.2.0'];
const NO_GZIP: EraName[] = ['2.0.0', '2.2.0', '2.3.0', '2.6.3'];
const NEW: EraName[] = ['3.0.2', '3.1.2', 'master'];

/** The UART of every build: each value serves the builds of its key, ␍ and ␊ as in the spec, V for the `v` line. */
function expected(rows: Record<string, string>, version: number): Map<EraName, string> {
  const texts = new Map<EraName, string>();
  const line = `v${version.toString(16).padStart(8, '0')}\r\n`;
  for (const [builds, text] of Object.entries(rows)) {
    const plain = text.replaceAll('␍', '\r').replaceAll('␊', '\n').replace('V', line);
    for (const name of builds.split(', ')) texts.set(name as EraName, plain);
  }
  return texts;
}

const image: Situation['staged'] = [{ ...NEW_IMAGE, at: STAGING }];
const wordAt = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer).getUint32(at, true);
/** Flash afterwards, as the column `flash` says. */
type Check = (flash: Uint8Array, before: Uint8Array, build: EraName) => void;
const unchanged: Check = (flash, before) => expectBytes(flash, before);
const holds =
  (address: number, bytes: Uint8Array): Check =>
  (flash) =>
    expectBytes(flash.subarray(address, address + bytes.length), bytes);
const staged =
  (from: number, size = 0x3000): Check =>
  (flash, before) =>
    expectBytes(flash.subarray(0, size), before.subarray(from, from + size));
const blank = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0xff);

interface Row {
  name: string;
  start: Situation;
  uart: Record<string, string>;
  /** Entry of the jump, or `reset`. */
  end: (build: EraName) => number | 'reset';
  flash: Check;
}

const MIDDLE = '2.3.0, 2.6.3, 2.7.0, 2.7.1, 2.7.4';
const rows: Row[] = [
  {
    name: 'no command',
    start: {},
    uart: {
      '2.0.0, 2.2.0': '~ld␊',
      '2.3.0, 2.6.3, 2.7.0, 2.7.1, 2.7.2, 2.7.4': 'V~ld␊',
      '3.0.2, 3.1.2, master': 'V~ld␍␊',
    },
    end: () => OLD_ENTRY,
    flash: unchanged,
  },
  {
    name: 'raw copy of 3 sectors',
    start: { staged: image, command: { args: [STAGING, 0, 0x3000] } },
    uart: {
      '2.0.0, 2.2.0': '@cp:0␊ld␊',
      [MIDDLE]: 'V@cp:0␊ld␊',
      '2.7.2': 'V@cp:0␊cmp:0␊ld␊',
      '3.0.2, 3.1.2, master': 'V@cp:0␍␊ld␍␊',
    },
    end: () => NEW_ENTRY,
    flash: holds(0, newImage),
  },
  {
    name: 'gzip of 3 sectors',
    start: { staged: [{ ...GZIP, at: STAGING }], command: { args: [STAGING, 0, gzip.length] } },
    uart: {
      '2.0.0, 2.2.0': '@cp:0␊ld␊e:3␊',
      '2.3.0, 2.6.3': 'V@cp:0␊ld␊e:3␊',
      '2.7.0, 2.7.1, 2.7.4': 'V@cp:0␊ld␊',
      '2.7.2': 'V@cp:0␊cmp:0␊ld␊',
      '3.0.2, 3.1.2, master': 'V@cp:0␍␊ld␍␊',
    },
    end: (build) => (NO_GZIP.includes(build) ? 'reset' : NEW_ENTRY),
    flash: (flash, before, build) =>
      NO_GZIP.includes(build)
        ? staged(STAGING, 0x2000)(flash, before, build)
        : holds(0, unpacked)(flash, before, build),
  },
  {
    name: 'raw copy, sector 0 already equal',
    start: {
      staged: [
        { ...NEW_IMAGE, at: STAGING },
        { at: STAGING, type: 'prng', seed: 1, size: 4096 },
      ],
      command: { args: [STAGING, 0, 0x3000] },
    },
    uart: {
      '2.0.0, 2.2.0': '@cp:0␊ld␊',
      [MIDDLE]: 'V@cp:0␊ld␊',
      '2.7.2': 'V@cp:0␊cmp:0␊ld␊',
      '3.0.2, 3.1.2, master': 'V@cp:B0␍␊ld␍␊',
    },
    end: () => NEW_ENTRY,
    flash: staged(STAGING),
  },
  {
    name: 'source + 16 (0x80010)',
    start: { staged: image, command: { args: [STAGING + 16, 0, 0x3000] } },
    uart: {
      '2.0.0, 2.2.0': '@cp:0␊ld␊e:3␊',
      '2.3.0, 2.6.3': 'V@cp:0␊ld␊e:3␊',
      '2.7.0, 2.7.1, 2.7.4': 'V@cp:1␊',
      '2.7.2': 'V@cp:1␊cmp:1␊',
      '3.0.2, 3.1.2, master': 'V@cp:1␍␊',
    },
    end: () => 'reset',
    flash: (flash, before, build) => (NO_GZIP.includes(build) ? staged(STAGING + 16) : unchanged)(flash, before, build),
  },
  {
    name: 'source 0x3FF000, 3 sectors (runs past 4 MiB)',
    start: { staged: [{ at: 0x3ff000, type: 'prng', seed: 9, size: 4096 }], command: { args: [0x3ff000, 0, 0x3000] } },
    uart: {
      '2.0.0, 2.2.0': '@cp:3␊',
      [MIDDLE]: 'V@cp:3␊',
      '2.7.2': 'V@cp:3␊cmp:3␊',
      '3.0.2, 3.1.2, master': 'V@cp:3␍␊',
    },
    end: () => 'reset',
    flash: (flash, before, build) => {
      staged(0x3ff000, 4096)(flash, before, build);
      if (NEW.includes(build)) expectBytes(flash.subarray(0x1000), before.subarray(0x1000));
      else expect(blank(flash.subarray(0x1000, 0x2000))).toBe(true);
    },
  },
  {
    name: 'destination 0x3FF000, 3 sectors',
    start: { staged: image, command: { args: [STAGING, 0x3ff000, 0x3000] } },
    uart: {
      '2.0.0, 2.2.0': '@cp:2␊',
      [MIDDLE]: 'V@cp:2␊',
      '2.7.2': 'V@cp:2␊cmp:2␊',
      '3.0.2, 3.1.2, master': 'V@cp:2␍␊',
    },
    end: () => 'reset',
    flash: holds(0x3ff000, newImage.subarray(0, 4096)),
  },
  {
    name: 'gzip, bytes 200–399 of the stream 0xFF',
    start: {
      staged: [{ ...GZIP, at: STAGING, patch: [{ at: 200, hex: 'ff'.repeat(200) }] }],
      command: { args: [STAGING, 0, gzip.length] },
    },
    uart: {
      '2.0.0, 2.2.0': '@cp:0␊ld␊e:3␊',
      '2.3.0, 2.6.3': 'V@cp:0␊ld␊e:3␊',
      '2.7.0, 2.7.1, 2.7.4': 'V@cp:0␊ld␊e:3␊',
      '2.7.2': 'V@cp:0␊cmp:0␊ld␊e:3␊',
      '3.0.2, 3.1.2, master': 'V@cp:0␍␊ld␍␊e:3␍␊',
    },
    end: () => 'reset',
    flash: (flash, before, build) => {
      if (NO_GZIP.includes(build)) staged(STAGING, 0x2000)(flash, before, build);
      else expect(Buffer.compare(flash.subarray(0, 0x3000), unpacked)).not.toBe(0);
    },
  },
  {
    name: 'command CRC wrong',
    start: { staged: image, command: { args: [STAGING, 0, 0x3000], crc: { xor: 1 } } },
    uart: {
      '2.0.0, 2.2.0': '~ld␊',
      '2.3.0, 2.6.3, 2.7.0, 2.7.1, 2.7.2, 2.7.4': 'V~ld␊',
      '3.0.2, 3.1.2, master': 'V~ld␍␊',
    },
    end: () => OLD_ENTRY,
    flash: unchanged,
  },
  {
    name: 'magic 0xEB002000, CRC right',
    start: { staged: image, command: { magic: 0xeb002000, args: [STAGING, 0, 0x3000] } },
    uart: {
      '2.0.0, 2.2.0': '@cp:0␊ld␊',
      '2.3.0, 2.6.3': 'V@cp:0␊ld␊',
      '2.7.0, 2.7.1, 2.7.2, 2.7.4': 'V~ld␊',
      '3.0.2, 3.1.2, master': 'V~ld␍␊',
    },
    end: (build) => (NO_GZIP.includes(build) ? NEW_ENTRY : OLD_ENTRY),
    flash: (flash, before, build) => (NO_GZIP.includes(build) ? holds(0, newImage) : unchanged)(flash, before, build),
  },
  {
    name: 'action 9',
    start: { staged: image, command: { action: 9, args: [STAGING, 0, 0x3000] } },
    uart: { '2.0.0, 2.2.0': '@', '2.3.0, 2.6.3, 2.7.0, 2.7.1, 2.7.2, 2.7.4, 3.0.2, 3.1.2, master': 'V@' },
    end: () => 'reset',
    flash: unchanged,
  },
  {
    name: 'load-app command, base 0x40000',
    start: { staged: [{ ...app(OTHER_ENTRY, 40), at: 0x41000 }], command: { action: 0xffffffff, args: [0x40000] } },
    uart: {
      '2.0.0, 2.2.0': '@ld␊',
      '2.3.0, 2.6.3, 2.7.0, 2.7.1, 2.7.2, 2.7.4': 'V@ld␊',
      '3.0.2, 3.1.2, master': 'V@ld␍␊',
    },
    end: () => OTHER_ENTRY,
    flash: unchanged,
  },
  {
    name: 'raw copy of 2 sectors to 0xC0000',
    start: { staged: image, command: { args: [STAGING, 0xc0000, 0x2000] } },
    uart: {
      '2.0.0, 2.2.0': '@cp:0␊ld␊',
      [MIDDLE]: 'V@cp:0␊ld␊',
      '2.7.2': 'V@cp:0␊cmp:0␊ld␊',
      '3.0.2, 3.1.2, master': 'V@cp:0␍␊ld␍␊',
    },
    end: () => NEW_ENTRY,
    flash: holds(0xc0000, newImage.subarray(0, 0x2000)),
  },
];

describe.each(rows)('$name', (row) => {
  const origin = start(row.start);
  const texts = expected(row.uart, wordAt(origin.flash, 0x1010));
  test.each(ALL)('%s', async (core) => {
    const { flash, rtcUser } = { flash: origin.flash.slice(), rtcUser: origin.rtcUser.slice() };
    const run = await bootOnce({ flash, rtcUser, core });
    expect(run.uart).toBe(texts.get(core));
    const end = row.end(core);
    if (end === 'reset') expect(run.outcome).toBe('reset');
    else expect(run).toMatchObject({ outcome: 'boot', entry: end });
    row.flash(flash, origin.flash, core);
  });
});

describe('what the matrix does not show', () => {
  const origin = start({ staged: image, command: { args: [STAGING, 0, 0x3000] } });

  test.each(ALL)('%s: when the command is cleared, and in which order a sector is handled', async (core) => {
    const erasesFirst = eraOf(core).erasesFirst;
    const { flash, rtcUser } = { flash: origin.flash.slice(), rtcUser: origin.rtcUser.slice() };
    const run = await bootOnce({ flash, rtcUser, core, cut: { atOp: 0, when: 'before' } });
    expect(run.outcome).toBe('powercut');
    const clearedBefore = ['2.0.0', '2.2.0', '2.3.0'].includes(core);
    expect(rtcUser.subarray(0, 4)).toEqual(clearedBefore ? new Uint8Array(4) : origin.rtcUser.subarray(0, 4));
    // An unreadable source: the builds that erase first have erased by then.
    const far = start({ command: { args: [0x400000, 0x1000, 0x1000] } });
    const failed = await bootOnce({ ...far, core });
    expect(failed.flashOps).toEqual(erasesFirst ? [['erase', 0x1000, 4096]] : []);
  });

  test.each(ALL)('%s: an invalid command is cleared by 2.0.0 only', async (core) => {
    const { flash, rtcUser } = start({ command: { args: [STAGING, 0, 0x3000], crc: { xor: 1 } } });
    await bootOnce({ flash, rtcUser, core });
    expect(wordAt(rtcUser, 0)).toBe(core === '2.0.0' ? 0 : 0xeb001000);
  });

  test.each(ALL)('%s: every build stops the watchdog; only master passes arguments when it starts it', async (core) => {
    const run = await bootOnce({ flash: origin.flash.slice(), rtcUser: origin.rtcUser.slice(), core });
    const once = ['disable', core === 'master' ? 'enable 4 12 12' : 'enable 0'];
    expect(run.watchdog).toEqual(core === '2.7.2' ? [...once, ...once] : once);
  });

  test.each(ALL)('%s: a size of 0x80000000 is negative since 2.7.0, huge before', async (core) => {
    const { flash, rtcUser } = start({ command: { args: [0x80000, 0x3ff000, 0x80000000] } });
    const run = await bootOnce({ flash, rtcUser, core });
    // Measured: the old builds take the size as unsigned and copy until something fails.
    const unsigned = NO_GZIP.includes(core);
    expect(run.uart).toContain(unsigned ? 'cp:2' : 'cp:0');
    expect(run.flashOps).toHaveLength(unsigned ? 3 : 0);
  });

  test.each(ALL)('%s: odd addresses are refused by all, unaligned ones by 2.7.0 and later', async (core) => {
    const results: string[] = [];
    for (const [source, destination] of [
      [STAGING + 1, 0],
      [STAGING, 1],
      [STAGING + 2, 0],
      [STAGING, 2],
    ] as const) {
      const { flash, rtcUser } = start({ staged: image, command: { args: [source, destination, 4096] } });
      results.push(/cp:(\d)/.exec((await bootOnce({ flash, rtcUser, core })).uart)![1]!);
    }
    expect(results).toEqual(NO_GZIP.includes(core) ? ['1', '1', '0', '0'] : ['1', '1', '1', '1']);
  });

  test.each(ALL)('%s: instruction RAM is loaded up to 48 KiB, before 3.0.0 up to 32 KiB', async (core) => {
    // A segment of 5 MiB cannot be read: where it would be loaded the code is 3, where it is skipped 2.
    const codes: string[] = [];
    for (const address of [
      0x3ffffffc, 0x40000000, 0x400ffffc, 0x40100000, 0x40107ffc, 0x40108000, 0x4010bffc, 0x4010c000, 0x5ffffffc,
      0x60000000,
    ]) {
      const broken: Content = {
        type: 'app',
        at: 4096,
        entry: 0,
        segments: [{ address, size: 0x500000 }, { address: 0 }],
      };
      const { flash, rtcUser } = start({ staged: [broken] });
      codes.push(/e:(\d)/.exec((await bootOnce({ flash, rtcUser, core })).uart)![1]!);
    }
    expect(codes.join('')).toBe(NEW.includes(core) ? '3223333223' : '3223322223');
  });

  test('2.7.2 compares and gives up when the copy has overwritten its source', async () => {
    const { flash, rtcUser } = start({
      staged: [{ at: 0x2000, type: 'prng', seed: 4, size: 0x4000 }],
      command: { args: [0x2000, 0, 0x4000] },
    });
    const run = await bootOnce({ flash, rtcUser, core: '2.7.2' });
    expect(run).toMatchObject({ outcome: 'reset', watchdog: ['disable', 'enable 0', 'disable', 'enable 9'] });
    expect(run.uart).toMatch(/@cp:0\ncmp:9\n$/);
  });
});

describe('versions', () => {
  test('every release from 2.0.0 on has a build', () => {
    expect(ERAS.map((era) => era.name)).toEqual(ALL);
    expect(new Set(CORE_VERSIONS).size).toBe(CORE_VERSIONS.length);
    expect(
      [['2.1.0'], ['2.4.2'], ['2.6.2'], ['2.7.3'], ['3.0.0'], ['3.1.1'], ['master']].map(([v]) => eraOf(v!).name),
    ).toEqual(['2.0.0', '2.3.0', '2.3.0', '2.7.4', '3.0.2', '3.1.2', 'master']);
    expect(NO_LINE.every((name) => !eraOf(name).versionLine)).toBe(true);
  });

  test.each(['1.6.5', '2.6', '4.0.0', ''])('core "%s" is refused with what is known', (version) => {
    expect(() => eraOf(version)).toThrow(/unknown; known are 2\.0\.0, .*, master$/);
  });
});
