/**
 * DTR and RTS of a serial adapter, and what the board makes of them. Pure: time comes in as an alarm.
 * Source: spec chapter 05 §2.2, §2.4.
 *
 * Boards of the NodeMCU type cross-couple both through two transistors: both asserted, neither acts. Over RFC 2217 the two
 * changes of esptool's reset arrive about 50 ms apart, in which a board would start from flash; so a chip in reset stays
 * there through (1,1) for up to a second, as Espressif's own bridge does.
 */
import type { Alarm } from '../clock.ts';

/** How long a chip in reset is held while both lines are asserted. */
export const HOLD_US = 1_000_000;

/** How the adapter is wired to the board. */
export type SerialWiring =
  /** Two transistors; both lines asserted: neither acts. */
  | 'cross-coupled'
  /** RTS on RST and DTR on GPIO0, nothing between. */
  | 'direct';

/** The chip's RST and GPIO0 pins. */
export interface ResetPin {
  /** RST goes low: nothing runs any more. */
  assert(): void;
  /** RST goes high; with `gpio0Low` the chip finds GPIO0 low. */
  release(gpio0Low: boolean): void;
}

export class ControlLines {
  private dtr = false;
  private rts = false;
  private inReset = false;
  private held: Alarm | undefined;

  constructor(
    private readonly pin: ResetPin,
    /** Runs `callback` once, `us` of time from now that somebody outside counts on. */
    private readonly alarm: (us: number, callback: () => void) => Alarm,
    private readonly wiring: SerialWiring = 'cross-coupled',
  ) {}

  /** The lines as they are: true is asserted, which is 0 V. */
  get state(): { readonly dtr: boolean; readonly rts: boolean } {
    return { dtr: this.dtr, rts: this.rts };
  }

  /** Sets one line or both at once. */
  set(change: { readonly dtr?: boolean; readonly rts?: boolean }): void {
    const dtr = change.dtr ?? this.dtr;
    const rts = change.rts ?? this.rts;
    // esptool repeats values (a work-around for a Windows driver): that is no change.
    if (dtr === this.dtr && rts === this.rts) return;
    this.dtr = dtr;
    this.rts = rts;
    if (this.wiring === 'direct') {
      if (rts) this.assert();
      else if (this.inReset) this.release(dtr);
      return;
    }
    if (rts && !dtr) return this.assert();
    if (!this.inReset) return;
    if (rts) this.hold();
    else this.release(dtr);
  }

  /** Remembers the lines of a host that may not act now, as somebody else flashes. */
  note(change: { readonly dtr?: boolean; readonly rts?: boolean }): void {
    this.dtr = change.dtr ?? this.dtr;
    this.rts = change.rts ?? this.rts;
  }

  /** The host is gone: both lines fall back. */
  close(): void {
    this.set({ dtr: false, rts: false });
  }

  private assert(): void {
    this.held?.cancel();
    this.held = undefined;
    if (this.inReset) return;
    this.inReset = true;
    this.pin.assert();
  }

  private hold(): void {
    this.held ??= this.alarm(HOLD_US, () => this.release(false));
  }

  private release(gpio0Low: boolean): void {
    this.held?.cancel();
    this.held = undefined;
    this.inReset = false;
    this.pin.release(gpio0Low);
  }
}
