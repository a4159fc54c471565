/**
 * Device time. One integer, microseconds since the device was made, that never goes back; only the device advances it.
 * `virtual`: moved by the test. `fast` and `real`: follow the wall clock; `fast` skips what nobody outside waits for.
 */
import type { ChipClock } from '../flash/ports.ts';

export type ClockMode = 'fast' | 'real' | 'virtual';

export interface Alarm {
  cancel(): void;
}

/** How long a wait may be cut short in `fast` mode. */
export type WaitKind =
  /** Only the device itself waits: skipped in fast mode, where the network still gets one turn. */
  | 'device'
  /** Somebody outside counts on this time passing: never shortened. */
  | 'peer';

export interface DeviceClock extends ChipClock {
  readonly mode: ClockMode;
  /** Runs `callback` once, `us` from now. Alarms due together run in the order they were set. */
  alarm(us: number, kind: WaitKind, callback: () => void): Alarm;
  /** Lets everything that is ready run: sockets (or the simulated network) and other promises. */
  turn(): Promise<void>;
  /**
   * As {@link DeviceClock.turn}, for code that yields often: `undefined` when it has just had one. A turn of the event
   * loop costs more than programming a sector, and the Updater yields twice for each.
   */
  breathe(): Promise<void> | undefined;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time that stands still until {@link VirtualClock.advance}. */
export class VirtualClock implements DeviceClock {
  readonly mode = 'virtual';
  private now = 0;
  private order = 0;
  private readonly alarms: { at: number; order: number; callback: () => void }[] = [];

  nowUs(): number {
    return this.now;
  }

  spend(us: number): void {
    this.now += Math.round(us);
  }

  settle(): undefined {
    return undefined;
  }

  turn(): Promise<void> {
    return new Promise((resolve) => void this.alarm(0, 'device', resolve));
  }

  breathe(): Promise<void> {
    return this.turn();
  }

  alarm(us: number, _kind: WaitKind, callback: () => void): Alarm {
    const entry = { at: this.now + Math.max(0, Math.round(us)), order: this.order++, callback };
    let index = this.alarms.length;
    while (index > 0 && this.alarms[index - 1]!.at > entry.at) index--;
    this.alarms.splice(index, 0, entry);
    return {
      cancel: () => {
        const position = this.alarms.indexOf(entry);
        if (position >= 0) this.alarms.splice(position, 1);
      },
    };
  }

  /**
   * Moves time forward by `us`, running every alarm on the way, and everything those set in motion.
   * Device code may itself spend time (flash operations): then time ends later than asked, never earlier.
   */
  async advance(us: number): Promise<void> {
    const target = this.now + us;
    await nextTurn();
    for (;;) {
      const next = this.alarms[0];
      if (!next || next.at > target) break;
      this.alarms.shift();
      if (next.at > this.now) this.now = next.at;
      next.callback();
      await nextTurn();
    }
    if (this.now < target) this.now = target;
  }
}

/** How long fast time goes without a turn of the event loop. */
const BREATH_US = 1000;

/** Time that follows the wall clock of the host. */
export class WallClock implements DeviceClock {
  private readonly startedAtMs = performance.now();
  /** Fast: microseconds skipped so far. */
  private skipped = 0;
  /** Real: device time that has been spent but not yet waited for. */
  private reached = 0;
  private last = 0;
  private breathedAtUs = 0;

  constructor(readonly mode: 'fast' | 'real') {}

  private wallUs(): number {
    return Math.floor((performance.now() - this.startedAtMs) * 1000);
  }

  nowUs(): number {
    const now = this.mode === 'fast' ? this.wallUs() + this.skipped : Math.max(this.wallUs(), this.reached);
    if (now > this.last) this.last = now;
    return this.last;
  }

  spend(us: number): void {
    if (this.mode === 'fast') this.skipped += Math.round(us);
    else this.reached = this.nowUs() + Math.round(us);
  }

  settle(): Promise<void> | undefined {
    const owed = this.mode === 'real' ? this.reached - this.wallUs() : 0;
    // A timer cannot wait less than a millisecond; smaller debts are carried on to the next operation.
    if (owed < 1000) return undefined;
    return new Promise((resolve) => setTimeout(resolve, owed / 1000));
  }

  turn(): Promise<void> {
    return nextTurn();
  }

  breathe(): Promise<void> | undefined {
    const now = this.wallUs();
    if (this.mode === 'fast' && now - this.breathedAtUs < BREATH_US) return undefined;
    this.breathedAtUs = now;
    return nextTurn();
  }

  alarm(us: number, kind: WaitKind, callback: () => void): Alarm {
    if (this.mode === 'fast' && kind === 'device') {
      const handle = setImmediate(() => {
        this.skipped += Math.round(us);
        callback();
      });
      return { cancel: () => clearImmediate(handle) };
    }
    const handle = setTimeout(callback, us / 1000);
    return { cancel: () => clearTimeout(handle) };
  }
}
