/**
 * One life of the device: from a start to the next reset or loss of power. Everything that the running code waits for
 * goes through here, so that at any await it can be cut off, and nothing it opened outlives it.
 */
import type { Interruption } from '../flash/ports.ts';
import type { Alarm, DeviceClock, WaitKind } from './clock.ts';

export class Life {
  private interruption: Interruption | undefined;
  private readonly waits = new Set<(reason: Interruption) => void>();
  private readonly closers = new Set<() => void>();
  private wakers: (() => void)[] = [];
  private woken = false;

  constructor(private readonly clock: DeviceClock) {}

  /** Why this life ended, or undefined while it lasts. */
  get ended(): Interruption | undefined {
    return this.interruption;
  }

  /** Throws the interruption when this life is over. Every port calls it first. */
  check(): void {
    if (this.interruption) throw this.interruption;
  }

  /** Ends this life: pending waits reject, sockets and alarms are closed. Later calls change nothing. */
  end(interruption: Interruption): void {
    if (this.interruption) return;
    this.interruption = interruption;
    for (const close of [...this.closers]) close();
    this.closers.clear();
    for (const reject of [...this.waits]) reject(interruption);
    this.waits.clear();
    this.wakers = [];
  }

  /** Runs `close` when this life ends, unless the returned function was called before. */
  onEnd(close: () => void): () => void {
    if (this.interruption) {
      close();
      return () => {};
    }
    this.closers.add(close);
    return () => void this.closers.delete(close);
  }

  /** Makes a promise of the outside world end with this life. */
  guard<T>(promise: Promise<T>): Promise<T> {
    this.check();
    return new Promise<T>((resolve, reject) => {
      const stop = (reason: Interruption): void => reject(reason);
      this.waits.add(stop);
      promise.then(
        (value) => {
          // Whatever the code waited for, a paused device goes on only when it is let go.
          const held = this.clock.held();
          if (!held) {
            this.waits.delete(stop);
            resolve(value);
            return;
          }
          void held.then(() => {
            this.waits.delete(stop);
            resolve(value);
          });
        },
        (error: unknown) => {
          this.waits.delete(stop);
          reject(error);
        },
      );
    });
  }

  /** Waits `us` of device time. */
  sleep(us: number, kind: WaitKind): Promise<void> {
    return this.guard(
      new Promise<void>((resolve) => {
        const alarm = this.clock.alarm(us, kind, () => {
          forget();
          resolve();
        });
        const forget = this.onEnd(() => alarm.cancel());
      }),
    );
  }

  /** Something arrived from outside: ends a running {@link Life.idle} at once. */
  wake(): void {
    this.woken = true;
    const wakers = this.wakers;
    this.wakers = [];
    for (const waker of wakers) waker();
  }

  /** Waits until {@link Life.wake}, at the longest `us` of real (or virtual) time. For loops with nothing to do. */
  idle(us: number): Promise<void> {
    if (this.woken) {
      this.woken = false;
      return this.guard(this.clock.turn());
    }
    return this.guard(
      new Promise<void>((resolve) => {
        let alarm: Alarm | undefined;
        let forget: (() => void) | undefined;
        const done = (): void => {
          this.woken = false;
          alarm?.cancel();
          forget?.();
          this.wakers = this.wakers.filter((waker) => waker !== done);
          resolve();
        };
        this.wakers.push(done);
        alarm = this.clock.alarm(us, 'peer', done);
        forget = this.onEnd(() => alarm?.cancel());
      }),
    );
  }
}
