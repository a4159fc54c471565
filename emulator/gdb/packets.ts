/**
 * Framing of GDB's remote serial protocol: `$payload#checksum`, acknowledged by `+`, and the byte 0x03 that interrupts.
 * Source: the manual of GDB, appendix E, "Overview" and "Packet Acknowledgment".
 */

const START = 0x24;
const END = 0x23;
const ESCAPE = 0x7d;
const ESCAPED_BY = 0x20;
const INTERRUPT = 0x03;
/** Longest payload that is taken; the size that we tell GDB is smaller. */
const PAYLOAD_LIMIT = 0x4000;

/** What a debugger sends. */
export type Incoming = { readonly packet: Uint8Array; readonly intact: boolean } | 'interrupt';

/** Takes a byte stream apart. Memory: one payload. */
export class PacketDecoder {
  private payload: number[] | undefined;
  private checksum = -1;
  private escaped = false;

  constructor(private readonly deliver: (incoming: Incoming) => void) {}

  push(bytes: Uint8Array): void {
    for (const byte of bytes) this.byte(byte);
  }

  private byte(byte: number): void {
    const { payload } = this;
    if (!payload) {
      if (byte === INTERRUPT) this.deliver('interrupt');
      else if (byte === START) this.begin();
      return; // acknowledgements and noise
    }
    if (this.checksum >= -1 && payload.length > PAYLOAD_LIMIT) this.payload = undefined;
    else if (this.checksum >= 0) this.end(payload, byte);
    else if (byte === START) this.begin();
    else if (byte === END) this.checksum = 0;
    else if (byte === ESCAPE && !this.escaped) {
      this.escaped = true;
      this.sum += byte;
    } else {
      payload.push(this.escaped ? byte ^ ESCAPED_BY : byte);
      this.escaped = false;
      this.sum += byte;
    }
  }

  private sum = 0;
  private digits = '';

  private begin(): void {
    this.payload = [];
    this.checksum = -1;
    this.escaped = false;
    this.sum = 0;
    this.digits = '';
  }

  private end(payload: number[], digit: number): void {
    this.digits += String.fromCharCode(digit);
    if (this.digits.length < 2) return;
    this.payload = undefined;
    this.deliver({ packet: Uint8Array.from(payload), intact: Number.parseInt(this.digits, 16) === (this.sum & 0xff) });
  }
}

/** A packet as it goes over the wire. */
export function encodePacket(payload: string): Uint8Array {
  const bytes: number[] = [START];
  let sum = 0;
  for (let i = 0; i < payload.length; i++) {
    const byte = payload.charCodeAt(i) & 0xff;
    const special = byte === START || byte === END || byte === ESCAPE || byte === 0x2a;
    for (const out of special ? [ESCAPE, byte ^ ESCAPED_BY] : [byte]) {
      bytes.push(out);
      sum += out;
    }
  }
  const digits = (sum & 0xff).toString(16).padStart(2, '0');
  return Uint8Array.from([...bytes, END, digits.charCodeAt(0), digits.charCodeAt(1)]);
}

/** Bytes as the hexadecimal digits of the protocol. */
export const toHex = (bytes: Iterable<number>): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Undefined for an odd number of digits, or for others than digits. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || /[^0-9a-f]/i.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}
