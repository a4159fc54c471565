/**
 * What became of the device: the six verdicts of design.md §8.
 */
import type { SectorTables } from '../../assembly/host/sector-tables.ts';
import type { ResetCause } from '../../eboot/reset-cause.ts';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { BootRun, Settled } from './boot-run.ts';
import type { BranchChip } from './branch-chip.ts';
import type { Contents } from './contents.ts';
import { brick, CURES, type Judgement, RUNNING, stuck } from './reasons.ts';
import { SLOT_NEW, SLOT_OLD } from './slots.ts';

/** What to compare with: two more branches of the chip, and which parts of them. */
export interface Wanted {
  readonly target: 'sketch' | 'fs';
  /** Bytes of the applications, from offset 0. */
  readonly oldLength: number;
  readonly newLength: number;
  readonly fsStart: number;
  readonly fsEnd: number;
}

export class Judge {
  private readonly firstFs: number;
  private readonly fsSectors: number;

  constructor(
    private readonly tables: SectorTables,
    private readonly contents: Contents,
    private readonly wanted: Wanted,
  ) {
    this.firstFs = Math.floor(wanted.fsStart / SECTOR_BYTES);
    this.fsSectors = Math.ceil(wanted.fsEnd / SECTOR_BYTES) - this.firstFs;
  }

  /** Starts the device of `run` for `cause` and says what became of it. The branch is left as it then is. */
  judge(run: BootRun, cause: ResetCause): Judgement {
    const settled = run.finish(cause);
    return this.afterwards(run, settled);
  }

  /** The same for a start that has come to something already. */
  afterwards(run: BootRun, settled: Settled): Judgement {
    if (settled.running) return this.compare(run.chip);
    // Only a command, or a ROM that hangs after eboot's software reset, make a further start differ from this one.
    if (settled.death !== 'hang' && !run.mayDiffer) return brick(settled.death);
    for (const cure of CURES) {
      if (!run.finish(cure).running) continue;
      const found = this.compare(run.chip);
      return found.verdict === 'old' || found.verdict === 'new' ? stuck(found.verdict, cure, settled.code) : found;
    }
    return brick(settled.death, settled.code);
  }

  /** The verdict on a device whose application runs. */
  compare(chip: BranchChip): Judgement {
    const { target } = this.wanted;
    if (target === 'fs') {
      if (!this.runs(chip, SLOT_OLD)) return RUNNING.corrupt;
      if (this.isFs(chip, SLOT_NEW)) return RUNNING.newFs;
      return this.isFs(chip, SLOT_OLD) ? RUNNING.oldFs : RUNNING.fsLost;
    }
    const isNew = this.runs(chip, SLOT_NEW);
    if (!isNew && !this.runs(chip, SLOT_OLD)) return RUNNING.corrupt;
    if (!this.isFs(chip, SLOT_OLD)) return RUNNING.fsLost;
    return isNew ? RUNNING.new : RUNNING.old;
  }

  private isFs(chip: BranchChip, slot: number): boolean {
    return this.tables.firstDifference(chip.slot, slot, this.firstFs, this.fsSectors) < 0;
  }

  /** Whether the application in flash is, byte for byte, that of the branch in `slot` ({@link SLOT_OLD}, {@link SLOT_NEW}). */
  runs(chip: BranchChip, slot: number): boolean {
    const length = slot === SLOT_NEW ? this.wanted.newLength : this.wanted.oldLength;
    const whole = Math.floor(length / SECTOR_BYTES);
    if (this.tables.firstDifference(chip.slot, slot, 0, whole) >= 0) return false;
    const rest = length % SECTOR_BYTES;
    const here = chip.table[whole];
    const there = this.tables.table(slot)[whole];
    // What lies behind the image in its last sector is nobody's.
    if (rest === 0 || here === there) return true;
    const bytes = this.contents.bytes(here!).subarray(0, rest);
    return Buffer.compare(bytes, this.contents.bytes(there!).subarray(0, rest)) === 0;
  }
}
