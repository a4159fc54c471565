/** Chips for tests: a NorFlash, or an EspFlash on one, with everything that it did written down. */
import { createHash } from 'node:crypto';
import type { SectorStore } from '../../assembly/host/kernels.ts';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { EspFlash } from '../../flash/esp-class.ts';
import type { Area, FlashEvent } from '../../flash/events.ts';
import { type FlashLayout, formatFlashSize, layoutByName } from '../../flash/layouts.ts';
import { type FlashFaults, type FlashMirror, NorFlash } from '../../flash/nor-flash.ts';
import { defaultPart, type FlashPart } from '../../flash/parts.ts';
import type { ChipClock } from '../../flash/ports.ts';
import type { SdkCall } from '../../flash/sdk-flash.ts';

/** Device time that moves only when somebody spends it, and never makes anybody wait. */
export class TestClock implements ChipClock {
  us = 0;
  nowUs(): number {
    return this.us;
  }
  spend(us: number): void {
    this.us += us;
  }
  settle(): Promise<void> | undefined {
    return undefined;
  }
}

/** Node's MD5 in the shape that EspFlash and Updater take. */
export function nodeMd5(): { update(data: Uint8Array): void; digest(): Uint8Array } {
  const hash = createHash('md5');
  return { update: (data) => void hash.update(data), digest: () => new Uint8Array(hash.digest()) };
}

export interface ChipOptions {
  /** Bytes; 1 MiB unless `part` or `store` says otherwise. */
  capacity?: number;
  part?: FlashPart;
  store?: SectorStore;
  clock?: ChipClock;
  areaOf?: (address: number) => Area;
  faults?: FlashFaults;
  mirror?: FlashMirror;
}

export interface TestChip {
  chip: NorFlash;
  store: SectorStore;
  clock: ChipClock;
  /** Every event so far. */
  events: FlashEvent[];
}

/** A blank chip. */
export function makeChip(options: ChipOptions = {}): TestChip {
  const capacity = options.capacity ?? options.store?.capacityBytes ?? options.part?.capacityBytes ?? 0x100000;
  const store = options.store ?? referenceKernels().createChip(capacity);
  const clock = options.clock ?? new TestClock();
  const events: FlashEvent[] = [];
  const chip = new NorFlash({
    ...options,
    part: options.part ?? defaultPart(capacity),
    store,
    clock,
    emit: (event) => void events.push(event),
  });
  return { chip, store, clock, events };
}

export interface EspOptions extends ChipOptions {
  /** A layout or its name; the no-FS one of the capacity unless given. */
  layout?: FlashLayout | string;
  flashMapSupport?: boolean;
  /** Bytes put at offset 0 before the SDK starts; without it the header says the chip's true size. */
  image?: Uint8Array;
}

export interface TestEsp extends TestChip {
  esp: EspFlash;
  /** SDK calls since the start. */
  calls: SdkCall[];
}

const sizeNibbles = new Map([
  [0x80000, 0],
  [0x40000, 1],
  [0x100000, 2],
  [0x200000, 3],
  [0x400000, 4],
  [0x800000, 8],
  [0x1000000, 9],
]);

/** Magic, no segments, DIO, the nibble of a size (40 MHz): enough for the SDK to know the chip. */
export const headerFor = (capacity: number): Uint8Array =>
  Uint8Array.of(0xe9, 0, 2, (sizeNibbles.get(capacity) ?? 0xf) << 4);

/** A chip under a started SDK. */
export function makeEsp(options: EspOptions = {}): TestEsp {
  const made = makeChip(options);
  const { chip, clock } = made;
  chip.load(0, options.image ?? headerFor(chip.capacityBytes));
  const layout = options.layout ?? formatFlashSize(Math.min(chip.capacityBytes, 0x400000)).toLowerCase();
  const esp = new EspFlash({
    chip,
    clock,
    layout: typeof layout === 'string' ? layoutByName(layout) : layout,
    ...(options.flashMapSupport === undefined ? {} : { flashMapSupport: options.flashMapSupport }),
    md5: nodeMd5,
  });
  esp.sdkStart();
  const calls: SdkCall[] = [];
  esp.onSdkCall = (call) => void calls.push(call);
  return { ...made, esp, calls };
}

/**
 * Compares bytes at the speed of memory, where `toEqual` takes milliseconds per KiB.
 *
 * @throws Error naming the first difference
 */
export function expectBytes(actual: Uint8Array, expected: Uint8Array, what = 'bytes'): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = expected.findIndex((byte, i) => byte !== actual[i]);
  const where = at < 0 ? `length ${actual.length} instead of ${expected.length}` : `at 0x${at.toString(16)}`;
  throw new Error(`${what} differ, ${where}: got ${actual[at]}, expected ${expected[at]}`);
}
