/** The parts of a sweep, wired: the chip with its branches, what reads and judges them, and the update that was recorded. */

import { instantiateKernels, loadKernels } from '../../assembly/host/load.ts';
import { WasmSectorTables } from '../../assembly/host/sector-tables.ts';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import { isGzip } from '../../flash/gzip-image.ts';
import { AppCheck } from './app-check.ts';
import { type Bootloader, type BootParts, BootRun } from './boot-run.ts';
import { BranchChip } from './branch-chip.ts';
import { Contents } from './contents.ts';
import { Judge } from './judge.ts';
import { Operations } from './operations.ts';
import { Recall } from './recall.ts';
import { finished, type Reference } from './reference-data.ts';
import { RtcChance, RtcImage } from './rtc-image.ts';
import { BootSectors } from './sector0.ts';
import { SLOT_NEW, SLOT_OLD, SLOT_TRUNK, SLOTS } from './slots.ts';

export class World {
  readonly tables: WasmSectorTables;
  readonly contents: Contents;
  readonly parts: BootParts;
  readonly judge: Judge;
  readonly operations: Operations;
  /** eboot will unpack: what it does then may depend on what RAM held. */
  readonly packed: boolean;
  private readonly chance: RtcChance;
  private readonly chips: BranchChip[];

  constructor(
    readonly reference: Reference,
    bootloader?: Bootloader,
  ) {
    const kernels = loadKernels();
    const { before, operations, target, fsStart, fsEnd, oldLength, payload, seed, core } = reference;
    this.tables = new WasmSectorTables(instantiateKernels(), before.length / SECTOR_BYTES, SLOTS);
    this.contents = new Contents(this.tables, (data, crc) => kernels.crc32(data, crc));
    this.chips = Array.from({ length: SLOTS }, (_, slot) => new BranchChip(this.contents, this.tables, slot));
    const sectors = new BootSectors(this.contents, core);
    const crc32 = (data: Uint8Array): number => kernels.crc32(data);
    this.chance = new RtcChance(seed);
    const app = new AppCheck(this.contents, sectors);
    const recall = bootloader && new Recall(this.contents, new RtcImage(this.chance, crc32));
    this.parts = { sectors, app, crc32, bootloader, recall };
    this.operations = new Operations(operations);
    this.packed = isGzip(stagedBytes(this.operations));
    this.fill(SLOT_TRUNK, before);
    this.fill(SLOT_OLD, before);
    this.fill(SLOT_NEW, finished(reference));
    const newLength = target === 'sketch' ? payload.length : oldLength;
    this.judge = new Judge(this.tables, this.contents, { target, oldLength, newLength, fsStart, fsEnd });
  }

  chip(slot: number): BranchChip {
    return this.chips[slot]!;
  }

  rtc(): RtcImage {
    return new RtcImage(this.chance, this.parts.crc32);
  }

  boot(chip: BranchChip, rtc: RtcImage): BootRun {
    return new BootRun(this.parts, chip, rtc);
  }

  /** Puts bytes into a branch, to stay. */
  private fill(slot: number, bytes: Uint8Array): void {
    const { table } = this.chip(slot);
    for (let sector = 0; sector < table.length; sector++) {
      const content = this.contents.intern(bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES));
      this.contents.own(content);
      table[sector] = content;
    }
  }
}

/** The first bytes that the update put anywhere. */
function stagedBytes(operations: Operations): Uint8Array {
  for (let i = 0; i < operations.length; i++) {
    const { kind, phase, data } = operations.at(i);
    if (kind === 'program' && phase === 'staging') return data;
  }
  return new Uint8Array(0);
}
