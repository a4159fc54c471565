/**
 * The flash half of the core's `ESP` object: access with its detours (page breaks, PUYA, unaligned ends), what the chip
 * is, and what the image in flash says. Source: spec chapter 01 §2.3, §3, §7.5.
 */
import { APP_START_OFFSET, PAGE_BYTES, roundUpToSector, SECTOR_BYTES } from './geometry.ts';
import { coreSizeOfHeader, FLASH_MODE_UNKNOWN, modeOfHeader, speedOfHeader } from './header-byte.ts';
import type { FlashLayout } from './layouts.ts';
import type { NorFlash } from './nor-flash.ts';
import { capacityOfId, coreSizeById, VENDOR_PUYA, vendorOfId } from './parts.ts';
import type { ChipClock } from './ports.ts';
import { SdkFlash, SPI_FLASH_RESULT_OK, type SpiFlashResult } from './sdk-flash.ts';
import { embeddedCrcMatches } from './sketch-crc.ts';

const MD5_PIECE_BYTES = 512;
/** Through this buffer `flashRead` goes when the caller's pointer is unaligned. */
const UNALIGNED_READ_BYTES = 64;
/** RF calibration and system parameters at the end of the chip. */
const CONFIG_BYTES = 0x4000;
const IMAGE_HEADER_BYTES = 8;
const SEGMENT_HEADER_BYTES = 8;

export interface EspFlashOptions {
  chip: NorFlash;
  clock: ChipClock;
  /** What the running sketch was linked for (or chose at boot). */
  layout: FlashLayout;
  /** An "autoflash" build: the configured size is the real one. */
  flashMapSupport?: boolean;
  md5: () => { update(data: Uint8Array): void; digest(): Uint8Array };
}

/**
 * `ESP`, as far as flash goes. Reads are synchronous; erases and writes may pause between two chip operations, and reject
 * with an Interruption when the device stops there.
 *
 * @example
 * const esp = new EspFlash({ chip, clock, layout: layoutByName('4m2m'), md5 });
 * esp.sdkStart();
 * if (await esp.flashEraseSector(0x100)) await esp.flashWrite(0x100000, bytes);
 */
export class EspFlash extends SdkFlash {
  /** The linker's; set it before anything asks. */
  layout: FlashLayout;
  readonly flashMapSupport: boolean;
  private readonly md5: EspFlashOptions['md5'];

  // Statics of the core: they live from one start of the application to the next.
  private chipId = 0;
  private sketchSize = 0;
  private sketchMd5 = '';

  constructor(options: EspFlashOptions) {
    super(options);
    this.layout = options.layout;
    this.flashMapSupport = options.flashMapSupport ?? false;
    this.md5 = options.md5;
  }

  /** The application starts: latches the SDK's chip size and forgets what the core cached. */
  override sdkStart(): void {
    super.sdkStart();
    this.chipId = 0;
    this.sketchSize = 0;
    this.sketchMd5 = '';
  }

  async flashEraseSector(sector: number): Promise<boolean> {
    return await this.eraseSectorNow(sector);
  }

  /** {@link EspFlash.flashEraseSector} without a promise when there is nothing to wait for. */
  eraseSectorNow(sector: number): boolean | Promise<boolean> {
    return isOk(this.erase(sector));
  }

  /**
   * The byte overload, which the Updater uses.
   *
   * @param data null or empty: false, and the flash is not touched
   * @param pointer where `data` lies in RAM, modulo 4
   */
  async flashWrite(address: number, data: Uint8Array | null, pointer = 0): Promise<boolean> {
    if (data === null || data.length === 0) return false;
    if (((address | pointer | data.length) & 3) === 0) return await this.writeWords(address, data);
    return (await this.writeUnaligned(address, data)) === data.length;
  }

  /** {@link EspFlash.flashWrite} from an aligned place in RAM, without a promise when there is nothing to wait for. */
  writeNow(address: number, data: Uint8Array): boolean | Promise<boolean> {
    const isWords = data.length > 0 && ((address | data.length) & 3) === 0;
    return isWords ? this.writeWords(address, data) : this.flashWrite(address, data);
  }

  /** The word overload: page breaks as below, or the PUYA detour. */
  async flashWriteWords(address: number, data: Uint8Array | null): Promise<boolean> {
    return await this.writeWords(address, data);
  }

  private writeWords(address: number, data: Uint8Array | null): boolean | Promise<boolean> {
    if (vendorOfId(this.getFlashChipId()) === VENDOR_PUYA) return this.writePuya(address, data);
    const run = data === null ? undefined : this.writeRun(address, data);
    return run === undefined ? this.writeByPages(address, data) : isOk(run);
  }

