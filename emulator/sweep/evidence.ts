/**
 * What the chip holds at the cut, for one result of each class of outcome: the flash map and the sector diff of the HTML
 * report. A report has verdicts only, so the update is run once more; the images must be at hand, as for `replay`.
 */
import { roundUpToSector, SECTOR_BYTES } from '../../flash/geometry.ts';
import { EEPROM_BYTES, type FlashLayout, RFCAL_BYTES, WIFI_BYTES } from '../../flash/layouts.ts';
import type { BranchChip } from './branch-chip.ts';
import { SweepInputError } from './errors.ts';
import { Operations } from './operations.ts';
import { classesOf } from './outcomes.ts';
import { prepare, sweepName } from './prepare.ts';
import { runReference } from './reference.ts';
import { finished, type Reference } from './reference-data.ts';
import { optionsOf, type ReplayOptions } from './replay.ts';
import type { SweepReport, SweepResult } from './report.ts';
import { parseId } from './schedule.ts';
import { ScheduleRunner } from './schedule-run.ts';
import { layoutOf } from './subject.ts';
import { World } from './world.ts';

/** So many classes are shown; a sweep has rarely more than five. */
export const MOST_CLASSES = 12;
const DIFF_ROWS = 8;
const ROWS_BEFORE = 2;
const ROW_BYTES = 16;

/**
 * A sector at the cut, beside the chip before the update and the chip as it should be afterwards: `kept` the same in both,
 * `empty` erased in both, `staged` as the download left it in the staging area, `erased` blank where something should be,
 * `mixed` anything else.
 */
export type SectorState = 'empty' | 'kept' | 'old' | 'staged' | 'new' | 'erased' | 'mixed';

