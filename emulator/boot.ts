/** One start of the chip, from the reset to the running application: ROM, eboot, sketch. Source: spec chapter 01 §6, §8, §9. */
import type { Kernels } from '../assembly/host/kernels.ts';
import { COMMAND_BYTES, type CommandRecord, commandPort, decodeCommand, isValidCommand } from '../eboot/command.ts';
import { type Era, eraOf } from '../eboot/eras.ts';
import { driveRequests } from '../eboot/machine.ts';
import { fetchFault } from '../eboot/memory-map.ts';
import type { EbootEnd } from '../eboot/model.ts';
import type { CpuSocket, NativeMachine } from '../eboot/native/native-machine.ts';
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
import { exceptionText, type RomInput, type RomRun, romBoot, romRunFlash } from '../eboot/rom.ts';
import { RomSpi } from '../eboot/rom-spi.ts';
import type { RtcMemory } from '../eboot/rtc-memory.ts';
import { DEFAULT_SECOND_NUMBER, type Straps, updaterStraps } from '../eboot/straps.ts';
import { recogniseEboot } from '../flash/eboot-sector.ts';
import { SECTOR_BYTES } from '../flash/geometry.ts';
import type { NorFlash } from '../flash/nor-flash.ts';
import { Mdns } from '../ota-services/mdns/mdns.ts';
import type { TlsIdentity } from '../ota-services/ports.ts';
import type { LoaderEnd } from '../ota-services/rom-loader/ports.ts';
import type { Alterations } from './alterations.ts';
import { runApp } from './app.ts';
import type { AreaMap } from './area-map.ts';
import type { BoardSetup } from './board-setup.ts';
import type { DeviceClock } from './clock.ts';
import { DeviceReset } from './device-reset.ts';
import type { Addresses, Cure, DeadWhy, DeviceEvent, HostPort } from './events.ts';
import type { FaultEngine } from './faults/engine.ts';
import type { Phase } from './faults/spec.ts';
import type { Life } from './life.ts';
import { type BootEngine, BootEngines, breathing } from './native-boot.ts';
import { runStub, stubSocket } from './native-stub.ts';
import type { DeviceNetwork } from './network/device-network.ts';
import type { DeviceOptions } from './options.ts';
import { chipClock } from './ports.ts';
import type { PowerState } from './power.ts';
import type { SeededRandom } from './random.ts';
import { runLoader } from './serial/loader.ts';
import { ROM_BAUD, SKETCH_BAUD, type Uart } from './serial/uart.ts';
import type { SketchSettings } from './settings.ts';
import type { SketchChoice } from './sketch-choice.ts';

/** Periods (4, 12, 12) that eboot of `master` sets. Source: spec chapter 01 §9.3. */
const WATCHDOG_US = 13_000_000;
/** Crashes before `setup()` ended, in a row, after which the device counts as dead (design.md §7). */
const CRASH_LOOP = 5;
/** The ROM's handler prints for ever; this often is enough to be seen. */
const EXCEPTION_REPEATS = 3;
const ILLEGAL_INSTRUCTION = 0;
/** Of the mode byte in the header at 0: 0 is QIO, 1 QOUT. Source: spec chapter 01 §7.1. */
const MODE_OFFSET = 2;
const isQuadMode = (mode: number): boolean => mode <= 1;

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
  readonly bootloader: BootEngine;
  /** Whether a flasher stub that is uploaded is executed. */
  readonly stub: 'state' | 'native';
  /** Gets the machine while code is executed. */
  readonly onCpu: (machine: NativeMachine | undefined) => void;
  readonly setup: BoardSetup;
  readonly net: DeviceNetwork;
  readonly freeHeap: number;
  readonly chipId: number;
  readonly settings: SketchSettings;
  /** Of the firmware's TLS server. */
  readonly tlsIdentity: () => TlsIdentity;
  readonly sketch: SketchChoice;
  readonly sketchFor: DeviceOptions['sketchFor'];
  readonly alter: Alterations | undefined;
  /** The chip's pins for four data lines are connected. */
  readonly quadFlash: boolean;
  readonly layoutFromImage: boolean;
  readonly listening: (service: keyof Addresses, at: HostPort) => void;
  readonly settle: (state: PowerState) => void;
}

