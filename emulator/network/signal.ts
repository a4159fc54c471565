/** Waiting for "something happened", with a limit, inside one life of the device. */
import type { Alarm } from '../clock.ts';
import type { Life } from '../life.ts';

/** Runs a callback once, `us` from now, in the peers' time. */
export type Timer = (us: number, callback: () => void) => Alarm;

export class Signal {
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly life: Life,
    private readonly timer: Timer,
  ) {}

  /** Resolves true at the next {@link Signal.fire}, false `us` from now at the latest; rejects when the life ends. */
  wait(us: number): Promise<boolean> {
    return this.life.guard(
      new Promise<boolean>((resolve) => {
        const finish = (fired: boolean): void => {
          this.waiting.delete(heard);
          alarm.cancel();
          forget();
          resolve(fired);
        };
        const heard = (): void => finish(true);
        const alarm = this.timer(Math.max(0, us), () => finish(false));
        const forget = this.life.onEnd(() => alarm.cancel());
        this.waiting.add(heard);
      }),
    );
  }

  fire(): void {
    for (const heard of [...this.waiting]) heard();
  }
}
