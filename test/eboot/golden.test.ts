/** Every golden trace, recorded from the real bootloader executed instruction by instruction. */
import { describe, expect, test } from 'vitest';
import { play, sha256, goldenTraces as traces, wantedResult } from '../support/golden-eboot.ts';
import { buildFlash, buildRtc } from '../support/golden-flash.ts';

const rtc128 = (rtc: Uint8Array): string => Buffer.from(rtc.subarray(0, 128)).toString('hex');

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
    expect(trace.plan).toHaveLength(trace.runs.length);
    const runs = await play(trace, { engine: 'model', core: 'master', ram });
    for (const [index, { result, flash, rtcUser }] of runs.entries()) {
      const wanted = trace.runs[index]!;
      // What RAM decides was recorded with the first filling only; nothing after it can be compared either.
      if (wanted.dependsOnRam && ram !== FILLS[0]) return;
      expect(result).toEqual(wantedResult(wanted));
      const known = flash.slice();
      for (const [address, length] of wanted.final.indeterminate) known.fill(0, address, address + length);
      expect(sha256(known), 'flash afterwards').toBe(wanted.final.flashSha256);
      expect(rtc128(rtcUser)).toBe(wanted.final.rtc128);
    }
  });
});
