/** Whole sweeps: what the report says, and that it says the same however the work is shared out. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import {
  formatJunit,
  formatReport,
  isViolated,
  mergeReports,
  powerCutSweep,
  replay,
  SweepInputError,
  type SweepOptions,
  type SweepReport,
} from '../../../emulator/index.ts';
import { SWEEP_LAYOUT, sweepImage } from '../../support/sweep.ts';

const SMALL: SweepOptions = {
  layout: SWEEP_LAYOUT,
  from: sweepImage('basic-ota', '1.0', 32_000),
  to: sweepImage('basic-ota', '2.0', 34_000),
};
/** Sectors of the new image. */
const SECTORS = 9;

/** What a report says besides how long it took. */
const withoutTime = ({ seconds: _s, rate: _r, ...rest }: SweepReport) => rest;

test('the report: every operation, every point, each judged once', async () => {
  const report = await powerCutSweep({ ...SMALL, expect: ['phase=staging => old', 'phase=copy,op=0..20 => new'] });
  expect(report).toMatchObject({ format: 'sweep-1', resultsLeftOut: 0, definition: { path: 'arduino-ota', seed: 1 } });
  expect(report.sweep).toMatch(/^[0-9a-f]{12}$/);
  // Sector 0 is the same in both images, so eboot leaves it alone. The last staged sector is not written to its end.
  expect(report.operations).toEqual({ staging: SECTORS + 133, command: 32, copy: 17 * (SECTORS - 1), clear: 2 });
  const operations = Object.values(report.operations).reduce((a, b) => a + b);
  expect(report.points).toBe(3 * operations);
  expect(report.results).toHaveLength(report.points);
  expect(new Set(report.results.map(({ id }) => id)).size).toBe(report.points);
  // After an operation is before the next one, and RTC words have no inside.
  expect(report.trials).toBe(operations + 1 + (operations - 34));
  expect(Object.values(report.verdicts).reduce((a, b) => a + b)).toBe(report.points);
  expect(report.verdicts).toMatchObject({ corrupt: 0, 'fs-lost': 0, stuck: 0 });
  for (const { phase, verdict, op, point } of report.results) {
    if (phase === 'staging' || phase === 'command') expect(verdict).toBe('old');
    if (phase === 'copy') expect(verdict).toBe(op === 0 && point === 'before' ? 'old' : verdict);
    if (phase === 'clear') expect(verdict).toBe('new');
  }
  expect(report.expectations).toMatchObject([
    { rule: 'phase=staging => old', checked: 3 * (SECTORS + 133), violations: 0, ids: [] },
    { rule: 'phase=copy,op=0..20 => new', checked: 63, violations: 63 },
  ]);
  expect(report.expectations[1]!.ids[0]).toBe(`1-${report.sweep}-power-cut@copy:0`);
  expect(isViolated(report)).toBe(true);
});

test('a reset in the copy is made good by the next start, on every path', async () => {
  for (const path of ['arduino-ota', 'web', 'http-update', 'stream'] as const) {
    const report = await powerCutSweep({ path, layout: SWEEP_LAYOUT, fault: 'reset' });
    expect(report.verdicts, path).toMatchObject({ brick: 0, corrupt: 0, stuck: 0 });
    const copies = report.results.filter(({ phase }) => phase === 'copy' || phase === 'clear');
    expect(new Set(copies.map(({ verdict }) => verdict)), path).toEqual(new Set(['new']));
  }
});

