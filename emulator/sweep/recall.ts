/**
 * What executed code did from a start, so that the next start like it need not execute it again. Code is a function of what
 * it starts with (RAM, RTC memory, the strap, whether the watchdog runs) and of what it reads: as long as all of that is as
 * before, its deeds and its end are known. At the first difference everything is taken back, and the code is executed.
 *
 * A sweep starts thousands of times from few states: after a cut in the copy of a sector RAM is the same for all its pages.
 */
import type { EbootRequest, Requests } from '../../eboot/machine.ts';
import { RTC_BYTES } from '../../eboot/memory-map.ts';
import type { EbootEnd } from '../../eboot/model.ts';
import { readBootImage } from '../../eboot/native/boot-image.ts';
import type { Ram, RamSnapshot } from '../../eboot/ram.ts';
import type { ResetCause } from '../../eboot/reset-cause.ts';
import type { Start } from '../../eboot/reset-state.ts';
import { beyondRomChip, type RomResult, romReadLength } from '../../eboot/rom-spi.ts';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { BranchChip } from './branch-chip.ts';
import type { Contents } from './contents.ts';
import type { RtcImage } from './rtc-image.ts';

/** What all that is remembered may take: RAM, 160 KiB each, and contents of sectors. With more, all is forgotten. */
const LIMIT_BYTES = 64 * 1024 * 1024;
/** A deed with its request and numbers, about. */
const DEED_BYTES = 256;
/** Of RAM, one word in so many makes the key; equal is only what is equal byte by byte. */
const SAMPLE_WORDS = 16;

/** A content of RAM before the ROM runs, and the starts that began with it. */
export interface HeldRam extends RamSnapshot {
  readonly starts: Map<string, State>;
  generation: number;
}

export interface RecalledRun {
  readonly chip: BranchChip;
  readonly rtc: RtcImage;
  readonly held: HeldRam;
  /** Where the ROM jumps. */
  readonly entry: number;
  readonly start: Start;
  /** RAM with what the ROM has loaded. */
  readonly load: () => Ram;
  /** The code from its start on. It tells each call that has to do with the watchdog. */
  readonly execute: (ram: Ram, watchdog: (call: string) => void) => Requests<EbootEnd>;
  readonly perform: (request: EbootRequest) => RomResult;
  readonly watchdog: (call: string) => void;
}

/** How a run ended, and what RAM holds then. */
export interface RecalledEnd {
  readonly end: EbootEnd;
  readonly held: HeldRam;
}

/** Everything on which a start depends. */
export interface Beginning extends Pick<RecalledRun, 'chip' | 'rtc' | 'held'> {
  readonly cause: ResetCause;
  readonly watchdogRunning: boolean;
}

type ReadRequest = Extract<EbootRequest, { op: 'read' }>;
type WriteRequest = Extract<EbootRequest, { op: 'write' }>;

/** What comes next; undefined where nobody has been yet. */
interface Way {
  next: Deed | undefined;
}

type Deed = Look | Deal | SectorWrite | Watchdog | End;

/** A read. What it met decides how it goes on. */
interface Look {
  readonly op: 'look';
  readonly sector: number;
  readonly sectors: number;
  /** By a sum of their contents. */
  readonly met: Map<number, Meeting[]>;
}

/** The contents of the sectors that a read touched. */
interface Meeting extends Way {
  readonly contents: readonly number[];
}

interface Deal extends Way {
  readonly op: 'deal';
  readonly request: EbootRequest;
}

/** A write of one whole sector. */
interface SectorWrite extends Way {
  readonly op: 'write';
  readonly address: number;
  readonly sector: number;
  readonly content: number;
}

interface Watchdog extends Way {
  readonly op: 'watchdog';
  readonly call: string;
}

interface End extends RecalledEnd {
  readonly op: 'end';
}

/** A start, and everything that came of it. */
interface State extends Way {
  readonly rtc: Uint8Array;
  /** With the same RAM and key, but other RTC memory. */
  readonly other: State | undefined;
}

export class Recall {
  /** By their sample. */
  private readonly rams = new Map<number, HeldRam[]>();
  /** Contents whose numbers must hold. */
  private readonly owned = new Set<number>();
  private readonly whole = new Map<number, boolean>();
  private generation = 0;
  private bytes = 0;
  private savedTable: Uint32Array | undefined;
  /** The start before. */
  private readonly last = {
    held: undefined as HeldRam | undefined,
    cause: undefined as ResetCause | undefined,
    watchdogRunning: false,
    rtc: new Uint8Array(RTC_BYTES),
    table: new Uint32Array(0),
  };
  /** Runs that needed no execution, and all of them. */
  readonly counts = { recalled: 0, runs: 0 };

