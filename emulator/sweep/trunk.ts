/**
 * The update as it goes on: one branch of the chip that takes the recorded operations in order. Every cut starts from here;
 * nothing is ever replayed from the start.
 */
import { Ram } from '../../eboot/ram.ts';
import { FLASH_BOOT } from '../../eboot/straps.ts';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import { SeededRandom } from '../random.ts';
import type { BootRun, Operation, Settled } from './boot-run.ts';
import type { BranchChip } from './branch-chip.ts';
import type { RecordedOperation } from './operations.ts';
import type { RtcImage } from './rtc-image.ts';
import { SLOT_OLD, SLOT_TRIAL, SLOT_TRUNK } from './slots.ts';
import type { World } from './world.ts';

export class Trunk {
  /** How many operations have happened. */
  boundary = 0;
  readonly chip: BranchChip;
  readonly rtc: RtcImage;
  /** RAM right behind the last operation, and right before the next one; only kept while it can matter. */
  ramAfter: Ram | undefined;
  ramBefore: Ram | undefined;
  /** eboot at work in lockstep, for its RAM. */
  private live: { readonly run: BootRun; readonly steps: Generator<Operation, Settled> } | undefined;

  constructor(private readonly world: World) {
    this.chip = world.chip(SLOT_TRUNK);
    this.rtc = world.rtc();
    this.begin();
  }

  /** Goes on to a boundary: so many operations have happened then. @throws RangeError for one that lies behind */
  advanceTo(boundary: number): void {
    if (boundary < this.boundary)
      throw new RangeError(`boundary ${boundary}: the update is at ${this.boundary} already`);
    while (this.boundary < boundary) this.advance();
  }

  /** Back to where the update began. */
  rewind(): void {
    const { contents } = this.world;
    const old = this.world.chip(SLOT_OLD).table;
    const { table } = this.chip;
    for (let sector = 0; sector < table.length; sector++) {
      if (table[sector] === old[sector]) continue;
      contents.own(old[sector]!);
      contents.disown(table[sector]!);
      table[sector] = old[sector]!;
    }
    this.boundary = 0;
    this.begin();
  }

  private begin(): void {
    this.rtc.load(this.world.reference.rtc);
    this.live = undefined;
    if (!this.world.packed && !this.world.parts.bootloader) return;
    this.ramBefore = this.ramOfTheApplication();
    this.ramAfter = this.ramBefore;
  }

  private advance(): void {
    const { world, chip } = this;
    const { contents } = world;
    const operation = world.operations.at(this.boundary++);
    if (operation.kind === 'rtc') {
      this.perform(operation);
      return;
    }
    const sector = Math.floor(operation.address / SECTOR_BYTES);
    const before = chip.table[sector]!;
    this.perform(operation);
    const after = chip.table[sector]!;
    contents.own(after);
    contents.disown(before);
  }

  private perform(operation: RecordedOperation): void {
    if (this.ramBefore && (operation.phase === 'copy' || operation.phase === 'clear')) {
      this.performLive(operation);
      return;
    }
    apply(operation, this.chip, this.rtc);
  }

  /** The operation is done by eboot itself, whose RAM is then as on the device. */
  private performLive(operation: RecordedOperation): void {
    if (!this.live) {
      const run = this.world.boot(this.chip, this.rtc);
      run.ram = this.ramBefore;
      run.faithful = true;
      run.resetState.start('power-on', FLASH_BOOT);
      run.resetState.watchdogRunning = true;
      const steps = run.steps('software');
      this.live = { run, steps };
      this.expect(steps.next(), operation);
    }
    const { run, steps } = this.live;
    this.ramAfter = copyRam(run.ram!, this.ramAfter === this.ramBefore ? undefined : this.ramAfter);
    const next = steps.next();
    run.refreshRam();
    if (this.boundary < this.world.operations.length) this.expect(next, this.world.operations.at(this.boundary));
  }

  /** A sweep whose bootloader does something else than the device's would judge another update. */
  private expect(step: IteratorResult<Operation, Settled>, wanted: RecordedOperation): void {
    const same = !step.done && step.value.kind === wanted.kind && step.value.address === wanted.address;
    if (!same) throw new Error(`the bootloader does not do ${wanted.phase}:${wanted.op} as it did on the device`);
  }

  /** RAM while the application runs: noise, and over it what the ROM and eboot loaded. */
  private ramOfTheApplication(): Ram {
    const noise = new SeededRandom(this.world.reference.seed).stream('dram');
    const ram = new Ram((bytes) => noise.fill(bytes));
    ram.fill((bytes) => noise.fill(bytes));
    const chip = this.world.chip(SLOT_TRIAL);
    chip.become(this.chip);
    const run = this.world.boot(chip, this.world.rtc());
    run.ram = ram;
    run.faithful = true;
    run.finish('power-on');
    return run.ram!;
  }
}

/** Does a recorded operation on a branch. */
export function apply(operation: RecordedOperation, chip: BranchChip, rtc: RtcImage): void {
  const { kind, address, data, value } = operation;
  if (kind === 'erase') chip.eraseSector(address / SECTOR_BYTES);
  else if (kind === 'program') chip.programPage(address, data);
  else rtc.storeUser(address, value);
}

/** A copy of RAM, in place of one that is no longer needed. */
export function copyRam(from: Ram, into: Ram = new Ram()): Ram {
  into.dram.set(from.dram);
  into.iram.set(from.iram);
  return into;
}
