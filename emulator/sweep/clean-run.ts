/**
 * The copy that begins when nothing has been copied yet. A recovery after any reset comes, sooner or later, through the same
 * states as this one; what a second cut there comes to is then known already.
 */
import type { PowerKind } from '../faults/spec.ts';
import type { BootRun, Operation, Settled } from './boot-run.ts';
import type { Outcome } from './outcome.ts';
import type { RtcImage } from './rtc-image.ts';
import { SLOT_CLEAN, SLOT_RECOVERY } from './slots.ts';
import type { Trunk } from './trunk.ts';
import type { World } from './world.ts';

/** Outcomes of cuts in one state: at the boundary by kind, and inside the operation that comes next. */
export type Known = { [kind in PowerKind | 'inside']?: Outcome };

export class CleanRuns {
  /** The boundary at which it begins; undefined when the update has no copy. */
  readonly boundary: number | undefined;
  private table: Uint32Array | undefined;
  private readonly startRtc: RtcImage;
  private readonly rtc: RtcImage;
  private readonly known: Known[] = [];
  private steps: Generator<Operation, Settled> | undefined;
  /** It does the same as the recovery so far. */
  private aligned = false;

  constructor(
    private readonly world: World,
    private readonly trunk: Trunk,
  ) {
    this.startRtc = world.rtc();
    this.rtc = world.rtc();
    const copy = world.operations.find('copy', 0);
    this.boundary = copy < 0 ? undefined : copy;
  }

  /** Before the trunk goes on to a boundary: keeps the state at which the copy begins, when that lies on the way. */
  pass(boundary: number): void {
    if (this.table || this.boundary === undefined || boundary < this.boundary) return;
    this.trunk.advanceTo(this.boundary);
    this.table = this.trunk.chip.table.slice();
    for (const content of this.table) this.world.contents.own(content);
    this.startRtc.become(this.trunk.rtc);
  }

  /** Starts over, beside a recovery that starts now. */
  start(): void {
    this.aligned = this.table !== undefined;
    if (!this.table) return;
    const chip = this.world.chip(SLOT_CLEAN);
    chip.table.set(this.table);
    this.rtc.become(this.startRtc);
    const run: BootRun = this.world.boot(chip, this.rtc);
    this.steps = run.steps('external');
  }

  /**
   * Goes one operation further, as the recovery just did.
   *
   * @returns where to keep what is found out about this state; undefined when the recovery is in a state of its own
   */
  at(index: number, operation: Operation | undefined, recoveryRtc: RtcImage): Known | undefined {
    if (!this.aligned) return undefined;
    const step = this.steps!.next();
    const mine = step.done ? undefined : step.value;
    this.aligned = mine?.kind === operation?.kind && mine?.address === operation?.address;
    if (!this.aligned) return undefined;
    const { tables } = this.world;
    if (tables.firstDifference(SLOT_RECOVERY, SLOT_CLEAN, 0, tables.sectors) >= 0) return undefined;
    if (!recoveryRtc.equals(this.rtc)) return undefined;
    this.known[index] ??= {};
    return this.known[index];
  }
}
