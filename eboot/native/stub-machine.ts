/**
 * A program that a host has put into RAM through the serial loader, executed: the flasher stub with its UART interrupt and
 * its flash commands on the chip. Source: spec chapter 07 §4, §5.2; chapter 05 §8.
 */
import { PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';
import type { ChipClock } from '../../flash/ports.ts';
import { DRAM_BASE, IRAM_BASE } from '../memory-map.ts';
import type { Ram } from '../ram.ts';
import { type ChipPort, type RomResult, romReadLength } from '../rom-spi.ts';
import { type CpuSocket, NativeMachine, type NativeMachineOptions, type NativeStop } from './native-machine.ts';
import type { NativeRequest } from './requests.ts';

/** Opens and closes each frame on the line. Source: spec chapter 05 §4. */
const FRAME_END = 0xc0;
/** Short, so that a received byte is not kept waiting for long. */
const SLICE_STEPS = 100_000;

/** `run-flash`: the program returned into the ROM, which boots the flash image. Else as {@link NativeStop}. */
export type StubEnd =
  | { readonly end: 'run-flash' }
  | { readonly end: 'reset' }
  | { readonly end: 'stopped'; readonly reason: string; readonly pc: number; readonly cause?: number };

export interface StubParts extends Pick<NativeMachineOptions, 'flashId' | 'gpio' | 'fixed' | 'setBaud' | 'onRomCall'> {
  readonly socket: CpuSocket;
  /** Holds the program; gets back what it leaves. */
  readonly ram: Ram;
  readonly chip: ChipPort;
  readonly clock: ChipClock;
  /** The rate at which host and loader talk. */
  readonly baud: number;
  /** To UART0. */
  readonly transmit: (bytes: Uint8Array) => void;
  /** Until something arrives: resolves soon after {@link StubMachine.receive}, or at any other time. */
  readonly idle: () => Promise<void>;
  /** `steps` instructions went by. */
  readonly breathe: (steps: number) => Promise<void>;
  readonly onMachine?: (machine: NativeMachine) => void;
}

export class StubMachine {
  private readonly machine: NativeMachine;
  private outgoing: number[] = [];
  /** Frames that are still on the way. */
  private readonly wire: Uint8Array[] = [];

  constructor(private readonly parts: StubParts) {
    this.machine = new NativeMachine(parts.socket, {
      ...parts,
      host: {
        transmit: (text) => {
          for (let i = 0; i < text.length; i++) this.outgoing.push(text.charCodeAt(i));
        },
        watchdog: () => {},
      },
      loadRtc: () => 0,
      maxSteps: Number.POSITIVE_INFINITY,
      sliceSteps: SLICE_STEPS,
      waits: true,
    });
    this.machine.peripherals.uart.baud = parts.baud;
  }

  /** Bytes from the host. */
  receive(bytes: Uint8Array): void {
    let start = 0;
    for (let i = 1; i < bytes.length; i++) {
      if (bytes[i] !== FRAME_END || bytes[i - 1] === FRAME_END) continue;
      this.wire.push(bytes.slice(start, i + 1));
      start = i + 1;
    }
    if (start < bytes.length) this.wire.push(bytes.slice(start));
  }

  /**
   * Hands the next frame over. A host may send its next command together with an acknowledgement; on a real line, which
   * needs time for each byte, the stub has looked at the one before the other comes.
   */
  private deliver(): boolean {
    const { uart } = this.machine.peripherals;
    if (uart.waiting > 0) return true;
    const frame = this.wire.shift();
    if (frame) uart.receive(frame);
    return frame !== undefined;
  }

  /** Executes from `entry` until the program gives up the chip. An Interruption of the clock passes through. */
  async run(entry: number): Promise<StubEnd> {
    const { machine, parts } = this;
    const { cpu, ram } = { cpu: machine.cpu, ram: parts.ram };
    cpu.writeRam(ram.dram, ram.iram);
    machine.start(entry);
    parts.onMachine?.(machine);
    const requests = machine.run();
    try {
      let step = requests.next();
      while (!step.done) {
        this.flush();
        step = requests.next(await this.perform(step.value));
      }
      this.flush();
      return endOf(step.value);
    } finally {
      requests.return(undefined as never);
      cpu.readInto(DRAM_BASE, ram.dram);
      cpu.readInto(IRAM_BASE, ram.iram);
    }
  }

  private flush(): void {
    if (this.outgoing.length === 0) return;
    const bytes = Uint8Array.from(this.outgoing);
    this.outgoing = [];
    this.parts.transmit(bytes);
  }

  private async perform(request: NativeRequest): Promise<RomResult> {
    const { chip, breathe, idle } = this.parts;
    switch (request.op) {
      case 'read': {
        if (!request.bus && request.address + romReadLength(request.length) > this.believed) return 1;
        const { target } = request;
        return target.length === 0 || chip.read(request.address % chip.capacityBytes, target) ? 0 : 1;
      }
      case 'write':
        if (!request.bus && (request.address + request.length > this.believed || request.length % 4)) return 1;
        return await this.program(request.address, request.data, request.bus === true);
      case 'erase':
        if (!request.bus && request.address >= this.believed) return 1;
        return await this.erase(request.address, request.length);
      case 'rtc': // not part of a flasher's world
        return 0;
      case 'slice':
        if (!request.idle) await breathe(request.steps);
        else if (!this.deliver()) await idle();
        this.deliver();
        return 0;
      default:
        return request satisfies never;
    }
  }

  /** What the ROM believes the chip to have; the stub tells it. */
  private get believed(): number {
    return this.machine.rom.chipBytes;
  }

  /** @param bus one page program as it is, which wraps inside its page; else the ROM splits at pages */
  private async program(address: number, data: Uint8Array, bus: boolean): Promise<RomResult> {
    const { chip, clock } = this.parts;
    for (let done = 0; done < data.length; ) {
      const at = (address + done) % chip.capacityBytes;
      const piece = bus ? data : data.subarray(done, done + PAGE_BYTES - (at % PAGE_BYTES));
      const wait = clock.settle();
      if (wait) await wait;
      if (!chip.programPage(at, piece).ok) return 1;
      done += piece.length;
    }
    return 0;
  }

  /** Blocks and the whole chip are the erases of their sectors, one operation each. */
  private async erase(address: number, length: number): Promise<RomResult> {
    const { chip, clock } = this.parts;
    const sectors = chip.capacityBytes / SECTOR_BYTES;
    const first = Math.floor(address / SECTOR_BYTES);
    const count = Math.min(length / SECTOR_BYTES, sectors);
    for (let index = 0; index < count; index++) {
      const wait = clock.settle();
      if (wait) await wait;
      if (!chip.eraseSector((first + index) % sectors).ok) return 1;
    }
    return 0;
  }
}

function endOf(stop: NativeStop): StubEnd {
  switch (stop.stop) {
    case 'reset':
      return { end: 'reset' };
    case 'returned':
      return stop.to === 'run-flash' ? { end: 'run-flash' } : { end: 'stopped', reason: 'returned', pc: 0 };
    case 'exception':
      return { end: 'stopped', reason: 'exception', pc: stop.epc1, cause: stop.cause };
    case 'left':
      return { end: 'stopped', reason: 'left', pc: stop.pc };
    case 'hang':
      return { end: 'stopped', reason: stop.reason, pc: stop.pc };
    default:
      return stop satisfies never;
  }
}
