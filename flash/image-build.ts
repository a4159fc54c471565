/**
 * Makes a firmware file that the device can boot: a boot sector, an application whose five segments are those of a real
 * build, a manifest that says what it does, and everything computed from it. Source: spec chapter 01 §7; design.md §7.
 */
import { ebootBuildFor, syntheticEboot } from './eboot-sector.ts';
import { APP_START_OFFSET } from './geometry.ts';
import { assembleImage, EMBEDDED_IN_APP } from './image-assemble.ts';
import { fillLikeCode, seedOf } from './image-filler.ts';
import { type FlashMode, IMAGE_HEADER_BYTES, IMAGE_ROW_BYTES, putWord, SEGMENT_HEADER_BYTES } from './image-header.ts';
import { AUTO_SKETCH_MAX, layoutByName, layoutNames } from './layouts.ts';
import { encodeManifest, type Manifest, type SettingValue } from './manifest.ts';
import { unknownName } from './names.ts';

export interface BuildOptions {
  /** What the firmware does, by the names of `--sketch`; several run side by side. */
  readonly sketch: string | readonly string[];
  readonly version: string;
  /** Bytes of the file, rounded up to 16; `defaultImageSize` of the layout. */
  readonly size?: number;
  /** A layout's name (`4m2m`). */
  readonly layout?: string;
  /** Era of the core: `master` or a release from 2.0.0 on. Decides boot sector, and where length and CRC are. */
  readonly core?: string;
  /** `dio`. The Updater replaces it by the device's where they differ. */
  readonly mode?: FlashMode;
  /** MHz: 40, 26, 20, 80. */
  readonly freq?: number;
  /** Chooses the filler (1). Sketch and version do so too, so that no two versions share their sectors. */
  readonly seed?: number;
  /** Options of `run` that this firmware brings along: `{ password: 'x' }`. Keys: `manifestSettings`. */
  readonly settings?: Readonly<Record<string, SettingValue>>;
}

const SEGMENT_COUNT = 5;
/** Both headers and what it takes to end on a row: three zeros and the checksum. */
const OVERHEAD_BYTES = APP_START_OFFSET + IMAGE_HEADER_BYTES + SEGMENT_COUNT * SEGMENT_HEADER_BYTES + 4;
const IROM_ADDRESS = 0x40201010;
const IROM_MIN_BYTES = 64;
const IRAM_ADDRESS = 0x40100000;
/** Vectors and start-up code, as large as in many builds. */
const TEXT_BYTES = 316;
const ENTRY_OFFSET = 0xb8;
const TEXT1_BYTES = { least: 16, most: 27424 };
const DRAM_ADDRESS = 0x3ffe8000;
const DATA_BYTES = { least: 16, most: 1300 };
/** A build for run-time maps claims the largest chip. Source: spec chapter 01 §4. */
const AUTO_CHIP_BYTES = 0x1000000;
/** The CPU sees no more of the chip, so neither code nor `ESP.checkFlashCRC()` reaches further. */
const MAPPED_BYTES = 0x100000;
/** A sketch with ArduinoOTA has about this size. */
const TYPICAL_BYTES = 273856;
/** What cores before 3.0 have at 0x1010, printed by eboot as `v39c79d9b`: the core's git version. */
const VERSION_WORD = 0x39c79d9b;

/** What an image may take up on a layout. */
interface Room {
  readonly chipSize: number;
  /** Sum of all segments. */
  readonly programMax: number;
  /** First chip address that belongs to something else. */
  readonly end: number;
}

function roomOf(name: string): Room {
  const wanted = name.toLowerCase();
  if (wanted === 'auto' || wanted.startsWith('auto:')) {
    if (![...layoutNames, 'auto:ota-fs'].includes(wanted)) throw unknownName('layout', name, layoutNames);
    return { chipSize: AUTO_CHIP_BYTES, programMax: AUTO_SKETCH_MAX, end: MAPPED_BYTES };
  }
  const layout = layoutByName(wanted);
  return { chipSize: layout.chipSize, programMax: layout.sketchMax, end: layout.fsStart };
}

