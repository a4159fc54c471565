/** Model-based commands: what users, uploaders and bad luck do to a device, each with the invariants that it must leave true. */
import fc from 'fast-check';
import { type Fault, formatFault } from '../faults/spec.ts';
import type { UpdatePath, UpdateTarget } from '../sweep/drive/index.ts';
import { chunkings, type FaultConstraints, faultSchedules, fileSystems, images } from './arbitraries.ts';
import type { Firmware } from './images.ts';
import type { World, WorldOptions } from './world.ts';

/** RTC user memory behind the eboot command: neither eboot nor the Updater knows it. */
const RTC_FREE_OFFSET = 128;

/** What decides which command can follow. */
export interface Model {
  dead: boolean;
}

export type DeviceCommand = fc.AsyncCommand<Model, World>;

abstract class Command implements DeviceCommand {
  check(_model: Readonly<Model>): boolean {
    return true;
  }

  async run(model: Model, world: World): Promise<void> {
    await this.act(world);
    world.check();
    model.dead = world.isDead;
  }

  protected abstract act(world: World): Promise<void>;
  abstract toString(): string;
}

abstract class LiveCommand extends Command {
  override check(model: Readonly<Model>): boolean {
    return !model.dead;
  }
}

/** Arms faults; they strike whatever comes next. */
class Arm extends LiveCommand {
  constructor(private readonly faults: readonly Fault[]) {
    super();
  }

  protected async act({ device }: World): Promise<void> {
    device.faults.arm(this.faults);
  }

  toString(): string {
    return `arm ${this.faults.map(formatFault).join('+')}`;
  }
}

type Chunk = number | readonly number[];

/** Sends a sketch, whatever is armed. */
class Upload extends LiveCommand {
  constructor(
    private readonly firmware: Firmware,
    private readonly chunk: Chunk,
    private readonly undisturbed = false,
  ) {
    super();
  }

  protected async act(world: World): Promise<void> {
    const { device, ledger, running } = world;
    if (this.undisturbed) device.faults.clear();
    world.learn(this.firmware);
    const before = world.digests();
    const [copied, struck] = [ledger.applicationsCopied, ledger.struck];
    const result = await world.update({ target: 'sketch', image: this.firmware.bytes, chunk: this.chunk });
    world.checkApplication(running, this.firmware, copied);
    const after = world.digests();
    // The staging area ends where the file system begins.
    for (const area of ['file system', 'settings'] as const) {
      if (before[area] !== after[area]) world.fail('I6', `a sketch update changed the ${area}`);
    }
    if (ledger.struck === struck && !ledger.chipFault && !result.ok) {
      world.fail('I7', `an undisturbed update of ${this.firmware.version} failed: ${result.error}`);
    }
    if (ledger.struck === struck && !ledger.chipFault && world.running !== this.firmware) {
      world.fail('I7', `after an undisturbed update of ${this.firmware.version}, ${world.running.version} starts`);
    }
    if (ledger.struck > struck && !world.isDead && !result.ok) await comeThrough(world);
  }

  toString(): string {
    const { firmware, chunk } = this;
    return `${this.undisturbed ? 'retry undisturbed with' : 'upload'} ${firmware.version} (${firmware.bytes.length} bytes, ${pieces(chunk)})`;
  }
}

/** Sends a sketch and announces another MD5. */
class UploadWrongMd5 extends LiveCommand {
  constructor(private readonly firmware: Firmware) {
    super();
  }

  protected async act(world: World): Promise<void> {
    const { ledger, running } = world;
    const copied = ledger.applicationsCopied;
    world.learn(this.firmware);
    const { ok } = await world.update({ target: 'sketch', image: this.firmware.bytes, md5: '0'.repeat(32) });
    if (ok || ledger.applicationsCopied > copied) {
      world.fail('I8', `${this.firmware.version} was installed with the MD5 of something else`);
    }
    world.checkApplication(running, undefined, copied);
    if (!world.isDead) await comeThrough(world);
  }