  /**
   * @param spareRtc scratch, for nothing else
   * @param limitBytes of memory, about
   */
  constructor(
    private readonly contents: Contents,
    private readonly spareRtc: RtcImage,
    private readonly limitBytes: number = LIMIT_BYTES,
  ) {
    contents.onForget((content) => void this.whole.delete(content));
  }

  /** What RAM holds. The same object for the same bytes, as long as they are remembered. */
  hold({ dram, iram }: RamSnapshot): HeldRam {
    const key = sample(dram, iram);
    const known = this.rams.get(key) ?? [];
    const same = known.find((held) => equal(held.dram, dram) && equal(held.iram, iram));
    if (same) return same;
    const held = { dram: dram.slice(), iram: iram.slice(), starts: new Map(), generation: this.generation };
    this.rams.set(key, [...known, held]);
    this.bytes += dram.length + iram.length;
    return held;
  }

  /** Whether a chain of starts has come round: everything is as it was one start ago. @param isFirst of a new chain */
  comesRound({ chip, rtc, held, cause, watchdogRunning }: Beginning, isFirst: boolean): boolean {
    const { last } = this;
    const rtcBytes = rtc.all();
    const same =
      !isFirst &&
      last.held === held &&
      last.cause === cause &&
      last.watchdogRunning === watchdogRunning &&
      equal(last.rtc, rtcBytes) &&
      equal(bytesOf(last.table), bytesOf(chip.table));
    last.held = held;
    last.cause = cause;
    last.watchdogRunning = watchdogRunning;
    last.rtc.set(rtcBytes);
    if (last.table.length !== chip.table.length) last.table = chip.table.slice();
    else last.table.set(chip.table);
    return same;
  }

  /** Runs the code to its end, or does what it would do. */
  finish(run: RecalledRun): RecalledEnd {
    this.counts.runs++;
    if (this.bytes > this.limitBytes) this.forgetAll();
    // What code outside the boot sector is depends on more than is compared here.
    if (!this.isWhole(run.chip.table[0]!)) return this.record(undefined, run);
    const state = this.stateOf(run);
    const end = state.next && this.replay(state, run);
    if (end) {
      this.counts.recalled++;
      return end;
    }
    return this.record(state, run);
  }

  /** The boot image lies in the boot sector alone. */
  private isWhole(bootSector: number): boolean {
    const known = this.whole.get(bootSector);
    if (known !== undefined) return known;
    const isWhole = readBootImage(this.contents.bytes(bootSector)) !== undefined;
    this.whole.set(bootSector, isWhole);
    return isWhole;
  }

  private stateOf({ chip, rtc, held, entry, start }: RecalledRun): State {
    if (held.generation !== this.generation) {
      held.starts.clear();
      held.generation = this.generation;
    }
    const bootSector = chip.table[0]!;
    const rtcBytes = rtc.all();
    const key = `${entry} ${start.rstCause} ${start.strap} ${start.watchdogRunning} ${bootSector}`;
    const known = held.starts.get(key);
    for (let state = known; state; state = state.other) if (equal(state.rtc, rtcBytes)) return state;
    const state: State = { rtc: rtcBytes.slice(), other: known, next: undefined };
    held.starts.set(key, state);
    this.own(bootSector);
    this.bytes += DEED_BYTES + rtcBytes.length;
    return state;
  }

  /** Does what the code did. Undefined: it has never met this, and nothing was done. */
  private replay(state: State, run: RecalledRun): RecalledEnd | undefined {
    const { chip, rtc } = run;
    const { table } = chip;
    this.savedTable ??= new Uint32Array(table.length);
    this.savedTable.set(table);
    this.spareRtc.become(rtc);
    let deed = state.next;
    while (deed) {
      switch (deed.op) {
        case 'look':
          deed = meeting(deed, table)?.next;
          break;
        case 'write':
          if (table[deed.sector] === this.contents.blank) table[deed.sector] = deed.content;
          else chip.programPage(deed.address, this.contents.bytes(deed.content));
          deed = deed.next;
          break;
        case 'deal':
          run.perform(deed.request);
          deed = deed.next;
          break;
        case 'watchdog':
          run.watchdog(deed.call);
          deed = deed.next;
          break;
        case 'end':
          return deed;
        default:
          deed satisfies never;
      }
    }
    table.set(this.savedTable);
    rtc.become(this.spareRtc);
    // Executed from the start, it tells the watchdog all of it again.
    run.watchdog(run.start.watchdogRunning ? 'enable' : 'disable');
    return undefined;
  }

