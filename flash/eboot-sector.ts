/**
 * Sector 0 of a firmware: which release's bootloader it holds, and a synthetic stand-in for each of them.
 *
 * The stand-in holds no LX106 code. It has the segment addresses, lengths, entry and checksums of the real build, so that
 * the ROM's banner reads as on a device; the rest is a text that says what it is, and zeros, which are the illegal
 * instruction (ILL = 00 00 00): whoever jumps into it gets exception 0 at once.
 *
 * Sources: spec chapter 07 §8.1 (the builds), chapter 01 §8.3 (the banner's checksums), §9.1 (segments, filler).
 */
import { referenceKernels } from '../assembly/host/reference.ts';
import { APP_START_OFFSET } from './geometry.ts';
import {
  EMBEDDED_IN_APP,
  EMBEDDED_IN_BOOT_SECTOR,
  type EmbeddedPosition,
  encodeImage,
  xorChecksum,
} from './image-assemble.ts';
import {
  CHECKSUM_START,
  type FlashMode,
  IMAGE_HEADER_BYTES,
  IMAGE_MAGIC,
  SEGMENT_HEADER_BYTES,
  wordAt,
} from './image-header.ts';

export const EBOOT_TEXT_ADDRESS = 0x4010f000;
export const EBOOT_RODATA_ADDRESS = 0x3fff20b8;
const EBOOT_RODATA_BYTES = 40;
const SECTOR_FILLER = 0xaa;

/** One of the eleven builds that cover every release. */
export interface EbootBuild {
  /** The row's name in spec chapter 07 §8.1: a release, or `master`. */
  readonly build: string;
  readonly releases: string;
  readonly entry: number;
  readonly textBytes: number;
  /** Running checksum after `.text`, as the ROM prints it. */
  readonly textChecksum: number;
  /** 40 bytes of `.rodata`, as a second segment. */
  readonly hasRodata: boolean;
  /** After the last segment. */
  readonly checksum: number;
  readonly textMd5: string;
  /** Where images of these cores keep length and CRC. */
  readonly embeddedAt: EmbeddedPosition | undefined;
}

type Row = readonly [
  build: string,
  releases: string,
  entry: number,
  textBytes: number,
  textChecksum: number,
  checksum: number,
  textMd5: string,
];

const oneSegment: readonly Row[] = [
  ['2.0.0', '2.0.0, 2.1.0', 0x4010f240, 1264, 0x42, 0x42, '78e382ad46e68f4a369ee965c827b687'],
  ['2.2.0', '2.2.0', 0x4010f240, 1264, 0x0f, 0x0f, '1819b7e8fda5bca8f2b9bf1aca0b6280'],
  ['2.3.0', '2.3.0 – 2.6.2', 0x4010f29c, 1384, 0x2d, 0x2d, '97a79cd6070276dffa564e89b02f570e'],
  ['2.6.3', '2.6.3', 0x4010f29c, 1392, 0xd0, 0xd0, 'ed981594f545b858ccc48e568b294736'],
  ['2.7.0', '2.7.0', 0x4010f42c, 3656, 0x0c, 0x0c, 'a31c456d511654ede86edff641daf83d'],
  ['2.7.1', '2.7.1', 0x4010f3e4, 3456, 0x84, 0x84, '771e3dcdfe17edc301092091c9fdc7a5'],
  ['2.7.2', '2.7.2', 0x4010f45c, 3664, 0xee, 0xee, '9ffdc2772e1a4901b04d314f405b58fe'],
  ['2.7.4', '2.7.3, 2.7.4', 0x4010f45c, 3584, 0xb0, 0xb0, 'aecab4b6410b95aa79536e4f3dd987eb'],
];
const twoSegments: readonly Row[] = [
  ['3.0.2', '3.0.0 – 3.0.2', 0x4010f494, 3460, 0xcc, 0xc9, '53e92ce815c945852a776cd7f27dfc2e'],
  ['3.1.2', '3.1.0 – 3.1.2', 0x4010f480, 3424, 0x2e, 0x2b, '514cea1e509db2869ca407f24d30d289'],
  ['master', 'master (2023-03 and later)', 0x4010f474, 3408, 0xa2, 0xa7, '3b87e2be96f76ccc1ad2ad30895bd598'],
];

/** Every build, oldest first. */
export const ebootBuilds: readonly EbootBuild[] = [...oneSegment, ...twoSegments].map((row) => {
  const [build, releases, entry, textBytes, textChecksum, checksum, textMd5] = row;
  const hasRodata = twoSegments.includes(row);
  const embeddedAt = hasRodata ? EMBEDDED_IN_APP : build.startsWith('2.7.') ? EMBEDDED_IN_BOOT_SECTOR : undefined;
  return { build, releases, entry, textBytes, textChecksum, hasRodata, checksum, textMd5, embeddedAt };
});

/** The first release that has the build, as a number for comparing; `master` is newer than all. */
const firstRelease: readonly (readonly [from: number, build: string])[] = [
  [20000, '2.0.0'],
  [20200, '2.2.0'],
  [20300, '2.3.0'],
  [20603, '2.6.3'],
  [20700, '2.7.0'],
  [20701, '2.7.1'],
  [20702, '2.7.2'],
  [20703, '2.7.4'],
  [30000, '3.0.2'],
  [30100, '3.1.2'],
  [30103, 'master'],
];

