/**
 * An Updater that only counts: what spec chapter 02 promises about results, errors, progress, callbacks and commands, in
 * closed form and without flash. The oracle of the model-based test; flash never fails here.
 */
import { U_FLASH, U_FS } from '../../ota-services/updater.ts';
import { md5Hex, patternBytes } from './updater.ts';

/** The layout that the model's rules are written for: 1m64, no sketch to speak of, default (not atomic) build. */
export const MODEL_LAYOUT = { name: '1m64', fsStart: 0xeb000, fsEnd: 0xfb000, sketchEnd: 0x2000, chip: 0x100000 };

export type Kind = 'sketch' | 'gzip' | 'no-magic' | 'too-large-flash';
const headers: Record<Kind, number[]> = {
  sketch: [0xe9, 1, 0, 0x20],
  gzip: [0x1f, 0x8b, 8, 0x90],
  'no-magic': [0x1f, 0x00, 0, 0x20],
  'too-large-flash': [0xe9, 1, 3, 0x40],
};

export type Op =
  | { do: 'begin'; size: number; command: number; kind: Kind; straps: number; heap: number; allocates: boolean }
  | { do: 'write' | 'writeFrom' | 'writeStream'; length: number }
  | { do: 'setMD5'; text: 'right' | 'wrong' | 'short' }
  | { do: 'end'; evenIfRemaining: boolean }
  | { do: 'clearError' };

/** What can be seen from outside after an operation. */
export interface Seen {
  result: number | boolean | undefined;
  error: number;
  size: number;
  progress: number;
  remaining: number;
  finished: boolean;
  heldBytes: number;
  log: string;
  commands: [source: number, destination: number, size: number][];
}

export class UpdaterModel {
  private error = 0;
  private size = 0;
  private start = 0;
  private flushed = 0;
  /** Bytes of the image that were sent. */
  private received = 0;
  private bufferSize = 0;
  private command = U_FLASH;
  private target = '';
  private kind: Kind = 'sketch';
  private log: string[] = [];
  private readonly commands: Seen['commands'] = [];

  step(op: Op): Seen {
    this.log = [];
    const result = this.run(op);
    return {
      result,
      error: this.error,
      size: this.size,
      progress: this.flushed,
      remaining: this.size - this.flushed,
      finished: this.size === this.flushed,
      heldBytes: this.size > 0 ? this.bufferSize : 0,
      log: this.log.join(' '),
      commands: [...this.commands],
    };
  }

  /** The next `length` bytes of the image that is being sent. */
  data(length: number): Uint8Array {
    return this.image(this.received + length).subarray(this.received);
  }

  private image(length: number): Uint8Array {
    const image = patternBytes(length);
    image.set(headers[this.kind].slice(0, length));
    return image;
  }

  /** Bytes of the announced size that were not sent yet. */
  outstanding(): number {
    return this.size - this.received;
  }

  md5(): string {
    return md5Hex(this.image(this.received));
  }

  private run(op: Op): Seen['result'] {
    switch (op.do) {
      case 'begin':
        return this.begin(op);
      case 'write':
        return this.write(op.length);
      case 'writeFrom':
        return this.writeFrom(op.length);
      case 'writeStream':
        return this.writeStream(op.length);
      case 'end':
        return this.end(op.evenIfRemaining);
      case 'setMD5':
        if (op.text === 'short') return false;
        this.target = op.text === 'right' ? this.md5().toUpperCase() : '?'.repeat(32);
        return true;
      case 'clearError':
        this.error = 0;
        return undefined;
    }
  }

