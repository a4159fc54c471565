/**
 * The mask ROM's functions, served when the program counter reaches them: the effect, then the result in a2. Registers are
 * otherwise left alone, which the calling convention allows. Source: spec chapter 07 §5.
 */
import type { Lx106 } from '../../assembly/host/lx106.ts';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import { mappedBytes } from '../load-app.ts';
import { CAUSE_ILLEGAL_INSTRUCTION, DRAM_BYTES, storeFault, windowAt } from '../memory-map.ts';
import { romText } from '../rom.ts';
import { beyondRomChip, ROM_CHIP_BYTES, type RomResult, romReadLength } from '../rom-spi.ts';
import { CpuMemory, RomFault } from './cpu-memory.ts';
import type { Peripherals } from './peripherals.ts';
import { formatRom } from './printf.ts';
import type { NativeRequest, NativeRequests } from './requests.ts';
import { DIV_BY_ZERO, type RomFunction, UDIV_BY_ZERO, UMOD_BY_ZERO } from './rom-entries.ts';
import { MD5_CONTEXT_BYTES, md5Final, md5Init, md5Update } from './rom-md5.ts';

const BLOCK_BYTES = 0x10000;
const INTERRUPTS = 15;
const TEXT_LIMIT = 1024;
/** A write of more cannot come from RAM; the ROM would refuse or fault anyway. */
const WRITE_LIMIT = 0x800000;
const CYCLES_PER_US = 52;
/** Watchdog modes that use the arguments, which most builds of eboot do not set. */
const MODES_WITH_ARGUMENTS = [2, 3, 4];

/** Code in the ROM has reset the chip. Never leaves this folder. */
export class RomReset extends Error {}

export interface InterruptHandler {
  readonly address: number;
  readonly argument: number;
}

export interface RomHost {
  /** UART0, latin1. */
  transmit(text: string): void;
  watchdog(call: string): void;
}

export class RomService {
  readonly memory: CpuMemory;
  readonly handlers: (InterruptHandler | undefined)[] = new Array<undefined>(INTERRUPTS).fill(undefined);
  /** What the ROM believes the chip to have: SPIParamCfg sets it. */
  chipBytes = ROM_CHIP_BYTES;
  /** Functions served so far. */
  calls = 0;
  private watchdogMode = -1;

  constructor(
    private readonly cpu: Lx106,
    private readonly peripherals: Peripherals,
    private readonly host: RomHost,
  ) {
    this.memory = new CpuMemory(cpu);
  }

  /**
   * The request that is all there is to a function of the flash, when that is so; its result goes to a2. A copy consists of
   * little else, and each generator that a request passes through costs as much as the CPU's part of the work.
   */
  flashRequest(name: RomFunction): NativeRequest | undefined {
    if (name !== 'SPIRead' && name !== 'SPIWrite' && name !== 'SPIEraseSector') return undefined;
    const { registers } = this.cpu;
    const [a2, a3, a4] = [registers[2]!, registers[3]!, registers[4]!];
    if (name === 'SPIEraseSector') return { op: 'erase', address: sectorAddress(a2), length: SECTOR_BYTES };
    const isPlain = a4 > 0 && a4 <= DRAM_BYTES && a4 % 4 === 0 && a3 % 4 === 0 && this.memory.isDram(a3, a4);
    if (!isPlain || (this.chipBytes === ROM_CHIP_BYTES && beyondRomChip(a2, a4))) return undefined;
    const place = this.cpu.view(a3, a4);
    if (name === 'SPIRead') return { op: 'read', address: a2, length: a4, target: place };
    return { op: 'write', address: a2, length: a4, data: place };
  }