/** Chip offsets; `end` is the first byte behind. */
export interface NamedRange {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

export interface SectorDiff {
  /** Chip offset of the sector. */
  readonly address: number;
  readonly rows: readonly {
    readonly address: number;
    readonly old: Uint8Array;
    readonly atCut: Uint8Array;
    readonly wanted: Uint8Array;
  }[];
  /** How many of its bytes are not as they should be. */
  readonly wrongBytes: number;
}

/** One cut, looked at closely. */
export interface Evidence {
  readonly id: string;
  /** One for each sector of the chip. */
  readonly sectors: readonly SectorState[];
  readonly diff: SectorDiff | undefined;
}

export interface SweepEvidence {
  readonly ranges: readonly NamedRange[];
  /** Bytes of the update once it is unpacked. */
  readonly newLength: number;
  /** By class, in the order of `classesOf`. */
  readonly cuts: readonly Evidence[];
}

/**
 * Runs the update again and stops at one cut of each class.
 *
 * @throws SweepInputError when an image is not at hand or was changed, or the device was altered by a program
 */
export async function gatherEvidence(report: SweepReport, options: ReplayOptions = {}): Promise<SweepEvidence> {
  if (report.definition.altered) throw new SweepInputError('this sweep was of a device that a program changed');
  const { subject, definition } = prepare(optionsOf(report, options));
  if (sweepName(definition) !== report.sweep) {
    throw new SweepInputError('this program builds another sweep from the definition in the report');
  }
  const reference = await runReference(subject);
  const chips: Chips = { before: reference.before, wanted: finished(reference), staged: stagedChip(reference) };
  const runner = new ScheduleRunner(new World(reference));
  const cuts: Evidence[] = [];
  for (const { results } of classesOf(report).slice(0, MOST_CLASSES)) {
    // In the middle there is more to see than at the edge.
    const result = results[results.length >> 1]!;
    runner.run(parseId(result.id).cuts, {
      atCut: (chip) => cuts.push(look(chip, result, reference, chips)),
    });
  }
  return { ranges: rangesOf(layoutOf(subject), reference), newLength: reference.payload.length, cuts };
}

/** The whole chip at moments without a fault. */
interface Chips {
  readonly before: Uint8Array;
  readonly wanted: Uint8Array;
  /** When the download was complete; without any staging as before. */
  readonly staged: Uint8Array;
}

/** What the operations of the download make of the chip. */
function stagedChip({ before, operations }: Reference): Uint8Array {
  const staged = before.slice();
  const list = new Operations(operations);
  for (let i = 0; i < list.length; i++) {
    const { kind, phase, address, data } = list.at(i);
    if (phase !== 'staging') continue;
    if (kind === 'erase') staged.fill(0xff, address, address + SECTOR_BYTES);
    else for (const [at, byte] of data.entries()) staged[address + at]! &= byte;
  }
  return staged;
}

function look(chip: BranchChip, result: SweepResult, reference: Reference, chips: Chips): Evidence {
  const flash = new Uint8Array(chip.capacityBytes);
  chip.read(0, flash);
  const { target, fsStart, payload } = reference;
  const from = target === 'fs' ? fsStart : 0;
  const sectors: SectorState[] = [];
  for (let start = 0; start < flash.length; start += SECTOR_BYTES) {
    sectors.push(stateOf(flash, chips, start, start >= from && start < from + payload.length));
  }
  const at = result.address === undefined ? -1 : Math.floor(result.address / SECTOR_BYTES);
  const broken = (state: SectorState | undefined): boolean => state === 'mixed' || state === 'erased';
  const sector = broken(sectors[at]) ? at : sectors.findIndex((state, i) => i * SECTOR_BYTES >= from && broken(state));
  return {
    id: result.id,
    sectors,
    diff: sector < 0 ? undefined : diffOf(flash, chips, sector * SECTOR_BYTES),
  };
}

/** @param isTarget whether the sector is one that the image is meant for */
function stateOf(flash: Uint8Array, { before, wanted, staged }: Chips, start: number, isTarget: boolean): SectorState {
  const sector = flash.subarray(start, start + SECTOR_BYTES);
  const isIn = (other: Uint8Array): boolean =>
    Buffer.compare(sector, other.subarray(start, start + SECTOR_BYTES)) === 0;
  const blank = sector.every((byte) => byte === 0xff);
  const isOld = isIn(before);
  const isNew = isIn(wanted);
  if (!isOld && isIn(staged) && !(isTarget && isNew)) return 'staged';
  if (isOld && isNew) return blank ? 'empty' : 'kept';
  if (isNew) return 'new';
  if (blank) return 'erased';
  return isOld ? 'old' : 'mixed';
}

function diffOf(flash: Uint8Array, { before, wanted }: Chips, start: number): SectorDiff {
  let wrongBytes = 0;
  let first = -1;
  for (let i = start; i < start + SECTOR_BYTES; i++) {
    if (flash[i] === wanted[i]) continue;
    wrongBytes++;
    if (first < 0) first = i;
  }
  const last = start + SECTOR_BYTES - DIFF_ROWS * ROW_BYTES;
  const row = Math.floor(Math.max(first, start) / ROW_BYTES) * ROW_BYTES - ROWS_BEFORE * ROW_BYTES;
  const from = Math.min(Math.max(row, start), last);
  return {
    address: start,
    wrongBytes,
    rows: Array.from({ length: DIFF_ROWS }, (_, i) => {
      const address = from + i * ROW_BYTES;
      const part = (bytes: Uint8Array): Uint8Array => bytes.slice(address, address + ROW_BYTES);
      return { address, old: part(before), atCut: part(flash), wanted: part(wanted) };
    }),
  };
}

/** What the chip is divided into, and where this update was staged. */
function rangesOf(layout: FlashLayout, { operations, oldLength, payload, target }: Reference): NamedRange[] {
  const ranges: NamedRange[] = [
    { name: 'old sketch', start: 0, end: roundUpToSector(oldLength) },
    ...(target === 'sketch' ? [{ name: 'new sketch', start: 0, end: roundUpToSector(payload.length) }] : []),
  ];
  let start = Number.POSITIVE_INFINITY;
  let end = 0;
  const list = new Operations(operations);
  for (let i = 0; i < list.length; i++) {
    const { kind, phase, address } = list.at(i);
    if (kind !== 'erase' || phase !== 'staging') continue;
    start = Math.min(start, address);
    end = Math.max(end, address + SECTOR_BYTES);
  }
  if (end > 0) ranges.push({ name: 'staging area', start, end });
  const { fsStart, fsEnd, eepromStart, rfcalStart, wifiStart } = layout;
  if (fsEnd > fsStart) ranges.push({ name: 'file system', start: fsStart, end: fsEnd });
  ranges.push(
    { name: 'EEPROM', start: eepromStart, end: eepromStart + EEPROM_BYTES },
    { name: 'RF calibration', start: rfcalStart, end: rfcalStart + RFCAL_BYTES },
    { name: 'Wi-Fi settings', start: wifiStart, end: wifiStart + WIFI_BYTES },
  );
  return ranges;
}
