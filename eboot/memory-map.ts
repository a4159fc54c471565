/**
 * Address windows of the chip while the boot code runs (flash cache off). Source: spec chapter 01 §6.1; chapter 07 §3, §4.
 */

/** Data RAM for programs and for the ROM: 96 KiB up to 0x40000000, the stack at its top. */
export const DRAM_BASE = 0x3ffe8000;
export const DRAM_BYTES = 0x18000;
/** Instruction RAM, the 16 KiB that later serve as flash cache included. */
export const IRAM_BASE = 0x40100000;
export const IRAM_BYTES = 0x10000;
/** Where eboot's code is loaded. */
export const EBOOT_BASE = 0x4010f000;
export const ROM_BASE = 0x40000000;
export const ROM_BYTES = 0x10000;
/** RTC RAM: 256 bytes PHY, 256 bytes system, 512 bytes user. */
export const RTC_BASE = 0x60001000;
export const RTC_BYTES = 0x400;
/** Offset of the SDK's system data (the `rst_info` record) in RTC RAM. */
export const RTC_SYSTEM_OFFSET = 0x100;
/** Offset of the user memory, and with it of the eboot command, in RTC RAM. */
export const RTC_USER_OFFSET = 0x200;
export const RTC_USER_BYTES = 0x200;
/** RTC control; a write with bit 31 set is a software reset of the digital core. */
export const RTC_CONTROL = 0x60000700;
export const SWRST_BIT = 0x80000000;
/** Stack pointer at the jump from the ROM into eboot, and from eboot into the application. */
export const BOOT_STACK = 0x3ffffff0;
/** What the ROM clears at every start. */
export const ROM_BSS_START = 0x3fffdab0;
export const ROM_BSS_END = 0x3fffeb30;

/** Exception causes of the LX106 that boot code can meet. Source: spec chapter 07 §3. */
export const CAUSE_ILLEGAL_INSTRUCTION = 0;
export const CAUSE_FETCH_ERROR = 2;
export const CAUSE_LOAD_STORE_ERROR = 3;
export const CAUSE_ALIGNMENT = 9;
export const CAUSE_FETCH_PROHIBITED = 20;
export const CAUSE_STORE_PROHIBITED = 29;

export type Region = 'dram' | 'iram' | 'rtc' | 'device' | 'rom' | 'none';

interface Window {
  readonly region: Region;
  readonly start: number;
  readonly end: number;
}

const WINDOWS: readonly Window[] = [
  { region: 'device', start: 0x3ff00000, end: 0x3ff20000 },
  { region: 'dram', start: DRAM_BASE, end: DRAM_BASE + DRAM_BYTES },
  { region: 'rom', start: ROM_BASE, end: ROM_BASE + ROM_BYTES },
  { region: 'iram', start: IRAM_BASE, end: IRAM_BASE + IRAM_BYTES },
  { region: 'device', start: 0x60000000, end: RTC_BASE },
  { region: 'rtc', start: RTC_BASE, end: RTC_BASE + RTC_BYTES },
];

/** What lies at `address`, and the first address that is no longer the same window (up to 2^32). */
export function windowAt(address: number): { region: Region; end: number } {
  let next = 0x1_0000_0000;
  for (const window of WINDOWS) {
    if (address >= window.start && address < window.end) return window;
    if (window.start > address && window.start < next) next = window.start;
  }
  return { region: 'none', end: next };
}

/** Exception cause of a 32-bit store to `address`, or undefined when it is stored. */
export function storeFault(address: number): number | undefined {
  if (address & 3) return CAUSE_ALIGNMENT;
  const { region } = windowAt(address);
  if (region === 'rom') return CAUSE_LOAD_STORE_ERROR;
  return region === 'none' ? CAUSE_STORE_PROHIBITED : undefined;
}

/**
 * Exception cause of fetching an instruction at `address` with the flash cache off, or undefined when there is code
 * memory. A blank application area makes eboot jump to 0xFFFFFFFF: cause 2.
 */
export function fetchFault(address: number): number | undefined {
  const { region } = windowAt(address);
  if (region === 'iram' || region === 'rom') return undefined;
  return address < 0x20000000 ? CAUSE_FETCH_PROHIBITED : CAUSE_FETCH_ERROR;
}