  /** Executes the code. What it does is kept behind what is known of it. */
  private record(state: State | undefined, run: RecalledRun): RecalledEnd {
    let way: Way = { next: undefined };
    if (state) way = state;
    const add = (deed: Exclude<Deed, Look | End>): void => {
      if (way.next?.op !== deed.op) {
        way.next = deed;
        this.bytes += DEED_BYTES;
      }
      way = way.next as typeof deed;
    };
    const ram = run.load();
    const requests = run.execute(ram, (call) => {
      run.watchdog(call);
      if (state) add({ op: 'watchdog', call, next: undefined });
    });
    try {
      let step = requests.next();
      while (!step.done) {
        const request = step.value;
        if (!state || request.op === 'slice') {
          step = requests.next(run.perform(request));
          continue;
        }
        let result: RomResult;
        if (request.op === 'write') {
          const place = sectorOf(request, run.chip);
          const wasBlank = run.chip.table[place] === this.contents.blank;
          result = run.perform(request);
          add(this.writeOf(request, place, wasBlank ? run.chip.table[place] : undefined));
        } else {
          if (request.op === 'read') way = this.look(way, request, run.chip);
          else add({ op: 'deal', request: { ...request }, next: undefined });
          result = run.perform(request);
        }
        step = requests.next(result);
      }
      const end: End = { op: 'end', end: step.value, held: this.hold(ram) };
      if (state) way.next = end;
      return end;
    } finally {
      // Stopped in the middle, executed code still hands its RAM back.
      requests.return(undefined as never);
    }
  }

  private look(way: Way, request: ReadRequest, { table, capacityBytes }: BranchChip): Way {
    const refused = beyondRomChip(request.address, request.length);
    const length = refused ? 0 : Math.min(romReadLength(request.length), request.target.length);
    const at = (request.address >>> 0) % capacityBytes;
    const sector = Math.floor(at / SECTOR_BYTES);
    const sectors = length === 0 ? 0 : Math.floor((at + length - 1) / SECTOR_BYTES) - sector + 1;
    if (way.next?.op !== 'look') {
      way.next = { op: 'look', sector, sectors, met: new Map() };
      this.bytes += DEED_BYTES;
    }
    const look = way.next;
    const known = meeting(look, table);
    if (known) return known;
    const met: Meeting = { contents: touched(look, table), next: undefined };
    for (const content of met.contents) this.own(content);
    const key = sumOf(look, table);
    look.met.set(key, [...(look.met.get(key) ?? []), met]);
    this.bytes += DEED_BYTES;
    return met;
  }

  /** @param result what is in the sector now, if it was blank before */
  private writeOf(request: WriteRequest, sector: number, result: number | undefined): Deal | SectorWrite {
    const { address, data } = request;
    if (sector < 0) {
      this.bytes += data.length;
      return { op: 'deal', request: { ...request, data: data.slice() }, next: undefined };
    }
    const content = result ?? this.contents.intern(data);
    this.own(content);
    return { op: 'write', address, sector, content, next: undefined };
  }

  private own(content: number): void {
    if (this.owned.has(content)) return;
    this.owned.add(content);
    this.contents.own(content);
    this.bytes += SECTOR_BYTES;
  }

  private forgetAll(): void {
    for (const content of this.owned) this.contents.disownLater(content);
    this.owned.clear();
    this.rams.clear();
    this.bytes = 0;
    this.generation++;
  }
}

/** The way on from a read that meets what is in flash now. */
function meeting(look: Look, table: Uint32Array): Meeting | undefined {
  const { sector, sectors } = look;
  const candidates = look.met.get(sumOf(look, table));
  if (!candidates) return undefined;
  for (const candidate of candidates) {
    let same = 0;
    while (same < sectors && candidate.contents[same] === table[(sector + same) % table.length]) same++;
    if (same === sectors) return candidate;
  }
  return undefined;
}

function sumOf({ sector, sectors }: Look, table: Uint32Array): number {
  let sum = 0;
  for (let i = 0; i < sectors; i++) sum = (Math.imul(sum, 31) + table[(sector + i) % table.length]!) | 0;
  return sum;
}

/** The sector that a write of a whole one goes to; -1 for another write. */
function sectorOf({ address, data }: WriteRequest, chip: BranchChip): number {
  const isSector = data.length === SECTOR_BYTES && address % SECTOR_BYTES === 0;
  return isSector && !beyondRomChip(address, SECTOR_BYTES) ? (address % chip.capacityBytes) / SECTOR_BYTES : -1;
}

const touched = ({ sector, sectors }: Look, table: Uint32Array): number[] =>
  Array.from({ length: sectors }, (_, i) => table[(sector + i) % table.length]!);

const bytesOf = (table: Uint32Array): Uint8Array => new Uint8Array(table.buffer, table.byteOffset, table.byteLength);

const equal = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0;

/** A number that is the same for the same RAM. */
function sample(...banks: Uint8Array[]): number {
  let sum = 0;
  for (const { buffer, byteOffset, length } of banks) {
    const words = new Int32Array(buffer, byteOffset, length / 4);
    for (let i = 0; i < words.length; i += SAMPLE_WORDS) sum = (Math.imul(sum, 31) + words[i]!) | 0;
  }
  return sum;
}