/**
 * The build that a core's images carry.
 *
 * @param core `master` or a release from 2.0.0 on, `2.7.4`
 * @throws RangeError for anything else
 */
export function ebootBuildFor(core: string): EbootBuild {
  const version = /^(\d{1,2})\.(\d{1,2})\.(\d{1,2})$/.exec(core);
  const number = version ? Number(version[1]) * 10000 + Number(version[2]) * 100 + Number(version[3]) : 0;
  const name = core === 'master' ? 'master' : firstRelease.findLast(([from]) => number >= from)?.[1];
  const build = ebootBuilds.find((candidate) => candidate.build === name);
  if (!build)
    throw new RangeError(`core "${core.slice(0, 40)}": want master or a release from 2.0.0 on, such as 3.1.2`);
  return build;
}

/** How a synthetic sector is told from one with code: `.text` begins with this. */
const MARKER = 'esp8266-ota-emulator: no LX106 code here; the model engine boots this';

/**
 * A sector 0 for the images we build: 4096 bytes in the shape of a core's real boot sector, without its code.
 *
 * @param core as {@link ebootBuildFor} takes it
 * @param flashSize bytes, for the header
 */
export function syntheticEboot(core: string, mode: FlashMode, flashSize: number, freqMHz: number): Uint8Array {
  const build = ebootBuildFor(core);
  const text = filledTo(build.textBytes, `${MARKER}\nin the place of the eboot of core ${build.build}\n`);
  balance(text, CHECKSUM_START, build.textChecksum);
  const segments = [{ address: EBOOT_TEXT_ADDRESS, data: text }];
  if (build.hasRodata) {
    const rodata = filledTo(EBOOT_RODATA_BYTES, 'esp8266-ota-emulator, no code');
    balance(rodata, build.textChecksum, build.checksum);
    segments.push({ address: EBOOT_RODATA_ADDRESS, data: rodata });
  }
  const sector = new Uint8Array(APP_START_OFFSET).fill(SECTOR_FILLER);
  sector.set(encodeImage({ mode, flashSize, freqMHz, entry: build.entry, segments }));
  return sector;
}

function filledTo(bytes: number, text: string): Uint8Array {
  const data = new Uint8Array(bytes);
  data.set(new TextEncoder().encode(text));
  return data;
}

/** Sets the last byte so that the running checksum comes out as wanted. */
function balance(data: Uint8Array, before: number, after: number): void {
  data[data.length - 1] = 0;
  data[data.length - 1] = xorChecksum(data, before) ^ after;
}

export interface EbootIdentity {
  readonly build: string;
  readonly releases: string;
  /** Made by {@link syntheticEboot}: there is nothing to execute. */
  readonly synthetic: boolean;
  /** Byte for byte the known code (or ours). Otherwise length and entry fit, but something was changed. */
  readonly exact: boolean;
}

/**
 * True when the boot sector is one of ours, so that only the model engine can boot it.
 *
 * @param sector0 the first bytes of a chip or file; any length
 */
export function isSyntheticEboot(sector0: Uint8Array): boolean {
  const at = IMAGE_HEADER_BYTES + SEGMENT_HEADER_BYTES;
  if (sector0[0] !== IMAGE_MAGIC || sector0.length < at + MARKER.length) return false;
  for (let i = 0; i < MARKER.length; i++) if (sector0[at + i] !== MARKER.charCodeAt(i)) return false;
  return true;
}

/**
 * Which build the boot sector holds, by `.text` length and entry, and where two builds share those by the MD5 of `.text`
 * or the checksum. Undefined for anything unknown, which is to be executed, not guessed.
 *
 * @param sector0 the first 4096 bytes of a chip or file; fewer, or any others, are unknown
 */
export function recogniseEboot(sector0: Uint8Array): EbootIdentity | undefined {
  const at = IMAGE_HEADER_BYTES + SEGMENT_HEADER_BYTES;
  if (sector0.length < APP_START_OFFSET || sector0[0] !== IMAGE_MAGIC) return undefined;
  if (wordAt(sector0, 8) !== EBOOT_TEXT_ADDRESS) return undefined;
  const textBytes = wordAt(sector0, 12);
  const entry = wordAt(sector0, 4);
  const fitting = ebootBuilds.filter((build) => build.textBytes === textBytes && build.entry === entry);
  if (fitting.length === 0) return undefined;
  const text = sector0.subarray(at, at + textBytes);
  const synthetic = isSyntheticEboot(sector0);
  const checksum = xorChecksum(text);
  const md5 = synthetic ? '' : md5Hex(text);
  const known = synthetic
    ? fitting.find((build) => sameText(text, build.build))
    : fitting.find((build) => build.textMd5 === md5);
  const build = known ?? fitting.find((candidate) => candidate.textChecksum === checksum) ?? fitting[0]!;
  return { build: build.build, releases: build.releases, synthetic, exact: known !== undefined };
}

function sameText(text: Uint8Array, build: string): boolean {
  const ours = syntheticEboot(build, 'dio', 0x400000, 40).subarray(IMAGE_HEADER_BYTES + SEGMENT_HEADER_BYTES);
  return text.every((byte, i) => byte === ours[i]);
}

const md5Hex = (data: Uint8Array): string =>
  Array.from(referenceKernels().md5().update(data).digest(), (byte) => byte.toString(16).padStart(2, '0')).join('');
