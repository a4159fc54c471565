/** A checker is itself tested: each planted defect must be found, by a small counterexample; a sound design must pass. */
import { describe, expect, test } from 'vitest';
import { assertInvariants, type CommandConstraints } from '../../../emulator/fast-check.ts';
import { DEFECTS, type DefectName, soundDesign } from '../../../emulator/sweep/defects.ts';
import { layoutByName } from '../../../flash/layouts.ts';

const runs = { seed: 2, numRuns: 400 };

/** The counterexample as text. */
async function counterexample(constraints: CommandConstraints): Promise<string> {
  try {
    await assertInvariants(constraints, runs);
  } catch (error) {
    return `${(error as Error).message}\n${String((error as Error).cause)}`;
  }
  return 'none';
}

const EXPECTED: Record<DefectName, { found: RegExp; commands: number; constraints?: CommandConstraints }> = {
  // In general lives it takes some hundred to meet a reset in the copy.
  'command-cleared-first': {
    found: /I3: .* dead/,
    commands: 2,
    constraints: { commands: ['arm', 'upload'], maxCommands: 4, maxImageSize: 20_000, faults: { maxOp: 60 } },
  },
  'command-never-cleared': { found: /I5: .* copies/, commands: 2 },
  'command-written-first': { found: /I[2345]: /, commands: 2 },
  'md5-skipped': { found: /I8: .* was installed/, commands: 1 },
  'last-sector-not-erased': { found: /I[47]: /, commands: 2 },
  'destination-not-erased': { found: /I4: .* dead after a whole copy/, commands: 1 },
  'staging-over-sketch': { found: /I[1237]: /, commands: 2 },
  'last-sector-not-copied': { found: /I4: /, commands: 1 },
};

describe('planted defects', () => {
  test.each(Object.keys(EXPECTED) as DefectName[])('%s is found', async (name) => {
    const { found, commands, constraints } = EXPECTED[name];
    const text = await counterexample({ ...constraints, device: { alter: DEFECTS[name].alter } });
    expect(text).toMatch(found);
    const [, list = ''] = /Counterexample: \[(.*?)\/\*/.exec(text) ?? [];
    expect(list.split(/,(?=arm|upload|retry|reset|power|wait)/).length, list).toBeLessThanOrEqual(commands);
  });

  test('every defect has its test', () => {
    expect(Object.keys(EXPECTED).sort()).toEqual(Object.keys(DEFECTS).sort());
  });
});

describe('a sound design', () => {
  const alter = soundDesign(layoutByName('1m64'));

  test.each(['arduino-ota', 'web', 'stream'] as const)(
    '%s: no power cut, reset or brown-out leaves it dead',
    async (path) => {
      await assertInvariants({ path, neverDead: true, device: { alter } }, { ...runs, numRuns: 20 });
    },
  );

  test('and the core’s own design is not that sound', async () => {
    expect(await counterexample({ commands: ['arm', 'upload'], maxCommands: 4, neverDead: true })).toMatch(
      /I3: .* a design that never dies is dead/,
    );
  });
});
