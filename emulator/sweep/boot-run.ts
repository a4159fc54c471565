/**
 * What a branch of the chip does from a start until something comes of it: ROM, eboot, application, and whatever resets
 * follow by themselves. The same rules as emulator/boot.ts, without time and without a sketch; test/emulator/sweep compares
 * the two. A raw copy works on whole sectors in WASM; packed ones and unusual ones go through eboot/model.ts itself.
 *
 * With `step` it is a generator that stops before each operation (erase, page program, RTC word), so that somebody can cut.
 */
import { ACTION_COPY_RAW, ACTION_LOAD_APP } from '../../eboot/command.ts';
import { COPY_NO_RESULT, COPY_OK } from '../../eboot/copy.ts';
import type { Era } from '../../eboot/eras.ts';
import { loadApp } from '../../eboot/load-app.ts';
import type { EbootRequest, Requests } from '../../eboot/machine.ts';
import { fetchFault, RTC_BASE, RTC_USER_OFFSET } from '../../eboot/memory-map.ts';
import { DEFAULT_MAX_STEPS, type EbootEnd, type EbootOptions, eboot } from '../../eboot/model.ts';
import { Ram } from '../../eboot/ram.ts';
import type { ResetCause } from '../../eboot/reset-cause.ts';
import { ResetState, type Start } from '../../eboot/reset-state.ts';
import { ROM_CHIP_BYTES, type RomResult, RomSpi } from '../../eboot/rom-spi.ts';
import { FLASH_BOOT } from '../../eboot/straps.ts';
import { PAGE_BYTES, roundUpToSector, SECTOR_BYTES } from '../../flash/geometry.ts';
import type { AppCheck } from './app-check.ts';
import type { BranchChip } from './branch-chip.ts';
import { dryLoad } from './dry-load.ts';
import type { Death } from './reasons.ts';
import type { HeldRam, Recall, RecalledRun } from './recall.ts';
import type { RtcImage } from './rtc-image.ts';
import type { BootSectors } from './sector0.ts';

/** As emulator/boot.ts. */
const CRASH_LOOP = 5;
/** A chain of resets longer than any that the rules allow. */
const MAX_STARTS = 64;
const PAGES = SECTOR_BYTES / PAGE_BYTES;
const CRC_WORD_OFFSET = 124;

/** An operation that is about to happen. The object is used again for the next one. */
export interface Operation {
  kind: 'erase' | 'program' | 'rtc';
  phase: 'copy' | 'clear';
  /** Of the chip, bytes; of an RTC word its byte offset in user memory (negative: before it). */
  address: number;
  /** Of a program: good until the generator goes on. */
  data: Uint8Array | undefined;
}

export type Settled =
  | { readonly running: true }
  /** `code`: of the eboot run that ended in the software reset. */
  | { readonly running: false; readonly death: Death; readonly code?: number };

/** What a bootloader may look at besides its options. */
export interface BootloaderRun {
  readonly chip: BranchChip;
  readonly rtc: RtcImage;
  /** Where the ROM jumps. */
  readonly entry: number;
  readonly start: Start;
  /** Gets a function that brings RAM up to date before the end, if that is not where the code works. */
  readonly live?: ((fetch: () => void) => void) | undefined;
}

/** The bootloader as requests; the model unless told otherwise. */
export type Bootloader = (options: EbootOptions, run: BootloaderRun) => Requests<EbootEnd>;

export interface BootParts {
  readonly sectors: BootSectors;
  readonly app: AppCheck;
  readonly crc32: (data: Uint8Array) => number;
  /** Something else than the model: then nothing is shortened. */
  readonly bootloader?: Bootloader | undefined;
  /** What that bootloader did so far. */
  readonly recall?: Recall | undefined;
}

const RUNNING: Settled = { running: true };

type EbootResult =
  | { readonly end: 'app'; readonly base: number; readonly entry: number }
  | { readonly end: 'reset'; readonly code: number }
  | { readonly end: 'exception' }
  | { readonly end: 'hang' };

const EXCEPTION: EbootResult = { end: 'exception' };

/** Never leaves this file. */
class OutOfSteps extends Error {}

export class BootRun {
  readonly resetState = new ResetState();
  /** Nothing is shortened: RAM ends up as on the device. Only unpacking ever looks at what RAM held before. */
  faithful = false;
  private ownRam: Ram | undefined;
  /** What RAM holds, when that has not been put there yet. */
  private held: HeldRam | undefined;
  /** Brings RAM up to date while code is being executed. */
  private fetchRam: (() => void) | undefined;
  private crashes = 0;
  private lastCode: number | undefined;
  private readonly operation: Operation = { kind: 'erase', phase: 'copy', address: 0, data: undefined };

