/**
 * Expectations: `phase=copy,point=inside => old|new`. The left side says which points are meant (none: all), the right side
 * which verdicts are allowed there. Contract: design.md §8.
 */
import { PHASES, POINTS, POWER_KINDS } from '../faults/spec.ts';
import { SweepInputError } from './errors.ts';
import { VERDICTS, type Verdict } from './reasons.ts';
import type { Cut } from './schedule.ts';

export interface Rule {
  /** As it was given, blanks made even. */
  readonly text: string;
  /** Of several faults the last one, which is the cut that is judged, must fit. */
  matches(cut: Cut): boolean;
  readonly allowed: readonly Verdict[];
}

const KEYS = ['phase', 'op', 'point', 'fault'] as const;
type Key = (typeof KEYS)[number];
const WORDS: Record<Exclude<Key, 'op'>, readonly string[]> = {
  phase: PHASES.filter((phase) => phase !== 'any'),
  point: POINTS,
  fault: POWER_KINDS,
};

/** @throws SweepInputError that says which part is wrong, and what would do */
export function parseRule(text: string): Rule {
  const fail = (why: string): never => {
    throw new SweepInputError(`--expect "${text}": ${why}`);
  };
  const sides = text.split('=>');
  if (sides.length !== 2) fail('wants CONDITIONS => VERDICTS, e.g. phase=staging => old');
  const allowed = sides[1]!.split('|').map((word) => word.trim());
  for (const word of allowed) {
    if (!(VERDICTS as readonly string[]).includes(word)) {
      fail(`"${word}" is no verdict; the verdicts are ${VERDICTS.join(', ')}, several joined by |`);
    }
  }
  const left = sides[0]!.trim();
  const conditions = left === '' ? [] : left.split(',').map((part) => parseCondition(part.trim(), fail));
  return {
    text: `${conditions.map(({ text: condition }) => condition).join(',')} => ${allowed.join('|')}`.trimStart(),
    matches: (cut) => conditions.every(({ holds }) => holds(cut)),
    allowed: allowed as Verdict[],
  };
}

interface Condition {
  readonly text: string;
  readonly holds: (cut: Cut) => boolean;
}

function parseCondition(text: string, fail: (why: string) => never): Condition {
  const [name, value, more] = text.split('=').map((part) => part.trim());
  const key = KEYS.find((known) => known === name);
  if (!key) return fail(`"${name}" is no key; the keys are ${KEYS.join(', ')}`);
  if (value === undefined || value === '' || more !== undefined) return fail(`"${text}": wants ${key}=VALUE`);
  if (key === 'op') {
    const range = /^(\d{1,9})(?:\.\.(\d{1,9}))?$/.exec(value);
    if (!range) return fail(`op=${value}: wants an operation or a range, e.g. op=0..16`);
    const low = Number(range[1]);
    const high = Number(range[2] ?? range[1]);
    if (high < low) return fail(`op=${value}: the range is empty`);
    return { text: `op=${value}`, holds: ({ op }) => op >= low && op <= high };
  }
  const values = value.split('|').map((part) => part.trim());
  const unknown = values.find((word) => !WORDS[key].includes(word));
  if (unknown !== undefined) return fail(`${key}=${unknown}: use ${WORDS[key].join(', ')}`);
  return {
    text: `${key}=${values.join('|')}`,
    holds: (cut) => values.includes(key === 'fault' ? cut.kind : cut[key]),
  };
}
