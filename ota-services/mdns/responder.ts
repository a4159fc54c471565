/**
 * The responder of LEAmDNS as a machine without I/O: time and datagrams in, datagrams out. Probing and announcing move only
 * in {@link Responder.update}, which the sketch calls; queries are answered at once. Source: spec chapter 03 §13.
 */
import type { Address } from '../ports.ts';
import { type Answerer, answerQuery } from './answers.ts';
import {
  CLASS_IN,
  CLASS_TOP_BIT,
  PROBE_INTERVAL_MS,
  TYPE_A,
  TYPE_AAAA,
  TYPE_ANY,
  TYPE_SRV,
  TYPE_TXT,
} from './constants.ts';
import { hostRecords, type RecordStyle, serviceRecords } from './host-records.ts';
import { type Message, parseMessage, type ResourceRecord } from './message.ts';
import { hostName, type Name, nameBytes, sameName } from './names.ts';
import { encodeMessage, type OutgoingRecord } from './records.ts';
import { acceptableLabel, acceptableService, Service, type ServiceOptions } from './service.ts';
import { NameTimetable } from './timetable.ts';

const DEFAULT_NETMASK = '255.255.255.0';

export interface ResponderOptions {
  /** Without `.local`. */
  readonly hostname: string;
  /** Dotted IPv4: the station's, which is the one advertised. */
  readonly address: string;
  /** Dotted (255.255.255.0). */
  readonly netmask?: string | undefined;
  /** An integer from 0 to `below` - 1. */
  readonly random: (below: number) => number;
  /** Told whether the host's name is ours; ArduinoOTA installs none. */
  readonly onHostProbeResult?: (hostname: string, ok: boolean) => void;
}

export interface AdvertisedService extends ServiceOptions {
  /** Told whether the instance's name is ours. */
  readonly onProbeResult?: (instance: string, ok: boolean) => void;
}

export interface OutgoingDatagram {
  readonly data: Uint8Array;
  readonly to: 'group' | Address;
}

interface Entry {
  readonly service: Service;
  readonly timetable: NameTimetable;
  readonly onProbeResult: AdvertisedService['onProbeResult'];
}

const MULTICAST: RecordStyle = { flush: true };
const PROBING: RecordStyle = { flush: false };
const GOODBYE: RecordStyle = { flush: true, goodbye: true };

export class Responder {
  private hostname: string;
  private readonly host = new NameTimetable();
  private hostDelayMs: number;
  /** The newest first, as in datagrams. */
  private entries: Entry[] = [];

  /** @throws RangeError when the hostname does not fit in a label */
  constructor(private readonly options: ResponderOptions) {
    if (!acceptableLabel(options.hostname)) {
      throw new RangeError(`a hostname has 1 to 63 bytes, not "${options.hostname}"`);
    }
    this.hostname = options.hostname;
    this.hostDelayMs = options.random(PROBE_INTERVAL_MS);
  }

  /** Renames the host, and the instances that are named after it; false when the name does not fit. */
  setHostname(hostname: string): boolean {
    if (!acceptableLabel(hostname)) return false;
    this.hostname = hostname;
    this.restart();
    return true;
  }

  /** False for what LEAmDNS refuses, and for an instance that is there already. */
  addService(options: AdvertisedService): boolean {
    if (!acceptableService(options)) return false;
    const service = new Service(options);
    if (this.entries.some((entry) => entry.service.isSame(service, this.hostname))) return false;
    this.entries.unshift({ service, timetable: new NameTimetable(), onProbeResult: options.onProbeResult });
    return true;
  }

  /** Takes a service back. Undefined when there is none; otherwise its goodbye, if it was ever ours. */
  removeService(options: Pick<ServiceOptions, 'service' | 'protocol' | 'instance'>): OutgoingDatagram[] | undefined {
    const wanted = new Service({ ...options, port: 0 });
    const index = this.entries.findIndex((entry) => entry.service.isSame(wanted, this.hostname));
    const [entry] = index < 0 ? [] : this.entries.splice(index, 1);
    if (!entry) return undefined;
    return entry.timetable.ready ? [toGroup({ answers: this.announced(entry.service, GOODBYE) })] : [];
  }

  /** Begins again with all names, as after a change of a network interface. */
  restart(): void {
    this.hostDelayMs = this.options.random(PROBE_INTERVAL_MS);
    this.host.restart();
    for (const entry of this.entries) entry.timetable.restart();
  }

  /** What is due at `nowMs`, a 32-bit count as `millis()` gives it. */
  update(nowMs: number): OutgoingDatagram[] {
    const out: OutgoingDatagram[] = [];
    const hostStep = this.host.step(nowMs, this.hostDelayMs);
    if (hostStep === 'probe') out.push(this.hostProbe());
    if (hostStep === 'ready') this.options.onHostProbeResult?.(this.hostname, true);
    if (hostStep === 'announce') out.push(toGroup({ answers: Object.values(hostRecords(this.identity(), MULTICAST)) }));
    for (const { service, timetable, onProbeResult } of [...this.entries]) {
      const step = timetable.step(nowMs, PROBE_INTERVAL_MS);
      if (step === 'probe') out.push(this.serviceProbe(service));
      if (step === 'ready') onProbeResult?.(this.instanceOf(service), true);
      if (step === 'announce') out.push(this.serviceAnnouncement(service));
    }
    return out;
  }

