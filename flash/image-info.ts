/** What `image info` shows: a report with its fit on every layout, as data and as text. Pure. */
import { ebootBuildFor } from './eboot-sector.ts';
import { fitOnAll, fitSubject, type LayoutFit } from './image-fit.ts';
import { type EmbeddedCrc, type ImagePart, type ImageReport, parseImage } from './image-format.ts';
import { hex } from './image-part.ts';
import { formatFlashSize } from './layouts.ts';
import { type Manifest, shownSettings } from './manifest.ts';

export interface ImageInfo extends ImageReport {
  /** Of the whole file, 32 lower-case hex digits; with the `md5` tool. */
  readonly md5?: string;
  /** What a gzip holds; with the `inflate` tool. */
  readonly contents?: ImageReport;
  /** Absent when it is no firmware. */
  readonly fit?: readonly LayoutFit[];
}

/** What this folder has no means for. */
export interface InfoTools {
  /** Unpacks gzip; undefined when that fails or gives too much. */
  inflate?(bytes: Uint8Array): Uint8Array | undefined;
  /** Lower-case hex. */
  md5?(bytes: Uint8Array): string;
}

/**
 * All that can be said about a file; never throws. Passwords in a manifest are hidden, so the result may be shown.
 *
 * @example console.log(formatImageInfo('firmware.bin', imageInfo(bytes)))
 */
export function imageInfo(bytes: Uint8Array, tools: InfoTools = {}): ImageInfo {
  const report = parseImage(bytes);
  const packed = report.signature ? bytes.subarray(0, report.signature.at) : bytes;
  const unpacked = report.kind === 'gzip' && !report.gzip?.headerError ? tools.inflate?.(packed) : undefined;
  const problems = [...report.problems];
  if (report.kind === 'gzip' && !report.gzip?.headerError && tools.inflate && !unpacked) {
    const message = 'does not unpack: damaged, cut short, or more than any chip holds';
    problems.push({ severity: 'error', where: 'gzip data', message });
  }
  const contents = unpacked && parseImage(unpacked);
  if (contents) {
    problems.push(...contents.problems.map((problem) => ({ ...problem, where: `inside, ${problem.where}` })));
    if (contents.size !== report.gzip?.isize) {
      const message = `says ${report.gzip?.isize}, but ${contents.size} bytes come out: eboot believes the word`;
      problems.push({ severity: 'error', where: 'gzip size word', message });
    }
  }
  const subject = fitSubject(report, contents);
  return {
    ...shown(report),
    problems,
    ...(contents ? { contents: shown(contents) } : {}),
    ...(tools.md5 ? { md5: tools.md5(bytes) } : {}),
    ...(subject ? { fit: fitOnAll(subject) } : {}),
  };
}

const shown = (report: ImageReport): ImageReport =>
  report.manifest ? { ...report, manifest: { ...report.manifest, settings: shownSettings(report.manifest) } } : report;

const kindTexts: Readonly<Record<ImageReport['kind'], string>> = {
  firmware: 'firmware: boot sector and application',
  'lone-image': 'a single image without an application at 0x1000',
  gzip: 'gzip',
  unknown: 'no ESP8266 image',
};

/** The text of `image info`: lines, without a final newline. */
export function formatImageInfo(name: string, info: ImageInfo): string {
  const lines = [`${name}: ${info.size} bytes, ${kindTexts[info.kind]}`];
  if (info.md5) lines.push(`  md5          ${info.md5}`);
  if (info.gzip) lines.push(`  gzip         ${gzipText(info)}`);
  lines.push(...describe(info));
  if (info.contents) {
    lines.push(`unpacked: ${info.contents.size} bytes, ${kindTexts[info.contents.kind]}`, ...describe(info.contents));
  }
  if (info.kind !== 'unknown') lines.push(`  signature    ${signatureText(info)}`);
  if (info.problems.length > 0) {
    lines.push(
      'problems:',
      ...info.problems.map(({ severity, where, message }) => `  ${severity}: ${where}: ${message}`),
    );
  }
  if (info.fit)
    lines.push('fit on each layout (over the air: beside a running sketch of the same size):', ...fitTable(info.fit));
  return lines.join('\n');
}

