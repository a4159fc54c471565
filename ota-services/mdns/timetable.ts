/** The timetable of one name: probing, then announcing. Source: spec chapter 03 §13.3. */
import { ANNOUNCE_COUNT, ANNOUNCE_INTERVAL_MS, PROBE_COUNT, PROBE_INTERVAL_MS } from './constants.ts';

export type NameStep = 'probe' | 'ready' | 'announce';

export class NameTimetable {
  private phase: 'new' | 'probing' | 'ready' | 'conflict' = 'new';
  private sent = 0;
  /** Milliseconds, 32 bits, as `millis()`. */
  private dueMs = 0;

  /** This name may be answered for. */
  get ready(): boolean {
    return this.phase === 'ready';
  }

  /** It is still ours to lose. */
  get probing(): boolean {
    return this.phase === 'probing';
  }

  /** Probing from the beginning, at the next step. */
  restart(): void {
    this.phase = 'new';
  }

  /** Somebody else has this name: silence. */
  cancel(): void {
    this.phase = 'conflict';
  }

  /**
   * What is due now, at most one thing: a step that comes late shifts those after it.
   *
   * @param firstProbeAfterMs counted from the first step
   */
  step(nowMs: number, firstProbeAfterMs: number): NameStep | undefined {
    if (this.phase === 'new') {
      this.phase = 'probing';
      this.sent = 0;
      this.dueMs = nowMs + firstProbeAfterMs;
    }
    // The counter wraps after 49 days; differences do not mind.
    if (((nowMs - this.dueMs) | 0) < 0) return undefined;
    if (this.phase === 'probing') return this.probe(nowMs);
    if (this.phase === 'ready' && this.sent < ANNOUNCE_COUNT) {
      this.sent++;
      this.dueMs = nowMs + ANNOUNCE_INTERVAL_MS;
      return 'announce';
    }
    return undefined;
  }

  private probe(nowMs: number): NameStep {
    if (this.sent < PROBE_COUNT) {
      this.sent++;
      this.dueMs = nowMs + PROBE_INTERVAL_MS;
      return 'probe';
    }
    this.phase = 'ready';
    this.sent = 0;
    this.dueMs = nowMs + ANNOUNCE_INTERVAL_MS;
    return 'ready';
  }
}
