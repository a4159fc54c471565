/** DNS names as labels. Source: RFC 1035 §3.1; spec chapter 03 §13. */

/** Labels without the root, each a string with one character per byte; letter case is kept as given. */
export type Name = readonly string[];

export const LABEL_LIMIT = 63;
/** Bytes of a name on the wire, root included. */
export const NAME_LIMIT = 255;

const LOCAL = 'local';

/** The names that answers in §13.5 are about, apart from hosts and services. */
export const SERVICE_ENUMERATION: Name = ['_services', '_dns-sd', '_udp', LOCAL];

export function hostName(hostname: string): Name {
  return [labelBytes(hostname), LOCAL];
}

/** `d.c.b.a.in-addr.arpa` of the address `a.b.c.d`. */
export function reverseName(address: string): Name {
  return [...address.split('.').reverse(), 'in-addr', 'arpa'];
}

export function serviceTypeName(service: string, protocol: string): Name {
  return [service, protocol, LOCAL];
}

export function serviceInstanceName(instance: string, type: Name): Name {
  return [labelBytes(instance), ...type];
}

/** The UTF-8 bytes of a label, one character each. */
export function labelBytes(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** Equal for names that are equal without regard to ASCII letter case. */
export function nameKey(name: Name): string {
  // The lengths keep a label that holds a dot apart from two labels.
  return name.map((label) => `${label.length}:${lowerAscii(label)}`).join('.');
}

export function sameName(a: Name, b: Name): boolean {
  return nameKey(a) === nameKey(b);
}

/** A name as it is on the wire, without compression. */
export function nameBytes(name: Name): Uint8Array {
  const bytes = name.flatMap((label) => [label.length, ...[...label].map((letter) => letter.charCodeAt(0))]);
  return Uint8Array.from([...bytes, 0]);
}

function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
