/** What a NOR chip does to its cells, and the questions one asks of them. All ranges may have any alignment. */

/** How many bits of four vectors are 1, as four sums that are still to be added. */
// @ts-ignore: decorator
@inline
function countBits(a: v128, b: v128, c: v128, d: v128): v128 {
  const bytes = i8x16.add(
    i8x16.add(i8x16.popcnt(a), i8x16.popcnt(b)),
    i8x16.add(i8x16.popcnt(c), i8x16.popcnt(d)),
  );
  return i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(bytes));
}

/**
 * Clears bits of `target` where `source` has zeros; returns the bits that were asked to go 0 -> 1 and stayed 0. A sound
 * driver asks for none, so counting is behind one test for each 64 bytes.
 */
export function norProgram(target: usize, source: usize, length: u32): u32 {
  let sums = i32x4.splat(0);
  const end = target + length;
  for (; target + 64 <= end; target += 64, source += 64) {
    const before0 = v128.load(target);
    const wanted0 = v128.load(source);
    const stuck0 = v128.andnot(wanted0, before0);
    v128.store(target, v128.and(before0, wanted0));
    const before1 = v128.load(target, 16);
    const wanted1 = v128.load(source, 16);
    const stuck1 = v128.andnot(wanted1, before1);
    v128.store(target, v128.and(before1, wanted1), 16);
    const before2 = v128.load(target, 32);
    const wanted2 = v128.load(source, 32);
    const stuck2 = v128.andnot(wanted2, before2);
    v128.store(target, v128.and(before2, wanted2), 32);
    const before3 = v128.load(target, 48);
    const wanted3 = v128.load(source, 48);
    const stuck3 = v128.andnot(wanted3, before3);
    v128.store(target, v128.and(before3, wanted3), 48);
    if (v128.any_true(v128.or(v128.or(stuck0, stuck1), v128.or(stuck2, stuck3)))) {
      sums = i32x4.add(sums, countBits(stuck0, stuck1, stuck2, stuck3));
    }
  }
  let stuckBits: u32 =
    i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3);
  for (; target + 8 <= end; target += 8, source += 8) {
    const before = load<u64>(target);
    const wanted = load<u64>(source);
    store<u64>(target, before & wanted);
    stuckBits += popcnt<u64>(wanted & ~before) as u32;
  }
  for (; target < end; target++, source++) {
    const before: u32 = load<u8>(target);
    const wanted: u32 = load<u8>(source);
    store<u8>(target, before & wanted);
    stuckBits += popcnt<u32>(wanted & ~before);
  }
  return stuckBits;
}

/** Sets cells to 1, as an erase does. */
export function norErase(target: usize, length: u32): void {
  memory.fill(target, 0xff, length);
}

/** Copies bytes; the ranges may overlap. */
export function copyBytes(target: usize, source: usize, length: u32): void {
  memory.copy(target, source, length);
}

/** 1 when every byte is 0xFF. */
export function isBlank(at: usize, length: u32): bool {
  const end = at + length;
  while (at + 64 <= end) {
    const all = v128.and(
      v128.and(v128.load(at), v128.load(at, 16)),
      v128.and(v128.load(at, 32), v128.load(at, 48)),
    );
    if (v128.any_true(v128.not(all))) return false;
    at += 64;
  }
  while (at < end) {
    if (load<u8>(at) != 0xff) return false;
    at++;
  }
  return true;
}

/** 1 when both ranges hold the same bytes. */
export function equalBytes(left: usize, right: usize, length: u32): bool {
  const end = left + length;
  while (left + 64 <= end) {
    const differ = v128.or(
      v128.or(v128.xor(v128.load(left), v128.load(right)), v128.xor(v128.load(left, 16), v128.load(right, 16))),
      v128.or(v128.xor(v128.load(left, 32), v128.load(right, 32)), v128.xor(v128.load(left, 48), v128.load(right, 48))),
    );
    if (v128.any_true(differ)) return false;
    left += 64;
    right += 64;
  }
  while (left < end) {
    if (load<u8>(left) != load<u8>(right)) return false;
    left++;
    right++;
  }
  return true;
}
