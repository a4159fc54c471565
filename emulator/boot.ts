/** One start of the chip, from the reset to the running application: ROM, eboot, sketch. Source: spec chapter 01 §6, §8, §9. */
import type { Kernels } from '../assembly/host/kernels.ts';
import { commandPort } from '../eboot/command.ts';
import { type Era, eraOf } from '../eboot/eras.ts';
import { driveRequests } from '../eboot/machine.ts';
import { fetchFault } from '../eboot/memory-map.ts';
import { type EbootEnd, eboot } from '../eboot/model.ts';
import { Ram } from '../eboot/ram.ts';
import type { ResetCause } from '../eboot/reset-cause.ts';
import {
  REASON_EXT_SYS_RST,
  type ResetState,
  resetReasonText,
  STORED_WHILE_RUNNING,
  type Start,
  sdkReason,
  storedReason,
} from '../eboot/reset-state.ts';
import { exceptionText, romBoot } from '../eboot/rom.ts';
import { RomSpi } from '../eboot/rom-spi.ts';
import type { RtcMemory } from '../eboot/rtc-memory.ts';
import { DEFAULT_SECOND_NUMBER, type Straps, updaterStraps } from '../eboot/straps.ts';
import { recogniseEboot } from '../flash/eboot-sector.ts';
import { SECTOR_BYTES } from '../flash/geometry.ts';
import type { NorFlash } from '../flash/nor-flash.ts';
import { Mdns } from '../ota-services/mdns/mdns.ts';
import type { TlsIdentity } from '../ota-services/ports.ts';
import { runApp } from './app.ts';
import type { AreaMap } from './area-map.ts';
import type { BoardSetup } from './board-setup.ts';
import type { DeviceClock } from './clock.ts';
import { DeviceReset } from './device-reset.ts';
import type { Addresses, Cure, DeadWhy, DeviceEvent, HostPort } from './events.ts';
import type { FaultEngine } from './faults/engine.ts';
import type { Phase } from './faults/spec.ts';
import type { Life } from './life.ts';
import type { DeviceNetwork } from './network/device-network.ts';
import type { DeviceOptions } from './options.ts';
import { chipClock } from './ports.ts';
import type { PowerState } from './power.ts';
import type { SeededRandom } from './random.ts';
import type { Uart } from './serial.ts';
import type { SketchSettings } from './settings.ts';
import type { SketchChoice } from './sketch-choice.ts';

/** Periods (4, 12, 12) that eboot of `master` sets. Source: spec chapter 01 §9.3. */
const WATCHDOG_US = 13_000_000;
/** Crashes before `setup()` ended, in a row, after which the device counts as dead (design.md §7). */
const CRASH_LOOP = 5;
/** The ROM's handler prints for ever; this often is enough to be seen. */
const EXCEPTION_REPEATS = 3;
const ILLEGAL_INSTRUCTION = 0;

export interface BootParts {
  readonly chip: NorFlash;
  readonly rtc: RtcMemory;
  readonly kernels: Kernels;
  readonly clock: DeviceClock;
  readonly uart: Uart;
  readonly emit: (event: DeviceEvent) => void;
  readonly areas: AreaMap;
  readonly faults: FaultEngine;
  readonly resetState: ResetState;
  readonly straps: Straps;
  readonly random: SeededRandom;
  /** Era of eboot and core; undefined: what the boot sector is recognised as, else `master`. */
  readonly core: string | undefined;
  readonly setup: BoardSetup;
  readonly net: DeviceNetwork;
  readonly freeHeap: number;
  readonly chipId: number;
  readonly settings: SketchSettings;
  /** Of the firmware's TLS server. */
  readonly tlsIdentity: () => TlsIdentity;
  readonly sketch: SketchChoice;
  readonly sketchFor: DeviceOptions['sketchFor'];
  readonly listening: (service: keyof Addresses, at: HostPort) => void;
  readonly settle: (state: PowerState) => void;
}