export class Boot {
  private readonly spi: RomSpi;
  private readonly engines: BootEngines;
  private stubSocket: CpuSocket | undefined;
  private readonly ram: Ram;
  private readonly ramNoise: SeededRandom;
  private readonly mdnsRandom: SeededRandom;
  private readonly registerRandom: SeededRandom;
  private readonly crc32: (data: Uint8Array) => number;
  /** Who is at work. */
  private actor: 'loader' | 'eboot' | 'app' = 'app';
  private crashes = 0;
  /** eboot gave up on the application, and no command is left that could mend it. */
  private unloadable = false;
  private start: Start | undefined;
  /** What the SDK reports for the present start. */
  private reason = 0;

  constructor(private readonly parts: BootParts) {
    const { chip, rtc, kernels, random } = parts;
    this.spi = new RomSpi(chip);
    this.engines = new BootEngines(parts.bootloader, parts, parts.onCpu);
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
    if (this.actor === 'loader') return 'serial';
    return this.actor === 'eboot' ? 'copy' : this.parts.areas.updatePhase;
  }

  /** Runs one start; never returns, it ends by an Interruption. */
  async run(life: Life, cause: ResetCause, reset: DeviceReset | undefined): Promise<never> {
    const { parts } = this;
    if (cause === 'power-on') {
      this.ram.fill((bytes) => this.ramNoise.fill(bytes));
      this.crashes = 0;
    }
    const start = this.reset(cause, reset, { ...parts.straps, ...reset?.how.pins });
    if (reset?.how.toLoader) return await this.download(life, cause);
    if (cause === 'exception' && this.crashes >= CRASH_LOOP) {
      // The chip would go on like this for ever.
      return await this.die(life, {
        why: 'crash-loop',
        cure: 'serial',
        message: `the application crashed ${this.crashes} times before setup() ended; only a serial upload helps`,
      });
    }
    return await this.afterRom(life, romBoot(this.romInput(start)), cause);
  }

  private romInput(start: Start): RomInput {
    return {
      rstCause: start.rstCause,
      strap: start.strap,
      secondNumber: DEFAULT_SECOND_NUMBER,
      read: (address, target) => this.romRead(address, target),
      ram: this.ram,
    };
  }

  /** The ROM reads the first row as every chip understands it, and the rest in the mode that the header in it names. */
  private romRead(address: number, target: Uint8Array): boolean {
    const { chip, quadFlash } = this.parts;
    if (this.spi.read(address, target.length, target) !== 0) return false;
    // The data lines that end nowhere are pulled up, and the chip takes half of the command for another one.
    if (!quadFlash && address > 0 && isQuadMode(chip.peek(MODE_OFFSET, 1)[0]!)) target.fill(0xff);
    return true;
  }

  private async afterRom(life: Life, { text, end, event }: RomRun, cause: ResetCause): Promise<never> {
    this.parts.uart.send(text);
    this.parts.emit(event);
    switch (end.result) {
      case 'download':
        return await this.download(life, cause);
      case 'hang':
        return await this.die(life, cause === 'eboot' && this.unloadable ? UNLOADABLE : deathInRom(end.why));
      case 'boot':
        return await this.runEboot(life, end.entry);
      default:
        return end satisfies never;
    }
  }

