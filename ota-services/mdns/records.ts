/**
 * Writes DNS messages byte for byte as LEAmDNS does. Its compression is its own: only whole names, only those of hosts,
 * service types and instances, and never with a question's name as the target. Source: spec chapter 03 §13.6.
 */
import {
  CLASS_IN,
  CLASS_TOP_BIT,
  FLAGS_QUERY,
  FLAGS_RESPONSE,
  TYPE_A,
  TYPE_PTR,
  TYPE_SRV,
  TYPE_TXT,
} from './constants.ts';
import { type Name, nameKey } from './names.ts';

/** The farthest offset a two-byte pointer reaches. */
const POINTER_LIMIT = 0x3fff;
const POINTER_BITS = 0xc000;

/** A name in a record; `shared` ones may be written as a pointer, and be pointed at. */
export interface RecordName {
  readonly name: Name;
  readonly shared: boolean;
}

export type RecordData =
  /** Dotted. */
  | { readonly type: typeof TYPE_A; readonly address: string }
  | { readonly type: typeof TYPE_PTR; readonly target: RecordName }
  /** Priority and weight are 0 always. `full`: the target is never a pointer. */
  | { readonly type: typeof TYPE_SRV; readonly port: number; readonly target: RecordName; readonly full?: boolean }
  /** The strings with their length bytes; none at all is RDLENGTH 0, where RFC 6763 wants one empty string. */
  | { readonly type: typeof TYPE_TXT; readonly strings: Uint8Array };

export interface OutgoingRecord {
  readonly name: RecordName;
  readonly data: RecordData;
  /** Seconds. */
  readonly ttl: number;
  readonly cacheFlush: boolean;
}

export interface OutgoingQuestion {
  readonly name: Name;
  readonly type: number;
  /** With the top bit. */
  readonly class: number;
}

export interface OutgoingMessage {
  readonly id?: number;
  readonly response: boolean;
  readonly questions?: readonly OutgoingQuestion[];
  readonly answers?: readonly OutgoingRecord[];
  readonly authorities?: readonly OutgoingRecord[];
  readonly additionals?: readonly OutgoingRecord[];
}

export function encodeMessage(message: OutgoingMessage): Uint8Array {
  const { questions = [], answers = [], authorities = [], additionals = [] } = message;
  const writer = new MessageWriter();
  writer.u16(message.id ?? 0);
  writer.u16(message.response ? FLAGS_RESPONSE : FLAGS_QUERY);
  for (const section of [questions, answers, authorities, additionals]) writer.u16(section.length);
  for (const question of questions) {
    writer.fullName(question.name);
    writer.u16(question.type);
    writer.u16(question.class);
  }
  for (const record of [...answers, ...authorities, ...additionals]) writer.record(record);
  return writer.bytes();
}

class MessageWriter {
  private readonly out: number[] = [];
  /** Where a shared name was written in full. */
  private readonly offsets = new Map<string, number>();

  bytes(): Uint8Array {
    return Uint8Array.from(this.out);
  }

  u16(value: number): void {
    this.out.push(value >> 8, value & 0xff);
  }

  fullName(name: Name): void {
    for (const label of name) {
      this.out.push(label.length);
      for (let i = 0; i < label.length; i++) this.out.push(label.charCodeAt(i));
    }
    this.out.push(0);
  }

  record({ name, data, ttl, cacheFlush }: OutgoingRecord): void {
    this.name(name);
    this.u16(data.type);
    this.u16(CLASS_IN | (cacheFlush ? CLASS_TOP_BIT : 0));
    this.u16(ttl >>> 16);
    this.u16(ttl & 0xffff);
    const lengthAt = this.out.length;
    this.u16(0);
    this.data(data);
    const length = this.out.length - lengthAt - 2;
    this.out[lengthAt] = length >> 8;
    this.out[lengthAt + 1] = length & 0xff;
  }

  private data(data: RecordData): void {
    switch (data.type) {
      case TYPE_A:
        this.out.push(...data.address.split('.').map(Number));
        return;
      case TYPE_PTR:
        this.name(data.target);
        return;
      case TYPE_SRV:
        this.u16(0);
        this.u16(0);
        this.u16(data.port);
        this.name(data.target, data.full);
        return;
      case TYPE_TXT:
        for (const byte of data.strings) this.out.push(byte);
        return;
      default:
        data satisfies never;
    }
  }

  private name({ name, shared }: RecordName, full = false): void {
    const key = nameKey(name);
    const offset = this.offsets.get(key);
    if (shared && !full && offset !== undefined) {
      this.u16(POINTER_BITS | offset);
      return;
    }
    if (shared && offset === undefined && this.out.length <= POINTER_LIMIT) this.offsets.set(key, this.out.length);
    this.fullName(name);
  }
}