export class Boot {
  private readonly spi: RomSpi;
  private readonly ram: Ram;
  private readonly ramNoise: SeededRandom;
  private readonly mdnsRandom: SeededRandom;
  private readonly registerRandom: SeededRandom;
  private readonly crc32: (data: Uint8Array) => number;
  /** Who is at work. */
  private actor: 'eboot' | 'app' = 'app';
  private crashes = 0;
  private start: Start | undefined;
  /** What the SDK reports for the present start. */
  private reason = 0;

  constructor(private readonly parts: BootParts) {
    const { chip, rtc, kernels, random } = parts;
    this.spi = new RomSpi(chip);
    this.ramNoise = random.stream('dram');
    this.mdnsRandom = random.stream('mdns');
    this.registerRandom = random.stream('register');
    this.ram = new Ram((bytes) => this.ramNoise.fill(bytes));
    this.crc32 = (data) => kernels.crc32(data);
    let after: Error | undefined;
    rtc.gate = {
      before: () => {
        const decision = parts.faults.decideRtcWord(this.actor === 'eboot' ? 'clear' : 'command');
        after = decision.after;
        if (decision.before) throw decision.before;
      },
      after: () => {
        if (after) throw after;
      },
    };
  }

  /** The phase that a flash operation belongs to now (design.md §8). */
  get phase(): Phase {
    return this.actor === 'eboot' ? 'copy' : this.parts.areas.updatePhase;
  }

  /** Runs one start; never returns, it ends by an Interruption. */
  async run(life: Life, cause: ResetCause, reset: DeviceReset | undefined): Promise<never> {
    const { parts } = this;
    if (cause === 'power-on') {
      this.ram.fill((bytes) => this.ramNoise.fill(bytes));
      this.crashes = 0;
    }
    const start = this.reset(cause, reset);
    if (cause === 'exception' && this.crashes >= CRASH_LOOP) {
      // The chip would go on like this for ever.
      return await this.die(life, {
        why: 'crash-loop',
        cure: 'serial',
        message: `the application crashed ${this.crashes} times before setup() ended; only a serial upload helps`,
      });
    }
    const { text, end, event } = romBoot({
      rstCause: start.rstCause,
      strap: start.strap,
      secondNumber: DEFAULT_SECOND_NUMBER,
      read: (address, target) => this.spi.read(address, target.length, target) === 0,
      ram: this.ram,
    });
    parts.uart.send(text);
    parts.emit(event);
    switch (end.result) {
      case 'download':
        parts.settle({ state: 'download' });
        return await forever(life);
      case 'hang':
        return await this.die(life, deathInRom(end.why));
      case 'boot':
        return await this.runEboot(life);
      default:
        return end satisfies never;
    }
  }

  /** What every start begins with: memories, straps, the cause. */
  private reset(cause: ResetCause, reset: DeviceReset | undefined): Start {
    const { rtc, resetState, straps, emit, uart } = this.parts;
    const stored = reset?.reportedAsExternal ? REASON_EXT_SYS_RST : storedReason(cause);
    if (stored !== undefined) rtc.writeSystemWord(0, stored);
    const rtcKept = rtc.reset(cause);
    const start = resetState.start(cause, straps);
    this.start = start;
    this.actor = 'app';
    uart.clearInput();
    emit({ type: 'reset', cause, rtcKept });
    emit({ type: 'straps', gpio0: straps.gpio0, gpio2: straps.gpio2, gpio15: straps.gpio15, latched: start.strap });
    if (cause === 'external') this.crashes = 0;
    return start;
  }

  private async runEboot(life: Life): Promise<never> {
    const { parts } = this;
    this.actor = 'eboot';
    const clock = chipClock(parts.clock, life);
    const end = await driveRequests(
      eboot({
        era: this.era(),
        crc32: this.crc32,
        ram: this.ram,
        readCommand: () => parts.rtc.readUser(0, 128),
        host: {
          transmit: (text) => parts.uart.send(text),
          watchdog: (call) => {
            parts.resetState.watchdogRunning = call !== 'disable';
          },
          emit: parts.emit,
        },
      }),
      { spi: this.spi, rtc: parts.rtc, settle: () => clock.settle() },
    );
    this.actor = 'app';
    return await this.afterEboot(life, end);
  }

