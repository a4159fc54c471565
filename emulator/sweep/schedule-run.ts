/** Any list of cuts, of any length, in the engine: for random schedules, for making them smaller, and for the tests. */
import type { Ram } from '../../eboot/ram.ts';
import type { BranchChip } from './branch-chip.ts';
import { causeOf } from './plan.ts';
import type { Judgement } from './reasons.ts';
import type { Retry } from './retry.ts';
import type { RtcImage } from './rtc-image.ts';
import { type Cut, Fractions } from './schedule.ts';
import { SLOT_FIRST, SLOT_RECOVERY, SLOT_TRIAL } from './slots.ts';
import { tear } from './tear.ts';
import { copyRam, Trunk } from './trunk.ts';
import type { World } from './world.ts';

export interface ScheduleOutcome extends Judgement {
  /** How many of the cuts struck; the others wait for operations that never came. */
  readonly fired: number;
  /** Of the last cut that struck. */
  readonly address: number | undefined;
  readonly fraction: number | undefined;
  readonly retry?: Judgement | undefined;
}

export interface ScheduleOptions {
  readonly retry?: Retry | undefined;
  /** Sees the chip as the last cut leaves it, before the start that follows. */
  readonly atCut?: (chip: BranchChip) => void;
  /** Sees the chip when something came of the last start, before any cure is tried. */
  readonly inspect?: (chip: BranchChip) => void;
}

/** A state in which the device starts. */
interface Moment {
  readonly chip: BranchChip;
  readonly rtc: RtcImage;
  readonly ram: Ram | undefined;
  readonly kind: Cut['kind'];
  readonly address: number | undefined;
  readonly fraction: number | undefined;
}

export class ScheduleRunner {
  private readonly trunk: Trunk;
  private readonly fractions: Fractions;

  constructor(private readonly world: World) {
    this.trunk = new Trunk(world);
    this.fractions = new Fractions(world.reference.seed);
  }

  /** @returns undefined when the first cut's operation does not exist */
  run(cuts: readonly Cut[], options: ScheduleOptions = {}): ScheduleOutcome | undefined {
    const { world } = this;
    world.contents.open();
    try {
      let moment = cuts[0] && this.first(cuts[0]);
      if (!moment) return undefined;
      let fired = 1;
      for (let next = cuts[fired]; next; next = cuts[fired]) {
        const later = this.later(moment, next, fired % 2 === 1 ? SLOT_RECOVERY : SLOT_FIRST);
        if (!later) break;
        moment = later;
        fired++;
      }
      const { kind, address, fraction } = moment;
      const chip = world.chip(SLOT_TRIAL);
      chip.become(moment.chip);
      const boot = world.boot(chip, moment.rtc);
      boot.ram = moment.ram && kind !== 'power-cut' ? copyRam(moment.ram) : undefined;
      options.atCut?.(chip);
      const settled = boot.finish(causeOf(kind));
      options.inspect?.(chip);
      const judged = world.judge.afterwards(boot, settled);
      const retry = options.retry?.repeat(boot, judged);
      return { ...judged, fired, address, fraction, ...(retry ? { retry } : {}) };
    } finally {
      world.contents.close();
    }
  }

  private first(cut: Cut): Moment | undefined {
    const { world, trunk } = this;
    const index = world.operations.find(cut.phase, cut.op);
    if (index < 0) return undefined;
    const boundary = cut.point === 'after' ? index + 1 : index;
    if (boundary < trunk.boundary) trunk.rewind();
    trunk.advanceTo(boundary);
    const chip = world.chip(SLOT_FIRST);
    chip.become(trunk.chip);
    const rtc = world.rtc();
    rtc.become(trunk.rtc);
    const operation = world.operations.at(index);
    const address = operation.kind === 'rtc' ? undefined : operation.address;
    let fraction: number | undefined;
    if (cut.point === 'inside' && operation.kind !== 'rtc') {
      fraction = this.fractions.of(cut, operation.address);
      tear(chip, operation, fraction);
    }
    const ram = cut.point === 'after' ? trunk.ramAfter : trunk.ramBefore;
    return { chip, rtc, ram, kind: cut.kind, address, fraction };
  }

  /** The start after one cut, up to the next one; undefined when that never strikes. */
  private later(moment: Moment, cut: Cut, slot: number): Moment | undefined {
    const { world } = this;
    const chip = world.chip(slot);
    chip.become(moment.chip);
    const rtc = world.rtc();
    rtc.become(moment.rtc);
    const boot = world.boot(chip, rtc);
    boot.ram = moment.ram && moment.kind !== 'power-cut' ? copyRam(moment.ram) : undefined;
    const steps = boot.steps(causeOf(moment.kind));
    let seen = 0;
    for (let step = steps.next(); !step.done; step = steps.next()) {
      const operation = step.value;
      if (cut.phase !== 'any' && operation.phase !== cut.phase) continue;
      if (seen++ !== cut.op) continue;
      const address = operation.kind === 'rtc' ? undefined : operation.address;
      let fraction: number | undefined;
      const ram = boot.ram && copyRam(boot.ram);
      if (cut.point === 'after') steps.next();
      else if (cut.point === 'inside' && operation.kind !== 'rtc') {
        fraction = this.fractions.of(cut, operation.address);
        tear(chip, operation, fraction);
      }
      return { chip, rtc, ram, kind: cut.kind, address, fraction };
    }
    return undefined;
  }
}
