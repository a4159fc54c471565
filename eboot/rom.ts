/**
 * The mask ROM between reset and the bootloader: banner, choice of the boot source, image loading. Every text is computed
 * from the bytes really in flash. Source: spec chapter 01 §8; chapter 07 §3 for exceptions.
 *
 * Two texts are known only in part and filled in by guess: the blanks after `ets_main.c`, and what follows
 * `flash read err, `.
 */
import type { BootEvent } from './events.ts';
import { storeFault, windowAt } from './memory-map.ts';
import type { Ram } from './ram.ts';
import { RST_EXTERNAL, RST_POWER_ON, RST_SOFTWARE, RST_WATCHDOG } from './reset-state.ts';
import { beyondRomChip, romReadLength } from './rom-spi.ts';
import { bootModeOf } from './straps.ts';

const ROW_BYTES = 16;
const HEADER_BYTES = 8;
const IMAGE_MAGIC = 0xe9;
const CHECKSUM_START = 0xef;
/** Deep-sleep timer and SDIO: selection is skipped as after a software reset. */
const RST_DEEP_SLEEP = 5;
const RST_SDIO = 6;

export interface RomInput {
  /** N of "rst cause:N". */
  readonly rstCause: number;
  /** Latched strap number. */
  readonly strap: number;
  /** Second number of the boot mode. */
  readonly secondNumber: number;
  /**
   * ROM SPIRead of `target.length` bytes; false: error 1. {@link RomSpi} behind it gives the 4 MiB rule.
   */
  readonly read: (address: number, target: Uint8Array) => boolean;
  /** Gets the image; without it nothing is kept. */
  readonly ram?: Ram | undefined;
}

export type RomFailure =
  /** Byte 0 is not 0xE9, or sector 0 is unreadable: only the `ets_main.c` line. */
  | 'no-image'
  | 'bad-checksum'
  | 'read-error'
  /** Cause 3, 5, 6: the flash pins were not attached, so offset 0 reads as garbage. */
  | 'flash-not-attached'
  | 'unknown-reset'
  | 'invalid-straps'
  /** GPIO15 is high: the ROM waits for an SDIO host (spec chapter 05 §1). */
  | 'sdio-straps'
  /** A segment goes where there is no RAM. */
  | 'bad-segment';

export type RomEnd =
  | { readonly result: 'boot'; readonly entry: number }
  /** The UART loader waits: auto-baud, nothing printed. */
  | { readonly result: 'download' }
  /** Dead until an external reset or a power cycle; the watchdog is off. `why` as in the event `device.dead`. */
  | { readonly result: 'hang'; readonly why: 'no-image' | 'bad-checksum' | 'rom-hang'; readonly failure: RomFailure };

export interface RomRun {
  /** Everything sent on UART0, latin1. */
  readonly text: string;
  readonly end: RomEnd;
  readonly event: Extract<BootEvent, { type: 'rom.boot' }>;
}

/** The ROM's printf: LF becomes CR LF, a CR is dropped. */
export const romText = (text: string): string => text.replaceAll('\r', '').replaceAll('\n', '\r\n');

/** The first lines of every start. */
export function romBanner(rstCause: number, strap: number, secondNumber: number): string {
  return romText(`\n ets Jan  8 2013,rst cause:${rstCause}, boot mode:(${strap},${secondNumber})\n\n`);
}

/** The line of a ROM that found nothing to boot. */
export const ETS_MAIN_LINE = romText('ets_main.c \n');

/**
 * What the ROM prints, without end, when code faults before the SDK takes over; empty for causes it has no handler for.
 * Source: spec chapter 07 §3. (Cause 9 dumps stack garbage on the chip; here it is silent.)
 */
export function exceptionText(cause: number, registers: { epc1: number; excvaddr: number }): string {
  if (![0, 2, 3, 8, 28, 29].includes(cause)) return '';
  const { epc1, excvaddr } = registers;
  return romText(
    `Fatal exception (${cause}): \nepc1=${hex32(epc1)}, epc2=${hex32(0)}, epc3=${hex32(0)}, ` +
      `excvaddr=${hex32(excvaddr)}, depc=${hex32(0)}\n`,
  );
}

/** One pass of the ROM, from the reset vector to the jump or to its end. */
export function romBoot(input: RomInput): RomRun {
  const { rstCause, strap, secondNumber, ram } = input;
  ram?.clearRomBss();
  let text = romBanner(rstCause, strap, secondNumber);
  const finish = (end: RomEnd): RomRun => {
    if (end.result === 'hang' && end.failure !== 'sdio-straps') text += ETS_MAIN_LINE;
    const event = { type: 'rom.boot', rstCause, segments: 0, checksumOk: false } as const;
    const failure = end.result === 'hang' ? { failure: end.failure } : {};
    return { text, end, event: { ...event, bootMode: [strap, secondNumber], ...failure } };
  };
  const hang = (failure: RomFailure): RomRun => finish({ result: 'hang', why: 'rom-hang', failure });

  switch (rstCause) {
    case RST_POWER_ON:
    case RST_EXTERNAL:
      break;
    case RST_WATCHDOG:
      text += romText('wdt reset\n');
      break;
    case RST_SOFTWARE:
    case RST_DEEP_SLEEP:
    case RST_SDIO:
      return hang('flash-not-attached');
    default:
      text += romText('unknown reset\n');
      return hang('unknown-reset');
  }
  const mode = bootModeOf(strap);
  if (mode === 'download') return finish({ result: 'download' });
  if (mode === 'sdio') {
    text += romText('waiting for host\n');
    return hang('sdio-straps');
  }
  if (mode === 'invalid') return hang('invalid-straps');

  return loadFlash(input, text);
}

