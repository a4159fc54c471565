/**
 * Eleven builds of eboot cover every release of the core. Source: spec chapter 07 §8.1, §8.2. The RAM addresses, the end of
 * the IRAM window, and of the builds before 2.7.0 the rules for odd addresses and odd magic words and the unsigned size,
 * were measured by
 * running the builds.
 */

import type { UndecodableDistance } from './inflate.ts';

/** A build, named after the release that the spec names it by. */
export type EraName =
  | '2.0.0'
  | '2.2.0'
  | '2.3.0'
  | '2.6.3'
  | '2.7.0'
  | '2.7.1'
  | '2.7.2'
  | '2.7.4'
  | '3.0.2'
  | '3.1.2'
  | 'master';

/** Where a build keeps what outlives a call: only matters for what uncleared RAM shows. CPU addresses. */
export interface EraRam {
  /** 4096 bytes: the sector on its way from source to destination (stack). */
  readonly sector: number;
  /** 8 bytes: the image header while an application is loaded (stack). */
  readonly imageHeader: number;
  /** 8 bytes: the segment header (stack). */
  readonly segmentHeader: number;
  /** 8 bytes: flash position and number of the segment, for builds that keep them on the stack meanwhile. */
  readonly loop?: number;
  /** 4 bytes: where the loading function returns to when it fails (stack). */
  readonly returnAddress: number;
  /**
   * A segment that runs over the loader's own code kills it when it reaches this address: the lowest one that is still
   * used afterwards, when further segments follow and when it was the last.
   */
  readonly vital: { readonly more: number; readonly last: number };
  /** Only with gzip. */
  readonly unpack?: {
    /** 4 bytes: the word that single bytes are picked from (stack). */
    readonly word: number;
    /** 4096 bytes: input window. */
    readonly input: number;
    /** 32768 bytes: ring of the latest output. */
    readonly dictionary: number;
    /** The distance that an undecodable distance code stands for: what lies three places before the tables. */
    readonly undecodable: UndecodableDistance;
  };
  /** 4096 bytes: what the destination holds, for builds that compare. */
  readonly compare?: number;
}

export interface Era {
  readonly name: EraName;
  /** Releases with this build. */
  readonly versions: readonly string[];
  /** Prints `v%08x` with the word at flash 0x1010: the image length since 3.0.0, a version hash before. */
  readonly versionLine: boolean;
  /** How the lines after `cp:`, `ld`, `e:` end; the `v` line always ends CR LF. */
  readonly lineEnd: '\n' | '\r\n';
  /** The magic word is part of the validity check, under its mask; before 2.7.0 its lowest bit must be 0 and no more. */
  readonly magicChecked: boolean;
  /** When the command is cleared, seen from the copy. */
  readonly clears: 'before' | 'after';
  /** 2.0.0 clears even when there is no valid command. */
  readonly clearsInvalid: boolean;
  /** Recognises gzip in the staging area. */
  readonly gzip: boolean;
  /** Bits of source and destination that lead to code 1: builds before 2.7.0 refuse only odd addresses. */
  readonly alignmentMask: 0xfff | 1;
  /** The size is a signed number; before 2.7.0 it is not. */
  readonly signedSize: boolean;
  /** Erases a sector before its new content is read or inflated. */
  readonly erasesFirst: boolean;
  /** Leaves sector 0 alone when it is already equal, and prints `B`. */
  readonly comparesSector0: boolean;
  /** Reads everything back after the copy: `cmp:n`. */
  readonly verifies: boolean;
  /** Passes arguments to `ets_wdt_enable`; other builds leave in the registers what happens to be there: the result, then leftovers. */
  readonly watchdogArguments: boolean;
  /** Where the window of loadable instruction RAM ends: 48 KiB since 3.0.0, 32 KiB before. */
  readonly iramEnd: number;
  readonly ram: EraRam;
}

const OLDEST = {
  versionLine: false,
  lineEnd: '\n',
  magicChecked: false,
  clears: 'before',
  clearsInvalid: false,
  gzip: false,
  alignmentMask: 1,
  signedSize: false,
  erasesFirst: true,
  comparesSector0: false,
  verifies: false,
  watchdogArguments: false,
  iramEnd: 0x40108000,
} as const;
const GZIP = {
  ...OLDEST,
  versionLine: true,
  magicChecked: true,
  clears: 'after',
  gzip: true,
  alignmentMask: 0xfff,
  signedSize: true,
} as const;
const RODATA = {
  ...GZIP,
  lineEnd: '\r\n',
  erasesFirst: false,
  comparesSector0: true,
  iramEnd: 0x4010c000,
} as const;

const RAM_OLD = {
  sector: 0x3fffef00,
  imageHeader: 0x3fffff20,
  segmentHeader: 0x3fffff28,
  loop: 0x3fffff10,
  returnAddress: 0x3fffff4c,
};
const RAM_GZIP = {
  sector: 0x3fffea10,
  imageHeader: 0x3fffff48,
  segmentHeader: 0x3fffff40,
  returnAddress: 0x3fffff5c,
};
/** The bytes before the tables differ between 2.7.x and 3.x, where it is entry 27 of the lengths. */
const UNDECODABLE_2 = { base: 2827, extraBits: 1 };
const UNDECODABLE_3 = { base: 227, extraBits: 5 };
const UNPACK_3 = { word: 0x3fffe9f0, input: 0x3ffe8000, dictionary: 0x3ffe9004, undecodable: UNDECODABLE_3 };