describe('invariant: who does the work does not show', () => {
  const wide: SweepOptions = {
    ...SMALL,
    fault: 'power-cut,reset',
    retry: true,
    expect: ['phase=copy => new', '=> old|new'],
  };

  test('the same seed gives the same report, another one another', async () => {
    const [a, b, c] = await Promise.all([
      powerCutSweep(wide),
      powerCutSweep(wide),
      powerCutSweep({ ...wide, seed: 2 }),
    ]);
    expect(withoutTime(a)).toEqual(withoutTime(b));
    expect(c.sweep).not.toBe(a.sweep);
  });

  test.each([
    ['depth 1', wide],
    ['samples', { ...wide, samples: 200 }],
    ['depth 2', { ...SMALL, fault: 'reset+power-cut', depth: 2, points: ['before', 'inside'], expect: ['=> old|new'] }],
  ] satisfies [string, SweepOptions][])('shards together are the whole: %s', async (_, options) => {
    const whole = await powerCutSweep(options);
    const reports: SweepReport[] = [];
    for (const index of [3, 1, 2]) {
      const shard = await powerCutSweep({ ...options, shard: { index, count: 3 } });
      reports.push(JSON.parse(JSON.stringify(shard)) as SweepReport);
    }
    const merged = mergeReports(reports.map((report, i) => ({ name: `${i}.json`, report })));
    expect(withoutTime(merged)).toEqual(withoutTime(whole));
  });

  test('shards that do not belong together are refused', async () => {
    const part = async (index: number, count: number, more: SweepOptions = {}) =>
      ({ name: `${index}.json`, report: await powerCutSweep({ ...SMALL, ...more, shard: { index, count } }) }) as const;
    const [one, two, other, ruled] = [
      await part(1, 2),
      await part(2, 2),
      await part(2, 2, { seed: 7 }),
      await part(2, 2, { expect: ['=> old'] }),
    ];
    expect(() => mergeReports([one])).toThrow('shard 2/2 is missing');
    expect(() => mergeReports([one, one, two])).toThrow('is there twice');
    expect(() => mergeReports([one, other])).toThrow('of sweep');
    expect(() => mergeReports([one, ruled])).toThrow('other expectations');
    expect(() => mergeReports([])).toThrow(SweepInputError);
    expect(() => mergeReports([{ name: 'w', report: mergeReports([one, two]) }])).toThrow('whole sweep');
    expect(() => mergeReports([one, { ...two, report: { ...two.report, version: '0.0.0' } }])).toThrow('version');
  });
});

test('depth 2: all pairs of a reset and a power cut in the copy, equal states once', async () => {
  const report = await powerCutSweep({ ...SMALL, fault: 'reset', depth: 2, points: ['before'] });
  const { copy = 0 } = report.operations;
  const singles = Object.values(report.operations).reduce((a, b) => a + b);
  // From the moment when the command stands, each start copies everything again, and clears two words.
  const pairs = (copy + 1) * (copy + 2);
  expect(report.points).toBe(singles + pairs);
  expect(report.trials).toBeLessThan(report.points);
  expect(report.results.map(({ id }) => id)).toContain(`1-${report.sweep}-reset@copy:0+power-cut@copy:0`);
  expect(report.resultsLeftOut).toBe(report.points - report.results.length);
  for (const verdict of ['old', 'new', 'brick'] as const) {
    const listed = report.results.filter((result) => result.verdict === verdict).length;
    expect(listed).toBe(Math.min(1000, report.verdicts[verdict]));
  }
});

test('random schedules: a brick is made small', async () => {
  const report = await powerCutSweep({ ...SMALL, samples: 300, fault: 'power-cut,reset,brown-out' });
  expect(report.points).toBe(300);
  const brick = report.shrunk?.find(({ verdict }) => verdict === 'brick');
  // One cut is enough, at the first operation that takes something away.
  expect(brick?.id).toMatch(/-(power-cut|brown-out)@copy:[01](:after)?$/);
  const { verdict, same } = await replay(brick!.id, report, {
    images: { from: SMALL.from, to: SMALL.to, firmware: undefined },
  });
  expect({ verdict, same }).toEqual({ verdict: 'brick', same: true });
});

