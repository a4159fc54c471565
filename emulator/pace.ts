/**
 * How a person watches the device: standing still, one flash operation at a time, slower or faster. The clock asks here
 * before the device goes on; faults and resets strike whether it stands still or not.
 */

/** Slowest and fastest factor on top of `--time`. */
export const MIN_SPEED = 0.001;
export const MAX_SPEED = 1000;

export class Pace {
  private isPaused = false;
  private isStepping = false;
  private factor = 1;
  private waiting: (() => void)[] = [];

  /** @param changed told after each change, so that the clock can stretch, stop or end what it waits for */
  constructor(private readonly changed: () => void = () => {}) {}

  /** True from {@link Pace.pause} to {@link Pace.resume}, also while a step is taken. */
  get paused(): boolean {
    return this.isPaused;
  }

  /** True while the device must stand still. */
  get holding(): boolean {
    return this.isPaused && !this.isStepping;
  }

  /** Factor on top of `--time`: 1 as that says, 0.1 ten times slower. */
  get speed(): number {
    return this.factor;
  }

  /** @throws RangeError outside 0.001 to 1000 */
  set speed(factor: number) {
    if (!(factor >= MIN_SPEED && factor <= MAX_SPEED)) {
      throw new RangeError(`speed ${factor}: a factor from ${MIN_SPEED} to ${MAX_SPEED} wanted`);
    }
    this.factor = factor;
    this.changed();
  }

  pause(): void {
    this.isPaused = true;
    this.isStepping = false;
    this.changed();
  }

  resume(): void {
    this.isPaused = false;
    this.isStepping = false;
    this.letGo();
  }

  /** Lets a paused device go on until {@link Pace.endStep}. */
  beginStep(): void {
    if (!this.isPaused) return;
    this.isStepping = true;
    this.letGo();
  }

  endStep(): void {
    if (!this.isStepping) return;
    this.isStepping = false;
    this.changed();
  }

  /** Resolves when the device may go on; `undefined` when it may at once. */
  held(): Promise<void> | undefined {
    return this.holding ? this.hold() : undefined;
  }

  private async hold(): Promise<void> {
    while (this.holding) await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private letGo(): void {
    this.changed();
    const waiting = this.waiting;
    this.waiting = [];
    for (const go of waiting) go();
  }
}
