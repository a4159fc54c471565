/** `vesp replay --control`: a result of a sweep, watched and stepped through in the control API. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cli, type Started, startCli } from '../support/cli.ts';

let folder: string;
let started: Started | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-replay-'));
});
afterEach(async () => {
  if (started && started.child.exitCode === null) started.child.kill('SIGKILL');
  await started?.finished;
  started = undefined;
  rmSync(folder, { recursive: true, force: true });
});

test('the device waits paused, takes a step, goes on to the verdict, and stays until Ctrl-C', async () => {
  const swept = await cli(['sweep', '--points', 'inside', '--json', 'report.json'], { cwd: folder });
  expect(swept.code).toBe(0);
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as { results: { id: string }[] };
  const id = report.results.find((result) => result.id.endsWith('power-cut@copy:40:inside'))!.id;

  started = startCli(['replay', id, '--report', 'report.json', '--control-port', '0'], { cwd: folder });
  const url = (await started.shows(/live page (http:\S+)/))[1]!;
  const post = async (path: string, body: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`${url}api/${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(response.status, path).toBe(200);
    return (await response.json()) as Record<string, unknown>;
  };
  expect(await post('step', {})).toMatchObject({ performed: true, event: { type: 'flash.erase', area: 'staging' } });
  expect(started.output()).not.toContain('brick');
  await post('clock', { paused: false });
  await started.shows(/^brick: .*\nthe device stays/m);
  // It still answers: the chip can be looked at.
  const { state } = (await (await fetch(`${url}api/device`)).json()) as { state: unknown };
  expect(state).toMatchObject({ state: 'dead', cure: 'serial' });
  started.child.kill('SIGINT');
  expect((await started.finished).code).toBe(0);
});
