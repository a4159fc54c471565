/** The catalogue as a page for readers: docs/scenarios.md. */
import type { Scenario } from './scenario.ts';

const CORE = 'https://github.com/esp8266/Arduino';

const INTRODUCTION = `---
group: Background
title: "Scenarios: what goes wrong in the field"
---
# Scenarios: what goes wrong in the field

Failures that people reported in public threads, each to be seen on a virtual device: the symptom in the words of the device or of
its uploader, the cause proven by what happens inside, and the cure at work.

\`\`\`
vesp scenario list
vesp scenario run power-lost-in-copy
\`\`\`

\`run\` takes less than a second of yours, whatever time passes on the device. \`--json\` prints the acts as data, \`--seed N\` gives
the devices other noise, filler and identities. Numbers alone are threads of esp8266/Arduino.

This page is made by \`vesp scenario list --markdown\`.
`;

/** @returns the whole page, ending in a newline */
export function documentOf(scenarios: readonly Scenario[]): string {
  const rows = scenarios.map(({ name, title, cause, cure, threads }) =>
    row([`\`${name}\``, title, sentence(cause), sentence(cure), linked(threads)]),
  );
  const assumed = scenarios.flatMap(({ name, assumed }) =>
    assumed === undefined ? [] : [`- \`${name}\`: ${sentence(assumed)}`],
  );
  const head = [row(['Scenario', 'What people report', 'Cause', 'Cure', 'Threads']), row(Array(5).fill('---'))];
  return [
    INTRODUCTION,
    [...head, ...rows].join('\n'),
    '\n## What is assumed\n\nWhere neither the threads nor the reference chapters say it:\n',
    assumed.join('\n'),
    '',
  ].join('\n');
}

const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

/** The texts begin as the second half of a sentence; names keep their small letter. */
const sentence = (text: string): string =>
  `${/^(eboot|espota)/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1)}.`.replace(/\.\.$/, '.');

/** Threads of the core by their number; those of others are named only. */
const linked = (threads: string): string =>
  threads
    .split(', ')
    .map((thread) => {
      const own = /^(PR )?#(\d+)$/.exec(thread);
      return own ? `[${thread}](${CORE}/${own[1] ? 'pull' : 'issues'}/${own[2]})` : thread;
    })
    .join(', ');
