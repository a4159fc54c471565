/** The results of a sweep by what came of them and why. */
import type { Verdict } from './reasons.ts';
import type { SweepReport, SweepResult } from './report.ts';

/** All results that are not a whole old or new image and have the same reason. */
export interface ReasonClass {
  readonly verdict: Verdict;
  readonly reason: string;
  /** Of those that the report lists. */
  readonly results: readonly SweepResult[];
}

/** Groups what did not end well. */
export function classesOf({ results }: SweepReport): ReasonClass[] {
  const classes = new Map<string, { verdict: Verdict; reason: string; results: SweepResult[] }>();
  for (const result of results) {
    const { verdict, reason } = result;
    if (verdict === 'old' || verdict === 'new') continue;
    const key = `${verdict} ${reason}`;
    const known = classes.get(key);
    if (known) known.results.push(result);
    else classes.set(key, { verdict, reason, results: [result] });
  }
  return [...classes.values()];
}
