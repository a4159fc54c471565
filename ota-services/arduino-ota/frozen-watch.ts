/**
 * Notices that a connected uploader has been silent for long. ArduinoOTA itself has no such limit: `handle()` does not
 * return, and the sketch stands still until the peer closes (spec chapter 03 §7.2). We only say so.
 */
import type { FrozenEvent } from '../events.ts';
import type { Clock, Emit } from '../ports.ts';

/** espota.py gives up after so long too: whoever is silent for longer is not coming back by itself. */
export const FROZEN_AFTER_MS = 10_000;

const CURE =
  'the uploader keeps its connection open but sends nothing, and ArduinoOTA.handle() waits for it without limit: ' +
  'end the uploader, or reset the device';

export class FrozenWatch {
  private silentSince: number;
  private frozen = false;

  constructor(
    private readonly clock: Clock,
    private readonly emit: Emit<FrozenEvent>,
  ) {
    this.silentSince = clock.millis();
  }

  /** Still nothing: tells once when that has lasted {@link FROZEN_AFTER_MS}. */
  silent(): void {
    if (this.frozen) return;
    // millis() is a 32-bit counter that wraps.
    if ((this.clock.millis() - this.silentSince) >>> 0 < FROZEN_AFTER_MS) return;
    this.frozen = true;
    this.emit({ type: 'device.frozen', where: 'ota', cure: CURE });
  }

  /** Bytes came. */
  heard(): void {
    this.silentSince = this.clock.millis();
    this.thaw();
  }

  /** The run ends, or the device stops. Must not look at the clock: the life may be over. */
  thaw(): void {
    if (!this.frozen) return;
    this.frozen = false;
    this.emit({ type: 'device.thawed', where: 'ota', cure: CURE });
  }
}