  /**
   * The UART loader of the ROM. Where code restarted the chip with strap 1 latched, the watchdog still runs and bites in
   * here; after that it is off, and nothing starts the application any more. The loader listens all the same.
   * Source: spec chapter 01 §6.5, chapter 05 §1, §14.
   */
  private async download(life: Life, cause: ResetCause): Promise<never> {
    const { parts } = this;
    this.actor = 'loader';
    if (parts.stub === 'native') this.stubSocket ??= stubSocket();
    const biting = parts.resetState.watchdogRunning;
    const loader = runLoader({ ...parts, ram: this.ram }, chipClock(parts.clock, life), life);
    if (biting) {
      const bite = life.sleep(WATCHDOG_US, 'device').then(() => Promise.reject(new DeviceReset('hardware-watchdog')));
      return await this.afterLoader(life, await Promise.race([loader, bite]), cause);
    }
    if (cause === 'hardware-watchdog') this.tellDeath(HANGS_IN_LOADER);
    else parts.settle({ state: 'download' });
    return await this.afterLoader(life, await loader, cause);
  }

  private async afterLoader(life: Life, end: LoaderEnd, cause: ResetCause): Promise<never> {
    switch (end.do) {
      case 'run-flash':
        this.actor = 'app';
        return await this.afterRom(life, romRunFlash(this.romInput(this.start!)), cause);
      case 'reset':
        throw new DeviceReset('software', false, { byLoader: true });
      case 'run-ram':
        return await this.runProgram(life, end.entry, cause);
      default:
        return end satisfies never;
    }
  }

  /** A program that was uploaded to RAM: executed if that is wished, else silent until a reset. */
  private async runProgram(life: Life, entry: number, cause: ResetCause): Promise<never> {
    const { parts, ram } = this;
    if (parts.stub !== 'native') return await forever(life);
    const { strap } = this.start!;
    const socket = this.stubSocket ?? stubSocket();
    const end = await runStub(
      { ...parts, socket, ram },
      entry,
      strap,
      chipClock(parts.clock, life),
      parts.clock.mode,
      life,
    );
    return end ? await this.afterLoader(life, end, cause) : await forever(life);
  }

  /** What every start begins with: memories, straps, the cause. */
  private reset(cause: ResetCause, reset: DeviceReset | undefined, straps: Readonly<Straps>): Start {
    const { rtc, resetState, emit, uart } = this.parts;
    const stored = reset?.reportedAsExternal
      ? REASON_EXT_SYS_RST
      : reset?.how.byLoader || reset?.how.toLoader
        ? undefined
        : storedReason(cause);
    if (stored !== undefined) rtc.writeSystemWord(0, stored);
    const rtcKept = rtc.reset(cause);
    // Software that goes to the loader on purpose has switched the watchdog off: it would bite in there.
    if (reset?.how.toLoader) resetState.watchdogRunning = false;
    const start = resetState.start(cause, straps);
    this.start = start;
    this.actor = 'app';
    uart.reset(start.pllSet ? SKETCH_BAUD : ROM_BAUD);
    emit({ type: 'reset', cause, rtcKept });
    emit({ type: 'straps', gpio0: straps.gpio0, gpio2: straps.gpio2, gpio15: straps.gpio15, latched: start.strap });
    if (cause === 'external') this.crashes = 0;
    return start;
  }

  private async runEboot(life: Life, entry: number): Promise<never> {
    const { parts } = this;
    this.actor = 'eboot';
    let said = '';
    // After an atomic file system update eboot tries to load that; the next start loads the application.
    const elsewhere = (this.command()?.args[1] ?? 0) !== 0;
    const clock = chipClock(parts.clock, life);
    const end = await driveRequests(
      (parts.alter?.bootloader ?? this.engines.bootloader(this.start!, entry))({
        era: this.era(),
        crc32: this.crc32,
        ram: this.ram,
        readCommand: () => parts.rtc.readUser(0, 128),
        host: {
          transmit: (text) => {
            said += text;
            parts.uart.send(text);
          },
          watchdog: (call) => {
            parts.resetState.watchdogRunning = call !== 'disable';
          },
          emit: parts.emit,
        },
      }),
      {
        spi: this.spi,
        rtc: parts.rtc,
        settle: () => clock.settle(),
        breathe: breathing(clock, parts.clock.mode, life),
      },
    );
    this.actor = 'app';
    this.unloadable = end.outcome === 'reset' && LOAD_FAILED.test(said) && !elsewhere && !this.command();
    return await this.afterEboot(life, end);
  }

