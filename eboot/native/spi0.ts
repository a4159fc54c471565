/**
 * The SPI0 controller as software drives it through registers: one bit in CMD starts a flash command. Status commands are
 * done at once; what reads or changes cells is an operation that the driver of the machine carries out.
 * Source: spec chapter 07 §4; chapter 05 §7.6 for the user-defined command that hosts send to ask for the flash id.
 */
import { SECTOR_BYTES } from '../../flash/geometry.ts';

const CMD = 0x00;
const ADDR = 0x04;
const RD_STATUS = 0x10;
const USER = 0x1c;
const USER2 = 0x24;
const W0 = 0x40;
const EXT2 = 0xf8;

const DATA_WORDS = 16;
/** READ and PP move at most this much. */
const BURST_BYTES = 32;
const BLOCK_BYTES = 0x10000;

const READ = 1 << 31;
const WREN = 1 << 30;
const WRDI = 1 << 29;
const RDID = 1 << 28;
const RDSR = 1 << 27;
const WRSR = 1 << 26;
const PP = 1 << 25;
const SE = 1 << 24;
const BE = 1 << 23;
const CE = 1 << 22;
const USR = 1 << 18;

const STATUS_WRITE_ENABLED = 2;
const STATUS_WRITABLE = 0xfc;

/** Opcodes that are understood inside a user-defined command. */
const OPCODE_WRDI = 0x04;
const OPCODE_RDSR = 0x05;
const OPCODE_WREN = 0x06;
const OPCODE_RDID = 0x9f;

/** A command that reaches the cells. Addresses are as on the bus: 24 bits, modulo the chip. */
export type SpiOperation =
  | { readonly op: 'read'; readonly address: number; readonly length: number }
  | { readonly op: 'program'; readonly address: number; readonly data: Uint8Array }
  | { readonly op: 'erase'; readonly address: number; readonly length: number }
  | { readonly op: 'erase-chip' };

export class Spi0 {
  private readonly words = new Uint32Array(0x100 / 4);
  private status = 0;

  /** @param flashId JEDEC id, manufacturer in the low byte, as RDID brings it into W0 */
  constructor(private readonly flashId: number) {}

  reset(): void {
    this.words.fill(0);
    this.status = 0;
  }

  load(offset: number): number {
    if (offset === CMD || offset === EXT2) return 0;
    return this.words[offset >> 2]!;
  }

  /** Stores a register. A command that reaches the cells is returned, to be carried out and then {@link Spi0.finish}ed. */
  store(offset: number, value: number): SpiOperation | undefined {
    if (offset !== CMD) {
      this.words[offset >> 2] = value;
      return undefined;
    }
    return this.command(value | 0);
  }

  /** The operation is done: `read` is what a READ brought. */
  finish(read?: Uint8Array): void {
    this.status &= ~STATUS_WRITE_ENABLED;
    if (!read) return;
    const padded = new Uint8Array(BURST_BYTES);
    padded.set(read);
    const view = new DataView(padded.buffer);
    const words = Math.ceil(read.length / 4);
    for (let i = 0; i < words; i++) this.words[(W0 >> 2) + i] = view.getUint32(4 * i, true);
  }

  /** Clears the protection bits, as the ROM's SPIUnlock does. */
  unlock(): void {
    this.status &= ~STATUS_WRITABLE;
  }

  private command(bits: number): SpiOperation | undefined {
    const address = this.words[ADDR >> 2]! & 0xffffff;
    const length = Math.min(this.words[ADDR >> 2]! >>> 24, BURST_BYTES);
    const enabled = (this.status & STATUS_WRITE_ENABLED) !== 0;
    if (bits & READ) return length === 0 ? undefined : { op: 'read', address, length };
    if (bits & WREN) this.status |= STATUS_WRITE_ENABLED;
    else if (bits & WRDI) this.status &= ~STATUS_WRITE_ENABLED;
    else if (bits & RDID) this.words[W0 >> 2] = this.flashId;
    else if (bits & RDSR) this.words[RD_STATUS >> 2] = this.status;
    else if (bits & WRSR) {
      if (enabled) this.status = this.words[RD_STATUS >> 2]! & STATUS_WRITABLE;
    } else if (bits & USR) this.userCommand();
    else if (!enabled) return undefined;
    else if (bits & PP) return length === 0 ? undefined : { op: 'program', address, data: this.data(length) };
    else if (bits & SE) return { op: 'erase', address: address & -SECTOR_BYTES, length: SECTOR_BYTES };
    else if (bits & BE) return { op: 'erase', address: address & -BLOCK_BYTES, length: BLOCK_BYTES };
    else if (bits & CE) return { op: 'erase-chip' };
    return undefined;
  }

  /** A command put together from USER registers: here only the opcode counts; what it does not know answers 0. */
  private userCommand(): void {
    const opcode = this.words[USER2 >> 2]! & 0xff;
    let answer = 0;
    if (opcode === OPCODE_RDID) answer = this.flashId;
    else if (opcode === OPCODE_RDSR) answer = this.status;
    else if (opcode === OPCODE_WREN) this.status |= STATUS_WRITE_ENABLED;
    else if (opcode === OPCODE_WRDI) this.status &= ~STATUS_WRITE_ENABLED;
    // The answer is stored only when there is an input phase (USER bit 28).
    if (this.words[USER >> 2]! & (1 << 28)) this.words[W0 >> 2] = answer;
  }

  private data(length: number): Uint8Array {
    const bytes = new Uint8Array(DATA_WORDS * 4);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < DATA_WORDS; i++) view.setUint32(4 * i, this.words[(W0 >> 2) + i]!, true);
    return bytes.slice(0, length);
  }
}
