/**
 * Entry points of the mask ROM that boot code and the flasher stub call, by address. Source: spec chapter 07 §3, §5, §7.
 */

/** Functions that are served; every other address in the ROM holds code that is not modelled. */
export const ROM_FUNCTIONS = {
  // eboot, §5.1
  SPIRead: 0x40004b1c,
  SPIWrite: 0x40004a4c,
  SPIEraseSector: 0x40004a00,
  ets_printf: 0x400024cc,
  ets_putc: 0x40002be8,
  ets_wdt_enable: 0x40002fa0,
  ets_wdt_disable: 0x400030f0,
  __udivsi3: 0x4000e21c,
  __divsi3: 0x4000dc88,
  memcmp: 0x4000dea8,
  memset: 0x4000e190,
  // the flasher stub, §5.2
  ets_isr_attach: 0x40000f88,
  ets_isr_mask: 0x40000f98,
  ets_isr_unmask: 0x40000fa8,
  ets_set_user_start: 0x40000fbc,
  software_reset: 0x4000264c,
  ets_delay_us: 0x40002ecc,
  uart_div_modify: 0x400039d8,
  uart_tx_one_char: 0x40003b30,
  uart_rx_one_char: 0x40003b8c,
  SelectSpiFunction: 0x40003f58,
  spi_flash_attach: 0x40004644,
  SPIUnlock: 0x40004878,
  SPIEraseChip: 0x40004984,
  SPIEraseBlock: 0x400049b4,
  SPIParamCfg: 0x40004c2c,
  MD5Init: 0x40009818,
  MD5Update: 0x40009834,
  MD5Final: 0x40009900,
  memcpy: 0x4000df48,
  // newer flasher stubs, found by running that of esptool-js 0.7.0
  memmove: 0x4000e04c,
  __umodsi3: 0x4000e268,
  // other bootloaders (rBoot); addresses of the SDK's linker script
  ets_memset: 0x400018a4,
  ets_memcpy: 0x400018b4,
  ets_memmove: 0x400018c4,
  ets_memcmp: 0x400018d4,
} as const;

export type RomFunction = keyof typeof ROM_FUNCTIONS;

const NAMES: ReadonlyMap<number, RomFunction> = new Map(
  Object.entries(ROM_FUNCTIONS).map(([name, address]) => [address, name as RomFunction]),
);

/** The function that begins at `address`, or undefined. */
export const romFunctionAt = (address: number): RomFunction | undefined => NAMES.get(address);

/** Where the ROM calls the image from: returning there prints `user code done` and idles. */
export const USER_CODE_RETURN = 0x40001100;
/** Where the flasher stub returns to: the ROM boots the flash image. */
export const RUN_USER_CODE = 0x400010a8;
/** Stands for the place in the ROM's dispatcher that interrupt handlers return to; no function begins there. */
export const ISR_RETURN = 0x40000fe0;
/** `waiti 2` in a loop: where BREAK ends, silently. */
export const DEBUG_VECTOR = 0x40000010;

/** Where the division routines meet a divisor of 0: three zero bytes. */
export const UDIV_BY_ZERO = 0x4000e25d;
export const DIV_BY_ZERO = 0x4000dce5;
export const UMOD_BY_ZERO = 0x4000e296;