function describe(report: ImageReport): string[] {
  const { boot, app, eboot, embedded, manifest, damage } = report;
  const lines: string[] = [];
  if (boot) {
    const { mode, freqMHz, flashSize, entry } = boot.header;
    lines.push(`  header       ${mode} ${freqMHz || '?'} MHz, flash ${flashSize ? formatFlashSize(flashSize) : '?'}`);
    const known = eboot ? `eboot ${eboot.build} (${eboot.releases})` : 'unknown bootloader';
    const nature = eboot?.synthetic ? ', stand-in without code' : eboot && !eboot.exact ? ', changed' : '';
    lines.push(`  boot sector  ${known}${nature}, entry ${hex(entry, 8)}`, ...segmentTable(boot));
    lines.push(`    checksum   ${checksumText(boot)}`);
  }
  if (app) {
    lines.push(`  application  entry ${hex(app.header.entry, 8)}`, ...segmentTable(app));
    lines.push(`    checksum   ${checksumText(app)}`);
    lines.push(`  length, CRC  ${embedded ? embeddedText(embedded) : absentCrcText(report)}`);
    lines.push(`  condition    ${damage ? `damaged: ${damage}` : 'whole'}`);
    lines.push(`  manifest     ${manifest ? manifestText(manifest) : 'none: the sketch is chosen by the device'}`);
  }
  return lines;
}

function segmentTable({ segments }: ImagePart): string[] {
  const rows = segments
    .slice(0, MAX_SEGMENT_ROWS)
    .map(
      ({ index, headerAt, address, length, kind, complete }) =>
        `    segment ${String(index).padEnd(3)}at ${hex(headerAt).padEnd(9)} ${String(length).padStart(8)} bytes to ${hex(address, 8)} ${kind}${complete ? '' : ' (cut short)'}`,
    );
  const more = segments.length - rows.length;
  return more > 0 ? [...rows, `    and ${more} more segments`] : rows;
}

const MAX_SEGMENT_ROWS = 16;

function checksumText({ checksum }: ImagePart): string {
  if (!checksum) return 'missing: the file ends before it';
  const { given, computed, asBuilt } = checksum;
  if (given === computed) return `${hex(given, 2)} ok`;
  if (given === asBuilt) return `${hex(given, 2)} ok as built (before length and CRC were stored)`;
  return `${hex(given, 2)} wrong: the segments give ${hex(computed, 2)}`;
}

function embeddedText({ position, length, given, computed, ok, patched }: EmbeddedCrc): string {
  const words = `${length}, ${hex(given, 8)} at ${hex(position)}`;
  if (ok) return `${words} ok`;
  if (patched) return `${words} ok as built; header bytes were patched`;
  return computed === undefined ? `${words} wrong length` : `${words} wrong: the bytes give ${hex(computed, 8)}`;
}

function absentCrcText({ eboot }: ImageReport): string {
  const none = eboot !== undefined && ebootBuildFor(eboot.build).embeddedAt === undefined;
  return none ? 'none: cores up to 2.6.3 do not embed them' : 'no embedded CRC';
}

function manifestText(manifest: Manifest): string {
  const { sketch, version, core, layout, settings } = manifest;
  const made = [core && `core ${core}`, layout && `layout ${layout}`].filter(Boolean).join(', ');
  const set = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  return [`${sketch.join(',')} version ${version}`, made, ...set].filter(Boolean).join('; ');
}

function gzipText({ gzip, size }: ImageInfo): string {
  if (!gzip || gzip.headerError) return 'bad header';
  const name = gzip.name ? `"${gzip.name}", ` : '';
  const share = gzip.isize > 0 ? ` (${Math.round((100 * size) / gzip.isize)} %)` : '';
  return `${name}eboot unpacks ${gzip.isize} bytes${share}`;
}

function signatureText({ signature }: ImageInfo): string {
  if (!signature) return 'none';
  const { at, length } = signature;
  return `${length} bytes (RSA-${length * 8}) at ${hex(at)}; "image verify" with the public key tells the format`;
}

/** Layouts with the same verdicts share a paragraph. */
function fitTable(fits: readonly LayoutFit[]): string[] {
  const groups = new Map<string, string[]>();
  for (const fit of fits) {
    const name = fit.layout === 'auto' ? `auto on ${formatFlashSize(fit.chipSize)}` : fit.layout;
    const verdict = verdictText(fit);
    groups.set(verdict, [...(groups.get(verdict) ?? []), name]);
  }
  return [...groups].flatMap(([verdict, names]) => [`  ${names.join(', ')}`, `    ${verdict}`]);
}

function verdictText({ serial, ota, web }: LayoutFit): string {
  const text = ({ ok, why }: LayoutFit['ota']): string => (ok ? 'yes' : `no (${why})`);
  const [a, b, c] = [text(serial), text(ota), text(web)];
  if (a === b && b === c) return `serial, ArduinoOTA, web: ${a}`;
  return b === c ? `serial: ${a}; ArduinoOTA, web: ${b}` : `serial: ${a}; ArduinoOTA: ${b}; web: ${c}`;
}
