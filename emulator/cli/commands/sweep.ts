/** `vesp sweep`, `vesp sweep merge`: power-cut sweeps. Contract: design.md §4, §8. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Command, Option } from 'commander';
import {
  DeviceOptionError,
  FaultSpecError,
  formatJunit,
  formatReport,
  gatherEvidence,
  isViolated,
  mergeReports,
  powerCutSweep,
  reportHtml,
  type SweepEvidence,
  SweepInputError,
  type SweepOptions,
  type SweepProgress,
  type SweepReport,
} from '../../index.ts';
import { UserError } from '../errors.ts';
import { readInput, writeWhole } from '../files.ts';
import { parseCount } from '../numbers.ts';

const VIOLATED_EXIT = 3;
const MAX_REPORT_BYTES = 1 << 30;
const MAX_KEY_BYTES = 65536;
const BAR_CELLS = 30;
/** Between two drawings of the progress bar. */
const DRAW_MS = 100;

interface OutputArguments {
  json?: string;
  junit?: string;
  html?: string;
}

interface SweepArguments extends OutputArguments {
  path: NonNullable<SweepOptions['path']>;
  target: NonNullable<SweepOptions['target']>;
  from?: string;
  to?: string;
  firmware?: string;
  board?: string;
  layout?: string;
  core?: string;
  atomicFs?: boolean;
  publicKey?: string;
  fault: string;
  points?: string;
  depth: string;
  retry?: boolean;
  samples?: string;
  seed: string;
  jobs?: string;
  shard?: string;
  engine: NonNullable<SweepOptions['engine']>;
  expect?: string[];
}

export function registerSweepCommand(program: Command): void {
  program.enablePositionalOptions();
  const sweep = program
    .command('sweep')
    .description(
      'Run one update, then cut its power (or reset it) at every operation, and say what becomes of the device.',
    )
    .optionsGroup('The update:')
    .addOption(
      new Option('--path <path>', 'how it reaches the device')
        .choices(['arduino-ota', 'web', 'http-update', 'stream', 'serial'])
        .default('arduino-ota'),
    )
    .addOption(new Option('--target <target>', 'what is updated').choices(['sketch', 'fs']).default('sketch'))
    .option('--from <file>', 'image before the update: firmware, or with --target fs a file system (one is built)')
    .option('--to <file>', 'file that is sent: plain, gzip or signed (one is built)')
    .option('--firmware <file>', 'with --target fs: the firmware that takes it (one is built)')
    .option('--board <id>', 'board; see `vesp boards` (nodemcuv2)')
    .option('--layout <name>', "flash layout; see `vesp layouts` (the board's)")
    .option('--core <version>', 'era of the Arduino core, of images that are built and of the device (master)')
    .option('--atomic-fs', 'an ATOMIC_FS_UPDATE build')
    .option('--public-key <file>', 'PEM key: the firmware verifies signatures')
    .optionsGroup('The cuts:')
    .option('--fault <kind>', 'power-cut, reset, brown-out; with --depth 2 also FIRST+SECOND', 'power-cut')
    .option('--points <list>', 'before, inside, after, with commas (all that the fault has)')
    .option('--depth <n>', '2: cut again in the recovery', '1')
    .option('--retry', 'repeat the update after each cut that the device survives, and require the new image')
    .option('--samples <n>', 'so many random schedules of up to three faults, instead of all points')
    .option('--seed <n>', 'all randomness', '1')
    .optionsGroup('The work:')
    .option('--jobs <n>', "threads (1; at depth 2 the machine's)")
    .option('--shard <i/n>', 'the i-th of n parts; put them together with `sweep merge`')
    .addOption(
      new Option('--engine <engine>', 'what runs the bootloader').choices(['model', 'native', 'both']).default('model'),
    )
    .optionsGroup('The result:')
    .option('--expect <rule...>', "e.g. 'phase=staging => old'; broken: exit code 3; repeatable")
    .option('--json <file>', 'the whole report; - for stdout')
    .option('--junit <file>', 'JUnit XML')
    .option('--html <file>', 'a page')
    .addHelpText(
      'after',
      `
Verdicts: old, new (that image runs whole), fs-lost, stuck (a reset or power cycle helps), corrupt, brick.
RULE: phase=copy,point=inside => old|new, with the keys phase, op (a..b), point, fault.
Exit codes: 0 done, 2 wrong usage or bad input, 3 an expectation is broken, or (--engine both) the engines disagree.

Example: sweep --layout 4m2m --fault reset --expect 'phase=copy => new' --json report.json`,
    )
    .action(async (options: SweepArguments) => {
      process.exitCode = await runSweep(options);
    });
  sweep
    .command('merge')
    .argument('<file...>', 'reports of all shards of one sweep')
    .description('Put the reports of shards together.')
    .option('--json <file>', 'the whole report; - for stdout')
    .option('--junit <file>', 'JUnit XML')
    .option('--html <file>', 'a page')
    .action(async (files: string[], _own: OutputArguments, command: Command) => {
      // `sweep` has the same options; whichever the parser gave them to.
      const options = command.optsWithGlobals<OutputArguments>();
      const reports = files.map((name) => ({ name, report: readReport(name) }));
      const report = wordsOf(() => mergeReports(reports));
      process.exitCode = await write(report, options);
    });
}

