/**
 * The chip: an array that remembers, and three verbs on it. Every change of a byte of flash in this project, whoever asks
 * for it, is `eraseSector` or `programPage` here, so time, wear, events, persistence and faults need no other place.
 * Source: spec chapter 01 §1.
 */
import type { SectorStore } from '../assembly/host/kernels.ts';
import type { Area, FlashEvent } from './events.ts';
import type { FlashFault, FlashFaults, FlashMirror } from './flash-faults.ts';
import { CHIP_MAX_BYTES, CHIP_MIN_BYTES, PAGE_BYTES, SECTOR_BYTES } from './geometry.ts';
import type { PageRuns } from './page-runs.ts';
import type { FlashPart } from './parts.ts';
import type { ChipClock, Emit } from './ports.ts';
import { clampBits, missingOnes, stuckProgram, tornErase, tornProgram, withHeld, wornErase } from './tearing.ts';

export type { FlashFault, FlashFaults, FlashMirror, FlashOperation } from './flash-faults.ts';

/** What a driver can know after a program or erase. A chip reports no wrong bits: those are for us to see. */
export interface FlashResult {
  /** False: the operation failed, in a way that a driver notices. */
  ok: boolean;
  /** How many bits were asked to become (or, of a program, to be) 1 and are 0. */
  stuckBits: number;
}

export interface NorFlashOptions {
  part: FlashPart;
  /** The bytes. Its capacity counts, whatever the part's id claims: relabelled chips exist. */
  store: SectorStore;
  clock: ChipClock;
  emit: Emit<FlashEvent>;
  /** What an address is for, to name it in events. */
  areaOf?: (address: number) => Area;
  faults?: FlashFaults;
  mirror?: FlashMirror;
  /** Without it every page is programmed and told of by itself. */
  runs?: PageRuns;
}

/** A SPI NOR chip: bits go 1 -> 0 by programming, and 0 -> 1 only by erasing a whole sector. */
export class NorFlash {
  readonly part: FlashPart;
  readonly store: SectorStore;
  readonly capacityBytes: number;
  faults: FlashFaults | undefined;
  mirror: FlashMirror | undefined;
  areaOf: (address: number) => Area;

  private readonly clock: ChipClock;
  private readonly emit: Emit<FlashEvent>;
  private readonly runs: PageRuns | undefined;
  /** Erases of each sector since it was made. */
  private readonly erases: Uint32Array;

  /** @throws RangeError unless the store has a power of two from 512 KiB to 16 MiB */
  constructor(options: NorFlashOptions) {
    const capacity = options.store.capacityBytes;
    if (capacity < CHIP_MIN_BYTES || capacity > CHIP_MAX_BYTES || !Number.isInteger(Math.log2(capacity))) {
      throw new RangeError(`a chip has 512 KiB to 16 MiB, a power of two; got ${capacity} bytes`);
    }
    this.part = options.part;
    this.store = options.store;
    this.capacityBytes = capacity;
    this.clock = options.clock;
    this.emit = options.emit;
    this.areaOf = options.areaOf ?? ((address) => (address < SECTOR_BYTES ? 'eboot' : 'app'));
    this.faults = options.faults;
    this.mirror = options.mirror;
    this.runs = options.runs;
    this.erases = new Uint32Array(capacity / SECTOR_BYTES);
  }

  /** How many sectors the chip has. */
  get sectorCount(): number {
    return this.erases.length;
  }

  /**
   * Reads into `target`. As on the bus, the address wraps modulo the capacity.
   *
   * @param address byte offset, any alignment
   * @returns false: a read fault, and `target` is as it was
   * @throws RangeError for an address that is no unsigned number; an Interruption when a fault stops the machine
   */
  read(address: number, target: Uint8Array): boolean {
    const at = this.onBus(address);
    const fault = this.faults?.decide({ kind: 'read', address: at, length: target.length });
    if (fault?.do === 'tear') throw fault.with; // half a read is in RAM, which is lost
    if (fault?.do === 'stop' && fault.point === 'before') throw fault.with;
    this.clock.spend(Math.ceil((this.part.readUsPer4KiB * target.length) / SECTOR_BYTES));
    if (fault?.do === 'fail') return false;
    if (fault?.do === 'drop') return true;
    this.copyOut(at, target);
    if (fault?.do === 'stick') for (let i = 0; i < target.length; i++) target[i]! &= ~(fault.mask[i] ?? 0);
    if (fault?.do === 'stop') throw fault.with;
    return true;
  }