/**
 * The serial loader was told to run the user's code: the flash is loaded as after a reset, without a banner and without
 * latching straps. Source: spec chapter 05 §7.4, chapter 01 §8.1.
 */
export function romRunFlash(input: RomInput): RomRun {
  return loadFlash(input, '');
}

function loadFlash({ rstCause, strap, secondNumber, read, ram }: RomInput, banner: string): RomRun {
  const loader = new ImageLoader(read, ram);
  const outcome = loader.load();
  const booted = typeof outcome === 'number';
  const event = {
    type: 'rom.boot' as const,
    rstCause,
    bootMode: [strap, secondNumber] as [number, number],
    segments: loader.segments,
    checksumOk: booted,
  };
  const text = banner + loader.text;
  if (booted) return { text, end: { result: 'boot', entry: outcome }, event };
  const why = outcome === 'bad-checksum' ? 'bad-checksum' : outcome === 'bad-segment' ? 'rom-hang' : 'no-image';
  return {
    text: text + ETS_MAIN_LINE,
    end: { result: 'hang', why, failure: outcome },
    event: { ...event, failure: outcome },
  };
}

/** Loads the image at offset 0, in rows of 16 bytes, talking about each step. */
class ImageLoader {
  text = '';
  /** Segments that were loaded whole. */
  segments = 0;
  private readonly row = new Uint8Array(ROW_BYTES);
  private rowAddress = -1;

  constructor(
    private readonly read: (address: number, target: Uint8Array) => boolean,
    private readonly ram: Ram | undefined,
  ) {}

  /** The entry address, or why there is none. */
  load(): number | RomFailure {
    if (!this.fetchRow(0) || this.row[0] !== IMAGE_MAGIC) return 'no-image';
    const count = this.row[1]!;
    const entry = word(this.row, 4);
    let checksum = CHECKSUM_START;
    // Consumed bytes of the current row, header included; the first header fills a row, so the room is 16 again.
    let position = HEADER_BYTES;
    let consumed = 0;
    for (let index = 0; index < count; index++) {
      const header = new Uint8Array(HEADER_BYTES);
      for (let i = 0; i < HEADER_BYTES; i++) {
        const byte = this.byteAt(position + i);
        if (byte === undefined) return this.readError(position);
        header[i] = byte;
      }
      position += HEADER_BYTES;
      const address = word(header, 0);
      const length = word(header, 4);
      const room = ROW_BYTES - consumed;
      this.print(`load ${hex32(address)}, len ${length | 0}, room ${room} \n`);
      const data = this.segment(position, address, length);
      if (typeof data === 'string') return data === 'read-error' ? this.readError(position) : data;
      for (const byte of data) checksum ^= byte;
      position += data.length;
      this.segments++;
      // Lengths are signed: a negative one, as of a blank header, copies nothing, and the rows make no sense after it.
      const negative = length > 0x7fffffff;
      const tail = negative ? length | 0 : length >= room ? (length - room) % ROW_BYTES : length;
      if (length >= room) consumed = 0;
      this.print(`tail ${tail}\nchksum ${hex8(checksum)}\n`);
      if (negative) break;
      if (index + 1 === count) break;
      const used = tail + consumed;
      const left = ROW_BYTES - used;
      if (left >= HEADER_BYTES) consumed = used + HEADER_BYTES;
      else {
        this.print(`ho ${consumed} tail ${tail} room ${left}\n`);
        consumed = HEADER_BYTES - left;
      }
    }
    this.print(`csum ${hex8(checksum)}\n`);
    const rowStart = position - (position % ROW_BYTES);
    const stored = this.byteAt(rowStart + ROW_BYTES - 1);
    if (stored === undefined) return this.readError(rowStart);
    if (stored === checksum) return entry;
    this.print('csum err\n');
    return 'bad-checksum';
  }

  /** The data of one segment, put into RAM. */
  private segment(position: number, address: number, length: number): Uint8Array | 'read-error' | 'bad-segment' {
    if (beyondRomChip(position, length)) return 'read-error';
    const stored = romReadLength(length);
    if (stored > 0) {
      const { region, end } = windowAt(address);
      if (storeFault(address) !== undefined || (region !== 'dram' && region !== 'iram')) return 'bad-segment';
      if (address + stored > end) return 'bad-segment';
    }
    const data = new Uint8Array(stored);
    if (!this.read(position, data)) return 'read-error';
    if (stored > 0) this.ram?.view(address, stored).set(data);
    return data;
  }

  private byteAt(position: number): number | undefined {
    const start = position - (position % ROW_BYTES);
    if (this.rowAddress !== start && !this.fetchRow(start)) return undefined;
    return this.row[position - start];
  }

  private fetchRow(address: number): boolean {
    this.rowAddress = address;
    return !beyondRomChip(address, ROW_BYTES) && this.read(address, this.row);
  }

  private readError(address: number): 'read-error' {
    this.print(`flash read err, 0x${address.toString(16)}\n`);
    return 'read-error';
  }

  private print(text: string): void {
    this.text += romText(text);
  }
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
const hex32 = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
const hex8 = (value: number): string => `0x${value.toString(16).padStart(2, '0')}`;
