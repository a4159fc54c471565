/**
 * A boot as a listing: each instruction with the registers that it changed, the ROM functions that are called, flash
 * operations and what the UART says. Contract: design.md §4, `trace`.
 */
import { type Disassembled, disassemble } from '../assembly/host/lx106-disassemble.ts';
import { referenceKernels } from '../assembly/host/reference.ts';
import { ArrayMachine } from '../eboot/boot-once.ts';
import { COMMAND_BYTES } from '../eboot/command.ts';
import { createLx106Sync } from '../eboot/lx106.ts';
import { type EbootMachine, perform } from '../eboot/machine.ts';
import { ROM_BASE, ROM_BYTES, RTC_USER_BYTES } from '../eboot/memory-map.ts';
import type { EbootEnd } from '../eboot/model.ts';
import { loadBootImage, readBootImage } from '../eboot/native/boot-image.ts';
import { nativeEboot } from '../eboot/native/native-eboot.ts';
import { CpuSocket, type MachineDebugger, type NativeMachine } from '../eboot/native/native-machine.ts';
import { Ram } from '../eboot/ram.ts';
import { isSyntheticEboot, recogniseEboot } from '../flash/eboot-sector.ts';
import { SECTOR_BYTES } from '../flash/geometry.ts';
import { DeviceOptionError } from './options.ts';

const DEFAULT_INSTRUCTIONS = 1000;
const ARGUMENTS = 4;

export interface TraceOptions {
  /** The chip, or a firmware image; changed in place as the boot changes the chip. */
  readonly flash: Uint8Array;
  /** The 512 bytes at 0x60001200, changed in place; all zero otherwise. */
  readonly rtcUser?: Uint8Array;
  /** How many instructions are listed (1000); afterwards only calls, operations and text are. */
  readonly instructions?: number;
  /** Lists from the first time that this address is reached. */
  readonly from?: number;
  /** Instructions until the boot is given up. */
  readonly maxSteps?: number;
  /** Gets each line, without its end. */
  readonly write: (line: string) => void;
}

export interface TraceResult {
  readonly outcome: EbootEnd['outcome'];
  readonly entry?: number;
  /** Instructions of the bootloader; ROM functions are none. */
  readonly steps: number;
  readonly uart: string;
}

/**
 * Boots the chip once on the LX106 and lists what happens.
 *
 * @throws DeviceOptionError when sector 0 holds no code
 */
export function traceBoot(options: TraceOptions): TraceResult {
  const { flash, write, rtcUser = new Uint8Array(RTC_USER_BYTES) } = options;
  const image = readBootImage(flash);
  if (!image || isSyntheticEboot(flash)) {
    const what = image ? 'a stand-in made by image build, without LX106 code' : 'no image that the ROM could start';
    throw new DeviceOptionError(`sector 0 holds ${what}; give the .bin of a real firmware`);
  }
  const ram = new Ram();
  loadBootImage(image, ram);
  const listing = new Listing(options);
  const chip = new ArrayMachine(flash, rtcUser, undefined);
  let uart = '';
  const requests = nativeEboot({
    socket: new CpuSocket(createLx106Sync),
    ram,
    image,
    version: recogniseEboot(flash.subarray(0, SECTOR_BYTES))?.build,
    crc32: referenceKernels().crc32,
    readCommand: () => rtcUser.subarray(0, COMMAND_BYTES),
    loadRtc: (address) => chip.loadRtc(address),
    maxSteps: options.maxSteps,
    host: {
      transmit(text) {
        uart += text;
        write(`  uart  ${JSON.stringify(text)}`);
      },
      watchdog: (call) => write(`  wdt   ${call}`),
    },
    onRomCall: (name, registers) => listing.call(name, registers),
    onMachine: (machine) => listing.watch(machine),
  });
  const machine = listed(chip, write);
  let step = requests.next();
  while (!step.done) step = requests.next(perform(machine, step.value));
  const end = step.value;
  const { steps } = listing;
  write(`${ending(end)} after ${steps} instructions`);
  return { outcome: end.outcome, ...(end.outcome === 'boot' ? { entry: end.entry } : {}), steps, uart };
}