  private begin(op: Op & { do: 'begin' }): boolean {
    if (this.size > 0) return this.fail(15);
    if (op.straps === 1) return this.fail(11);
    if (op.size === 0) return this.fail(5);
    this.idle();
    this.error = 0;
    this.target = '';
    const rounded = Math.ceil(op.size / 4096) * 4096;
    const { fsStart, fsEnd, sketchEnd } = MODEL_LAYOUT;
    if (op.command !== U_FLASH && op.command !== U_FS) return this.fail(16);
    if (op.command === U_FLASH ? rounded > fsStart - sketchEnd : rounded > fsEnd - fsStart) return this.fail(4);
    if (!op.allocates) return this.fail(14);
    this.start = op.command === U_FLASH ? fsStart - rounded : fsStart;
    this.size = op.size;
    this.command = op.command;
    this.kind = op.kind;
    this.bufferSize = op.heap > 8192 ? 4096 : 256;
    this.log.push('S');
    return true;
  }

  private write(length: number): number {
    if (this.size === 0) return 0;
    if (this.received + length > this.size) return this.fail(4) || 0;
    if (length === 0 && this.flushed === this.size) return this.fail(1) || 0;
    this.receive(length);
    return length;
  }

  private writeFrom(length: number): number {
    if (this.size === 0 || length === 0) return 0;
    const taken = Math.min(length, this.size - this.received);
    if (taken === 0) return this.fail(1) || 0;
    this.receive(taken);
    return taken;
  }

  /** A stream that has `length` bytes (never more than are outstanding) and gives up at the first gap. */
  private writeStream(length: number): number {
    if (this.size === 0) return 0;
    const [first = 0xff] = this.data(length);
    if (this.command === U_FLASH && first !== 0xe9 && first !== 0x1f) return this.failTwice(10) || 0;
    const { size } = this;
    const rounds = [`P(0,${size})`];
    let left = length;
    while (this.flushed < size) {
      const room = this.bufferSize - (this.received - this.flushed);
      const taken = Math.min(left, room, size - this.flushed);
      if (taken === 0 && room > 0) {
        this.log.push(...rounds);
        return this.failTwice(6) || length;
      }
      if (taken === 0) {
        this.log.push(...rounds); // a full buffer left by write: asking for nothing is a time-out, too
        return this.failTwice(6) || length - left;
      }
      this.receive(taken);
      left -= taken;
      // A stream flushes a buffer that is just full.
      if (this.received - this.flushed === this.bufferSize) this.flushed = this.received;
      rounds.push(`P(${this.flushed},${size})`);
    }
    this.log.push(...rounds, `P(${size},${size})`);
    return length - left;
  }

  private end(evenIfRemaining: boolean): boolean {
    if (this.size === 0) return this.idle();
    if (this.flushed === 0) return this.failTwice(13);
    if (this.flushed < this.size && !evenIfRemaining) return this.idle();
    this.size = this.received;
    this.flushed = this.size;
    if (this.target !== '' && this.target.toLowerCase() !== this.md5()) return this.fail(7);
    if (this.command === U_FLASH) {
      // An image of fewer than 4 bytes is judged by the erased cells behind it, too.
      const [first = 0xff, second = 0xff, , sizeAndSpeed = 0xff] = this.image(this.received);
      const isGzip = first === 0x1f && second === 0x8b;
      if (!isGzip && first !== 0xe9) return this.failTwice(10);
      if (!isGzip && sizeAndSpeed === 0x40) return this.failTwice(9);
      this.commands.push([this.start, 0, this.size]);
    }
    this.idle();
    return true;
  }

  /** More data is in: everything but the last, possibly full, buffer is in flash; or all of it, when it is the whole image. */
  private receive(length: number): void {
    this.received += length;
    const count = this.received;
    const whole = Math.floor(Math.max(0, count - 1) / this.bufferSize) * this.bufferSize;
    this.flushed = count === this.size ? count : Math.max(this.flushed, whole);
  }

  private idle(): false {
    this.size = 0;
    this.flushed = 0;
    this.received = 0;
    this.log.push('E');
    return false;
  }

  private fail(code: number): false {
    this.error = code;
    this.log.push(`X(${code})`);
    return this.idle();
  }

  private failTwice(code: number): false {
    this.fail(code);
    return this.idle();
  }
}
