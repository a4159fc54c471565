/**
 * The flasher stub that a host uploads, executed on the device: `--stub native`. It takes the place of the loader on UART0
 * and works on the same chip. Source: spec chapter 07 §5.2, chapter 05 §8.
 */
import { createLx106Sync } from '../eboot/lx106.ts';
import { CpuSocket, type NativeMachine } from '../eboot/native/native-machine.ts';
import { type StubEnd, StubMachine } from '../eboot/native/stub-machine.ts';
import type { Ram } from '../eboot/ram.ts';
import { DEFAULT_SECOND_NUMBER, gpiRegister } from '../eboot/straps.ts';
import type { NorFlash } from '../flash/nor-flash.ts';
import type { ChipClock } from '../flash/ports.ts';
import { commandName } from '../ota-services/rom-loader/commands.ts';
import { parseRequest, REQUEST_LIMIT } from '../ota-services/rom-loader/packets.ts';
import type { LoaderEnd } from '../ota-services/rom-loader/ports.ts';
import { CHIP_MAGIC, CHIP_MAGIC_ADDRESS, EFUSE_BASE, efuseWords } from '../ota-services/rom-loader/registers.ts';
import { SlipDecoder } from '../ota-services/rom-loader/slip.ts';
import type { BoardSetup } from './board-setup.ts';
import type { ClockMode } from './clock.ts';
import type { DeviceEvent } from './events.ts';
import type { Life } from './life.ts';
import { breathing } from './native-boot.ts';
import { chipIdentity } from './serial/loader.ts';
import type { Uart } from './serial/uart.ts';

const RESPONSE = 1;
const RESPONSE_HEADER_BYTES = 8;

/** The core for stubs. Made when the loader starts: hosts wait no longer than 200 ms for a stub's greeting. */
export const stubSocket = (): CpuSocket => new CpuSocket(createLx106Sync);

export interface StubRunParts {
  readonly socket: CpuSocket;
  readonly chip: NorFlash;
  readonly ram: Ram;
  readonly uart: Uart;
  readonly chipId: number;
  readonly setup: Pick<BoardSetup, 'board'>;
  readonly emit: (event: DeviceEvent) => void;
  readonly onCpu: (machine: NativeMachine | undefined) => void;
}

/** Executes the uploaded program until it gives up the chip. Undefined: it stands still for ever. */
export async function runStub(
  parts: StubRunParts,
  entry: number,
  strap: number,
  clock: ChipClock,
  mode: ClockMode,
  life: Life,
): Promise<LoaderEnd | undefined> {
  const { socket, chip, ram, uart, emit, onCpu } = parts;
  const { mac, embeddedFlash } = chipIdentity(parts);
  const efuse = efuseWords(mac, embeddedFlash).map((word, index) => [EFUSE_BASE + 4 * index, word] as const);
  const watch = new CommandWatch(emit);
  let wake = (): void => {};
  const machine = new StubMachine({
    socket,
    ram,
    chip,
    clock,
    flashId: chip.part.jedecId,
    gpio: gpiRegister(strap, DEFAULT_SECOND_NUMBER),
    fixed: new Map([...efuse, [CHIP_MAGIC_ADDRESS, CHIP_MAGIC]]),
    baud: uart.baud,
    transmit: (bytes) => {
      if (life.ended) return;
      uart.sendFrames(bytes);
      watch.sent(bytes);
    },
    setBaud: (rate) => {
      uart.baud = rate;
    },
    idle: () =>
      life.guard(
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
      ),
    breathe: breathing(clock, mode, life),
    onMachine: onCpu,
  });
  const detach = uart.attachLoader((bytes) => {
    watch.received(bytes);
    machine.receive(bytes);
    wake();
  });
  const forget = life.onEnd(detach);
  emit({ type: 'loader.start', dialect: 'stub' });
  try {
    return tell(await life.guard(machine.run(entry)), emit);
  } finally {
    forget();
    detach();
    onCpu(undefined);
  }
}

function tell(end: StubEnd, emit: (event: DeviceEvent) => void): LoaderEnd | undefined {
  if (end.end === 'stopped') {
    const { reason, pc, cause } = end;
    emit({ type: 'cpu.stop', reason, pc, ...(cause === undefined ? {} : { cause }) });
    return undefined;
  }
  emit({ type: 'loader.end', dialect: 'stub', next: end.end });
  return { do: end.end };
}

/** Tells the commands that go by on the line: what the host asked and how the stub answered. */
class CommandWatch {
  private readonly asked: number[] = [];
  private readonly requests = new SlipDecoder(REQUEST_LIMIT, (frame) => {
    const request = parseRequest(frame);
    if (request) this.asked.push(request.command);
  });
  private readonly responses = new SlipDecoder(REQUEST_LIMIT, (frame) => this.response(frame));

  constructor(private readonly emit: (event: DeviceEvent) => void) {}

  received(bytes: Uint8Array): void {
    this.requests.push(bytes);
  }

  sent(bytes: Uint8Array): void {
    this.responses.push(bytes);
  }

  private response(frame: Uint8Array): void {
    const asked = this.asked[0];
    if (asked === undefined || frame.length < RESPONSE_HEADER_BYTES + 2) return;
    if (frame[0] !== RESPONSE || frame[1] !== asked) return;
    this.asked.shift();
    this.emit({ type: 'loader.command', name: commandName(asked), status: frame.at(-2)!, error: frame.at(-1)! });
  }
}
