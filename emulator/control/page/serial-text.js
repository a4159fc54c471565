/** The serial line as lines: CR goes back to the start of the line, as on a terminal. */
import { Ring } from './ring.js';

const LONGEST = 2000;

export class SerialText {
  /** @param {number} lines how many are kept */
  constructor(lines) {
    this.lines = new Ring(lines);
    this.current = '';
    this.column = 0;
  }

  /** @param {string} text latin1 */
  write(text) {
    for (const piece of text.split(/(\r\n|\n|\r)/)) {
      if (piece === '\n' || piece === '\r\n') {
        this.lines.push(this.current);
        this.current = '';
        this.column = 0;
      } else if (piece === '\r') {
        this.column = 0;
      } else if (piece !== '') {
        const shown = visible(piece);
        this.current = (
          this.current.slice(0, this.column) +
          shown +
          this.current.slice(this.column + shown.length)
        ).slice(0, LONGEST);
        this.column = Math.min(LONGEST, this.column + shown.length);
      }
    }
  }

  /** Complete lines and the one being written. */
  get length() {
    return this.lines.length + 1;
  }

  /** @param {number} index */
  at(index) {
    return index < this.lines.length ? this.lines.at(index) : this.current;
  }

  clear() {
    this.lines.clear();
    this.current = '';
    this.column = 0;
  }
}

/** Bytes of another baud rate, and control characters, as a dot. */
const visible = (text) => text.replace(/[^\x20-\x7e\t\xa0-\xff]/g, '·');
