/**
 * Cuts, boots and judges. The update is walked once, boundary by boundary; at a boundary lie the points "after" the
 * operation before it, "before" the next one and "inside" that, and each is tried on a branch of the chip. Two points with
 * the same state are tried once.
 *
 * At depth 2 the recovery after each first cut is walked the same way.
 */
import { Ram } from '../../eboot/ram.ts';
import type { Point, PowerKind } from '../faults/spec.ts';
import type { BootRun, Operation } from './boot-run.ts';
import type { BranchChip } from './branch-chip.ts';
import { CleanRuns } from './clean-run.ts';
import type { OperationPhase, Operations } from './operations.ts';
import type { Outcome, Sink } from './outcome.ts';
import { causeOf, type Plan, pointsOf } from './plan.ts';
import type { HeldRam, Recall } from './recall.ts';
import type { Retry } from './retry.ts';
import type { RtcImage } from './rtc-image.ts';
import { type Cut, Fractions } from './schedule.ts';
import { SLOT_FIRST, SLOT_RECOVERY, SLOT_SECOND, SLOT_TORN, SLOT_TRIAL } from './slots.ts';
import { tear } from './tear.ts';
import { copyRam, Trunk } from './trunk.ts';
import type { World } from './world.ts';

const UNKNOWN_RAM = 0xa5;

/** What came of a state, and of second cuts in its recovery. */
interface Tried {
  readonly outcome: Outcome;
  readonly seconds: readonly Second[];
}

interface Second {
  readonly cut: Cut;
  readonly outcome: Outcome;
  readonly address: number | undefined;
  readonly fraction?: number;
}

/** An operation by its number, and where on the chip it is. */
interface Place {
  readonly phase: OperationPhase;
  readonly op: number;
  readonly address: number | undefined;
}

export class Engine {
  private readonly trunk: Trunk;
  private readonly fractions: Fractions;
  private readonly trialRtc: RtcImage;
  private readonly secondRtc: RtcImage;
  private readonly firstRtc: RtcImage;
  private readonly recoveryRtc: RtcImage;
  private readonly clean: CleanRuns;
  private scratchRam: Ram | undefined;
  private unknown: HeldRam | undefined;
  private ran = 0;

  constructor(
    private readonly world: World,
    private readonly plan: Plan,
    private readonly retry?: Retry,
  ) {
    this.trunk = new Trunk(world);
    this.fractions = new Fractions(world.reference.seed);
    this.trialRtc = world.rtc();
    this.secondRtc = world.rtc();
    this.firstRtc = world.rtc();
    this.recoveryRtc = world.rtc();
    this.clean = new CleanRuns(world, this.trunk);
  }

  /** How many boundaries there are. */
  get boundaries(): number {
    return this.world.operations.length + 1;
  }

  /** Tries all points at a boundary; boundaries come in rising order. */
  visit(boundary: number, sink: Sink): void {
    if (this.plan.depth === 2) this.clean.pass(boundary);
    this.trunk.advanceTo(boundary);
    this.ran = 0;
    for (const kind of this.plan.kinds) this.visitKind(boundary, kind, sink);
    sink.trials(this.ran);
  }

  private visitKind(boundary: number, kind: PowerKind, sink: Sink): void {
    const { operations } = this.world;
    const points = pointsOf(kind, this.plan.points);
    let known: Tried | undefined;
    if (boundary > 0 && points.includes('after')) {
      const place = placeOf(operations, boundary - 1);
      known = this.tryBoundary(kind, this.trunk.ramAfter);
      this.tell(cutAt(kind, 'after', place), place.address, undefined, known, sink);
    }
    if (boundary === operations.length) return;
    const place = placeOf(operations, boundary);
    const operation = operations.at(boundary);
    if (points.includes('before') || (operation.kind === 'rtc' && points.includes('inside'))) {
      // What RAM held may matter to eboot when it unpacks, and between the two it may have read something.
      if (!known || (this.trunk.ramAfter !== this.trunk.ramBefore && kind !== 'power-cut')) {
        known = this.tryBoundary(kind, this.trunk.ramBefore);
      }
    }
    for (const point of points) {
      const cut = cutAt(kind, point, place);
      if (point === 'before') this.tell(cut, place.address, undefined, known!, sink);
      if (point !== 'inside') continue;
      // A word of RTC memory is written in one cycle: it has no inside, so a cut there comes before it.
      if (operation.kind === 'rtc') this.tell(cut, place.address, undefined, known!, sink);
      else {
        const fraction = this.fractions.of(cut, operation.address);
        const tried = this.tryState(kind, this.trunk.ramBefore, (chip) => tear(chip, operation, fraction));
        this.tell(cut, place.address, fraction, tried, sink);
      }
    }
  }

  private tryBoundary(kind: PowerKind, ram: Ram | undefined): Tried {
    return this.tryState(kind, ram, () => {});
  }

  /** The trunk's state, changed by the cut, and all that follows. */
  private tryState(kind: PowerKind, ram: Ram | undefined, change: (chip: BranchChip) => void): Tried {
    const { contents } = this.world;
    contents.open();
    const first = this.world.chip(SLOT_FIRST);
    first.become(this.trunk.chip);
    change(first);
    this.trunk.rtc.decode();
    this.firstRtc.become(this.trunk.rtc);
    const outcome = this.trial(first, this.firstRtc, SLOT_TRIAL, this.trialRtc, kind, ram);
    const tried: Tried = { outcome, seconds: this.plan.depth === 2 ? this.trySeconds(kind, ram, outcome) : [] };
    contents.close();
    return tried;
  }