  constructor(
    private readonly parts: BootParts,
    readonly chip: BranchChip,
    readonly rtc: RtcImage,
  ) {}

  /** eboot's RAM, as it is now; made when first needed, unless it was given. */
  get ram(): Ram | undefined {
    this.refreshRam();
    if (this.held) {
      this.ownRam ??= new Ram();
      this.ownRam.restore(this.held);
      this.held = undefined;
    }
    return this.ownRam;
  }

  set ram(ram: Ram | undefined) {
    this.ownRam = ram;
    this.held = undefined;
  }

  /** Brings the RAM that it was given up to date, in the middle of executed code. */
  refreshRam(): void {
    this.fetchRam?.();
  }

  /** Gives it RAM of this content. @param scratch where that is put if anybody wants to see it */
  holdRam(held: HeldRam, scratch: Ram): void {
    this.ownRam = scratch;
    this.held = held;
  }

  /** Starts the chip and waits for what comes of it. */
  finish(cause: ResetCause): Settled {
    const steps = this.run(cause, false);
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
    }
  }

  /** The same, stopping before each operation. */
  steps(cause: ResetCause): Generator<Operation, Settled> {
    return this.run(cause, true);
  }

  /** Another start may do something else than the last one: there is a command in RTC memory, or no model that we know. */
  get mayDiffer(): boolean {
    return this.parts.bootloader !== undefined || this.rtc.command(this.parts.sectors.era(this.chip)) !== undefined;
  }

  private *run(first: ResetCause, step: boolean): Generator<Operation, Settled> {
    const { chip, rtc, parts, resetState } = this;
    let cause = first;
    for (let starts = 0; starts < MAX_STARTS; starts++) {
      if (cause === 'power-on') {
        rtc.lose();
        this.crashes = 0;
      } else if (cause === 'brown-out') rtc.flip();
      else if (cause === 'external') this.crashes = 0;
      const start = resetState.start(cause, FLASH_BOOT);
      if (cause === 'exception' && this.crashes >= CRASH_LOOP) return dead('crash-loop');
      const recall = step ? undefined : parts.recall;
      if (recall) {
        this.held ??= recall.hold(this.someRam());
        const { watchdogRunning } = resetState;
        // However often it starts again, this is what happens.
        if (recall.comesRound({ chip, rtc, held: this.held, cause, watchdogRunning }, starts === 0))
          return dead('crash-loop');
      }
      if (!recall && (parts.bootloader || this.faithful)) this.someRam();
      const rom = parts.sectors.rom(chip, start.rstCause, start.strap, recall ? undefined : this.ram);
      if (rom.result === 'hang') {
        // What it got into RAM before is there to stay.
        if (recall) parts.sectors.rom(chip, start.rstCause, start.strap, this.ram);
        if (rom.why !== 'rom-hang') return dead(rom.why);
        return { running: false, death: 'hang', ...(this.lastCode === undefined ? {} : { code: this.lastCode }) };
      }
      const end = yield* this.eboot(step, rom.result === 'boot' ? rom.entry : 0, start);
      if (end.end === 'hang') {
        if (!resetState.watchdogRunning) return dead('hang');
        cause = 'hardware-watchdog';
        continue;
      }
      if (end.end === 'reset') {
        this.lastCode = end.code;
        cause = 'eboot';
        continue;
      }
      if (end.end === 'exception' || end.base !== 0 || fetchFault(end.entry) !== undefined) {
        if (!resetState.watchdogRunning) return dead('no-application');
        cause = 'hardware-watchdog';
        continue;
      }
      resetState.watchdogRunning = true;
      if (!parts.app.isDamaged(chip)) {
        this.crashes = 0;
        return RUNNING;
      }
      // Without a command nothing changes from one crash to the next.
      this.crashes = this.mayDiffer ? this.crashes + 1 : CRASH_LOOP;
      cause = 'exception';
    }
    return dead('crash-loop');
  }

  private *eboot(step: boolean, romEntry: number, start: Start): Generator<Operation, EbootResult> {
    const { chip, rtc, parts } = this;
    if (parts.bootloader || this.faithful) return yield* this.execute(step, romEntry, start);
    const era = parts.sectors.era(chip);
    const record = rtc.command(era);
    const action = record ? record.action : ACTION_LOAD_APP;
    const [source = 0, destination = 0, size = 0] = record?.args ?? [];
    const copies = action === ACTION_COPY_RAW;
    if (copies && !this.isPlain(era, source, destination, size)) return yield* this.execute(step, romEntry, start);
    if (era.clears === 'before' && (record || era.clearsInvalid)) yield* this.clear(step);
    let result = COPY_NO_RESULT;
    let base = source;
    if (copies) {
      const count = roundUpToSector(size) / SECTOR_BYTES;
      yield* this.copy(step, source / SECTOR_BYTES, destination / SECTOR_BYTES, count, era);
      result = COPY_OK;
      if (era.verifies && this.differs(source / SECTOR_BYTES, destination / SECTOR_BYTES, count)) {
        result = COPY_NO_RESULT;
      }
      this.resetState.watchdogRunning = true;
      base = destination;
    }
    if (era.clears === 'after' && record) yield* this.clear(step);
    if (!(copies ? result === COPY_OK : action === ACTION_LOAD_APP)) return { end: 'reset', code: result };
    const load = dryLoad(chip, era, base);
    if (!load) return yield* this.load(step, base);
    if (load.result === 'jump') return { end: 'app', base, entry: load.entry };
    return load.result === 'failed' ? { end: 'reset', code: load.code } : EXCEPTION;
  }

  /** A raw copy of whole sectors, all of them within reach. */
  private isPlain(era: Era, source: number, destination: number, size: number): boolean {
    const reach = Math.min(ROM_CHIP_BYTES, this.chip.capacityBytes);
    const left = roundUpToSector(size);
    if (source % SECTOR_BYTES !== 0 || destination % SECTOR_BYTES !== 0 || source === destination) return false;
    if (source + left > reach || destination + left > reach) return false;
    return !(era.gzip && this.chip.byte(source) === 0x1f && this.chip.byte(source + 1) === 0x8b);
  }

  private *copy(
    step: boolean,
    source: number,
    destination: number,
    count: number,
    era: Era,
  ): Generator<Operation, void> {
    const { chip, operation } = this;
    const { table, tables, contents } = chip;
    const compares = era.comparesSector0 && destination === 0;
    if (!step) {
      tables.copy(chip.slot, source, destination, count, compares);
      return;
    }
    for (let i = 0; i < count; i++) {
      const to = destination + i;
      if (i === 0 && compares && table[source] === table[to]) continue;
      operation.phase = 'copy';
      operation.kind = 'erase';
      operation.address = to * SECTOR_BYTES;
      operation.data = undefined;
      yield operation;
      table[to] = contents.blank;
      const content = table[source + i]!;
      for (let page = 0; page < PAGES; page++) {
        operation.phase = 'copy';
        operation.kind = 'program';
        operation.address = to * SECTOR_BYTES + page * PAGE_BYTES;
        operation.data = contents.bytes(content).subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
        yield operation;
        table[to] = contents.partial(content, page + 1);
      }
    }
  }

  private *clear(step: boolean): Generator<Operation, void> {
    for (const offset of [0, CRC_WORD_OFFSET]) {
      if (step) yield this.rtcOperation(offset);
      this.rtc.storeUser(offset, 0);
    }
  }

  private rtcOperation(offset: number): Operation {
    const { operation } = this;
    operation.kind = 'rtc';
    operation.phase = 'clear';
    operation.address = offset;
    operation.data = undefined;
    return operation;
  }

  private differs(source: number, destination: number, count: number): boolean {
    const { table } = this.chip;
    for (let i = 0; i < count; i++) if (table[source + i] !== table[destination + i]) return true;
    return false;
  }

  /** Loading alone, with RAM. */
  private *load(step: boolean, base: number): Generator<Operation, EbootResult> {
    let left = DEFAULT_MAX_STEPS;
    const spend = (steps: number): void => {
      left -= steps;
      if (left < 0) throw new OutOfSteps();
    };
    try {
      const load = yield* this.drive(
        step,
        loadApp({ era: this.parts.sectors.era(this.chip), ram: this.someRam(), spend }, base),
      );
      switch (load.result) {
        case 'jump':
          return { end: 'app', base, entry: load.entry };
        case 'failed':
          return { end: 'reset', code: load.code };
        case 'reset':
          return { end: 'reset', code: COPY_OK };
        case 'exception':
          return EXCEPTION;
        default:
          return load satisfies never;
      }
    } catch (error) {
      if (error instanceof OutOfSteps) return { end: 'hang' };
      throw error;
    }
  }

  /** The bootloader from its start, its reads with bytes. */
  private *execute(step: boolean, entry: number, start: Start): Generator<Operation, EbootResult> {
    const { chip, rtc, parts } = this;
    const watchdog = (call: string): void => {
      this.resetState.watchdogRunning = call !== 'disable';
    };
    const execute = (ram: Ram, tell: typeof watchdog): Requests<EbootEnd> => {
      const options: EbootOptions = {
        era: parts.sectors.era(chip),
        crc32: parts.crc32,
        ram,
        readCommand: () => rtc.user(),
        host: { watchdog: tell },
      };
      const live = (fetch: () => void): void => {
        this.fetchRam = fetch;
      };
      return parts.bootloader ? parts.bootloader(options, { chip, rtc, entry, start, live }) : eboot(options);
    };
    const end =
      step || !parts.recall
        ? yield* this.drive(step, execute(this.someRam(), watchdog))
        : this.recalled(parts.recall, { entry, start, execute, watchdog });
    if (end.outcome === 'boot') return { end: 'app', base: end.base, entry: end.entry };
    return end.outcome === 'reset' ? { end: 'reset', code: end.code } : { end: end.outcome };
  }

  private recalled(recall: Recall, run: Pick<RecalledRun, 'entry' | 'start' | 'execute' | 'watchdog'>): EbootEnd {
    const { chip, rtc } = this;
    const { entry, start, execute, watchdog } = run;
    const { rstCause, strap } = start;
    const spi = new RomSpi(chip);
    try {
      // No spread operator: that took longer than all the rest.
      const { end, held } = recall.finish({
        chip,
        rtc,
        held: this.held!,
        entry,
        start,
        execute,
        watchdog,
        load: () => {
          const ram = this.someRam();
          this.parts.sectors.rom(chip, rstCause, strap, ram);
          return ram;
        },
        perform: (request) => this.perform(spi, request),
      });
      this.held = held;
      return end;
    } finally {
      this.fetchRam = undefined;
    }
  }

  private *drive<T>(step: boolean, requests: Requests<T>): Generator<Operation, T> {
    const spi = new RomSpi(this.chip);
    try {
      let next = requests.next();
      while (!next.done) {
        const request = next.value;
        next = requests.next(step ? yield* this.performInSteps(spi, request) : this.perform(spi, request));
      }
      return next.value;
    } finally {
      // Stopped in the middle, executed code still hands its RAM back.
      requests.return(undefined as T);
      this.fetchRam = undefined;
    }
  }

  private perform(spi: RomSpi, request: EbootRequest): RomResult {
    switch (request.op) {
      case 'slice':
        return 0;
      case 'read':
        return spi.read(request.address, request.length, request.target);
      case 'erase':
        return spi.erase(request.address / SECTOR_BYTES);
      case 'rtc':
        this.rtc.store(request.address, request.value);
        return 0;
      case 'write':
        return this.write(spi, request.address, request.data);
      default:
        return request satisfies never;
    }
  }

  /** The same, stopping before each operation. */
  private *performInSteps(spi: RomSpi, request: EbootRequest): Generator<Operation, RomResult> {
    if (request.op === 'write') return yield* this.writePages(spi, request.address, request.data);
    if (request.op === 'erase' && request.address < ROM_CHIP_BYTES)
      yield this.flashOperation('erase', request.address % this.chip.capacityBytes, undefined);
    else if (request.op === 'rtc') yield this.rtcOperation(request.address - RTC_BASE - RTC_USER_OFFSET);
    return this.perform(spi, request);
  }

  private someRam(): Ram {
    const { ram } = this;
    if (ram) return ram;
    this.ownRam = new Ram();
    return this.ownRam;
  }

  private write(spi: RomSpi, address: number, data: Uint8Array): RomResult {
    const whole =
      data.length === SECTOR_BYTES && address % SECTOR_BYTES === 0 && address + data.length <= ROM_CHIP_BYTES;
    if (!whole) return spi.write(address, data);
    this.chip.programPage(address, data);
    return 0;
  }

  private *writePages(spi: RomSpi, address: number, data: Uint8Array): Generator<Operation, RomResult> {
    const pages = spi.pages(address, data);
    let done = 0;
    let page = pages.next();
    while (!page.done) {
      const at = ((address + done) >>> 0) % this.chip.capacityBytes;
      yield this.flashOperation('program', at, data.slice(done, done + page.value));
      done += page.value;
      page = pages.next();
    }
    return page.value;
  }

  private flashOperation(kind: 'erase' | 'program', address: number, data: Uint8Array | undefined): Operation {
    const { operation } = this;
    operation.kind = kind;
    operation.phase = 'copy';
    operation.address = address;
    operation.data = data;
    return operation;
  }
}

const dead = (death: Death): Settled => ({ running: false, death });
