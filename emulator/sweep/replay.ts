/** One result of a report, once more, on a real device. */
import { readFileSync } from 'node:fs';
import { type DeviceRun, type DeviceRunOptions, runOnDevice } from './device-run.ts';
import { SweepInputError } from './errors.ts';
import { type ImageInput, prepare, rebuild, type SweepOptions, sha256, sweepName } from './prepare.ts';
import { runReference } from './reference.ts';
import type { Reference } from './reference-data.ts';
import { type ImageReference, REPORT_FORMAT, type SweepReport, type SweepResult } from './report.ts';
import { type Cut, parseId } from './schedule.ts';
import { ScheduleRunner } from './schedule-run.ts';
import { programVersion } from './version.ts';
import { World } from './world.ts';

export interface ReplayOptions {
  /** In place of the files that the report names. */
  readonly images?: Readonly<Record<'from' | 'to' | 'firmware', ImageInput | undefined>>;
  /** Sees the device before it is switched on: for its events. */
  readonly watch?: DeviceRunOptions['watch'];
  /** Sees the device as the verdict found it, before it is closed. */
  readonly after?: DeviceRunOptions['after'];
}

export interface Replay extends DeviceRun {
  /** What the report says; undefined when it does not list this id. */
  readonly reported: SweepResult | undefined;
  /** The device did what the report says, and its flash is, byte for byte, what the sweep's engine left. */
  readonly same: boolean;
  /** Where the flash of device and engine differ first; undefined when nowhere. */
  readonly differsAt: number | undefined;
}

/**
 * Repeats one result, byte for byte: the whole update on a device with these faults.
 *
 * @throws SweepInputError when id and report do not belong together, for another version, and for changed images
 * @example
 * const { verdict, reason } = await replay('1-3f9a2c71d04b-power-cut@copy:17', report);
 */
export async function replay(id: string, report: SweepReport, options: ReplayOptions = {}): Promise<Replay> {
  const { sweep, cuts } = parseId(id);
  if (report.format !== REPORT_FORMAT) {
    throw new SweepInputError(`the report has format "${report.format}"; "${REPORT_FORMAT}" is wanted`);
  }
  if (report.version !== programVersion()) {
    throw new SweepInputError(
      `the report was made by version ${report.version}, this is ${programVersion()}: results may differ; sweep again`,
    );
  }
  if (sweepName(report.definition) !== report.sweep) {
    throw new SweepInputError('the definition in the report was changed: its hash is not the name of the sweep');
  }
  if (sweep !== report.sweep) {
    throw new SweepInputError(`id ${id} is of sweep ${sweep}, the report of ${report.sweep}`);
  }
  const { definition } = report;
  if (definition.altered) {
    throw new SweepInputError('this sweep was of a device that a program changed; only that program can repeat it');
  }
  const prepared = prepare(optionsOf(report, options));
  if (sweepName(prepared.definition) !== report.sweep) {
    throw new SweepInputError('this program builds another sweep from the definition in the report; sweep again');
  }
  for (const [phase, count] of cuts.slice(0, 1).map(({ phase }) => [phase, report.operations[phase] ?? 0] as const)) {
    if (cuts[0]!.op >= count) {
      throw new SweepInputError(`id ${id}: the update has ${count} operations in phase ${phase}, counted from 0`);
    }
  }
  const reference = await runReference(prepared.subject);
  const reported = report.results.find((result) => result.id === id);
  const run = await runOnDevice(prepared.subject, reference, cuts, {
    retry: definition.retry,
    ...(options.watch ? { watch: options.watch } : {}),
    ...(options.after ? { after: options.after } : {}),
  });
  if (!run.fired) throw new SweepInputError(`id ${id}: not every fault strikes: there is no such operation`);
  const differsAt = firstDifference(run.flash, engineFlash(reference, cuts));
  const same = differsAt === undefined && (reported === undefined || reported.verdict === run.verdict);
  return { ...run, reported, same, differsAt };
}

/** What the engine leaves of the chip. */
function engineFlash(reference: Reference, cuts: readonly Cut[]): Uint8Array {
  let flash: Uint8Array = new Uint8Array(0);
  new ScheduleRunner(new World(reference)).run(cuts, {
    inspect: (chip) => {
      flash = chip.peek(0, chip.capacityBytes);
    },
  });
  return flash;
}

function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  if (Buffer.compare(a, b) === 0) return undefined;
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at < 0 ? Math.min(a.length, b.length) : at;
}

/** The options that make a report's sweep again. @throws SweepInputError when an image is missing or was changed */
export function optionsOf({ definition, files = {} }: SweepReport, { images }: ReplayOptions): SweepOptions {
  const get = (role: 'from' | 'to' | 'firmware', reference: ImageReference | undefined): ImageInput | undefined => {
    const given = images?.[role] ?? files[role];
    if (!reference) return given;
    if (given !== undefined) return checked(role, given, reference);
    if (reference.build) {
      if (sha256(rebuild(reference)!) === reference.sha256) return undefined;
      throw new SweepInputError(`--${role}: this program builds another image than the one of the report; sweep again`);
    }
    throw new SweepInputError(`--${role}: the report does not say where this image is; name its file`);
  };
  const { faults, secondFaults, depth, publicKey, core, board, samples } = definition;
  return {
    path: definition.path,
    target: definition.target,
    layout: definition.layout,
    board,
    core,
    atomicFs: definition.atomicFs,
    engine: definition.engine,
    fault: depth === 2 ? `${faults.join(',')}+${(secondFaults ?? ['power-cut']).join(',')}` : faults.join(','),
    points: definition.points,
    depth,
    retry: definition.retry,
    samples,
    seed: definition.seed,
    publicKey,
    firmware: get('firmware', definition.firmware),
    from: get('from', definition.from),
    to: get('to', definition.to),
  };
}

/** The image, if it is still the one that was swept. */
function checked(role: string, input: ImageInput, reference: ImageReference): ImageInput {
  let bytes: Uint8Array;
  try {
    bytes = typeof input === 'string' ? readFileSync(input) : input;
  } catch {
    throw new SweepInputError(`--${role} ${String(input)}: cannot be read`);
  }
  if (sha256(bytes) === reference.sha256) return input;
  throw new SweepInputError(`--${role}${typeof input === 'string' ? ` ${input}` : ''}: was changed since the sweep`);
}