  /** A datagram came. Any bytes will do; only queries about names that are ours have answers. */
  receive(data: Uint8Array, from: Address): OutgoingDatagram[] {
    const message = parseMessage(data);
    if (message?.opcode !== 0) return [];
    if (message.response) {
      this.noticeConflicts(message);
      return [];
    }
    this.breakTies(message);
    const answer = answerQuery(message, from, this.identity());
    return answer ? [{ data: answer.data, to: answer.unicast ? from : 'group' }] : [];
  }

  /** The goodbye for everything, if the host's name was ever ours. */
  close(): OutgoingDatagram[] {
    if (!this.host.ready) return [];
    const answers: OutgoingRecord[] = Object.values(hostRecords(this.identity(), GOODBYE));
    for (const service of this.identity().services) answers.push(...this.announced(service, GOODBYE));
    return [toGroup({ answers })];
  }

  private identity(): Answerer {
    return {
      hostname: this.hostname,
      address: this.options.address,
      netmask: this.options.netmask ?? DEFAULT_NETMASK,
      hostReady: this.host.ready,
      services: this.entries.filter((entry) => entry.timetable.ready).map((entry) => entry.service),
    };
  }

  private hostProbe(): OutgoingDatagram {
    const { address } = hostRecords(this.identity(), PROBING);
    return probe(hostName(this.hostname), { authorities: [address] });
  }

  private serviceProbe(service: Service): OutgoingDatagram {
    const { address } = hostRecords(this.identity(), PROBING);
    const { pointer, srv, txt } = serviceRecords(service, this.identity(), PROBING);
    const name = service.nameOn(this.hostname);
    return probe(name, { authorities: [pointer, srv], additionals: [txt, address] });
  }

  private serviceAnnouncement(service: Service): OutgoingDatagram {
    const { address } = hostRecords(this.identity(), MULTICAST);
    return toGroup({ answers: this.announced(service, MULTICAST), additionals: [address] });
  }

  private announced(service: Service, style: RecordStyle): OutgoingRecord[] {
    const { enumeration, pointer, srv, txt } = serviceRecords(service, this.identity(), style);
    return [enumeration, pointer, srv, txt];
  }

  /** Somebody speaks with authority about a name that we are still probing for: it is theirs. */
  private noticeConflicts(message: Message): void {
    const records = [...message.answers, ...message.authorities, ...message.additionals];
    const own = hostName(this.hostname);
    if (this.host.probing && mentions(records, own, TYPE_A, TYPE_AAAA)) this.cancelHost();
    for (const entry of this.entries) {
      const name = entry.service.nameOn(this.hostname);
      if (entry.timetable.probing && mentions(records, name, TYPE_SRV, TYPE_TXT)) this.cancelService(entry);
    }
  }

  /** Somebody probes for the same name at the same time: the larger data wins, and equal data is our own echo. */
  private breakTies({ authorities }: Message): void {
    const own = hostName(this.hostname);
    const lostHost = (record: ResourceRecord): boolean =>
      record.type === TYPE_A &&
      record.address !== undefined &&
      sameName(record.name, own) &&
      addressValue(record.address) > addressValue(this.options.address);
    if (this.host.probing && authorities.some(lostHost)) this.cancelHost();
    for (const entry of this.entries) {
      const name = entry.service.nameOn(this.hostname);
      const lost = (record: ResourceRecord): boolean =>
        record.type === TYPE_SRV &&
        record.target !== undefined &&
        sameName(record.name, name) &&
        !sameName(record.target, own) &&
        compareBytes(nameBytes(record.target), nameBytes(own)) > 0;
      if (entry.timetable.probing && authorities.some(lost)) this.cancelService(entry);
    }
  }

  /** Nobody renames or retries here: without the host, its services are silent too. */
  private cancelHost(): void {
    this.host.cancel();
    this.options.onHostProbeResult?.(this.hostname, false);
    for (const entry of [...this.entries]) this.cancelService(entry);
  }

  private cancelService({ service, timetable, onProbeResult }: Entry): void {
    timetable.cancel();
    onProbeResult?.(this.instanceOf(service), false);
  }

  private instanceOf(service: Service): string {
    return service.nameOn(this.hostname)[0] ?? '';
  }
}

function toGroup(sections: {
  readonly answers: readonly OutgoingRecord[];
  readonly additionals?: readonly OutgoingRecord[];
}): OutgoingDatagram {
  return { data: encodeMessage({ response: true, ...sections }), to: 'group' };
}

function probe(
  name: Name,
  sections: { readonly authorities: readonly OutgoingRecord[]; readonly additionals?: readonly OutgoingRecord[] },
): OutgoingDatagram {
  const questions = [{ name, type: TYPE_ANY, class: CLASS_IN | CLASS_TOP_BIT }];
  return { data: encodeMessage({ response: false, questions, ...sections }), to: 'group' };
}

function mentions(records: readonly ResourceRecord[], name: Name, ...types: number[]): boolean {
  return records.some((record) => types.includes(record.type) && sameName(record.name, name));
}

/** LEAmDNS compares addresses as lwIP stores them: the last octet counts most. */
function addressValue(address: string): number {
  return address.split('.').reduceRight((value, octet) => value * 256 + Number(octet), 0);
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}
