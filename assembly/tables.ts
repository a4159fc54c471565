/**
 * Chips as tables of content numbers, for sweeps. A sweep keeps every distinct sector content once and gives it a number,
 * so that a chip is one word for each sector, a fork is a copy of that table, and equal sectors have equal words. Erasing a
 * sector and programming the whole of another one's content into it leaves exactly that content, hence eboot's copy of a
 * sector is the copy of a word.
 *
 * `crcs` has, for each content number, the CRC-32/MPEG-2 of its 4096 bytes that starts from 0. The CRC is linear:
 * the CRC of A followed by B is that of A taken through 4096 zero bytes, XOR that of B from 0. `shift` has that linear map
 * as four tables of 256 words, one for each byte of the CRC.
 */

/** Copies a whole table of `sectors` words: a fork. */
export function tableFork(from: usize, to: usize, sectors: u32): void {
  memory.copy(to, from, sectors << 2);
}

/**
 * eboot's raw copy, forward, sector by sector; a source sector that was overwritten meanwhile is read as it is then.
 *
 * @param compareFirst the first sector is left alone when it is equal already
 * @returns 1 when it was
 */
export function tableCopy(table: usize, source: u32, destination: u32, count: u32, compareFirst: u32): u32 {
  let skipped: u32 = 0;
  let from = table + (source << 2);
  let to = table + (destination << 2);
  const end = from + (count << 2);
  if (compareFirst && count && load<u32>(from) == load<u32>(to)) {
    skipped = 1;
    from += 4;
    to += 4;
  }
  for (; from < end; from += 4, to += 4) store<u32>(to, load<u32>(from));
  return skipped;
}

/** Index of the first of `count` words that differ, or `count`. */
export function tableDifference(left: usize, right: usize, count: u32): u32 {
  let i: u32 = 0;
  for (; i + 4 <= count; i += 4, left += 16, right += 16) {
    if (v128.any_true(v128.xor(v128.load(left), v128.load(right)))) break;
  }
  for (; i < count; i++, left += 4, right += 4) if (load<u32>(left) != load<u32>(right)) break;
  return i;
}

/** Continues `crc` over `count` sectors of a table from sector `first` on. */
export function tableCrc(table: usize, first: u32, count: u32, crcs: usize, shift: usize, crc: u32): u32 {
  let at = table + (first << 2);
  const end = at + (count << 2);
  for (; at < end; at += 4) {
    crc =
      load<u32>(shift + ((crc & 0xff) << 2)) ^
      load<u32>(shift + (((crc >> 8) & 0xff) << 2), 1024) ^
      load<u32>(shift + (((crc >> 16) & 0xff) << 2), 2048) ^
      load<u32>(shift + ((crc >> 24) << 2), 3072) ^
      load<u32>(crcs + (load<u32>(at) << 2));
  }
  return crc;
}
