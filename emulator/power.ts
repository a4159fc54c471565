/**
 * The power loop: one life after the other, from power-on to power-off. The only place where an interruption is caught.
 * Reset, power cycle and factory-new are different verbs: RTC memory survives only the first (spec chapter 01 §6.3).
 */
import type { ResetCause } from '../eboot/reset-cause.ts';
import { Interruption, PowerLost } from '../flash/ports.ts';
import type { DeviceClock } from './clock.ts';
import { DeviceReset, type HeldPins } from './device-reset.ts';
import type { Cure, DeadWhy, DeviceEvent } from './events.ts';
import { Life } from './life.ts';

/** What a start came to. */
export type PowerState =
  /** `setup()` is done, sockets are bound. */
  | { readonly state: 'running' }
  /** The ROM's serial loader waits. */
  | { readonly state: 'download' }
  | { readonly state: 'dead'; readonly why: DeadWhy; readonly cure: Cure; readonly message: string }
  /** Power was lost before anything else came of it. */
  | { readonly state: 'off'; readonly why: 'user' | 'fault' };

export interface PowerParts {
  readonly clock: DeviceClock;
  readonly emit: (event: DeviceEvent) => void;
  /** One start, from the ROM on. Never returns: it ends by an Interruption. */
  readonly boot: (life: Life, cause: ResetCause, reset?: DeviceReset) => Promise<never>;
  /** Power is gone: RTC memory and RAM are lost. */
  readonly onPowerLost: () => void;
  readonly afterPowerCut: 'stay-off' | 'power-on';
}

/** How long the plug is out when a fault cut the power and it comes back by itself. */
const PLUG_OUT_US = 500_000;

export class PowerLoop {
  private life: Life | undefined;
  private current: PowerState | undefined;
  private waiters: ((state: PowerState) => void)[] = [];
  private running: Promise<void> = Promise.resolve();
  /** While somebody holds RST low: when it goes high, and what lets it. */
  private rstLow: { readonly held: Promise<HeldPins>; readonly raise: (pins: HeldPins) => void } | undefined;
  private readonly holders = new Set<object>();
  /** A fault cut the power, and the plug is not back yet. */
  private unplugged = false;
  private fail: (error: unknown) => void = () => {};
  /** Rejects when the device cannot go on, for a reason outside it (a port in use) or for a defect of ours. */
  readonly failed: Promise<never>;

  constructor(private readonly parts: PowerParts) {
    this.failed = new Promise<never>((_, reject) => {
      this.fail = reject;
    });
    // Whoever is interested awaits it; a device that nobody watches must not end the process.
    this.failed.catch(() => {});
  }

  /** True while somebody holds RST low: nothing runs, and no other reset starts the chip. */
  get isRstLow(): boolean {
    return this.rstLow !== undefined;
  }

  /** True between power-on and power-off. */
  get isOn(): boolean {
    return this.life !== undefined;
  }

  /** The life going on, if power is on. */
  get currentLife(): Life | undefined {
    return this.life;
  }

  /** What the present start came to; undefined while it is under way, or when power is off. */
  get state(): PowerState | undefined {
    return this.current;
  }

  /**
   * Plugs the device in.
   * @throws Error when it is plugged in already; whatever made the start impossible (a port in use)
   */
  on(cause: 'user' | 'fault' = 'user'): Promise<PowerState> {
    if (this.isOn) throw new Error('the device is on already');
    this.parts.emit({ type: 'power.on', cause });
    return this.launch('power-on');
  }

  /** Starts a device that stands still with its memories as they are (a restored snapshot). */
  launch(cause: ResetCause): Promise<PowerState> {
    if (this.life) throw new Error('the device runs already');
    const life = new Life(this.parts.clock);
    this.life = life;
    this.current = undefined;
    this.running = this.run(life, cause);
    return this.settled();
  }

  /**
   * Resets a running device; resolves when the next start came to something. `pins`: held at this reset only. A chip whose RST
   * somebody holds low is in reset already, and starts when that ends.
   */
  reset(cause: Exclude<ResetCause, 'power-on'>, pins: HeldPins = {}): Promise<PowerState> {
    if (!this.life) throw new Error(`reset (${cause}): the device is off; power it on first`);
    if (this.rstLow) return this.settled();
    this.current = undefined;
    this.life.end(new DeviceReset(cause, false, { pins }));
    return this.settled();
  }

