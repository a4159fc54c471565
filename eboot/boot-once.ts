/**
 * One start of eboot on plain arrays, so that recorded traces can be checked against an engine without a device.
 * Contract: design.md §3; words and fields as in test/golden/eboot/README.md.
 */
import { referenceKernels } from '../assembly/host/reference.ts';
import { isSyntheticEboot, recogniseEboot } from '../flash/eboot-sector.ts';
import { SECTOR_BYTES } from '../flash/geometry.ts';
import { COMMAND_BYTES, type Crc32 } from './command.ts';
import { eraOf } from './eras.ts';
import { createLx106Sync } from './lx106.ts';
import { type EbootHost, type EbootMachine, type Requests, runRequests } from './machine.ts';
import { RTC_BASE, RTC_USER_BYTES, RTC_USER_OFFSET } from './memory-map.ts';
import { type EbootEnd, eboot } from './model.ts';
import { loadBootImage, readBootImage } from './native/boot-image.ts';
import { nativeEboot } from './native/native-eboot.ts';
import { CpuSocket } from './native/native-machine.ts';
import { Ram, type RamFill } from './ram.ts';
import { beyondRomChip, ROM_CHIP_BYTES, type RomResult, romReadLength } from './rom-spi.ts';

/** Where a start is stopped: at an erase or write of the run, counted from 0 in whole ROM calls. */
export interface Cut {
  readonly atOp: number;
  /** `before`: not performed; `after`: performed, then stopped; `mid`: only the first `bytes` bytes. */
  readonly when: 'before' | 'after' | 'mid';
  readonly bytes?: number;
}

export interface BootOnceOptions {
  /** The bytes of the chip, changed in place. Addresses beyond its end repeat modulo its size. */
  readonly flash: Uint8Array;
  /** The 512 bytes at 0x60001200, changed in place. */
  readonly rtcUser: Uint8Array;
  /** `model` (default): eboot restated in TypeScript. `native`: the code in sector 0, or `loader`, on an LX106. */
  readonly engine?: 'model' | 'native';
  /** Release whose bootloader the model is; `master` by default. */
  readonly core?: string;
  /** Native only: a boot image (0xE9 header, segments) to execute instead of the one in sector 0. */
  readonly loader?: Uint8Array;
  /** Native only: the core to execute on; one is made otherwise. */
  readonly socket?: CpuSocket;
  readonly cut?: Cut | undefined;
  /** What RAM holds at the start; 0xA5 by default. */
  readonly ram?: RamFill;
  /** Limit in instructions, which the model counts roughly; 2e9 by default. Beyond it a run is a `hang`. */
  readonly maxSteps?: number;
  /** CRC-32/MPEG-2; the TypeScript twin of the kernel by default. */
  readonly crc32?: Crc32;
}

/** `[kind, address, length]`, with `rc=1` when the ROM function returned an error. */
export type FlashOp = ['erase' | 'write', number, number] | ['erase' | 'write', number, number, 'rc=1'];

export interface BootOnceResult {
  readonly outcome: 'boot' | 'reset' | 'powercut' | 'exception' | 'hang';
  /** Jump target and stack pointer at the jump; `boot` only. */
  readonly entry?: number;
  readonly sp?: number;
  /** Bytes on UART0 as latin1, from eboot's first. */
  readonly uart: string;
  /** Every erase and write that was asked for, in order. */
  readonly flashOps: FlashOp[];
  /** `disable`, `enable 4 12 12`, in order. Builds that pass no arguments show the result code, which the register holds;
   * executed, their codes 2 to 4 come with what two more registers happen to hold. */
  readonly watchdog: string[];
}

/** Power goes at this operation. Caught in this file. */
class Stopped extends Error {}

let referenceCrc: Crc32 | undefined;
let commonSocket: CpuSocket | undefined;

/**
 * Starts eboot once.
 *
 * With `engine: 'native'` a sector 0 that holds no image, or one that does not fit into RAM, ends as `hang`: the ROM finds
 * nothing to start.
 *
 * @throws RangeError for an unknown core, an empty flash, or RTC memory that has not 512 bytes; for a `loader` that is no
 *   boot image, and for a boot sector made by us, which has no code to execute
 * @example
 * const run = await bootOnce({ flash, rtcUser, engine: 'model', core: 'master', cut: { atOp: 3, when: 'mid', bytes: 100 } });
 */
