/**
 * Where eboot's loading of an application ends, without moving its segments to RAM. Source: spec chapter 01 §9.5.
 * What depends on bytes in RAM (segments over the loader's stack or code, or into devices) is left to the real thing.
 */
import type { Era } from '../../eboot/eras.ts';
import { isLoaded } from '../../eboot/load-app.ts';
import { EBOOT_BASE, storeFault, windowAt } from '../../eboot/memory-map.ts';
import { beyondRomChip, romReadLength } from '../../eboot/rom-spi.ts';
import { APP_START_OFFSET } from '../../flash/geometry.ts';
import type { BranchChip } from './branch-chip.ts';

const HEADER_BYTES = 8;
/** Above lies what the loader itself keeps in RAM, in every build. */
const LOADER_STACK = 0x3fffe000;

export type DryLoad =
  | { readonly result: 'jump'; readonly entry: number }
  | { readonly result: 'failed'; readonly code: 1 | 2 | 3 }
  | { readonly result: 'exception'; readonly address: number };

const FAILED = {
  1: { result: 'failed', code: 1 },
  2: { result: 'failed', code: 2 },
  3: { result: 'failed', code: 3 },
} as const;

/** @returns undefined when only a run with RAM can tell */
export function dryLoad(chip: BranchChip, era: Era, base: number): DryLoad | undefined {
  let position = (base + APP_START_OFFSET) >>> 0;
  if (beyondRomChip(position, HEADER_BYTES)) return FAILED[1];
  const count = chip.byte(position + 1);
  const entry = chip.word(position + 4);
  position = (position + HEADER_BYTES) >>> 0;
  for (let i = 0; i < count; i++) {
    if (beyondRomChip(position, HEADER_BYTES)) return FAILED[2];
    const address = chip.word(position);
    const length = chip.word(position + 4);
    position = (position + HEADER_BYTES) >>> 0;
    if (isLoaded(era, address)) {
      if (beyondRomChip(position, length)) return FAILED[3];
      const stored = (romReadLength(length) + 3) & ~3;
      if (stored > 0) {
        if (storeFault(address) !== undefined) return { result: 'exception', address };
        const { region, end } = windowAt(address);
        if (address + stored > end) return undefined;
        if (region === 'dram' ? address + stored > LOADER_STACK : region !== 'iram') return undefined;
        if (region === 'iram' && address + stored > EBOOT_BASE) return undefined;
      }
    }
    position = (position + length) >>> 0;
  }
  return { result: 'jump', entry };
}
