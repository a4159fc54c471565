/**
 * What the layers right of `assembly/` need from whoever wires them: time, events, and the way a running device is
 * stopped. Declared here because every other folder may import `flash/`.
 */

/** Takes one event; the emulator stamps it with `seq` and `atUs`. */
export type Emit<E> = (event: E) => void;

/** Device time as parts of the chip see it. Only the device advances it. */
export interface ChipClock {
  /** Integer microseconds of device time since the device was made; never goes back. */
  nowUs(): number;
  /**
   * Charges `us` microseconds of device time that the chip was busy (an erase, a page program). Returns at once: with
   * `--time real` the wait is made up at the next {@link ChipClock.settle}.
   */
  spend(us: number): void;
  /**
   * Where a sequence of chip operations may pause: for the time it owes (`--time real`), or because somebody paused the
   * device. `undefined` when there is nothing to wait for, so that hot paths need no microtask:
   * `const wait = clock.settle(); if (wait) await wait;`
   *
   * Rejects with an {@link Interruption} when the device stopped meanwhile.
   */
  settle(): Promise<void> | undefined;
}

/**
 * The device stopped running under the code that sees this. It passes through every layer and is caught only by the
 * power loop: a `catch` in between must rethrow it.
 */
export abstract class Interruption extends Error {
  abstract readonly kind: 'power-lost' | 'reset';
}

/** Power is gone: RAM and RTC memory are lost, the operation in flight is torn. */
export class PowerLost extends Interruption {
  override readonly name = 'PowerLost';
  readonly kind = 'power-lost';
  constructor(readonly why: 'user' | 'fault' = 'user') {
    super(`power lost (${why})`);
  }
}
