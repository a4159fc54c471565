/**
 * The update once more, on a device that survived a cut. What it does to the chip is known from a recorded run that started
 * with the same application: the Updater erases each sector before it programs it, so what a sector held before does not
 * matter, and the outcome of staging can be set at once. Where that does not hold, operation by operation.
 */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { BootRun } from './boot-run.ts';
import type { BranchChip } from './branch-chip.ts';
import { Operations } from './operations.ts';
import type { Judgement } from './reasons.ts';
import type { Reference } from './reference-data.ts';
import { SLOT_NEW, SLOT_OLD, SLOT_TRIAL } from './slots.ts';
import { apply } from './trunk.ts';
import type { World } from './world.ts';

/** A recorded repetition, or why the device refuses it. */
export type Repetition = Pick<Reference, 'operations'> | { readonly refused: string };

export interface Repetitions {
  /** On a device that runs the old image, and on one that runs the new one. */
  readonly old: Repetition;
  readonly new: Repetition;
}

interface Effect {
  /** Sector and content, of those that are erased first. */
  readonly whole: readonly (readonly [sector: number, content: number])[];
  /** The others, and the RTC words. */
  readonly rest: Operations | undefined;
  readonly restIndexes: readonly number[];
}

export class Retry {
  private readonly effects: { readonly old: Effect | undefined; readonly new: Effect | undefined };

  constructor(
    private readonly world: World,
    repetitions: Repetitions,
  ) {
    this.effects = { old: this.effectOf(repetitions.old), new: this.effectOf(repetitions.new) };
  }

  /** The verdict after the repeated update; undefined when the device did not survive. */
  repeat(run: BootRun, judged: Judgement): Judgement | undefined {
    if (judged.verdict === 'brick' || judged.verdict === 'corrupt') return undefined;
    const { judge } = this.world;
    const runsNew = this.world.reference.target === 'sketch' && judge.runs(run.chip, SLOT_NEW);
    const effect = runsNew ? this.effects.new : this.effects.old;
    // A refused update changes nothing.
    if (!effect) return judge.compare(run.chip);
    for (const [sector, content] of effect.whole) run.chip.table[sector] = content;
    for (const index of effect.restIndexes) apply(effect.rest!.at(index), run.chip, run.rtc);
    return judge.judge(run, 'software');
  }

  private effectOf(repetition: Repetition): Effect | undefined {
    if ('refused' in repetition) return undefined;
    const { world } = this;
    const operations = new Operations(repetition.operations);
    const erasedFirst = new Map<number, boolean>();
    const indexes: number[] = [];
    for (let i = 0; i < operations.length; i++) {
      const { kind, phase, address } = operations.at(i);
      if (phase === 'copy' || phase === 'clear') break;
      indexes.push(i);
      const sector = Math.floor(address / SECTOR_BYTES);
      if (kind !== 'rtc' && !erasedFirst.has(sector)) erasedFirst.set(sector, kind === 'erase');
    }
    const isWhole = (i: number): boolean => {
      const { kind, address } = operations.at(i);
      return kind !== 'rtc' && erasedFirst.get(Math.floor(address / SECTOR_BYTES)) === true;
    };
    const chip: BranchChip = world.chip(SLOT_TRIAL);
    chip.become(world.chip(SLOT_OLD));
    world.contents.open();
    const rtc = world.rtc();
    for (const i of indexes) if (isWhole(i)) apply(operations.at(i), chip, rtc);
    const whole: [number, number][] = [];
    for (const [sector, erased] of erasedFirst) {
      if (!erased) continue;
      world.contents.own(chip.table[sector]!);
      whole.push([sector, chip.table[sector]!]);
    }
    world.contents.close();
    return { whole, rest: operations, restIndexes: indexes.filter((i) => !isWhole(i)) };
  }
}
