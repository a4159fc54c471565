/** Shards put together: the report that the whole sweep would have made. */
import { SweepInputError } from './errors.ts';
import { REPORT_FORMAT, type SweepReport } from './report.ts';
import { firstOfEach } from './samples.ts';
import { addParts, BOTH_RULE, RETRY_RULE, type TallyOptions, type TallyPart } from './tally.ts';

/** A report and the name of the file that it was in, for messages. */
export interface NamedReport {
  readonly name: string;
  readonly report: SweepReport;
}

/** @throws SweepInputError when they are not the shards of one sweep, each once */
export function mergeReports(shards: readonly NamedReport[]): SweepReport {
  const [first] = shards;
  if (!first) throw new SweepInputError('sweep merge: name the reports of the shards');
  const whole = first.report;
  for (const { name, report } of shards) checkSame(name, report, first);
  const count = whole.shard!.count;
  for (let index = 1; index <= count; index++) {
    const having = shards.filter(({ report }) => report.shard!.index === index);
    if (having.length === 0) throw new SweepInputError(`shard ${index}/${count} is missing`);
    if (having.length > 1) {
      throw new SweepInputError(`shard ${index}/${count} is there twice: ${having.map(({ name }) => name).join(', ')}`);
    }
  }
  const options: TallyOptions = {
    sweep: whole.sweep,
    rules: whole.expectations
      .filter(({ rule }) => rule !== RETRY_RULE && rule !== BOTH_RULE)
      .map(({ rule }) => ({ text: rule, matches: () => false, allowed: [] })),
    keepAll: whole.definition.depth === 1 && whole.definition.samples === undefined,
    retry: whole.definition.retry,
    both: whole.definition.engine === 'both' && whole.definition.samples === undefined,
  };
  const part = addParts(
    shards.map(({ report }) => partOf(report)),
    options,
  );
  const seconds = shards.reduce((sum, { report }) => sum + report.seconds, 0);
  const shrunk = firstOfEach(shards.flatMap(({ report }) => report.shrunk ?? []));
  const { shard: _shard, shrunk: _shrunk, ...rest } = whole;
  return {
    ...rest,
    points: part.points,
    trials: part.trials,
    seconds: Number(seconds.toFixed(3)),
    rate: Math.round(part.trials / Math.max(seconds, 1e-6)),
    verdicts: part.verdicts,
    expectations: whole.expectations.map(({ rule }, index) => {
      const { checked, violations, ids } = part.expectations[index]!;
      return { rule, checked, violations, ids };
    }),
    resultsLeftOut: part.points - part.results.length,
    results: part.results,
    ...(shrunk.length > 0 ? { shrunk } : {}),
  };
}

function checkSame(name: string, report: SweepReport, first: NamedReport): void {
  if (report.format !== REPORT_FORMAT) {
    throw new SweepInputError(`${name}: is no sweep report (format "${REPORT_FORMAT}" wanted)`);
  }
  if (!report.shard) throw new SweepInputError(`${name}: is the report of a whole sweep, not of a shard`);
  const { report: other } = first;
  if (report.version !== other.version) {
    throw new SweepInputError(`${name}: was made by version ${report.version}, ${first.name} by ${other.version}`);
  }
  if (report.sweep !== other.sweep) {
    throw new SweepInputError(`${name}: is of sweep ${report.sweep}, ${first.name} of ${other.sweep}`);
  }
  if (report.shard.count !== other.shard!.count) {
    throw new SweepInputError(
      `${name}: is one of ${report.shard.count} shards, ${first.name} one of ${other.shard!.count}`,
    );
  }
  const rules = (of: SweepReport): string => of.expectations.map(({ rule }) => rule).join('; ');
  if (rules(report) !== rules(other)) {
    throw new SweepInputError(`${name}: was made with other expectations than ${first.name}`);
  }
}

const partOf = (report: SweepReport): TallyPart => ({
  points: report.points,
  trials: report.trials,
  verdicts: { ...report.verdicts },
  results: [...report.results],
  orders: [...report.shard!.orders],
  expectations: report.expectations.map(({ checked, violations, ids }, index) => ({
    checked,
    violations,
    ids: [...ids],
    orders: [...(report.shard!.violationOrders[index] ?? [])],
  })),
});
