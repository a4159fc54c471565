/** What an engine finds, and who gets it. */
import type { Judgement, Verdict } from './reasons.ts';
import type { Cut } from './schedule.ts';

/** What came of one point. */
export interface Outcome extends Judgement {
  /** With `--retry`, of a device that survived: what the repeated update came to. */
  readonly retry?: Judgement | undefined;
  /** With both engines: what each says, where they differ. */
  readonly disagreement?: { readonly model: Verdict; readonly native: Verdict } | undefined;
}

/** Gets the results, in the order of the update. The objects are good during the call only. */
export interface Sink {
  point(cuts: readonly Cut[], outcome: Outcome, address: number | undefined, fraction: number | undefined): void;
  /** So many were really run. */
  trials(count: number): void;
}
