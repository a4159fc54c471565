/**
 * Linear memory as a table: each region starts where the last ends. The regions here have a fixed size and are the
 * same in every instance; what depends on the chip's capacity (page table, base sectors, arena) is placed by the host
 * from `FIXED_END` on, see `host/sector-store.ts`.
 */

/** Smallest erase of a NOR chip, and the grain of the copy-on-write store. Spec chapter 01 §1. */
export const SECTOR_BYTES: u32 = 0x1000;
export const SECTOR_SHIFT: u32 = 12;

/** The first KiB stays unused: a forgotten pointer hits nothing, and the optimizer may make offsets of `at + 16`. */
const UNUSED_BYTES: usize = 1024;
/** Then the compiler puts the module's constant data, which is the sines of MD5. */
const CONSTANTS_BYTES: usize = 256;

export const CRC_TABLES: usize = UNUSED_BYTES + CONSTANTS_BYTES;
/** 16 tables of 256 words: `CRC_TABLES + 1024 * k + 4 * byte` is the CRC of `byte` followed by k zero bytes. */
export const CRC_TABLES_BYTES: usize = 16 * 1024;

/** What the levels of `crc32-fold.ts` leave: deg(Q) digits of 16, 8 and 4 bytes. */
export const WIDE_BYTES: usize = 300 * 16;
export const MIDDLE_BYTES: usize = 137 * 8;
export const NARROW_BYTES: usize = 42 * 4;
/** The most vectors that the two smaller levels take. */
export const CRC_MIDDLE_MOST: u32 = 2048;
export const CRC_NARROW_MOST: u32 = 160;
/** The wide level goes round in a buffer of so many vectors: with its surroundings it fits a 32 KiB data cache. */
export const CRC_WIDE_BLOCK: u32 = 1024;

/** Each level: deg(Q) digits before, one vector for each cleared, deg(Q) digits of zeros after; then what is left. */
export const CRC_WIDE: usize = CRC_TABLES + CRC_TABLES_BYTES;
export const CRC_WIDE_OUT: usize = CRC_WIDE + WIDE_BYTES + 16 * CRC_WIDE_BLOCK + WIDE_BYTES;
export const CRC_MIDDLE: usize = CRC_WIDE_OUT + WIDE_BYTES + 64;
export const CRC_MIDDLE_OUT: usize = CRC_MIDDLE + 16 * CRC_MIDDLE_MOST + 16 * 70;
export const CRC_NARROW: usize = CRC_MIDDLE_OUT + 16 * 70;
export const CRC_NARROW_OUT: usize = CRC_NARROW + 16 * CRC_NARROW_MOST + 16 * 12;

export const MD5_SLOTS: usize = CRC_NARROW_OUT + 16 * 12;
/** One stream: 4 words of state, 8 bytes of count, 64 bytes of unfinished block, 8 spare. */
export const MD5_SLOT_BYTES: usize = 96;
export const MD5_SLOT_COUNT: usize = 64;

/** Four interleaved states: word A of the lanes 0..3, then B, C and D. */
export const MD5X4_STATE: usize = MD5_SLOTS + MD5_SLOT_BYTES * MD5_SLOT_COUNT;
export const MD5X4_STATE_BYTES: usize = 64;

/** Where the host puts bytes that a kernel shall read; also where scattered sectors are gathered. */
export const TRANSFER: usize = MD5X4_STATE + MD5X4_STATE_BYTES;
export const TRANSFER_BYTES: usize = 0x10000;

export const FIXED_END: usize = TRANSFER + TRANSFER_BYTES;
