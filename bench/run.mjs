/**
 * `npm run bench [-- SUITE… --json --dist DIR]`: the suites of bench/suites, or those named. Each exports
 * `rows(load)`, an async generator of rows (see harness.mjs); `load('assembly/host/load.js')` imports from dist/, and
 * `load.path('emulator/vesp/main.js')` is where it lies.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const suites = readdirSync(resolve(here, 'suites'))
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -'.mjs'.length))
  .sort();
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, dist: { type: 'string', default: resolve(here, '../dist') } },
});
const unknown = positionals.filter((name) => !suites.includes(name));
if (unknown.length > 0) fail(`no suite ${unknown.join(', ')}; there are: ${suites.join(', ')}`);
if (!existsSync(resolve(values.dist, 'assembly/host/load.js')))
  fail(`nothing built in ${values.dist}; run "npm run build"`);
if (!existsSync(resolve(here, 'node_modules'))) installRivals();

process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1)); // e.g. `| head`
const pathOf = (path) => resolve(values.dist, path);
const load = Object.assign((path) => import(pathToFileURL(pathOf(path)).href), { path: pathOf });
if (!values.json) {
  console.log(`Node ${process.version} on ${cpus()[0]?.model.trim()} (${cpus().length} CPUs)\n`);
  print('', 'versus', 'times faster', 'low .. high', 'ours');
}
for (const name of positionals.length > 0 ? positionals : suites) {
  const suite = await import(pathToFileURL(resolve(here, 'suites', `${name}.mjs`)).href);
  for await (const row of suite.rows(load)) {
    if (values.json) console.log(JSON.stringify(row));
    else
      print(row.name, row.versus, row.ratio.toFixed(2), `${row.low.toFixed(2)} .. ${row.high.toFixed(2)}`, time(row));
  }
}

function print(name, versus, ratio, range, ours) {
  console.log(
    `${name.padEnd(38)} ${versus.padEnd(30)} ${ratio.padStart(12)}  ${range.padStart(18)} ${ours.padStart(11)}`,
  );
}

function time({ nanoseconds }) {
  if (nanoseconds === undefined) return '';
  if (nanoseconds < 10_000) return `${nanoseconds.toFixed(nanoseconds < 100 ? 1 : 0)} ns`;
  return nanoseconds < 10_000_000 ? `${(nanoseconds / 1e3).toFixed(1)} us` : `${(nanoseconds / 1e6).toFixed(1)} ms`;
}

function installRivals() {
  console.error('bench: installing the peers to measure against (bench/package.json)');
  const { status } = spawnSync('npm', ['ci', '--prefix', here, '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2] });
  if (status !== 0) fail('could not install them; with a network, run "npm ci --prefix bench"');
}

function fail(why) {
  console.error(`bench: ${why}`);
  process.exit(2);
}
