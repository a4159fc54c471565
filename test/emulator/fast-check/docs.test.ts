/** docs/fault-model.md and the code say the same. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { INVARIANTS } from '../../../emulator/fast-check.ts';
import { CHIP_KINDS, NET_KINDS, PHASES, POWER_KINDS, parseFaults } from '../../../emulator/faults/spec.ts';
import { DEFECTS } from '../../../emulator/sweep/defects.ts';

const text = readFileSync(new URL('../../../docs/fault-model.md', import.meta.url), 'utf8').replace(/\s+/g, ' ');

test('every invariant stands there, in the words of the code', () => {
  for (const [id, what] of Object.entries(INVARIANTS)) {
    const [, there] = new RegExp(`- \\*\\*${id}\\*\\* (.*?)(?= - \\*\\*I| Two things)`).exec(text) ?? [];
    expect(there?.toLowerCase().replaceAll('`', ''), id).toContain(what.toLowerCase());
  }
});

test('every kind, phase and defect stands there, and every example parses', () => {
  for (const name of [...POWER_KINDS, ...CHIP_KINDS, ...NET_KINDS, ...PHASES, ...Object.keys(DEFECTS)]) {
    expect(text).toContain(`\`${name}`);
  }
  const examples = [...text.matchAll(/\| `([a-z-]+@[^`]+)` \|/g)].map(([, spec]) => spec!);
  expect(examples.length).toBeGreaterThan(5);
  for (const spec of examples) parseFaults(spec);
  for (const [, spec] of text.matchAll(/`((?:reset|erase-fail|net-reset)@[^`|]+)` \(/g)) {
    expect(() => parseFaults(spec!)).toThrow();
  }
});
