/** A device under test with everything that is known about it: which images it may hold, and what happened to it so far. */
import { createHash } from 'node:crypto';
import { layoutByName } from '../../flash/layouts.ts';
import { createDevice, type Device } from '../device.ts';
import type { Stamped } from '../events.ts';
import type { DeviceOptions } from '../options.ts';
import type { PowerState } from '../power.ts';
import {
  type DriveOptions,
  type DriveResult,
  deviceOptionsFor,
  driveUpdate,
  settle,
  type UpdatePath,
  type UpdateTarget,
} from '../sweep/drive/index.ts';
import { type Firmware, firmwareImage } from './images.ts';
import { type InvariantId, InvariantViolation } from './invariants.ts';
import { Ledger } from './ledger.ts';

export interface WorldOptions {
  /** By which service updates come (`arduino-ota`). */
  readonly path?: Exclude<UpdatePath, 'serial'>;
  /** Which kind of update the firmware asks for, with `http-update` (`sketch`). */
  readonly target?: UpdateTarget;
  /** Flash layout (`1m64`). */
  readonly layout?: string;
  /** Bytes of the first firmware (24 KiB). */
  readonly size?: number;
  /** Anything else of the device. */
  readonly device?: DeviceOptions;
  /** The design survives every power cut and reset: a dead device is a violation in any case. */
  readonly neverDead?: boolean;
}

const DEFAULT_SIZE = 24_576;
/** More than any list of faults has entries. */
const COME_BACK_TRIES = 32;
/** After an update that came to nothing: what is still on its way arrives. */
const RECOVERY_US = 2_000_000;
/** Header bytes that the Updater patches: flash mode, and size with frequency. */
const PATCHED = [2, 3];

export class World {
  readonly path: Exclude<UpdatePath, 'serial'>;
  readonly target: UpdateTarget;
  /** What should start next. */
  running: Firmware;
  /** The file system; undefined when an update of it in place was cut off. */
  fileSystem: Uint8Array | undefined;
  readonly ledger: Ledger;
  private readonly known: Firmware[];
  private violation: unknown;

  private constructor(
    readonly device: Device,
    private readonly options: WorldOptions,
    first: Firmware,
  ) {
    this.path = options.path ?? 'arduino-ota';
    this.target = options.target ?? 'sketch';
    this.running = first;
    this.known = [first];
    this.ledger = new Ledger(device.events.nextSeq, options.neverDead);
    device.events.subscribe((event) => this.see(event));
  }

  /** Makes a device that runs firmware `1.0` of the path, in virtual time. */
  static async start(options: WorldOptions = {}): Promise<World> {
    const { path = 'arduino-ota', target = 'sketch', layout = '1m64', size = DEFAULT_SIZE } = options;
    const first = firmwareImage({ path, target, layout, version: '1.0', size });
    const device = await createDevice({
      ...deviceOptionsFor(path, target),
      layout,
      image: first.bytes,
      ...options.device,
    });
    const world = new World(device, options, first);
    await world.powerOn();
    return world;
  }

  get layoutName(): string {
    return this.options.layout ?? '1m64';
  }

  get isDead(): boolean {
    return this.device.state?.state === 'dead';
  }

  /** Known from now on: may be what is found in flash. */
  learn(firmware: Firmware): void {
    if (!this.known.some(({ bytes }) => bytes === firmware.bytes)) this.known.push(firmware);
  }

  /** This image is whole in flash and starts. */
  runs(firmware: Firmware): void {
    this.running = firmware;
    this.ledger.replaced();
  }

  async powerOn(): Promise<void> {
    await this.starting(this.device.powerOn());
  }

  async reset(cause: 'external' | 'hardware-watchdog' | 'software-watchdog' | 'brown-out'): Promise<void> {
    await this.starting(this.device.reset(cause));
  }

  async powerCycle(): Promise<void> {
    await this.device.powerOff();
    await this.powerOn();
  }

  /** One update, and the start that follows from it; power that a fault cut comes back. */
  async update(options: Omit<DriveOptions, 'path'> & { readonly path?: UpdatePath }): Promise<DriveResult> {
    const result = await driveUpdate(this.device, { path: this.path, ...options });
    if (result.error === 'the update did not end in time') this.fail('I12', result.error);
    await this.comeBack();
    this.check();
    return result;
  }

