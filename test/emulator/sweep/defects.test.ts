/** A sweep is itself tested: devices with planted bugs must be found, and a sound design must come through. */
import { describe, expect, test } from 'vitest';
import { powerCutSweep, type SweepOptions } from '../../../emulator/index.ts';
import { DEFECTS, type DefectName, soundDesign } from '../../../emulator/sweep/defects.ts';
import { layoutByName } from '../../../flash/layouts.ts';
import { SWEEP_LAYOUT, sweepImage } from '../../support/sweep.ts';

const SMALL: SweepOptions = {
  layout: SWEEP_LAYOUT,
  from: sweepImage('basic-ota', '1.0', 32_000),
  to: sweepImage('basic-ota', '2.0', 34_000),
};

describe('invariant: what holds for a sound core is found broken', () => {
  test.each<[DefectName, SweepOptions, string]>([
    ['command-cleared-first', { fault: 'reset' }, 'phase=copy => new'],
    ['command-written-first', { fault: 'reset' }, 'phase=staging => old'],
    ['staging-over-sketch', { fault: 'power-cut' }, 'phase=staging => old'],
    ['destination-not-erased', { fault: 'reset' }, 'phase=clear => new'],
    ['last-sector-not-copied', { fault: 'reset' }, 'phase=clear => new'],
  ])('%s', async (name, options, rule) => {
    const sound = await powerCutSweep({ ...SMALL, ...options, expect: [rule] });
    expect(sound.expectations[0]!.checked).toBeGreaterThan(0);
    expect(sound.expectations[0]!.violations).toBe(0);
    const { alter } = DEFECTS[name];
    const report = await powerCutSweep({ ...SMALL, ...options, alter, expect: [rule] });
    expect(report.expectations[0]!.violations).toBeGreaterThan(0);
    expect(report.definition.altered).toBe(true);
  });
});

test('invariant: a design with the command and a journal in flash survives every cut, every reset, and each pair', async () => {
  const images = { from: sweepImage('basic-ota', '1.0', 20_000), to: sweepImage('basic-ota', '2.0', 18_000) };
  const wanted = {
    ...images,
    layout: SWEEP_LAYOUT,
    alter: soundDesign(layoutByName(SWEEP_LAYOUT)),
    expect: ['=> old|new'],
  };
  const once = await powerCutSweep({ ...wanted, fault: 'power-cut,reset' });
  expect(once.expectations).toMatchObject([{ violations: 0, checked: once.points }]);
  expect(once.verdicts.new).toBeGreaterThan(0);
  expect(once.verdicts.old).toBeGreaterThan(0);
  const twice = await powerCutSweep({ ...wanted, fault: 'power-cut+power-cut', depth: 2, points: ['inside'] });
  expect(twice.points).toBeGreaterThan(1000);
  expect(twice.expectations).toMatchObject([{ violations: 0, checked: twice.points }]);
});