  toString(): string {
    return `upload ${this.firmware.version} (${this.firmware.bytes.length} bytes) with a wrong MD5`;
  }
}

/** Sends a file system. */
class UploadFs extends LiveCommand {
  constructor(
    private readonly bytes: Uint8Array,
    private readonly chunk: Chunk,
  ) {
    super();
  }

  protected async act(world: World): Promise<void> {
    const { ledger, running } = world;
    const before = world.digests();
    const [copied, struck] = [ledger.applicationsCopied, ledger.struck];
    const result = await world.update({ target: 'fs', image: this.bytes, chunk: this.chunk });
    const after = world.digests();
    for (const area of ['application', 'settings'] as const) {
      if (before[area] !== after[area]) world.fail('I6', `a file system update changed the ${area}`);
    }
    world.checkApplication(running, undefined, copied);
    const undisturbed = ledger.struck === struck && !ledger.chipFault;
    if (undisturbed && !result.ok) world.fail('I7', `an undisturbed update of the file system failed: ${result.error}`);
    if (undisturbed && !world.holdsFileSystem(this.bytes)) world.fail('I7', 'the file system is not what was sent');
    if (!undisturbed && !world.isDead && !result.ok) await comeThrough(world);
  }

  toString(): string {
    return `upload a file system (${this.bytes.length} bytes, ${pieces(this.chunk)})`;
  }
}

/** Writes firmware through the serial line: the cure for everything. */
class SerialFlash extends Command {
  constructor(
    private readonly firmware: Firmware,
    private readonly loader: 'rom' | 'stub',
  ) {
    super();
  }

  protected async act(world: World): Promise<void> {
    const { ledger, device } = world;
    world.learn(this.firmware);
    const [copied, struck] = [ledger.applicationsCopied, ledger.struck];
    const image = this.firmware.bytes;
    const result = await world.update({ path: 'serial', target: 'sketch', image, loader: this.loader });
    // A command that still stood in RTC memory was carried out by the reset behind the upload.
    const overwritten = ledger.applicationsCopied > copied;
    const held = world.held();
    if (ledger.struck === struck && !ledger.chipFault && !overwritten) {
      if (!result.ok || world.isDead) world.fail('I10', `a serial upload of ${this.firmware.version}: ${result.error}`);
      if (held !== this.firmware)
        world.fail('I10', `flash does not hold ${this.firmware.version} after its serial upload`);
    }
    if (held && device.state?.state === 'running') world.runs(held);
    else ledger.broken();
    if (!world.isDead) await comeThrough(world);
  }

  toString(): string {
    return `serial upload of ${this.firmware.version} (${this.firmware.bytes.length} bytes, ${this.loader})`;
  }
}

class Reset extends Command {
  constructor(private readonly cause: 'external' | 'hardware-watchdog' | 'software-watchdog') {
    super();
  }

  protected async act(world: World): Promise<void> {
    const { device, ledger, running } = world;
    const copied = ledger.applicationsCopied;
    const kept = device.rtc.readUser(RTC_FREE_OFFSET);
    const struck = ledger.struck;
    await world.reset(this.cause);
    await world.comeBack();
    if (ledger.struck === struck && Buffer.compare(kept, device.rtc.readUser(RTC_FREE_OFFSET)) !== 0) {
      world.fail('I9', `a reset (${this.cause}) changed RTC memory`);
    }
    world.checkApplication(running, undefined, copied);
  }

  toString(): string {
    return `reset (${this.cause})`;
  }
}

class PowerCycle extends Command {
  protected async act(world: World): Promise<void> {
    const { device, ledger, running } = world;
    const copied = ledger.applicationsCopied;
    const before = device.rtc.readUser();
    await world.powerCycle();
    await world.comeBack();
    if (Buffer.compare(before, device.rtc.readUser()) === 0) {
      world.fail('I9', 'RTC memory is the same after a loss of power');
    }
    world.checkApplication(running, undefined, copied);
  }

