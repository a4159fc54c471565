/**
 * What the real core did to the flash, as recorded (spec: golden-wire; names of the files in the first column): the same
 * image through our Updater must leave the same erases, the same bytes and the same eboot command.
 */
import { expect, test } from 'vitest';
import { U_FLASH, U_FS } from '../../ota-services/updater.ts';
import {
  erases,
  faultAt,
  makeRig,
  md5Hex,
  patternBytes,
  type RigOptions,
  sha256Hex,
  sketchBytes,
} from '../support/updater.ts';

interface Recording {
  name: string;
  /** Length of the image; `magic` undefined: pattern only. */
  length: number;
  magic?: number;
  announced?: number;
  command?: number;
  /** Hash of the image itself. */
  md5: string;
  /** First and last sector erased. */
  sectors: [first: number, last: number];
  eboot?: [source: number, destination: number, size: number];
  staged?: { sha256: string; length: number };
  error?: number;
  options?: RigOptions;
}

const fw5000 = 'c33b17e9393c109d161d353058627093';
const fw5000staged = 'cdfe2e23fcf8ceaa437fb32c881a8aae029e36f51a703428a5cbe939baa1ba31';

const recordings: Recording[] = [
  {
    name: 'ota-ok-1460-lockstep',
    length: 5000,
    magic: 0xe9,
    md5: fw5000,
    sectors: [510, 511],
    eboot: [2088960, 0, 5000],
    staged: { sha256: fw5000staged, length: 5000 },
  },
  {
    name: 'http-post-ok',
    length: 5000,
    magic: 0xe9,
    announced: 1789952, // free sketch space less a sector: the web server does not know the size
    md5: fw5000,
    sectors: [75, 76],
    eboot: [307200, 0, 5000],
    staged: { sha256: fw5000staged, length: 5000 },
  },
  {
    name: 'hu-200-good-100k',
    length: 102400,
    magic: 0xe9,
    md5: '895fd121a1df891701d17e1f6524c3a4',
    sectors: [487, 511],
    eboot: [1994752, 0, 102400],
    staged: { sha256: '261fb11ae100e0f4a760b37214b9e28fb5ac57f133e3045af179997c8869c1eb', length: 102400 },
  },
  {
    name: 'ota-wrong-magic',
    length: 5000,
    magic: 0,
    md5: 'a9e6f524bf74abd3b097a87bf9d30fa3',
    sectors: [510, 511],
    error: 10,
  },
  {
    name: 'ota-fs-ok',
    length: 9000,
    command: U_FS,
    md5: 'd00223fa02549aba898388a89eb769ae',
    sectors: [512, 514],
    staged: { sha256: 'e2a82d69a6944d80c10ca1279a40ece26ac526434b5e9ed52e6591d3f3db760a', length: 9000 },
  },
  {
    name: 'hu-200-erase-fails',
    length: 12000,
    magic: 0xe9,
    md5: '3302b4774c0f62c067bdab65ac741cda',
    sectors: [509, 509],
    error: 2,
    options: { faults: faultAt('erase', 0) },
  },
  {
    name: 'http-post-write-fails-then-get',
    length: 12000,
    magic: 0xe9,
    announced: 1789952,
    md5: '3302b4774c0f62c067bdab65ac741cda',
    sectors: [75, 76],
    staged: { sha256: 'c8196abe8e56886eed0a9940592216a3238619111f9a44a12ce0733b28f3b2db', length: 5120 },
    error: 1,
    // The recording fails the SDK write after the 20th. The first sector took 17, its empty one included: so 19 pages hold.
    options: { faults: faultAt('program', 19) },
  },
];

test.each(recordings)(
  '$name',
  async ({ length, magic, announced, command = U_FLASH, md5, sectors, eboot, staged, error, options }) => {
    const image = magic === undefined ? patternBytes(length) : sketchBytes(length, { magic, mode: 3 });
    expect(md5Hex(image)).toBe(md5);
    const rig = makeRig({ sketchSize: 300_000, mode: 3, ...options });
    expect(await rig.update.begin(announced ?? length, command)).toBe(true);
    for (let offset = 0; offset < length; offset += 1460) await rig.update.write(image.subarray(offset, offset + 1460));
    expect(await rig.update.end(announced !== undefined)).toBe(error === undefined);
    expect(rig.update.getError()).toBe(error ?? 0);
    const [first, last] = sectors;
    expect(erases(rig)).toEqual(Array.from({ length: last - first + 1 }, (_, i) => (first + i) * 4096));
    expect(rig.commands.map(({ source, destination, size }) => [source, destination, size])).toEqual(
      eboot ? [eboot] : [],
    );
    if (staged) expect(sha256Hex(rig.chip.peek(first * 4096, staged.length))).toBe(staged.sha256);
  },
);

test('recorded: a last piece of odd length is written in whole words; MD5 and command keep the exact length', async () => {
  for (const [length, words] of [
    [1, 4],
    [5019, 5020],
  ] as const) {
    const image = sketchBytes(length);
    const rig = makeRig();
    await rig.update.begin(length);
    rig.update.setMD5(md5Hex(image));
    await rig.update.write(image);
    expect(await rig.update.end()).toBe(true);
    const { source, size } = rig.commands[0]!;
    expect(size).toBe(length);
    const writes = rig.calls.filter(([kind]) => kind === 'write');
    expect(writes.reduce((sum, [, , bytes]) => sum + bytes, 0)).toBe(words);
    expect([...rig.chip.peek(source + length - 1, 3)]).toEqual([image.at(-1), 0xff, 0xff]);
  }
});
