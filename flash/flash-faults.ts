/** How a test, a fault or a backing file sits beside the chip: asked before each operation, told after each change. */
import type { Interruption } from './ports.ts';

/** One operation that is about to go to the chip. `address` is already wrapped into the chip. */
export interface FlashOperation {
  kind: 'erase' | 'program' | 'read';
  address: number;
  length: number;
  /** Of a program. Good during the call only. */
  data?: Uint8Array;
}

/** What goes wrong with one operation. */
export type FlashFault =
  /** The driver sees an error; the cells are unchanged. */
  | { do: 'fail' }
  /** The driver sees success; the cells (of a read: the buffer) are unchanged. */
  | { do: 'drop' }
  /** The machine stops around a whole operation. */
  | { do: 'stop'; point: 'before' | 'after'; with: Interruption }
  /**
   * The first `bits` bits happen (bytes rising, high bit first), then the machine stops. Bits set in `mask` stay as they are
   * all the same: those cells are worn out.
   */
  | { do: 'tear'; bits: number; with: Interruption; mask?: Uint8Array }
  /**
   * Bits set in `mask` (counted from the operation's first byte) are worn out: a program leaves them as they are, after an
   * erase they are 0, a read brings them as 0.
   */
  | { do: 'stick'; mask: Uint8Array };

/** Asked before each operation, reads included. */
export interface FlashFaults {
  /** False: to ask would come to nothing. */
  readonly armed?: boolean;
  decide(operation: FlashOperation): FlashFault | undefined;
}

/** Persistence: called after each change with the bytes now in the cells, never crossing a sector. */
export interface FlashMirror {
  /** `data` is good during the call only. */
  write(address: number, data: Uint8Array): void;
}
