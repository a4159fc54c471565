/** The CPU's memory as code in the mask ROM uses it: what it cannot reach raises the exception that the ROM's loads would. */
import type { Lx106 } from '../../assembly/host/lx106.ts';
import {
  CAUSE_ALIGNMENT,
  CAUSE_LOAD_STORE_ERROR,
  CAUSE_STORE_PROHIBITED,
  DRAM_BASE,
  DRAM_BYTES,
  windowAt,
} from '../memory-map.ts';

const CAUSE_LOAD_PROHIBITED = 28;

/** Code in the ROM met an exception. Never leaves this folder. */
export class RomFault extends Error {
  constructor(
    override readonly cause: number,
    /** What EXCVADDR holds; undefined for causes that leave it alone. */
    readonly address: number | undefined,
    /** Where in the ROM, when that is known. */
    readonly at?: number,
  ) {
    super(`exception ${cause} in the mask ROM`);
  }
}

export class CpuMemory {
  constructor(private readonly cpu: Lx106) {}

  /** How many of `length` bytes from `address` on are RAM. */
  ramBytes(address: number, length: number): number {
    const { region, end } = windowAt(address);
    if (region !== 'dram' && region !== 'iram') return 0;
    return Math.min(length, end - address);
  }

  isDram(address: number, length: number): boolean {
    return address >= DRAM_BASE && address + length <= DRAM_BASE + DRAM_BYTES;
  }

  /** Bytes that the ROM fetches word by word: any RAM. */
  readWords(address: number, length: number): Uint8Array {
    if (address & 3 && length > 0) throw new RomFault(CAUSE_ALIGNMENT, address);
    return this.read(address, length);
  }

  /** Bytes that the ROM fetches one by one: not from instruction RAM. */
  readBytes(address: number, length: number): Uint8Array {
    if (length > 0 && windowAt(address).region === 'iram') throw new RomFault(CAUSE_LOAD_STORE_ERROR, address);
    return this.read(address, length);
  }

  /** Stores what fits into RAM, then raises the exception of the first byte that does not. */
  write(address: number, data: Uint8Array, wordwise: boolean): void {
    if (data.length === 0) return;
    if (!wordwise && windowAt(address).region === 'iram') throw new RomFault(CAUSE_LOAD_STORE_ERROR, address);
    const fits = this.ramBytes(address, data.length);
    if (fits > 0) this.cpu.writeBytes(address, fits === data.length ? data : data.subarray(0, fits));
    if (fits < data.length) throw outside(address + fits, CAUSE_STORE_PROHIBITED);
  }

  /** A text up to its zero byte, latin1. At most `limit` characters. */
  readText(address: number, limit: number): string {
    let text = '';
    for (let at = address; text.length < limit; at++) {
      const inDram = at >= DRAM_BASE && at < DRAM_BASE + DRAM_BYTES;
      if (!inDram) {
        const inIram = this.ramBytes(at, 1) === 1;
        throw inIram ? new RomFault(CAUSE_LOAD_STORE_ERROR, at) : outside(at, CAUSE_LOAD_PROHIBITED);
      }
      const byte = this.cpu.readByte(at);
      if (byte === 0) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }

  private read(address: number, length: number): Uint8Array {
    if (length === 0) return new Uint8Array(0);
    const fits = this.ramBytes(address, length);
    if (fits < length) throw outside(address + fits, CAUSE_LOAD_PROHIBITED);
    return this.cpu.readBytes(address, length);
  }
}

/** The exception of an access where no RAM is. The ROM itself cannot be stored to, nor read by bytes. */
function outside(address: number, prohibited: number): RomFault {
  const inRom = windowAt(address >>> 0).region === 'rom';
  return new RomFault(inRom ? CAUSE_LOAD_STORE_ERROR : prohibited, address >>> 0);
}