  private async afterEboot(life: Life, end: EbootEnd): Promise<never> {
    switch (end.outcome) {
      case 'reset':
        // SWRST does not wait; the ROM then hangs, as the flash pins are not attached (spec chapter 01 §8.4).
        throw new DeviceReset('eboot');
      case 'hang':
        return await this.hang(life, end);
      case 'exception':
        return await this.romException(life, end.cause, end.address, end.epc1);
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
    parts.resetState.pllSet = true;
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

  /** @param epc1 where it was raised, when that is not `address` itself */
  private async romException(life: Life, cause: number, address: number, epc1 = address): Promise<never> {
    const { uart, resetState } = this.parts;
    for (let i = 0; i < EXCEPTION_REPEATS; i++) uart.send(exceptionText(cause, { epc1, excvaddr: address }));
    if (!resetState.watchdogRunning) {
      return await this.die(life, {
        why: 'no-image',
        cure: 'serial',
        message: `there is no application that runs: exception ${cause} at 0x${(epc1 >>> 0).toString(16)}, and no watchdog is on`,
      });
    }
    await life.sleep(WATCHDOG_US, 'device');
    throw new DeviceReset('hardware-watchdog');
  }

  /** The bootloader goes round, sleeps, or called what is not modelled. */
  private async hang(life: Life, { reason, pc }: { reason?: string; pc?: number }): Promise<never> {
    if (this.parts.resetState.watchdogRunning) {
      if (reason !== 'watchdog') await life.sleep(WATCHDOG_US, 'device');
      throw new DeviceReset('hardware-watchdog');
    }
    const message = reason === undefined ? 'eboot never ends' : hangText(reason, pc ?? 0);
    return await this.die(life, { why: 'rom-hang', cure: 'external', message });
  }

  /** Nothing moves any more until somebody does what `cure` says. */
  private die(life: Life, death: Death): Promise<never> {
    this.tellDeath(death);
    return forever(life);
  }

  private tellDeath(death: Death): void {
    this.parts.emit({ type: 'device.dead', ...death });
    this.parts.settle({ state: 'dead', ...death });
  }

  /** The command that the next run of eboot will carry out. */
  private command(): CommandRecord | undefined {
    const record = decodeCommand(this.parts.rtc.readUser(0, COMMAND_BYTES), this.crc32);
    return isValidCommand(record, this.era().magicChecked) ? record : undefined;
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

/** What eboot prints when it cannot load the application. Source: spec chapter 01 §9.5. */
const LOAD_FAILED = /e:[123]\r?\n$/;

/** Another reset would end in the same place: nothing is left to copy, and what is there cannot be loaded. */
const UNLOADABLE: Death = {
  why: 'rom-hang',
  cure: 'serial',
  message:
    'eboot cannot load the application and restarts into a ROM that hangs, at every reset; only a serial upload helps',
};

/** After a serial upload without a reset, every restart of the application ends here. */
const HANGS_IN_LOADER: Death = {
  why: 'rom-hang',
  cure: 'external',
  message:
    'the chip restarted into its serial loader, as GPIO0 was low at the last hardware reset; press the reset button',
};

function hangText(reason: string, pc: number): string {
  const at = `at 0x${pc.toString(16)}`;
  switch (reason) {
    case 'rom-call':
      return `the bootloader called a ROM function that is not modelled ${at}; --bootloader model may go on`;
    case 'returned':
      return 'the bootloader returned to the ROM, which idles';
    case 'waiti':
      return `the bootloader sleeps for ever ${at}`;
    case 'break':
      return `the bootloader met a BREAK ${at}, where the ROM stops silently`;
    default:
      return `the bootloader never ends: it goes round ${at}`;
  }
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
