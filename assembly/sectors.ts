/**
 * The copy-on-write sector store: the bytes of one chip, of which branches are cheap.
 *
 * A page table says where each sector's bytes are: in the base (the chip as it is without branches) or in the arena.
 * The first change of a sector inside a branch claims the next page of the arena and notes the sector and where its
 * bytes were before, so the notes are the branch's undo log, and note k belongs to page k. Hence
 *   fork    remembers how many pages are in use: constant time, whatever the capacity;
 *   drop    walks the notes backwards and sets the pointer back;
 *   commit  hands the pages to the parent, into the pages it has already where it has one, and closes the gaps,
 * and memory in use is bounded by (sectors changed) x (branches open), however many branches come and go.
 *
 * The arena consists of chunks: one sector of notes (8 bytes each), then the 512 pages they belong to.
 */
import { crc32 } from './crc32';
import { SECTOR_BYTES, SECTOR_SHIFT, TRANSFER, TRANSFER_BYTES } from './layout';
import { md5Update } from './md5';
import { equalBytes, isBlank, norProgram } from './nor';

const NOTE_BYTES: u32 = 8;
const CHUNK_PAGES: u32 = SECTOR_BYTES / NOTE_BYTES;
const CHUNK_BYTES: u32 = (CHUNK_PAGES + 1) * SECTOR_BYTES;
/** Shorter pieces than this are gathered before the CRC, which is much faster on long ranges. */
const GATHER_BELOW: u32 = 0x4000;
const WASM_PAGE_SHIFT: u32 = 16;
/** The arena grows by this many WASM pages at a time (1 MiB). */
const GROWTH: i32 = 16;

let table: usize = 0;
let marks: usize = 0;
let arena: usize = 0;
let arenaEnd: usize = 0;
let depth: u32 = 0;
/** Arena pages in use. */
let used: u32 = 0;
/** A sector whose page lies below this address belongs to a parent of the open branch. */
let ownedFrom: usize = 0;

// @ts-ignore: decorator
@inline
function pageAddress(page: u32): usize {
  return arena + (page / CHUNK_PAGES) * CHUNK_BYTES + SECTOR_BYTES + (page % CHUNK_PAGES) * SECTOR_BYTES;
}

// @ts-ignore: decorator
@inline
function noteAddress(page: u32): usize {
  return arena + (page / CHUNK_PAGES) * CHUNK_BYTES + (page % CHUNK_PAGES) * NOTE_BYTES;
}

// @ts-ignore: decorator
@inline
function entry(sector: u32): usize {
  return table + (sector << 2);
}

/** Takes the places the host chose: `sectors` words at `tableAt`, the base at `baseAt`, the arena from `arenaAt` on. */
export function storePlace(tableAt: usize, marksAt: usize, baseAt: usize, arenaAt: usize, sectors: u32): void {
  table = tableAt;
  marks = marksAt;
  arena = arenaAt;
  arenaEnd = (memory.size() as usize) << WASM_PAGE_SHIFT;
  depth = 0;
  used = 0;
  ownedFrom = 0;
  for (let sector: u32 = 0; sector < sectors; sector++) store<u32>(entry(sector), baseAt + (sector << SECTOR_SHIFT));
  memory.fill(baseAt, 0xff, sectors << SECTOR_SHIFT);
}

/** Opens a branch; returns the new depth. */
export function storeFork(): u32 {
  store<u32>(marks + (depth << 2), used);
  depth++;
  ownedFrom = pageAddress(used);
  return depth;
}

// @ts-ignore: decorator
@inline
function leave(): void {
  depth--;
  ownedFrom = depth == 0 ? 0 : pageAddress(load<u32>(marks + ((depth - 1) << 2)));
}

/** Forgets the open branch. */
export function storeDrop(): void {
  const mark = load<u32>(marks + ((depth - 1) << 2));
  while (used > mark) {
    used--;
    const note = noteAddress(used);
    store<u32>(entry(load<u32>(note)), load<u32>(note, 4));
  }
  leave();
}

/** Makes the open branch its parent's content. */
export function storeCommit(): void {
  const mark = load<u32>(marks + ((depth - 1) << 2));
  leave();
  let kept = mark;
  for (let page = mark; page < used; page++) {
    const note = noteAddress(page);
    const sector = load<u32>(note);
    const before: usize = load<u32>(note, 4);
    if (before >= ownedFrom) {
      memory.copy(before, pageAddress(page), SECTOR_BYTES);
      store<u32>(entry(sector), before);
      continue;
    }
    if (kept != page) {
      memory.copy(pageAddress(kept), pageAddress(page), SECTOR_BYTES);
      store<u64>(noteAddress(kept), load<u64>(note));
      store<u32>(entry(sector), pageAddress(kept));
    }
    kept++;
  }
  used = kept;
}

/** How many sectors the open branch has changed; with {@link storeTouched} their list. */
export function storeTouchedCount(): u32 {
  return depth == 0 ? 0 : used - load<u32>(marks + ((depth - 1) << 2));
}

/** The sector that the open branch changed as its `index`th. */
export function storeTouched(index: u32): u32 {
  return load<u32>(noteAddress(load<u32>(marks + ((depth - 1) << 2)) + index));
}

