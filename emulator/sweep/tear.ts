/** An operation that power left half done, on a branch of the chip. */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { BranchChip } from './branch-chip.ts';

/** Recorded or about to happen. */
export interface Tearable {
  readonly kind: string;
  readonly address: number;
  readonly data: Uint8Array | undefined;
}

/** @param fraction 0 … 1: the first ⌊8·f·length⌋ bits happen (design.md §8) */
export function tear(chip: BranchChip, operation: Tearable, fraction: number): void {
  const { kind, address, data } = operation;
  const bits = Math.floor(8 * fraction * (kind === 'erase' ? SECTOR_BYTES : data!.length));
  if (kind === 'erase') chip.tearErase(address / SECTOR_BYTES, bits);
  else chip.tearProgram(address, data!, bits);
}