  private async writeByPages(address: number, data: Uint8Array | null): Promise<boolean> {
    const size = data?.length ?? 0;
    // Room in the page, then whole pages, then the rest: also when the rest is nothing, and the SDK gets a write of 0 bytes.
    let length = Math.min(size, PAGE_BYTES - (address % PAGE_BYTES));
    for (let done = 0; ; ) {
      const piece = data === null ? null : data.subarray(done, done + length);
      let result = this.write(address + done, piece);
      if (typeof result !== 'number') result = await result;
      if (result !== SPI_FLASH_RESULT_OK) return false;
      done += length;
      const endsPage = (address + done) % PAGE_BYTES === 0 && length > 0;
      if (done === size && !endsPage) return true;
      length = Math.min(size - done, PAGE_BYTES);
    }
  }

  /**
   * The byte overload; `undefined` when the core returns false. Up to 3 odd bytes at the end cost one more read of a whole
   * word, which reaches past the range, and so fails at the end of the chip.
   *
   * @param pointer where the bytes go in RAM, modulo 4
   */
  flashRead(address: number, length: number, pointer = 0): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    const whole = length & ~3;
    if (!this.readWhole(address, bytes.subarray(0, whole), (pointer & 3) === 0 ? whole : UNALIGNED_READ_BYTES))
      return undefined;
    if (whole < length) {
      const word = new Uint8Array(4);
      if (this.spiFlashRead(address + whole, word) !== SPI_FLASH_RESULT_OK) return undefined;
      bytes.set(word.subarray(0, length - whole), whole);
    }
    return bytes;
  }

  /**
   * The word overload: one SDK read, or `undefined` when the length or the pointer is no multiple of 4.
   *
   * @param pointer where the bytes go in RAM, modulo 4
   */
  flashReadWords(address: number, length: number, pointer = 0): Uint8Array | undefined {
    if (((length | pointer) & 3) !== 0) return undefined;
    const bytes = new Uint8Array(length);
    return this.spiFlashRead(address, bytes) === SPI_FLASH_RESULT_OK ? bytes : undefined;
  }

  getFlashChipId(): number {
    if (this.chipId === 0) this.chipId = this.spiFlashGetId();
    return this.chipId;
  }

  getFlashChipVendorId(): number {
    return vendorOfId(this.getFlashChipId());
  }

  /** Bytes by the id's exponent; asks the chip each time. */
  getFlashChipRealSize(): number {
    return capacityOfId(this.spiFlashGetId());
  }

  /** Bytes by the image header at offset 0; 0 for an unknown nibble or when the read fails. */
  getFlashChipSize(): number {
    if (this.flashMapSupport) return this.getFlashChipRealSize();
    const header = this.flashReadWords(0, 4);
    return header ? coreSizeOfHeader(header[3]!) : 0;
  }

  /** Hz by the image header at offset 0; 0 when unknown. */
  getFlashChipSpeed(): number {
    const header = this.flashReadWords(0, 4);
    return header ? speedOfHeader(header[3]!) : 0;
  }

  /** 0 QIO, 1 QOUT, 2 DIO, 3 DOUT by the image header at offset 0, else 0xFF. */
  getFlashChipMode(): number {
    const header = this.flashReadWords(0, 4);
    return header ? modeOfHeader(header[2]!) : FLASH_MODE_UNKNOWN;
  }

  /** Bytes for the ids that the core lists, else 0: W25Q64 is missing there. */
  getFlashChipSizeByChipId(): number {
    return coreSizeById(this.getFlashChipId());
  }

  /** Does the real size equal the configured one, or (`needsEquals` false) is it enough for it? */
  checkFlashConfig(needsEquals: boolean): boolean {
    const real = this.getFlashChipRealSize();
    const configured = this.getFlashChipSize();
    return needsEquals ? real === configured : real >= configured;
  }

  /**
   * Bytes of the image in flash, eboot included, by walking its segments; no magic is checked. The first answer that is
   * not 0 stands until the next start, whatever an update does to the flash. 0 when a read fails.
   */
  getSketchSize(): number {
    if (this.sketchSize === 0) this.sketchSize = this.walkSegments();
    return this.sketchSize;
  }

  /** Room before the file system behind the sketch: unsigned, so a sketch that reaches into it leaves almost 4 GiB. */
  getFreeSketchSpace(): number {
    return (this.layout.fsStart - roundUpToSector(this.getSketchSize())) >>> 0;
  }

  /**
   * 32 lower-case hex digits over flash from offset 0 to the sketch size, boot sector included; empty when a read fails.
   * The first success stands until the next start. A sketch size of 0 gives the MD5 of nothing, as the loop has nothing
   * to read.
   */
  getSketchMD5(): string {
    if (this.sketchMd5 !== '') return this.sketchMd5;
    const md5 = this.md5();
    const size = this.getSketchSize();
    const buffer = new Uint8Array(MD5_PIECE_BYTES);
    for (let done = 0; done < size; done += MD5_PIECE_BYTES) {
      const piece = size - done >= MD5_PIECE_BYTES ? buffer : buffer.subarray(0, size - done);
      if (this.spiFlashRead(done, piece) !== SPI_FLASH_RESULT_OK) return '';
      md5.update(piece);
    }
    this.sketchMd5 = Array.from(md5.digest(), (byte) => byte.toString(16).padStart(2, '0')).join('');
    return this.sketchMd5;
  }

  /**
   * Does the image mapped at 0x40200000 match the CRC embedded in it? Not cached. Reads through the mapping take no
   * device time here, as the code that runs from there takes none.
   */
  checkFlashCRC(): boolean {
    return embeddedCrcMatches(this.chip.store);
  }

  /**
   * Erases RF calibration and system parameters: 4 sectors, the last ones of the *configured* chip size.
   *
   * @returns false at the first sector that fails
   */
  async eraseConfig(): Promise<boolean> {
    const start = (this.getFlashChipSize() - CONFIG_BYTES) >>> 0;
    for (let offset = 0; offset < CONFIG_BYTES; offset += SECTOR_BYTES) {
      if (!(await this.flashEraseSector((start + offset) / SECTOR_BYTES))) return false;
    }
    return true;
  }

  /** In pieces of `step` bytes; when the step is the whole, one read even of nothing. */
  private readWhole(address: number, bytes: Uint8Array, step: number): boolean {
    if (step === bytes.length) return this.spiFlashRead(address, bytes) === SPI_FLASH_RESULT_OK;
    for (let done = 0; done < bytes.length; done += step) {
      if (this.spiFlashRead(address + done, bytes.subarray(done, done + step)) !== SPI_FLASH_RESULT_OK) return false;
    }
    return true;
  }

  /** PUYA parts want bytes that were programmed before ANDed by hand: read, AND, write, 256 bytes from `address` on. */
  private async writePuya(address: number, data: Uint8Array | null): Promise<boolean> {
    if (data === null || data.length % 4 !== 0) return false;
    const buffer = new Uint8Array(PAGE_BYTES);
    for (let done = 0; done < data.length; done += PAGE_BYTES) {
      const length = Math.min(PAGE_BYTES, data.length - done);
      const cells = buffer.subarray(0, length);
      if (this.spiFlashRead(address + done, cells) !== SPI_FLASH_RESULT_OK) return false;
      for (let i = 0; i < length; i++) cells[i]! &= data[done + i]!;
      if ((await this.write(address + done, cells)) !== SPI_FLASH_RESULT_OK) return false;
    }
    return true;
  }

  /** For an address, a pointer or a size that is no multiple of 4. Returns how many bytes were written. */
  private async writeUnaligned(address: number, data: Uint8Array): Promise<number> {
    let done = 0;
    if ((address & 3) !== 0) {
      done = Math.min(4 - (address & 3), data.length);
      if ((await this.overlayWord(address, data.subarray(0, done))) !== SPI_FLASH_RESULT_OK) return 0;
    }
    const buffer = new Uint8Array(PAGE_BYTES);
    while (done < data.length) {
      const length = Math.min(data.length - done, PAGE_BYTES);
      const words = buffer.subarray(0, (length + 3) & ~3);
      // The bytes that pad the last word keep what flash holds.
      const last = words.subarray(words.length - 4);
      if (words.length !== length && this.spiFlashRead(address + done + words.length - 4, last) !== 0) return done;
      words.set(data.subarray(done, done + length));
      if (!(await this.flashWriteWords(address + done, words))) return done;
      done += length;
    }
    return done;
  }

  /** Puts up to 3 bytes into the word that holds an unaligned address, by one plain SDK write. */
  private async overlayWord(address: number, data: Uint8Array): Promise<SpiFlashResult> {
    const word = new Uint8Array(4);
    const result = this.spiFlashRead(address - (address & 3), word);
    if (result !== SPI_FLASH_RESULT_OK) return result;
    const puya = this.getFlashChipVendorId() === VENDOR_PUYA;
    for (let i = 0; i < data.length; i++) {
      const at = (address & 3) + i;
      word[at] = puya ? word[at]! & data[i]! : data[i]!;
    }
    return this.write(address - (address & 3), word);
  }

  private walkSegments(): number {
    const header = new Uint8Array(IMAGE_HEADER_BYTES);
    const view = new DataView(header.buffer);
    let position = APP_START_OFFSET;
    if (this.spiFlashRead(position, header) !== SPI_FLASH_RESULT_OK) return 0;
    position += IMAGE_HEADER_BYTES;
    const segments = header[1]!;
    for (let i = 0; i < segments; i++) {
      if (this.spiFlashRead(position, header) !== SPI_FLASH_RESULT_OK) return 0;
      position = (position + SEGMENT_HEADER_BYTES + view.getUint32(4, true)) >>> 0;
    }
    return ((position + 16) & ~15) >>> 0;
  }
}

function isOk(result: SpiFlashResult | Promise<SpiFlashResult>): boolean | Promise<boolean> {
  return typeof result === 'number'
    ? result === SPI_FLASH_RESULT_OK
    : result.then((late) => late === SPI_FLASH_RESULT_OK);
}
