/**
 * The bootloader that is really in flash, executed: the same requests and events as the model, and the same ends. Source:
 * spec chapter 07 §7.
 */

import type { Lx106 } from '../../assembly/host/lx106.ts';
import { recogniseEboot } from '../../flash/eboot-sector.ts';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import { type Crc32, decodeCommand } from '../command.ts';
import type { EbootHost, EbootRequest, Requests } from '../machine.ts';
import { DRAM_BASE, IRAM_BASE, RTC_BASE, RTC_USER_OFFSET } from '../memory-map.ts';
import { DEFAULT_MAX_STEPS, type EbootEnd, type EbootOptions } from '../model.ts';
import type { Ram } from '../ram.ts';
import { ROM_CHIP_BYTES, type RomResult } from '../rom-spi.ts';
import { type BootImage, isOwnCode, readBootImage } from './boot-image.ts';
import { EbootWatch } from './eboot-watch.ts';
import { type CpuSocket, NativeMachine, type NativeMachineOptions, type NativeStop } from './native-machine.ts';
import type { NativeRequest } from './requests.ts';
import { USER_CODE_RETURN } from './rom-entries.ts';

/** 13 s (the longest period) of the 52 MHz that the CPU has before the SDK runs. */
const WATCHDOG_STEPS = 13 * 52_000_000;
/** JEDEC id of a Winbond part of 4 MiB. */
const DEFAULT_FLASH_ID = 0x1640ef;

export interface NativeEbootOptions {
  /** The core; one may serve many starts, one at a time. */
  readonly socket: CpuSocket;
  /** Keeps its content; the image's segments have been loaded into it. */
  readonly ram: Ram;
  readonly image: BootImage;
  /** What the build is recognised as, for the event. */
  readonly version?: string | undefined;
  readonly crc32: Crc32;
  /** The first 128 bytes of RTC user memory. */
  readonly readCommand: () => Uint8Array;
  /** A word of RTC RAM, by CPU address; otherwise what `readCommand` gives, and 0 elsewhere. */
  readonly loadRtc?: ((address: number) => number) | undefined;
  readonly host?: EbootHost;
  /** Instructions after which the run is called a hang; 2e9 by default. */
  readonly maxSteps?: number | undefined;
  /** JEDEC id as RDID gives it. */
  readonly flashId?: number | undefined;
  readonly gpio?: number | undefined;
  /** Whether the hardware watchdog counts at the start. */
  readonly watchdogRunning?: boolean;
  readonly onRomCall?: NativeMachineOptions['onRomCall'];
  /** Gets the machine before it runs: for debuggers. */
  readonly onMachine?: (machine: NativeMachine) => void;
}

/**
 * One run of the code in `image`, as requests to the machine below it.
 *
 * @example
 * const end = runRequests(nativeEboot({ socket, ram, image, crc32, readCommand, loadRtc }), machine);
 */
export function* nativeEboot(options: NativeEbootOptions): Requests<EbootEnd> {
  const { ram, image, host = {}, socket } = options;
  const { cpu } = socket;
  const watch = new EbootWatch(host, decodeCommand(options.readCommand(), options.crc32));
  let watchdogRunning = options.watchdogRunning ?? false;
  const machine: NativeMachine = new NativeMachine(socket, {
    host: {
      transmit: (text) => watch.transmit(text),
      watchdog: (call) => {
        watchdogRunning = call !== 'disable';
        machine.feedWatchdog();
        watch.watchdog(call);
      },
    },
    loadRtc: options.loadRtc ?? ((address) => commandWord(options.readCommand(), address)),
    flashId: options.flashId ?? DEFAULT_FLASH_ID,
    gpio: options.gpio,
    maxSteps: options.maxSteps ?? DEFAULT_MAX_STEPS,
    watchdogBites: () => watchdogRunning && machine.hungrySteps > WATCHDOG_STEPS,
    onWatchdog: (what) => {
      if (what === 'feed') machine.feedWatchdog();
      else watchdogRunning = what === 'enable';
    },
    onRomCall: options.onRomCall,
  });
  machine.ownCode = (address) => isOwnCode(image, address);

  host.emit?.({ type: 'eboot.start', engine: 'native', version: options.version ?? 'unknown' });
  cpu.writeRam(ram.dram, ram.iram);
  machine.start(image.entry);
  options.onMachine?.(machine);
  try {
    const stop = yield* asEboot(machine, watch);
    const end = endOf(stop, machine, watch);
    tell(stop, end, host);
    watch.end(end.outcome === 'boot');
    return end;
  } finally {
    fetchRam(cpu, ram);
  }
}

/** Copies what the core's RAM holds. */
export function fetchRam(cpu: Lx106, ram: Ram): void {
  cpu.readInto(DRAM_BASE, ram.dram);
  cpu.readInto(IRAM_BASE, ram.iram);
}

/** How much flash is looked at for the segments of a boot image. */
const BOOT_IMAGE_BYTES = 0x20000;

