/** `vesp scenario list`, `vesp scenario run NAME`: failures from the field, to be watched. Contract: design.md §4. */
import type { Command } from 'commander';
import {
  type Act,
  documentOf,
  playScenario,
  type Scenario,
  ScenarioFailed,
  type StageOptions,
  scenarios,
} from '../../scenarios/index.ts';
import { UserError } from '../errors.ts';
import { interrupted } from '../interrupted.ts';
import { parseCount, parsePort } from '../numbers.ts';
import { printTable } from '../table.ts';

/** Columns of a terminal. */
const WIDTH = 100;
const LABELS: Record<Act['kind'], string> = { step: '--', symptom: 'SYMPTOM', evidence: 'because', cure: 'CURED' };
const LABEL_WIDTH = 9;

interface RunArguments {
  json?: boolean;
  seed: string;
  control?: boolean;
  controlPort?: string;
}

export function registerScenarioCommands(program: Command): void {
  const scenario = program.command('scenario').description('failures that people met in the field, each to be watched');
  scenario
    .command('list')
    .description('what there is')
    .option('--json', 'as JSON')
    .option('--markdown', 'with causes and cures, as the page docs/scenarios.md')
    .action((options: { json?: boolean; markdown?: boolean }) => {
      if (options.markdown) {
        process.stdout.write(documentOf(scenarios));
        return;
      }
      if (options.json) {
        const facts = scenarios.map(({ play: _, ...rest }) => rest);
        process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
        return;
      }
      printTable(
        ['name', 'what people report', 'threads'],
        scenarios.map(({ name, title, threads }) => [name, title, threads]),
      );
    });
  scenario
    .command('run')
    .argument('<name>', 'see `vesp scenario list`')
    .description('play one: symptom, cause, cure')
    .option('--json', 'what was seen as JSON')
    .option('--seed <n>', 'of the devices', '1')
    .option('--control', 'watch it in the live page: each device waits there, paused; all stay until Ctrl-C')
    .option(
      '--control-port <n>',
      'TCP port of the first device (8267), the next one has the next; 0: the system chooses',
    )
    .action(async (name: string, options: RunArguments) => {
      process.exitCode = await run(find(name), options);
    });
}

function find(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found) return found;
  throw new UserError(
    `scenario "${name}": there is none of that name; \`vesp scenario list\` shows all ${scenarios.length}`,
  );
}

async function run(scenario: Scenario, options: RunArguments): Promise<number> {
  const seed = parseCount('--seed', options.seed);
  const json = options.json === true;
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  if (!json) {
    print(`${scenario.name}: ${scenario.title}`);
    print(`threads: ${scenario.threads}\n`);
  }
  try {
    const { acts } = await playScenario(scenario, {
      seed,
      onAct: (act) => void (json || print(lineOf(act))),
      ...watching(options, (text) => void (json ? process.stderr : process.stdout).write(`${text}\n`)),
    });
    const { play: _, ...facts } = scenario;
    if (json) print(JSON.stringify({ ...facts, acts }, null, 2));
    else {
      print('');
      print(wrapped('cause', scenario.cause));
      print(wrapped('cure', scenario.cure));
      if (scenario.assumed) print(wrapped('assumed', scenario.assumed));
    }
    return 0;
  } catch (error) {
    if (!(error instanceof ScenarioFailed)) throw error;
    process.stderr.write(`error: ${error.message}\n`);
    return 1;
  }
}

/** With `--control`: each device gets a page of its own and waits there. */
function watching(options: RunArguments, print: (text: string) => void): StageOptions {
  if (!options.control && options.controlPort === undefined) return {};
  let port = parsePort('--control-port', options.controlPort ?? '8267');
  let next = 1;
  return {
    async onDevice(device) {
      await device.openControl(port, {});
      if (port !== 0) port++;
      device.pause();
      const { control } = device.address;
      print(`live page http://${control!.host}:${control!.port}/ of device ${next++}: it is paused, press Go on there`);
    },
    async onEnd() {
      print('the devices stay as they are; Ctrl-C ends');
      await interrupted();
    },
  };
}

const lineOf = ({ kind, text }: Act): string => wrapped(LABELS[kind], text);

/** A label and its text, the text in a column of its own. */
function wrapped(label: string, text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > WIDTH - LABEL_WIDTH) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  lines.push(line);
  return lines.map((part, index) => `${(index === 0 ? label : '').padEnd(LABEL_WIDTH)}${part}`).join('\n');
}
