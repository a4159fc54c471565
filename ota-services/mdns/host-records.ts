/** The records of a host and its services. Source: spec chapter 03 §13.1, §13.3, §13.5. */
import { HOST_TTL, SERVICE_TTL, TYPE_A, TYPE_PTR, TYPE_SRV, TYPE_TXT } from './constants.ts';
import { hostName, reverseName, SERVICE_ENUMERATION } from './names.ts';
import type { OutgoingRecord, RecordName } from './records.ts';
import type { Service } from './service.ts';

/** Who speaks. */
export interface Host {
  readonly hostname: string;
  /** Dotted IPv4. */
  readonly address: string;
}

/** How a datagram differs from a plain multicast answer. */
export interface RecordStyle {
  /** Allows the cache-flush bit; the PTR records of services never have it. */
  readonly flush: boolean;
  /** Every TTL is 0. */
  readonly goodbye?: boolean;
  /** The SRV target is written in full. */
  readonly legacy?: boolean;
}

export interface ServiceRecords {
  /** `_services._dns-sd._udp.local` → type. */
  readonly enumeration: OutgoingRecord;
  /** Type → instance. */
  readonly pointer: OutgoingRecord;
  readonly srv: OutgoingRecord;
  readonly txt: OutgoingRecord;
}

export function hostRecords({ hostname, address }: Host, { flush, goodbye }: RecordStyle) {
  const name = shared(hostName(hostname));
  const common = { ttl: goodbye ? 0 : HOST_TTL, cacheFlush: flush };
  return {
    address: { name, data: { type: TYPE_A, address }, ...common } satisfies OutgoingRecord,
    reverse: {
      name: { name: reverseName(address), shared: false },
      data: { type: TYPE_PTR, target: name },
      ...common,
    } satisfies OutgoingRecord,
  };
}

export function serviceRecords(service: Service, host: Host, style: RecordStyle): ServiceRecords {
  const ttl = style.goodbye ? 0 : SERVICE_TTL;
  const type = shared(service.type);
  const instance = shared(service.nameOn(host.hostname));
  const target = shared(hostName(host.hostname));
  const { port, txtStrings: strings } = service;
  const enumeration = { name: SERVICE_ENUMERATION, shared: false };
  return {
    enumeration: { name: enumeration, data: { type: TYPE_PTR, target: type }, ttl, cacheFlush: false },
    pointer: { name: type, data: { type: TYPE_PTR, target: instance }, ttl, cacheFlush: false },
    srv: {
      name: instance,
      data: { type: TYPE_SRV, port, target, full: style.legacy ?? false },
      ttl,
      cacheFlush: style.flush,
    },
    txt: { name: instance, data: { type: TYPE_TXT, strings }, ttl, cacheFlush: style.flush },
  };
}

function shared(name: RecordName['name']): RecordName {
  return { name, shared: true };
}