describe('other updates', () => {
  test('a file system in place is lost by a cut, and the update once more makes it good', async () => {
    const report = await powerCutSweep({ target: 'fs', layout: SWEEP_LAYOUT, retry: true });
    expect(Object.keys(report.operations)).toEqual(['fs']);
    expect(report.verdicts).toMatchObject({ brick: 0, corrupt: 0 });
    expect(report.verdicts['fs-lost']).toBeGreaterThan(report.points / 3);
    expect(report.expectations).toEqual([{ rule: 'retry => new', checked: report.points, violations: 0, ids: [] }]);
  });

  test('an atomic one is staged first, so that the old one is whole until the copy', async () => {
    const report = await powerCutSweep({ target: 'fs', atomicFs: true, layout: SWEEP_LAYOUT });
    expect(Object.keys(report.operations)).toEqual(['staging', 'command', 'copy', 'clear']);
    for (const { phase, verdict } of report.results) if (phase === 'staging') expect(verdict).toBe('old');
  });

  test('gzip: eboot unpacks again after a reset', async () => {
    const to = gzipSync(SMALL.to as Uint8Array);
    const report = await powerCutSweep({ ...SMALL, to, fault: 'reset', points: ['before'] });
    expect(report.operations['staging']).toBeLessThan(150);
    expect(report.verdicts).toMatchObject({ brick: 0, corrupt: 0 });
  });

  test('an image that destroys itself is told of', async () => {
    const from = sweepImage('web-updater', '1.0', 32_768);
    const to = gzipSync(sweepImage('web-updater', '2.0', 90_000));
    const report = await powerCutSweep({ path: 'web', layout: SWEEP_LAYOUT, from, to, points: ['before'] });
    expect(report.undisturbed).toMatchObject({ verdict: 'brick' });
    expect(report.verdicts.new).toBe(0);
    expect(formatReport(report)).toContain('even without a fault');
    expect((await powerCutSweep({ ...SMALL, points: ['before'] })).undisturbed).toBeUndefined();
  });

  test('eras up to 2.6.2 clear the command before they copy: a reset in the copy is a brick', async () => {
    const report = await powerCutSweep({
      layout: SWEEP_LAYOUT,
      core: '2.3.0',
      fault: 'reset',
      expect: ['phase=copy => new'],
    });
    expect(report.verdicts.brick).toBeGreaterThan(1000);
    expect(report.verdicts.corrupt).toBeGreaterThan(0);
    expect(isViolated(report)).toBe(true);
  });
});

describe('what cannot be is refused', () => {
  test.each<[string, SweepOptions, string]>([
    ['a reset inside', { points: ['inside'], fault: 'reset' }, 'has no inside'],
    ['no points', { points: [] }, 'names none'],
    ['an unknown point', { points: ['middle' as 'before'] }, '--points middle'],
    ['an unknown fault', { fault: 'erase-fail' }, 'none of power-cut'],
    ['a second fault without depth 2', { fault: 'reset+power-cut' }, '--depth 2'],
    ['three faults', { fault: 'reset+reset+reset', depth: 2 }, 'at most two'],
    ['equal images', { from: SMALL.to, to: SMALL.to }, 'the same image'],
    ['an empty image', { to: new Uint8Array(0) }, 'is empty'],
    ['a missing file', { to: '/nowhere/at/all.bin' }, 'there is no such file'],
    ['no firmware before', { from: new Uint8Array(5000).fill(7) }, '0xe9'],
    ['no firmware after', { to: new Uint8Array(5000).fill(7) }, 'fails without any fault'],
    ['an image that does not fit', { to: sweepImage('basic-ota', '2.0', 939_000) }, 'fails without any fault'],
    ['an unknown layout', { layout: '3m' }, 'layout'],
    ['no file system', { target: 'fs', layout: '1m', from: undefined, to: undefined }, 'no file system'],
    ['firmware of a sketch update', { firmware: SMALL.from }, '--from'],
    ['shard 0', { shard: { index: 0, count: 2 } }, '--shard 0/2'],
    ['no jobs', { jobs: 0 }, '--jobs 0'],
    ['depth 3', { depth: 3 as 2 }, '--depth 3'],
    ['code that is not there', { engine: 'native' }, 'no code to execute'],
    ['a bad rule', { expect: ['copy => fine'] }, '--expect'],
    ['no samples', { samples: 0 }, '--samples 0'],
  ])('%s', async (_, options, why) => {
    await expect(powerCutSweep({ ...SMALL, ...options })).rejects.toThrow(why);
  });
});

