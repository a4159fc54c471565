/**
 * Linear memory of the LX106 module as a table: each region starts where the last ends. What makes up the state of the
 * core is one block, so that a snapshot is three copies: core, DRAM, IRAM. Nothing is allocated: memory never grows, and
 * views of it stay good.
 */

/** Windows of the address space. Spec chapter 07 §4. */
export const DRAM_START: u32 = 0x3ffe8000;
export const DRAM_BYTES: u32 = 0x18000;
export const IRAM_START: u32 = 0x40100000;
export const IRAM_BYTES: u32 = 0x10000;
export const ROM_START: u32 = 0x40000000;
export const ROM_BYTES: u32 = 0x10000;
/** Nothing may be read, written or executed below. */
export const REGION_0_END: u32 = 0x20000000;

/** The first KiB stays unused: a forgotten pointer hits nothing, and the compiler puts constants there. */
export const CORE: usize = 1024;
/** a0..a15; and then, so that handlers can take them for registers, B4CONST, B4CONSTU, and 0. */
export const REGISTERS: usize = CORE;
export const B4CONST_AT: u32 = 16;
export const B4CONSTU_AT: u32 = 32;
export const ZERO_AT: u32 = 48;
export const PC: usize = REGISTERS + 49 * 4;
/** 1 while the core sleeps in WAITI. */
export const WAITING: usize = PC + 4;
/** Instructions executed, a float64: the host reads it as a number, and 2^53 steps take years. */
export const STEPS: usize = WAITING + 8;
/** Levels of the interrupt lines, one bit each. */
export const LINES: usize = STEPS + 8;
/** 1 when `run` has reported the breakpoint at pc, so that the next `run` passes it. */
export const REPORTED: usize = LINES + 4;
/** Special registers by number, a word each. */
export const SPECIAL: usize = CORE + 256;
export const CORE_BYTES: usize = 256 + 1024;

/** What the host set up, and what one call leaves for the next line of code: no part of a snapshot. */
export const ROM_TRAPS: usize = CORE + CORE_BYTES;
export const HAS_DEVICES: usize = ROM_TRAPS + 4;
/** Cause of a data access that failed, 0xFF when it was served. */
export const FAULT: usize = HAS_DEVICES + 4;
/** Cycles of the instruction just executed, above its first. */
export const EXTRA_CYCLES: usize = FAULT + 4;

/** One bit for each byte of IRAM: a breakpoint is there. */
export const BREAKPOINTS: usize = ROM_TRAPS + 128;
export const BREAKPOINTS_BYTES: usize = IRAM_BYTES / 8;

export const DRAM: usize = BREAKPOINTS + BREAKPOINTS_BYTES + 64;
/** An instruction is fetched as one word, which may reach behind the last byte. */
export const IRAM: usize = DRAM + DRAM_BYTES;

/**
 * Decoded instructions: one entry for each byte of IRAM, since an instruction may begin at any byte. All zero means that
 * nothing is decoded there. Behind the last entry are some that stay so.
 *
 * | byte | content                                                                     |
 * |------|-----------------------------------------------------------------------------|
 * | 0    | which handler of `run.ts`, see `ops.ts`                                      |
 * | 1..3 | numbers of the registers r, s, t, times 4; or a small constant               |
 * | 4..7 | constant: immediate, offset, or address of the entry that is jumped to       |
 */
export const ENTRIES: usize = IRAM + IRAM_BYTES + 64;
export const ENTRY_SHIFT: u32 = 3;
export const ENTRY_BYTES: usize = 1 << ENTRY_SHIFT;
export const SPARE_ENTRIES: usize = 16;

/** Where the host puts the IRAM of a snapshot. */
export const TRANSFER: usize = ENTRIES + ((IRAM_BYTES as usize) + SPARE_ENTRIES) * ENTRY_BYTES;

export const END: usize = TRANSFER + IRAM_BYTES;
