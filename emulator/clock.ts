/**
 * Device time. One integer, microseconds since the device was made, that never goes back; only the device advances it.
 * `virtual`: moved by the test. `fast` and `real`: follow the wall clock; `fast` skips what nobody outside waits for.
 */
import type { ChipClock } from '../flash/ports.ts';
import { Pace } from './pace.ts';

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
  /** While somebody paused the device: resolves when it may go on. `undefined`: it may at once. */
  held(): Promise<void> | undefined;
  /**
   * As `nowUs`, but in fast time without another look at the wall clock: the time of the last look, and what was spent
   * since. For what happens thousands of times in a moment.
   */
  recentUs(): number;
  /** True while `settle` has nothing to wait for, whatever is spent. */
  readonly neverSettles: boolean;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time that stands still until {@link VirtualClock.advance}. */
export class VirtualClock implements DeviceClock {
  readonly mode = 'virtual';
  /** Pause, step, and for whoever watches a slower speed: the only case in which this time waits for that of the host. */
  readonly pace = new Pace();
  /** Host time for which the operations so far are still to be shown. */
  private toShow = 0;
  private now = 0;
  private order = 0;
  private readonly alarms: { at: number; order: number; callback: () => void }[] = [];

  nowUs(): number {
    return this.now;
  }

  recentUs(): number {
    return this.now;
  }

  get neverSettles(): boolean {
    return !this.pace.paused && this.pace.speed >= 1 && this.toShow < SHORTEST_WAIT_US;
  }

  spend(us: number): void {
    this.now += Math.round(us);
    if (this.pace.speed < 1) this.toShow += us * (1 / this.pace.speed - 1);
  }

  settle(): Promise<void> | undefined {
    if (this.toShow < SHORTEST_WAIT_US) return this.pace.held();
    const shown = this.toShow / 1000;
    this.toShow = 0;
    return new Promise<void>((resolve) => setTimeout(resolve, shown)).then(() => this.pace.held());
  }

