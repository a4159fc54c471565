/** MD5 of four independent streams, one per SIMD lane. Round functions as in md5.ts. */
import { MD5X4_STATE } from './layout';

const BLOCK_BYTES: u32 = 64;

/** The constants of RFC 1321 §3.4 once more. A load spreads one over the lanes faster than an immediate gets there. */
const SINES: usize = memory.data<u32>([
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
  0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
  0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
  0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
  0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
  0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
  0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
  0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
]);

// @ts-ignore: decorator
@inline
function turn(a: v128, x: v128, t: v128, mix: v128, s: i32, b: v128): v128 {
  const sum = i32x4.add(i32x4.add(i32x4.add(a, x), t), mix);
  return i32x4.add(v128.or(i32x4.shl(sum, s), i32x4.shr_u(sum, 32 - s)), b);
}

// @ts-ignore: decorator
@inline
function f(a: v128, b: v128, c: v128, d: v128, x: v128, s: i32, t: v128): v128 {
  return turn(a, x, t, v128.xor(d, v128.and(b, v128.xor(c, d))), s, b);
}

// @ts-ignore: decorator
@inline
function g(a: v128, b: v128, c: v128, d: v128, x: v128, s: i32, t: v128): v128 {
  return turn(i32x4.add(a, v128.andnot(c, d)), x, t, v128.and(b, d), s, b);
}

// @ts-ignore: decorator
@inline
function h(a: v128, b: v128, c: v128, d: v128, x: v128, s: i32, t: v128): v128 {
  return turn(a, x, t, v128.xor(b, v128.xor(c, d)), s, b);
}

// @ts-ignore: decorator
@inline
function i(a: v128, b: v128, c: v128, d: v128, x: v128, s: i32, t: v128): v128 {
  return turn(a, x, t, v128.xor(c, v128.or(b, v128.not(d))), s, b);
}

/** Starts all four lanes. */
export function md5x4Start(): void {
  v128.store(MD5X4_STATE, i32x4.splat(0x67452301));
  v128.store(MD5X4_STATE, i32x4.splat(0xefcdab89), 16);
  v128.store(MD5X4_STATE, i32x4.splat(0x98badcfe), 32);
  v128.store(MD5X4_STATE, i32x4.splat(0x10325476), 48);
}

/**
 * Takes whole blocks into each lane: `count0` blocks at `at0` into lane 0, and so on. Lanes may have different counts;
 * one that is through keeps its state while the others go on.
 */
