/**
 * Counts what a sweep finds, in the order of the update. Parts that were counted elsewhere (a worker, a shard) are added in
 * that order, so that who did the work does not show in the report.
 */

import type { Rule } from './expect.ts';
import type { Outcome, Sink } from './outcome.ts';
import { VERDICTS, type Verdict } from './reasons.ts';
import type { ExpectationReport, SweepResult } from './report.ts';
import { IDS_OF_EACH, RESULTS_OF_EACH } from './report.ts';
import { type Cut, formatId } from './schedule.ts';

/** More results of one boundary, or sample, than there ever are. */
const ORDERS_A_STEP = 2 ** 24;

export interface TallyOptions {
  readonly sweep: string;
  readonly rules: readonly Rule[];
  /** Every result is kept, not only the first of each verdict. */
  readonly keepAll: boolean;
  readonly retry: boolean;
  readonly both: boolean;
}

/** Plain data: what a worker sends. */
export interface TallyPart {
  points: number;
  trials: number;
  readonly verdicts: Record<Verdict, number>;
  readonly results: SweepResult[];
  /** Where each result stands in the whole. */
  readonly orders: number[];
  readonly expectations: { checked: number; violations: number; readonly ids: string[]; readonly orders: number[] }[];
}

export const RETRY_RULE = 'retry => new';
export const BOTH_RULE = 'engines agree';

export function emptyPart(options: TallyOptions): TallyPart {
  const verdicts = Object.fromEntries(VERDICTS.map((verdict) => [verdict, 0])) as Record<Verdict, number>;
  return {
    points: 0,
    trials: 0,
    verdicts,
    results: [],
    orders: [],
    expectations: ruleTexts(options).map(() => ({ checked: 0, violations: 0, ids: [], orders: [] })),
  };
}

/** The rules of the report: those that were given, and what `--retry` and `--engine both` ask for by themselves. */
export const ruleTexts = ({ rules, retry, both }: TallyOptions): string[] => [
  ...rules.map(({ text }) => text),
  ...(retry ? [RETRY_RULE] : []),
  ...(both ? [BOTH_RULE] : []),
];

export class Tally implements Sink {
  readonly part: TallyPart;
  private readonly kept: Record<string, number> = {};
  private step = 0;
  private inStep = 0;

  constructor(private readonly options: TallyOptions) {
    this.part = emptyPart(options);
  }

  /** The results that come belong to this boundary (or sample). */
  begin(step: number): void {
    this.step = step;
    this.inStep = 0;
  }

  trials(count: number): void {
    this.part.trials += count;
  }

  point(cuts: readonly Cut[], outcome: Outcome, address: number | undefined, fraction: number | undefined): void {
    const { part, options } = this;
    const order = this.step * ORDERS_A_STEP + this.inStep++;
    const { verdict } = outcome;
    part.points++;
    part.verdicts[verdict]++;
    const last = cuts[cuts.length - 1]!;
    let id: string | undefined;
    options.rules.forEach((rule, index) => {
      if (rule.matches(last)) id = this.check(index, rule.allowed.includes(verdict), cuts, order, id);
    });
    let next = options.rules.length;
    if (options.retry) {
      if (outcome.retry) id = this.check(next, outcome.retry.verdict === 'new', cuts, order, id);
      next++;
    }
    if (options.both) id = this.check(next, outcome.disagreement === undefined, cuts, order, id);
    const kept = this.kept[verdict] ?? 0;
    if (!options.keepAll && kept >= RESULTS_OF_EACH) return;
    this.kept[verdict] = kept + 1;
    part.orders.push(order);
    part.results.push({
      id: id ?? formatId(options.sweep, cuts),
      phase: last.phase,
      op: last.op,
      point: last.point,
      ...(fraction === undefined ? {} : { fraction }),
      ...(address === undefined ? {} : { address }),
      fault: last.kind,
      verdict,
      reason: outcome.reason,
      ...(outcome.disagreement ? { disagreement: outcome.disagreement } : {}),
      ...(outcome.retry ? { retry: outcome.retry.verdict } : {}),
    });
  }

  private check(
    index: number,
    holds: boolean,
    cuts: readonly Cut[],
    order: number,
    known: string | undefined,
  ): string | undefined {
    const expectation = this.part.expectations[index]!;
    expectation.checked++;
    if (holds) return known;
    expectation.violations++;
    if (expectation.ids.length >= IDS_OF_EACH) return known;
    const id = known ?? formatId(this.options.sweep, cuts);
    expectation.ids.push(id);
    expectation.orders.push(order);
    return id;
  }
}

/** Puts parts together; what they list is put in order and cut to its limit again. */
export function addParts(parts: readonly TallyPart[], options: TallyOptions): TallyPart {
  const sum = emptyPart(options);
  for (const part of parts) {
    sum.points += part.points;
    sum.trials += part.trials;
    for (const verdict of VERDICTS) sum.verdicts[verdict] += part.verdicts[verdict];
    part.expectations.forEach((expectation, index) => {
      const total = sum.expectations[index]!;
      total.checked += expectation.checked;
      total.violations += expectation.violations;
    });
  }
  const results = inOrder(parts.map(({ results: values, orders }) => ({ values, orders })));
  const kept: Record<string, number> = {};
  for (const { value, order } of results) {
    const count = kept[value.verdict] ?? 0;
    if (!options.keepAll && count >= RESULTS_OF_EACH) continue;
    kept[value.verdict] = count + 1;
    sum.results.push(value);
    sum.orders.push(order);
  }
  sum.expectations.forEach((total, index) => {
    const ids = inOrder(
      parts.map(({ expectations }) => ({ ...expectations[index]!, values: expectations[index]!.ids })),
    );
    for (const { value, order } of ids.slice(0, IDS_OF_EACH)) {
      total.ids.push(value);
      total.orders.push(order);
    }
  });
  return sum;
}

function inOrder<T>(
  lists: readonly { values: readonly T[]; orders: readonly number[] }[],
): { value: T; order: number }[] {
  const all = lists.flatMap(({ values, orders }) => values.map((value, i) => ({ value, order: orders[i]! })));
  return all.sort((a, b) => a.order - b.order);
}

export const expectationsOf = (part: TallyPart, options: TallyOptions): ExpectationReport[] =>
  ruleTexts(options).map((rule, index) => {
    const { checked, violations, ids } = part.expectations[index]!;
    return { rule, checked, violations, ids };
  });
