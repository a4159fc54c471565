/**
 * The executed engine against the model: a bootloader of our own that does with raw images what eboot does. The same
 * comparison with real bootloaders: test/core/native-eboot.test.ts.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ACTION_COPY_RAW } from '../../../eboot/command.ts';
import { firstDifference, isCutShort } from '../../support/boot-difference.ts';
import { goldenTraces, play, sha256, wantedResult } from '../../support/golden-eboot.ts';
import { miniEboot } from '../../support/mini-eboot.ts';
import { anyStart, boots, type Start } from '../../support/random-boots.ts';

const loader = miniEboot();

/** Those that unpack, or that show what eboot's own stack held, are beyond it. */
const RAW = goldenTraces.filter(({ name }) => /^(raw|cmd|boot-(bad|valid|zero|empty))/.test(name));

test('most raw golden traces are among those it is measured by', () => expect(RAW.length).toBeGreaterThan(15));

test.each(RAW.map((trace) => [trace.name, trace] as const))('%s as recorded from the real one', async (_, trace) => {
  const runs = await play(trace, { engine: 'native', loader });
  for (const [index, { result, flash }] of runs.entries()) {
    expect(result).toEqual(wantedResult(trace.runs[index]!));
    const known = flash.slice();
    for (const [address, length] of trace.runs[index]!.final.indeterminate) known.fill(0, address, address + length);
    expect(sha256(known)).toBe(trace.runs[index]!.final.flashSha256);
  }
});

test('invariant: executed and restated, every start does the same operations and leaves the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(anyStart, async (given) => {
      const model = await boots(given, { engine: 'model', core: 'master' });
      const native = await boots(given, { engine: 'native', loader });
      for (const [index, trace] of native.entries()) {
        expect(firstDifference(model[index]!, trace), `start ${index}`).toBeUndefined();
        if (isCutShort(model[index]!, trace)) break;
      }
    }),
    { numRuns: 120 },
  );
});

test('a difference is reported by its first operation', async () => {
  const given: Start = {
    seed: 1,
    command: { action: ACTION_COPY_RAW, args: [0, 0, 0x2000] },
    damage: 0,
    cuts: [],
  };
  const [model] = await boots(given, { engine: 'model', core: '2.7.4' });
  const [native] = await boots(given, { engine: 'native', loader });
  expect(firstDifference(model!, native!)).toBe('operation 0: model ["erase",0,4096], native ["erase",4096,4096]');
});
