/**
 * Whether a file fits a layout, by each way it can get there. Sources: spec chapter 01 §4 (linker limit, areas), §11.2
 * (gzip over its own staging area); chapter 02 §5 (staging rule); chapter 04 §10 (what the web form asks for).
 */
import { roundUpToSector, SECTOR_BYTES } from './geometry.ts';
import type { ImageReport } from './image-format.ts';
import { type FlashLayout, formatFlashSize, layouts, runtimeMaps } from './layouts.ts';

/** eboot cannot read above this, whatever chip is fitted. Source: spec chapter 01 §2.2. */
const EBOOT_REACH = 0x400000;

export interface Fit {
  readonly ok: boolean;
  /** Why not. */
  readonly why?: string;
  /** Where the Updater would stage it, chip offset; absent for serial and when there is no room. */
  readonly staging?: number;
}

export interface LayoutFit {
  readonly layout: string;
  /** Bytes of the chip; tells the run-time maps of `auto` apart. */
  readonly chipSize: number;
  /** esptool, from address 0. */
  readonly serial: Fit;
  /** ArduinoOTA and httpUpdate, which announce the real size; the running sketch is taken to be as large as this one. */
  readonly ota: Fit;
  /** The form of ESP8266HTTPUpdateServer, which announces all free space. */
  readonly web: Fit;
}

/** What of a file decides. */
export interface FitSubject {
  /** Bytes sent: the file. */
  readonly uploadBytes: number;
  /** Bytes that end up at address 0: for gzip, unpacked. */
  readonly imageBytes: number;
  /** Sum of the application's segments; unknown for gzip that was not unpacked. */
  readonly programBytes?: number;
  /** What the header claims; undefined where nobody looks at it. */
  readonly flashSize?: number;
  readonly gzip: boolean;
}

/** What to judge about a report; undefined when it is nothing to flash at address 0. */
export function fitSubject(report: ImageReport, contents?: ImageReport): FitSubject | undefined {
  const image = report.kind === 'gzip' ? contents : report;
  const gzip = report.kind === 'gzip';
  if (gzip && !contents && (report.gzip?.isize ?? 0) > 0) {
    return { uploadBytes: report.size, imageBytes: report.gzip!.isize, gzip };
  }
  if (image?.kind !== 'firmware' || !image.app) return undefined;
  const programBytes = image.app.segments.reduce((sum, { length }) => sum + length, 0);
  const imageBytes = gzip ? image.size : (report.signature?.at ?? report.size);
  const common = { uploadBytes: report.size, imageBytes, programBytes, gzip };
  return gzip ? common : { ...common, flashSize: report.boot?.header.flashSize ?? 0 };
}

const bytes = (count: number): string => (count === 1 ? '1 byte' : `${count} bytes`);
const no = (why: string): Fit => ({ ok: false, why });

/** The verdict on every layout; `auto` stands for one run-time map (the core's default table) on each chip. */
export const fitOnAll = (subject: FitSubject): LayoutFit[] =>
  [...layouts.filter(({ chipSize }) => chipSize > 0), ...runtimeMaps['ota-fs']].map((layout) => fitOn(layout, subject));

/** @param layout a fixed layout, or a run-time map of a chip */
export function fitOn(layout: FlashLayout, subject: FitSubject): LayoutFit {
  const { name, chipSize } = layout;
  const ways = { serial: bySerial(layout, subject), ota: byOta(layout, subject), web: byWeb(layout, subject) };
  return { layout: name, chipSize, ...ways };
}

function bySerial({ fsStart, fsSize, sketchMax }: FlashLayout, subject: FitSubject): Fit {
  if (subject.gzip) return no('unpack it first: the ROM starts no gzip');
  const over = subject.uploadBytes - fsStart;
  if (over > 0)
    return no(`${bytes(over)} too large: it would reach into the ${fsSize > 0 ? 'file system' : 'EEPROM sector'}`);
  const excess = (subject.programBytes ?? 0) - sketchMax;
  return excess > 0 ? no(`${bytes(excess)} above the linker's limit of ${sketchMax}`) : { ok: true };
}

function byOta(layout: FlashLayout, subject: FitSubject): Fit {
  const { fsStart } = layout;
  const rounded = roundUpToSector(subject.uploadBytes);
  const staging = fsStart > rounded ? fsStart - rounded : 0;
  const running = roundUpToSector(subject.imageBytes);
  if (staging < running) {
    return no(`error 4: ${bytes(running - staging)} missing`);
  }
  return staged(layout, subject, staging);
}

function byWeb(layout: FlashLayout, subject: FitSubject): Fit {
  const running = roundUpToSector(subject.imageBytes);
  const staging = running + SECTOR_BYTES;
  const room = layout.fsStart - staging;
  if (room <= 0) return no(`error ${room === 0 ? 5 : 4}: no free sectors`);
  if (subject.uploadBytes > room) {
    return no(`error 4: ${bytes(subject.uploadBytes - room)} missing`);
  }
  return staged(layout, subject, staging);
}

/**
 * What comes after there was room: the header check in `Update.end()`, then eboot. That a gzip unpacks over its own staging
 * area (spec chapter 01 §11.2) needs a running sketch much smaller than the new one, so it cannot come up here.
 */
function staged({ name, chipSize }: FlashLayout, subject: FitSubject, staging: number): Fit {
  const { flashSize = 0 } = subject;
  // A sketch built for run-time maps does not look at the header.
  if (flashSize > chipSize && !name.startsWith('auto')) {
    return no(`error 9: its header says ${formatFlashSize(flashSize)} of flash`);
  }
  if (staging + roundUpToSector(subject.uploadBytes) > EBOOT_REACH) return no('eboot reads only the first 4 MiB');
  return { ok: true, staging };
}
