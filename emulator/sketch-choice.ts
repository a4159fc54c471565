/** Which sketch stands for an image. Order of the rules: design.md §7. */
import { unknownName } from '../flash/names.ts';
import { DeviceOptionError } from './options.ts';
import { SKETCH_NAMES, SKETCHES } from './sketches/index.ts';
import type { SketchFactory } from './sketches/sketch.ts';

/** Names of the catalogue (also with commas), or a sketch of the user's own. */
export type SketchChoice = string | readonly string[] | SketchFactory;

const namesOf = (choice: string | readonly string[]): string[] =>
  (typeof choice === 'string' ? choice.split(',') : [...choice]).map((name) => name.trim());

/** @throws DeviceOptionError for a name that is not in the catalogue */
export function checkSketch(choice: SketchChoice): void {
  if (typeof choice === 'function') return;
  const unknown = namesOf(choice).find((name) => !SKETCH_NAMES.includes(name));
  if (unknown !== undefined) throw new DeviceOptionError(unknownName('sketch', unknown, SKETCH_NAMES).message);
}

/** Unknown names are left out: an image of a newer emulator still boots, with less in it. @param more besides the catalogue's */
export function resolveSketch(
  choice: SketchChoice,
  more: Readonly<Record<string, SketchFactory>> = {},
): { name: string; factories: readonly SketchFactory[] } {
  if (typeof choice === 'function') return { name: choice.name || 'own', factories: [choice] };
  const names = namesOf(choice);
  return { name: names.join(','), factories: names.flatMap((name) => SKETCHES[name] ?? more[name] ?? []) };
}
