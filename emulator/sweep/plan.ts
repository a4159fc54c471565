/** Which cuts a sweep tries. */
import type { Point, PowerKind } from '../faults/spec.ts';

export interface Plan {
  /** Kinds of the first fault. */
  readonly kinds: readonly PowerKind[];
  readonly points: readonly Point[];
  /** 2: after each first fault, another one at each operation of the recovery. */
  readonly depth: 1 | 2;
  /** Kinds of the second fault. */
  readonly secondKinds: readonly PowerKind[];
  /** Repeat the update after each cut that the device survives. */
  readonly retry: boolean;
}

/** The points that a kind can have, of those that are wanted: only a loss of power cuts an operation in two. */
export const pointsOf = (kind: PowerKind, points: readonly Point[]): readonly Point[] =>
  kind === 'power-cut' ? points : points.filter((point) => point !== 'inside');

/** What a fault of a kind is to the chip: how it starts again. */
export const causeOf = (kind: PowerKind): 'power-on' | 'external' | 'brown-out' =>
  kind === 'power-cut' ? 'power-on' : kind === 'reset' ? 'external' : 'brown-out';
