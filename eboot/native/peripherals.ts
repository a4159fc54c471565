/**
 * Everything outside RAM that boot code can touch: RTC memory and control, UART0, SPI0, watchdog, straps, eFuse. Registers
 * without a behaviour are plain storage. Source: spec chapter 07 §4.
 */
import type { Lx106Devices } from '../../assembly/host/lx106.ts';
import { ROM_BASE, ROM_BYTES, RTC_BASE, RTC_BYTES, RTC_CONTROL, SWRST_BIT } from '../memory-map.ts';
import { Spi0, type SpiOperation } from './spi0.ts';
import { Uart0 } from './uart0.ts';

const UART0 = 0x60000000;
const SPI0 = 0x60000200;
const GPIO_IN = 0x60000318;
const WATCHDOG_CONTROL = 0x60000900;
const WATCHDOG_FEED = 0x60000914;
const FEED_VALUE = 0x73;
const BLOCK = 0x100;
const CACHE_STATUS = 0x3ff0000c;

/** Stores that a driver has to carry out: they may take time, fail, or end everything. */
export type Deed =
  | { readonly do: 'rtc'; readonly address: number; readonly value: number }
  | { readonly do: 'spi'; readonly operation: SpiOperation }
  | { readonly do: 'reset' };

export interface PeripheralOptions {
  /** Gets each byte that UART0 sends. */
  readonly transmit: (byte: number) => void;
  readonly setBaud?: ((rate: number) => void) | undefined;
  /** A word of RTC RAM, by CPU address. */
  readonly loadRtc: (address: number) => number;
  /** JEDEC id, manufacturer in the low byte. */
  readonly flashId: number;
  /** The GPIO input register: {@link gpiRegister}. */
  readonly gpio?: number | undefined;
  /** Words that never change, by address: eFuse, what is known of the ROM. */
  readonly fixed?: ReadonlyMap<number, number> | undefined;
  /** Watchdog registers were written. */
  readonly onWatchdog?: (what: 'enable' | 'disable' | 'feed') => void;
}

export class Peripherals implements Lx106Devices {
  readonly uart: Uart0;
  readonly spi: Spi0;
  /** Counts what reaches outside: stores, and received bytes that were taken. */
  activity = 0;
  private readonly storage = new Map<number, number>();
  private pending: Deed | undefined;
  private done = false;

  constructor(private readonly options: PeripheralOptions) {
    this.uart = new Uart0(options.transmit, options.setBaud);
    this.spi = new Spi0(options.flashId);
  }

  load(address: number, size: 1 | 2 | 4): number {
    const word = this.loadWord(address & ~3);
    return size === 4 ? word : (word >>> (8 * (address & 3))) & (size === 2 ? 0xffff : 0xff);
  }

  store(address: number, value: number, size: 1 | 2 | 4): boolean {
    this.activity++;
    if (this.done) {
      // The CPU repeats the store whose deed has been done.
      this.done = false;
      this.pending = undefined;
      return true;
    }
    this.pending = this.storeWord(address & ~3, size === 4 ? value : this.merged(address, value, size));
    return this.pending === undefined;
  }

  /** What the last store asks for; afterwards {@link Peripherals.complete} lets the CPU go on behind it. */
  get deed(): Deed | undefined {
    return this.done ? undefined : this.pending;
  }

  complete(): void {
    this.done = true;
  }

  /** A store from ROM code, which nothing has to repeat. */
  storeDirect(address: number, value: number): Deed | undefined {
    return this.storeWord(address, value);
  }

  private loadWord(address: number): number {
    const fixed = this.options.fixed?.get(address);
    if (fixed !== undefined) return fixed >>> 0;
    if (address >= RTC_BASE && address < RTC_BASE + RTC_BYTES) return this.options.loadRtc(address);
    if (address >= ROM_BASE && address < ROM_BASE + ROM_BYTES) return 0;
    if (within(address, UART0)) {
      if (address === UART0) this.activity++;
      return this.uart.load(address - UART0);
    }
    if (within(address, SPI0)) return this.spi.load(address - SPI0);
    if (address === GPIO_IN) return this.options.gpio ?? 0;
    if (address === CACHE_STATUS) return 0;
    return this.storage.get(address) ?? 0;
  }

  private storeWord(address: number, value: number): Deed | undefined {
    if (address >= RTC_BASE && address < RTC_BASE + RTC_BYTES) return { do: 'rtc', address, value };
    if (address === RTC_CONTROL && value & SWRST_BIT) return { do: 'reset' };
    if (within(address, UART0)) this.uart.store(address - UART0, value);
    else if (within(address, SPI0)) {
      const operation = this.spi.store(address - SPI0, value);
      if (operation) return { do: 'spi', operation };
    } else this.storage.set(address, value);
    if (address === WATCHDOG_CONTROL) this.options.onWatchdog?.(value & 1 ? 'enable' : 'disable');
    if (address === WATCHDOG_FEED && value === FEED_VALUE) this.options.onWatchdog?.('feed');
    return undefined;
  }

  /** A narrow store, as the word it makes. */
  private merged(address: number, value: number, size: 1 | 2): number {
    const shift = 8 * (address & 3);
    const mask = (size === 2 ? 0xffff : 0xff) << shift;
    return ((this.loadWord(address & ~3) & ~mask) | ((value << shift) & mask)) >>> 0;
  }
}

const within = (address: number, block: number): boolean => address >= block && address < block + BLOCK;
