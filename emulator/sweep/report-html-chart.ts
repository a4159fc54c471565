/** The chart of the HTML report: a row for each phase and fault, a lane for each point, the verdicts along the operations. */
import type { Point } from '../faults/spec.ts';
import { type Html, html } from './html.ts';
import type { Verdict } from './reasons.ts';
import type { SweepReport, SweepResult } from './report.ts';

/** A longer phase is drawn in so many stretches, each with the worst of its verdicts. */
export const CHART_CELLS = 320;
const WORST_FIRST: readonly Verdict[] = ['brick', 'corrupt', 'fs-lost', 'stuck', 'new', 'old'];
const LANE = 12;
const POINTS: readonly Point[] = ['before', 'inside', 'after'];

interface Run {
  readonly from: number;
  to: number;
  readonly verdict: Verdict;
  count: number;
  readonly first: SweepResult;
  lastOp: number;
}

/** @returns undefined where a report does not list every point: at depth 2, and of samples */
export function chart(report: SweepReport): Html | undefined {
  const { definition, operations, results } = report;
  if (definition.depth === 2 || definition.samples !== undefined) return undefined;
  const lanes = new Map<string, SweepResult[]>();
  for (const result of results) {
    const key = `${result.fault} ${result.phase} ${result.point}`;
    const lane = lanes.get(key);
    if (lane) lane.push(result);
    else lanes.set(key, [result]);
  }
  const rows: Html[] = [];
  for (const fault of definition.faults) {
    rows.push(html`<h3>${fault}</h3>`);
    for (const [phase, count] of Object.entries(operations)) {
      const used = POINTS.filter((point) => lanes.has(`${fault} ${phase} ${point}`));
      if (used.length === 0) continue;
      const drawn = used.map((point, lane) =>
        runsOf(lanes.get(`${fault} ${phase} ${point}`)!, count).map((run) => draw(run, lane, phase, point)),
      );
      rows.push(html`<div class="phase"><div class="name">${phase}<small>${count} operations</small></div>
<div class="points">${used.map((point) => html`<span>${point}</span>`)}</div>
<svg class="strip" viewBox="0 0 ${Math.min(CHART_CELLS, count)} ${used.length * LANE}" preserveAspectRatio="none" height="${used.length * LANE}" role="img" aria-label="${fault} in ${phase}">${drawn}</svg></div>
`);
    }
  }
  return html`<div class="chart">${rows}</div>`;
}

function runsOf(results: readonly SweepResult[], count: number): Run[] {
  const cells = Math.min(CHART_CELLS, count);
  const runs: Run[] = [];
  let run: Run | undefined;
  for (const result of results) {
    const cell = Math.floor((result.op * cells) / count);
    if (run && run.to === cell + 1 && run.verdict !== result.verdict) {
      // One stretch of several operations, of which some are worse.
      const worse = WORST_FIRST.indexOf(result.verdict) < WORST_FIRST.indexOf(run.verdict);
      if (!worse && cell < cells && isSame(result, cell, run, cells, count)) {
        run.count++;
        continue;
      }
      if (worse && isSame(result, cell, run, cells, count)) {
        run.to = cell;
        if (run.to === run.from) runs.pop();
      }
    }
    if (run && run.verdict === result.verdict && run.to >= cell) {
      run.to = cell + 1;
      run.count++;
      run.lastOp = result.op;
      continue;
    }
    run = { from: cell, to: cell + 1, verdict: result.verdict, count: 1, first: result, lastOp: result.op };
    runs.push(run);
  }
  return runs;
}

/** Whether a result falls into the last stretch that a run has taken. */
const isSame = (result: SweepResult, cell: number, run: Run, cells: number, count: number): boolean =>
  run.to === cell + 1 && Math.floor((run.lastOp * cells) / count) === cell && result.op > run.lastOp;

function draw({ from, to, verdict, count, first, lastOp }: Run, lane: number, phase: string, point: Point): Html {
  const where = first.op === lastOp ? `${phase}:${first.op}` : `${phase}:${first.op} to ${lastOp}`;
  const id = first.id;
  return html`<rect class="v ${verdict}" x="${from}" y="${lane * LANE + 1}" width="${to - from}" height="${LANE - 2}" data-id="${id}" data-says="${verdict}: ${first.reason}"><title>${where}, ${point}: ${verdict} (${count} points)</title></rect>`;
}
