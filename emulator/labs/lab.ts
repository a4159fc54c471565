/** What a lab asks of a student, and how the event log of their run is graded. The texts are in docs/labs. */
import type { DeviceEventType, EventOf, Stamped } from '../events.ts';

/** One thing that the log must show. */
export interface Goal {
  /** In words, as the student reads it. */
  readonly text: string;
  /** Said when it is not met: where to look. */
  readonly hint: string;
  readonly met: (log: LabLog) => boolean;
}

export interface Lab {
  /** From 1. */
  readonly number: number;
  readonly title: string;
  /** File in docs/labs. */
  readonly document: string;
  readonly goals: readonly Goal[];
  /** What a student's own run looks like, so that no two hand in the same: see {@link Personal}. */
  readonly personal?: Personal;
}

/**
 * An image that the lab has students build with `--seed NUMBER`: its MD5 tells whose it is. Everything else about it is fixed,
 * so the grader can build it again.
 */
export interface Personal {
  readonly version: string;
  readonly md5: (student: number) => string;
}

export class LabLogError extends Error {
  override readonly name = 'LabLogError';
}

/** The events of one run, or of several that were made one after the other. */
export class LabLog {
  private constructor(readonly events: readonly Stamped[]) {}

  /**
   * Reads what `vesp run --events FILE` wrote.
   *
   * @param name of the file, for messages
   * @throws LabLogError naming the line that is no event
   */
  static parse(text: string, name = 'the log'): LabLog {
    const events: Stamped[] = [];
    for (const [index, line] of text.split('\n').entries()) {
      if (line.trim() === '') continue;
      const event = parseEvent(line);
      if (!event)
        throw new LabLogError(
          `${name}, line ${index + 1}: is no event; want the file that \`vesp run --events\` writes`,
        );
      const before = events.at(-1);
      if (before && !follows(event, before)) {
        throw new LabLogError(
          `${name}, line ${index + 1}: event ${event.seq} follows event ${before.seq}; want the whole file as \`vesp run --events\` wrote it`,
        );
      }
      events.push(event);
    }
    if (events.length === 0)
      throw new LabLogError(`${name}: has no events; want the file that \`vesp run --events\` writes`);
    return new LabLog(events);
  }

  static of(events: readonly Stamped[]): LabLog {
    return new LabLog(events);
  }

  /** Events of a type, in order. */
  all<T extends DeviceEventType>(type: T): Stamped<EventOf<T>>[] {
    return this.events.filter((event) => event.type === type) as Stamped<EventOf<T>>[];
  }

  has<T extends DeviceEventType>(type: T, where: (event: Stamped<EventOf<T>>) => boolean = () => true): boolean {
    return this.all(type).some(where);
  }

  /** Whether events that fit these tests come in this order, other ones between them. */
  inOrder(...tests: ((event: Stamped) => boolean)[]): boolean {
    let next = 0;
    for (const event of this.events) if (tests[next]?.(event)) next++;
    return next === tests.length;
  }
}

/** A test for {@link LabLog.inOrder}. */
export function is<T extends DeviceEventType>(
  type: T,
  where: (event: Stamped<EventOf<T>>) => boolean = () => true,
): (event: Stamped) => boolean {
  return (event) => event.type === type && where(event as Stamped<EventOf<T>>);
}

/** A run counts its events without a gap; another run of the same file begins with its first ones. */
const follows = (event: Stamped, before: Stamped): boolean =>
  event.seq === before.seq + 1 ||
  (event.seq <= before.seq && (event.type === 'fault.armed' || event.type === 'power.on'));

function parseEvent(line: string): Stamped | undefined {
  try {
    const value = JSON.parse(line) as Partial<Stamped> | null;
    return typeof value === 'object' && typeof value?.type === 'string' && typeof value.seq === 'number'
      ? (value as Stamped)
      : undefined;
  } catch {
    return undefined;
  }
}

export interface Grade {
  readonly goal: string;
  readonly met: boolean;
  readonly hint?: string;
}

/**
 * Grades a run.
 * @param student a number from 0; checked where the lab has something personal
 */
export function grade(lab: Lab, log: LabLog, student?: number): Grade[] {
  const grades = lab.goals.map(
    ({ text, hint, met }): Grade => (met(log) ? { goal: text, met: true } : { goal: text, met: false, hint }),
  );
  if (student === undefined || !lab.personal) return grades;
  const { version, md5 } = lab.personal;
  const own = log.has('app.start', (event) => event.version === version && event.md5 === md5(student));
  const goal = `version ${version} was built by student ${student}`;
  grades.push(
    own ? { goal, met: true } : { goal, met: false, hint: `build it with --seed ${student}, all else as the lab says` },
  );
  return grades;
}