  /** Serves one function. The result goes to a2; undefined: a2 stays. */
  *serve(name: RomFunction): NativeRequests<number | undefined> {
    this.calls++;
    const { cpu, memory, host, peripherals } = this;
    const [a2, a3, a4, a5, a6, a7] = cpu.registers.subarray(2, 8) as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    switch (name) {
      case 'SPIRead':
        return yield* this.spiRead(a2, a3, a4);
      case 'SPIWrite':
        return yield* this.spiWrite(a2, a3, a4);
      case 'SPIEraseSector':
        return yield* this.erase(sectorAddress(a2), SECTOR_BYTES);
      case 'SPIEraseBlock':
        return yield* this.erase(Math.min(a2 * BLOCK_BYTES, 0xffff0000), BLOCK_BYTES);
      case 'SPIEraseChip':
        return yield* this.erase(0, Number.POSITIVE_INFINITY);
      case 'ets_printf': {
        const rest = [a3, a4, a5, a6, a7];
        let next = 0;
        const argument = (): number => {
          const index = next++;
          if (index < rest.length) return rest[index]!;
          return word(memory.readWords(cpu.registers[1]! + 4 * (index - rest.length), 4), 0);
        };
        const text = romText(
          formatRom(memory.readText(a2, TEXT_LIMIT), argument, (address) => memory.readText(address, TEXT_LIMIT)),
        );
        if (text !== '') host.transmit(text);
        return text.length;
      }
      case 'ets_putc':
      case 'uart_tx_one_char':
        peripherals.uart.send(a2);
        return 0;
      case 'uart_rx_one_char': {
        const byte = peripherals.uart.take();
        if (byte === undefined) return 1;
        memory.write(a2, Uint8Array.of(byte), false);
        return 0;
      }
      case 'ets_wdt_enable':
        this.watchdogMode = a2;
        host.watchdog(MODES_WITH_ARGUMENTS.includes(a2) ? `enable ${a2} ${a3} ${a4}` : `enable ${a2}`);
        return undefined;
      case 'ets_wdt_disable': {
        const mode = this.watchdogMode;
        this.watchdogMode = 0;
        host.watchdog('disable');
        return mode;
      }
      case '__udivsi3':
        if (a3 === 0) throw new RomFault(CAUSE_ILLEGAL_INSTRUCTION, undefined, UDIV_BY_ZERO);
        return Math.floor(a2 / a3);
      case '__umodsi3':
        if (a3 === 0) throw new RomFault(CAUSE_ILLEGAL_INSTRUCTION, undefined, UMOD_BY_ZERO);
        return a2 % a3;
      case '__divsi3':
        if (a3 === 0) throw new RomFault(CAUSE_ILLEGAL_INSTRUCTION, undefined, DIV_BY_ZERO);
        return Math.trunc((a2 | 0) / (a3 | 0));
      case 'memcmp':
      case 'ets_memcmp':
        return compare(memory.readBytes(a2, a4), memory.readBytes(a3, a4));
      case 'memset':
      case 'ets_memset':
        this.fill(a2, a3 & 0xff, a4);
        return a2;
      case 'memcpy':
      case 'ets_memcpy':
      case 'memmove':
      case 'ets_memmove':
        memory.write(a2, ((a2 | a3) & 3) === 0 ? memory.readWords(a3, a4) : memory.readBytes(a3, a4), (a2 & 3) === 0);
        return a2;
      case 'ets_isr_attach': {
        if (a2 >= INTERRUPTS) return 0;
        const previous = this.handlers[a2]?.address ?? 0;
        this.handlers[a2] = { address: a3, argument: a4 };
        return previous;
      }
      case 'ets_isr_mask':
        return this.setInterrupts((enabled) => enabled & ~a2);
      case 'ets_isr_unmask':
        return this.setInterrupts((enabled) => enabled | a2);
      case 'software_reset':
        throw new RomReset();
      case 'ets_delay_us':
        cpu.special.set('ccount', (cpu.special.get('ccount') + a2 * CYCLES_PER_US) >>> 0);
        yield { op: 'slice', steps: a2 * CYCLES_PER_US };
        return undefined;
      case 'uart_div_modify':
        if (a2 === 0) peripherals.uart.divide(a3);
        return undefined;
      case 'ets_set_user_start':
      case 'SelectSpiFunction':
      case 'spi_flash_attach':
        return undefined;
      case 'SPIUnlock':
        peripherals.spi.unlock();
        return 0;
      case 'SPIParamCfg':
        this.chipBytes = a3;
        return 0;
      case 'MD5Init': {
        const context = memory.readBytes(a2, MD5_CONTEXT_BYTES);
        md5Init(context);
        memory.write(a2, context, false);
        return undefined;
      }
      case 'MD5Update': {
        const context = memory.readBytes(a2, MD5_CONTEXT_BYTES);
        md5Update(context, memory.readBytes(a3, a4));
        memory.write(a2, context, false);
        return undefined;
      }
      case 'MD5Final': {
        const context = memory.readBytes(a3, MD5_CONTEXT_BYTES);
        memory.write(a2, md5Final(context), false);
        return undefined;
      }
      default:
        return name satisfies never;
    }
  }

