/** Every golden trace, recorded from the real bootloader executed instruction by instruction. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bootOnce, type Cut } from '../../eboot/boot-once.ts';
import { buildFlash, buildRtc, type Recipe } from '../support/golden-flash.ts';

interface GoldenRun {
  outcome: string;
  entry?: string;
  sp?: string;
  uart: string;
  flashOps: unknown[];
  watchdog: string[];
  final: { flashSha256: string; indeterminate: [number, number][]; rtc128: string };
  dependsOnRam?: boolean;
}

interface Golden {
  name: string;
  title: string;
  recipe: Recipe;
  plan: { cut?: Cut }[];
  initial: { flashSha256: string; rtc128: string };
  runs: GoldenRun[];
}

const folder = new URL('../golden/eboot/', import.meta.url);
const traces = readdirSync(folder)
  .filter((name) => name.endsWith('.json'))
  .map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Golden);

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const rtc128 = (rtc: Uint8Array): string => Buffer.from(rtc.subarray(0, 128)).toString('hex');
const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));

/** RAM as the traces had it, and the second filling that tells what depends on it. */
const FILLS = [0xa5, 0x5a];

test('the folder is complete', () => {
  expect(traces).toHaveLength(52);
  expect(traces.flatMap((trace) => trace.runs)).toHaveLength(56);
});

describe.each(traces)('$name: $title', (trace) => {
  test('the recipe gives the recorded start', () => {
    expect(sha256(buildFlash(trace.recipe))).toBe(trace.initial.flashSha256);
    expect(rtc128(buildRtc(trace.recipe))).toBe(trace.initial.rtc128);
  });

  test.each(FILLS)('RAM filled with %i: every start ends as recorded', async (ram) => {
    const flash = buildFlash(trace.recipe);
    const rtcUser = buildRtc(trace.recipe);
    expect(trace.plan).toHaveLength(trace.runs.length);
    for (const [index, { cut }] of trace.plan.entries()) {
      const wanted = trace.runs[index]!;
      // What RAM decides was recorded with the first filling only; nothing after it can be compared either.
      if (wanted.dependsOnRam && ram !== FILLS[0]) return;
      const run = await bootOnce({ flash, rtcUser, engine: 'model', core: 'master', cut, ram });
      expect(run).toEqual({
        outcome: wanted.outcome,
        ...(wanted.entry === undefined ? {} : { entry: number(wanted.entry), sp: number(wanted.sp) }),
        uart: wanted.uart,
        flashOps: wanted.flashOps,
        watchdog: wanted.watchdog,
      });
      const known = flash.slice();
      for (const [address, length] of wanted.final.indeterminate) known.fill(0, address, address + length);
      expect(sha256(known), 'flash afterwards').toBe(wanted.final.flashSha256);
      expect(rtc128(rtcUser)).toBe(wanted.final.rtc128);
    }
  });
});
