/** One sector from near: its sixteen pages, and the bytes of one, beside those of the marked moment. */
import { api } from './api.js';
import { byId, colour, make } from './dom.js';
import { AREAS, PAGE_BYTES, SECTOR_BYTES, STATES } from './model.js';
import { areaWords, hex, many, STATE_WORDS } from './words.js';

const PAGES = SECTOR_BYTES / PAGE_BYTES;
const LINE_BYTES = 16;
const REFRESH_MS = 250;

export class SectorSheet {
  /**
   * @param {import('./model.js').Model} model
   * @param {{ arm: (address: number) => void, mark: () => string | undefined }} actions `mark`: id of the snapshot to compare with
   */
  constructor(model, { arm, mark }) {
    this.model = model;
    this.arm = arm;
    this.mark = mark;
    this.dialog = byId('sector-dialog');
    this.sector = -1;
    this.page = 0;
    this.bytes = new Uint8Array(0);
    /** @type {Uint8Array | undefined} */
    this.old = undefined;
    this.shownTouch = 0;
    this.lastLoad = 0;
    this.summary = make('p');
    this.dump = make('div');
    /** @type {HTMLElement[]} */
    this.buttons = [];
    this.dialog.addEventListener('keydown', (event) => {
      if (event.target instanceof HTMLInputElement) return;
      if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
        event.preventDefault();
        this.turn(this.page + (event.key === 'ArrowRight' ? 1 : -1));
      }
    });
  }

  /** @param {number} sector */
  async open(sector) {
    this.sector = sector;
    this.page = 0;
    this.build();
    if (!this.dialog.open) this.dialog.showModal();
    await this.load();
  }

  build() {
    const { sector } = this;
    const address = sector * SECTOR_BYTES;
    this.summary = make('p');
    this.pages = make('div', { class: 'pages', role: 'group', 'aria-label': 'Pages' });
    this.buttons = Array.from({ length: PAGES }, (_, page) => {
      const button = make(
        'button',
        {
          type: 'button',
          onclick: () => this.turn(page),
          title: `page ${page} at ${hex(address + page * PAGE_BYTES, 6)}`,
        },
        String(page),
      );
      this.pages.append(button);
      return button;
    });
    this.dump = make('div', { class: 'dump', tabindex: '0', 'aria-label': 'Bytes of the page' });
    this.dialog.replaceChildren(
      make(
        'div',
        { class: 'body' },
        make(
          'div',
          { class: 'row' },
          make('h2', { id: 'sector-title' }, `Sector ${sector} at ${hex(address, 6)}`),
          make('span', { class: 'spacer' }),
          make(
            'button',
            { class: 'button small', type: 'button', 'aria-label': 'Sector before', onclick: () => this.go(-1) },
            '‹',
          ),
          make(
            'button',
            { class: 'button small', type: 'button', 'aria-label': 'Next sector', onclick: () => this.go(1) },
            '›',
          ),
          make('button', { class: 'button small', type: 'button', onclick: () => this.dialog.close() }, 'Close'),
        ),
        this.summary,
        this.pages,
        this.dump,
        make(
          'div',
          { class: 'row' },
          make(
            'button',
            { class: 'button danger', type: 'button', onclick: () => this.arm(address) },
            'Arm a fault at this sector…',
          ),
          make('span', { class: 'muted' }, '← → turn the pages'),
        ),
      ),
    );
  }

  go(step) {
    const { sectors } = this.model;
    void this.open((this.sector + step + sectors) % sectors);
  }

  turn(page) {
    this.page = (page + PAGES) % PAGES;
    this.draw();
  }

  /** Looks again when something touched the sector. Call now and then. */
  refresh(now) {
    if (!this.dialog.open || this.sector < 0) return;
    const touch = this.model.touchedAt[this.sector] ?? 0;
    if (touch === this.shownTouch || now - this.lastLoad < REFRESH_MS) return;
    void this.load();
  }

  async load() {
    const { sector } = this;
    const address = sector * SECTOR_BYTES;
    this.shownTouch = this.model.touchedAt[sector] ?? 0;
    this.lastLoad = performance.now();
    const mark = this.mark();
    try {
      const [bytes, old] = await Promise.all([
        api.flash(address, SECTOR_BYTES),
        mark === undefined ? undefined : api.flash(address, SECTOR_BYTES, mark).catch(() => undefined),
      ]);
      if (sector !== this.sector) return;
      this.bytes = bytes;
      this.old = old;
      this.draw();
    } catch (error) {
      this.summary.textContent = /** @type {Error} */ (error).message;
    }
  }

  draw() {
    const { model, sector, bytes, old } = this;
    const tint = colour(`area-${AREAS[model.area[sector]]}`);
    const changes = old ? bytes.reduce((sum, byte, i) => sum + (byte === old[i] ? 0 : 1), 0) : 0;
    this.summary.textContent =
      `${areaWords(AREAS[model.area[sector]])}; ${STATE_WORDS[STATES[model.state[sector]]]}; ${many(model.wear[sector], 'erase')}` +
      (old ? `; ${many(changes, 'byte')} changed since the mark` : '');
    this.buttons.forEach((button, page) => {
      const part = bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      const used = part.reduce((sum, byte) => sum + (byte === 0xff ? 0 : 1), 0);
      button.style.setProperty('--fill', `${Math.round((100 * used) / PAGE_BYTES)}%`);
      button.style.setProperty('--tint', tint);
      button.setAttribute('aria-pressed', String(page === this.page));
      button.setAttribute('aria-label', `page ${page}, ${used === 0 ? 'erased' : `${used} bytes not FF`}`);
      button.classList.toggle(
        'changed',
        old !== undefined && part.some((byte, i) => byte !== old[page * PAGE_BYTES + i]),
      );
    });
    this.drawDump();
  }

  drawDump() {
    const { bytes, old, page, sector } = this;
    const lines = [];
    for (let at = page * PAGE_BYTES; at < (page + 1) * PAGE_BYTES; at += LINE_BYTES) {
      const line = make(
        'div',
        {},
        make('span', { class: 'address' }, `${hex(sector * SECTOR_BYTES + at, 6).slice(2)}  `),
      );
      let text = '';
      for (let i = at; i < at + LINE_BYTES; i++) {
        const byte = bytes[i] ?? 0;
        const changed = old !== undefined && old[i] !== byte;
        const digits = byte.toString(16).padStart(2, '0');
        const title = changed ? `was ${old?.[i]?.toString(16).padStart(2, '0')}` : undefined;
        line.append(
          make('span', { class: changed ? 'changed' : byte === 0xff ? 'blank' : '', title }, digits),
          i % 8 === 7 ? '  ' : ' ',
        );
        text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·';
      }
      line.append(make('span', { class: 'address' }, text));
      lines.push(line);
    }
    this.dump.replaceChildren(...lines);
  }
}
