/** Every example runs, and prints what it promises. They use the built package by its name, as a user's program would. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';

const folder = fileURLToPath(new URL('../examples/', import.meta.url));
const run = promisify(execFile);

const PRINTS: Record<string, RegExp[]> = {
  '01-boot-an-image.mjs': [/state: running/, /rst cause:1/, /runs version 1\.0/],
  '02-update-over-udp.mjs': [/\{ ok: true \}/, /version 2\.0 runs/],
  '03-cut-the-power.mjs': [
    /staging:20:inside: version 1\.0 runs/,
    /command:3: version 1\.0 runs/,
    /copy:20:inside: dead, crash-loop/,
  ],
  '04-reset-or-power.mjs': [/after the reset: 42/, /after the power cycle: noise/],
  '05-one-boot.mjs': [/^boot 0x/, /@cp:B0\\r\\nld/, /copied: true/],
  '06-serial-flash.mjs': [/a blank chip: download/, /Hash of data verified/, /it runs version 1\.0/],
  '07-fuzz-an-update.mjs': [
    /every invariant holds in 20 random lives/,
    /with core 2\.6\.2: Counterexample: \[arm reset@copy:\d+:\w+,upload 2\.0/,
    /^I3: /m,
  ],
  '08-two-slots.mjs': [
    /^eboot {11}: 2293 operations, 6879 power cuts, 3358 bricks$/m,
    /^journal in flash: \d+ operations, \d+ power cuts, 0 bricks$/m,
    /^two slots {7}: 1138 operations/m,
    /^1m64 {5}479232 {3}475136$/m,
  ],
};

const names = readdirSync(folder).filter((name) => name.endsWith('.mjs'));

describe('examples', () => {
  test('each is known here and listed in their README', () => {
    expect(names).toEqual(Object.keys(PRINTS).sort());
    const readme = readFileSync(`${folder}README.md`, 'utf8');
    for (const name of names) expect(readme).toContain(name);
  });

  test.each(names)('%s', async (name) => {
    const { stdout } = await run(process.execPath, [`${folder}${name}`]);
    for (const pattern of PRINTS[name] ?? []) expect(stdout).toMatch(pattern);
  });

  test('vitest/: tests of updates', async () => {
    const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
    const { stdout } = await run(process.execPath, [vitest, 'run', '--root', `${folder}vitest`], {
      env: { ...process.env, VITEST: undefined, NO_COLOR: '1' },
    });
    expect(stdout).toMatch(/Tests +5 passed/);
  });
});
