/** `powerCutSweep`: one update, cut everywhere. Contract: design.md §3, §8. */
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { type Job, type Range, tallyOptionsOf } from './crew.ts';
import { settle } from './drive/index.ts';
import { SweepInputError } from './errors.ts';
import { parseRule } from './expect.ts';
import { runJob } from './jobs.ts';
import { Operations } from './operations.ts';
import { type Prepared, prepare, type SweepOptions, sweepName } from './prepare.ts';
import { recordUpdate, runReference } from './reference.ts';
import type { Reference } from './reference-data.ts';
import { REPORT_FORMAT, type ShrunkSchedule, type SweepReport } from './report.ts';
import type { Repetitions } from './retry.ts';
import { runSamples } from './samples.ts';
import { type Subject, sendUpdate, start, subjectDevice } from './subject.ts';
import { expectationsOf, type TallyOptions, type TallyPart } from './tally.ts';
import { programVersion } from './version.ts';

const MOST_JOBS = 256;
/** What walking a recovery costs, beside trying all of its states. */
const WALK_SHARE = 0.2;

/**
 * Runs an update once, and then cuts it at every operation: what becomes of the device each time?
 *
 * @throws SweepInputError for options that cannot be, and an update that fails without any fault
 * @example
 * const report = await powerCutSweep({ path: 'arduino-ota', layout: '4m2m', expect: ['phase=staging => old'] });
 * console.log(report.verdicts.brick, report.results.find(({ verdict }) => verdict === 'brick')?.id);
 */
export async function powerCutSweep(options: SweepOptions = {}): Promise<SweepReport> {
  const prepared = prepare(options);
  const { definition, subject, plan, flashId, files } = prepared;
  const rules = (options.expect ?? []).map((text) => parseRule(text).text);
  const shard = checkShard(options.shard);
  const jobs = checkJobs(
    options.jobs ?? (definition.depth === 1 && definition.engine === 'model' ? 1 : availableParallelism()),
  );
  const reference = await runReference(subject);
  const repetitions = plan.retry ? await recordRepetitions(subject, reference) : undefined;
  const sweep = sweepName(definition);
  const job: Job = { reference, plan, engine: definition.engine, flashId, repetitions, sweep, rules };
  const startedAtMs = performance.now();
  const work: Work = { prepared, job, jobs, shard, options, startedAtMs };
  const { part, tally, shrunk } = definition.samples === undefined ? await allPoints(work) : samplePoints(work);
  const seconds = (performance.now() - startedAtMs) / 1000;
  return {
    format: REPORT_FORMAT,
    version: programVersion(),
    sweep,
    definition,
    operations: new Operations(reference.operations).counts(),
    points: part.points,
    trials: part.trials,
    seconds: Number(seconds.toFixed(3)),
    rate: Math.round(part.trials / Math.max(seconds, 1e-6)),
    verdicts: part.verdicts,
    expectations: expectationsOf(part, tally),
    resultsLeftOut: part.points - part.results.length,
    results: part.results,
    ...(shrunk && shrunk.length > 0 ? { shrunk } : {}),
    ...(reference.undisturbed && reference.undisturbed.verdict !== 'new' ? { undisturbed: reference.undisturbed } : {}),
    ...(Object.keys(files).length > 0 ? { files } : {}),
    ...(shard.count === 1
      ? {}
      : {
          shard: {
            ...shard,
            orders: part.orders,
            violationOrders: part.expectations.map(({ orders }) => orders),
          },
        }),
  };
}

interface Work {
  readonly prepared: Prepared;
  readonly job: Job;
  readonly jobs: number;
  readonly shard: { readonly index: number; readonly count: number };
  readonly options: SweepOptions;
  readonly startedAtMs: number;
}

interface Done {
  readonly part: TallyPart;
  readonly tally: TallyOptions;
  readonly shrunk?: readonly ShrunkSchedule[];
}

