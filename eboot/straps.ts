/**
 * Boot straps: three pins whose level at a hardware reset decides what the ROM does. Source: spec chapter 01 §6.5.
 */

export type Level = 0 | 1;

/** Pin levels as somebody holds them now; they count when the next hardware reset latches them. */
export interface Straps {
  gpio0: Level;
  gpio2: Level;
  gpio15: Level;
}

/** What the boards' resistors give: boot from flash. */
export const FLASH_BOOT: Readonly<Straps> = { gpio0: 1, gpio2: 1, gpio15: 0 };
/** GPIO0 held low: the ROM's UART loader. */
export const DOWNLOAD: Readonly<Straps> = { gpio0: 0, gpio2: 1, gpio15: 0 };

/** The second number of "boot mode:(a,b)" (GPI bits 29–31): 6 or 7 on most boards, without influence. */
export const DEFAULT_SECOND_NUMBER = 7;

export const STRAP_DOWNLOAD = 1;
export const STRAP_FLASH = 3;

/** Strap number 0 to 7: the first number of "boot mode:(a,b)". */
export function strapNumber(straps: Readonly<Straps>): number {
  return straps.gpio15 * 4 + straps.gpio0 * 2 + straps.gpio2;
}

export type BootMode = 'invalid' | 'download' | 'flash' | 'sdio';

/** What the ROM does with a latched strap number. */
export function bootModeOf(strap: number): BootMode {
  if (strap === STRAP_DOWNLOAD) return 'download';
  if (strap === STRAP_FLASH) return 'flash';
  return strap >= 4 ? 'sdio' : 'invalid';
}

/**
 * The GPIO input register 0x60000318 as far as straps show in it: the strap number in bits 16–18, the second number in
 * bits 29–31.
 */
export function gpiRegister(strap: number, secondNumber = DEFAULT_SECOND_NUMBER): number {
  return ((strap << 16) | (secondNumber << 29)) >>> 0;
}

/** GPI bits 16–19: four bits, as `Update.begin` reads them and compares with exactly 1. */
export function updaterStraps(strap: number, secondNumber = DEFAULT_SECOND_NUMBER): number {
  return (gpiRegister(strap, secondNumber) >>> 16) & 0xf;
}
