/**
 * The flasher stub's dialect: what a stub does that hosts upload. Source: spec chapter 05 §8, §9.
 *
 * Two kinds of stubs are about. Both act alike here, as the older one does (FLASH_END with 0 resets, RUN_USER_CODE works);
 * they differ in a few status bytes only.
 */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { Md5 } from '../ports.ts';
import {
  BLOCK_LIMIT,
  CHANGE_BAUDRATE,
  ERASE_FLASH,
  ERASE_REGION,
  FLASH_BEGIN,
  FLASH_DATA,
  FLASH_DEFL_BEGIN,
  FLASH_DEFL_DATA,
  FLASH_DEFL_END,
  FLASH_END,
  MEM_BEGIN,
  MEM_DATA,
  MEM_END,
  READ_FLASH,
  READ_REG,
  RUN_USER_CODE,
  SPI_ATTACH,
  SPI_FLASH_MD5,
  SPI_SET_PARAMS,
  STUB_BAD_BLOCK_SIZE,
  STUB_BAD_CHECKSUM,
  STUB_BAD_LENGTH,
  STUB_FAILED,
  STUB_FAILED_SPI,
  STUB_INVALID_COMMAND,
  STUB_NOT_ENOUGH_DATA,
  STUB_NOT_IMPLEMENTED,
  STUB_NOT_IN_FLASH_MODE,
  STUB_TOO_MUCH_DATA,
  SYNC,
  WRITE_REG,
} from './commands.ts';
import { memEnd, readRegister, SYNC_REPLIES, writeRegisters } from './common-commands.ts';
import type { FlashAccess } from './flash-access.ts';
import { type Commands, type Outcome, SUCCESS } from './outcome.ts';
import { checksumMatches, parseBlock, type Request, SYNC_DATA, word } from './packets.ts';
import type { RamUpload } from './ram-upload.ts';
import type { Registers } from './registers.ts';
import { StubWrite } from './stub-write.ts';

/** Status bytes by kind of stub. */
export interface StubKind {
  readonly unknownCommand: number;
  /** FLASH_END with data missing. */
  readonly dataMissing: number;
  /** ERASE_REGION off the sectors. */
  readonly misaligned: number;
  /** Whatever else fails inside ERASE_*, MD5, MEM_BEGIN, MEM_END. */
  readonly failed: number;
}

const LEGACY_STUB: StubKind = {
  unknownCommand: STUB_NOT_IMPLEMENTED,
  dataMissing: STUB_NOT_ENOUGH_DATA,
  misaligned: STUB_FAILED,
  failed: STUB_FAILED,
};
const NEW_STUB: StubKind = {
  unknownCommand: STUB_INVALID_COMMAND,
  dataMissing: STUB_BAD_LENGTH,
  misaligned: STUB_BAD_LENGTH,
  failed: STUB_FAILED_SPI,
};
/** Where the stub of esptool 5.3 and esptool-js 0.7 starts. */
const NEW_STUB_ENTRY = 0x4010c504;

export const stubKind = (entry: number): StubKind => (entry === NEW_STUB_ENTRY ? NEW_STUB : LEGACY_STUB);

export interface StubParts {
  readonly flash: FlashAccess;
  readonly upload: RamUpload;
  readonly registers: Registers;
  readonly md5: () => Md5;
  readonly kind: StubKind;
}

export class StubCommands implements Commands {
  private write: StubWrite | undefined;
  /** First address that cannot be written: the chip's end, or earlier when SPI_SET_PARAMS says so. */
  private limit: number;

  constructor(private readonly parts: StubParts) {
    this.limit = parts.flash.capacityBytes;
  }

  async execute(request: Request): Promise<Outcome> {
    const run = this.commandOf(request);
    if (!run) return failure(this.parts.kind.unknownCommand);
    return request.whole ? ((await run()) ?? failure(STUB_BAD_LENGTH)) : failure(STUB_BAD_LENGTH);
  }

  /** Gives `undefined` for a command that is not there; the command itself does for data of the wrong length. */
  private commandOf(request: Request): (() => Outcome | undefined | Promise<Outcome | undefined>) | undefined {
    const { data } = request;
    const { registers, flash } = this.parts;
    switch (request.command) {
      case SYNC:
        return () => (data.length === SYNC_DATA.length ? { ...SUCCESS, replies: SYNC_REPLIES } : undefined);
      case READ_REG:
        return () => readRegister(registers, data);
      case WRITE_REG:
        return () => writeRegisters(registers, flash.clock, data);
      case MEM_BEGIN:
        return () => this.memBegin(data);
      case MEM_DATA:
        return () => this.memData(request);
      case MEM_END:
        return () => this.memEnd(data);
      case FLASH_BEGIN:
        return () => this.flashBegin(data, false);
      case FLASH_DEFL_BEGIN:
        return () => this.flashBegin(data, true);
      case FLASH_DATA:
      case FLASH_DEFL_DATA:
        return () => this.flashData(request);
      case FLASH_END:
      case FLASH_DEFL_END:
        return () => this.flashEnd(data);
      case SPI_SET_PARAMS:
        return () => this.setParams(data);
      case SPI_ATTACH:
        return () => (data.length === 4 || data.length === 8 ? SUCCESS : undefined);
      case CHANGE_BAUDRATE:
        return () => (data.length === 8 ? { ...SUCCESS, next: { do: 'baud', rate: word(data, 0) } } : undefined);
      case SPI_FLASH_MD5:
        return () => this.flashMd5(data);
      case ERASE_FLASH:
        return () => (data.length === 0 ? this.eraseFlash() : undefined);
      case ERASE_REGION:
        return () => this.eraseRegion(data);
      case READ_FLASH:
        return () => this.readFlash(data);
      case RUN_USER_CODE:
        return () => ({ ...SUCCESS, replies: 0, next: { do: 'run-flash' } });
      default:
        return undefined;
    }
  }