  /** Boots a state on a branch of its own and judges it. */
  private trial(
    state: BranchChip,
    rtc: RtcImage,
    slot: number,
    trialRtc: RtcImage,
    kind: PowerKind,
    ram: Ram | undefined,
  ): Outcome {
    const { world } = this;
    world.contents.open();
    const chip = world.chip(slot);
    chip.become(state);
    trialRtc.become(rtc);
    const run = world.boot(chip, trialRtc);
    this.giveRam(run, kind, ram);
    const judged = world.judge.judge(run, causeOf(kind));
    const repeated = this.retry?.repeat(run, judged);
    world.contents.close();
    this.ran++;
    return repeated ? { ...judged, retry: repeated } : judged;
  }

  /** After a loss of power RAM is noise, which the model never looks at; other bootloaders get some that is always the same. */
  private giveRam(run: BootRun, kind: PowerKind, ram: Ram | undefined): void {
    const { recall } = this.world.parts;
    const survived = kind === 'power-cut' ? undefined : ram;
    if (!recall && !survived) return;
    this.scratchRam ??= new Ram();
    if (recall) run.holdRam(survived ? recall.hold(survived) : this.unknownRam(recall), this.scratchRam);
    else if (survived) run.ram = copyRam(survived, this.scratchRam);
  }

  private unknownRam(recall: Recall): HeldRam {
    this.unknown ??= recall.hold(new Ram(UNKNOWN_RAM));
    return this.unknown;
  }

  /** Walks the recovery after the first cut and cuts again at each of its operations. */
  private trySeconds(firstKind: PowerKind, ram: Ram | undefined, alone: Outcome): Second[] {
    const { world, plan } = this;
    const seconds: Second[] = [];
    const chip = world.chip(SLOT_RECOVERY);
    chip.become(world.chip(SLOT_FIRST));
    this.recoveryRtc.become(this.firstRtc);
    const run = world.boot(chip, this.recoveryRtc);
    if (ram && firstKind !== 'power-cut') run.ram = copyRam(ram);
    const compares = firstKind === 'reset' && !ram;
    if (compares) this.clean.start();
    const steps = run.steps(causeOf(firstKind));
    const counts: Record<string, number> = {};
    let before: Place | undefined;
    for (let index = 0; ; index++) {
      const step = steps.next();
      const operation = step.done ? undefined : step.value;
      const place = operation && placeIn(counts, operation);
      const shared = compares ? this.clean.at(index, operation, this.recoveryRtc) : undefined;
      const known = shared ?? {};
      const ran = this.ran;
      for (const kind of plan.secondKinds) {
        const points = pointsOf(kind, plan.points);
        const boundary = (): Outcome => {
          known[kind] ??= this.isAgain(firstKind, kind, ram) ? alone : this.trySecond(kind, run.ram);
          return known[kind];
        };
        if (before && points.includes('after')) {
          seconds.push({ cut: cutAt(kind, 'after', before), address: before.address, outcome: boundary() });
        }
        if (!operation || !place) continue;
        for (const point of points) {
          if (point === 'after') continue;
          const cut = cutAt(kind, point, place);
          if (point === 'before' || operation.kind === 'rtc') {
            seconds.push({ cut, address: place.address, outcome: boundary() });
            continue;
          }
          const fraction = this.fractions.of(cut, operation.address);
          known.inside ??= this.trySecondInside(kind, operation, fraction);
          seconds.push({ cut, address: place.address, outcome: known.inside, fraction });
        }
      }
      // Shared states count where they belong, so that the number does not depend on who computes what.
      if (shared && this.trunk.boundary !== this.clean.boundary) this.ran = ran;
      if (step.done) return seconds;
      before = place;
    }
  }

  private trySecond(kind: PowerKind, ram: Ram | undefined): Outcome {
    const chip = this.world.chip(SLOT_RECOVERY);
    return this.trial(chip, this.recoveryRtc, SLOT_SECOND, this.secondRtc, kind, ram);
  }

  private trySecondInside(kind: PowerKind, operation: Operation, fraction: number): Outcome {
    const { world } = this;
    world.contents.open();
    const torn = world.chip(SLOT_TORN);
    torn.become(world.chip(SLOT_RECOVERY));
    tear(torn, operation, fraction);
    const outcome = this.trial(torn, this.recoveryRtc, SLOT_SECOND, this.secondRtc, kind, undefined);
    world.contents.close();
    return outcome;
  }

  /** Rewriting what is there already leads through the state of the first cut again and again. */
  private isAgain(firstKind: PowerKind, kind: PowerKind, ram: Ram | undefined): boolean {
    if (kind !== firstKind || (ram && kind !== 'power-cut')) return false;
    if (kind !== 'power-cut' && !this.recoveryRtc.equals(this.firstRtc)) return false;
    return this.equal(SLOT_RECOVERY, SLOT_FIRST);
  }

  private equal(left: number, right: number): boolean {
    return this.world.tables.firstDifference(left, right, 0, this.world.tables.sectors) < 0;
  }

  private tell(cut: Cut, address: number | undefined, fraction: number | undefined, tried: Tried, sink: Sink): void {
    sink.point([cut], tried.outcome, address, fraction);
    for (const { cut: second, outcome, address: at, fraction: share } of tried.seconds) {
      sink.point([cut, second], outcome, at, share);
    }
  }
}

const cutAt = (kind: PowerKind, point: Point, { phase, op }: Place): Cut => ({ kind, phase, op, point });

function placeOf(operations: Operations, index: number): Place {
  const { kind, phase, op, address } = operations.at(index);
  return { phase, op, address: kind === 'rtc' ? undefined : address };
}

/** Numbers an operation of a recovery: the fault before it has begun the count anew. */
function placeIn(counts: Record<string, number>, { kind, phase, address }: Operation): Place {
  const op = counts[phase] ?? 0;
  counts[phase] = op + 1;
  return { phase, op, address: kind === 'rtc' ? undefined : address };
}