  toString(): string {
    return 'power cycle';
  }
}

class Wait extends Command {
  constructor(private readonly ms: number) {
    super();
  }

  protected async act(world: World): Promise<void> {
    await world.device.advance(this.ms * 1000);
    await world.comeBack();
  }

  toString(): string {
    return `wait ${this.ms} ms`;
  }
}

const pieces = (chunk: Chunk): string => `pieces of ${chunk}`;

/** After an update that came to nothing: whoever still waits for its peer is let go. */
async function comeThrough(world: World): Promise<void> {
  const { running, ledger } = world;
  const copied = ledger.applicationsCopied;
  await world.recover();
  world.checkApplication(running, undefined, copied);
}

export const COMMANDS = [
  'arm',
  'upload',
  'retry',
  'wrong-md5',
  'upload-fs',
  'serial',
  'reset',
  'power-cycle',
  'wait',
] as const;
export type CommandName = (typeof COMMANDS)[number];

export interface CommandConstraints extends WorldOptions {
  readonly faults?: FaultConstraints;
  /** Largest image in bytes (40,960). */
  readonly maxImageSize?: number;
  readonly maxCommands?: number;
  /** Which commands there are (all that the path has). */
  readonly commands?: readonly CommandName[];
}

/** Sequences of commands, for `fc.asyncModelRun`. Shrinks to the shortest one that still fails. */
export function deviceCommands(constraints: CommandConstraints = {}): fc.Arbitrary<Iterable<DeviceCommand>> {
  const { path = 'arduino-ota', target = 'sketch', layout = '1m64', maxImageSize = 40_960 } = constraints;
  const image = images({ path, target, layout, maxSize: maxImageSize });
  const uploads = fc.tuple(image, chunkings());
  const resets = fc.constantFrom('external' as const, 'hardware-watchdog' as const, 'software-watchdog' as const);
  const all: Record<CommandName, fc.Arbitrary<DeviceCommand>> = {
    arm: faultSchedules(constraints.faults).map((list) => new Arm(list)),
    upload: uploads.map(([firmware, chunk]) => new Upload(firmware, chunk)),
    retry: uploads.map(([firmware, chunk]) => new Upload(firmware, chunk, true)),
    'wrong-md5': image.map((firmware) => new UploadWrongMd5(firmware)),
    'upload-fs': fc.tuple(fileSystems(), chunkings()).map(([bytes, chunk]) => new UploadFs(bytes, chunk)),
    serial: fc
      .tuple(image, fc.constantFrom('rom' as const, 'stub' as const))
      .map(([firmware, loader]) => new SerialFlash(firmware, loader)),
    reset: resets.map((cause) => new Reset(cause)),
    'power-cycle': fc.constant(undefined).map(() => new PowerCycle()),
    wait: fc.nat(20_000).map((ms) => new Wait(ms)),
  };
  const { commands: wanted = COMMANDS } = constraints;
  const possible = wanted.filter((name) => has(path, target, name));
  if (possible.length === 0)
    throw new RangeError(`commands: ${wanted.join(', ')} are not possible on ${path}, ${target}`);
  // Faults and updates make each other interesting.
  const weighted = possible.flatMap((name) => (name === 'arm' || name === 'upload' ? [name, name] : [name]));
  return fc.commands(
    weighted.map((name) => all[name]),
    { maxCommands: constraints.maxCommands ?? 8 },
  ) as fc.Arbitrary<Iterable<DeviceCommand>>;
}

/** A firmware asks for one kind of image by httpUpdate; web uploads have no MD5. */
function has(path: UpdatePath, target: UpdateTarget, name: CommandName): boolean {
  const asksForFs = path === 'http-update' && target === 'fs';
  switch (name) {
    case 'upload':
    case 'retry':
      return !asksForFs;
    case 'wrong-md5':
      return !asksForFs && path !== 'web';
    case 'upload-fs':
      return path !== 'http-update' || asksForFs;
    default:
      return true;
  }
}