/** The largest file that {@link buildImage} makes for a layout, in bytes: by the linker's limit, what lies behind, and the first MiB. */
export function maxImageSize(layout: string): number {
  const { programMax, end } = roomOf(layout);
  return Math.min(end, MAPPED_BYTES, OVERHEAD_BYTES + programMax) & -IMAGE_ROW_BYTES;
}

/** A typical size, or less where two images of it would not fit: such an image can always update itself over the air. */
export function defaultImageSize(layout: string): number {
  const { end } = roomOf(layout);
  return Math.min(TYPICAL_BYTES, Math.floor(end / 2 / APP_START_OFFSET) * APP_START_OFFSET);
}

/**
 * Builds a firmware file.
 *
 * @returns the bytes of a `.bin`; equal options give equal bytes
 * @throws RangeError for a size that does not hold the image or does not fit the layout, and for unknown names or values
 * @example await createDevice({ image: buildImage({ sketch: 'basic-ota', version: '2.0', layout: '4m2m' }) })
 */
export function buildImage(options: BuildOptions): Uint8Array {
  const { version, core = 'master', layout = '4m2m', mode = 'dio', freq = 40, seed = 1, settings = {} } = options;
  const sketch = typeof options.sketch === 'string' ? options.sketch.split(',') : options.sketch;
  const build = ebootBuildFor(core);
  const { chipSize } = roomOf(layout);
  const manifest = encodeManifest({ sketch, version, core, layout, settings } satisfies Manifest);
  const lengths = segmentLengths(options.size ?? defaultImageSize(layout), layout, manifest.length);
  const fill = (length: number, segment: string): Uint8Array => {
    const data = new Uint8Array(length);
    fillLikeCode(data, seedOf([seed, sketch.join(','), version, segment].join('\n')));
    return data;
  };

  const irom = fill(lengths.irom, 'irom');
  putWord(irom, 0, build.embeddedAt === EMBEDDED_IN_APP ? 0 : VERSION_WORD);
  putWord(irom, 4, 0);
  const text = fill(TEXT_BYTES, 'text');
  text.fill(0, ENTRY_OFFSET, ENTRY_OFFSET + 4); // ILL: application code is not executed, and must not be
  const segments = [
    { address: IROM_ADDRESS, data: irom },
    { address: IRAM_ADDRESS, data: text },
    { address: IRAM_ADDRESS + TEXT_BYTES, data: fill(lengths.text1, 'text1') },
    { address: DRAM_ADDRESS, data: fill(lengths.data, 'data') },
    { address: (DRAM_ADDRESS + lengths.data + 15) & ~15, data: manifest },
  ];
  return assembleImage({
    sector0: syntheticEboot(core, mode, chipSize, freq),
    app: { mode, flashSize: chipSize, freqMHz: freq, entry: IRAM_ADDRESS + ENTRY_OFFSET, segments },
    embed: build.embeddedAt,
  });
}

/** Shares the file out to the segments. All are whole words, and their sum ends three bytes before a row's last. */
function segmentLengths(size: number, layout: string, rodata: number): { irom: number; text1: number; data: number } {
  const least = roundUp(OVERHEAD_BYTES + IROM_MIN_BYTES + TEXT_BYTES + TEXT1_BYTES.least + DATA_BYTES.least + rodata);
  const most = maxImageSize(layout);
  const rounded = roundUp(size);
  if (!Number.isInteger(size) || rounded < least || rounded > most) {
    const reason = rounded > most ? `layout ${layout} has room for ${most}` : 'headers, start-up code and manifest';
    throw new RangeError(`image size ${size}: want whole bytes from ${least} to ${most} (${reason})`);
  }
  const spare = rounded - least;
  const share = (part: number, { least, most }: { least: number; most: number }): number =>
    Math.min(most, least + (Math.floor(spare * part) & ~3));
  const text1 = share(0.1, TEXT1_BYTES);
  const data = share(0.01, DATA_BYTES);
  return { irom: rounded - OVERHEAD_BYTES - TEXT_BYTES - text1 - data - rodata, text1, data };
}

const roundUp = (bytes: number): number => Math.ceil(bytes / IMAGE_ROW_BYTES) * IMAGE_ROW_BYTES;