  /** Somebody presses the reset button, with pins held; false when the device is off or on its way through a start. */
  pressReset(pins: HeldPins): boolean {
    if (!this.life || !this.current) return false;
    this.reset('external', pins).catch(() => {}); // `failed` tells
    return true;
  }

  /** Somebody holds RST low: nothing runs until {@link PowerLoop.letGo}. Without power it means nothing. */
  hold(by: object): void {
    if (!this.life || this.unplugged) return;
    this.holders.add(by);
    if (this.rstLow) return;
    let raise: (pins: HeldPins) => void = () => {};
    const held = new Promise<HeldPins>((resolve) => {
      raise = resolve;
    });
    this.rstLow = { held, raise };
    this.current = undefined;
    this.life.end(new DeviceReset('external', false, { held }));
  }

  /** One of those who held RST lets it go; with the last one it goes high, and the pins are as that one holds them. */
  letGo(by: object, pins: HeldPins): void {
    if (!this.holders.delete(by) || this.holders.size > 0) return;
    this.rstLow?.raise(pins);
    this.rstLow = undefined;
  }

  /** Pulls the plug; resolves when nothing of the device runs any more. */
  async off(): Promise<void> {
    this.life?.end(new PowerLost('user'));
    await this.running;
  }

  /** Ends it all, for a reason outside the device. */
  giveUp(error: Error): void {
    this.fail(error);
    this.life?.end(new PowerLost('user'));
  }

  /** Told by the boot: this start came to something. */
  settle(state: PowerState): void {
    this.current = state;
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter(state);
  }

  /** Resolves when the present start, or the one after it, came to something. */
  settled(): Promise<PowerState> {
    if (this.current) return Promise.resolve(this.current);
    const state = new Promise<PowerState>((resolve) => this.waiters.push(resolve));
    return Promise.race([state, this.failed]);
  }

  private async run(first: Life, firstCause: ResetCause): Promise<void> {
    let life = first;
    let cause = firstCause;
    let reset: DeviceReset | undefined;
    for (;;) {
      const end = await this.oneLife(life, cause, reset);
      if (!end) return;
      reset = end instanceof DeviceReset ? end : undefined;
      if (reset) {
        cause = reset.cause;
      } else {
        const why = end instanceof PowerLost ? end.why : 'user';
        // The adapter that held RST is on the board, and has no power any more.
        this.rstLow = undefined;
        this.holders.clear();
        this.life = undefined;
        this.parts.onPowerLost();
        this.parts.emit({ type: 'power.off', cause: why });
        if (why === 'user' || this.parts.afterPowerCut === 'stay-off') {
          this.settle({ state: 'off', why });
          return;
        }
        if (!(await this.plugOut())) {
          this.settle({ state: 'off', why: 'user' });
          return;
        }
        this.parts.emit({ type: 'power.on', cause: 'fault' });
        cause = 'power-on';
      }
      this.current = undefined;
      life = new Life(this.parts.clock);
      this.life = life;
    }
  }

  /** Waits with the plug out; false when the user pulled it for good meanwhile. */
  private async plugOut(): Promise<boolean> {
    const pause = new Life(this.parts.clock);
    this.life = pause;
    this.unplugged = true;
    try {
      await pause.sleep(PLUG_OUT_US, 'device');
      return true;
    } catch (error) {
      // A reset button changes nothing while the plug is out.
      if (error instanceof DeviceReset) return true;
      this.life = undefined;
      return false;
    } finally {
      this.unplugged = false;
    }
  }

  /** A start of a chip whose RST is low: the straps are latched, and all else begins, when it goes high. */
  private async whenRaised(life: Life, held: Promise<HeldPins> | undefined): Promise<never> {
    let pins = held ? await life.guard(held) : {};
    // It may have gone down again, or at the very moment in which something else ended the life before.
    while (this.rstLow) pins = await life.guard(this.rstLow.held);
    return await this.parts.boot(life, 'external', new DeviceReset('external', false, { pins }));
  }

  /** Runs one life to its end; returns what ended it, or undefined when the device cannot go on. */
  private async oneLife(
    life: Life,
    cause: ResetCause,
    reset: DeviceReset | undefined,
  ): Promise<Interruption | undefined> {
    try {
      if (reset?.how.held || this.rstLow) return await life.guard(this.whenRaised(life, reset?.how.held));
      return await life.guard(this.parts.boot(life, cause, reset));
    } catch (error) {
      if (error instanceof Interruption) {
        life.end(error);
        return error;
      }
      life.end(new PowerLost('user'));
      this.life = undefined;
      this.fail(error);
      return undefined;
    }
  }
}
