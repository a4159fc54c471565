/**
 * `probeMaxFragmentLength`: does a TLS server agree to small records? A ClientHello that asks for them, a look at the
 * ServerHello, and the connection is given up. Source: spec chapter 04 §23; RFC 5246 §7.4.1, RFC 6066 §4.
 */
import { type ByteText, bytesOf } from '../web-server/byte-text.ts';
import { WiFiClient, type WiFiClientPorts } from './wifi-client.ts';

const TLS_1_2 = [3, 3];
const RECORD_HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_MAX_FRAGMENT_LENGTH = 1;
/** ECDHE and RSA with AES and ChaCha20: what BearSSL offers first. */
const CIPHER_SUITES = [0xcca9, 0xcca8, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x002f];
/** supported_groups (x25519, P-256), ec_point_formats (uncompressed), signature_algorithms (RSA and ECDSA with SHA-256, RSA with SHA-1). */
const OTHER_EXTENSIONS: readonly (readonly [number, readonly number[]])[] = [
  [10, [0, 4, 0, 29, 0, 23]],
  [11, [1, 0]],
  [13, [0, 6, 4, 1, 4, 3, 2, 1]],
];
const FRAGMENT_CODES: Readonly<Record<number, number>> = { 512: 1, 1024: 2, 2048: 3, 4096: 4 };
const PROBE_TIMEOUT_MS = 5000;
/** A ServerHello with all its extensions is far smaller. */
const ANSWER_BYTES = 1024;

/** The server to ask. */
export interface ProbeTarget {
  readonly host: ByteText;
  readonly port: number;
}

/**
 * @param length 512, 1024, 2048 or 4096
 * @returns false also when nobody answers
 * @throws RangeError for another length
 */
export async function probeMaxFragmentLength(
  ports: WiFiClientPorts,
  { host, port }: ProbeTarget,
  length: number,
): Promise<boolean> {
  const client = new WiFiClient(ports);
  client.setTimeout(PROBE_TIMEOUT_MS);
  const hello = clientHello(host, length);
  if (!(await client.connect(host, port))) return false;
  client.write(hello);
  const startedAt = ports.clock.millis();
  for (;;) {
    const verdict = agreesToFragmentLength(client.peek(ANSWER_BYTES), length);
    const waited = (ports.clock.millis() - startedAt) >>> 0;
    if (verdict !== undefined || !client.connected() || waited >= PROBE_TIMEOUT_MS) {
      await client.stop();
      return verdict ?? false;
    }
    await client.wait(PROBE_TIMEOUT_MS - waited);
  }
}

/** The handshake goes no further, so its random number needs no chance. */
export function clientHello(host: ByteText, length: number): Uint8Array {
  const code = FRAGMENT_CODES[length];
  if (code === undefined) throw new RangeError(`a fragment length is 512, 1024, 2048 or 4096, not ${length}`);
  const extensions = [
    ...(/^[\d.]+$/.test(host) ? [] : extension(EXTENSION_SERVER_NAME, sized(2, [0, ...sized(2, [...bytesOf(host)])]))),
    ...extension(EXTENSION_MAX_FRAGMENT_LENGTH, [code]),
    ...OTHER_EXTENSIONS.flatMap(([type, data]) => extension(type, data)),
  ];
  const body = [
    ...TLS_1_2,
    ...Array.from({ length: 32 }, (_, i) => i),
    ...sized(1, []), // no session
    ...sized(
      2,
      CIPHER_SUITES.flatMap((suite) => [suite >> 8, suite & 0xff]),
    ),
    ...sized(1, [0]), // no compression
    ...sized(2, extensions),
  ];
  return Uint8Array.from([RECORD_HANDSHAKE, ...TLS_1_2, ...sized(2, [CLIENT_HELLO, ...sized(3, body)])]);
}

/** What a server's first bytes say; `undefined` as long as there are too few of them. Any bytes are fine. */
export function agreesToFragmentLength(answer: Uint8Array, length: number): boolean | undefined {
  if (answer.length > 0 && answer[0] !== RECORD_HANDSHAKE) return false;
  const at = (offset: number): number => answer[offset] ?? 0;
  const end = 5 + at(3) * 256 + at(4);
  if (answer.length < 5 || answer.length < Math.min(end, ANSWER_BYTES)) return undefined;
  if (at(5) !== SERVER_HELLO) return false;
  // Record and handshake headers, version, random; then session, suite and compression.
  let offset = 5 + 4 + 2 + 32;
  offset += 1 + at(offset) + 3;
  const last = Math.min(end, offset + 2 + at(offset) * 256 + at(offset + 1));
  for (offset += 2; offset + 4 <= last; offset += 4 + at(offset + 2) * 256 + at(offset + 3)) {
    if (at(offset) * 256 + at(offset + 1) !== EXTENSION_MAX_FRAGMENT_LENGTH) continue;
    return at(offset + 4) === FRAGMENT_CODES[length];
  }
  return false;
}

function extension(type: number, data: readonly number[]): number[] {
  return [type >> 8, type & 0xff, ...sized(2, data)];
}

/** Bytes with their count before them, in `width` bytes, high one first. */
function sized(width: number, data: readonly number[]): number[] {
  const count = Array.from({ length: width }, (_, i) => (data.length >> (8 * (width - 1 - i))) & 0xff);
  return [...count, ...data];
}
