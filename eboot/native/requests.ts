/** What executed code asks of the machine below it: more than the model's eboot does, and mapped to that for a device. */
import type { RomResult } from '../rom-spi.ts';

export type NativeRequest =
  /** SPIRead (`length` signed, as the call has it), or with `bus` a READ of the SPI0 controller. */
  | {
      readonly op: 'read';
      readonly address: number;
      readonly length: number;
      readonly target: Uint8Array;
      readonly bus?: true;
    }
  /** An erase of a sector, a 64 KiB block, or (length Infinity) the chip; `bus`: not limited by what the ROM believes. */
  | { readonly op: 'erase'; readonly address: number; readonly length: number; readonly bus?: true }
  | {
      readonly op: 'write';
      readonly address: number;
      readonly length: number;
      readonly data: Uint8Array;
      readonly bus?: true;
    }
  | { readonly op: 'rtc'; readonly address: number; readonly length: 4; readonly value: number }
  /** `steps` instructions went by without any other request: a chance to breathe. */
  | {
      readonly op: 'slice';
      readonly steps: number;
      /** The code waits for something from outside. */
      readonly idle?: true;
    };

export type NativeRequests<T> = Generator<NativeRequest, T, RomResult>;