/** Oldest first. 2.7.0 sends RDID through the SPI registers before a copy; the modelled chip answers, so it copies. */
export const ERAS: readonly Era[] = [
  {
    ...OLDEST,
    name: '2.0.0',
    versions: ['2.0.0', '2.1.0'],
    clearsInvalid: true,
    ram: { ...RAM_OLD, vital: { more: 0x4010f010, last: 0x4010f010 } },
  },
  {
    ...OLDEST,
    name: '2.2.0',
    versions: ['2.2.0'],
    ram: { ...RAM_OLD, vital: { more: 0x4010f010, last: 0x4010f010 } },
  },
  {
    ...OLDEST,
    name: '2.3.0',
    versions: ['2.3.0', '2.4.0', '2.4.1', '2.4.2', '2.5.0', '2.5.1', '2.5.2', '2.6.0', '2.6.1', '2.6.2'],
    versionLine: true,
    ram: { ...RAM_OLD, vital: { more: 0x4010f008, last: 0x4010f020 } },
  },
  {
    ...OLDEST,
    name: '2.6.3',
    versions: ['2.6.3'],
    versionLine: true,
    clears: 'after',
    ram: { ...RAM_OLD, vital: { more: 0x4010f008, last: 0x4010f020 } },
  },
  {
    ...GZIP,
    name: '2.7.0',
    versions: ['2.7.0'],
    ram: {
      sector: 0x3fffe9e0,
      imageHeader: 0x3fffff18,
      segmentHeader: 0x3fffff10,
      returnAddress: 0x3fffff2c,
      vital: { more: 0x4010f00c, last: 0x4010f02c },
      unpack: { word: 0x3fffe9c0, input: 0x3fff0000, dictionary: 0x3ffe8000, undecodable: UNDECODABLE_2 },
    },
  },
  {
    ...GZIP,
    name: '2.7.1',
    versions: ['2.7.1'],
    ram: {
      ...RAM_GZIP,
      vital: { more: 0x4010f00c, last: 0x4010f02c },
      unpack: { word: 0x3fffe9f0, input: 0x3fff0000, dictionary: 0x3ffe8000, undecodable: UNDECODABLE_2 },
    },
  },
  {
    ...GZIP,
    name: '2.7.2',
    versions: ['2.7.2'],
    verifies: true,
    ram: {
      ...RAM_GZIP,
      vital: { more: 0x4010f00c, last: 0x4010f02c },
      unpack: { word: 0x3fffe9f0, input: 0x3fff1000, dictionary: 0x3ffe8000, undecodable: UNDECODABLE_2 },
      compare: 0x3fff0000,
    },
  },
  {
    ...GZIP,
    name: '2.7.4',
    versions: ['2.7.3', '2.7.4'],
    ram: {
      ...RAM_GZIP,
      vital: { more: 0x4010f00c, last: 0x4010f02c },
      unpack: { word: 0x3fffe9f0, input: 0x3fff1000, dictionary: 0x3ffe8000, undecodable: UNDECODABLE_2 },
    },
  },
  {
    ...RODATA,
    name: '3.0.2',
    versions: ['3.0.0', '3.0.1', '3.0.2'],
    ram: { ...RAM_GZIP, vital: { more: 0x4010f008, last: 0x4010f01c }, unpack: UNPACK_3, compare: 0x3fff1004 },
  },
  {
    ...RODATA,
    name: '3.1.2',
    versions: ['3.1.0', '3.1.1', '3.1.2'],
    ram: {
      sector: 0x3fffea10,
      imageHeader: 0x3fffff38,
      segmentHeader: 0x3fffff30,
      returnAddress: 0x3fffff5c,
      vital: { more: 0x4010f008, last: 0x4010f018 },
      unpack: UNPACK_3,
      compare: 0x3fff1004,
    },
  },
  {
    ...RODATA,
    name: 'master',
    versions: ['master'],
    watchdogArguments: true,
    ram: { ...RAM_GZIP, vital: { more: 0x4010f008, last: 0x4010f014 }, unpack: UNPACK_3, compare: 0x3fff1004 },
  },
];

/** Every version that {@link eraOf} knows, oldest first. */
export const CORE_VERSIONS: readonly string[] = ERAS.flatMap((era) => era.versions);

/**
 * The bootloader that a release of the core ships.
 *
 * @param version a release such as `2.7.4`, or `master`
 * @throws RangeError for any other text, listing what is known
 * @example eraOf('3.0.1').name // '3.0.2'
 */
export function eraOf(version: string): Era {
  const era = ERAS.find((candidate) => candidate.versions.includes(version));
  if (!era) throw new RangeError(`core "${version}" is unknown; known are ${CORE_VERSIONS.join(', ')}`);
  return era;
}