describe('replay', () => {
  const images = { from: SMALL.from, to: SMALL.to, firmware: undefined };

  test('a device does what the report says', async () => {
    const report = JSON.parse(JSON.stringify(await powerCutSweep(SMALL))) as SweepReport;
    for (const spec of ['power-cut@copy:17:inside', 'power-cut@staging:3', 'power-cut@clear:1:after']) {
      const types: string[] = [];
      const result = await replay(`1-${report.sweep}-${spec}`, report, {
        images,
        watch: (device) => void device.events.subscribe(({ type }) => types.push(type)),
      });
      expect(result.reported?.id, spec).toBe(`1-${report.sweep}-${spec}`);
      expect(result, spec).toMatchObject({ same: true, fired: true, verdict: result.reported!.verdict });
      expect(types, spec).toContain('fault.fired');
    }
  });

  test('images that were built are built again', async () => {
    const report = await powerCutSweep({ layout: SWEEP_LAYOUT, fault: 'reset', points: ['before'] });
    expect(await replay(`1-${report.sweep}-reset@copy:500`, report)).toMatchObject({ same: true, verdict: 'new' });
  });

  test('what does not belong together is refused', async () => {
    const report = await powerCutSweep({ ...SMALL, points: ['before'] });
    const id = `1-${report.sweep}-power-cut@copy:3`;
    await expect(replay(id, report)).rejects.toThrow('name its file');
    await expect(replay(id, report, { images: { ...images, to: SMALL.from } })).rejects.toThrow('was changed');
    await expect(replay(id, { ...report, version: '0.0.0' }, { images })).rejects.toThrow('version 0.0.0');
    await expect(replay(id, { ...report, definition: { ...report.definition, seed: 9 } }, { images })).rejects.toThrow(
      'definition',
    );
    await expect(replay('1-000000000000-power-cut@copy:3', report, { images })).rejects.toThrow('of sweep');
    await expect(replay('2-000000000000-power-cut@copy:3', report, { images })).rejects.toThrow('version 2');
    await expect(replay('nonsense', report, { images })).rejects.toThrow('wants 1-SWEEP-SPEC');
    await expect(replay(`1-${report.sweep}-power-cut@copy:9999`, report, { images })).rejects.toThrow('operations');
    await expect(replay(`1-${report.sweep}-erase-fail@copy:1`, report, { images })).rejects.toThrow(SweepInputError);
    const twice = `1-${report.sweep}-power-cut@copy:3+power-cut@copy:1`;
    await expect(replay(twice, report, { images })).rejects.toThrow('not every fault strikes');
  });
});

describe('texts', () => {
  test('the summary has a strip for each phase, the reasons with ids, and the rules', async () => {
    const report = await powerCutSweep({ ...SMALL, expect: ['phase=copy => old'] });
    const text = formatReport(report);
    expect(text).toMatch(/^power-cut {2}staging {2}\|\.{64}\| \d+$/m);
    expect(text).toMatch(/^power-cut {2}copy {5}\|#{50,}\+*\| \d+$/m);
    expect(text).toMatch(/x brick: the application is damaged/);
    expect(text).toContain('expectation  phase=copy => old: BROKEN');
    expect(text).toContain(`1-${report.sweep}-power-cut@copy:0:inside`);
  });

  test('JUnit: a failure for each broken rule', async () => {
    const report = await powerCutSweep({
      ...SMALL,
      points: ['before'],
      expect: ['phase=copy => old', '=> old|new|brick'],
    });
    const xml = formatJunit(report);
    const classes = new Set(report.results.map(({ verdict, reason }) => `${verdict} ${reason}`)).size;
    expect(xml).toContain(`<testsuites tests="${2 + classes}" failures="1"`);
    expect(xml.match(/<testcase /g)).toHaveLength(2 + classes);
    expect(xml).toContain('name="phase=copy =&gt; old"');
    expect(xml).toMatch(/<testcase [^>]*name="verdict brick: the application is damaged[^>]* assertions="\d+">/);
    expect(xml.match(/<failure /g)).toHaveLength(1);
  });
});
