/** A sweep as one self-contained HTML page: it loads nothing, and can be attached to a bug report or printed. */
import { type Evidence, MOST_CLASSES, type SweepEvidence } from './evidence.ts';
import { explain } from './explain.ts';
import { Html, html } from './html.ts';
import { classesOf, type ReasonClass } from './outcomes.ts';
import { VERDICTS, type Verdict } from './reasons.ts';
import type { ImageReference, SweepReport, SweepResult } from './report.ts';
import { CHART_CELLS, chart } from './report-html-chart.ts';
import { flashMap, mapDefinitions, rangeLegend, STATES, sectorDiff } from './report-html-map.ts';
import { SCRIPT, STYLE } from './report-html-style.ts';

/** So many ids of each class, and of each broken expectation, are on the page. */
const SHOWN_IDS = 25;
const FIRST_IDS = 3;

const MEANINGS: Readonly<Record<Verdict, string>> = {
  old: 'the old version runs, whole',
  new: 'the new version runs, whole',
  'fs-lost': 'the application runs, its file system is neither old nor new',
  stuck: 'it stands still until the reset button or a power cycle',
  corrupt: 'a mixture runs that no check noticed',
  brick: 'nothing but a serial upload helps',
};
/** Nothing from anywhere else, whatever an image or a file is called. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/**
 * The page. Its size is bounded: the chart has at most 320 cells a lane, and 12 classes of outcome with 25 ids each are shown;
 * the JSON report has everything.
 *
 * @param evidence of `gatherEvidence`, for the flash maps and sector diffs; or in words why there is none
 */
