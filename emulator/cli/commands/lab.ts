/** `vesp lab list`, `vesp lab check N`: grades the event log of a student's run. Contract: design.md §4. */
import type { Command } from 'commander';
import { grade, type Lab, LabLog, LabLogError, labs } from '../../labs/index.ts';
import { UserError } from '../errors.ts';
import { readInput } from '../files.ts';
import { parseCount } from '../numbers.ts';
import { printTable } from '../table.ts';

/** A day of updates; more is not the log of a lab. */
const LOG_LIMIT_BYTES = 256 << 20;

interface CheckOptions {
  events: string;
  student?: string;
  json?: boolean;
}

export function registerLabCommands(program: Command): void {
  const lab = program.command('lab').description('the course of docs/labs, and the grading of its labs');
  lab
    .command('list')
    .description('what there is')
    .action(() => {
      printTable(
        ['lab', 'title', 'text'],
        labs.map(({ number, title, document }) => [String(number), title, `docs/labs/${document}`]),
      );
    });
  lab
    .command('check')
    .argument('<number>', 'of the lab')
    .description('say which goals of a lab a run has met: ends with 0 when all are, with 1 otherwise')
    .requiredOption('--events <file>', 'what `vesp run --events FILE` wrote')
    .option('--student <number>', 'the run must be that of this student: their images are built with --seed NUMBER')
    .option('--json', 'one JSON array')
    .action((number: string, options: CheckOptions) => {
      process.exitCode = check(find(number), options);
    });
}

function find(number: string): Lab {
  const found = labs.find((lab) => String(lab.number) === number);
  if (found) return found;
  throw new UserError(`lab "${number}": there are the labs ${labs.map((lab) => lab.number).join(', ')}`);
}

function check(lab: Lab, options: CheckOptions): number {
  const student = options.student === undefined ? undefined : parseCount('--student', options.student);
  const grades = grade(lab, readLog(options.events), student);
  if (student !== undefined && !lab.personal)
    process.stderr.write(`note: lab ${lab.number} has no image of the student's own, so --student is not checked\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(grades, null, 2)}\n`);
  else {
    for (const { goal, met, hint } of grades) {
      process.stdout.write(`${met ? 'yes' : ' no'}  ${goal}\n`);
      if (hint !== undefined) process.stdout.write(`     hint: ${hint}\n`);
    }
  }
  const missed = grades.filter(({ met }) => !met).length;
  if (!options.json)
    process.stdout.write(missed === 0 ? `lab ${lab.number} is done\n` : `${missed} of ${grades.length} to go\n`);
  return missed === 0 ? 0 : 1;
}

function readLog(path: string): LabLog {
  try {
    return LabLog.parse(new TextDecoder().decode(readInput('event log', path, LOG_LIMIT_BYTES)), path);
  } catch (error) {
    if (error instanceof LabLogError) throw new UserError(error.message);
    throw error;
  }
}
