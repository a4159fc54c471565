/**
 * The TypeScript twins of the kernels: the same signature plus the memory. Plain on purpose: they are the oracle of the
 * tests and the rival of the bench.
 */

const BLOCK_BYTES = 64;
const MD5_COUNT = 16;
const MD5_BLOCK = 24;
/** Bytes of one MD5 state: A, B, C, D, the count of bytes (64 bits), the block that is not yet full. */
export const MD5_STATE_BYTES = 88;

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
  return crc >>> 0;
});

/** CRC-32/MPEG-2 by a table, a byte at a time. */
export function crc32(memory: Uint8Array, at: number, length: number, crc: number): number {
  let state = crc | 0;
  for (let i = at; i < at + length; i++) state = (state << 8) ^ crcTable[(state >>> 24) ^ memory[i]!]!;
  return state >>> 0;
}

/** Clears bits of `target` where `source` has zeros; returns the bits that were asked to go 0 -> 1 and stayed 0. */
export function norProgram(memory: Uint8Array, target: number, source: number, length: number): number {
  let stuckBits = 0;
  for (let i = 0; i < length; i++) {
    const before = memory[target + i]!;
    const wanted = memory[source + i]!;
    memory[target + i] = before & wanted;
    stuckBits += bitCount(wanted & ~before);
  }
  return stuckBits;
}

/** How many bits of a 32-bit word are 1. */
export function bitCount(word: number): number {
  let count = word - ((word >>> 1) & 0x55555555);
  count = (count & 0x33333333) + ((count >>> 2) & 0x33333333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Sets cells to 1. */
export function norErase(memory: Uint8Array, target: number, length: number): void {
  memory.fill(0xff, target, target + length);
}

/** Copies bytes; the ranges may overlap. */
export function copyBytes(memory: Uint8Array, target: number, source: number, length: number): void {
  memory.copyWithin(target, source, source + length);
}

/** 1 when every byte is 0xFF. */
export function isBlank(memory: Uint8Array, at: number, length: number): number {
  for (let i = at; i < at + length; i++) if (memory[i] !== 0xff) return 0;
  return 1;
}

/** 1 when both ranges hold the same bytes. */
export function equalBytes(memory: Uint8Array, left: number, right: number, length: number): number {
  for (let i = 0; i < length; i++) if (memory[left + i] !== memory[right + i]) return 0;
  return 1;
}

/** The constants of RFC 1321 §3.4, which says how they come about. */
const md5Sines = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 0x100000000));
const md5Shifts = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];

/** Starts a stream whose state is at `state`. */
export function md5Start(memory: Uint8Array, state: number): void {
  const view = viewOf(memory, state, MD5_BLOCK);
  [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0, 0].forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
}

/** Takes `count` whole blocks into the state. */
export function md5Blocks(memory: Uint8Array, state: number, at: number, count: number): void {
  const words = viewOf(memory, state, 16);
  for (let block = at; block < at + count * BLOCK_BYTES; block += BLOCK_BYTES) {
    const input = viewOf(memory, block, BLOCK_BYTES);
    let a = words.getInt32(0, true);
    let b = words.getInt32(4, true);
    let c = words.getInt32(8, true);
    let d = words.getInt32(12, true);
    const before = [a, b, c, d] as const;
    for (let i = 0; i < BLOCK_BYTES; i++) {
      const [mix, word] = md5Mix(i, b, c, d);
      const sum = (a + mix + md5Sines[i]! + input.getInt32(4 * word, true)) | 0;
      const shift = md5Shifts[4 * (i >> 4) + (i & 3)]!;
      [a, d, c, b] = [d, c, b, (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0];
    }
    words.setInt32(0, a + before[0], true);
    words.setInt32(4, b + before[1], true);
    words.setInt32(8, c + before[2], true);
    words.setInt32(12, d + before[3], true);
  }
}

/** The auxiliary function of step i, and which word it takes. RFC 1321 §3.4. */
function md5Mix(i: number, b: number, c: number, d: number): [mix: number, word: number] {
  if (i < 16) return [(b & c) | (~b & d), i];
  if (i < 32) return [(d & b) | (~d & c), (5 * i + 1) & 15];
  if (i < 48) return [b ^ c ^ d, (3 * i + 5) & 15];
  return [c ^ (b | ~d), (7 * i) & 15];
}

/** Adds bytes of any length. */
export function md5Update(memory: Uint8Array, state: number, at: number, length: number): void {
  const view = viewOf(memory, state, MD5_STATE_BYTES);
  const count = view.getBigUint64(MD5_COUNT, true);
  view.setBigUint64(MD5_COUNT, count + BigInt(length), true);
  let held = Number(count % BigInt(BLOCK_BYTES));
  for (let i = 0; i < length; i++) {
    memory[state + MD5_BLOCK + held++] = memory[at + i]!;
    if (held === BLOCK_BYTES) md5Blocks(memory, state, state + MD5_BLOCK, 1);
    held %= BLOCK_BYTES;
  }
}

/** Pads and finishes; the digest is then the first 16 bytes of the state. */
export function md5Finish(memory: Uint8Array, state: number): void {
  const view = viewOf(memory, state, MD5_STATE_BYTES);
  const count = view.getBigUint64(MD5_COUNT, true);
  const held = Number(count % BigInt(BLOCK_BYTES));
  memory[state + MD5_BLOCK + held] = 0x80;
  memory.fill(0, state + MD5_BLOCK + held + 1, state + MD5_STATE_BYTES);
  if (held + 1 > BLOCK_BYTES - 8) {
    md5Blocks(memory, state, state + MD5_BLOCK, 1);
    memory.fill(0, state + MD5_BLOCK, state + MD5_STATE_BYTES);
  }
  view.setBigUint64(MD5_STATE_BYTES - 8, count * 8n, true);
  md5Blocks(memory, state, state + MD5_BLOCK, 1);
}

const viewOf = (memory: Uint8Array, at: number, length: number): DataView =>
  new DataView(memory.buffer, memory.byteOffset + at, length);
