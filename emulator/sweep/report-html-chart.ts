/** The chart of the HTML report: a row for each phase and fault, a lane for each point, the verdicts along the operations. */
import { POINTS, type Point } from '../faults/spec.ts';
import { type Html, html } from './html.ts';
import type { Verdict } from './reasons.ts';
import type { SweepReport, SweepResult } from './report.ts';

/** A longer phase is drawn in so many cells, each with the worst of its verdicts. */
export const CHART_CELLS = 320;
const WORST_FIRST: readonly Verdict[] = ['brick', 'corrupt', 'fs-lost', 'stuck', 'new', 'old'];
const LANE = 12;

/** Cells side by side with the same verdict. */
interface Run {
  readonly from: number;
  to: number;
  readonly verdict: Verdict;
  /** The first result with this verdict, and the last one of any. */
  readonly first: SweepResult;
  last: SweepResult;
}

/** @returns undefined where a report does not list every point: at depth 2, and of samples */
export function chart({ definition, operations, results }: SweepReport): Html | undefined {
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
      const points = POINTS.filter((point) => lanes.has(`${fault} ${phase} ${point}`));
      if (points.length === 0) continue;
      const drawn = points.map((point, lane) =>
        runsOf(lanes.get(`${fault} ${phase} ${point}`)!, count).map((run) => draw(run, lane, point)),
      );
      const height = points.length * LANE;
      rows.push(html`<div class="phase"><div class="name">${phase}<small>${count} operations</small></div>
<div class="points">${points.map((point) => html`<span>${point}</span>`)}</div>
<svg class="strip" viewBox="0 0 ${Math.min(CHART_CELLS, count)} ${height}" preserveAspectRatio="none" height="${height}" role="img" aria-label="${fault} in ${phase}">${drawn}</svg></div>
`);
    }
  }
  return html`<div class="chart">${rows}</div>`;
}

function runsOf(results: readonly SweepResult[], count: number): Run[] {
  const cells: (Run | undefined)[] = new Array(Math.min(CHART_CELLS, count)).fill(undefined);
  for (const result of results) {
    const cell = Math.min(cells.length - 1, Math.floor((result.op * cells.length) / count));
    const there = cells[cell];
    if (there && WORST_FIRST.indexOf(there.verdict) <= WORST_FIRST.indexOf(result.verdict)) there.last = result;
    else cells[cell] = { from: cell, to: cell + 1, verdict: result.verdict, first: result, last: result };
  }
  const runs: Run[] = [];
  for (const cell of cells) {
    const run = runs.at(-1);
    if (!cell) continue;
    if (run?.verdict === cell.verdict && run.to === cell.from) {
      run.to = cell.to;
      run.last = cell.last;
    } else runs.push(cell);
  }
  return runs;
}

function draw({ from, to, verdict, first, last }: Run, lane: number, point: Point): Html {
  const where = first.op === last.op ? `${first.phase}:${first.op}` : `${first.phase}:${first.op} to ${last.op}`;
  return html`<rect class="${verdict}" x="${from}" y="${lane * LANE + 1}" width="${to - from}" height="${LANE - 2}" data-id="${first.id}" data-says="${verdict}: ${first.reason}"><title>${where}, ${point}: ${verdict}</title></rect>`;
}
