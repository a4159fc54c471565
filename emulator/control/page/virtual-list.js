/** A long list of lines of one height, of which only those in sight are elements. */
import { make } from './dom.js';

const SPARE_LINES = 4;

/**
 * @typedef {object} Source
 * @property {number} length
 * @property {(index: number) => any} at
 * @property {(element: HTMLElement, item: any) => void} fill
 * @property {string} empty what to say when there is nothing
 * @property {boolean} [tall] lines have room for two rows of text
 */

export class VirtualList {
  /** @param {HTMLElement} box scrolls */
  constructor(box) {
    this.box = box;
    this.rowHeight = this.textHeight();
    this.lines = make('div', { class: 'lines' });
    box.append(this.lines);
    /** @type {Source | undefined} */
    this.source = undefined;
    /** @type {HTMLElement[]} */
    this.rows = [];
    /** Keeps the end in sight until somebody scrolls up. */
    this.follow = true;
    this.dirty = true;
    box.addEventListener('scroll', () => {
      this.follow = box.scrollTop + box.clientHeight >= box.scrollHeight - this.rowHeight * 1.5;
      this.dirty = true;
    });
    new ResizeObserver(() => {
      this.dirty = true;
    }).observe(box);
  }

  /** @param {Source} source */
  show(source) {
    this.source = source;
    this.follow = true;
    this.dirty = true;
    const row = this.textHeight();
    this.rowHeight = source.tall ? 2 * row + 6 : row;
    this.box.style.setProperty('--row', `${this.rowHeight}px`);
    this.box.classList.toggle('tall', source.tall === true);
  }

  /** Of one row of text. */
  textHeight() {
    return Math.round(parseFloat(getComputedStyle(this.box).fontSize) * 1.45);
  }

  /** Draws what is in sight. Call once a frame. */
  draw() {
    if (!this.dirty || !this.source) return;
    this.dirty = false;
    const { box, source, rowHeight, lines } = this;
    const { length } = source;
    lines.style.height = `${length * rowHeight}px`;
    if (this.follow) box.scrollTop = length * rowHeight;
    const first = Math.max(0, Math.floor(box.scrollTop / rowHeight) - SPARE_LINES);
    const shown = Math.min(length - first, Math.ceil(box.clientHeight / rowHeight) + 2 * SPARE_LINES);
    while (this.rows.length < shown) {
      const row = make('div', { class: 'line' });
      this.rows.push(row);
      lines.append(row);
    }
    this.rows.forEach((row, i) => {
      row.hidden = i >= shown;
      if (row.hidden) return;
      row.style.transform = `translateY(${(first + i) * rowHeight}px)`;
      source.fill(row, source.at(first + i));
    });
    const note = this.box.querySelector('.empty');
    if (length === 0 && !note) box.append(make('p', { class: 'empty' }, source.empty));
    if (length > 0) note?.remove();
  }
}
