/** `vesp scenario list`, `vesp scenario run NAME`: failures from the field, to be watched. Contract: design.md §4. */
import type { Command } from 'commander';
import { type Act, documentOf, playScenario, type Scenario, ScenarioFailed, scenarios } from '../../scenarios/index.ts';
import { UserError } from '../errors.ts';
import { parseCount } from '../numbers.ts';
import { printTable } from '../table.ts';

/** Columns of a terminal. */
const WIDTH = 100;
const LABELS: Record<Act['kind'], string> = { step: '--', symptom: 'SYMPTOM', evidence: 'because', cure: 'CURED' };
const LABEL_WIDTH = 9;

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
        ['name', 'rows', 'what people report'],
        scenarios.map(({ name, rows, title }) => [name, rows.join(' '), title]),
      );
    });
  scenario
    .command('run')
    .argument('<name>', 'see `vesp scenario list`')
    .description('play one: symptom, cause, cure')
    .option('--json', 'what was seen as JSON')
    .option('--seed <n>', 'of the devices', '1')
    .action(async (name: string, options: { json?: boolean; seed: string }) => {
      process.exitCode = await run(find(name), parseCount('--seed', options.seed), options.json === true);
    });
}

function find(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found) return found;
  throw new UserError(
    `scenario "${name}": there is none of that name; \`vesp scenario list\` shows all ${scenarios.length}`,
  );
}

async function run(scenario: Scenario, seed: number, json: boolean): Promise<number> {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  if (!json) {
    print(`${scenario.name}: ${scenario.title}`);
    print(`threads: ${scenario.threads}\n`);
  }
  try {
    const { acts } = await playScenario(scenario, { seed, onAct: (act) => void (json || print(lineOf(act))) });
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