  private async afterEboot(life: Life, end: EbootEnd): Promise<never> {
    switch (end.outcome) {
      case 'reset':
        // SWRST does not wait; the ROM then hangs, as the flash pins are not attached (spec chapter 01 §8.4).
        throw new DeviceReset('eboot');
      case 'hang':
        return await this.die(life, { why: 'rom-hang', cure: 'external', message: 'eboot never ends' });
      case 'exception':
        return await this.romException(life, end.cause, end.address);
      case 'boot':
        if (end.base !== 0 || fetchFault(end.entry) !== undefined) return await this.wildJump(life, end.entry);
        return await this.runApplication(life);
      default:
        return end satisfies never;
    }
  }

  private async runApplication(life: Life): Promise<never> {
    const { parts } = this;
    const stored = parts.rtc.readSystemWord(0);
    this.reason = stored === REASON_EXT_SYS_RST ? REASON_EXT_SYS_RST : sdkReason(stored, this.start!.rstCause);
    parts.rtc.writeSystemWord(0, STORED_WHILE_RUNNING);
    parts.resetState.watchdogRunning = true;
    const network = parts.net.forDevice(life);
    return await runApp(
      {
        ...parts,
        layout: parts.setup.layout,
        flashMapSupport: parts.setup.flashMapSupport,
        resetReason: () => resetReasonText(this.reason),
        command: commandPort(parts.rtc, this.crc32),
        network,
        mdns: (ports) =>
          new Mdns(ports, {
            board: parts.setup.board.id,
            random: (below) => this.mdnsRandom.below(below),
            onJoinFailed: ({ message }) =>
              parts.emit({ type: 'sketch.log', text: `mDNS: cannot join the multicast group: ${message}` }),
          }),
        random32: () => this.registerRandom.next32(),
        bootStraps: () => updaterStraps(this.start!.strap),
        ready: () => {
          this.crashes = 0;
          parts.settle({ state: 'running' });
        },
        crashed: () => ++this.crashes,
      },
      life,
    );
  }

  /** Code jumped where none is: the ROM's handler prints and returns, again and again, until a watchdog bites. */
  private wildJump(life: Life, entry: number): Promise<never> {
    return this.romException(life, fetchFault(entry) ?? ILLEGAL_INSTRUCTION, entry);
  }

  private async romException(life: Life, cause: number, address: number): Promise<never> {
    const { uart, resetState } = this.parts;
    for (let i = 0; i < EXCEPTION_REPEATS; i++) uart.send(exceptionText(cause, { epc1: address, excvaddr: address }));
    if (!resetState.watchdogRunning) {
      return await this.die(life, {
        why: 'no-image',
        cure: 'serial',
        message: `there is no application that runs: exception ${cause} at 0x${(address >>> 0).toString(16)}, and no watchdog is on`,
      });
    }
    await life.sleep(WATCHDOG_US, 'device');
    throw new DeviceReset('hardware-watchdog');
  }

  /** Nothing moves any more until somebody does what `cure` says. */
  private die(life: Life, death: Death): Promise<never> {
    this.parts.emit({ type: 'device.dead', ...death });
    this.parts.settle({ state: 'dead', ...death });
    return forever(life);
  }

  /** The build in the boot sector decides what eboot does, unless the run says otherwise. */
  private era(): Era {
    if (this.parts.core !== undefined) return eraOf(this.parts.core);
    const known = recogniseEboot(this.parts.chip.peek(0, SECTOR_BYTES));
    return eraOf(known?.build ?? 'master');
  }
}

interface Death {
  readonly why: DeadWhy;
  readonly cure: Cure;
  readonly message: string;
}

const forever = (life: Life): Promise<never> => life.guard(new Promise<never>(() => {}));

/** What is wrong when the ROM finds nothing to start. */
function deathInRom(why: DeadWhy): Death {
  switch (why) {
    case 'bad-checksum':
      return { why, cure: 'serial', message: 'the checksum of the boot sector is wrong; only a serial upload helps' };
    case 'no-image':
      return { why, cure: 'serial', message: 'there is no image in the boot sector; only a serial upload helps' };
    default:
      return { why, cure: 'external', message: 'the ROM hangs; press the reset button' };
  }
}
