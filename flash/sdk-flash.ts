/**
 * The flash calls of the closed SDK, as the core uses them: range checks, page splitting, 16-bit sectors.
 * Source: spec chapter 01 §2.1.
 */
import { PAGE_BYTES, SECTOR_BYTES } from './geometry.ts';
import { sdkSizeOfHeader } from './header-byte.ts';
import type { NorFlash } from './nor-flash.ts';
import type { ChipClock } from './ports.ts';

export const SPI_FLASH_RESULT_OK = 0;
export const SPI_FLASH_RESULT_ERR = 1;
/** Never produced by the ROM routines underneath. */
export const SPI_FLASH_RESULT_TIMEOUT = 2;
export type SpiFlashResult = 0 | 1 | 2;

/** What was asked of the SDK, also when it refuses: verb, address (of an erase: the sector's), length. */
export type SdkCall = [kind: 'read' | 'write' | 'erase', address: number, length: number];

/** `chip_size` in ROM data, in force until the SDK starts. Source: spec chapter 01 §2.2. */
const ROM_CHIP_SIZE = 0x400000;

/** The SDK's view of the chip, which ends where the image header at offset 0 says. */
export class SdkFlash {
  readonly chip: NorFlash;
  /** For traces: called once for each SDK call. */
  onSdkCall: ((call: SdkCall) => void) | undefined;
  protected readonly clock: ChipClock;
  private chipSize = ROM_CHIP_SIZE;

  constructor(options: { chip: NorFlash; clock: ChipClock }) {
    this.chip = options.chip;
    this.clock = options.clock;
  }

  /** Bytes that the SDK believes the chip has. */
  get sdkChipSize(): number {
    return this.chipSize;
  }

  /** The SDK starts with the application: it takes its idea of the chip from byte 3 of the header at offset 0. */
  sdkStart(): void {
    const header = new Uint8Array(4).fill(0xff);
    this.chip.read(0, header);
    this.chipSize = sdkSizeOfHeader(header[3]!);
  }

  /** 24 bits: vendor, memory type, capacity exponent, from the lowest byte up. */
  spiFlashGetId(): number {
    return this.chip.part.jedecId & 0xffffff;
  }

  /**
   * Reads `target.length` bytes. The flash address may be unaligned.
   *
   * @param target null, as a null pointer: ERR
   * @returns ERR when the range passes `chip_size`, or the chip fails
   */
  spiFlashRead(address: number, target: Uint8Array | null): SpiFlashResult {
    this.onSdkCall?.(['read', address, target?.length ?? 0]);
    if (target === null || this.passesEnd(address, target.length)) return SPI_FLASH_RESULT_ERR;
    if (target.length === 0) return SPI_FLASH_RESULT_OK;
    return this.chip.read(address, target) ? SPI_FLASH_RESULT_OK : SPI_FLASH_RESULT_ERR;
  }

  /**
   * Programs any range, page by page. A length of 0 is range-checked and programs nothing.
   *
   * @param data null, as a null pointer: ERR
   * @returns ERR when the range passes `chip_size`, or at the first page that fails; pages before it are programmed
   */
  spiFlashWrite(address: number, data: Uint8Array | null): Promise<SpiFlashResult> {
    const result = this.write(address, data);
    return typeof result === 'number' ? Promise.resolve(result) : result;
  }

  /**
   * Erases one sector.
   *
   * @param sector only its low 16 bits arrive, as the SDK's parameter is a uint16
   * @returns ERR when it lies behind `chip_size`, or the chip fails
   */
  async spiFlashEraseSector(sector: number): Promise<SpiFlashResult> {
    return await this.erase(sector);
  }

  /** {@link SdkFlash.spiFlashEraseSector} without a promise when there is nothing to wait for. */
  protected erase(sector: number): SpiFlashResult | Promise<SpiFlashResult> {
    const index = sector & 0xffff;
    this.onSdkCall?.(['erase', index * SECTOR_BYTES, SECTOR_BYTES]);
    if (index >= Math.floor(this.chipSize / SECTOR_BYTES)) return SPI_FLASH_RESULT_ERR;
    const result = this.chip.eraseSector(index).ok ? SPI_FLASH_RESULT_OK : SPI_FLASH_RESULT_ERR;
    const wait = this.clock.settle();
    return wait ? wait.then(() => result) : result;
  }

  /**
   * {@link SdkFlash.spiFlashWrite} without a promise when there is nothing to wait for: an update makes thousands of these.
   */
  protected write(address: number, data: Uint8Array | null): SpiFlashResult | Promise<SpiFlashResult> {
    if (this.onSdkCall) this.onSdkCall(['write', address, data?.length ?? 0]);
    if (data === null || this.passesEnd(address, data.length)) return SPI_FLASH_RESULT_ERR;
    return this.writePages(address, data, 0);
  }

  /**
   * A write that {@link NorFlash.programRun} can do as a whole, of pages that one SDK call each would write.
   *
   * @returns undefined: it cannot, and nothing was done
   */
  protected writeRun(address: number, data: Uint8Array): SpiFlashResult | Promise<SpiFlashResult> | undefined {
    if (this.onSdkCall || this.passesEnd(address, data.length) || !this.chip.programRun(address, data))
      return undefined;
    const wait = this.clock.settle();
    return wait ? wait.then(() => SPI_FLASH_RESULT_OK) : SPI_FLASH_RESULT_OK;
  }

  private writePages(address: number, data: Uint8Array, from: number): SpiFlashResult | Promise<SpiFlashResult> {
    for (let done = from; done < data.length; ) {
      const room = PAGE_BYTES - ((address + done) % PAGE_BYTES);
      const piece = data.length - done <= room && done === 0 ? data : data.subarray(done, done + room);
      const { ok } = this.chip.programPage(address + done, piece);
      const wait = this.clock.settle();
      if (!ok) return wait ? wait.then(() => SPI_FLASH_RESULT_ERR) : SPI_FLASH_RESULT_ERR;
      done += piece.length;
      if (wait) return wait.then(() => this.writePages(address, data, done));
    }
    return SPI_FLASH_RESULT_OK;
  }

  /** The check as C computes it: the sum is a 32-bit word, so it wraps. */
  private passesEnd(address: number, length: number): boolean {
    return (address + length) >>> 0 > this.chipSize;
  }
}
