import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DeviceEvent, EventLog, type Stamped } from '../../emulator/events.ts';
import type { Area } from '../../flash/events.ts';
import { PAGE_BYTES } from '../../flash/geometry.ts';
import type { PageRun } from '../../flash/page-runs.ts';

const LIMIT = 3000;
const areas: Area[] = ['eboot', 'app', 'staging', 'fs', 'gap', 'eeprom', 'rfcal', 'wifi'];

const operation = fc.record({
  type: fc.constantFrom('flash.program' as const, 'flash.erase' as const),
  address: fc.nat(0xffffff),
  length: fc.integer({ min: 1, max: 0x1000 }),
  area: fc.constantFrom(...areas),
  stuckBits: fc.nat(0x8000),
  wear: fc.nat(100_000),
});
const torn = fc.tuple(operation, fc.nat(100)).map(([event, bits]) => ({ ...event, torn: bits }));
const other = fc.nat().map((written) => ({ type: 'update.progress' as const, written, size: 1 }));
const run: fc.Arbitrary<PageRun> = fc.record({
  address: fc.nat(0xfff).map((page) => page * PAGE_BYTES),
  pages: fc.integer({ min: 1, max: 16 }),
  area: fc.constantFrom(...areas),
  wear: fc.nat(100),
  busyUs: fc.constantFrom(700, 3000),
});
type Step = { event: DeviceEvent } | { run: PageRun };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: operation.map((event) => ({ event })) },
  { weight: 1, arbitrary: fc.oneof(torn, other).map((event) => ({ event })) },
  { weight: 4, arbitrary: run.map((pages) => ({ run: pages })) },
);

/** A log and what it must hold; device time goes on by 5 µs an event, and by what pages take. */
function replay(steps: readonly Step[], limit?: number): { log: EventLog; all: Stamped[] } {
  let now = 0;
  const log = new EventLog(
    () => now,
    () => now,
    limit,
  );
  const all: Stamped[] = [];
  for (const one of steps) {
    now += 5;
    if ('event' in one) {
      all.push({ seq: all.length, atUs: now, ...one.event } as Stamped);
      log.emit(one.event);
      continue;
    }
    const { address, pages, area, wear, busyUs } = one.run;
    log.emitRun(one.run);
    for (let page = 0; page < pages; page++) {
      now += busyUs;
      const at = { address: address + page * PAGE_BYTES, length: PAGE_BYTES, area, stuckBits: 0, wear };
      all.push({ seq: all.length, atUs: now, type: 'flash.program', ...at });
    }
  }
  return { log, all };
}

describe('the log of events', () => {
  test('invariant: what it keeps as numbers comes back as it was told, pages of a run one by one', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.nat(400), fc.nat(50), (steps, seq, count) => {
        const { log, all } = replay(steps);
        expect(log.recent()).toEqual(all);
        expect(log.nextSeq).toBe(all.length);
        for (const type of ['flash.program', 'flash.erase', 'update.progress'] as const) {
          expect(log.recent(type)).toEqual(all.filter((event) => event.type === type));
        }
        expect(log.since(seq, count)).toEqual(all.slice(seq, seq + count));
      }),
      { numRuns: 60 },
    );
  });

  test('invariant: at least the last `limit` are kept, without gaps, and not many more', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 50 }), fc.integer({ min: 1, max: 60 }), (steps, times) => {
        const { log, all } = replay(Array.from({ length: times }, () => steps).flat(), LIMIT);
        expect(log.recent()).toEqual(all.slice(log.oldestSeq));
        expect(all.length - log.oldestSeq).toBeGreaterThanOrEqual(Math.min(all.length, LIMIT));
        expect(all.length - log.oldestSeq).toBeLessThan(LIMIT + 2048);
      }),
      { numRuns: 20 },
    );
  });

  test('a reader without `chip` sees everything but operations of the chip, and a torn one', () => {
    const log = new EventLog(() => 0);
    const seen: string[] = [];
    const stop = log.subscribe((event) => seen.push(event.type), { chip: false });
    const page = { address: 0, length: 256, area: 'app' as const, stuckBits: 0, wear: 0 };
    log.emit({ type: 'flash.program', ...page });
    log.emit({ type: 'sketch.log', text: '' });
    expect(log.showsChip).toBe(false);
    log.emitRun({ address: 0, pages: 2, area: 'app', wear: 0, busyUs: 700 });
    expect(seen).toEqual(['sketch.log']);
    log.emit({ type: 'flash.program', ...page, torn: 8 });
    expect(seen).toEqual(['sketch.log', 'flash.program']);
    stop();
    log.emit({ type: 'sketch.log', text: '' });
    expect(seen).toHaveLength(2);
  });

  test('a reader of the chip closes the door to runs until it ends', () => {
    const log = new EventLog(() => 0);
    const stop = log.subscribe(() => {});
    expect(log.showsChip).toBe(true);
    expect(() => log.emitRun({ address: 0, pages: 1, area: 'app', wear: 0, busyUs: 700 })).toThrow('tell it of each');
    stop();
    stop();
    expect(log.showsChip).toBe(false);
  });

  test('next() finds a page of a run behind `since`', async () => {
    const log = new EventLog(() => 0);
    log.emitRun({ address: 0x1000, pages: 16, area: 'staging', wear: 3, busyUs: 700 });
    const found = await log.next('flash.program', { since: 0, where: ({ address }) => address === 0x1300 });
    expect(found).toMatchObject({ seq: 3, atUs: 2800, wear: 3, length: 256 });
  });
});
