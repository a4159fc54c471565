/**
 * Loading an application: segments to RAM, then the jump. Nothing is verified: no magic, no checksum.
 * Source: spec chapter 01 §9.5; chapter 07 §3 for what has no memory.
 */
import { APP_START_OFFSET } from '../flash/geometry.ts';
import type { Era } from './eras.ts';
import type { Requests } from './machine.ts';
import {
  BOOT_STACK,
  CAUSE_ILLEGAL_INSTRUCTION,
  EBOOT_BASE,
  fetchFault,
  IRAM_BASE,
  IRAM_BYTES,
  ROM_BASE,
  RTC_CONTROL,
  SWRST_BIT,
  storeFault,
  windowAt,
} from './memory-map.ts';
import type { Ram } from './ram.ts';
import { beyondRomChip, romReadLength } from './rom-spi.ts';

export type LoadResult =
  | { readonly result: 'jump'; readonly entry: number; readonly sp: number }
  /** Codes as printed after `e:`: 1 image header, 2 segment header, 3 segment data unreadable. */
  | { readonly result: 'failed'; readonly code: 1 | 2 | 3 }
  /** A segment went where there is no memory, or over the loader's own code. */
  | { readonly result: 'exception'; readonly cause: number; readonly address: number }
  /** A segment wrote the software reset bit. */
  | { readonly result: 'reset' };

const HEADER_BYTES = 8;
const STEPS_PER_SEGMENT = 35;
/** Stands for the address in eboot's main function that loading returns to. */
const RETURN_ADDRESS = Uint8Array.of(0x00, 0xf0, 0x10, 0x40);

interface LoadContext {
  readonly era: Era;
  readonly ram: Ram;
  readonly spend: (steps: number) => void;
}

/** Whether a build copies a segment of this load address. Only the start is looked at, not the end. */
export function isLoaded(era: Era, address: number): boolean {
  if (address < ROM_BASE) return true;
  if (address < IRAM_BASE) return false;
  return address < era.iramEnd || address >= 0x60000000;
}

/** @param base flash address of the boot sector; the application's header is one sector further */
export function* loadApp(context: LoadContext, base: number): Requests<LoadResult> {
  const { era, ram, spend } = context;
  const image = ram.view(era.ram.imageHeader, HEADER_BYTES);
  const segment = ram.view(era.ram.segmentHeader, HEADER_BYTES);
  const kept = era.ram.loop === undefined ? undefined : ram.view(era.ram.loop, HEADER_BYTES);
  const returnAddress = ram.view(era.ram.returnAddress, 4);
  returnAddress.set(RETURN_ADDRESS);
  // The headers and the way back lie on the stack, where a segment may overwrite them: they are read there each time.
  const failed = (code: 1 | 2 | 3): LoadResult => {
    if (returnAddress.every((byte, index) => byte === RETURN_ADDRESS[index])) return { result: 'failed', code };
    const address = word(returnAddress, 0);
    return { result: 'exception', cause: fetchFault(address) ?? CAUSE_ILLEGAL_INSTRUCTION, address };
  };
  let position = (base + APP_START_OFFSET) >>> 0;
  if (yield { op: 'read', address: position, length: HEADER_BYTES, target: image }) return failed(1);
  position = (position + HEADER_BYTES) >>> 0;
  for (let count = 0; count < image[1]!; count++) {
    spend(STEPS_PER_SEGMENT);
    if (yield { op: 'read', address: position, length: HEADER_BYTES, target: segment }) return failed(2);
    position = (position + HEADER_BYTES) >>> 0;
    const address = word(segment, 0);
    const length = word(segment, 4);
    if (isLoaded(era, address)) {
      if (kept) storeWords(kept, position, count);
      const stop = yield* loadSegment(ram, position, address, length);
      if (stop) return stop.result === 'failed' ? failed(stop.code) : stop;
      if (killsLoader(era, address, length, count + 1 < image[1]!)) {
        return { result: 'exception', cause: CAUSE_ILLEGAL_INSTRUCTION, address: EBOOT_BASE };
      }
    }
    if (kept && isLoaded(era, address)) {
      position = word(kept, 0);
      count = word(kept, 4);
    }
    position = (position + word(segment, 4)) >>> 0;
  }
  return { result: 'jump', entry: word(image, 4), sp: BOOT_STACK };
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;

function storeWords(target: Uint8Array, first: number, second: number): void {
  for (let i = 0; i < 4; i++) {
    target[i] = first >>> (8 * i);
    target[4 + i] = second >>> (8 * i);
  }
}

/** Segments begin below the loader, so they overwrite it from its start upwards. */
function killsLoader(era: Era, address: number, length: number, moreFollow: boolean): boolean {
  const vital = moreFollow ? era.ram.vital.more : era.ram.vital.last;
  return address >= IRAM_BASE && address < EBOOT_BASE && address + romReadLength(length) > vital;
}

/** ROM SPIRead to a CPU address: whole words, rising, until one of them faults. */
function* loadSegment(ram: Ram, flash: number, address: number, length: number): Requests<LoadResult | undefined> {
  const wanted = romReadLength(length);
  const stored = (wanted + 3) & ~3;
  const mapped = stored > 0 && !beyondRomChip(flash, length) ? mappedBytes(address, stored) : 0;
  const { region, end } = windowAt(address);
  const direct = (region === 'dram' || region === 'iram') && address + stored <= end && mapped === stored;
  const bytes = direct ? ram.view(address, stored) : new Uint8Array(mapped);
  if (yield { op: 'read', address: flash, length, target: bytes.subarray(0, wanted) })
    return { result: 'failed', code: 3 };
  // Up to three surplus bytes hold what the SPI FIFO held; 0 is a fair model.
  bytes.fill(0, Math.min(wanted, bytes.length));
  if (!direct) {
    for (let i = 0; i < mapped; i += 4) {
      if (yield* storeWord(ram, address + i, word(bytes, i))) return { result: 'reset' };
    }
  }
  if (mapped === stored) return undefined;
  const fault = address + mapped;
  return { result: 'exception', cause: storeFault(fault)!, address: fault };
}

/** How many of `length` bytes from `address` on can be stored, word by word, before the first fault. */
export function mappedBytes(address: number, length: number): number {
  if (storeFault(address) !== undefined) return 0;
  let at = address;
  const stop = Math.min(address + length, 0x1_0000_0000);
  while (at < stop && storeFault(at) === undefined) at = windowAt(at).end;
  return Math.min(at, stop) - address;
}

/** True when the store was the software reset. Other devices are left alone. */
function* storeWord(ram: Ram, address: number, value: number): Requests<boolean> {
  const { region } = windowAt(address);
  if (region === 'rtc') yield { op: 'rtc', address, length: 4, value };
  else if (region === 'dram' || region === 'iram') {
    const target = ram.view(address, 4);
    for (let i = 0; i < 4; i++) target[i] = value >>> (8 * i);
  }
  return address === RTC_CONTROL && (value & SWRST_BIT) !== 0;
}

if (EBOOT_BASE < IRAM_BASE || EBOOT_BASE >= IRAM_BASE + IRAM_BYTES) throw new Error('eboot runs in IRAM');