  /**
   * Programs up to one page: `cell = cell AND data`. As on the part, the address wraps inside its page, and no error is
   * reported when a bit could not become 1.
   *
   * @param address byte offset; wraps modulo the capacity
   * @param data 1 to 256 bytes
   * @returns `stuckBits`: how many bits were asked to go 0 -> 1 and stayed 0; a sound driver sees 0
   * @throws RangeError for another length; an Interruption when a fault stops the machine, after what happened happened
   */
  programPage(address: number, data: Uint8Array): FlashResult {
    const at = this.onBus(address);
    const length = data.length;
    if (length < 1 || length > PAGE_BYTES) {
      throw new RangeError(`programPage(0x${at.toString(16)}): 1 to ${PAGE_BYTES} bytes go on the bus; got ${length}`);
    }
    const fault = this.faults?.decide({ kind: 'program', address: at, length, data });
    if (fault && fault.do !== 'stop') return this.faultyProgram(at, data, fault);
    if (fault?.point === 'before') throw fault.with;
    const room = PAGE_BYTES - (at % PAGE_BYTES);
    const stuckBits =
      length <= room
        ? this.programCells(at, data)
        : this.programCells(at, data.subarray(0, room)) +
          this.programCells(at + room - PAGE_BYTES, data.subarray(room));
    this.clock.spend(this.part.pageProgramUs);
    this.tell('flash.program', at, length, stuckBits);
    if (fault) throw fault.with;
    return { ok: true, stuckBits };
  }

  /**
   * As {@link NorFlash.programPage} for page after page, at once; only where nobody could tell the difference.
   *
   * @param data whole pages, from the beginning of a page on, inside one sector
   * @returns false: nothing was done; ask page by page
   */
  programRun(address: number, data: Uint8Array): boolean {
    const { runs, faults, store } = this;
    if (!runs?.isOpen() || (faults && faults.armed !== false)) return false;
    const { length } = data;
    if (address % PAGE_BYTES !== 0 || length % PAGE_BYTES !== 0 || length === 0) return false;
    if ((address % SECTOR_BYTES) + length > SECTOR_BYTES || address + length > this.capacityBytes) return false;
    const area = this.areaOf(address);
    if (this.areaOf(address + length - 1) !== area || !store.isBlank(address, length)) return false;
    const pages = length / PAGE_BYTES;
    const busyUs = this.part.pageProgramUs;
    this.programCells(address, data);
    runs.tell({ address, pages, area, wear: this.erases[Math.floor(address / SECTOR_BYTES)]!, busyUs });
    this.clock.spend(pages * busyUs);
    return true;
  }

  /**
   * Erases one sector: every bit becomes 1.
   *
   * A block or chip erase is the erases of its sectors, each an operation of its own (its event, its fault point), which
   * share the time that the one command takes.
   *
   * @param sector index; wraps modulo the chip as its address does on the bus
   * @param busyUs integer microseconds that it takes; the sector's share when one command erases several
   * @throws RangeError for an index that is no unsigned number; an Interruption when a fault stops the machine
   */
  eraseSector(sector: number, busyUs: number = this.part.sectorEraseUs): FlashResult {
    const at = this.onBus(sector * SECTOR_BYTES);
    const fault = this.faults?.decide({ kind: 'erase', address: at, length: SECTOR_BYTES });
    if (fault && fault.do !== 'stop') return this.faultyErase(at, fault, busyUs);
    if (fault?.point === 'before') throw fault.with;
    this.erases[at / SECTOR_BYTES]!++;
    this.store.eraseSector(at / SECTOR_BYTES);
    this.mirror?.write(at, blankSector);
    this.clock.spend(busyUs);
    this.tell('flash.erase', at, SECTOR_BYTES, 0);
    if (fault) throw fault.with;
    return { ok: true, stuckBits: 0 };
  }

  /** How often a sector was erased, torn erases included. */
  wear(sector: number): number {
    const count = this.erases[sector];
    if (count === undefined) throw new RangeError(`wear(${sector}): the chip has ${this.erases.length} sectors`);
    return count;
  }

  /** Erase counts of all sectors: a copy, for snapshots. */
  wearCounts(): Uint32Array {
    return this.erases.slice();
  }

  /** Puts back what {@link NorFlash.wearCounts} gave. */
  restoreWear(counts: Uint32Array): void {
    if (counts.length !== this.erases.length) {
      throw new RangeError(`restoreWear: the chip has ${this.erases.length} sectors; got ${counts.length} counts`);
    }
    this.erases.set(counts);
  }

  /**
   * Copy of bytes; no device time, no events, no faults: for tools and tests.
   *
   * @throws RangeError for a range outside the chip
   */
  peek(address: number, length: number): Uint8Array {
    return this.store.read(address, length);
  }

  /**
   * Sets bytes as a flash programmer would before the chip is soldered in: no events, no device time, no wear, but mirrored.
   *
   * @throws RangeError for a range outside the chip
   */
  load(address: number, data: Uint8Array): void {
    this.store.overwrite(address, data);
    if (this.mirror) this.mirrorRange(this.mirror, address, data);
  }