export function reportHtml(report: SweepReport, evidence?: SweepEvidence | string): string {
  const found = typeof evidence === 'object' ? evidence : undefined;
  const classes = classesOf(report);
  const strips = chart(report);
  const page = html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${headline(report)}</title><style>${new Html(STYLE)}</style></head>
<body>
${mapDefinitions}
<header><h1>${headline(report)}</h1>
<p class="muted">${subtitle(report)}</p>
${report.undisturbed && html`<p class="note">Even without any fault this update ends <b>${report.undisturbed.verdict}</b>: ${report.undisturbed.reason}.</p>`}
${total(report)}</header>
${expectations(report)}
<section id="chart"><h2>Along the update</h2>
${
  strips
    ? html`${strips}<p class="picked screen muted" id="picked">Click on a place in the chart for the id of its first cut. A place stands for up to 1/${CHART_CELLS} of a phase and shows the worst that happens there.</p>`
    : html`<p class="muted">Pairs of faults and random schedules have no chart: the report lists the first of each verdict only.</p>`
}
${report.resultsLeftOut > 0 && html`<p class="muted">${report.resultsLeftOut} results are not listed in the report.</p>`}</section>
${
  classes.length > 0 &&
  html`<section id="classes"><h2>What goes wrong, and why</h2>${typeof evidence === 'string' && html`<p class="note">No flash maps: ${evidence}.</p>`}${found && mapLegend(found)}
${classes.slice(0, MOST_CLASSES).map((one) => section(one, report, found))}
${classes.length > MOST_CLASSES && html`<p>${classes.length - MOST_CLASSES} rarer classes are in the JSON report.</p>`}</section>`
}
${shrunk(report)}
${definition(report)}
<script>${new Html(SCRIPT)}</script>
</body></html>
`;
  return page.text;
}

function headline({ verdicts, points, operations, definition: { target } }: SweepReport): string {
  const bad = VERDICTS.filter((verdict) => verdict !== 'old' && verdict !== 'new' && verdicts[verdict] > 0);
  const where = Object.keys(operations).join(', ');
  if (bad.length === 0) return `None of ${points} cuts in ${where} harms this ${target} update`;
  return `${points} cuts of a ${target} update: ${bad.map((verdict) => `${verdicts[verdict]} ${verdict}`).join(', ')}`;
}

function subtitle({ definition, version, sweep, trials, seconds, shard }: SweepReport): string {
  const { path, layout, faults, secondFaults, from, to, core } = definition;
  const kinds = `${faults.join(' or ')}${secondFaults ? `, then ${secondFaults.join(' or ')}` : ''}`;
  return [
    `${path}, layout ${layout}${core === undefined ? '' : `, core ${core}`}`,
    `${from.size} to ${to.size} bytes`,
    kinds,
    `sweep ${sweep}${shard ? ` (shard ${shard.index}/${shard.count})` : ''}, ${trials} trials in ${seconds.toFixed(1)} s`,
    `esp8266-ota-emulator ${version}`,
  ].join(' · ');
}

function total({ verdicts, points }: SweepReport): Html {
  const there = VERDICTS.filter((verdict) => verdicts[verdict] > 0);
  const share = (count: number): string => `${((100 * count) / Math.max(points, 1)).toFixed(1)} %`;
  return html`<div class="total">${there.map((verdict) => html`<i class="${verdict}" style="flex:${verdicts[verdict]}" title="${verdict}"></i>`)}</div>
<ul class="legend">${there.map((verdict) => html`<li><i class="${verdict}"></i><b>${verdict}</b> ${verdicts[verdict]} (${share(verdicts[verdict])}): ${MEANINGS[verdict]}</li>`)}</ul>`;
}

function expectations({ expectations: list }: SweepReport): Html | undefined {
  if (list.length === 0) return undefined;
  return html`<section id="expectations"><h2>Expectations</h2>${list.map(
    ({ rule, checked, violations, ids }) =>
      html`<p><code>${rule}</code>: ${violations > 0 ? html`<span class="broken">broken ${violations} times</span>` : html`<span class="holds">holds</span>`}, ${checked} points</p>${idList(ids, violations)}`,
  )}</section>`;
}

const mapLegend = (evidence: SweepEvidence): Html =>
  html`<p class="muted">The maps show the chip as the cut leaves it, before the start that follows: one box a sector (4 KiB), the sector of the cut framed; the lines below are areas.</p>
<ul class="legend">${Object.entries(STATES).map(([state, text]) => html`<li><i class="s-${state}"></i>${text}</li>`)}</ul>${rangeLegend(evidence.ranges)}`;

function section(one: ReasonClass, report: SweepReport, evidence: SweepEvidence | undefined): Html {
  const { verdict, reason, results } = one;
  const shown = results.find(({ id }) => evidence?.cuts.some((cut) => cut.id === id));
  const cut = evidence?.cuts.find(({ id }) => id === shown?.id);
  const more = report.resultsLeftOut > 0 ? ' or more' : '';
  return html`<article class="class"><h3><span class="badge ${verdict}">${verdict}</span> ${results.length}${more} × ${reason}</h3>
<p>${explain(one, report, evidence)}</p>
<p class="muted">${wherever(results)}</p>
${idList(
  results.map(({ id }) => id),
  results.length,
)}
<p class="muted">To repeat one, byte for byte: <code>npx vesp replay ID --report REPORT.json</code></p>
${cut && evidence && shown && look(cut, evidence, shown)}</article>`;
}

function look(cut: Evidence, evidence: SweepEvidence, { address, fraction, point }: SweepResult): Html {
  const torn =
    point === 'inside' && fraction !== undefined ? `, torn when ${Math.round(100 * fraction)} % was done` : '';
  return html`<h3>The chip at <code>${cut.id}</code>${torn}<button type="button" data-copy="${cut.id}">copy id</button></h3>
${flashMap(cut, evidence, address)}
${cut.diff && sectorDiff(cut.diff)}`;
}

/** In which stretches of which phases. */
function wherever(results: readonly SweepResult[]): string {
  const spans = new Map<string, { first: number; last: number; count: number }>();
  for (const { fault, phase, op } of results) {
    const key = `${fault} in ${phase}`;
    const span = spans.get(key);
    if (!span) spans.set(key, { first: op, last: op, count: 1 });
    else {
      span.first = Math.min(span.first, op);
      span.last = Math.max(span.last, op);
      span.count++;
    }
  }
  const words = [...spans].map(([key, { first, last, count }]) =>
    first === last ? `${key}, operation ${first} (${count})` : `${key}, operations ${first} to ${last} (${count})`,
  );
  return `${words.join('; ')}.`;
}

function idList(ids: readonly string[], count: number): Html {
  const item = (id: string): Html =>
    html`<li><code>${id}</code><button type="button" data-copy="${id}">copy id</button></li>`;
  const rest = ids.slice(FIRST_IDS, SHOWN_IDS);
  const hidden = count - FIRST_IDS - rest.length;
  return html`<ul class="ids">${ids.slice(0, FIRST_IDS).map(item)}</ul>${
    rest.length > 0 &&
    html`<details><summary>${rest.length} more ids${hidden > 0 && ` (${hidden} further ones are in the JSON report)`}</summary><ul class="ids">${rest.map(item)}</ul></details>`
  }`;
}

const shrunk = ({ shrunk: list }: SweepReport): Html | undefined =>
  list &&
  html`<section id="shrunk"><h2>Smallest cases</h2>${list.map(
    ({ id, verdict, reason, from }) =>
      html`<p><span class="badge ${verdict}">${verdict}</span> ${reason}</p>${idList([id], 1)}<p class="muted">made smaller from <code>${from}</code></p>`,
  )}</section>`;

function definition({ definition: all, files = {} }: SweepReport): Html {
  const image = (role: string, reference: ImageReference | undefined): Html | undefined =>
    reference &&
    html`<tr><th>${role}</th><td>${files[role] ?? (reference.build ? 'built' : 'given by a program')}, ${reference.size} bytes<br><code>sha256 ${reference.sha256}</code></td></tr>`;
  return html`<section id="definition"><h2>Definition</h2>
<p class="muted">All that decides what this sweep finds; its hash is the name of the sweep and part of every id.</p>
<table class="facts">${image('from', all.from)}${image('to', all.to)}${image('firmware', all.firmware)}</table>
<details><summary>as JSON</summary><pre>${JSON.stringify(all, undefined, 2)}</pre></details></section>`;
}
