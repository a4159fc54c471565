/** The flash map and the sector diff of the HTML report. */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { Evidence, NamedRange, SectorDiff, SectorState, SweepEvidence } from './evidence.ts';
import { type Html, html } from './html.ts';

const ROW_SECTORS = 64;
const CELL = { width: 14, height: 14 } as const;
const BAR = 4;
const ROW_HEIGHT = CELL.height + 2 * (BAR + 1) + 4;
const GUTTER = 96;
const WIDTH = GUTTER + ROW_SECTORS * CELL.width + 1;
/** Rows where nothing is and nothing was are drawn as one line of this height. */
const FOLDED_HEIGHT = 14;

export const STATES: Readonly<Record<SectorState, string>> = {
  empty: 'empty, before and after',
  kept: 'not touched by the update',
  old: 'still as before',
  staged: 'the new image, as downloaded',
  new: 'already as it shall be',
  erased: 'erased, to be written',
  mixed: 'torn, or a mixture',
};

/** Pattern that draws the borders of sectors; once a page. */
export const mapDefinitions = html`<svg width="0" height="0" aria-hidden="true"><defs><pattern id="sectors" width="${CELL.width}" height="${CELL.height}" patternUnits="userSpaceOnUse" x="${GUTTER}"><path class="grid" d="M0.5 0V${CELL.height}"/></pattern></defs></svg>`;

/** @param address of the cut; its sector is framed */
export function flashMap({ sectors }: Evidence, { ranges }: SweepEvidence, address: number | undefined): Html {
  const parts: Html[] = [];
  const rows = Math.ceil(sectors.length / ROW_SECTORS);
  let y = 2;
  for (let row = 0; row < rows; row++) {
    let folded = 0;
    while (row + folded < rows && isEmpty(sectors, row + folded)) folded++;
    if (folded > 1) {
      const last = Math.min((row + folded) * ROW_SECTORS, sectors.length) * SECTOR_BYTES - 1;
      parts.push(
        html`<text class="fold" x="${GUTTER}" y="${y + 10}">${offset(row * ROW_SECTORS * SECTOR_BYTES)} to ${offset(last)}: empty</text>`,
      );
      y += FOLDED_HEIGHT;
      row += folded - 1;
      continue;
    }
    parts.push(...drawRow(sectors, row, y, ranges));
    y += ROW_HEIGHT;
    const sector = address === undefined ? -1 : Math.floor(address / SECTOR_BYTES);
    if (Math.floor(sector / ROW_SECTORS) === row) {
      const x = GUTTER + (sector % ROW_SECTORS) * CELL.width;
      parts.push(
        html`<rect class="cut" x="${x - 1}" y="${y - ROW_HEIGHT - 1}" width="${CELL.width + 2}" height="${CELL.height + 2}"><title>the sector of the cut, ${offset(sector * SECTOR_BYTES)}</title></rect>`,
      );
    }
  }
  return html`<svg class="map" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="flash map at the cut">${parts}</svg>`;
}

function isEmpty(sectors: readonly SectorState[], row: number): boolean {
  return sectors.slice(row * ROW_SECTORS, (row + 1) * ROW_SECTORS).every((state) => state === 'empty');
}

function drawRow(sectors: readonly SectorState[], row: number, y: number, ranges: readonly NamedRange[]): Html[] {
  const first = row * ROW_SECTORS;
  const count = Math.min(ROW_SECTORS, sectors.length - first);
  const parts = [html`<text class="address" x="${GUTTER - 8}" y="${y + 11}">${offset(first * SECTOR_BYTES)}</text>`];
  for (let from = 0; from < count; ) {
    const state = sectors[first + from]!;
    let to = from + 1;
    while (to < count && sectors[first + to] === state) to++;
    const where = `${offset((first + from) * SECTOR_BYTES)} to ${offset((first + to) * SECTOR_BYTES - 1)}`;
    parts.push(
      html`<rect class="s-${state}" x="${GUTTER + from * CELL.width}" y="${y}" width="${(to - from) * CELL.width}" height="${CELL.height}"><title>${where}: ${STATES[state]}</title></rect>`,
    );
    from = to;
  }
  parts.push(
    html`<g transform="translate(0 ${y})"><rect fill="url(#sectors)" x="${GUTTER}" y="0" width="${count * CELL.width}" height="${CELL.height}"/></g>`,
  );
  const start = first * SECTOR_BYTES;
  const end = start + count * SECTOR_BYTES;
  ranges.forEach((range, index) => {
    const from = Math.max(range.start, start);
    const to = Math.min(range.end, end);
    if (from >= to) return;
    const x = GUTTER + ((from - start) / SECTOR_BYTES) * CELL.width;
    const width = ((to - from) / SECTOR_BYTES) * CELL.width;
    // Two lanes, as the area of the new sketch may lie over the staging area.
    const lane = y + CELL.height + 1 + (range.name.endsWith('sketch') ? 0 : BAR + 1);
    parts.push(
      html`<rect class="range r-${index}" x="${x + 1}" y="${lane}" width="${width - 2}" height="${BAR}"><title>${range.name}</title></rect>`,
    );
  });
  return parts;
}

/** Which colour is which range, with addresses. */
export const rangeLegend = (ranges: readonly NamedRange[]): Html =>
  html`<ul class="legend">${ranges.map(({ name, start, end }, i) => html`<li><i class="bar r-${i}"></i>${name} <code>${offset(start)}–${offset(end - 1)}</code></li>`)}</ul>`;

/** Sixteen bytes a row: before, at the cut, and as it should be; bytes that are not as they should be are marked. */
export function sectorDiff({ address, rows, wrongBytes }: SectorDiff): Html {
  const hex = (bytes: Uint8Array, other: Uint8Array | undefined): Html[] =>
    Array.from(bytes, (byte, i) => {
      const text = byte.toString(16).padStart(2, '0');
      return other && other[i] !== byte ? html`<b>${text}</b> ` : html`${text} `;
    });
  return html`<p>Sector <code>${offset(address)}</code>: ${wrongBytes} of its ${SECTOR_BYTES} bytes are not as they should be. Where that begins:</p>
<div class="wide"><table class="diff"><thead><tr><th></th><th>before the update</th><th>at the cut</th><th>as it should be</th></tr></thead><tbody>${rows.map(
    (row) =>
      html`<tr><th>${offset(row.address)}</th><td>${hex(row.old, undefined)}</td><td>${hex(row.atCut, row.wanted)}</td><td>${hex(row.wanted, undefined)}</td></tr>`,
  )}</tbody></table></div>`;
}

const offset = (address: number): string => `0x${address.toString(16)}`;
