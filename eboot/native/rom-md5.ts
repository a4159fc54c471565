/**
 * MD5 as the mask ROM computes it, its context in the caller's RAM: state words at 0 to 15, bit count at 16 to 23, a
 * 64-byte buffer from 24 on. Source: spec chapter 07 §5.2; the function itself: RFC 1321.
 */

export const MD5_CONTEXT_BYTES = 88;
export const MD5_BYTES = 16;
const COUNT = 16;
const BUFFER = 24;
const BLOCK_BYTES = 64;

const SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);

/** @param context 88 bytes, changed in place; so for all three */
export function md5Init(context: Uint8Array): void {
  const view = viewOf(context);
  [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0, 0].forEach((word, index) => {
    view.setUint32(4 * index, word, true);
  });
}

export function md5Update(context: Uint8Array, data: Uint8Array): void {
  const view = viewOf(context);
  const bits = view.getUint32(COUNT, true);
  let used = (bits >>> 3) % BLOCK_BYTES;
  const added = data.length * 8;
  view.setUint32(COUNT, bits + added, true);
  const carry = Math.floor((bits + added) / 2 ** 32);
  view.setUint32(COUNT + 4, view.getUint32(COUNT + 4, true) + carry, true);
  for (let done = 0; done < data.length; ) {
    const piece = data.subarray(done, done + BLOCK_BYTES - used);
    context.set(piece, BUFFER + used);
    used += piece.length;
    done += piece.length;
    if (used === BLOCK_BYTES) {
      block(view);
      used = 0;
    }
  }
}

/** The 16 bytes of the digest. */
export function md5Final(context: Uint8Array): Uint8Array {
  const length = context.slice(COUNT, COUNT + 8);
  const used = (viewOf(context).getUint32(COUNT, true) >>> 3) % BLOCK_BYTES;
  const padding = new Uint8Array((used < 56 ? 56 : 120) - used);
  padding[0] = 0x80;
  md5Update(context, padding);
  md5Update(context, length);
  return context.slice(0, MD5_BYTES);
}

function block(context: DataView): void {
  let a = context.getInt32(0, true);
  let b = context.getInt32(4, true);
  let c = context.getInt32(8, true);
  let d = context.getInt32(12, true);
  for (let i = 0; i < 64; i++) {
    const round = i >> 4;
    const mixed =
      round === 0 ? (b & c) | (~b & d) : round === 1 ? (d & b) | (~d & c) : round === 2 ? b ^ c ^ d : c ^ (b | ~d);
    const index = round === 0 ? i : round === 1 ? 5 * i + 1 : round === 2 ? 3 * i + 5 : 7 * i;
    const sum = (a + mixed + SINES[i]! + context.getInt32(BUFFER + 4 * (index & 15), true)) | 0;
    const shift = SHIFTS[4 * round + (i & 3)]!;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  [a, b, c, d].forEach((word, index) => {
    context.setInt32(4 * index, context.getInt32(4 * index, true) + word, true);
  });
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
