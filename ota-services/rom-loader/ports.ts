/** What the serial loader needs from the device around it, and how it ends. */
import type { NorFlash } from '../../flash/nor-flash.ts';
import type { ChipClock, Emit } from '../../flash/ports.ts';
import type { Md5 } from '../ports.ts';
import type { LoaderEvent } from './events.ts';

/** What the device does when the loader has ended. */
export type LoaderEnd =
  /** Boot the flash without latching the straps anew. Source: spec chapter 05 §7.4, §8.4. */
  | { readonly do: 'run-flash' }
  /** Restart through the ROM vector; the straps stay latched, so the loader comes back. */
  | { readonly do: 'reset' }
  /** A RAM program that is no stub runs: silence until a reset. `entry` is a CPU address. */
  | { readonly do: 'run-ram'; readonly entry: number };

/** Memory as the loader's MEM_DATA, READ_REG and WRITE_REG reach it. */
export interface LoaderRam {
  /** Stores bytes at a CPU address; false: some of them lie outside RAM, and nothing was stored. */
  write(address: number, data: Uint8Array): boolean;
  /** Bytes at a CPU address, `undefined` outside. Without it READ_REG of RAM brings 0. */
  read?(address: number, length: number): Uint8Array | undefined;
}

export interface LoaderParts {
  readonly chip: NorFlash;
  /** `settle()` is awaited before each operation that changes the chip; an Interruption passes through. */
  readonly clock: ChipClock;
  readonly ram: LoaderRam;
  /** 6 bytes, as printed. */
  readonly mac: Uint8Array;
  /** Bytes of the flash inside an ESP8285; without it hosts see an ESP8266EX. */
  readonly embeddedFlash?: number | undefined;
  /** As `spi_flash_get_id` shows it, e.g. 0x1640ef: what RDID answers, whatever the chip's capacity. */
  readonly flashId: number;
  readonly md5: () => Md5;
  readonly emit: Emit<LoaderEvent>;
  /** To UART0. The array is not used again. */
  readonly transmit: (bytes: Uint8Array) => void;
  /** CHANGE_BAUDRATE: called after the reply, which still goes out at the old rate. */
  readonly setBaud?: (rate: number) => void;
  /**
   * Awaited between a command and the next one that waits already: lets whoever else shares the host's thread have a turn,
   * as a queue of expensive commands may take seconds. An Interruption passes through. Default: none.
   */
  readonly breathe?: () => Promise<void> | undefined;
  /**
   * What becomes of an uploaded flasher stub: `state` (default) only switches the dialect, `native` ends the loader with
   * `run-ram` as for any other program, for a CPU that really executes it.
   */
  readonly stub?: 'state' | 'native';
}