  private memBegin(data: Uint8Array): Outcome | undefined {
    if (data.length !== 16) return undefined;
    return this.parts.upload.begin(word(data, 0), word(data, 8), word(data, 12))
      ? failure(this.parts.kind.failed)
      : SUCCESS;
  }

  private memData(request: Request): Outcome | undefined {
    const block = parseBlock(request.data);
    if (!block) return undefined;
    if (!checksumMatches(request, block)) return failure(STUB_BAD_CHECKSUM);
    const fault = this.parts.upload.data(block.sequence, block.bytes);
    if (!fault) return SUCCESS;
    return failure(fault === 'size' ? STUB_TOO_MUCH_DATA : this.parts.kind.failed);
  }

  /** Unlike the ROM, a stub does not jump into a program of which a part is missing. */
  private memEnd(data: Uint8Array): Outcome | undefined {
    const { upload, kind } = this.parts;
    const jumps = data.length === 8 && word(data, 0) === 0;
    return jumps && upload.incomplete ? failure(kind.failed) : memEnd(upload, data);
  }

  private flashBegin(data: Uint8Array, compressed: boolean): Outcome | undefined {
    if (data.length !== 16 && data.length !== 20) return undefined;
    const size = word(data, 0);
    const blockSize = word(data, 8);
    const offset = word(data, 12);
    if (blockSize > BLOCK_LIMIT) return failure(STUB_BAD_BLOCK_SIZE);
    const { limit } = this;
    this.write = new StubWrite(this.parts.flash, { offset, size, blockSize, limit, compressed });
    return size > 0 && offset >= limit ? failure(STUB_FAILED_SPI) : SUCCESS;
  }

  private async flashData(request: Request): Promise<Outcome | undefined> {
    const { write } = this;
    if (!write) return failure(STUB_NOT_IN_FLASH_MODE);
    const block = parseBlock(request.data);
    if (!block) return undefined;
    if (!checksumMatches(request, block)) return failure(STUB_BAD_CHECKSUM);
    return ofStatus(await (request.command === FLASH_DATA ? write.data(block) : write.compressed(block)));
  }

  private flashEnd(data: Uint8Array): Outcome | undefined {
    if (data.length !== 4) return undefined;
    if (!this.write) return failure(STUB_NOT_IN_FLASH_MODE);
    if (this.write.incomplete) return failure(this.parts.kind.dataMissing);
    this.write = undefined;
    return word(data, 0) === 0 ? { ...SUCCESS, next: { do: 'reset' } } : SUCCESS;
  }

  /** Id, total size, block, sector and page size, status mask: only the second word has an effect. */
  private setParams(data: Uint8Array): Outcome | undefined {
    if (data.length !== 24) return undefined;
    this.limit = Math.min(word(data, 4), this.parts.flash.capacityBytes);
    return SUCCESS;
  }

  private async flashMd5(data: Uint8Array): Promise<Outcome | undefined> {
    if (data.length !== 16) return undefined;
    const { flash, kind } = this.parts;
    const address = word(data, 0);
    const size = word(data, 4);
    if (address + size > flash.capacityBytes) return failure(kind.failed);
    const md5 = this.parts.md5();
    for (let done = 0; done < size; done += SECTOR_BYTES) {
      const piece = await flash.read(address + done, Math.min(SECTOR_BYTES, size - done));
      if (!piece) return failure(kind.failed);
      md5.update(piece);
    }
    return { ...SUCCESS, data: md5.digest() };
  }

  private async eraseFlash(): Promise<Outcome> {
    return (await this.parts.flash.eraseChip()) ? SUCCESS : failure(this.parts.kind.failed);
  }

  private async eraseRegion(data: Uint8Array): Promise<Outcome | undefined> {
    if (data.length !== 8) return undefined;
    const { flash, kind } = this.parts;
    const offset = word(data, 0);
    const size = word(data, 4);
    if (offset % SECTOR_BYTES !== 0 || size % SECTOR_BYTES !== 0) return failure(kind.misaligned);
    if (offset + size > this.limit) return failure(kind.failed);
    return (await flash.eraseSectors(offset / SECTOR_BYTES, size / SECTOR_BYTES)) ? SUCCESS : failure(kind.failed);
  }

  /** The fourth word, how many bytes may be in flight, both real stubs bring down to one packet. */
  private readFlash(data: Uint8Array): Outcome | undefined {
    if (data.length !== 16) return undefined;
    const [address, length, packet] = [word(data, 0), word(data, 4), word(data, 8)];
    if (packet === 0 || packet > BLOCK_LIMIT) return failure(STUB_BAD_BLOCK_SIZE);
    if (address + length > this.parts.flash.capacityBytes) return failure(STUB_FAILED_SPI);
    return { ...SUCCESS, next: { do: 'read', address, length, packet } };
  }
}

const failure = (status: number): Outcome => ({ status, error: 0 });
const ofStatus = (status: number): Outcome => (status === 0 ? SUCCESS : failure(status));
