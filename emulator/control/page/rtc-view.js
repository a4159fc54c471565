/** RTC user memory: the 128 bytes of the eboot command, as hex and in words. */
import { api } from './api.js';
import { byId, make, setText } from './dom.js';
import { count, hex } from './words.js';

const COMMAND_BYTES = 128;
const ROW_BYTES = 16;
const WORD_BYTES = 4;
const HOT_MS = 700;
/** After a change there is often another one right behind it. */
const WAIT_MS = 60;

export class RtcView {
  /** @param {import('./model.js').Model} model */
  constructor(model) {
    this.model = model;
    this.tag = byId('rtc-command');
    this.box = byId('rtc-hex');
    this.words = [];
    this.version = -1;
    this.busy = false;
    this.hot = new Map();
    this.build();
  }

  build() {
    for (let row = 0; row < COMMAND_BYTES / ROW_BYTES; row++) {
      const line = make(
        'div',
        { class: 'hex-row' },
        make('span', { class: 'address' }, hex(row * ROW_BYTES, 2).slice(2)),
      );
      for (let at = row * ROW_BYTES; at < (row + 1) * ROW_BYTES; at += WORD_BYTES) {
        const word = make('b', { 'data-part': partOf(at), title: titleOf(at) }, '·· ·· ·· ··');
        this.words[at / WORD_BYTES] = word;
        line.append(word);
      }
      this.box.append(line);
    }
  }

  /** @param {number} now */
  draw(now) {
    for (const [offset, at] of this.model.rtcTouched) {
      const word = this.words[offset / WORD_BYTES];
      if (word && now - at < HOT_MS) word.classList.add('hot');
      else {
        word?.classList.remove('hot');
        this.model.rtcTouched.delete(offset);
      }
    }
    if (this.version !== this.model.rtcVersion && !this.busy) void this.load();
  }

  get isHot() {
    return this.model.rtcTouched.size > 0;
  }

  async load() {
    this.busy = true;
    this.version = this.model.rtcVersion;
    try {
      const [bytes, command] = await Promise.all([api.rtc(), api.command()]);
      this.show(bytes, command);
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    } catch {
      // Offline: the page says so, and everything is loaded anew when the device is back.
    } finally {
      this.busy = false;
      this.model.changes.add('rtc');
    }
  }

  show(bytes, command) {
    this.words.forEach((word, i) => {
      const text = Array.from(bytes.subarray(i * 4, i * 4 + 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
      setText(word, text);
    });
    this.command = command;
    this.tag.classList.toggle('on', command !== null);
    this.box.classList.toggle('dead-command', command === null);
    setText(this.tag, commandWords(command));
  }
}

/** The command as a sentence. */
export function commandWords(command) {
  if (command === null) return 'no eboot command';
  if (command.action === 1) {
    return `eboot command: copy ${count(command.size)} bytes, ${hex(command.source, 6)} → ${hex(command.destination, 6)}`;
  }
  return command.action === 0xffffffff
    ? `eboot command: load the application at ${hex(command.source)}`
    : `eboot command: action ${command.action}`;
}

const partOf = (offset) => (offset === 0 ? 'magic' : offset === 124 ? 'crc' : offset <= 16 ? 'argument' : 'unused');
const TITLES = { 0: 'magic', 4: 'action', 8: 'source', 12: 'destination', 16: 'size', 124: 'CRC' };
const titleOf = (offset) => TITLES[offset] ?? `word ${offset / 4}`;
