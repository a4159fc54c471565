/** The memory map as READ_REG and WRITE_REG see it. Source: spec chapter 05 §6. */

import { word, wordBytes } from './packets.ts';
import type { LoaderRam } from './ports.ts';
import { SPI_BASE, SPI_BYTES, type SpiController } from './spi-controller.ts';

/** A ROM word by which hosts know the chip. */
export const CHIP_MAGIC_ADDRESS = 0x40001000;
export const CHIP_MAGIC = 0xfff0c101;
/** Four words of one-time programmable memory: OTP0 … OTP3. */
export const EFUSE_BASE = 0x3ff00050;
export const UART_DIVIDER = 0x60000014;
export const UART_DATE = 0x60000078;
const UART_DATE_VALUE = 0x00062000;
/** Twice the crystal's 26 MHz: what the UART divides. */
const UART_CLOCK_HZ = 52_000_000;
/** Bits 19–0. */
const UART_DIVIDER_LIMIT = 0xfffff;
/** Words that are kept for registers without a meaning here; the oldest give way. */
const STORED_WORDS = 1024;

/** The OUI that OTP3 = 0 and OUI selector 0 stand for. */
const FIRST_OUI = [0x18, 0xfe, 0x34] as const;

/** Flags of an ESP8285, which has its flash inside. Source: spec chapter 05 §6.1. */
const OTP0_ESP8285 = 1 << 4;
const OTP2_ESP8285 = 1 << 16;
const MEBIBYTE = 1 << 20;
/** By capacity: what OTP0 and OTP3 hold besides. */
const EMBEDDED_SIZES: ReadonlyMap<number, readonly [number, number]> = new Map([
  [MEBIBYTE, [OTP0_ESP8285, 0]],
  [2 * MEBIBYTE, [OTP0_ESP8285, 1 << 26]],
  [4 * MEBIBYTE, [0, (1 << 25) | (1 << 26)]],
]);

/**
 * OTP0 … OTP3 of a chip. Source: spec chapter 05 §6.1.
 *
 * @param mac 6 bytes
 * @param embeddedFlash bytes of the flash inside an ESP8285; without it the chip is an ESP8266EX
 */
export function efuseWords(mac: Uint8Array, embeddedFlash?: number): readonly [number, number, number, number] {
  if (mac.length !== 6) throw new RangeError(`a MAC address has 6 bytes; got ${mac.length}`);
  const [a, b, c, d, e, f] = mac as unknown as readonly [number, number, number, number, number, number];
  const [flag0, flag3] = EMBEDDED_SIZES.get(embeddedFlash ?? 0) ?? [0, 0];
  const flag2 = embeddedFlash === undefined ? 0 : OTP2_ESP8285;
  const early = flag3 === 0 && FIRST_OUI.every((byte, i) => byte === mac[i]);
  return [
    ((f << 24) | flag0) >>> 0,
    0x02000000 | (d << 8) | e,
    0x0000a000 | flag2,
    early ? 0 : flag3 | (a << 16) | (b << 8) | c,
  ];
}

/** UART0's clock divider at a baud rate, for a 26 MHz crystal. */
export const uartDivider = (baud: number): number =>
  Math.min(UART_DIVIDER_LIMIT, Math.round(UART_CLOCK_HZ / Math.max(1, baud)));

export interface RegisterParts {
  readonly mac: Uint8Array;
  readonly embeddedFlash?: number | undefined;
  readonly ram: LoaderRam;
  readonly spi: SpiController;
  /** The rate that the host uses now. */
  readonly baud: () => number;
}

export class Registers {
  private readonly fixed: ReadonlyMap<number, number>;
  private readonly stored = new Map<number, number>();

  constructor(private readonly parts: RegisterParts) {
    this.fixed = new Map([
      [CHIP_MAGIC_ADDRESS, CHIP_MAGIC],
      [UART_DATE, UART_DATE_VALUE],
      ...efuseWords(parts.mac, parts.embeddedFlash).map((value, i) => [EFUSE_BASE + 4 * i, value] as const),
    ]);
  }

  /** The word at an address, unsigned; 0 where nothing is known. The two low bits of the address do not count. */
  read(anyAddress: number): number {
    const address = aligned(anyAddress);
    if (address === UART_DIVIDER) return uartDivider(this.parts.baud());
    const known = this.fixed.get(address);
    if (known !== undefined) return known;
    const spi = address - SPI_BASE;
    if (spi >= 0 && spi < SPI_BYTES) return this.parts.spi.read(spi);
    const ram = this.parts.ram.read?.(address, 4);
    return ram ? word(ram, 0) : (this.stored.get(address) ?? 0);
  }

  /** Changes the bits in `mask`. What the chip computes or cannot change stays as it is. */
  write(anyAddress: number, value: number, mask: number): void {
    const address = aligned(anyAddress);
    if (address === UART_DIVIDER || this.fixed.has(address)) return;
    const merged = ((value & mask) | (this.read(address) & ~mask)) >>> 0;
    const spi = address - SPI_BASE;
    if (spi >= 0 && spi < SPI_BYTES) this.parts.spi.write(spi, merged);
    else if (!this.parts.ram.write(address, wordBytes(merged))) this.keep(address, merged);
  }

  private keep(address: number, value: number): void {
    this.stored.delete(address);
    this.stored.set(address, value);
    if (this.stored.size > STORED_WORDS) this.stored.delete(this.stored.keys().next().value!);
  }
}

const aligned = (address: number): number => (address & ~3) >>> 0;
