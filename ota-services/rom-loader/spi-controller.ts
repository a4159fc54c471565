/**
 * SPI0 as far as hosts drive it by registers: one user-defined transaction at a time, carried out at once.
 * Source: spec chapter 05 §6.2.
 */
import type { NorFlash } from '../../flash/nor-flash.ts';
import { vendorOfId } from '../../flash/parts.ts';

export const SPI_BASE = 0x60000200;
/** Registers up to the last data word, W15. */
export const SPI_BYTES = 0x80;

// Word indexes.
const CMD = 0x00 >> 2;
const ADDR = 0x04 >> 2;
const USR = 0x1c >> 2;
const USR1 = 0x20 >> 2;
const USR2 = 0x24 >> 2;
const W0 = 0x40 >> 2;
const DATA_WORDS = 16;

/**
 * What the ROM leaves there is not known; answers of 24 bits, as RDID has them. esptool-js 0.7.0 counts on that: for this
 * chip it writes the length to a wrong register.
 */
const USR1_AT_START = 23 << 8;

const CMD_USR = 1 << 18;
const USR_COMMAND = 1 << 31;
const USR_ADDRESS = 1 << 30;
const USR_MISO = 1 << 28;
const USR_MOSI = 1 << 27;

const READ_DATA = 0x03;
const FAST_READ = 0x0b;
const READ_SFDP = 0x5a;
const READ_ID = 0x9f;
const WRITE_ENABLE = 0x06;
const WRITE_DISABLE = 0x04;
const WRITE_ENABLE_VOLATILE = 0x50;
const READ_STATUS = [0x05, 0x35, 0x15] as const;
const WRITE_STATUS = [0x01, 0x31, 0x11] as const;
const RESET_CHIP = 0x99;
const WRITE_ENABLE_LATCH = 0x02;

const VENDOR_XMC = 0x20;
/** Where hosts look for the mark of an XMC part that started wrongly. */
const SFDP_VENDOR_ADDRESS = 0x10;
/** JESD216: signature, revision 1.5, one parameter table, and its header without a table to point to. */
const SFDP_HEAD = Uint8Array.of(0x53, 0x46, 0x44, 0x50, 0x05, 0x01, 0x00, 0xff);
/** What the idle line reads as. */
const IDLE = 0xff;

export class SpiController {
  private readonly registers = new Uint32Array(SPI_BYTES >> 2);
  /** Status registers 1 to 3 of the flash chip, without the write enable latch. */
  private readonly status = new Uint8Array(3);
  private writable = false;

  /** @param flashId what RDID answers: vendor in bits 0–7, type in 8–15, capacity in 16–23 */
  constructor(
    private readonly chip: NorFlash,
    private readonly flashId: number,
  ) {
    this.registers[USR1] = USR1_AT_START;
  }

  /** @param offset byte offset from {@link SPI_BASE}, a multiple of 4 */
  read(offset: number): number {
    return this.registers[offset >> 2]!;
  }

  /** Stores a register. Setting bit 18 of CMD runs the programmed transaction, which is finished on return. */
  write(offset: number, value: number): void {
    const index = offset >> 2;
    this.registers[index] = value;
    if (index !== CMD || (value & CMD_USR) === 0) return;
    this.registers[CMD] = (value & ~CMD_USR) >>> 0;
    this.transact();
  }

  private transact(): void {
    const { registers } = this;
    const phases = registers[USR]!;
    if ((phases & USR_COMMAND) === 0) return;
    const usr1 = registers[USR1]!;
    const addressBits = (usr1 >>> 26) + 1;
    // The bits go out from the high end; hosts before 5.x do not know and in effect ask for address 0.
    const address = phases & USR_ADDRESS ? Math.floor(registers[ADDR]! / 2 ** (32 - Math.min(32, addressBits))) : 0;
    const commandBits = Math.min(16, (registers[USR2]! >>> 28) + 1);
    const opcode = registers[USR2]! & ((1 << commandBits) - 1);
    const sent = phases & USR_MOSI ? Math.min(DATA_WORDS * 4, (((usr1 >>> 17) & 0x1ff) + 8) >> 3) : 0;
    const answer = this.command(opcode, address, sent);
    if (phases & USR_MISO) this.receive(((usr1 >>> 8) & 0x1ff) + 1, answer);
  }

  /** What the chip does; the function gives the bytes it then shifts out. */
  private command(opcode: number, address: number, sent: number): (index: number) => number {
    const { status } = this;
    const readable = READ_STATUS.indexOf(opcode as (typeof READ_STATUS)[number]);
    if (readable >= 0) {
      return () => status[readable]! | (readable === 0 && this.writable ? WRITE_ENABLE_LATCH : 0);
    }
    const writable = WRITE_STATUS.indexOf(opcode as (typeof WRITE_STATUS)[number]);
    if (writable >= 0) {
      if (this.writable) {
        for (let i = 0; i < sent && writable + i < status.length; i++) {
          const value = (this.registers[W0]! >>> (8 * i)) & 0xff;
          status[writable + i] = writable + i === 0 ? value & ~(WRITE_ENABLE_LATCH | 1) : value;
        }
        this.writable = false;
      }
      return () => IDLE;
    }
    switch (opcode) {
      case READ_ID:
        return (index) => (this.flashId >>> (8 * (index % 3))) & 0xff;
      case READ_SFDP:
        return (index) => this.sfdp(address + index);
      case READ_DATA:
      case FAST_READ: {
        const bytes = new Uint8Array(DATA_WORDS * 4);
        this.chip.read(address, bytes);
        return (index) => bytes[index]!;
      }
      case WRITE_ENABLE:
      case WRITE_ENABLE_VOLATILE:
        this.writable = true;
        break;
      case WRITE_DISABLE:
      case RESET_CHIP:
        this.writable = false;
        break;
      default: // sleep modes, the unique id and whatever else leave no trace
    }
    return () => IDLE;
  }

  private sfdp(address: number): number {
    if (address === SFDP_VENDOR_ADDRESS && vendorOfId(this.flashId) === VENDOR_XMC) return VENDOR_XMC;
    return SFDP_HEAD[address] ?? IDLE;
  }

  /** Puts `bits` bits into the data words, first byte in the low byte of W0; the rest of the words stays. */
  private receive(bits: number, answer: (index: number) => number): void {
    for (let index = 0; 8 * index < Math.min(bits, DATA_WORDS * 32); index++) {
      const at = W0 + (index >> 2);
      const shift = 8 * (index & 3);
      const mask = 0xff << shift;
      this.registers[at] = (this.registers[at]! & ~mask) | (answer(index) << shift);
    }
  }
}
