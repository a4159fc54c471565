/**
 * A self-signed certificate for a server of ours: X.509 version 3, an EC key on P-256, signed with SHA-256 (RFC 5280,
 * RFC 5480, RFC 5758). Node can sign and can read certificates, but not make one; this writes the few DER fields that one
 * takes. Key and serial number come from the system's random source, not from the device's seed: a seed is no secret.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { TlsIdentity } from '../ota-services/ports.ts';

export interface SelfSignedOptions {
  /** DNS names and IPv4 addresses that the certificate is good for; the first is its subject too. At least one. */
  readonly names: readonly string[];
  /** The moment it is made, by the wall clock. It is good from a day before. */
  readonly now: Date;
}

const DAY_MS = 86_400_000;
/** Long enough to be forgotten: nobody but the tests of a student will trust it. */
const GOOD_FOR_DAYS = 3650;
const SERIAL_BYTES = 16;
/** A year from which on UTCTime is ambiguous (RFC 5280 §4.1.2.5). */
const UTC_TIME_ENDS = 2050;

const SEQUENCE = 0x30;
const SET = 0x31;
const BOOLEAN = 0x01;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
/** Context-specific tags: `[n]`, constructed in the certificate's outline, primitive in a general name. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const COMMON_NAME = '2.5.4.3';
const BASIC_CONSTRAINTS = '2.5.29.19';
const SUBJECT_ALT_NAME = '2.5.29.17';
const EXTENDED_KEY_USAGE = '2.5.29.37';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

/**
 * @throws RangeError without a name
 * @example
 * const { cert, key } = selfSigned({ names: ['esp8266-webupdate.local', '127.0.0.1'], now: new Date() });
 */
export function selfSigned({ names, now }: SelfSignedOptions): TlsIdentity {
  const [subjectName] = names;
  if (subjectName === undefined) throw new RangeError('a certificate wants at least one name; got none');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der(SEQUENCE, oid(ECDSA_WITH_SHA256));
  const subject = der(SEQUENCE, der(SET, der(SEQUENCE, oid(COMMON_NAME), der(UTF8_STRING, Buffer.from(subjectName)))));
  const toBeSigned = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Uint8Array.of(2))), // v3
    der(INTEGER, serialNumber()),
    algorithm,
    subject, // the issuer: itself
    der(SEQUENCE, time(now.getTime() - DAY_MS), time(now.getTime() + GOOD_FOR_DAYS * DAY_MS)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      EXTENSIONS,
      der(
        SEQUENCE,
        // As `openssl req -x509` does it: so it can also stand in a list of authorities.
        extension(BASIC_CONSTRAINTS, der(SEQUENCE, der(BOOLEAN, Uint8Array.of(0xff))), true),
        extension(EXTENDED_KEY_USAGE, der(SEQUENCE, oid(SERVER_AUTH))),
        extension(SUBJECT_ALT_NAME, der(SEQUENCE, ...names.map(generalName))),
      ),
    ),
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  const certificate = der(SEQUENCE, toBeSigned, algorithm, der(BIT_STRING, Uint8Array.of(0), signature));
  return {
    cert: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

/** Tag, length in its shortest form, content. */
function der(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Uint8Array.of(tag, length), content]);
  const bytes = length < 0x100 ? [length] : [length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.of(tag, 0x80 | bytes.length, ...bytes), content]);
}

/** An object identifier: two arcs in the first byte, the others in groups of seven bits. */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...arcs] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of arcs) {
    const groups = [arc & 0x7f];
    for (let rest = arc >>> 7; rest > 0; rest >>>= 7) groups.unshift((rest & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(OBJECT_IDENTIFIER, Uint8Array.from(bytes));
}

/** Positive, and without a leading zero byte. */
function serialNumber(): Uint8Array {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes;
}

function time(atMs: number): Buffer {
  const at = new Date(atMs);
  const digits = `${at.toISOString().slice(0, 19).replace(/\D/g, '')}Z`;
  return at.getUTCFullYear() < UTC_TIME_ENDS
    ? der(UTC_TIME, Buffer.from(digits.slice(2)))
    : der(GENERALIZED_TIME, Buffer.from(digits));
}

function extension(id: string, value: Uint8Array, critical = false): Buffer {
  const flag = critical ? [der(BOOLEAN, Uint8Array.of(0xff))] : [];
  return der(SEQUENCE, oid(id), ...flag, der(OCTET_STRING, value));
}

function generalName(name: string): Buffer {
  if (isIPv4(name)) return der(IP_ADDRESS, Uint8Array.from(name.split('.').map(Number)));
  return der(DNS_NAME, Buffer.from(name, 'latin1'));
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
