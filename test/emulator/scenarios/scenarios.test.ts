/** Each row of the field catalogue shows its symptom, names its cause and shows its cure. */
import { describe, expect, test } from 'vitest';
import { playScenario, scenarios } from '../../../emulator/scenarios/index.ts';

describe('scenarios', () => {
  test('names are unique, and no row is told twice', () => {
    const names = scenarios.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const rows = scenarios.flatMap(({ rows }) => rows);
    expect(new Set(rows).size).toBe(rows.length);
  });

  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (_, scenario) => {
    const { acts } = await playScenario(scenario);
    const kinds = acts.map(({ kind }) => kind);
    // What was wrong is seen before it is cured.
    expect(kinds.indexOf('symptom')).toBeLessThan(kinds.indexOf('cure'));
    expect(kinds).toContain('evidence');
    expect(scenario.cause.length + scenario.cure.length).toBeGreaterThan(60);
  });
});
