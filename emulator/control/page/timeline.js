/**
 * The timeline: every operation in order, in the lane of its phase. Columns of one pixel hold as many operations as must fit.
 */
import { byId, colour, fitCanvas } from './dom.js';
import { ERASE, PHASES, RTC_WORD } from './model.js';
import { hex, phaseWords, time } from './words.js';

const LANES = [
  { name: 'store', phases: ['staging', 'fs', 'serial', 'app'] },
  { name: 'command', phases: ['command'] },
  { name: 'copy', phases: ['copy'] },
  { name: 'clear', phases: ['clear'] },
];
const LANE_OF = PHASES.map((phase) => LANES.findIndex(({ phases }) => phases.includes(phase)));
const LABEL_PX = 70;
const MARK_PX = 14;
const KINDS = ['erase', 'program', 'RTC word'];
const MARK_TEXT = {
  power: '⊗',
  reset: '↺',
  update: '⇣',
  end: '✓',
  copy: '⇢',
  app: '▶',
  crash: '✕',
  dead: '✝',
  fault: '⚡',
  error: '!',
};
const BAD_MARKS = ['crash', 'dead', 'fault', 'error'];

export class Timeline {
  /**
   * @param {import('./model.js').Model} model
   * @param {{ plan: (operation: import('./model.js').Operation) => void }} actions
   */
  constructor(model, { plan }) {
    this.model = model;
    this.canvas = byId('timeline-canvas');
    this.box = byId('timeline-box');
    this.context = this.canvas.getContext('2d');
    this.words = byId('timeline-words');
    this.pull = byId('timeline-pull');
    this.stale = true;
    this.onlyLast = false;
    /** `seq` of the selected operation. */
    this.selected = -1;
    this.from = 0;
    this.to = 0;
    this.colours = palette();
    new ResizeObserver(() => {
      this.stale = true;
    }).observe(this.box);
    this.canvas.addEventListener('click', (event) => this.choose(this.indexAt(event.offsetX)));
    this.canvas.addEventListener('dblclick', () => this.planSelected(plan));
    this.canvas.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -17, PageDown: 17 }[event.key];
      if (step !== undefined) {
        event.preventDefault();
        const now = this.indexOfSelected();
        this.choose(now < 0 ? this.to - 1 : now + step);
      } else if (event.key === 'Enter') {
        event.preventDefault();
        this.planSelected(plan);
      }
    });
    this.pull.addEventListener('click', () => this.planSelected(plan));
    const all = byId('timeline-all');
    all.addEventListener('click', () => {
      this.onlyLast = !this.onlyLast;
      all.setAttribute('aria-pressed', String(this.onlyLast));
      this.stale = true;
    });
  }

  readColours() {
    this.colours = palette();
    this.stale = true;
  }

  planSelected(plan) {
    const operation = this.operationAt(this.indexOfSelected());
    if (operation) plan(operation);
  }

  /** @param {number} index absolute: operations ever seen */
  operationAt(index) {
    const { operations } = this.model;
    const kept = index - operations.dropped;
    return kept >= 0 && kept < operations.length ? operations.at(kept) : undefined;
  }

  indexOfSelected() {
    const { operations } = this.model;
    if (this.selected < 0) return -1;
    let low = 0;
    let high = operations.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const { seq } = /** @type {any} */ (operations.at(middle));
      if (seq === this.selected) return middle + operations.dropped;
      if (seq < this.selected) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  choose(index) {
    const operation = this.operationAt(Math.min(Math.max(index, this.from), this.to - 1));
    this.pull.disabled = !operation;
    if (!operation) return;
    this.selected = operation.seq;
    this.words.textContent = sentence(operation);
    this.stale = true;
  }

  indexAt(x) {
    const { width } = this.box.getBoundingClientRect();
    const share = (x - LABEL_PX) / Math.max(1, width - LABEL_PX);
    return this.from + Math.floor(share * (this.to - this.from));
  }

  draw() {
    if (fitCanvas(this.canvas, this.box)) this.stale = true;
    if (!this.stale) return;
    this.stale = false;
    const { operations } = this.model;
    const { width, height } = this.box.getBoundingClientRect();
    this.to = operations.total;
    this.from = Math.max(operations.dropped, this.onlyLast ? this.startOfLastUpdate() : 0);
    const { context } = this;
    const scale = this.canvas.width / Math.max(1, width);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const laneHigh = (height - MARK_PX) / LANES.length;
    context.font = '11px system-ui, "DejaVu Sans", sans-serif';
    context.textBaseline = 'middle';
    LANES.forEach(({ name }, lane) => {
      const y = MARK_PX + lane * laneHigh;
      context.fillStyle = this.colours.lane;
      context.fillRect(LABEL_PX, y + 1, width - LABEL_PX, laneHigh - 2);
      context.fillStyle = this.colours.muted;
      context.fillText(name, 2, y + laneHigh / 2);
    });
    if (this.to > this.from) this.columns(context, width, laneHigh);
    this.drawMarks(context, width, height);
  }

  columns(context, width, laneHigh) {
    const { operations } = this.model;
    const span = this.to - this.from;
    const room = width - LABEL_PX;
    const wide = Math.max(1, room / span);
    const kept = this.from - operations.dropped;
    // A column of one pixel is drawn once for each lane and kind that occurs in it.
    let column = -1;
    let drawn = 0;
    for (let i = 0; i < span; i++) {
      const operation = /** @type {any} */ (operations.at(kept + i));
      const x = Math.floor((i * room) / span);
      if (x !== column) {
        column = x;
        drawn = 0;
      }
      const lane = LANE_OF[operation.phase] ?? 0;
      const bit = 1 << (lane * 4 + (operation.torn ? 3 : operation.kind));
      if (drawn & bit) continue;
      drawn |= bit;
      const y = MARK_PX + lane * laneHigh;
      const tall = operation.kind === ERASE || operation.kind === RTC_WORD || operation.torn;
      // Where many share a column, an erase leaves the room below to the pages around it.
      const high = tall && room < span && !operation.torn && operation.kind === ERASE ? laneHigh * 0.3 : laneHigh - 2;
      context.fillStyle = operation.torn ? this.colours.bad : this.colours.kinds[operation.kind];
      context.fillRect(
        LABEL_PX + x,
        tall ? y + 1 : y + laneHigh * 0.3,
        wide > 3 ? wide - 1 : wide,
        tall ? high : laneHigh * 0.7 - 1,
      );
    }
    const selected = this.indexOfSelected();
    if (selected < this.from) return;
    const x = LABEL_PX + ((selected - this.from + 0.5) * room) / span;
    context.strokeStyle = this.colours.bad;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, MARK_PX + LANES.length * laneHigh);
    context.stroke();
  }

  drawMarks(context, width, height) {
    const { marks } = this.model;
    const span = Math.max(1, this.to - this.from);
    let last = -20;
    for (let i = 0; i < marks.length; i++) {
      const mark = /** @type {any} */ (marks.at(i));
      if (mark.at < this.from) continue;
      const x = LABEL_PX + ((mark.at - this.from) * (width - LABEL_PX)) / span;
      const bad = BAD_MARKS.includes(mark.kind);
      context.fillStyle = bad ? this.colours.bad : this.colours.muted;
      context.globalAlpha = 0.5;
      context.fillRect(x, MARK_PX, 1, height - MARK_PX);
      context.globalAlpha = 1;
      if (x - last < 13 && !bad) continue;
      last = x;
      context.fillText(MARK_TEXT[mark.kind] ?? '·', Math.min(x, width - 12), MARK_PX / 2);
    }
  }

  startOfLastUpdate() {
    const { marks } = this.model;
    for (let i = marks.length - 1; i >= 0; i--) {
      const mark = /** @type {any} */ (marks.at(i));
      if (mark.kind === 'update') return mark.at;
    }
    return 0;
  }
}

const palette = () => ({
  lane: colour('cell-empty'),
  muted: colour('muted'),
  bad: colour('bad'),
  kinds: [colour('area-eboot'), colour('area-app'), colour('area-staging')],
});

/** An operation in words. */
export function sentence({ phase, op, kind, address, atUs, torn }) {
  const where = kind === RTC_WORD ? `RTC word at ${address}` : `${KINDS[kind]} ${hex(address, 6)}`;
  const name = PHASES[phase] ?? '';
  return `${name}:${op} (${phaseWords(name)}): ${where}${torn ? ', TORN' : ''}, at ${time(atUs)} s`;
}
