/** The loader in the mask ROM: commands 0x02 to 0x0A. Source: spec chapter 05 §7, §9. */
import { BLOCK_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';
import {
  FLASH_BEGIN,
  FLASH_DATA,
  FLASH_END,
  MEM_BEGIN,
  MEM_DATA,
  MEM_END,
  READ_REG,
  ROM_CHECKSUM,
  ROM_FAILED,
  ROM_FAILED_TO_ACT,
  ROM_FLASH_WRITE,
  ROM_INVALID_MESSAGE,
  ROM_RAM_ADDRESS,
  ROM_RAM_SIZE,
  SYNC,
  WRITE_REG,
} from './commands.ts';
import { memEnd, readRegister, SYNC_REPLIES, writeRegisters } from './common-commands.ts';
import type { FlashAccess } from './flash-access.ts';
import { type Commands, type Outcome, SUCCESS } from './outcome.ts';
import { checksumMatches, parseBlock, type Request, SYNC_DATA, word } from './packets.ts';
import type { RamFault, RamUpload } from './ram-upload.ts';
import type { Registers } from './registers.ts';

/** Value field of the eight SYNC replies: the first word of the request. Zero would mean that a stub is there. */
const SYNC_VALUE = 0x20120707;
const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES;

export interface RomParts {
  readonly flash: FlashAccess;
  readonly upload: RamUpload;
  readonly registers: Registers;
}

/**
 * How many sectors FLASH_BEGIN erases, not cut at the end of the chip: more than asked, because the ROM does not subtract
 * the sectors of the leading partial 64 KiB block from its total. Hosts compensate. Source: spec chapter 05 §7.2.
 */
export function romEraseSectors(offset: number, eraseSize: number): number {
  const asked = Math.ceil(eraseSize / SECTOR_BYTES);
  const toBlockEnd = SECTORS_PER_BLOCK - (Math.floor(offset / SECTOR_BYTES) % SECTORS_PER_BLOCK);
  return asked + Math.min(asked, toBlockEnd);
}

export class RomCommands implements Commands {
  private write: { readonly offset: number; readonly blockSize: number } | undefined;
  /** Stands in the reply to a command that the ROM does not know. */
  private lastKnown = 0;

  constructor(private readonly parts: RomParts) {}

  async execute(request: Request): Promise<Outcome> {
    const run = this.commandOf(request);
    // One reply, under the number of the command before: newer hosts ask GET_SECURITY_INFO and need exactly that (§7.10).
    if (!run) return { ...failure(ROM_INVALID_MESSAGE), replyAs: this.lastKnown };
    this.lastKnown = request.command;
    return request.whole ? await run() : failure(ROM_INVALID_MESSAGE);
  }

  private commandOf(request: Request): (() => Outcome | Promise<Outcome>) | undefined {
    const { data } = request;
    const { registers } = this.parts;
    switch (request.command) {
      case SYNC:
        return () =>
          data.length === SYNC_DATA.length
            ? { ...SUCCESS, value: SYNC_VALUE, replies: SYNC_REPLIES }
            : failure(ROM_INVALID_MESSAGE);
      case FLASH_BEGIN:
        return () => this.flashBegin(data);
      case FLASH_DATA:
        return () => this.flashData(request);
      case FLASH_END:
        return () => this.flashEnd(data);
      case MEM_BEGIN:
        return () => this.memBegin(data);
      case MEM_DATA:
        return () => this.memData(request);
      case MEM_END:
        return () => memEnd(this.parts.upload, data) ?? failure(ROM_INVALID_MESSAGE);
      case WRITE_REG:
        return () => writeRegisters(registers, this.parts.flash.clock, data) ?? failure(ROM_INVALID_MESSAGE);
      case READ_REG:
        return () => readRegister(registers, data) ?? failure(ROM_INVALID_MESSAGE);
      default:
        return undefined;
    }
  }

  /** Erases at once. The session begins even when that fails, so that the blocks fail too. */
  private async flashBegin(data: Uint8Array): Promise<Outcome> {
    if (data.length < 16) return failure(ROM_INVALID_MESSAGE); // some hosts send the stub's fifth word
    const eraseSize = word(data, 0);
    const offset = word(data, 12);
    const { flash } = this.parts;
    this.write = { offset, blockSize: word(data, 8) };
    if (eraseSize === 0) return SUCCESS; // attaches the flash, nothing else
    if (offset >= flash.capacityBytes) return failure(ROM_FLASH_WRITE);
    const first = Math.floor(offset / SECTOR_BYTES);
    const count = Math.min(romEraseSectors(offset, eraseSize), flash.capacityBytes / SECTOR_BYTES - first);
    return (await flash.eraseSectors(first, count)) ? SUCCESS : failure(ROM_FAILED_TO_ACT);
  }

  /** A block goes where its number says, so a repeated one hits the same place. */
  private async flashData(request: Request): Promise<Outcome> {
    const block = parseBlock(request.data);
    if (!block) return failure(ROM_INVALID_MESSAGE);
    if (!checksumMatches(request, block)) return failure(ROM_CHECKSUM);
    if (!this.write) return failure(ROM_FAILED_TO_ACT);
    const { flash } = this.parts;
    const address = this.write.offset + block.sequence * this.write.blockSize;
    if (address + block.bytes.length > flash.capacityBytes) return failure(ROM_FLASH_WRITE);
    return (await flash.program(address, block.bytes)) ? SUCCESS : failure(ROM_FLASH_WRITE);
  }

  private flashEnd(data: Uint8Array): Outcome {
    if (data.length < 4) return failure(ROM_INVALID_MESSAGE);
    this.write = undefined;
    return { ...SUCCESS, next: { do: word(data, 0) === 0 ? 'reset' : 'run-flash' } };
  }

  private memBegin(data: Uint8Array): Outcome {
    if (data.length < 16) return failure(ROM_INVALID_MESSAGE);
    return ofRam(this.parts.upload.begin(word(data, 0), word(data, 8), word(data, 12)));
  }

  private memData(request: Request): Outcome {
    const block = parseBlock(request.data);
    if (!block) return failure(ROM_INVALID_MESSAGE);
    if (!checksumMatches(request, block)) return failure(ROM_CHECKSUM);
    return ofRam(this.parts.upload.data(block.sequence, block.bytes));
  }
}

const failure = (error: number): Outcome => ({ status: ROM_FAILED, error });

function ofRam(fault: RamFault | undefined): Outcome {
  switch (fault) {
    case undefined:
      return SUCCESS;
    case 'address':
      return failure(ROM_RAM_ADDRESS);
    case 'size':
      return failure(ROM_RAM_SIZE);
    case 'no-begin':
      return failure(ROM_FAILED_TO_ACT);
    default:
      return fault satisfies never;
  }
}
