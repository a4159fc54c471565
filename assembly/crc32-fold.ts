/**
 * The fast part of CRC-32/MPEG-2: long messages are folded to a few hundred bytes that have the same CRC, with nothing
 * but loads and XORs, so it needs no carry-less multiplication, which WASM has not.
 *
 * A message is a polynomial over GF(2), and its CRC the remainder modulo P. Take a multiple Q of P with few terms. Then
 * Q(x^n) = Q(x)^n for n a power of two is a multiple of P too, and all its exponents are multiples of n: in a message
 * cut into digits of n bits, subtracting a multiple of it that clears one digit changes only a few digits further on,
 * whole, without a shift. Clearing digit after digit leaves the last deg(Q) digits. As the digits only ever receive
 * XORs, it is a recurrence on what has been cleared, o[i] = in[i] ^ sum of o[i - deg(Q) + e] over the lower exponents
 * e of Q, and 16 bytes of it are computed at a time. With the address of o[i - deg(Q)] in hand, the exponents of Q are
 * the offsets to load from.
 *
 * The three levels differ in the width of a digit and in Q. Few terms make a level fast, narrow digits and a low degree
 * make it leave little; a message runs through the levels it is long enough for. Each Q has the lowest degree, or
 * nearly, that a multiple of P with so many terms can have; they come from an exhaustive search.
 *
 * Sources: the idea, for 64-bit digits, is "Chorba" (arXiv 2412.16398, and zlib-ng pull request 1837).
 * Measured on x86-64, loads are the limit, two a cycle: 19, 13 and 8 GB/s inside the levels.
 */
import {
  CRC_MIDDLE,
  CRC_MIDDLE_OUT,
  CRC_NARROW,
  CRC_NARROW_OUT,
  CRC_WIDE,
  CRC_WIDE_BLOCK,
  CRC_WIDE_OUT,
  MIDDLE_BYTES,
  NARROW_BYTES,
  WIDE_BYTES,
} from './layout';

/** Vectors (of 16 bytes) that each level leaves. The wide one works in fours and may leave three more. */
const WIDE_VECTORS: u32 = (WIDE_BYTES as u32) / 16;
const MIDDLE_VECTORS: u32 = ((MIDDLE_BYTES as u32) + 15) / 16;
const NARROW_VECTORS: u32 = ((NARROW_BYTES as u32) + 15) / 16;

/** Digits of 16 bytes, Q = x^300 + x^155 + x^117 + x^89 + 1: `fours` times four vectors from `from` to `out`. */
function foldWide(from: usize, to: usize, out: usize, fours: u32): void {
  for (; fours; fours--) {
    let v = v128.xor(v128.load(from), v128.load(to));
    v = v128.xor(v128.xor(v, v128.load(to, 16 * 89)), v128.load(to, 16 * 117));
    v128.store(out, v128.xor(v, v128.load(to, 16 * 155)));
    v = v128.xor(v128.load(from, 16), v128.load(to, 16));
    v = v128.xor(v128.xor(v, v128.load(to, 16 * 90)), v128.load(to, 16 * 118));
    v128.store(out, v128.xor(v, v128.load(to, 16 * 156)), 16);
    v = v128.xor(v128.load(from, 32), v128.load(to, 32));
    v = v128.xor(v128.xor(v, v128.load(to, 16 * 91)), v128.load(to, 16 * 119));
    v128.store(out, v128.xor(v, v128.load(to, 16 * 157)), 32);
    v = v128.xor(v128.load(from, 48), v128.load(to, 48));
    v = v128.xor(v128.xor(v, v128.load(to, 16 * 92)), v128.load(to, 16 * 120));
    v128.store(out, v128.xor(v, v128.load(to, 16 * 158)), 48);
    from += 64;
    to += 64;
    out += 64;
  }
}

/** Digits of 8 bytes, Q = x^137 + x^84 + x^80 + x^70 + x^29 + x^8 + 1. */
function foldMiddle(from: usize, to: usize, out: usize, vectors: u32): void {
  for (; vectors; vectors--) {
    let v = v128.xor(v128.load(from), v128.load(to));
    v = v128.xor(v128.xor(v, v128.load(to, 8 * 8)), v128.load(to, 8 * 29));
    v = v128.xor(v128.xor(v, v128.load(to, 8 * 70)), v128.load(to, 8 * 80));
    v128.store(out, v128.xor(v, v128.load(to, 8 * 84)));
    from += 16;
    to += 16;
    out += 16;
  }
}

