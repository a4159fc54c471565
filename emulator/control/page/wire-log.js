/**
 * What crosses the wires, for people: the services' own events in words, and the bytes between them, runs of data gathered
 * into one line (`1,234 bytes in 12 pieces`). No DOM in here.
 */
import { Ring } from './ring.js';
import { count, describe, many } from './words.js';

const LONGEST_TEXT = 160;

/**
 * @typedef {{ seq: number, atUs: number, from: 'in' | 'out' | 'note', channel: string, text: string, tone: string,
 *   bytes: number, pieces: number, peer: string, kind: string }} WireLine
 */

export class WireLog {
  /** @param {number} limit lines kept */
  constructor(limit) {
    this.lines = /** @type {Ring<WireLine>} */ (new Ring(limit));
  }

  get length() {
    return this.lines.length;
  }

  /** @param {any} event */
  add(event) {
    if (event.type === 'ota.ack') this.ack(event);
    else if (event.type === 'wire.in' || event.type === 'wire.out') this.bytes(event);
    else this.note(event);
  }

  note(event) {
    const { text, tone } = describe(event);
    this.push(event, { from: 'note', channel: event.type.split('.')[0], text, tone, kind: event.type });
  }

  ack(event) {
    const text = `the device acknowledges: ${count(event.total)} bytes so far`;
    const last = this.lines.last;
    if (last?.kind === 'ota.ack') last.text = text;
    else this.push(event, { from: 'note', channel: 'ota', text, tone: 'quiet', kind: 'ota.ack' });
  }

  bytes(event) {
    const from = event.type === 'wire.in' ? 'in' : 'out';
    const data = atob(event.data);
    const text = asText(data);
    const run = this.runOf(event, from);
    if (run && (text === undefined || run.pieces > 1 || /^\d+$/.test(text))) {
      run.bytes += event.length;
      run.pieces++;
      run.text = `${count(run.bytes)} bytes in ${many(run.pieces, 'piece')}`;
      return;
    }
    this.push(event, {
      from,
      channel: event.channel,
      text: text === undefined ? `${many(event.length, 'byte')}: ${hexOf(data)}` : text,
      tone: 'wire',
      kind: event.type,
      bytes: event.length,
      pieces: 1,
      peer: event.peer,
    });
  }

  /** The run of data that this one belongs to, among the last few lines: both directions and notes come in between. */
  runOf(event, from) {
    for (let back = 1; back <= 4 && back <= this.lines.length; back++) {
      const line = this.lines.at(this.lines.length - back);
      if (
        line &&
        line.kind === event.type &&
        line.peer === event.peer &&
        line.channel === event.channel &&
        line.from === from
      ) {
        return line;
      }
      if (line && line.from === 'note' && line.kind !== 'ota.ack') return undefined;
    }
    return undefined;
  }

  push(event, line) {
    this.lines.push({ seq: event.seq, atUs: event.atUs, bytes: 0, pieces: 0, peer: event.peer ?? '', ...line });
  }
}

/** What begins as text, as one line; undefined for other bytes. */
function asText(data) {
  const printable = data.replace(/[\r\n\t]/g, '').match(/[\x20-\x7e]/g)?.length ?? 0;
  if (data.length === 0 || printable < data.length * 0.85) return undefined;
  const text = data
    .trimEnd()
    .replace(/\r?\n/g, ' ⏎ ')
    .replace(/[^\x20-\x7e⏎]/g, '·');
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}

const hexOf = (data) =>
  Array.from(data.slice(0, 16), (char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join(' ') +
  (data.length > 16 ? ' …' : '');