  /** Stores a word as a store instruction in the ROM does. */
  *storeWord(address: number, value: number): NativeRequests<void> {
    const { region } = windowAt(address);
    if (region === 'dram' || region === 'iram') {
      this.cpu.writeWord(address, value);
      return;
    }
    yield* this.perform(this.peripherals.storeDirect(address, value));
  }

  /** Carries out what a store into a device asks for. @throws RomReset */
  *perform(deed: ReturnType<Peripherals['storeDirect']>): NativeRequests<void> {
    if (!deed) return;
    if (deed.do === 'reset') throw new RomReset();
    if (deed.do === 'rtc') {
      yield { op: 'rtc', address: deed.address, length: 4, value: deed.value };
      return;
    }
    const { operation } = deed;
    const { spi } = this.peripherals;
    if (operation.op === 'read') {
      const target = new Uint8Array(operation.length);
      yield { op: 'read', address: operation.address, length: operation.length, target, bus: true };
      spi.finish(target);
      return;
    }
    if (operation.op === 'program') {
      const { address, data } = operation;
      yield { op: 'write', address, length: data.length, data, bus: true };
    } else {
      const whole = operation.op === 'erase-chip';
      const length = whole ? Number.POSITIVE_INFINITY : operation.length;
      yield { op: 'erase', address: whole ? 0 : operation.address, length, bus: true };
    }
    spi.finish();
  }

  /** SPIRead: whole words, rising, until one of them faults. */
  private *spiRead(flash: number, address: number, length: number): NativeRequests<RomResult> {
    const wanted = romReadLength(length);
    const stored = (wanted + 3) & ~3;
    const refused = this.chipBytes === ROM_CHIP_BYTES && beyondRomChip(flash, length);
    const mapped = stored > 0 && !refused ? mappedBytes(address, stored) : 0;
    const bytes = new Uint8Array(mapped);
    const target = bytes.subarray(0, Math.min(wanted, mapped));
    const result: RomResult = yield { op: 'read', address: flash, length, target };
    if (result) return 1;
    if (mapped > 0 && this.memory.ramBytes(address, mapped) === mapped) this.cpu.writeBytes(address, bytes);
    else for (let i = 0; i < mapped; i += 4) yield* this.storeWord(address + i, word(bytes, i));
    if (mapped < stored) throw new RomFault(storeFault((address + mapped) >>> 0)!, (address + mapped) >>> 0);
    return 0;
  }

  private *spiWrite(flash: number, address: number, length: number): NativeRequests<RomResult> {
    if (length > WRITE_LIMIT) return 1;
    const refused = length % 4 !== 0 || (this.chipBytes === ROM_CHIP_BYTES && beyondRomChip(flash, length));
    const data = refused ? new Uint8Array(length) : this.memory.readWords(address, length);
    return yield { op: 'write', address: flash, length, data };
  }

  private *erase(address: number, length: number): Generator<NativeRequest, RomResult, RomResult> {
    return yield { op: 'erase', address, length };
  }

  private fill(address: number, value: number, length: number): void {
    const fits = Math.min(length, this.memory.ramBytes(address, length) + 1);
    this.memory.write(address, new Uint8Array(fits).fill(value), ((address | length) & 3) === 0);
  }

  private setInterrupts(change: (enabled: number) => number): number {
    const enabled = this.cpu.special.get('intenable');
    this.cpu.special.set('intenable', change(enabled));
    return enabled;
  }
}

/** A number beyond the address space is beyond the chip, too. */
const sectorAddress = (sector: number): number => Math.min(sector * SECTOR_BYTES, 0xfffff000);

function compare(left: Uint8Array, right: Uint8Array): number {
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return left[i]! - right[i]!;
  return 0;
}

const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
