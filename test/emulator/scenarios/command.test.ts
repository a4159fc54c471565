/** `vesp scenario`: what it prints, in this process. */
import { Command } from 'commander';
import { afterEach, expect, test, vi } from 'vitest';
import { registerScenarioCommands } from '../../../emulator/cli/commands/scenario.ts';
import { documentOf, scenarios } from '../../../emulator/scenarios/index.ts';

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** Runs it; what it wrote to stdout. */
async function vesp(...args: string[]): Promise<string> {
  let out = '';
  const keep = (text: unknown): true => {
    out += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(keep);
  vi.spyOn(console, 'log').mockImplementation((line) => void keep(`${line}\n`));
  const program = new Command().exitOverride();
  registerScenarioCommands(program);
  await program.parseAsync(['scenario', ...args], { from: 'user' });
  return out;
}

test('list: a line for each', async () => {
  const lines = (await vesp('list')).trimEnd().split('\n');
  expect(lines).toHaveLength(scenarios.length + 1);
  for (const [index, { name, title }] of scenarios.entries()) {
    expect(lines[index + 1]).toMatch(new RegExp(`^${name} `));
    expect(lines[index + 1]).toContain(title);
  }
});

test('list --json and --markdown: the same as data and as a page', async () => {
  const facts = JSON.parse(await vesp('list', '--json')) as { name: string; cause: string }[];
  expect(facts.map(({ name }) => name)).toEqual(scenarios.map(({ name }) => name));
  expect(facts.every(({ cause }) => cause.length > 0)).toBe(true);
  expect(await vesp('list', '--markdown')).toBe(documentOf(scenarios));
});

test('run: acts, cause and cure, not wider than a terminal', async () => {
  const text = await vesp('run', 'wrong-chip-size');
  expect(text).toMatch(/^SYMPTOM {2}each time the uploader is told "ERR: ERROR\[8\]/m);
  expect(text).toMatch(/^because /m);
  expect(text).toMatch(/^CURED /m);
  expect(text).toMatch(/^cause /m);
  expect(process.exitCode).toBe(0);
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
});

test('run --json: the acts as data, the same for the same seed', async () => {
  const [first, again] = [
    await vesp('run', 'false-ok', '--json', '--seed', '5'),
    await vesp('run', 'false-ok', '--json', '--seed', '5'),
  ];
  expect(again).toBe(first);
  const { rows, acts } = JSON.parse(first) as { rows: number[]; acts: { kind: string; text: string }[] };
  expect(rows).toEqual([20]);
  expect(new Set(acts.map(({ kind }) => kind))).toEqual(new Set(['step', 'symptom', 'evidence', 'cure']));
});

test('a name that there is not', async () => {
  await expect(vesp('run', 'no-such-thing')).rejects.toThrow(/scenario "no-such-thing".*scenario list/);
});