/** A page for a sector of which the open branch has none yet; what it holds is undefined. Traps when memory is out. */
function claim(sector: u32): usize {
  const page = pageAddress(used);
  if (page + SECTOR_BYTES > arenaEnd) {
    if (memory.grow(GROWTH) < 0 && memory.grow(1) < 0) unreachable();
    arenaEnd = (memory.size() as usize) << WASM_PAGE_SHIFT;
  }
  const note = noteAddress(used);
  store<u32>(note, sector);
  store<u32>(note, load<u32>(entry(sector)), 4);
  store<u32>(entry(sector), page);
  used++;
  return page;
}

/** The branch's own page of a sector, for somebody who is going to set every byte of it. */
// @ts-ignore: decorator
@inline
function pageToFill(sector: u32): usize {
  const page: usize = load<u32>(entry(sector));
  return page >= ownedFrom ? page : claim(sector);
}

/** The branch's own page of a sector, with the sector's bytes in it. */
// @ts-ignore: decorator
@inline
function pageToChange(sector: u32): usize {
  const page: usize = load<u32>(entry(sector));
  if (page >= ownedFrom) return page;
  const own = claim(sector);
  memory.copy(own, page, SECTOR_BYTES);
  return own;
}

/** The bytes from `address` to the end of its sector, at most `length`. */
// @ts-ignore: decorator
@inline
function inSector(address: u32, length: u32): u32 {
  return min(SECTOR_BYTES - (address & (SECTOR_BYTES - 1)), length);
}

/** Where the byte at `address` is now. */
export function storeAt(address: u32): usize {
  return load<u32>(entry(address >> SECTOR_SHIFT)) + (address & (SECTOR_BYTES - 1));
}

/** How many bytes from `address` on, at most `length`, lie in linear memory one after the other. */
export function storeRun(address: u32, length: u32): u32 {
  let run = inSector(address, length);
  let next = entry((address >> SECTOR_SHIFT) + 1);
  let expected = load<u32>(next - 4) + SECTOR_BYTES;
  while (run < length && load<u32>(next) == expected) {
    run += min(SECTOR_BYTES, length - run);
    expected += SECTOR_BYTES;
    next += 4;
  }
  return run;
}

/** NOR program of any range; returns the bits that were asked to go 0 -> 1 and stayed 0. */
export function storeProgram(address: u32, source: usize, length: u32): u32 {
  let stuckBits: u32 = 0;
  while (length) {
    const take = inSector(address, length);
    const page = pageToChange(address >> SECTOR_SHIFT);
    stuckBits += norProgram(page + (address & (SECTOR_BYTES - 1)), source, take);
    address += take;
    source += take;
    length -= take;
  }
  return stuckBits;
}

/** Sets bytes to whatever is given. */
export function storeOverwrite(address: u32, source: usize, length: u32): void {
  while (length) {
    const take = inSector(address, length);
    const sector = address >> SECTOR_SHIFT;
    const page = take == SECTOR_BYTES ? pageToFill(sector) : pageToChange(sector);
    memory.copy(page + (address & (SECTOR_BYTES - 1)), source, take);
    address += take;
    source += take;
    length -= take;
  }
}

/** Erases a sector. The old bytes are not looked at. */
export function storeErase(sector: u32): void {
  memory.fill(pageToFill(sector), 0xff, SECTOR_BYTES);
}

/** What erasing `to` and programming the bytes of `from` into it leaves. */
export function storeCopySector(from: u32, to: u32): void {
  if (from == to) {
    pageToChange(to);
    return;
  }
  const page = pageToFill(to);
  memory.copy(page, load<u32>(entry(from)), SECTOR_BYTES);
}

/** Copies a range out of the store. */
export function storeRead(address: u32, target: usize, length: u32): void {
  while (length) {
    const take = inSector(address, length);
    memory.copy(target, storeAt(address), take);
    address += take;
    target += take;
    length -= take;
  }
}

/** 1 when every byte of the range is 0xFF. */
export function storeIsBlank(address: u32, length: u32): bool {
  while (length) {
    const take = inSector(address, length);
    if (!isBlank(storeAt(address), take)) return false;
    address += take;
    length -= take;
  }
  return true;
}

/** 1 when the range holds the bytes at `other`. */
export function storeEquals(address: u32, other: usize, length: u32): bool {
  while (length) {
    const take = inSector(address, length);
    if (!equalBytes(storeAt(address), other, take)) return false;
    address += take;
    other += take;
    length -= take;
  }
  return true;
}

/** Continues `crc` over a range. */
export function storeCrc32(address: u32, length: u32, crc: u32): u32 {
  while (length) {
    let run = storeRun(address, length);
    if (run == length || run >= GATHER_BELOW) {
      crc = crc32(storeAt(address), run, crc);
    } else {
      run = min(length, TRANSFER_BYTES as u32);
      storeRead(address, TRANSFER, run);
      crc = crc32(TRANSFER, run, crc);
    }
    address += run;
    length -= run;
  }
  return crc;
}

/** Adds a range to the MD5 stream at `state`. */
export function storeMd5Update(state: usize, address: u32, length: u32): void {
  while (length) {
    const run = storeRun(address, length);
    md5Update(state, storeAt(address), run);
    address += run;
    length -= run;
  }
}
