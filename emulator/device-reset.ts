/** The chip starts again while power stays on. Caught only by the power loop. */
import type { ResetCause } from '../eboot/reset-cause.ts';
import { Interruption } from '../flash/ports.ts';

/** What a reset may bring along. */
export interface ResetDetails {
  /** RST is low until this says how the pins are held then. */
  readonly held?: Promise<HeldPins>;
  /** How pins are held at this reset, whatever the straps say. */
  readonly pins?: HeldPins;
  /** The serial loader restarts the chip: no SDK is there to note a reason. */
  readonly byLoader?: true;
  /**
   * `ESP.rebootIntoUartDownloadMode()`: software goes straight to the serial loader, past the ROM's banner and its look at
   * the straps, whose latch stays as it was. Source: spec chapter 05 §2.4, chapter 01 §6.5.
   */
  readonly toLoader?: true;
}

/** GPIO0 held low by somebody. */
export interface HeldPins {
  readonly gpio0?: 0;
}

export class DeviceReset extends Interruption {
  override readonly name = 'DeviceReset';
  readonly kind = 'reset';
  constructor(
    override readonly cause: Exclude<ResetCause, 'power-on'>,
    /** `eraseConfigAndReset`: a hardware-watchdog reset that the SDK reports as External System (spec chapter 01 §2.3). */
    readonly reportedAsExternal = false,
    readonly how: ResetDetails = {},
  ) {
    super(`reset (${cause})`);
  }
}