  held(): Promise<void> | undefined {
    return this.pace.held();
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
/** A timer cannot wait less than a millisecond; smaller debts are carried on to the next operation. */
const SHORTEST_WAIT_US = 1000;

interface WallAlarm {
  readonly dueUs: number;
  readonly callback: () => void;
  handle?: NodeJS.Timeout;
}

/**
 * Time that follows the wall clock of the host. While the device is paused it stands still, and so do the alarms.
 *
 * A speed s stretches or shortens it: with `real` everything takes 1/s of its time, peers included. With `fast`, whose
 * flash operations take no time at s = 1, an operation is shown for (1/s − 1) of its device time, so that 0.5 is about as
 * `real` and 0.1 nine times slower; device time stands still meanwhile, and there is nothing faster than 1.
 */
export class WallClock implements DeviceClock {
  readonly pace = new Pace(() => this.paceChanged());
  private readonly startedAtMs = performance.now();
  /** Device time by the wall: `baseUs` at the wall's `sinceUs`, from there on `rate` microseconds for each. */
  private baseUs = 0;
  private sinceUs = 0;
  private rate = 1;
  /** Fast: microseconds skipped so far. */
  private skipped = 0;
  /** Real: device time that has been spent but not yet waited for. */
  private reached = 0;
  /** Fast and slowed down: wall time for which the operations so far are still to be shown. */
  private toShow = 0;
  private last = 0;
  /** What the wall said last. */
  private lookedAtUs = 0;
  private breathedAtUs = 0;
  private readonly alarms = new Set<WallAlarm>();
  /** Ends a wait between operations. */
  private endWait: (() => void) | undefined;

  constructor(readonly mode: 'fast' | 'real') {}

  private wallUs(): number {
    const passed = this.hostUs() - this.sinceUs;
    this.lookedAtUs = Math.floor((this.rate === 1 ? passed : passed * this.rate) + this.baseUs);
    return this.lookedAtUs;
  }

  private hostUs(): number {
    return (performance.now() - this.startedAtMs) * 1000;
  }

  nowUs(): number {
    const now = this.mode === 'fast' ? this.wallUs() + this.skipped : Math.max(this.wallUs(), this.reached);
    if (now > this.last) this.last = now;
    return this.last;
  }

  recentUs(): number {
    if (this.mode !== 'fast') return this.nowUs();
    const now = this.lookedAtUs + this.skipped;
    if (now > this.last) this.last = now;
    return this.last;
  }

  get neverSettles(): boolean {
    return this.mode === 'fast' && !this.pace.paused && this.pace.speed >= 1 && this.toShow === 0;
  }

  spend(us: number): void {
    if (this.mode === 'fast') {
      this.skipped += Math.round(us);
      if (this.pace.speed < 1) this.toShow += us * (1 / this.pace.speed - 1);
    } else this.reached = this.nowUs() + Math.round(us);
  }

  settle(): Promise<void> | undefined {
    if (this.pace.holding) return this.pace.held()?.then(() => this.settle());
    const owed = this.mode === 'real' ? (this.reached - this.wallUs()) / this.rate : this.toShow;
    if (owed < SHORTEST_WAIT_US) return undefined;
    return this.wait(owed).then(() => this.settle());
  }

  held(): Promise<void> | undefined {
    return this.pace.held();
  }

  turn(): Promise<void> {
    return nextTurn();
  }

  breathe(): Promise<void> | undefined {
    const now = this.hostUs();
    if (this.mode === 'fast' && !this.pace.holding && now - this.breathedAtUs < BREATH_US) return undefined;
    this.breathedAtUs = now;
    return nextTurn();
  }

  alarm(us: number, kind: WaitKind, callback: () => void): Alarm {
    if (this.mode === 'fast' && kind === 'device') return this.skippedAlarm(us, callback);
    const alarm: WallAlarm = { dueUs: this.wallUs() + us, callback };
    this.alarms.add(alarm);
    this.arm(alarm, us);
    return {
      cancel: () => {
        clearTimeout(alarm.handle);
        this.alarms.delete(alarm);
      },
    };
  }

  private skippedAlarm(us: number, callback: () => void): Alarm {
    let cancelled = false;
    const ring = (): void => {
      if (cancelled) return;
      const held = this.pace.held();
      if (held) {
        void held.then(ring);
        return;
      }
      this.skipped += Math.round(us);
      callback();
    };
    const handle = setImmediate(ring);
    return {
      cancel: () => {
        cancelled = true;
        clearImmediate(handle);
      },
    };
  }

  private arm(alarm: WallAlarm, us: number): void {
    if (this.rate === 0) return;
    alarm.handle = setTimeout(
      () => {
        this.alarms.delete(alarm);
        alarm.callback();
      },
      us / 1000 / this.rate,
    );
  }

  /** Waits between two operations, `us` of the wall's time; ends at once when the pace changes. */
  private async wait(us: number): Promise<void> {
    const shown = this.mode === 'fast';
    if (shown) this.toShow = 0;
    await new Promise<void>((resolve) => {
      const handle = setTimeout(resolve, us / 1000);
      this.endWait = () => {
        clearTimeout(handle);
        resolve();
      };
      if (shown) this.setRate(0);
    });
    this.endWait = undefined;
    this.setRate(this.wantedRate());
  }

  private wantedRate(): number {
    if (this.pace.holding) return 0;
    return this.mode === 'real' ? this.pace.speed : 1;
  }

  private paceChanged(): void {
    this.endWait?.();
    if (this.pace.speed >= 1 || this.pace.paused) this.toShow = 0;
    this.setRate(this.wantedRate());
  }

  /** From now on device time goes at another rate; alarms ring when it has reached them. */
  private setRate(rate: number): void {
    if (rate === this.rate) return;
    const now = this.hostUs();
    this.baseUs += (now - this.sinceUs) * this.rate;
    this.sinceUs = now;
    this.rate = rate;
    for (const alarm of this.alarms) {
      clearTimeout(alarm.handle);
      this.arm(alarm, Math.max(0, alarm.dueUs - this.baseUs));
    }
  }
}