  private faultyProgram(at: number, data: Uint8Array, fault: Exclude<FlashFault, { do: 'stop' }>): FlashResult {
    if (fault.do === 'fail' || fault.do === 'drop') {
      this.clock.spend(this.part.pageProgramUs);
      return { ok: fault.do === 'drop', stuckBits: 0 };
    }
    const before = this.pageCells(at, data.length);
    const stuckBits = missingOnes(data, before);
    if (fault.do === 'tear') {
      const bits = clampBits(fault.bits, data.length);
      const after = tornProgram(before, data, bits);
      this.setPageCells(at, fault.mask ? withHeld(after, before, fault.mask) : after);
      this.clock.spend(Math.floor((this.part.pageProgramUs * bits) / (data.length * 8)));
      this.tell('flash.program', at, data.length, stuckBits, bits);
      throw fault.with;
    }
    this.setPageCells(at, stuckProgram(before, data, fault.mask));
    this.clock.spend(this.part.pageProgramUs);
    this.tell('flash.program', at, data.length, stuckBits);
    return { ok: true, stuckBits };
  }

  private faultyErase(at: number, fault: Exclude<FlashFault, { do: 'stop' }>, busyUs: number): FlashResult {
    if (fault.do === 'fail' || fault.do === 'drop') {
      this.clock.spend(busyUs);
      return { ok: fault.do === 'drop', stuckBits: 0 };
    }
    this.erases[at / SECTOR_BYTES]!++;
    if (fault.do === 'tear') {
      const bits = clampBits(fault.bits, SECTOR_BYTES);
      const before = this.store.read(at, SECTOR_BYTES);
      const after = tornErase(before, bits);
      this.setCells(at, fault.mask ? withHeld(after, before, fault.mask) : after);
      this.clock.spend(Math.floor((busyUs * bits) / (SECTOR_BYTES * 8)));
      this.tell('flash.erase', at, SECTOR_BYTES, 0, bits);
      throw fault.with;
    }
    const after = wornErase(SECTOR_BYTES, fault.mask);
    const stuckBits = missingOnes(blankSector, after);
    this.setCells(at, after);
    this.clock.spend(busyUs);
    this.tell('flash.erase', at, SECTOR_BYTES, stuckBits);
    return { ok: true, stuckBits };
  }

  private programCells(address: number, data: Uint8Array): number {
    const stuckBits = this.store.program(address, data);
    // Without stuck bits the cells hold `data` now, so there is no need to read them back.
    this.mirror?.write(address, stuckBits === 0 ? data : this.store.read(address, data.length));
    return stuckBits;
  }

  /** Copy of bytes of a page from `at` on, wrapping inside the page as a program does; for tools. */
  pageCells(at: number, length: number): Uint8Array {
    const page = at - (at % PAGE_BYTES);
    const cells = this.store.read(page, PAGE_BYTES);
    return Uint8Array.from({ length }, (_, i) => cells[(at - page + i) % PAGE_BYTES]!);
  }

  private setPageCells(at: number, bytes: Uint8Array): void {
    const room = PAGE_BYTES - (at % PAGE_BYTES);
    this.setCells(at, bytes.subarray(0, room));
    if (bytes.length > room) this.setCells(at + room - PAGE_BYTES, bytes.subarray(room));
  }

  private setCells(address: number, bytes: Uint8Array): void {
    this.store.overwrite(address, bytes);
    this.mirror?.write(address, bytes);
  }

  private copyOut(at: number, target: Uint8Array): void {
    if (at + target.length <= this.capacityBytes) {
      this.store.readInto(at, target);
      return;
    }
    for (let done = 0, from = at; done < target.length; from = 0) {
      const piece = target.subarray(done, done + this.capacityBytes - from);
      this.store.readInto(from, piece);
      done += piece.length;
    }
  }

  private mirrorRange(mirror: FlashMirror, address: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const room = SECTOR_BYTES - ((address + done) % SECTOR_BYTES);
      const piece = data.subarray(done, done + room);
      mirror.write(address + done, piece);
      done += piece.length;
    }
  }

  private tell(type: FlashEvent['type'], address: number, length: number, stuckBits: number, torn?: number): void {
    const wear = this.erases[Math.floor(address / SECTOR_BYTES)]!;
    const area = this.areaOf(address);
    if (torn === undefined) this.emit({ type, address, length, area, stuckBits, wear });
    else this.emit({ type, address, length, area, stuckBits, wear, torn });
  }

  /** A number as it arrives at the chip: 24 address bits, of which it uses as many as it has. */
  private onBus(address: number): number {
    if (!Number.isInteger(address) || address < 0) {
      throw new RangeError(`an address on the bus is an unsigned integer; got ${address}`);
    }
    return address % this.capacityBytes;
  }
}

const blankSector = new Uint8Array(SECTOR_BYTES).fill(0xff);
