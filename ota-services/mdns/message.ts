/**
 * Reads DNS messages from anybody. Malformed ones are no message at all; the work is bounded by the length, whatever the
 * bytes. Source: RFC 1035 §4; RFC 6762 §17, §18.
 */
import { CLASS_TOP_BIT, TYPE_A, TYPE_PTR, TYPE_SRV } from './constants.ts';
import { LABEL_LIMIT, NAME_LIMIT, type Name } from './names.ts';

/** Longer datagrams are ignored (RFC 6762 §17). */
export const MESSAGE_LIMIT = 9000;
/** Pointers on the way of one name; honest ones need no more than a name can have labels. */
const JUMP_LIMIT = 127;
const HEADER_BYTES = 12;
const SRV_FIXED_BYTES = 6;

export interface Question {
  readonly name: Name;
  readonly type: number;
  /** Without the top bit. */
  readonly class: number;
  /** The top bit: an answer by unicast is wanted. */
  readonly unicast: boolean;
}

export interface ResourceRecord {
  readonly name: Name;
  readonly type: number;
  /** Without the top bit. */
  readonly class: number;
  readonly cacheFlush: boolean;
  /** Seconds. */
  readonly ttl: number;
  readonly data: Uint8Array;
  /** A: dotted. */
  readonly address?: string;
  /** PTR, SRV. */
  readonly target?: Name;
  /** SRV. */
  readonly port?: number;
}

export interface Message {
  readonly id: number;
  readonly response: boolean;
  readonly opcode: number;
  readonly questions: readonly Question[];
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  readonly additionals: readonly ResourceRecord[];
}

/** The message, or undefined when these bytes are none. Bytes after the last record are ignored. */
export function parseMessage(bytes: Uint8Array): Message | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MESSAGE_LIMIT) return undefined;
  const reader = new MessageReader(bytes);
  try {
    const id = reader.u16();
    const flags = reader.u16();
    const counts = [reader.u16(), reader.u16(), reader.u16(), reader.u16()] as const;
    return {
      id,
      response: (flags & 0x8000) !== 0,
      opcode: (flags >> 11) & 0xf,
      questions: reader.list(counts[0], () => reader.question()),
      answers: reader.list(counts[1], () => reader.record()),
      authorities: reader.list(counts[2], () => reader.record()),
      additionals: reader.list(counts[3], () => reader.record()),
    };
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** Ends the reading of a message; never leaves this file. */
class Malformed extends Error {}

class MessageReader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** Every entry takes bytes, so a count that lies runs into the end of the message. */
  list<T>(count: number, read: () => T): T[] {
    const list: T[] = [];
    for (let i = 0; i < count; i++) list.push(read());
    return list;
  }

  u8(): number {
    const value = this.bytes[this.at++];
    if (value === undefined) throw new Malformed('it ends too early');
    return value;
  }

  u16(): number {
    return (this.u8() << 8) | this.u8();
  }

  question(): Question {
    const name = this.name();
    const type = this.u16();
    const bits = this.u16();
    return { name, type, class: bits & ~CLASS_TOP_BIT, unicast: (bits & CLASS_TOP_BIT) !== 0 };
  }

  record(): ResourceRecord {
    const name = this.name();
    const type = this.u16();
    const bits = this.u16();
    const ttl = ((this.u16() << 16) | this.u16()) >>> 0;
    const length = this.u16();
    const start = this.at;
    const end = start + length;
    if (end > this.bytes.length) throw new Malformed('a record ends behind the message');
    const data = this.bytes.slice(start, end);
    const record = { name, type, class: bits & ~CLASS_TOP_BIT, cacheFlush: (bits & CLASS_TOP_BIT) !== 0, ttl, data };
    const details = this.details(type, start, end);
    this.at = end;
    return { ...record, ...details };
  }

  private details(type: number, start: number, end: number): Pick<ResourceRecord, 'address' | 'target' | 'port'> {
    if (type === TYPE_A && end - start === 4) return { address: this.bytes.slice(start, end).join('.') };
    if (type === TYPE_PTR) return { target: this.nameWithin(start, end) };
    if (type === TYPE_SRV && end - start > SRV_FIXED_BYTES) {
      this.at = start + 4;
      return { port: this.u16(), target: this.nameWithin(this.at, end) };
    }
    return {};
  }

  private nameWithin(start: number, end: number): Name {
    this.at = start;
    const name = this.name();
    if (this.at > end) throw new Malformed('a name ends behind its record');
    return name;
  }

  /** A name that starts here. Pointers must point back, behind every place seen so far, so they cannot form a loop. */
  private name(): Name {
    const labels: string[] = [];
    let size = 1;
    let jumps = 0;
    let resume: number | undefined;
    let lowest = this.at;
    for (;;) {
      const length = this.u8();
      if (length === 0) break;
      if (length >= 0xc0) {
        const target = ((length & 0x3f) << 8) | this.u8();
        resume ??= this.at;
        if (target >= lowest || target < HEADER_BYTES) throw new Malformed('a pointer does not point back');
        if (++jumps > JUMP_LIMIT) throw new Malformed('too many pointers for one name');
        lowest = target;
        this.at = target;
        continue;
      }
      size += length + 1;
      if (length > LABEL_LIMIT || size > NAME_LIMIT) throw new Malformed('a label or name is too long');
      let label = '';
      for (let i = 0; i < length; i++) label += String.fromCharCode(this.u8());
      labels.push(label);
    }
    this.at = resume ?? this.at;
    return labels;
  }
}