  /**
   * Waits for what comes of the present start; where a fault has cut the power, plugs it in again, and where the chip stands
   * still until somebody presses its button, presses it.
   */
  async comeBack(): Promise<void> {
    for (let tries = 0; tries < COME_BACK_TRIES; tries++) {
      const state = await this.settled();
      if (state.state === 'off') await this.powerOn();
      else if (state.state === 'dead' && state.cure === 'external') await this.reset('external');
      else if (state.state === 'dead' && state.cure === 'power') await this.powerCycle();
      else return;
    }
  }

  /** Frees a device that a lost peer may hold: some services wait for the rest of an image for ever. */
  async recover(): Promise<void> {
    await this.device.advance(RECOVERY_US);
    await this.comeBack();
    if (this.isDead) return;
    await this.reset('external');
    await this.comeBack();
  }

  /** @throws InvariantViolation for what the events told; a reader of events cannot throw where the device would see it */
  check(): void {
    const { violation } = this;
    this.violation = undefined;
    if (violation !== undefined) throw violation;
  }

  fail(id: InvariantId, seen: string): never {
    throw new InvariantViolation(id, seen);
  }

  /** The image that is in flash from offset 0 on, whole. */
  held(): Firmware | undefined {
    return this.known.find(({ bytes }) => holds(this.device, 0, bytes, PATCHED));
  }

  /** True when the file system area begins with these bytes. */
  holdsFileSystem(bytes: Uint8Array): boolean {
    return holds(this.device, layoutByName(this.layoutName).fsStart, bytes);
  }

  /** Digests of the areas, to see which of them change. */
  digests(): Record<'application' | 'file system' | 'settings', string> {
    const { fsStart, fsEnd, chipSize } = layoutByName(this.layoutName);
    const digest = (start: number, end: number): string =>
      createHash('sha1')
        .update(this.device.flash.read(start, end - start))
        .digest('hex');
    return {
      application: digest(0, this.running.bytes.length),
      'file system': digest(fsStart, fsEnd),
      settings: digest(fsEnd, chipSize),
    };
  }

  /**
   * Checks what is there against what may be (I1 to I4): after anything that may have changed the application.
   *
   * @param before what ran before
   * @param sent what was sent, if anything
   * @param copiedBefore copies that had ended before
   */
  checkApplication(before: Firmware, sent: Firmware | undefined, copiedBefore: number): void {
    this.check();
    const { ledger, device } = this;
    const held = this.held();
    const copied = ledger.applicationsCopied > copiedBefore;
    const { state } = device;
    if (state?.state === 'running') {
      const version = device.events.recent('app.start').at(-1)?.version;
      if (!held || held.version !== version)
        this.fail('I1', `version ${version} runs, and flash does not hold it whole`);
    }
    const excused = ledger.chipFault || ledger.sourceLost;
    if (state?.state === 'dead') {
      if (this.options.neverDead && !ledger.chipFault)
        this.fail('I3', `a design that never dies is dead: ${state.message}`);
      if (excused || ledger.lostInCopy) return;
      if (copied) this.fail('I4', `dead after a whole copy: ${state.message}`);
      this.fail(ledger.mixed ? 'I3' : 'I2', `dead: ${state.message}`);
    }
    if (!held) return;
    const wanted = copied && sent ? sent : before;
    if (held !== wanted && !excused && !ledger.lostInCopy) {
      this.fail(copied ? 'I4' : 'I2', `${held.version} starts where ${wanted.version} should`);
    }
    // It is whole, so whatever was lost has been made good.
    this.runs(held);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.device.close();
  }

  private see(event: Stamped): void {
    try {
      this.ledger.see(event);
    } catch (error) {
      this.violation ??= error; // a violation, never an Interruption: nothing here runs on the device
    }
  }

  private async starting(start: Promise<unknown>): Promise<void> {
    // It comes to its end while time moves; what it came to is looked at then.
    start.catch(() => {});
    await this.settled();
  }

  private async settled(): Promise<PowerState> {
    return (await settle(this.device)) ?? this.fail('I12', 'a start came to nothing within two minutes');
  }
}

function holds(device: Device, at: number, bytes: Uint8Array, except: readonly number[] = []): boolean {
  const cells = device.flash.read(at, bytes.length);
  for (const i of except) cells[i] = bytes[i]!;
  return Buffer.compare(cells, bytes) === 0;
}
