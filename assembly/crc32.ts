/** CRC-32/MPEG-2 (spec chapter 01 §7.3, §12): polynomial 0x04C11DB7, no reflection, no final XOR. */
import { reduceMiddle, reduceNarrow, reduceWide } from './crc32-fold';
import { CRC_MIDDLE_MOST, CRC_MIDDLE_OUT, CRC_NARROW_MOST, CRC_NARROW_OUT, CRC_TABLES, CRC_WIDE_OUT } from './layout';

const POLYNOMIAL: u32 = 0x04c11db7;

/** Fills the tables; called once per instance. */
export function prepareCrc32(): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (POLYNOMIAL & (0 - (crc >> 31)));
    store<u32>(CRC_TABLES + (byte << 2), bswap(crc));
  }
  for (let k: u32 = 1; k < 16; k++) {
    for (let byte: u32 = 0; byte < 256; byte++) {
      const before = load<u32>(CRC_TABLES + ((k - 1) << 10) + (byte << 2));
      store<u32>(CRC_TABLES + (k << 10) + (byte << 2), (before >> 8) ^ load<u32>(CRC_TABLES + ((before & 0xff) << 2)));
    }
  }
}

/** The four bytes of `word`, of which the last has `k` bytes behind it. */
// @ts-ignore: decorator
@inline
function look(k: usize, word: u32): u32 {
  return (
    load<u32>(CRC_TABLES + ((k + 3) << 10) + ((word << 2) & 0x3fc)) ^
    load<u32>(CRC_TABLES + ((k + 2) << 10) + ((word >> 6) & 0x3fc)) ^
    load<u32>(CRC_TABLES + ((k + 1) << 10) + ((word >> 14) & 0x3fc)) ^
    load<u32>(CRC_TABLES + (k << 10) + ((word >> 22) & 0x3fc))
  );
}

/**
 * Table look-up, 16 bytes at a time ("slicing", Kounavis and Berry 2005). The state and the tables are byte-swapped, so
 * that words are used as loaded.
 */
function sliceBy16(at: usize, length: usize, state: u32): u32 {
  const end = at + length;
  for (; at + 16 <= end; at += 16) {
    const later = look(0, load<u32>(at, 12)) ^ look(4, load<u32>(at, 8)) ^ look(8, load<u32>(at, 4));
    state = later ^ look(12, load<u32>(at) ^ state);
  }
  for (; at < end; at++) {
    state = (state >> 8) ^ load<u32>(CRC_TABLES + (((state ^ load<u8>(at)) & 0xff) << 2));
  }
  return state;
}

/** From how many vectors (of 16 bytes) on each level of folding pays, measured. */
const WIDE_FROM: u32 = CRC_MIDDLE_MOST;
const MIDDLE_FROM: u32 = CRC_NARROW_MOST;
const NARROW_FROM: u32 = 20;

/** Continues `crc` over `length` bytes at `at`. */
export function crc32(at: usize, length: u32, crc: u32): u32 {
  let state = bswap(crc);
  let vectors = length >> 4;
  if (vectors < NARROW_FROM) return bswap(sliceBy16(at, length, state));
  const rest = at + (vectors << 4);
  if (vectors >= WIDE_FROM) {
    vectors = reduceWide(at, vectors, state);
    at = CRC_WIDE_OUT;
    state = 0;
  }
  if (vectors >= MIDDLE_FROM) {
    vectors = reduceMiddle(at, vectors, state);
    at = CRC_MIDDLE_OUT;
    state = 0;
  }
  vectors = reduceNarrow(at, vectors, state);
  state = sliceBy16(CRC_NARROW_OUT, vectors << 4, 0);
  return bswap(sliceBy16(rest, length & 15, state));
}