/** What a run needs beside what the model takes. */
export interface ExecutedRun
  extends Pick<
    NativeEbootOptions,
    'socket' | 'loadRtc' | 'flashId' | 'gpio' | 'watchdogRunning' | 'onRomCall' | 'onMachine'
  > {
  /** Where the ROM jumps to. */
  readonly entry: number;
  /** Bytes of the chip, without device time or faults. */
  readonly peek: (address: number, length: number) => Uint8Array;
  readonly capacityBytes: number;
}

/**
 * The code that the ROM has just loaded from flash, in the place of the model: takes the same options, of which the era
 * means nothing here.
 */
export function executedEboot(options: EbootOptions, run: ExecutedRun): Requests<EbootEnd> {
  // Real ones end in the boot sector. A sweep boots thousands of times a second: what nobody needs is not fetched.
  const sector = run.peek(0, SECTOR_BYTES);
  const image = readBootImage(sector) ?? readBootImage(run.peek(0, Math.min(BOOT_IMAGE_BYTES, run.capacityBytes)));
  const known = options.host?.emit ? recogniseEboot(sector) : undefined;
  return nativeEboot({
    ...run,
    ram: options.ram,
    image: { entry: run.entry, segments: image?.segments ?? [] },
    version: known?.exact ? known.build : undefined,
    crc32: options.crc32,
    readCommand: options.readCommand,
    ...(options.host ? { host: options.host } : {}),
    maxSteps: options.maxSteps,
  });
}

/** The word of RTC user memory at a CPU address, as far as `bytes` reach. */
function commandWord(bytes: Uint8Array, address: number): number {
  const at = address - RTC_BASE - RTC_USER_OFFSET;
  if (at < 0 || at + 4 > bytes.length) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

/** Translates what executed code asks for into eboot's requests. */
function* asEboot(machine: NativeMachine, watch: EbootWatch): Requests<NativeStop> {
  const run = machine.run();
  try {
    let step = run.next();
    while (!step.done) {
      const request = step.value;
      const result = isEbootRequest(request) ? yield request : yield* translate(request);
      if (request.op === 'write' && result === 0) watch.wrote(request.address, request.length);
      step = run.next(result);
    }
    return step.value;
  } finally {
    run.return(undefined as never);
  }
}

/** The same in both languages. */
const isEbootRequest = (request: NativeRequest): request is NativeRequest & EbootRequest =>
  request.op === 'erase' ? request.length === SECTOR_BYTES : request.op !== 'write' || !request.bus;

function* translate(request: NativeRequest): Generator<EbootRequest, RomResult, RomResult> {
  switch (request.op) {
    case 'erase': {
      // A larger erase is one of each of its sectors.
      const end = Math.min(request.address + request.length, ROM_CHIP_BYTES);
      for (let address = request.address; address < end; address += SECTOR_BYTES) {
        if (yield { op: 'erase', address, length: SECTOR_BYTES }) return 1;
      }
      return request.address < end ? 0 : 1;
    }
    case 'write': {
      const { address, data } = request;
      // The ROM's routine writes whole words; on the bus any length goes, and bytes of 0xFF change nothing.
      const padded = new Uint8Array((data.length + 3) & ~3).fill(0xff);
      padded.set(data);
      return yield { op: 'write', address, length: padded.length, data: padded };
    }
    default:
      return yield request;
  }
}

function endOf(stop: NativeStop, machine: NativeMachine, watch: EbootWatch): EbootEnd {
  switch (stop.stop) {
    case 'left': {
      const header = machine.headers.get(stop.pc) ?? SECTOR_BYTES;
      const base = (header - SECTOR_BYTES) >>> 0;
      return { outcome: 'boot', entry: stop.pc, sp: machine.cpu.registers[1]!, base };
    }
    case 'reset':
      return { outcome: 'reset', code: watch.result };
    case 'exception':
      return { outcome: 'exception', cause: stop.cause, address: stop.excvaddr, epc1: stop.epc1 };
    case 'hang':
      return { outcome: 'hang', reason: stop.reason, pc: stop.pc };
    case 'returned':
      return { outcome: 'hang', reason: 'returned', pc: USER_CODE_RETURN };
    default:
      return stop satisfies never;
  }
}

function tell(stop: NativeStop, end: EbootEnd, host: EbootHost): void {
  if (stop.stop === 'exception' && end.outcome === 'exception') {
    host.emit?.({ type: 'cpu.stop', reason: 'exception', pc: stop.epc1, cause: stop.cause });
  }
  if (stop.stop === 'hang') host.emit?.({ type: 'cpu.stop', reason: stop.reason, pc: stop.pc });
  if (stop.stop !== 'returned') return;
  // The ROM's idle loop.
  host.transmit?.('user code done\r\n');
  host.emit?.({ type: 'cpu.stop', reason: 'returned', pc: USER_CODE_RETURN });
}
