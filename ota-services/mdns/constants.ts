/** What LEAmDNS fixes. Source: spec chapter 03 §13.1; RFC 1035 §3.2; RFC 6762 §18. */

export const MDNS_GROUP = '224.0.0.251';
export const MDNS_PORT = 5353;

/** Seconds; A and reverse PTR. */
export const HOST_TTL = 120;
/** Seconds; PTR and TXT, and SRV too, where RFC 6762 would have 120. */
export const SERVICE_TTL = 4500;

export const PROBE_COUNT = 3;
export const PROBE_INTERVAL_MS = 250;
export const ANNOUNCE_COUNT = 8;
export const ANNOUNCE_INTERVAL_MS = 1000;

/** Characters of a service's name, without the underscore. */
export const SERVICE_NAME_LIMIT = 15;
/** All TXT strings of a service, with their length bytes, stay below. */
export const TXT_LIMIT = 1300;

export const TYPE_A = 1;
export const TYPE_PTR = 12;
export const TYPE_TXT = 16;
export const TYPE_AAAA = 28;
export const TYPE_SRV = 33;
export const TYPE_ANY = 255;

export const CLASS_IN = 1;
export const CLASS_ANY = 255;
/** In a question: answer by unicast, please. In a record: forget what you knew (cache flush). */
export const CLASS_TOP_BIT = 0x8000;

/** Response, authoritative. */
export const FLAGS_RESPONSE = 0x8400;
export const FLAGS_QUERY = 0x0000;
