/** `vesp sweep`, `sweep merge`, `replay` as a user calls them. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SweepReport } from '../../emulator/index.ts';
import { cli } from '../support/cli.ts';
import { sweepImage } from '../support/sweep.ts';

let folder: string;
const at = (name: string): string => join(folder, name);
const report = (name: string): SweepReport => JSON.parse(readFileSync(at(name), 'utf8')) as SweepReport;
const withoutTime = ({ seconds: _s, rate: _r, ...rest }: SweepReport) => rest;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-sweep-'));
  writeFileSync(at('old.bin'), sweepImage('basic-ota', '1.0', 32_000));
  writeFileSync(at('new.bin'), sweepImage('basic-ota', '2.0', 34_000));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sweep = (...args: string[]) =>
  cli(['sweep', '--layout', '1m64', '--from', 'old.bin', '--to', 'new.bin', ...args], { cwd: folder });

describe('sweep', () => {
  test('0: prints a summary, writes JSON, JUnit and a page', async () => {
    const args = ['--json', 'a.json', '--junit', 'a.xml', '--html', 'a.html', '--expect', 'phase=staging => old'];
    const { code, stdout, stderr } = await sweep(...args, '--expect', 'phase=clear => new');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('expectation  phase=staging => old: holds');
    expect(report('a.json')).toMatchObject({ format: 'sweep-1', verdicts: { corrupt: 0 } });
    expect(report('a.json').expectations).toHaveLength(2);
    expect(readFileSync(at('a.xml'), 'utf8')).toContain('<testsuites');
    expect(readFileSync(at('a.html'), 'utf8')).toMatch(/^<!doctype html>/i);
  });

  test('3: an expectation is broken', async () => {
    const { code, stdout } = await sweep('--expect', 'phase=copy => new');
    expect(code).toBe(3);
    expect(stdout).toContain('BROKEN');
  });

  test('--json -: nothing else on stdout', async () => {
    const { code, stdout } = await sweep('--fault', 'reset', '--points', 'before', '--json', '-');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ definition: { faults: ['reset'], points: ['before'] } });
  });

  test('invariant: threads change nothing but the time', async () => {
    const pairs = ['--fault', 'reset', '--depth', '2', '--points', 'before', '--expect', 'phase=copy => old|new'];
    await sweep(...pairs, '--jobs', '1', '--json', 'one.json');
    await sweep(...pairs, '--jobs', '3', '--json', 'three.json');
    expect(withoutTime(report('three.json'))).toEqual(withoutTime(report('one.json')));
  });

  test.each([
    [['--points', 'inside', '--fault', 'reset'], 'has no inside'],
    [['--expect', 'phase=copy'], '--expect'],
    [['--shard', '1of2'], '--shard'],
    [['--shard', '3/2'], '--shard'],
    [['--depth', '5'], '--depth'],
    [['--to', 'missing.bin'], 'there is no such file'],
    [['--layout', '3m'], '3m'],
    [['--path', 'pigeon'], 'pigeon'],
    [['--engine', 'native'], 'no code to execute'],
    [['--json', 'no/such/folder/r.json'], '--json'],
  ])('2: %j', async (args, why) => {
    const { code, stderr } = await sweep(...args);
    expect(stderr).toContain(why);
    expect(code).toBe(2);
  });

  test('2 before the work: when one report has no place, none is made', async () => {
    for (const [path, why] of [
      ['no/such/folder/r.json', 'there is no folder'],
      ['.', 'is a folder'],
    ] as const) {
      const { code, stderr } = await sweep('--junit', 'never.xml', '--html', path);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(why) });
      expect(existsSync(at('never.xml'))).toBe(false);
    }
  });
});

describe('sweep merge', () => {
  test('puts shards together', async () => {
    const rule = ['--expect', '=> old|new'];
    for (const shard of ['1/2', '2/2']) await sweep(...rule, '--shard', shard, '--json', `s${shard[0]}.json`);
    await sweep(...rule, '--json', 'whole.json');
    const merged = await cli(['sweep', 'merge', 's2.json', 's1.json', '--json', 'merged.json'], { cwd: folder });
    expect(merged.code).toBe(3);
    expect(withoutTime(report('merged.json'))).toEqual(withoutTime(report('whole.json')));
    const missing = await cli(['sweep', 'merge', 's2.json'], { cwd: folder });
    expect(missing).toMatchObject({ code: 2 });
    expect(missing.stderr).toContain('shard 1/2 is missing');
  });

  test('2: what is no report', async () => {
    writeFileSync(at('bad.json'), '{"format":"other"}');
    writeFileSync(at('worse.json'), 'no JSON');
    for (const name of ['bad.json', 'worse.json', 'missing.json']) {
      expect(await cli(['sweep', 'merge', name], { cwd: folder })).toMatchObject({ code: 2 });
    }
  });
});

describe('replay', () => {
  test('0: repeats a result, with its events', async () => {
    await sweep('--json', 'r.json');
    const { id } = report('r.json').results.find(({ verdict }) => verdict === 'brick')!;
    const { code, stdout } = await cli(['replay', id, '--report', 'r.json', '--events', 'e.jsonl'], { cwd: folder });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^brick: /m);
    const events = readFileSync(at('e.jsonl'), 'utf8').trimEnd().split('\n');
    expect(events.map((line) => (JSON.parse(line) as { type: string }).type)).toContain('fault.fired');
  });

  test('1: the report says something else; 2: another image, another version, no such id', async () => {
    await sweep('--json', 'q.json');
    const whole = report('q.json');
    const { id } = whole.results.find(({ verdict }) => verdict === 'brick')!;
    const say = (name: string, changed: object): void =>
      writeFileSync(at(name), JSON.stringify({ ...whole, ...changed }));
    say('lie.json', { results: whole.results.map((result) => ({ ...result, verdict: 'new' })) });
    say('aged.json', { version: '0.0.1' });
    const replay = (what: string, name: string, ...more: string[]) =>
      cli(['replay', what, '--report', name, '--quiet', ...more], { cwd: folder });
    expect(await replay(id, 'lie.json')).toMatchObject({ code: 1 });
    expect(await replay(id, 'aged.json')).toMatchObject({ code: 2 });
    expect(await replay(id, 'q.json', '--to', 'old.bin')).toMatchObject({ code: 2 });
    expect(await replay(id.replace(/^1-/, '7-'), 'q.json')).toMatchObject({ code: 2 });
    expect(await replay('1-000000000000-power-cut@copy:1', 'q.json')).toMatchObject({ code: 2 });
  });
});
