/** Synthetic boot sectors, and recognising real ones. Spec chapter 01 §8.2, §8.3; chapter 07 §8.1. */
import { describe, expect, test } from 'vitest';
import {
  ebootBuildFor,
  ebootBuilds,
  isSyntheticEboot,
  recogniseEboot,
  syntheticEboot,
} from '../../flash/eboot-sector.ts';
import { parsePart } from '../../flash/image-part.ts';
import { patched } from '../support/images.ts';

const hex = (value: number): string => `0x${value.toString(16).padStart(2, '0')}`;

/** What the ROM prints while it loads the image at 0, by the arithmetic of chapter 01 §8.2. */
function banner(sector: Uint8Array): string[] {
  const lines: string[] = [];
  const { segments } = parsePart(sector, 0, () => {})!;
  let consumed = 0;
  let sum = 0xef;
  for (const { address, length, dataAt } of segments) {
    const room = 16 - consumed;
    const tail = length >= room ? (length - room) % 16 : length;
    lines.push(`load 0x${address.toString(16)}, len ${length}, room ${room} `, `tail ${tail}`);
    for (const byte of sector.subarray(dataAt, dataAt + length)) sum ^= byte;
    lines.push(`chksum ${hex(sum)}`);
    consumed = tail + 8 <= 16 ? tail + 8 : 8 - (16 - tail);
  }
  return [...lines, `csum ${hex(sum)}`];
}

const one = (length: number, tail: number, sum: string): string[] => [
  `load 0x4010f000, len ${length}, room 16 `,
  `tail ${tail}`,
  `chksum ${sum}`,
  `csum ${sum}`,
];

/** Chapter 01 §8.3. */
const banners: [core: string, lines: string[]][] = [
  ['2.0.0', one(1264, 0, '0x42')],
  ['2.1.0', one(1264, 0, '0x42')],
  ['2.2.0', one(1264, 0, '0x0f')],
  ['2.3.0', one(1384, 8, '0x2d')],
  ['2.6.2', one(1384, 8, '0x2d')],
  ['2.6.3', one(1392, 0, '0xd0')],
  ['2.7.0', one(3656, 8, '0x0c')],
  ['2.7.1', one(3456, 0, '0x84')],
  ['2.7.2', one(3664, 0, '0xee')],
  ['2.7.3', one(3584, 0, '0xb0')],
  ['2.7.4', one(3584, 0, '0xb0')],
  [
    '3.0.2',
    [
      'load 0x4010f000, len 3460, room 16 ',
      'tail 4',
      'chksum 0xcc',
      'load 0x3fff20b8, len 40, room 4 ',
      'tail 4',
      'chksum 0xc9',
      'csum 0xc9',
    ],
  ],
  [
    '3.1.0',
    [
      'load 0x4010f000, len 3424, room 16 ',
      'tail 0',
      'chksum 0x2e',
      'load 0x3fff20b8, len 40, room 8 ',
      'tail 0',
      'chksum 0x2b',
      'csum 0x2b',
    ],
  ],
  [
    'master',
    [
      'load 0x4010f000, len 3408, room 16 ',
      'tail 0',
      'chksum 0xa2',
      'load 0x3fff20b8, len 40, room 8 ',
      'tail 0',
      'chksum 0xa7',
      'csum 0xa7',
    ],
  ],
];

test.each(banners)('the ROM prints for core %s what it prints on a device', (core, lines) => {
  const sector = syntheticEboot(core, 'dio', 0x400000, 40);
  expect(sector.length).toBe(4096);
  expect(banner(sector)).toEqual(lines);
  const { checksum, end } = parsePart(sector, 0, () => {})!;
  expect(checksum?.given).toBe(checksum?.computed);
  expect(sector.subarray(end).every((byte) => byte === 0xaa)).toBe(true);
});

test('the headers of master are those of the real build', () => {
  const sector = Buffer.from(syntheticEboot('master', 'dio', 0x400000, 40));
  expect(sector.subarray(0, 16).toString('hex')).toBe('e902024074f4104000f01040500d0000');
  expect(sector.subarray(3424, 3432).toString('hex')).toBe('b820ff3f28000000');
  expect([...sector.subarray(3488)].every((byte) => byte === 0xaa)).toBe(true);
});

describe.each(ebootBuilds.map(({ build }) => build))('build %s', (build) => {
  const { entry, textBytes } = ebootBuildFor(build);
  const sector = syntheticEboot(build, 'qio', 0x100000, 80);
  const text = sector.subarray(16, 16 + textBytes);

  test('holds no code: a readable text, zeros, and the byte that makes the checksum', () => {
    const end = text.indexOf(0);
    expect(Buffer.from(text.subarray(0, end)).toString('latin1')).toBe(
      `esp8266-ota-emulator: no LX106 code here; the model engine boots this\nin the place of the eboot of core ${build}\n`,
    );
    expect(text.subarray(end, -1).every((byte) => byte === 0)).toBe(true);
    expect([...text.subarray(entry - 0x4010f000, entry - 0x4010f000 + 3)]).toEqual([0, 0, 0]); // ILL
  });

  test('is known, and known to be ours', () => {
    expect(isSyntheticEboot(sector)).toBe(true);
    expect(recogniseEboot(sector)).toEqual({
      build,
      releases: ebootBuildFor(build).releases,
      synthetic: true,
      exact: true,
    });
  });

  test('without the text it is taken for a changed real one', () => {
    const other = patched(sector, 16, 0, 0);
    expect(isSyntheticEboot(other)).toBe(false);
    expect(recogniseEboot(other)).toMatchObject({ synthetic: false, exact: false });
  });

  test('with another length or entry it is unknown', () => {
    expect(recogniseEboot(patched(sector, 4, sector[4]! ^ 4))).toBeUndefined();
    expect(recogniseEboot(patched(sector, 12, sector[12]! ^ 4))).toBeUndefined();
    expect(recogniseEboot(sector.subarray(0, 4095))).toBeUndefined();
  });
});

test('every build has another sector, so that an update between eras rewrites it', () => {
  const sectors = ebootBuilds.map(({ build }) =>
    Buffer.from(syntheticEboot(build, 'dio', 0x400000, 40)).toString('hex'),
  );
  expect(new Set(sectors).size).toBe(11);
});

test.each([
  ['2.0.0', '2.0.0'],
  ['2.1.0', '2.0.0'],
  ['2.2.0', '2.2.0'],
  ['2.4.2', '2.3.0'],
  ['2.6.2', '2.3.0'],
  ['2.7.3', '2.7.4'],
  ['3.0.0', '3.0.2'],
  ['3.1.1', '3.1.2'],
  ['3.2.0', 'master'],
  ['master', 'master'],
])('core %s has the eboot of %s', (core, build) => {
  expect(ebootBuildFor(core).build).toBe(build);
});

test.each(['1.0.0', '', '2', '2.x', 'v3.0.0', '3.0.0-beta'])('core "%s" is refused', (core) => {
  expect(() => ebootBuildFor(core)).toThrow(RangeError);
});
