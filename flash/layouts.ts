/**
 * Flash layouts: where the sketch may be, where the file system begins and what lies behind it.
 * Source: spec chapter 01 §4 (linker scripts `eagle.flash.*.ld`; `FlashMap.h` for the run-time maps).
 *
 * The table holds the three numbers that a layout chooses; the others follow from rules, as in the generator of the
 * linker scripts. A test compares every field with the scripts' figures.
 */
import { unknownName } from './names.ts';

/** Sizes of the areas behind the file system, in bytes. */
export const EEPROM_BYTES = 0x1000;
export const RFCAL_BYTES = 0x1000;
/** SDK system parameters; always the end of the chip. */
export const WIFI_BYTES = 0x3000;
/** Chip offset of `.irom0.text`: behind the boot sector, the image header and the first segment header. */
export const CODE_START_OFFSET = 0x1010;
/** Only the first MiB of the chip is mapped for the CPU, so no sketch reaches further. */
const MAPPED_BYTES = 0x100000;

/** Addresses are chip offsets in bytes; `…End` is the first byte behind. */
export interface FlashLayout {
  /** As in the linker script's name: `4m2m`; `auto`, `auto:max-fs`, `auto:no-fs` for the run-time maps. */
  readonly name: string;
  readonly chipSize: number;
  /** Largest program for a serial upload: the linker's limit. */
  readonly sketchMax: number;
  /** Also the end of the staging area of an update. */
  readonly fsStart: number;
  readonly fsEnd: number;
  /** 0: no file system, and then `fsStart` is `eepromStart`. */
  readonly fsSize: number;
  readonly fsPage: number;
  readonly fsBlock: number;
  readonly eepromStart: number;
  readonly rfcalStart: number;
  readonly wifiStart: number;
}

const K = 1024;
const M = 1024 * K;

/** Name, chip, start of the file system (or none), its block. */
type Row = readonly [name: string, chipSize: number, fsStart?: number, fsBlock?: number];

const table: readonly Row[] = [
  ['512k', 512 * K],
  ['512k32', 512 * K, 0x73000, 4096],
  ['512k64', 512 * K, 0x6b000, 4096],
  ['512k128', 512 * K, 0x5b000, 4096],
  ['1m', 1 * M],
  ['1m64', 1 * M, 0xeb000, 4096],
  ['1m128', 1 * M, 0xdb000, 4096],
  ['1m144', 1 * M, 0xd7000, 4096],
  ['1m160', 1 * M, 0xd3000, 4096],
  ['1m192', 1 * M, 0xcb000, 4096],
  ['1m256', 1 * M, 0xbb000, 4096],
  ['1m512', 1 * M, 0x7b000, 8192],
  ['2m', 2 * M],
  ['2m64', 2 * M, 0x1f0000, 4096],
  ['2m128', 2 * M, 0x1e0000, 4096],
  ['2m256', 2 * M, 0x1c0000, 4096],
  ['2m512', 2 * M, 0x180000, 8192],
  ['2m1m', 2 * M, 0x100000, 8192],
  ['4m', 4 * M],
  ['4m1m', 4 * M, 0x300000, 8192],
  ['4m2m', 4 * M, 0x200000, 8192],
  ['4m3m', 4 * M, 0x100000, 8192],
  ['8m6m', 8 * M, 0x200000, 8192],
  ['8m7m', 8 * M, 0x100000, 8192],
  ['16m14m', 16 * M, 0x200000, 8192],
  ['16m15m', 16 * M, 0x100000, 8192],
];

/** Which of the three run-time tables a sketch was built with; `ota-fs` unless it says otherwise. */
export type RuntimeMapKind = 'ota-fs' | 'max-fs' | 'no-fs';

const runtimeTable: Readonly<Record<RuntimeMapKind, readonly Row[]>> = {
  'ota-fs': [
    ['auto', 1 * M, 0xeb000, 4096],
    ['auto', 2 * M, 0x1c0000, 4096],
    ['auto', 4 * M, 0x200000, 8192],
    ['auto', 8 * M, 0x200000, 8192],
    ['auto', 16 * M, 0x200000, 8192],
    ['auto', 512 * K, 0x73000, 4096],
  ],
  'max-fs': [
    ['auto:max-fs', 1 * M, 0x7b000, 8192],
    ['auto:max-fs', 2 * M, 0x100000, 8192],
    ['auto:max-fs', 4 * M, 0x100000, 8192],
    ['auto:max-fs', 8 * M, 0x100000, 8192],
    ['auto:max-fs', 16 * M, 0x100000, 8192],
    ['auto:max-fs', 512 * K, 0x5b000, 4096],
  ],
  'no-fs': [
    ['auto:no-fs', 1 * M],
    ['auto:no-fs', 2 * M],
    ['auto:no-fs', 4 * M],
    ['auto:no-fs', 8 * M],
    ['auto:no-fs', 16 * M],
    ['auto:no-fs', 512 * K],
  ],
};

function layoutOf([name, chipSize, fsStart, fsBlock]: Row): FlashLayout {
  const wifiStart = chipSize - WIFI_BYTES;
  const rfcalStart = wifiStart - RFCAL_BYTES;
  const eepromStart = rfcalStart - EEPROM_BYTES;
  const start = fsStart ?? eepromStart;
  const block = fsBlock ?? 0;
  // The file system holds whole blocks, so with 8 KiB blocks a sector before the EEPROM is mostly left over.
  const fsSize = block === 0 ? 0 : Math.floor((eepromStart - start) / block) * block;
  return {
    name,
    chipSize,
    sketchMax: Math.min(start, MAPPED_BYTES) - CODE_START_OFFSET,
    fsStart: start,
    fsEnd: start + fsSize,
    fsSize,
    fsPage: block === 0 ? 0 : 256,
    fsBlock: block,
    eepromStart,
    rfcalStart,
    wifiStart,
  };
}