async function allPoints({ job, jobs, shard, options, startedAtMs }: Work): Promise<Done> {
  const weights = new Weights(job);
  let points = 0;
  let trials = 0;
  let weight = 0;
  const part = await runJob(
    job,
    {
      jobs,
      boundaries: weights.boundaries,
      first: shard.index - 1,
      step: shard.count,
      onPart: (counted, range) => {
        points += counted.points;
        trials += counted.trials;
        weight += weights.of(range);
        const total = weights.of({ from: shard.index - 1, to: weights.boundaries, step: shard.count });
        options.onProgress?.({
          done: total === 0 ? 1 : weight / total,
          points,
          trials,
          seconds: (performance.now() - startedAtMs) / 1000,
        });
      },
    },
    options.alter?.bootloader,
  );
  return { part, tally: tallyOptionsOf(job) };
}

function samplePoints({ prepared, job, shard, options }: Work): Done {
  const tally: TallyOptions = { ...tallyOptionsOf(job), keepAll: false, both: false };
  if (prepared.definition.engine === 'both') {
    throw new SweepInputError('--samples: one engine at a time; use --engine model or native');
  }
  return { ...runSamples(prepared, job, tally, shard, options.alter?.bootloader), tally };
}

/** How much work there is at each boundary: at depth 2 a recovery that copies is walked whole. */
class Weights {
  readonly boundaries: number;
  private readonly sums: Float64Array;

  constructor({ reference, plan }: Job) {
    const operations = new Operations(reference.operations);
    this.boundaries = operations.length + 1;
    const { copy = 0, clear = 0 } = operations.counts();
    const recovery = plan.depth === 2 && plan.kinds.includes('reset') ? (copy + clear) / 2 : 0;
    const first = operations.find('copy', 0);
    this.sums = new Float64Array(this.boundaries + 1);
    for (let i = 0; i < this.boundaries; i++) {
      // The later the first cut, the more states of the recovery are new ones; the recovery is walked in any case.
      const share = recovery > 0 && first >= 0 && i >= first ? WALK_SHARE + (i - first) / Math.max(1, copy) : 0;
      this.sums[i + 1] = this.sums[i]! + 1 + share * recovery;
    }
  }

  of({ from, to, step }: Range): number {
    let sum = 0;
    if (step === 1) return this.sums[Math.max(from, to)]! - this.sums[from]!;
    for (let i = from; i < to; i += step) sum += this.sums[i + 1]! - this.sums[i]!;
    return sum;
  }
}

/** The update once more: on the device as it was, and on one that has it already. */
async function recordRepetitions(subject: Subject, reference: Reference): Promise<Repetitions> {
  const old = { operations: reference.operations };
  if (subject.target === 'fs') return { old, new: old };
  const device = await subjectDevice(subject);
  try {
    await start(device);
    await sendUpdate(device, subject);
    const state = await settle(device);
    if (state?.state !== 'running') return { old, new: { refused: 'the new image does not start' } };
    const { reference: again } = await recordUpdate(device, subject);
    return { old, new: { operations: again.operations } };
  } catch (error) {
    if (!(error instanceof SweepInputError)) throw error;
    return { old, new: { refused: error.message } };
  } finally {
    await device.close();
  }
}

function checkShard(shard: SweepOptions['shard']): { index: number; count: number } {
  if (!shard) return { index: 1, count: 1 };
  const { index, count } = shard;
  if (!Number.isInteger(index) || !Number.isInteger(count) || count < 1 || index < 1 || index > count) {
    throw new SweepInputError(`--shard ${index}/${count}: wants i/n with i from 1 to n, e.g. 2/4`);
  }
  return shard;
}

function checkJobs(jobs: number): number {
  if (Number.isInteger(jobs) && jobs >= 1 && jobs <= MOST_JOBS) return jobs;
  throw new SweepInputError(`--jobs ${jobs}: wants a whole number from 1 to ${MOST_JOBS}`);
}
