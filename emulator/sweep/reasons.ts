/**
 * The verdicts of design.md §8 and why they come about, in plain words. The words are the same for each kind of outcome, so
 * that results can be grouped by them.
 */

export const VERDICTS = ['old', 'new', 'brick', 'corrupt', 'fs-lost', 'stuck'] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface Judgement {
  readonly verdict: Verdict;
  readonly reason: string;
}

const judgement = (verdict: Verdict, reason: string): Judgement => ({ verdict, reason });

/** Of a device whose application runs. */
export const RUNNING = {
  old: judgement('old', 'the old image runs, whole'),
  new: judgement('new', 'the new image runs, whole'),
  oldFs: judgement('old', 'the application runs, with the old file system'),
  newFs: judgement('new', 'the application runs, with the new file system'),
  fsLost: judgement('fs-lost', 'the application runs, but the file system is neither the old nor the new one'),
  corrupt: judgement(
    'corrupt',
    'an application runs that is neither the old nor the new one, and neither CRC nor checksum noticed',
  ),
} as const;

export type Death =
  /** The ROM: byte 0 is no 0xE9; or the checksum is wrong. */
  | 'no-image'
  | 'bad-checksum'
  /** eboot jumped to where no code is, and no watchdog is on. */
  | 'no-application'
  | 'crash-loop'
  /** The ROM stands still, as after eboot's software reset; or eboot never ends. */
  | 'hang';

/** Why a device is a brick. */
export const DEATHS: Readonly<Record<Death, string>> = {
  'no-image': 'the boot sector is erased or torn at its start: the ROM finds no image',
  'bad-checksum': 'the boot sector is incomplete: the ROM finds its checksum wrong',
  'no-application':
    'eboot jumps into an application that is not there or loads it where no memory is, and no watchdog is on',
  'crash-loop': 'the application is damaged, a mixture or torn, and crashes at every start',
  hang: 'it stands still, and neither an external reset nor a power cycle helps',
};
/** A device that does something for ever without anything coming of it. */
export const NEVER_SETTLES = 'nothing comes of its start';

/** @param code that eboot gave up with, when it did so at every start */
export const deathReason = (death: Death, code?: number): string =>
  death === 'hang' && code !== undefined
    ? `eboot gives up with code ${code} and leaves the ROM hanging, at every start`
    : DEATHS[death];

const brickJudgements = new Map<string, Judgement>();

export function brick(death: Death, code?: number): Judgement {
  const reason = deathReason(death, code);
  let found = brickJudgements.get(reason);
  if (!found) {
    found = judgement('brick', reason);
    brickJudgements.set(reason, found);
  }
  return found;
}

/** What brings a dead device back, in the order in which one tries. */
export const CURES = ['external', 'power-on'] as const;
export type CureTried = (typeof CURES)[number];

const CURE_TEXTS: Readonly<Record<CureTried, string>> = { external: 'an external reset', 'power-on': 'a power cycle' };

/** @param code that eboot gave up with before the ROM hung; undefined when it was something else */
export function stuckReason(image: 'old' | 'new', cure: CureTried, code: number | undefined): string {
  const why = code === undefined ? 'it stands still' : `eboot gave up with code ${code} and left the ROM hanging`;
  return `${why}; ${CURE_TEXTS[cure]} starts the ${image} image`;
}

const stuckJudgements = new Map<string, Judgement>();

export function stuck(image: 'old' | 'new', cure: CureTried, code: number | undefined): Judgement {
  const reason = stuckReason(image, cure, code);
  let found = stuckJudgements.get(reason);
  if (!found) {
    found = judgement('stuck', reason);
    stuckJudgements.set(reason, found);
  }
  return found;
}
