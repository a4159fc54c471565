/**
 * Random schedules: up to three faults at random operations, fractions included. What they find is made small: fewer faults,
 * simpler points, earlier operations, as long as the verdict stays.
 */
import { POWER_KINDS } from '../faults/spec.ts';
import { SeededRandom } from '../random.ts';
import type { Bootloader } from './boot-run.ts';
import type { Job } from './crew.ts';
import { nativeBootloader } from './native.ts';
import type { Prepared } from './prepare.ts';
import type { Verdict } from './reasons.ts';
import type { ShrunkSchedule } from './report.ts';
import { Retry } from './retry.ts';
import { type Cut, formatId, formatSchedule } from './schedule.ts';
import { type ScheduleOutcome, ScheduleRunner } from './schedule-run.ts';
import { Tally, type TallyOptions, type TallyPart } from './tally.ts';
import { World } from './world.ts';

const MOST_FAULTS = 3;
/** Fractions are drawn in thousandths, so that an id stays short. */
const FRACTIONS = 1000;
const SHRUNK: readonly Verdict[] = ['brick', 'corrupt', 'fs-lost', 'stuck'];
const SHRINK_TRIES = 2000;

export function runSamples(
  { definition }: Prepared,
  job: Job,
  options: TallyOptions,
  shard: { readonly index: number; readonly count: number },
  bootloader: Bootloader | undefined,
): { part: TallyPart; shrunk: ShrunkSchedule[] } {
  const native = definition.engine === 'native' ? nativeBootloader(job.flashId) : undefined;
  const world = new World(job.reference, bootloader ?? native);
  const runner = new ScheduleRunner(world);
  const retry = job.repetitions && new Retry(world, job.repetitions);
  const run = (cuts: readonly Cut[]): ScheduleOutcome | undefined => runner.run(cuts, { retry });
  const tally = new Tally(options);
  const found = new Map<Verdict, { readonly cuts: Cut[]; readonly index: number }>();
  for (const { cuts, index } of drawn(definition.samples!, world, job, shard)) {
    const outcome = run(cuts);
    if (!outcome) continue;
    // A fault proves that it struck, or it does not count.
    const struck = cuts.slice(0, outcome.fired);
    tally.begin(index);
    tally.point(struck, outcome, outcome.address, outcome.fraction);
    tally.trials(1);
    const { verdict } = outcome;
    const before = found.get(verdict);
    if (SHRUNK.includes(verdict) && (!before || before.index > index)) found.set(verdict, { cuts: struck, index });
  }
  const shrunk = [...found].map(([verdict, { cuts, index }]) => {
    const small = shrink(cuts, verdict, run);
    const { reason } = run(small)!;
    const ids = { from: formatId(options.sweep, cuts), id: formatId(options.sweep, small) };
    return { sample: index, ...ids, verdict, reason };
  });
  return { part: tally.part, shrunk: firstOfEach(shrunk) };
}

/** The schedules of a shard, numbered in the order in which they strike: the update is then walked once. */
function drawn(
  count: number,
  world: World,
  { plan, reference }: Job,
  shard: { readonly index: number; readonly count: number },
): { cuts: Cut[]; index: number }[] {
  const random = new SeededRandom(reference.seed).stream('samples');
  const { operations } = world;
  const recovery = Math.max(1, operations.counts()['copy'] ?? 0);
  const list = Array.from({ length: count }, () => {
    const at = random.below(operations.length);
    const cuts = [draw(random, plan.kinds, operations.phaseOf(at), operations.opOf(at))];
    for (let more = random.below(MOST_FAULTS); more > 0; more--) {
      cuts.push(draw(random, POWER_KINDS, 'copy', random.below(recovery)));
    }
    return { cuts, at };
  });
  list.sort((a, b) => a.at - b.at);
  return list
    .map(({ cuts }, index) => ({ cuts, index }))
    .filter(({ index }) => index % shard.count === shard.index - 1);
}

function draw(random: SeededRandom, kinds: readonly Cut['kind'][], phase: Cut['phase'], op: number): Cut {
  const kind = kinds[random.below(kinds.length)]!;
  const point = (['before', 'after', 'inside'] as const)[random.below(kind === 'power-cut' ? 3 : 2)]!;
  const fraction = random.below(FRACTIONS) / FRACTIONS;
  return { kind, phase, op, point, ...(point === 'inside' ? { fraction } : {}) };
}

/** The smallest schedule that this way of looking finds with the same verdict. */
export function shrink(
  cuts: readonly Cut[],
  verdict: Verdict,
  run: (cuts: readonly Cut[]) => ScheduleOutcome | undefined,
): Cut[] {
  let best = [...cuts];
  let tries = 0;
  const shows = (candidate: readonly Cut[]): boolean => {
    if (candidate.length === 0 || tries++ > SHRINK_TRIES) return false;
    const outcome = run(candidate);
    return outcome?.fired === candidate.length && outcome.verdict === verdict;
  };
  for (let better = true; better; ) {
    better = false;
    for (const candidate of smaller(best)) {
      if (!shows(candidate)) continue;
      best = candidate;
      better = true;
      break;
    }
  }
  return best;
}

function* smaller(cuts: readonly Cut[]): Generator<Cut[]> {
  for (let i = 0; i < cuts.length; i++) yield cuts.filter((_, index) => index !== i);
  for (let i = 0; i < cuts.length; i++) {
    const cut = cuts[i]!;
    for (const candidate of simpler(cut)) {
      if (formatSchedule([candidate]) !== formatSchedule([cut]))
        yield cuts.map((other, at) => (at === i ? candidate : other));
    }
  }
}

function* simpler({ fraction, ...cut }: Cut): Generator<Cut> {
  if (fraction !== undefined) {
    yield { ...cut, point: 'before' };
    yield { ...cut, point: 'after' };
    if (fraction !== 0.5) yield { ...cut, fraction: 0.5 };
  } else if (cut.point === 'after') yield { ...cut, point: 'before' };
  const rest = fraction === undefined ? {} : { fraction };
  for (let less = cut.op; less >= 1; less = Math.floor(less / 2)) yield { ...cut, op: cut.op - less, ...rest };
}

/** One schedule for each verdict: that of the earliest sample, in the order of the samples. */
export function firstOfEach(shrunk: readonly ShrunkSchedule[]): ShrunkSchedule[] {
  const sorted = [...shrunk].sort((a, b) => a.sample - b.sample);
  return sorted.filter(({ verdict }, i) => sorted.findIndex((other) => other.verdict === verdict) === i);
}
