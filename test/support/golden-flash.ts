/**
 * Rebuilds the flash and RTC memory that a golden eboot trace began with, from its recipe.
 * The format is described in test/golden/eboot/README.md; names here are those of the recipe.
 */
import { crc32 as gzipCrc32 } from 'node:zlib';

/** One content description of a recipe. Fields apply by `type`; see the README beside the traces. */
export interface Content {
  type: string;
  at?: number;
  size?: number;
  hex?: string;
  value?: number;
  seed?: number;
  bits?: number;
  fill?: number;
  parts?: Content[];
  /** Base64 text (`base64`) or the nested content of a segment. */
  data?: string;
  of?: Content | Content[];
  magic?: number;
  numSegments?: number;
  flashMode?: number;
  flashSizeFreq?: number;
  entry?: number;
  segments?: { address: number; size?: number; data?: Content }[];
  blockSize?: number;
  isize?: number;
  crc?: number;
  fields?: (string | number)[][];
  method?: number;
  flg?: number;
  fextra?: string;
  fname?: string;
  fcomment?: string;
  fhcrc?: boolean;
  truncate?: number;
  patch?: { at: number; hex?: string; xor?: number }[];
}

export interface Recipe {
  flash: { size: number; fill: number; parts: Content[] };
  rtc: {
    fill: number;
    command?: { magic: number; action: number; args?: number[]; crc: 'good' | { xor: number } | number };
  };
}

/** The generator of the recipes: every step returns the new state. */
class Xorshift32 {
  constructor(private state: number) {}
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }
}

const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const word = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, true);
  return bytes;
};
const concat = (chunks: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(chunks));

/** CRC-32/MPEG-2, bit by bit: the simplest statement of it, and independent of the kernels. */
export function goodCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}

function mix(size: number, random: Xorshift32): Uint8Array {
  const out = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const x = random.next();
    const count = 3 + (x & 255);
    if (x >>> 28 < 2 || length === 0) {
      for (let i = 0; i < count && length < size; i++) out[length++] = (random.next() >>> 16) & 255;
    } else {
      const distance = 1 + (((x >>> 8) & 0xfffff) % Math.min(length, 32768));
      for (let i = 0; i < count && length < size; i++, length++) out[length] = out[length - distance]!;
    }
  }
  return out;
}

/** Bits, filled from the least significant end of each byte. */
class BitWriter {
  readonly bytes: number[] = [];
  private used = 8;
  bit(value: number): void {
    if (this.used === 8) {
      this.bytes.push(0);
      this.used = 0;
    }
    this.bytes[this.bytes.length - 1]! |= (value & 1) << this.used++;
  }
  leastFirst(value: number, count: number): void {
    for (let i = 0; i < count; i++) this.bit(value >>> i);
  }
  mostFirst(value: number, count: number): void {
    for (let i = count - 1; i >= 0; i--) this.bit(value >>> i);
  }
  align(): void {
    this.used = 8;
  }
  /** The fixed literal/length code of RFC 1951 §3.2.6. */
  fixed(symbol: number): void {
    if (symbol < 144) this.mostFirst(0x30 + symbol, 8);
    else if (symbol < 256) this.mostFirst(0x190 + symbol - 144, 9);
    else if (symbol < 280) this.mostFirst(symbol - 256, 7);
    else this.mostFirst(0xc0 + symbol - 280, 8);
  }
}

function gzipHeader(part: Content): Uint8Array {
  const optional =
    (part.fhcrc ? 2 : 0) |
    (part.fextra !== undefined ? 4 : 0) |
    (part.fname !== undefined ? 8 : 0) |
    (part.fcomment !== undefined ? 16 : 0);
  const chunks: Uint8Array[] = [Uint8Array.of(0x1f, 0x8b, part.method ?? 8, part.flg ?? optional, 0, 0, 0, 0, 0, 3)];
  if (part.fextra !== undefined) {
    const extra = fromHex(part.fextra);
    chunks.push(word(extra.length).subarray(0, 2), extra);
  }
  for (const text of [part.fname, part.fcomment]) {
    if (text !== undefined) chunks.push(Uint8Array.from(Buffer.from(`${text}\0`, 'latin1')));
  }
  if (part.fhcrc) chunks.push(word(gzipCrc32(concat(chunks))).subarray(0, 2));
  return concat(chunks);
}

function deflateStored(plain: Uint8Array, blockSize: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let at = 0;
  do {
    const block = plain.subarray(at, at + blockSize);
    at += blockSize;
    chunks.push(Uint8Array.of(at >= plain.length ? 1 : 0), word(block.length | (~block.length << 16)), block);
  } while (at < plain.length);
  return concat(chunks);
}

