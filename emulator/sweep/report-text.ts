/** The summary of a sweep for a terminal: counts, and a strip chart of the verdicts along the update. */
import { VERDICTS, type Verdict } from './reasons.ts';
import type { SweepReport, SweepResult } from './report.ts';

/** One character for each verdict in the chart. */
export const CHART_SIGNS: Readonly<Record<Verdict, string>> = {
  old: '.',
  new: '+',
  'fs-lost': 'f',
  stuck: 's',
  corrupt: '!',
  brick: '#',
};
/** What a cell shows that stands for several points: the worst of them. */
const WORST_FIRST: readonly Verdict[] = ['brick', 'corrupt', 'fs-lost', 'stuck', 'new', 'old'];
const CELLS = 64;
const SHOWN_IDS = 3;

/** Lines, without a final newline. */
export function formatReport(report: SweepReport): string {
  const { definition, sweep, operations, points, trials, seconds, rate, verdicts } = report;
  const { path, target, layout, faults, secondFaults, from, to } = definition;
  const kinds = secondFaults ? `${faults.join(',')} then ${secondFaults.join(',')}` : faults.join(',');
  const lines = [
    `sweep ${sweep}: ${path} ${target} on ${layout}, ${from.size} -> ${to.size} bytes, ${kinds}${
      report.shard ? `, shard ${report.shard.index}/${report.shard.count}` : ''
    }`,
    `operations   ${Object.entries(operations)
      .map(([phase, count]) => `${phase} ${count}`)
      .join(', ')}`,
    `points       ${points}, of which ${trials} were run, in ${seconds.toFixed(1)} s (${rate} a second)`,
    `verdicts     ${VERDICTS.filter((verdict) => verdicts[verdict] > 0)
      .map((verdict) => `${verdict} ${verdicts[verdict]}`)
      .join(', ')}`,
    ...(report.undisturbed
      ? [
          `NOTE         even without a fault the update ends ${report.undisturbed.verdict}: ${report.undisturbed.reason}`,
        ]
      : []),
    ...chart(report),
    ...reasons(report),
    ...expectations(report),
  ];
  for (const { id, verdict, from: was } of report.shrunk ?? [])
    lines.push(`smallest     ${verdict}: ${id} (from ${was})`);
  return lines.join('\n');
}

/** A row for each phase and fault: which verdict each stretch of the phase has. */
export function chart({ results, operations, resultsLeftOut, definition }: SweepReport): string[] {
  if (definition.depth === 2 || definition.samples !== undefined) return [];
  const lines = ['', `${' '.repeat(22)}${legend()}`];
  for (const fault of definition.faults) {
    for (const [phase, count] of Object.entries(operations)) {
      const cells = Math.min(CELLS, count);
      const worst: (Verdict | undefined)[] = new Array(cells).fill(undefined);
      for (const result of results) {
        if (result.phase !== phase || result.fault !== fault) continue;
        const cell = Math.min(cells - 1, Math.floor((result.op * cells) / count));
        worst[cell] = worse(worst[cell], result.verdict);
      }
      const strip = worst.map((verdict) => (verdict ? CHART_SIGNS[verdict] : ' ')).join('');
      lines.push(`${fault.padEnd(11)}${phase.padEnd(9)}|${strip.padEnd(CELLS)}| ${count}`);
    }
  }
  if (resultsLeftOut > 0) lines.push(`${' '.repeat(22)}(${resultsLeftOut} results are not in the chart)`);
  return [...lines, ''];
}

const legend = (): string => VERDICTS.map((verdict) => `${CHART_SIGNS[verdict]} ${verdict}`).join('  ');

function worse(a: Verdict | undefined, b: Verdict): Verdict {
  return a !== undefined && WORST_FIRST.indexOf(a) < WORST_FIRST.indexOf(b) ? a : b;
}

/** Why, for everything but a whole old or new image, with an id to replay. */
function reasons({ results, resultsLeftOut }: SweepReport): string[] {
  const more = resultsLeftOut > 0 ? ' or more' : '';
  const groups = new Map<string, { count: number; first: SweepResult }>();
  for (const result of results) {
    if (result.verdict === 'old' || result.verdict === 'new') continue;
    const key = `${result.verdict}: ${result.reason}`;
    const group = groups.get(key);
    if (group) group.count++;
    else groups.set(key, { count: 1, first: result });
  }
  return [...groups].flatMap(([key, { count, first }]) => [`${count}${more} x ${key}`, `    e.g. ${first.id}`]);
}

function expectations({ expectations: list }: SweepReport): string[] {
  return list.flatMap(({ rule, checked, violations, ids }) => {
    const verdict = violations > 0 ? `BROKEN ${violations} times` : 'holds';
    const none = checked === 0 ? ' (no point is meant by it)' : '';
    return [
      `expectation  ${rule}: ${verdict}, ${checked} points${none}`,
      ...ids.slice(0, SHOWN_IDS).map((id) => `    ${id}`),
      ...(violations > SHOWN_IDS ? [`    and ${violations - SHOWN_IDS} more`] : []),
    ];
  });
}