async function runSweep(options: SweepArguments): Promise<number> {
  checkFolders(options);
  const bar = progressBar();
  try {
    const report = await powerCutSweep({ ...sweepOptionsOf(options), onProgress: bar.show });
    bar.end();
    return await write(report, options);
  } catch (error) {
    throw asUserError(error);
  } finally {
    bar.end();
  }
}

function sweepOptionsOf(options: SweepArguments): SweepOptions {
  const { path, target, from, to, firmware, board, layout, core, fault, retry, engine, expect, atomicFs } = options;
  return {
    path,
    target,
    from,
    to,
    firmware,
    board,
    layout,
    core,
    atomicFs,
    publicKey:
      options.publicKey === undefined
        ? undefined
        : readInput('--public-key', options.publicKey, MAX_KEY_BYTES).toString('latin1'),
    fault,
    points: options.points?.split(',').map((point) => point.trim()) as SweepOptions['points'],
    depth: parseCount('--depth', options.depth) as 1 | 2,
    retry,
    samples: options.samples === undefined ? undefined : parseCount('--samples', options.samples),
    seed: parseCount('--seed', options.seed),
    jobs: options.jobs === undefined ? undefined : parseCount('--jobs', options.jobs),
    shard: options.shard === undefined ? undefined : parseShard(options.shard),
    engine,
    expect,
  };
}

function parseShard(text: string): { index: number; count: number } {
  const match = /^(\d{1,6})\/(\d{1,6})$/.exec(text);
  if (!match) throw new UserError(`--shard ${text}: wants i/n, e.g. 2/4`);
  return { index: Number(match[1]), count: Number(match[2]) };
}

/** Reads a report; only its outermost shape is looked at here. */
export function readReport(file: string): SweepReport {
  const text = readInput('report', file, MAX_REPORT_BYTES).toString('utf8');
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    throw new UserError(`report ${file}: is no JSON`);
  }
  const { format, definition, results } = (report ?? {}) as Partial<SweepReport>;
  if (format !== 'sweep-1' || typeof definition !== 'object' || !Array.isArray(results)) {
    throw new UserError(`report ${file}: is no report of a sweep (format "sweep-1")`);
  }
  return report as SweepReport;
}

/** Writes the files that were asked for, and the summary. */
async function write(report: SweepReport, { json, junit, html }: OutputArguments): Promise<number> {
  const text = `${JSON.stringify(report)}\n`;
  if (json !== undefined && json !== '-') save('--json', json, text);
  if (junit !== undefined) save('--junit', junit, formatJunit(report));
  if (html !== undefined) save('--html', html, reportHtml(report, await evidenceOf(report)));
  process.stdout.write(json === '-' ? text : `${formatReport(report)}\n`);
  return isViolated(report) ? VIOLATED_EXIT : 0;
}

/** The flash maps of the page; or why there are none: the images of merged shards may be elsewhere. */
async function evidenceOf(report: SweepReport): Promise<SweepEvidence | string> {
  try {
    return await gatherEvidence(report);
  } catch (error) {
    if (error instanceof SweepInputError || error instanceof DeviceOptionError) return error.message;
    throw error;
  }
}

/** Before the work, which may take long: a report that has no place is a sweep for nothing. */
function checkFolders({ json, junit, html }: OutputArguments): void {
  for (const [option, path] of Object.entries({ json, junit, html })) {
    if (path === undefined || (option === 'json' && path === '-')) continue;
    const is = (name: string): boolean => statSync(name, { throwIfNoEntry: false })?.isDirectory() ?? false;
    if (is(path)) throw new UserError(`--${option} ${path}: is a folder; name a file in it`);
    if (!is(dirname(path))) throw new UserError(`--${option} ${path}: there is no folder ${dirname(path)}`);
  }
}

function save(option: string, path: string, text: string): void {
  try {
    writeWhole(path, Buffer.from(text));
  } catch (error) {
    if (error instanceof UserError) throw new UserError(error.message.replace(/^--out /, `${option} `));
    throw error;
  }
}

function wordsOf<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw asUserError(error);
  }
}

/** What a user can do something about, without a stack trace. */
export function asUserError(error: unknown): unknown {
  const known =
    error instanceof SweepInputError ||
    error instanceof DeviceOptionError ||
    error instanceof FaultSpecError ||
    error instanceof RangeError;
  return known ? new UserError(error.message) : error;
}

/** On a terminal: a bar with rate and time left, on stderr. */
function progressBar(): { show(progress: SweepProgress): void; end(): void } {
  const terminal = process.stderr.isTTY === true;
  let drawnAtMs = 0;
  let drawn = false;
  return {
    show({ done, points, trials, seconds }) {
      const now = Date.now();
      if (!terminal || (now - drawnAtMs < DRAW_MS && done < 1)) return;
      drawnAtMs = now;
      const full = Math.round(done * BAR_CELLS);
      const rate = Math.round(trials / Math.max(seconds, 1e-3));
      const left = done > 0 ? duration((seconds * (1 - done)) / done) : '?';
      const bar = `[${'='.repeat(full)}${' '.repeat(BAR_CELLS - full)}]`;
      process.stderr.write(
        `\r${bar} ${Math.floor(done * 100)}%  ${points} points  ${rate} trials/s  ${left} left\u001b[K`,
      );
      drawn = true;
    },
    end() {
      if (drawn) process.stderr.write('\r\u001b[K');
      drawn = false;
    },
  };
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
