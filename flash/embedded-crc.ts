/**
 * The length and CRC words inside a firmware file: where they are, and whether they fit. Source: spec chapter 01 §7.3 (both
 * positions, by era), §7.5 (`ESP.checkFlashCRC()`); design.md §7 (patched header bytes are no damage).
 */
import { type EbootIdentity, ebootBuildFor } from './eboot-sector.ts';
import { APP_START_OFFSET } from './geometry.ts';
import {
  EMBEDDED_IN_APP,
  EMBEDDED_IN_BOOT_SECTOR,
  type EmbeddedPosition,
  embeddedCrc,
  xorChecksum,
} from './image-assemble.ts';
import { wordAt } from './image-header.ts';
import { type AddProblem, hex, type ImagePart } from './image-part.ts';

/** The length and CRC words (spec chapter 01 §7.3). */
export interface EmbeddedCrc {
  readonly position: EmbeddedPosition;
  readonly length: number;
  readonly given: number;
  /** Absent when the file is shorter than the length word says. */
  readonly computed?: number;
  /** As `ESP.checkFlashCRC()` would judge. */
  readonly ok: boolean;
  /** It fits once header bytes 2 and 3 are those of the header at 0x1000: the Updater or esptool patched them. */
  readonly patched: boolean;
}

/** Which of the two places holds length and CRC, if any: what fits the file first, then what its eboot's era had. */
export function findEmbedded(
  bytes: Uint8Array,
  app: ImagePart,
  eboot: EbootIdentity | undefined,
): EmbeddedCrc | undefined {
  const places = [EMBEDDED_IN_APP, EMBEDDED_IN_BOOT_SECTOR].filter((place) => place + 8 <= bytes.length);
  const fits = (place: EmbeddedPosition): boolean => {
    const length = wordAt(bytes, place);
    return length === bytes.length || (app.checksum !== undefined && length === app.end);
  };
  const era = eboot ? ebootBuildFor(eboot.build).embeddedAt : undefined;
  const position =
    places.find(fits) ?? (eboot ? places.find((place) => place === era) : places.find((at) => isPlausible(bytes, at)));
  return position === undefined ? undefined : checkCrc(bytes, position);
}

/** With an unknown bootloader: a length that some firmware could have. */
function isPlausible(bytes: Uint8Array, place: EmbeddedPosition): boolean {
  const length = wordAt(bytes, place);
  return length % 16 === 0 && length > EMBEDDED_IN_APP + 8 && length <= 0x110000;
}

function checkCrc(bytes: Uint8Array, position: EmbeddedPosition): EmbeddedCrc {
  const length = wordAt(bytes, position);
  const given = wordAt(bytes, position + 4);
  const bad = { position, length, given, ok: false, patched: false };
  if (length > bytes.length || length < EMBEDDED_IN_APP + 8) return bad;
  const computed = embeddedCrc(bytes, position, length);
  if (computed === given) return { ...bad, computed, ok: true };
  const file = bytes.slice(0, length);
  file[2] = bytes[APP_START_OFFSET + 2]!;
  file[3] = bytes[APP_START_OFFSET + 3]!;
  return { ...bad, computed, patched: embeddedCrc(file, position) === given };
}

/** What there is to say about the words. */
export function checkEmbedded(embedded: EmbeddedCrc, bytes: Uint8Array, app: ImagePart, add: AddProblem): void {
  const { position, length, given, computed } = embedded;
  const where = `length and CRC at ${hex(position)}`;
  if (computed === undefined) {
    add(
      'error',
      where,
      length > bytes.length
        ? `the image was built with ${length} bytes, but the file has ${bytes.length}: cut short`
        : `the length word is ${length}, which no image has: damaged`,
    );
    return;
  }
  if (embedded.patched) {
    add('note', where, 'fits the image as it was built; ESP.checkFlashCRC() is false since header bytes were patched');
  } else if (!embedded.ok) {
    add('error', where, `the CRC is ${hex(given, 8)}, but the bytes give ${hex(computed, 8)}: damaged after the build`);
  }
  if (app.checksum && length !== app.end) {
    add('warning', where, `the length word says ${length}, but the segments end at ${app.end}`);
  }
}

/** The build computes the checksum while the length and CRC words are still zero, and never again. */
export function withChecksumAsBuilt(bytes: Uint8Array, app: ImagePart): ImagePart {
  const first = app.segments[0];
  if (!app.checksum || !first || first.dataAt !== EMBEDDED_IN_APP || first.length < 8) return app;
  const asBuilt = xorChecksum(bytes.subarray(EMBEDDED_IN_APP, EMBEDDED_IN_APP + 8), app.checksum.computed);
  return { ...app, checksum: { ...app.checksum, asBuilt } };
}
