/** What a sweep reports: the JSON contract of design.md §8, and what shards carry besides until they are merged. */
import type { BuildOptions } from '../../flash/image-build.ts';
import type { Phase, Point, PowerKind } from '../faults/spec.ts';
import type { UpdatePath, UpdateTarget } from './drive/index.ts';
import type { Judgement, Verdict } from './reasons.ts';

export const REPORT_FORMAT = 'sweep-1';
/** At depth 2, and with samples: so many results of each verdict are listed. */
export const RESULTS_OF_EACH = 1000;
/** So many ids of violations are listed for each expectation. */
export const IDS_OF_EACH = 1000;

/** An image by its content; `build`: it can be made again from this. */
export interface ImageReference {
  readonly sha256: string;
  readonly size: number;
  readonly build?: BuildOptions | { readonly fileSystem: number; readonly size: number };
}

/** Everything that decides what a sweep finds. Its SHA-256 is the sweep's name. */
export interface SweepDefinition {
  readonly path: UpdatePath;
  readonly target: UpdateTarget;
  readonly layout: string;
  readonly board?: string;
  readonly core?: string;
  readonly atomicFs: boolean;
  readonly engine: 'model' | 'native' | 'both';
  /** Kinds of the first fault; at depth 2 also of the second. */
  readonly faults: readonly PowerKind[];
  readonly secondFaults?: readonly PowerKind[];
  readonly points: readonly Point[];
  readonly depth: 1 | 2;
  readonly retry: boolean;
  /** Random schedules instead of all points. */
  readonly samples?: number;
  readonly seed: number;
  /** The firmware in flash at the beginning; of a file system update it is not `from`. */
  readonly firmware?: ImageReference;
  readonly from: ImageReference;
  readonly to: ImageReference;
  readonly publicKey?: string;
  /** The device was changed by a program: only that program can replay. */
  readonly altered?: true;
}

export interface SweepResult {
  readonly id: string;
  /** Of the last fault, as the next four. */
  readonly phase: Phase;
  readonly op: number;
  readonly point: Point;
  readonly fraction?: number;
  /** Chip offset of the operation; absent for RTC words. */
  readonly address?: number;
  readonly fault: PowerKind;
  readonly verdict: Verdict;
  readonly reason: string;
  /** `--engine both`: what the bootloader that is really in flash came to, where the model says `verdict`. */
  readonly disagreement?: { readonly model: Verdict; readonly native: Verdict };
  /** `--retry`: what the repeated update came to. */
  readonly retry?: Verdict;
}

export interface ExpectationReport {
  readonly rule: string;
  readonly checked: number;
  readonly violations: number;
  /** The first of them. */
  readonly ids: readonly string[];
}

/** A random schedule made as small as it goes. */
export interface ShrunkSchedule {
  /** Which of the samples showed the verdict first. */
  readonly sample: number;
  readonly from: string;
  readonly id: string;
  readonly verdict: Verdict;
  readonly reason: string;
}

export interface SweepReport {
  readonly format: typeof REPORT_FORMAT;
  readonly version: string;
  readonly sweep: string;
  readonly definition: SweepDefinition;
  /** How many operations each phase of the update has. */
  readonly operations: Readonly<Record<string, number>>;
  /** Judged cuts. */
  readonly points: number;
  /** Those really run; equal states are run once. */
  readonly trials: number;
  readonly seconds: number;
  /** Trials a second. */
  readonly rate: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  readonly expectations: readonly ExpectationReport[];
  readonly resultsLeftOut: number;
  readonly results: readonly SweepResult[];
  readonly shrunk?: readonly ShrunkSchedule[];
  /** Only when the update does not come to the new image even without a fault. */
  readonly undisturbed?: Judgement;
  /** Where the images were read from, for `replay`. */
  readonly files?: Readonly<Record<string, string>>;
  /** A part of the sweep: `orders` tell where its results and violations belong in the whole. */
  readonly shard?: {
    readonly index: number;
    readonly count: number;
    readonly orders: readonly number[];
    readonly violationOrders: readonly (readonly number[])[];
  };
}

/** Expectations broken, engines that disagree: the command line ends with 3. */
export const isViolated = (report: SweepReport): boolean =>
  report.expectations.some(({ violations }) => violations > 0);
