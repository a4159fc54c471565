/** What one thread does: it owns an engine, and tries the boundaries that it is given, in rising order. */
import type { Bootloader } from './boot-run.ts';
import { Engine } from './engine.ts';
import { parseRule } from './expect.ts';
import { nativeBootloader } from './native.ts';
import type { Outcome, Sink } from './outcome.ts';
import type { Plan } from './plan.ts';
import type { Reference } from './reference-data.ts';
import { type Repetitions, Retry } from './retry.ts';
import { type Cut, formatSchedule } from './schedule.ts';
import { Tally, type TallyOptions, type TallyPart } from './tally.ts';
import { World } from './world.ts';

/** Tells a thread that there are no more ranges. */
export const NO_MORE = 'no more';

/** Everything a thread needs: plain data. */
export interface Job {
  readonly reference: Reference;
  readonly plan: Plan;
  readonly engine: 'model' | 'native' | 'both';
  readonly flashId: number;
  readonly repetitions: Repetitions | undefined;
  readonly sweep: string;
  readonly rules: readonly string[];
}

/** Boundaries `from`, `from + step`, … below `to`. */
export interface Range {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

export function tallyOptionsOf({ sweep, rules, plan, engine }: Job): TallyOptions {
  return {
    sweep,
    rules: rules.map(parseRule),
    keepAll: plan.depth === 1,
    retry: plan.retry,
    both: engine === 'both',
  };
}

export class Crew {
  private readonly engines: readonly Engine[];
  private readonly options: TallyOptions;

  /** @param bootloader that was put in the model's place */
  constructor(job: Job, bootloader?: Bootloader) {
    this.options = tallyOptionsOf(job);
    const engine = (loader: Bootloader | undefined): Engine => {
      const world = new World(job.reference, loader);
      return new Engine(world, job.plan, job.repetitions && new Retry(world, job.repetitions));
    };
    this.engines = [
      ...(job.engine === 'native' ? [] : [engine(bootloader)]),
      ...(job.engine === 'model' ? [] : [engine(nativeBootloader(job.flashId))]),
    ];
  }

  run({ from, to, step }: Range): TallyPart {
    const tally = new Tally(this.options);
    for (let boundary = from; boundary < to; boundary += step) {
      tally.begin(boundary);
      this.visit(boundary, tally);
    }
    return tally.part;
  }

  private visit(boundary: number, sink: Sink): void {
    const [first, second] = this.engines;
    if (!second) {
      first!.visit(boundary, sink);
      return;
    }
    const native = new Map<string, Outcome>();
    second.visit(boundary, {
      point: (cuts: readonly Cut[], outcome: Outcome) => void native.set(formatSchedule(cuts), outcome),
      trials: (count) => sink.trials(count),
    });
    first!.visit(boundary, {
      point: (cuts, outcome, address, fraction) => {
        const other = native.get(formatSchedule(cuts));
        const agrees = other?.verdict === outcome.verdict;
        const told = agrees
          ? outcome
          : { ...outcome, disagreement: { model: outcome.verdict, native: other?.verdict ?? outcome.verdict } };
        sink.point(cuts, told, address, fraction);
      },
      trials: (count) => sink.trials(count),
    });
  }
}