/** The linker limit of `eagle.flash.auto.ld`: it knows no chip. */
export const AUTO_SKETCH_MAX = MAPPED_BYTES - CODE_START_OFFSET;

const fixedLayouts = table.map(layoutOf);

/**
 * The 27 layouts that the core ships linker scripts for. The last, `auto`, is decided at boot (see `runtimeMaps`):
 * but for the linker's limit its numbers are 0 here.
 */
export const layouts: readonly FlashLayout[] = [
  ...fixedLayouts,
  {
    name: 'auto',
    chipSize: 0,
    sketchMax: AUTO_SKETCH_MAX,
    fsStart: 0,
    fsEnd: 0,
    fsSize: 0,
    fsPage: 0,
    fsBlock: 0,
    eepromStart: 0,
    rfcalStart: 0,
    wifiStart: 0,
  },
];

/** The run-time maps of `auto` builds, in the order of the core's tables. */
export const runtimeMaps: Readonly<Record<RuntimeMapKind, readonly FlashLayout[]>> = {
  'ota-fs': runtimeLayouts('ota-fs'),
  'max-fs': runtimeLayouts('max-fs'),
  'no-fs': runtimeLayouts('no-fs'),
};

function runtimeLayouts(kind: RuntimeMapKind): readonly FlashLayout[] {
  return runtimeTable[kind].map((row) => ({ ...layoutOf(row), sketchMax: AUTO_SKETCH_MAX }));
}

/** Every name that {@link resolveLayout} takes. */
export const layoutNames: readonly string[] = [...layouts.map(({ name }) => name), 'auto:max-fs', 'auto:no-fs'];

const byName = new Map(fixedLayouts.map((layout) => [layout.name, layout]));

/**
 * A layout with fixed addresses by its name; upper case as in the boards menu will do.
 *
 * @throws RangeError for another name, with the nearest ones; for `auto` too, which depends on the chip
 */
export function layoutByName(name: string): FlashLayout {
  const wanted = name.toLowerCase();
  const layout = byName.get(wanted);
  if (layout) return layout;
  if (wanted === '8m' || wanted === '16m') {
    throw new RangeError(
      `layout ${wanted} is in the boards menu, but its linker script is not shipped with the core, so no sketch can be built for it; there are ${wanted === '8m' ? '8m6m and 8m7m' : '16m14m and 16m15m'}`,
    );
  }
  if (wanted === 'auto' || wanted.startsWith('auto:')) {
    throw new RangeError(`layout ${wanted} has no fixed addresses: it depends on the size of the chip`);
  }
  throw unknownName('layout', name, layoutNames);
}

/**
 * The map that an `auto` build chooses at boot for a chip; `undefined` when the core's table has none, where the firmware
 * panics with `flashinit: configuration not found`.
 *
 * @param chipSize bytes, as the JEDEC id says
 */
export const runtimeMap = (kind: RuntimeMapKind, chipSize: number): FlashLayout | undefined =>
  runtimeMaps[kind].find((map) => map.chipSize === chipSize);

/**
 * Any layout name, with the chip's size for those that depend on it.
 *
 * @param name a fixed layout, or `auto` (also `auto:ota-fs`), `auto:max-fs`, `auto:no-fs`
 * @throws RangeError for an unknown name, and for `auto` on a chip that no map is made for
 */
export function resolveLayout(name: string, chipSize: number): FlashLayout {
  const wanted = name.toLowerCase();
  if (wanted !== 'auto' && !wanted.startsWith('auto:')) return layoutByName(name);
  const kind = wanted === 'auto' ? 'ota-fs' : wanted.slice('auto:'.length);
  if (kind !== 'ota-fs' && kind !== 'max-fs' && kind !== 'no-fs') throw unknownName('layout', name, layoutNames);
  const map = runtimeMap(kind, chipSize);
  if (!map)
    throw new RangeError(`layout ${wanted}: flashinit: configuration not found for a chip of ${chipSize} bytes`);
  return map;
}

const SIZE_TEXTS = ['512K', '1M', '2M', '4M', '8M', '16M'] as const;

/**
 * `512K`, `1M`, `2M`, `4M`, `8M`, `16M` (case free, a trailing `B` allowed) as bytes.
 *
 * @throws RangeError for anything else
 */
export function parseFlashSize(text: string): number {
  const match = /^(\d{1,4})([KM])B?$/i.exec(text.trim());
  const bytes = match ? Number(match[1]) * (match[2]!.toUpperCase() === 'K' ? K : M) : 0;
  if (!SIZE_TEXTS.some((size) => formatFlashSize(bytes) === size)) {
    throw new RangeError(`a flash size is one of ${SIZE_TEXTS.join(', ')}; got "${text}"`);
  }
  return bytes;
}

/** Bytes as the text that {@link parseFlashSize} takes: 4194304 is `4M`. Meant for chip sizes. */
export const formatFlashSize = (bytes: number): string =>
  bytes >= M && bytes % M === 0 ? `${bytes / M}M` : `${bytes / K}K`;
