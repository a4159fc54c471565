/**
 * One FLASH_BEGIN or FLASH_DEFL_BEGIN of the stub with the blocks that follow. Flash is erased as the blocks need it.
 * A plain block is in flash before its reply; of a compressed stream up to 32 KiB wait, unpacked, in its window until that is
 * full or the file is complete, so a reset in between loses data whose block was answered. Source: spec chapter 05 §8.2, §8.4.
 *
 * A block whose write failed may come again: plain blocks have their place by number, and of a compressed stream the state
 * before the block is kept.
 */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import {
  STUB_FAILED_SPI,
  STUB_INFLATE,
  STUB_NOT_ENOUGH_DATA,
  STUB_NOT_IN_FLASH_MODE,
  STUB_TOO_MUCH_DATA,
} from './commands.ts';
import { eraseStep, type FlashAccess } from './flash-access.ts';
import type { Block } from './packets.ts';
import { INFLATE_DONE, INFLATE_ERROR, INFLATE_FULL, ZlibInflate } from './zlib-inflate.ts';

/** So many bytes may follow the data of a compressed stream. */
const TRAILER_LIMIT = 4;

export interface StubWriteOptions {
  /** Where the data goes, any alignment. */
  readonly offset: number;
  /** Bytes that will be written. */
  readonly size: number;
  readonly blockSize: number;
  /** First address that cannot be written. */
  readonly limit: number;
  readonly compressed: boolean;
}

export class StubWrite {
  /** First sector not erased yet, and the first that need not be. */
  private nextErase: number;
  private readonly eraseEnd: number;
  /** Bytes of `size` that are in flash; of plain blocks, those up to the highest number. */
  private written = 0;
  private nextSequence = 0;
  private readonly stream: CompressedStream | undefined;

  constructor(
    private readonly flash: FlashAccess,
    private readonly options: StubWriteOptions,
  ) {
    const { offset, size, compressed } = options;
    this.nextErase = Math.floor(offset / SECTOR_BYTES);
    this.eraseEnd = Math.ceil(Math.min(offset + size, options.limit) / SECTOR_BYTES);
    if (compressed) this.stream = new CompressedStream(size, (at, bytes) => this.put(at, bytes));
  }

  /** Data is missing. */
  get incomplete(): boolean {
    return (this.stream?.written ?? this.written) < this.options.size;
  }

  /** Writes a block of FLASH_DATA; what goes beyond the announced size is padding and dropped. Gives the stub's status. */
  async data({ sequence, bytes }: Block): Promise<number> {
    const { size, blockSize, compressed } = this.options;
    if (compressed) return STUB_NOT_IN_FLASH_MODE;
    const at = sequence * blockSize;
    const length = Math.max(0, Math.min(bytes.length, size - at));
    const status = await this.put(at, bytes.subarray(0, length));
    if (status === 0 && sequence >= this.nextSequence) {
      this.nextSequence = sequence + 1;
      this.written += length;
    }
    return status;
  }

  /** Unpacks and writes a block of FLASH_DEFL_DATA. Gives the stub's status. */
  async compressed(block: Block): Promise<number> {
    return this.stream ? await this.stream.block(block) : STUB_NOT_IN_FLASH_MODE;
  }

  private async put(at: number, bytes: Uint8Array): Promise<number> {
    if (bytes.length === 0) return 0;
    const address = this.options.offset + at;
    if (address + bytes.length > this.options.limit) return STUB_FAILED_SPI;
    const behind = Math.ceil((address + bytes.length) / SECTOR_BYTES);
    while (this.nextErase < behind) {
      const step = eraseStep(this.nextErase, this.eraseEnd);
      if (!(await this.flash.eraseStep(this.nextErase, step))) return STUB_FAILED_SPI;
      this.nextErase += step;
    }
    return (await this.flash.program(address, bytes)) ? 0 : STUB_FAILED_SPI;
  }
}

/** The zlib stream of one file, cut into blocks. */
class CompressedStream {
  /** The state after the last good block, and the one that the next block works on. */
  private settled = new ZlibInflate();
  private working = new ZlibInflate();
  private lastSequence: number | undefined;
  private ended = false;
  /** Bytes behind the end of the stream so far. */
  private surplus = 0;
  /** Bytes that are in flash. */
  written = 0;

  constructor(
    private readonly size: number,
    private readonly put: (at: number, bytes: Uint8Array) => Promise<number>,
  ) {}

  async block({ sequence, bytes }: Block): Promise<number> {
    if (sequence === this.lastSequence) return 0; // the host did not get our reply
    const { size } = this;
    const inflate = this.working;
    inflate.copyFrom(this.settled);
    inflate.feed(bytes);
    let at = this.written;
    for (;;) {
      const result = inflate.run();
      if (result === INFLATE_ERROR) return STUB_INFLATE;
      const total = at + inflate.available;
      if (total > size) return STUB_TOO_MUCH_DATA;
      if (result === INFLATE_FULL || result === INFLATE_DONE || total === size) {
        const output = inflate.take();
        const status = await this.put(at, output);
        if (status !== 0) return status;
        at = total;
      }
      if (result === INFLATE_FULL) continue;
      if (result !== INFLATE_DONE) break;
      const surplus = this.surplus + (this.ended ? bytes.length : inflate.unused);
      if (surplus > TRAILER_LIMIT) return STUB_TOO_MUCH_DATA;
      if (at < size) return STUB_NOT_ENOUGH_DATA;
      this.surplus = surplus;
      this.ended = true;
      break;
    }
    this.working = this.settled;
    this.settled = inflate;
    this.lastSequence = sequence;
    this.written = at;
    return 0;
  }
}
