/** Which records answer a query, and how they travel. Source: spec chapter 03 §13.5. */
import type { Address } from '../ports.ts';
import {
  CLASS_ANY,
  CLASS_IN,
  HOST_TTL,
  MDNS_PORT,
  SERVICE_TTL,
  TYPE_A,
  TYPE_ANY,
  TYPE_PTR,
  TYPE_SRV,
  TYPE_TXT,
} from './constants.ts';
import { type Host, hostRecords, type RecordStyle, serviceRecords } from './host-records.ts';
import type { Message, Question, ResourceRecord } from './message.ts';
import { hostName, type Name, nameKey, reverseName, SERVICE_ENUMERATION, sameName } from './names.ts';
import { encodeMessage, type OutgoingRecord, type RecordData } from './records.ts';
import type { Service } from './service.ts';

export interface Answer {
  readonly data: Uint8Array;
  /** By unicast to the asker instead of to the group. */
  readonly unicast: boolean;
}

export interface Answerer extends Host {
  readonly netmask: string;
  /** The host's probing is done. */
  readonly hostReady: boolean;
  /** Those whose probing is done, in the order of datagrams. */
  readonly services: readonly Service[];
}

/** The datagram that answers `query`, if there is one. */
export function answerQuery(query: Message, from: Address, host: Answerer): Answer | undefined {
  const legacy = from.port !== MDNS_PORT && query.questions.length === 1;
  if (legacy && !sameSubnet(from.address, host.address, host.netmask)) return undefined;
  const unicast = from.port !== MDNS_PORT || query.questions.some((question) => question.unicast);
  const style = { flush: !unicast, legacy };
  const { answers, additionals } = chooseRecords(query, host, style);
  if (answers.length === 0) return undefined;
  const echo = legacy
    ? { id: query.id, questions: query.questions.map(({ name, type, class: bits }) => ({ name, type, class: bits })) }
    : {};
  return { data: encodeMessage({ ...echo, response: true, answers, additionals }), unicast };
}

function chooseRecords(query: Message, host: Answerer, style: RecordStyle) {
  const wanted = wantedTypes(query.questions);
  const asked = (name: Name, type: number): boolean => {
    const types = wanted.get(nameKey(name));
    return types !== undefined && (types.has(type) || types.has(TYPE_ANY));
  };
  const answers: OutgoingRecord[] = [];
  const additionals: OutgoingRecord[] = [];
  const offer = (isAsked: boolean, record: OutgoingRecord): boolean => {
    const give = isAsked && !isKnown(record, query.answers);
    if (give) answers.push(record);
    return give;
  };

  const own = hostRecords(host, style);
  let addressGiven = false;
  if (host.hostReady) {
    addressGiven = offer(asked(hostName(host.hostname), TYPE_A), own.address);
    offer(asked(reverseName(host.address), TYPE_PTR), own.reverse);
  }
  let addressWanted = false;
  for (const service of host.services) {
    const records = serviceRecords(service, host, style);
    const instance = service.nameOn(host.hostname);
    offer(asked(SERVICE_ENUMERATION, TYPE_PTR), records.enumeration);
    const pointer = offer(asked(service.type, TYPE_PTR), records.pointer);
    const srv = offer(asked(instance, TYPE_SRV), records.srv);
    const txt = offer(asked(instance, TYPE_TXT), records.txt);
    if (pointer && !srv) additionals.push(records.srv);
    if (pointer && !txt) additionals.push(records.txt);
    addressWanted ||= pointer || srv;
  }
  if (addressWanted && !addressGiven && host.hostReady) additionals.push(own.address);
  return { answers, additionals };
}

/** The types asked for, by name; made once, because a hostile query may hold hundreds of questions. */
function wantedTypes(questions: readonly Question[]): ReadonlyMap<string, ReadonlySet<number>> {
  const wanted = new Map<string, Set<number>>();
  for (const question of questions) {
    if (question.class !== CLASS_IN && question.class !== CLASS_ANY) continue;
    const key = nameKey(question.name);
    wanted.set(key, (wanted.get(key) ?? new Set()).add(question.type));
  }
  return wanted;
}

/** Known-answer suppression: the asker has it already, for at least half of its time. */
function isKnown(record: OutgoingRecord, known: readonly ResourceRecord[]): boolean {
  return known.some(
    (one) =>
      one.type === record.data.type &&
      one.class === CLASS_IN &&
      one.ttl >= record.ttl / 2 &&
      sameName(one.name, record.name.name) &&
      sameData(one, record.data),
  );
}
if (HOST_TTL / 2 !== 60 || SERVICE_TTL / 2 !== 2250) throw new Error('known answers count from 60 s and 2250 s on');

function sameData(known: ResourceRecord, data: RecordData): boolean {
  switch (data.type) {
    case TYPE_A:
      return known.address === data.address;
    case TYPE_PTR:
      return known.target !== undefined && sameName(known.target, data.target.name);
    case TYPE_SRV:
      return (
        known.target !== undefined &&
        sameName(known.target, data.target.name) &&
        known.port === data.port &&
        known.data.subarray(0, 4).every((byte) => byte === 0)
      );
    case TYPE_TXT:
      return known.data.length === data.strings.length && known.data.every((byte, i) => byte === data.strings[i]);
    default:
      return data satisfies never;
  }
}

function sameSubnet(a: string, b: string, netmask: string): boolean {
  const mask = octets(netmask);
  const [left, right] = [octets(a), octets(b)];
  return mask.every((bits, i) => (left[i]! & bits) === (right[i]! & bits));
}

function octets(address: string): number[] {
  return address.split('.').map(Number);
}
