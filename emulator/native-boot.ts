/**
 * Which bootloader runs on the device, the model or the code that is really in flash, and what the code needs of the device
 * around it. Contract: design.md §4, `--bootloader`.
 */
import { createLx106Sync } from '../eboot/lx106.ts';
import type { Requests } from '../eboot/machine.ts';
import { type EbootEnd, type EbootOptions, eboot } from '../eboot/model.ts';
import { holdsBootCode } from '../eboot/native/boot-image.ts';
import { executedEboot } from '../eboot/native/native-eboot.ts';
import { CpuSocket, type NativeMachine } from '../eboot/native/native-machine.ts';
import type { Start } from '../eboot/reset-state.ts';
import type { RtcMemory } from '../eboot/rtc-memory.ts';
import { DEFAULT_SECOND_NUMBER, gpiRegister } from '../eboot/straps.ts';
import { isSyntheticEboot } from '../flash/eboot-sector.ts';
import { SECTOR_BYTES } from '../flash/geometry.ts';
import type { NorFlash } from '../flash/nor-flash.ts';
import type { ChipClock } from '../flash/ports.ts';
import type { ClockMode } from './clock.ts';
import type { Life } from './life.ts';
import { DeviceOptionError } from './options.ts';

export type BootEngine = 'auto' | 'model' | 'native';

/** The CPU runs at 52 MHz until the SDK changes that (26 MHz crystal). Source: spec chapter 07 §6. */
const CPU_MHZ = 52;
/** With a virtual clock the event loop turns so rarely that no test's order of events depends on it. */
const VIRTUAL_TURN_STEPS = 500_000_000;

/** @throws DeviceOptionError when the engine `native` has nothing to execute */
export function checkBootEngine(engine: BootEngine, chip: NorFlash): void {
  if (engine !== 'native' || !isSyntheticEboot(chip.peek(0, SECTOR_BYTES))) return;
  throw new DeviceOptionError(
    'bootloader native: the boot sector of this image was made by image build and holds no LX106 code; give the .bin of a ' +
      'real firmware, or use model (or auto, which chooses by what is there)',
  );
}

/** Makes the bootloader of each start. */
export class BootEngines {
  private socket: CpuSocket | undefined;

  constructor(
    private readonly engine: BootEngine,
    private readonly parts: { readonly chip: NorFlash; readonly rtc: RtcMemory },
    private readonly onCpu: (machine: NativeMachine | undefined) => void,
  ) {}

  /** The bootloader in flash now, loaded by the ROM and about to be entered. */
  bootloader(start: Start, entry: number): (options: EbootOptions) => Requests<EbootEnd> {
    const { chip, rtc } = this.parts;
    const executes = this.engine === 'native' || (this.engine === 'auto' && holdsBootCode(chip.peek(0, SECTOR_BYTES)));
    if (!executes) return eboot;
    this.socket ??= new CpuSocket(createLx106Sync);
    const run = {
      socket: this.socket,
      entry,
      peek: (address: number, length: number) => chip.peek(address, length),
      capacityBytes: chip.capacityBytes,
      loadRtc: (address: number) => rtc.load(address),
      flashId: chip.part.jedecId,
      gpio: gpiRegister(start.strap, DEFAULT_SECOND_NUMBER),
      watchdogRunning: start.watchdogRunning,
      onMachine: (machine: NativeMachine) => this.onCpu(machine),
    };
    const { onCpu } = this;
    return function* executed(options) {
      try {
        return yield* executedEboot(options, run);
      } finally {
        onCpu(undefined);
      }
    };
  }
}

/** What lets the event loop turn while code executes: see `DeviceMachine.breathe`. */
export function breathing(clock: ChipClock, mode: ClockMode, life: Life): (steps: number) => Promise<void> {
  let since = 0;
  return async (steps) => {
    clock.spend(Math.round(steps / CPU_MHZ));
    const wait = clock.settle();
    if (wait) await wait;
    since += steps;
    if (mode === 'virtual' && since < VIRTUAL_TURN_STEPS) return;
    since = 0;
    await life.guard(new Promise<void>((resolve) => setImmediate(resolve)));
  };
}