function deflateFixed(plain: Uint8Array): Uint8Array {
  const bits = new BitWriter();
  bits.leastFirst(1, 1);
  bits.leastFirst(1, 2);
  for (const byte of plain) bits.fixed(byte);
  bits.fixed(256);
  return Uint8Array.from(bits.bytes);
}

function deflateFields(fields: (string | number)[][]): Uint8Array {
  const bits = new BitWriter();
  for (const [kind, value, count] of fields) {
    if (kind === 'l') bits.leastFirst(Number(value), Number(count));
    else if (kind === 'm') bits.mostFirst(Number(value), Number(count));
    else if (kind === 'f') bits.fixed(Number(value));
    else if (kind === 'a') bits.align();
    else throw new Error(`recipe: unknown bit field "${kind}"`);
  }
  return Uint8Array.from(bits.bytes);
}

function app(part: Content): Uint8Array {
  const segments = part.segments ?? [];
  const chunks: Uint8Array[] = [
    Uint8Array.of(
      part.magic ?? 0xe9,
      part.numSegments ?? segments.length,
      part.flashMode ?? 2,
      part.flashSizeFreq ?? 0x40,
    ),
    word(part.entry ?? 0),
  ];
  for (const segment of segments) {
    const data = segment.data ? build(segment.data) : new Uint8Array(0);
    chunks.push(word(segment.address), word(segment.size ?? data.length), data);
  }
  return concat(chunks);
}

function place(target: Uint8Array, parts: Content[]): Uint8Array {
  for (const part of parts) target.set(build(part), part.at ?? 0);
  return target;
}

function plain(part: Content): Uint8Array {
  const size = part.size ?? 0;
  switch (part.type) {
    case 'bytes':
      return fromHex(part.hex ?? '');
    case 'base64':
      return Uint8Array.from(Buffer.from(part.data ?? '', 'base64'));
    case 'fill':
      return new Uint8Array(size).fill(part.value ?? 0);
    case 'prng': {
      const random = new Xorshift32(part.seed!);
      const out = new Uint8Array((size + 3) & ~3);
      for (let i = 0; i < size; i += 4) out.set(word(random.next()), i);
      return out.slice(0, size);
    }
    case 'bits': {
      const random = new Xorshift32(part.seed!);
      return Uint8Array.from({ length: size }, () => (random.next() >>> 16) & ((1 << part.bits!) - 1));
    }
    case 'mix':
      return mix(size, new Xorshift32(part.seed!));
    case 'concat':
      return concat((part.of as Content[]).map(build));
    case 'image':
      return place(new Uint8Array(size).fill(part.fill ?? 0xff), part.parts ?? []);
    case 'app':
      return app(part);
    case 'gzipstored':
    case 'gzipfixed': {
      const of = build(part.of as Content);
      const deflated = part.type === 'gzipfixed' ? deflateFixed(of) : deflateStored(of, part.blockSize ?? 65535);
      return concat([gzipHeader(part), deflated, word(gzipCrc32(of)), word(part.isize ?? of.length)]);
    }
    case 'gzipbits':
      return concat([gzipHeader(part), deflateFields(part.fields ?? []), word(part.crc ?? 0), word(part.isize ?? 0)]);
    default:
      throw new Error(`recipe: unknown content type "${part.type}"`);
  }
}

/** The bytes that a content description stands for. */
export function build(part: Content): Uint8Array {
  let bytes = plain(part);
  if (part.truncate !== undefined) bytes = bytes.slice(0, part.truncate);
  for (const patch of part.patch ?? []) {
    const at = patch.at < 0 ? bytes.length + patch.at : patch.at;
    if (patch.hex !== undefined) bytes.set(fromHex(patch.hex), at);
    if (patch.xor !== undefined) bytes[at]! ^= patch.xor;
  }
  return bytes;
}

/** The whole chip of a recipe. */
export function buildFlash(recipe: Recipe): Uint8Array {
  return place(new Uint8Array(recipe.flash.size).fill(recipe.flash.fill), recipe.flash.parts);
}

/** The 512 bytes of RTC user memory of a recipe. */
export function buildRtc(recipe: Recipe): Uint8Array {
  const rtc = new Uint8Array(512).fill(recipe.rtc.fill);
  const command = recipe.rtc.command;
  if (!command) return rtc;
  rtc.fill(0, 0, 128);
  const words = new DataView(rtc.buffer);
  words.setUint32(0, command.magic, true);
  words.setUint32(4, command.action, true);
  (command.args ?? []).forEach((arg, index) => {
    words.setUint32(8 + 4 * index, arg, true);
  });
  const good = goodCrc(rtc.subarray(0, 124));
  const crc = command.crc === 'good' ? good : typeof command.crc === 'number' ? command.crc : good ^ command.crc.xor;
  words.setUint32(124, crc >>> 0, true);
  return rtc;
}
