/** One point of a sweep as text and back: a list of faults in the grammar of design.md §8, and the id around it. */

import { chosenFraction } from '../faults/chance.ts';
import { type Fault, formatFault, type Phase, type Point, type PowerKind, parseFaults } from '../faults/spec.ts';
import { SeededRandom } from '../random.ts';
import { SweepInputError } from './errors.ts';

/** One cut: the fault `kind` at operation `op` of a phase. */
export interface Cut {
  readonly kind: PowerKind;
  readonly phase: Phase;
  readonly op: number;
  readonly point: Point;
  /** How much of the operation happens, of `inside`; without it the seed chooses. */
  readonly fraction?: number;
}

/** The word in front of every id: the version of the format. */
const ID_VERSION = '1';

const faultOf = ({ kind, phase, op, point, fraction }: Cut): Fault => ({
  kind,
  at: { phase, op, ...(point === 'before' ? {} : { point }), ...(fraction === undefined ? {} : { fraction }) },
});

/** `power-cut@copy:3:inside`; the point `before` is left out, as it is the default. */
export const formatCut = (cut: Cut): string => formatFault(faultOf(cut));

/** Cuts joined by `+` in time order. */
export const formatSchedule = (cuts: readonly Cut[]): string => cuts.map(formatCut).join('+');

/** The faults that a device is armed with. */
export const faultsOf = (cuts: readonly Cut[]): Fault[] => cuts.map(faultOf);

export const formatId = (sweep: string, cuts: readonly Cut[]): string =>
  `${ID_VERSION}-${sweep}-${formatSchedule(cuts)}`;

/** @throws SweepInputError for what is no id of this version; FaultSpecError for a bad schedule in it */
export function parseId(id: string): { sweep: string; cuts: Cut[] } {
  const match = /^(\d+)-([0-9a-f]{12})-(.+)$/.exec(id);
  if (!match) {
    throw new SweepInputError(`id "${id}": wants 1-SWEEP-SPEC, e.g. 1-3f9a2c71d04b-power-cut@copy:17:inside`);
  }
  if (match[1] !== ID_VERSION) {
    throw new SweepInputError(`id "${id}": is of version ${match[1]}; this program reads version ${ID_VERSION}`);
  }
  return { sweep: match[2]!, cuts: parseSchedule(match[3]!) };
}

/** @throws SweepInputError for faults that are no cuts */
export function parseSchedule(text: string): Cut[] {
  return parseFaults(text).map(({ kind, at }) => {
    const { phase, op, point = 'before', fraction } = at;
    const isCut = kind === 'power-cut' || kind === 'reset' || kind === 'brown-out';
    if (!isCut || phase === undefined || op === undefined) {
      throw new SweepInputError(`"${text}": a sweep cuts power or resets, at an operation of a phase`);
    }
    return { kind, phase: phase as Phase, op, point, ...(fraction === undefined ? {} : { fraction }) };
  });
}

/** How much of an operation happens when the cut does not say: what a device of this seed would choose. */
export class Fractions {
  private readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed).stream('faults');
  }

  /** @param address of the operation, on the chip */
  of(cut: Cut, address: number): number {
    return cut.fraction ?? chosenFraction(this.random, `${formatCut(cut)} ${address.toString(16)}`);
  }
}
