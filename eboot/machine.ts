/**
 * What eboot asks of the machine below it. The model is a generator of requests, so that whoever drives it can pause, step,
 * count, tear or refuse each of them: synchronously ({@link runRequests}), or page by page in device time
 * ({@link driveRequests}).
 */
import type { Emit } from '../flash/ports.ts';
import type { BootEvent } from './events.ts';
import type { RomResult, RomSpi } from './rom-spi.ts';

export type EbootRequest =
  /** ROM SPIRead: `length` as the call has it (signed); `target` may be shorter when the RAM behind it ends earlier. */
  | { readonly op: 'read'; readonly address: number; readonly length: number; readonly target: Uint8Array }
  /** ROM SPIEraseSector; `address` is that of the sector. */
  | { readonly op: 'erase'; readonly address: number; readonly length: number }
  /** ROM SPIWrite; `data` is a live buffer, not to be kept. */
  | { readonly op: 'write'; readonly address: number; readonly length: number; readonly data: Uint8Array }
  /** A 32-bit store into RTC RAM, at a CPU address. */
  | { readonly op: 'rtc'; readonly address: number; readonly length: 4; readonly value: number }
  /** Executed code only: `steps` instructions went by without another request. A chance to breathe; the result is 0. */
  | { readonly op: 'slice'; readonly steps: number };

/** A generator of requests; what it is sent back is the result of each. */
export type Requests<T> = Generator<EbootRequest, T, RomResult>;

/** Carries out requests. Results are those of the ROM routines: 0 ok, 1 error; an RTC store always gives 0. */
export interface EbootMachine {
  read(address: number, length: number, target: Uint8Array): RomResult;
  erase(address: number, length: number): RomResult;
  write(address: number, data: Uint8Array): RomResult;
  storeRtc(address: number, value: number): void;
}

/** Where eboot's words and deeds go that no driver needs to delay. */
export interface EbootHost {
  /** Bytes for UART0, latin1. */
  transmit?(text: string): void;
  /** `disable`, or `enable` with the arguments that the build passes: `enable 4 12 12`. */
  watchdog?(call: string): void;
  readonly emit?: Emit<BootEvent>;
}

/** Carries out one request at once. */
export function perform(machine: EbootMachine, request: EbootRequest): RomResult {
  switch (request.op) {
    case 'read':
      return machine.read(request.address, request.length, request.target);
    case 'erase':
      return machine.erase(request.address, request.length);
    case 'write':
      return machine.write(request.address, request.data);
    case 'rtc':
      machine.storeRtc(request.address, request.value);
      return 0;
    case 'slice':
      return 0;
    default:
      return request satisfies never;
  }
}

/** Runs a generator of requests to its end without pause. */
export function runRequests<T>(requests: Requests<T>, machine: EbootMachine): T {
  try {
    let step = requests.next();
    while (!step.done) step = requests.next(perform(machine, step.value));
    return step.value;
  } finally {
    // Stopped in the middle, executed code still hands its RAM back.
    requests.return(undefined as T);
  }
}

export interface DeviceMachine {
  readonly spi: RomSpi;
  /** {@link RtcMemory.store}. */
  readonly rtc: { store(address: number, value: number): void };
  /**
   * Called before each chip operation (sector erase, page program; not in a run of pages) and each RTC word: pays the time that is owed, waits
   * while the device is paused. `undefined`: go on at once.
   */
  readonly settle: () => Promise<void> | undefined;
  /** Called while code executes without touching anything: charges its time, lets the host's event loop turn. */
  readonly breathe?: (steps: number) => Promise<void>;
}

/**
 * Runs a generator of requests on the chip: a sector write becomes sixteen page programs with a pause before each, or where
 * nobody could tell ({@link RomSpi.writeRun}) one without.
 */
export async function driveRequests<T>(requests: Requests<T>, machine: DeviceMachine): Promise<T> {
  try {
    return await driveAll(requests, machine);
  } finally {
    requests.return(undefined as T);
  }
}

async function driveAll<T>(requests: Requests<T>, machine: DeviceMachine): Promise<T> {
  const { spi, rtc } = machine;
  let step = requests.next();
  while (!step.done) {
    const request = step.value;
    let result: RomResult = 0;
    if (request.op === 'slice') await machine.breathe?.(request.steps);
    else if (request.op === 'read') result = spi.read(request.address, request.length, request.target);
    else if (request.op === 'write') {
      if (!spi.writeRun(request.address, request.data))
        result = await writePages(request.address, request.data, machine);
    } else {
      const wait = machine.settle();
      if (wait) await wait;
      if (request.op === 'erase') result = spi.erase(request.address / request.length);
      else rtc.store(request.address, request.value);
    }
    step = requests.next(result);
  }
  return step.value;
}

async function writePages(address: number, data: Uint8Array, { spi, settle }: DeviceMachine): Promise<RomResult> {
  const pages = spi.pages(address, data);
  let page = pages.next();
  while (!page.done) {
    const wait = settle();
    if (wait) await wait;
    page = pages.next();
  }
  return page.value;
}
