/** Flash geometry shared by eboot and the Arduino core. Source: spec chapter 01 §1 (spi_flash_geometry.h). */
export const PAGE_BYTES = 0x100; // largest single program operation
export const SECTOR_BYTES = 0x1000; // smallest erase
export const BLOCK_BYTES = 0x10000; // 64 KiB erase
/** Chip offset of the application's image header; eboot has the sector before it. */
export const APP_START_OFFSET = 0x1000;
/** CPU address where the first MiB of the chip is mapped. */
export const FLASH_MAPPED_BASE = 0x40200000;
/** Smallest and largest chip that the emulator models. */
export const CHIP_MIN_BYTES = 0x80000; // 512 KiB
export const CHIP_MAX_BYTES = 0x1000000; // 16 MiB

if (SECTOR_BYTES % PAGE_BYTES !== 0) throw new Error('a sector holds whole pages');
if (BLOCK_BYTES % SECTOR_BYTES !== 0) throw new Error('a block holds whole sectors');

/** Rounds up to whole sectors, in 32-bit unsigned arithmetic as the core does: 0xFFFFF001 becomes 0. */
export const roundUpToSector = (bytes: number): number => ((bytes + SECTOR_BYTES - 1) & ~(SECTOR_BYTES - 1)) >>> 0;
