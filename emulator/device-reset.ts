/** The chip starts again while power stays on. Caught only by the power loop. */
import type { ResetCause } from '../eboot/reset-cause.ts';
import { Interruption } from '../flash/ports.ts';

export class DeviceReset extends Interruption {
  override readonly name = 'DeviceReset';
  readonly kind = 'reset';
  constructor(
    override readonly cause: Exclude<ResetCause, 'power-on'>,
    /** `eraseConfigAndReset`: a hardware-watchdog reset that the SDK reports as External System (spec chapter 01 §2.3). */
    readonly reportedAsExternal = false,
  ) {
    super(`reset (${cause})`);
  }
}