/** Writes the lines of instructions, by halting before each of them. */
class Listing implements MachineDebugger {
  readonly breakpoints: Set<number>;
  budget: number;
  private machine: NativeMachine | undefined;
  private left: number;
  private registers = new Uint32Array(16);
  private pending: string | undefined;

  constructor(private readonly options: TraceOptions) {
    this.left = options.instructions ?? DEFAULT_INSTRUCTIONS;
    this.breakpoints = new Set(options.from === undefined ? [] : [options.from]);
    // Halts before the first instruction, or runs to where the listing begins.
    this.budget = options.from === undefined ? 0 : Number.POSITIVE_INFINITY;
    if (this.left === 0) this.budget = Number.POSITIVE_INFINITY;
  }

  get steps(): number {
    return this.machine?.steps ?? 0;
  }

  watch(machine: NativeMachine): void {
    this.machine = machine;
    machine.debug = this;
  }

  halted(): void {
    const { cpu } = this.machine!;
    this.breakpoints.clear();
    this.finishLine();
    // A ROM function tells itself; the listing goes on behind it.
    this.budget = 0;
    if (cpu.pc >= ROM_BASE && cpu.pc < ROM_BASE + ROM_BYTES) return;
    if (this.left-- <= 0) {
      this.budget = Number.POSITIVE_INFINITY;
      this.options.write(`… ${this.options.instructions ?? DEFAULT_INSTRUCTIONS} instructions listed`);
      return;
    }
    this.budget = 1;
    this.registers = cpu.registers.slice();
    this.pending = `${hex(cpu.pc)}  ${instructionAt(this.machine!, cpu.pc)}`;
  }

  call(name: string, registers: Uint32Array): void {
    this.finishLine();
    const args = Array.from(registers.subarray(2, 2 + ARGUMENTS), short);
    this.options.write(`  rom   ${name}(${args.join(', ')})`);
  }

  /** The instruction has been executed: adds what it changed. */
  private finishLine(): void {
    if (this.pending === undefined) return;
    const changes: string[] = [];
    this.machine!.cpu.registers.forEach((value, index) => {
      if (value !== this.registers[index]) changes.push(`a${index}=${short(value)}`);
    });
    this.options.write(changes.length === 0 ? this.pending : `${this.pending.padEnd(52)} ${changes.join(' ')}`);
    this.pending = undefined;
  }
}

function instructionAt({ cpu }: NativeMachine, pc: number): string {
  let bytes: Uint8Array;
  try {
    bytes = cpu.readBytes(pc, 3);
  } catch (error) {
    if (error instanceof RangeError) return '(not in RAM)';
    throw error;
  }
  const { length, mnemonic, operands }: Disassembled = disassemble(bytes, pc);
  const raw = Array.from(bytes.subarray(0, length), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${raw.padEnd(6)}  ${mnemonic.padEnd(7)} ${operands}`.trimEnd();
}

/** The chip, with a line for each operation. */
function listed(machine: ArrayMachine, write: (line: string) => void): EbootMachine {
  const told = (what: string, result: 0 | 1): 0 | 1 => {
    write(`  flash ${what}${result ? ' fails' : ''}`);
    return result;
  };
  return {
    read: (address, length, target) =>
      told(`read ${hex(address)}, ${length} bytes`, machine.read(address, length, target)),
    erase: (address, length) => told(`erase ${hex(address)}`, machine.erase(address, length)),
    write: (address, data) => told(`write ${hex(address)}, ${data.length} bytes`, machine.write(address, data)),
    storeRtc(address, value) {
      write(`  rtc   ${hex(address)} = ${short(value)}`);
      machine.storeRtc(address, value);
    },
  };
}

function ending(end: EbootEnd): string {
  switch (end.outcome) {
    case 'boot':
      return `boot: jump to ${hex(end.entry)}`;
    case 'reset':
      return `software reset, code ${end.code}`;
    case 'exception':
      return `exception ${end.cause} at ${hex(end.epc1 ?? end.address)}, address ${hex(end.address)}`;
    case 'hang':
      return `no end: ${end.reason ?? 'step limit'} at ${hex(end.pc ?? 0)}`;
    default:
      return end satisfies never;
  }
}

const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
const short = (value: number): string => (value < 10 ? String(value) : `0x${(value >>> 0).toString(16)}`);
