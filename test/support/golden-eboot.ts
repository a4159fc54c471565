/** The golden traces of eboot, and starting them on an engine. Source: test/golden/eboot/README.md. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { type BootOnceOptions, type BootOnceResult, bootOnce, type Cut } from '../../eboot/boot-once.ts';
import { buildFlash, buildRtc, type Recipe } from './golden-flash.ts';

export interface GoldenRun {
  outcome: string;
  entry?: string;
  sp?: string;
  uart: string;
  flashOps: unknown[];
  watchdog: string[];
  final: { flashSha256: string; indeterminate: [number, number][]; rtc128: string };
  dependsOnRam?: boolean;
}

export interface GoldenTrace {
  name: string;
  title: string;
  recipe: Recipe;
  plan: { cut?: Cut }[];
  initial: { flashSha256: string; rtc128: string };
  runs: GoldenRun[];
}

const folder = new URL('../golden/eboot/', import.meta.url);

export const goldenTraces: readonly GoldenTrace[] = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as GoldenTrace);

/** What a recorded run says, in the words of `bootOnce`. */
export function wantedResult(run: GoldenRun): BootOnceResult {
  const number = (text: string): number => Number(text);
  const place = run.entry === undefined ? {} : { entry: number(run.entry), sp: number(run.sp!) };
  const { outcome, uart, flashOps, watchdog } = run;
  return { outcome, ...place, uart, flashOps, watchdog } as BootOnceResult;
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** What a start left behind. */
export interface PlayedRun {
  readonly result: BootOnceResult;
  readonly flash: Uint8Array;
  readonly rtcUser: Uint8Array;
}

/** All starts of a trace, one after the other, on the engine that `options` names. */
export async function play(trace: GoldenTrace, options: Partial<BootOnceOptions>): Promise<PlayedRun[]> {
  const flash = buildFlash(trace.recipe);
  const rtcUser = buildRtc(trace.recipe);
  const runs: PlayedRun[] = [];
  for (const { cut } of trace.plan) {
    const result = await bootOnce({ ...options, flash, rtcUser, cut });
    runs.push({ result, flash: flash.slice(), rtcUser: rtcUser.slice() });
  }
  return runs;
}
