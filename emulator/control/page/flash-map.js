/**
 * The flash map: every sector a cell, coloured by area and state, lit up by what touches it. Sectors that changed are drawn
 * on a sheet below; what glows is drawn above it while it glows.
 */
import { byId, colour, fitCanvas } from './dom.js';
import { AREAS, ERASE, SECTOR_BYTES, STATES } from './model.js';
import { areaWords, hex, many, STATE_WORDS } from './words.js';

const GLOW_MS = 700;
const LABEL_PX = 62;
const ERASED = STATES.indexOf('erased');
const PROGRAMMED = STATES.indexOf('programmed');
const TORN = STATES.indexOf('torn');
const WORN = STATES.indexOf('worn');

export class FlashMap {
  /**
   * @param {import('./model.js').Model} model
   * @param {{ open: (sector: number) => void }} actions
   */
  constructor(model, { open }) {
    this.model = model;
    this.canvas = byId('flash-canvas');
    this.box = byId('flash-box');
    this.words = byId('flash-words');
    this.context = this.canvas.getContext('2d');
    this.sheet = document.createElement('canvas');
    this.view = 'areas';
    /** CRCs at the marked moment. */
    this.marked = /** @type {Uint32Array | undefined} */ (undefined);
    this.selected = -1;
    this.hovered = -1;
    this.columns = 1;
    this.rows = 1;
    this.cell = 1;
    this.stale = true;
    this.wasGlowing = false;
    /** The darkest shade of the wear view. */
    this.mostWear = 4;
    this.copying = /** @type {{ from: number, to: number } | undefined} */ (undefined);
    this.colours = palette();
    /** Sectors that glow. @type {Set<number>} */
    this.hot = new Set();
    this.cellHigh = 1;
    this.top = 0;
    this.scale = 1;
    new ResizeObserver(() => {
      this.stale = true;
    }).observe(this.box);
    this.canvas.addEventListener('pointermove', (event) => this.hover(this.sectorAt(event)));
    this.canvas.addEventListener('pointerleave', () => this.hover(-1));
    this.canvas.addEventListener('click', (event) => {
      const sector = this.sectorAt(event);
      if (sector < 0) return;
      this.select(sector);
      open(sector);
    });
    this.canvas.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[event.key];
      if (step !== undefined) {
        event.preventDefault();
        this.select(Math.min(this.model.sectors - 1, Math.max(0, (this.selected < 0 ? -step : this.selected) + step)));
      } else if (event.key === 'Home' || event.key === 'End') {
        event.preventDefault();
        this.select(event.key === 'Home' ? 0 : this.model.sectors - 1);
      } else if (event.key === 'Enter' && this.selected >= 0) {
        // Otherwise the same key would press the first button of the sheet.
        event.preventDefault();
        open(this.selected);
      }
    });
  }

  readColours() {
    this.colours = palette();
    this.stale = true;
  }

  /** @param {'areas' | 'wear' | 'diff'} view */
  show(view) {
    this.view = view;
    this.stale = true;
  }

  /** From now on `diff` compares with this moment. */
  mark() {
    this.marked = this.model.crc.slice();
    this.touched = new Set();
    this.stale = true;
  }

  select(sector) {
    this.selected = sector;
    this.stale = true;
    this.say(sector);
  }

  hover(sector) {
    if (sector === this.hovered) return;
    this.hovered = sector;
    this.wasGlowing = true;
    this.say(sector < 0 ? this.selected : sector);
  }

  say(sector) {
    this.words.textContent = sector < 0 || sector >= this.model.sectors ? '' : this.describe(sector);
  }

  /** @param {number} sector */
  describe(sector) {
    const { model } = this;
    const area = AREAS[model.area[sector]];
    const changed = this.marked && this.changedAt(sector) ? ', changed since the mark' : '';
    return (
      `Sector ${sector} at ${hex(sector * SECTOR_BYTES, 6)}: ${areaWords(area)}; ` +
      `${STATE_WORDS[STATES[model.state[sector]]]}; ${many(model.wear[sector], 'erase')}${changed}`
    );
  }

  changedAt(sector) {
    return this.marked !== undefined && this.marked[sector] !== this.model.crc[sector];
  }

  sectorAt({ offsetX, offsetY }) {
    const column = Math.floor((offsetX - LABEL_PX) / this.cell);
    const row = Math.floor((offsetY - this.top) / this.cellHigh);
    if (column < 0 || column >= this.columns || row < 0 || row >= this.rows) return -1;
    const sector = row * this.columns + column;
    return sector < this.model.sectors ? sector : -1;
  }

  /** @param {number} now the page's time in milliseconds */
  draw(now) {
    const { model } = this;
    if (model.sectors === 0) return;
    if (fitCanvas(this.canvas, this.box)) this.stale = true;
    if (this.stale) this.layOut();
    const sheet = this.sheet.getContext('2d');
    if (!sheet) return;
    const changed = this.stale || model.dirtySectors.size > 0;
    if (this.stale) {
      this.stale = false;
      sheet.setTransform(1, 0, 0, 1, 0, 0);
      sheet.clearRect(0, 0, this.sheet.width, this.sheet.height);
      sheet.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      this.labels(sheet);
      for (let sector = 0; sector < model.sectors; sector++) this.paint(sheet, sector);
      for (let sector = 0; sector < model.sectors; sector++)
        if (now - model.touchedAt[sector] < GLOW_MS) this.hot.add(sector);
    } else {
      for (const sector of model.dirtySectors) {
        this.paint(sheet, sector);
        this.hot.add(sector);
      }
    }
    model.dirtySectors.clear();
    const glowing = this.hot.size > 0;
    if (!changed && !glowing && !this.wasGlowing) return;
    this.wasGlowing = glowing;
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.sheet, 0, 0);
    context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.glow(context, now);
    this.overlays(context);
  }

  layOut() {
    const { width, height } = this.box.getBoundingClientRect();
    this.scale = this.canvas.width / Math.max(1, width);
    this.sheet.width = this.canvas.width;
    this.sheet.height = this.canvas.height;
    const { sectors } = this.model;
    let best = 0;
    // Powers of two, so that every row begins at a round address.
    for (let columns = 8; columns <= sectors && columns <= 256; columns *= 2) {
      const rows = Math.ceil(sectors / columns);
      const cell = Math.min((width - LABEL_PX) / columns, (height / rows) * 2.2);
      const high = Math.min(height / rows, cell * 2);
      const size = Math.min(cell, high * 1.4) * Math.min(high, cell * 1.4);
      if (size <= best) continue;
      best = size;
      this.columns = columns;
      this.rows = rows;
      this.cell = cell;
      this.cellHigh = high;
    }
    this.top = 0;
    this.hot.clear();
  }

  labels(context) {
    context.fillStyle = this.colours.muted;
    const size = Math.min(12, Math.max(8, this.cellHigh * 0.75));
    context.font = `${size}px ui-monospace, "DejaVu Sans Mono", monospace`;
    context.textBaseline = 'middle';
    const every = Math.ceil(13 / this.cellHigh);
    for (let row = 0; row < this.rows; row += every) {
      const address = row * this.columns * SECTOR_BYTES;
      context.fillText(hex(address, 6), 0, this.top + Math.max(size / 2, (row + 0.5) * this.cellHigh));
    }
  }

  placeOf(sector) {
    const x = LABEL_PX + (sector % this.columns) * this.cell;
    const y = this.top + Math.floor(sector / this.columns) * this.cellHigh;
    const gap = this.cell > 6 ? 1 : 0.5;
    return { x, y, wide: this.cell - gap, high: this.cellHigh - gap };
  }

  paint(context, sector) {
    const { x, y, wide, high } = this.placeOf(sector);
    context.clearRect(x - 0.5, y - 0.5, wide + 1, high + 1);
    if (this.view === 'wear') this.paintWear(context, sector, x, y, wide, high);
    else if (this.view === 'diff') this.paintDiff(context, sector, x, y, wide, high);
    else this.paintArea(context, sector, x, y, wide, high);
  }

  paintArea(context, sector, x, y, wide, high) {
    const { model, colours } = this;
    const state = model.state[sector];
    const tint = colours.areas[model.area[sector]];
    context.fillStyle = colours.empty;
    context.fillRect(x, y, wide, high);
    context.globalAlpha = state === ERASED ? 0.2 : state === PROGRAMMED ? 0.62 : 1;
    context.fillStyle = tint;
    context.fillRect(x, y, wide, high);
    context.globalAlpha = 1;
    if (state !== TORN && state !== WORN) return;
    context.fillStyle = state === TORN ? colours.bad : colours.warn;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + wide, y);
    context.lineTo(x, y + high);
    context.fill();
    context.strokeStyle = context.fillStyle;
    context.lineWidth = 1.5;
    context.strokeRect(x + 0.75, y + 0.75, wide - 1.5, high - 1.5);
  }

  paintWear(context, sector, x, y, wide, high) {
    const { model, colours } = this;
    const wear = model.wear[sector];
    if (wear > this.mostWear) {
      this.mostWear = wear;
      this.stale = true;
    }
    const share = Math.log1p(wear) / Math.log1p(this.mostWear);
    context.fillStyle = colours.empty;
    context.fillRect(x, y, wide, high);
    context.globalAlpha = share;
    context.fillStyle = colours.warn;
    context.fillRect(x, y, wide, high);
    context.globalAlpha = share > 0.6 ? (share - 0.6) * 2 : 0;
    context.fillStyle = colours.bad;
    context.fillRect(x, y, wide, high);
    context.globalAlpha = 1;
  }

  paintDiff(context, sector, x, y, wide, high) {
    const { model, colours } = this;
    context.fillStyle = colours.empty;
    context.fillRect(x, y, wide, high);
    const changed = this.changedAt(sector);
    context.globalAlpha = changed ? 1 : model.state[sector] === ERASED ? 0.08 : 0.3;
    context.fillStyle = changed ? colours.changed : colours.muted;
    context.fillRect(x, y, wide, high);
    context.globalAlpha = 1;
  }

  /** What was touched just now shines, and fades. */
  glow(context, now) {
    const { model, colours } = this;
    for (const sector of this.hot) {
      const left = 1 - (now - model.touchedAt[sector]) / GLOW_MS;
      if (left <= 0) {
        this.hot.delete(sector);
        continue;
      }
      const { x, y, wide, high } = this.placeOf(sector);
      context.globalAlpha = Math.min(1, left * 1.1) * 0.85;
      if (model.touchedBy[sector] === ERASE) {
        context.strokeStyle = colours.glow;
        context.lineWidth = 2;
        context.strokeRect(x + 1, y + 1, wide - 2, high - 2);
      } else {
        context.fillStyle = colours.glow;
        context.fillRect(x, y, wide, high);
      }
    }
    context.globalAlpha = 1;
  }

  overlays(context) {
    const { colours } = this;
    if (this.copying) this.arrow(context, this.copying.from, this.copying.to);
    const marked = [
      { sector: this.hovered, shade: colours.text },
      { sector: this.selected, shade: colours.accent },
    ];
    for (const { sector, shade } of marked) {
      if (sector < 0 || sector >= this.model.sectors) continue;
      const { x, y, wide, high } = this.placeOf(sector);
      context.strokeStyle = shade;
      context.lineWidth = 2;
      context.strokeRect(x - 0.5, y - 0.5, wide + 1, high + 1);
    }
  }

  /** From where eboot reads to where it writes. */
  arrow(context, from, to) {
    if (from >= this.model.sectors || to >= this.model.sectors || from < 0 || to < 0) return;
    const start = this.placeOf(from);
    const end = this.placeOf(to);
    const centre = ({ x, y, wide, high }) => ({ x: x + wide / 2, y: y + high / 2 });
    const a = centre(start);
    const b = centre(end);
    context.strokeStyle = this.colours.text;
    context.fillStyle = this.colours.text;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(a.x, a.y);
    const bend = Math.min(90, 30 + Math.abs(a.y - b.y) / 3);
    const middle = { x: Math.max(a.x, b.x) + bend, y: (a.y + b.y) / 2 };
    context.quadraticCurveTo(middle.x, middle.y, b.x, b.y);
    context.stroke();
    const angle = Math.atan2(b.y - middle.y, b.x - middle.x);
    context.beginPath();
    context.moveTo(b.x, b.y);
    for (const turn of [2.65, -2.65])
      context.lineTo(b.x + 11 * Math.cos(angle + turn), b.y + 11 * Math.sin(angle + turn));
    context.fill();
    context.beginPath();
    context.arc(a.x, a.y, 3.5, 0, 2 * Math.PI);
    context.fill();
  }
}

const palette = () => ({
  areas: AREAS.map((area) => colour(`area-${area}`)),
  empty: colour('cell-empty'),
  text: colour('text'),
  muted: colour('muted'),
  accent: colour('accent'),
  bad: colour('bad'),
  warn: colour('warn'),
  changed: colour('changed'),
  glow: colour('glow'),
});