/** Digits of 4 bytes, Q = x^42 + x^30 + x^26 + x^24 + x^21 + x^18 + x^13 + x^8 + x^7 + x^5 + x^3 + 1. */
function foldNarrow(from: usize, to: usize, out: usize, vectors: u32): void {
  for (; vectors; vectors--) {
    let v = v128.xor(v128.load(from), v128.load(to));
    v = v128.xor(v128.xor(v, v128.load(to, 4 * 3)), v128.load(to, 4 * 5));
    v = v128.xor(v128.xor(v, v128.load(to, 4 * 7)), v128.load(to, 4 * 8));
    v = v128.xor(v128.xor(v, v128.load(to, 4 * 13)), v128.load(to, 4 * 18));
    v = v128.xor(v128.xor(v, v128.load(to, 4 * 21)), v128.load(to, 4 * 24));
    v = v128.xor(v128.xor(v, v128.load(to, 4 * 26)), v128.load(to, 4 * 30));
    v128.store(out, v);
    from += 16;
    to += 16;
    out += 16;
  }
}

/** A loop and not `memory.fill`, which is a call out of the module and slower for so few. */
// @ts-ignore: decorator
@inline
function clear(at: usize, vectors: u32): void {
  for (const end = at + (vectors << 4); at < end; at += 16) v128.store(at, i64x2.splat(0));
}

/*
 * What a level does around its recurrence. In front of o[0] lie deg(Q) digits that are zero, but for the first: it
 * only reaches o[0], so the CRC that the message continues goes there. The last deg(Q) digits are not cleared, but
 * receive what is due from those that were: the same recurrence, with zeros for the o that there are not.
 * Each takes `vectors` vectors at `from`, continues `state`, and returns how many it left at its `_OUT`.
 */

/** At least 304 vectors. The o of long messages go round in a buffer that stays in the cache. */
export function reduceWide(from: usize, vectors: u32, state: u32): u32 {
  const fours = (vectors - WIDE_VECTORS) >> 2;
  memory.fill(CRC_WIDE, 0, WIDE_BYTES);
  store<u32>(CRC_WIDE, state);
  let done: usize = 0;
  for (let left = fours; left; ) {
    if (done) memory.copy(CRC_WIDE, CRC_WIDE + done, WIDE_BYTES);
    const now = min(left, CRC_WIDE_BLOCK / 4);
    foldWide(from, CRC_WIDE, CRC_WIDE + WIDE_BYTES, now);
    done = now << 6;
    from += done;
    left -= now;
  }
  clear(CRC_WIDE + done + WIDE_BYTES, WIDE_VECTORS);
  foldWide(from, CRC_WIDE + done, CRC_WIDE_OUT, WIDE_VECTORS >> 2);
  const more = (vectors - WIDE_VECTORS) & 3;
  for (let i: u32 = 0; i < more << 4; i += 16) {
    v128.store(CRC_WIDE_OUT + WIDE_BYTES + i, v128.load(from + WIDE_BYTES + i));
  }
  return WIDE_VECTORS + more;
}

/** At least 69 vectors, at most `CRC_MIDDLE_MOST`. */
export function reduceMiddle(from: usize, vectors: u32, state: u32): u32 {
  const cleared = vectors - MIDDLE_VECTORS;
  const last = CRC_MIDDLE + (cleared << 4);
  store<u32>(CRC_MIDDLE, state);
  foldMiddle(from, CRC_MIDDLE, CRC_MIDDLE + MIDDLE_BYTES, cleared);
  clear(last + MIDDLE_BYTES, MIDDLE_VECTORS);
  foldMiddle(from + (cleared << 4), last, CRC_MIDDLE_OUT, MIDDLE_VECTORS);
  return MIDDLE_VECTORS;
}

/** At least 11 vectors, at most `CRC_NARROW_MOST`. */
export function reduceNarrow(from: usize, vectors: u32, state: u32): u32 {
  const cleared = vectors - NARROW_VECTORS;
  const last = CRC_NARROW + (cleared << 4);
  store<u32>(CRC_NARROW, state);
  foldNarrow(from, CRC_NARROW, CRC_NARROW + NARROW_BYTES, cleared);
  clear(last + NARROW_BYTES, NARROW_VECTORS);
  foldNarrow(from + (cleared << 4), last, CRC_NARROW_OUT, NARROW_VECTORS);
  return NARROW_VECTORS;
}
