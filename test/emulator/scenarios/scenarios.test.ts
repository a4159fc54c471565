/** Each row of the field catalogue shows its symptom, names its cause and shows its cure. Source: spec chapter 06. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Device } from '../../../emulator/device.ts';
import { documentOf, playScenario, scenarios } from '../../../emulator/scenarios/index.ts';

/** Rows of the catalogue. */
const ROWS = 40;

describe('scenarios', () => {
  test('names are unique, and each row of the catalogue is told exactly once', () => {
    const names = scenarios.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
    const rows = scenarios.flatMap(({ rows }) => rows);
    expect(rows.toSorted((a, b) => a - b)).toEqual(Array.from({ length: ROWS }, (_, index) => index + 1));
  });

  test('they stand in the order of the rows', () => {
    const first = scenarios.map(({ rows }) => Math.min(...rows));
    expect(first).toEqual(first.toSorted((a, b) => a - b));
  });

  test('docs/scenarios.md is what `scenario list --markdown` prints', () => {
    const page = readFileSync(new URL('../../../docs/scenarios.md', import.meta.url), 'utf8');
    expect(page).toBe(documentOf(scenarios));
  });

  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (_, scenario) => {
    const devices: Device[] = [];
    const { acts } = await playScenario(scenario, { onDevice: (device) => void devices.push(device) });
    const kinds = acts.map(({ kind }) => kind);
    // What was wrong is seen before it is cured, and something in the device proves why.
    expect(kinds).toContain('evidence');
    expect(kinds.indexOf('symptom')).toBeGreaterThanOrEqual(0);
    expect(kinds.indexOf('symptom')).toBeLessThan(kinds.indexOf('cure'));
    for (const { text } of acts) expect(text).not.toMatch(/undefined|NaN|\[object/);
    for (const text of [scenario.title, scenario.cause, scenario.cure]) expect(text.length).toBeGreaterThan(20);
    expect(devices.length).toBeGreaterThan(0);
    expect(devices.every(({ isOn }) => !isOn)).toBe(true);
  });

  test('a scenario is played again the same way, and under any seed', async () => {
    const scenario = scenarios.find(({ name }) => name === 'lost-command')!;
    const [first, again, other] = [
      await playScenario(scenario),
      await playScenario(scenario),
      await playScenario(scenario, { seed: 77 }),
    ];
    expect(again).toEqual(first);
    expect(other.acts.map(({ kind }) => kind)).toEqual(first.acts.map(({ kind }) => kind));
  });

  test('one that does not show what it should fails by saying what', async () => {
    const scenario = { ...scenarios[0]!, play: async () => {} };
    await expect(playScenario(scenario)).rejects.toThrow('not seen: any symptom');
  });
});