export function md5x4Blocks(
  at0: usize, at1: usize, at2: usize, at3: usize,
  count0: u32, count1: u32, count2: u32, count3: u32,
): void {
  let a0 = v128.load(MD5X4_STATE);
  let b0 = v128.load(MD5X4_STATE, 16);
  let c0 = v128.load(MD5X4_STATE, 32);
  let d0 = v128.load(MD5X4_STATE, 48);
  const most = max(max(count0, count1), max(count2, count3));
  const counts = i32x4.replace_lane(
    i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(count0), 1, count1), 2, count2), 3, count3,
  );
  for (let done: u32 = 0; done < most; done++) {
    // The words of a block, as one vector each: four words of four lanes at a time, transposed.
    const r00 = v128.load(at0);
    const r01 = v128.load(at1);
    const r02 = v128.load(at2);
    const r03 = v128.load(at3);
    const l0 = v128.shuffle<i32>(r00, r01, 0, 4, 1, 5);
    const m0 = v128.shuffle<i32>(r02, r03, 0, 4, 1, 5);
    const n0 = v128.shuffle<i32>(r00, r01, 2, 6, 3, 7);
    const o0 = v128.shuffle<i32>(r02, r03, 2, 6, 3, 7);
    const x0 = v128.shuffle<i64>(l0, m0, 0, 2);
    const x1 = v128.shuffle<i64>(l0, m0, 1, 3);
    const x2 = v128.shuffle<i64>(n0, o0, 0, 2);
    const x3 = v128.shuffle<i64>(n0, o0, 1, 3);
    const r10 = v128.load(at0, 16);
    const r11 = v128.load(at1, 16);
    const r12 = v128.load(at2, 16);
    const r13 = v128.load(at3, 16);
    const l1 = v128.shuffle<i32>(r10, r11, 0, 4, 1, 5);
    const m1 = v128.shuffle<i32>(r12, r13, 0, 4, 1, 5);
    const n1 = v128.shuffle<i32>(r10, r11, 2, 6, 3, 7);
    const o1 = v128.shuffle<i32>(r12, r13, 2, 6, 3, 7);
    const x4 = v128.shuffle<i64>(l1, m1, 0, 2);
    const x5 = v128.shuffle<i64>(l1, m1, 1, 3);
    const x6 = v128.shuffle<i64>(n1, o1, 0, 2);
    const x7 = v128.shuffle<i64>(n1, o1, 1, 3);
    const r20 = v128.load(at0, 32);
    const r21 = v128.load(at1, 32);
    const r22 = v128.load(at2, 32);
    const r23 = v128.load(at3, 32);
    const l2 = v128.shuffle<i32>(r20, r21, 0, 4, 1, 5);
    const m2 = v128.shuffle<i32>(r22, r23, 0, 4, 1, 5);
    const n2 = v128.shuffle<i32>(r20, r21, 2, 6, 3, 7);
    const o2 = v128.shuffle<i32>(r22, r23, 2, 6, 3, 7);
    const x8 = v128.shuffle<i64>(l2, m2, 0, 2);
    const x9 = v128.shuffle<i64>(l2, m2, 1, 3);
    const x10 = v128.shuffle<i64>(n2, o2, 0, 2);
    const x11 = v128.shuffle<i64>(n2, o2, 1, 3);
    const r30 = v128.load(at0, 48);
    const r31 = v128.load(at1, 48);
    const r32 = v128.load(at2, 48);
    const r33 = v128.load(at3, 48);
    const l3 = v128.shuffle<i32>(r30, r31, 0, 4, 1, 5);
    const m3 = v128.shuffle<i32>(r32, r33, 0, 4, 1, 5);
    const n3 = v128.shuffle<i32>(r30, r31, 2, 6, 3, 7);
    const o3 = v128.shuffle<i32>(r32, r33, 2, 6, 3, 7);
    const x12 = v128.shuffle<i64>(l3, m3, 0, 2);
    const x13 = v128.shuffle<i64>(l3, m3, 1, 3);
    const x14 = v128.shuffle<i64>(n3, o3, 0, 2);
    const x15 = v128.shuffle<i64>(n3, o3, 1, 3);
    let a = a0;
    let b = b0;
    let c = c0;
    let d = d0;
    // Round 1
    a = f(a, b, c, d, x0, 7, v128.load32_splat(SINES, 0));
    d = f(d, a, b, c, x1, 12, v128.load32_splat(SINES, 4));
    c = f(c, d, a, b, x2, 17, v128.load32_splat(SINES, 8));
    b = f(b, c, d, a, x3, 22, v128.load32_splat(SINES, 12));
    a = f(a, b, c, d, x4, 7, v128.load32_splat(SINES, 16));
    d = f(d, a, b, c, x5, 12, v128.load32_splat(SINES, 20));
    c = f(c, d, a, b, x6, 17, v128.load32_splat(SINES, 24));
    b = f(b, c, d, a, x7, 22, v128.load32_splat(SINES, 28));
    a = f(a, b, c, d, x8, 7, v128.load32_splat(SINES, 32));
    d = f(d, a, b, c, x9, 12, v128.load32_splat(SINES, 36));
    c = f(c, d, a, b, x10, 17, v128.load32_splat(SINES, 40));
    b = f(b, c, d, a, x11, 22, v128.load32_splat(SINES, 44));
    a = f(a, b, c, d, x12, 7, v128.load32_splat(SINES, 48));
    d = f(d, a, b, c, x13, 12, v128.load32_splat(SINES, 52));
    c = f(c, d, a, b, x14, 17, v128.load32_splat(SINES, 56));
    b = f(b, c, d, a, x15, 22, v128.load32_splat(SINES, 60));
    // Round 2
    a = g(a, b, c, d, x1, 5, v128.load32_splat(SINES, 64));
    d = g(d, a, b, c, x6, 9, v128.load32_splat(SINES, 68));
    c = g(c, d, a, b, x11, 14, v128.load32_splat(SINES, 72));
    b = g(b, c, d, a, x0, 20, v128.load32_splat(SINES, 76));
    a = g(a, b, c, d, x5, 5, v128.load32_splat(SINES, 80));
    d = g(d, a, b, c, x10, 9, v128.load32_splat(SINES, 84));
    c = g(c, d, a, b, x15, 14, v128.load32_splat(SINES, 88));
    b = g(b, c, d, a, x4, 20, v128.load32_splat(SINES, 92));
    a = g(a, b, c, d, x9, 5, v128.load32_splat(SINES, 96));
    d = g(d, a, b, c, x14, 9, v128.load32_splat(SINES, 100));
    c = g(c, d, a, b, x3, 14, v128.load32_splat(SINES, 104));
    b = g(b, c, d, a, x8, 20, v128.load32_splat(SINES, 108));
    a = g(a, b, c, d, x13, 5, v128.load32_splat(SINES, 112));
    d = g(d, a, b, c, x2, 9, v128.load32_splat(SINES, 116));
    c = g(c, d, a, b, x7, 14, v128.load32_splat(SINES, 120));
    b = g(b, c, d, a, x12, 20, v128.load32_splat(SINES, 124));
    // Round 3
    a = h(a, b, c, d, x5, 4, v128.load32_splat(SINES, 128));
    d = h(d, a, b, c, x8, 11, v128.load32_splat(SINES, 132));
    c = h(c, d, a, b, x11, 16, v128.load32_splat(SINES, 136));
    b = h(b, c, d, a, x14, 23, v128.load32_splat(SINES, 140));
    a = h(a, b, c, d, x1, 4, v128.load32_splat(SINES, 144));
    d = h(d, a, b, c, x4, 11, v128.load32_splat(SINES, 148));
    c = h(c, d, a, b, x7, 16, v128.load32_splat(SINES, 152));
    b = h(b, c, d, a, x10, 23, v128.load32_splat(SINES, 156));
    a = h(a, b, c, d, x13, 4, v128.load32_splat(SINES, 160));
    d = h(d, a, b, c, x0, 11, v128.load32_splat(SINES, 164));
    c = h(c, d, a, b, x3, 16, v128.load32_splat(SINES, 168));
    b = h(b, c, d, a, x6, 23, v128.load32_splat(SINES, 172));
    a = h(a, b, c, d, x9, 4, v128.load32_splat(SINES, 176));
    d = h(d, a, b, c, x12, 11, v128.load32_splat(SINES, 180));
    c = h(c, d, a, b, x15, 16, v128.load32_splat(SINES, 184));
    b = h(b, c, d, a, x2, 23, v128.load32_splat(SINES, 188));
    // Round 4
    a = i(a, b, c, d, x0, 6, v128.load32_splat(SINES, 192));
    d = i(d, a, b, c, x7, 10, v128.load32_splat(SINES, 196));
    c = i(c, d, a, b, x14, 15, v128.load32_splat(SINES, 200));
    b = i(b, c, d, a, x5, 21, v128.load32_splat(SINES, 204));
    a = i(a, b, c, d, x12, 6, v128.load32_splat(SINES, 208));
    d = i(d, a, b, c, x3, 10, v128.load32_splat(SINES, 212));
    c = i(c, d, a, b, x10, 15, v128.load32_splat(SINES, 216));
    b = i(b, c, d, a, x1, 21, v128.load32_splat(SINES, 220));
    a = i(a, b, c, d, x8, 6, v128.load32_splat(SINES, 224));
    d = i(d, a, b, c, x15, 10, v128.load32_splat(SINES, 228));
    c = i(c, d, a, b, x6, 15, v128.load32_splat(SINES, 232));
    b = i(b, c, d, a, x13, 21, v128.load32_splat(SINES, 236));
    a = i(a, b, c, d, x4, 6, v128.load32_splat(SINES, 240));
    d = i(d, a, b, c, x11, 10, v128.load32_splat(SINES, 244));
    c = i(c, d, a, b, x2, 15, v128.load32_splat(SINES, 248));
    b = i(b, c, d, a, x9, 21, v128.load32_splat(SINES, 252));
    const active = i32x4.gt_u(counts, i32x4.splat(done));
    a0 = i32x4.add(a0, v128.and(a, active));
    b0 = i32x4.add(b0, v128.and(b, active));
    c0 = i32x4.add(c0, v128.and(c, active));
    d0 = i32x4.add(d0, v128.and(d, active));
    // A lane that is through reads its last block again and throws the result away.
    if (done + 1 < count0) at0 += BLOCK_BYTES;
    if (done + 1 < count1) at1 += BLOCK_BYTES;
    if (done + 1 < count2) at2 += BLOCK_BYTES;
    if (done + 1 < count3) at3 += BLOCK_BYTES;
  }
  v128.store(MD5X4_STATE, a0);
  v128.store(MD5X4_STATE, b0, 16);
  v128.store(MD5X4_STATE, c0, 32);
  v128.store(MD5X4_STATE, d0, 48);
}