export async function bootOnce(options: BootOnceOptions): Promise<BootOnceResult> {
  const { flash, rtcUser, engine = 'model', core = 'master', cut } = options;
  if (flash.length === 0) throw new RangeError('flash has 0 bytes: the bytes of a chip wanted');
  if (rtcUser.length !== RTC_USER_BYTES) {
    throw new RangeError(`rtcUser has ${rtcUser.length} bytes: the ${RTC_USER_BYTES} bytes of RTC user memory wanted`);
  }
  if (engine !== 'model' && engine !== 'native')
    throw new RangeError(`engine ${JSON.stringify(engine)}: model or native wanted`);
  if (!options.crc32) referenceCrc ??= referenceKernels().crc32;

  let uart = '';
  const watchdog: string[] = [];
  const machine = new ArrayMachine(flash, rtcUser, cut);
  const host: EbootHost = {
    transmit: (text) => {
      uart += text;
    },
    watchdog: (call) => watchdog.push(call),
  };
  const common = {
    crc32: options.crc32 ?? referenceCrc!,
    ram: new Ram(options.ram),
    readCommand: () => rtcUser.subarray(0, COMMAND_BYTES),
    host,
    ...(options.maxSteps === undefined ? {} : { maxSteps: options.maxSteps }),
  };
  const requests =
    engine === 'model'
      ? eboot({ ...common, era: eraOf(core) })
      : executed(options, common, (at) => machine.loadRtc(at));
  const end = requests && untilStopped(() => runRequests(requests, machine));
  const facts = { uart, flashOps: machine.operations, watchdog };
  if (!requests) return { outcome: 'hang', ...facts };
  if (!end) return { outcome: 'powercut', ...facts };
  if (end.outcome === 'boot') return { outcome: 'boot', entry: end.entry, sp: end.sp, ...facts };
  return { outcome: end.outcome, ...facts };
}

/** The run of the code in `loader` or in sector 0; undefined when there is nothing that the ROM could start. */
function executed(
  { loader, flash, socket }: BootOnceOptions,
  common: { crc32: Crc32; ram: Ram; readCommand: () => Uint8Array; host: EbootHost; maxSteps?: number },
  loadRtc: (address: number) => number,
): Requests<EbootEnd> | undefined {
  const bytes = loader ?? flash.subarray(0, Math.min(flash.length, ROM_CHIP_BYTES));
  if (isSyntheticEboot(bytes)) {
    const what = loader ? 'loader' : 'the boot sector';
    throw new RangeError(`${what} is a stand-in without LX106 code: use engine "model", or a real image's boot sector`);
  }
  const image = readBootImage(bytes);
  if (!image && loader)
    throw new RangeError('loader is no boot image: magic 0xE9, and segments that lie in RAM, wanted');
  if (!image) return undefined;
  loadBootImage(image, common.ram);
  if (!socket) commonSocket ??= new CpuSocket(createLx106Sync);
  const version = recogniseEboot(bytes.subarray(0, SECTOR_BYTES))?.build;
  return nativeEboot({ ...common, socket: socket ?? commonSocket!, image, version, loadRtc });
}

/** Undefined when the cut stopped it. */
function untilStopped(run: () => EbootEnd): EbootEnd | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof Stopped) return undefined;
    throw error;
  }
}

/** The ROM's routines over plain arrays. */
export class ArrayMachine implements EbootMachine {
  readonly operations: FlashOp[] = [];

  constructor(
    private readonly flash: Uint8Array,
    private readonly rtcUser: Uint8Array,
    private readonly cut: Cut | undefined,
  ) {}

  read(address: number, length: number, target: Uint8Array): RomResult {
    if (beyondRomChip(address, length)) return 1;
    const size = this.flash.length;
    const count = Math.min(romReadLength(length), target.length);
    for (let done = 0; done < count; ) {
      const at = (address + done) % size;
      const piece = this.flash.subarray(at, Math.min(size, at + count - done));
      target.set(piece, done);
      done += piece.length;
    }
    return 0;
  }

  erase(address: number, length: number): RomResult {
    const failed = address >= ROM_CHIP_BYTES;
    return this.operate('erase', address, length, failed, (at) => {
      this.flash[at] = 0xff;
    });
  }

  write(address: number, data: Uint8Array): RomResult {
    const failed = beyondRomChip(address, data.length) || data.length % 4 !== 0;
    return this.operate('write', address, data.length, failed, (at, i) => {
      this.flash[at]! &= data[i]!;
    });
  }

  storeRtc(address: number, value: number): void {
    const at = address - RTC_BASE - RTC_USER_OFFSET;
    // The first half of RTC RAM is not part of this model.
    if (at >= 0) for (let i = 0; i < 4; i++) this.rtcUser[at + i] = value >>> (8 * i);
  }

  loadRtc(address: number): number {
    const at = address - RTC_BASE - RTC_USER_OFFSET;
    if (at < 0) return 0;
    const byte = (index: number): number => this.rtcUser[at + index]!;
    return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
  }

  private operate(
    kind: 'erase' | 'write',
    address: number,
    length: number,
    failed: boolean,
    change: (at: number, index: number) => void,
  ): RomResult {
    const cut = this.cut?.atOp === this.operations.length ? this.cut : undefined;
    this.operations.push(failed ? [kind, address, length, 'rc=1'] : [kind, address, length]);
    const count =
      failed || cut?.when === 'before' ? 0 : cut?.when === 'mid' ? Math.min(cut.bytes ?? 0, length) : length;
    for (let i = 0; i < count; i++) change((address + i) % this.flash.length, i);
    if (cut) throw new Stopped();
    return failed ? 1 : 0;
  }
}

if (ROM_CHIP_BYTES % SECTOR_BYTES !== 0) throw new Error('the ROM chip has whole sectors');
