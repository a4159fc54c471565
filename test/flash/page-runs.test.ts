import fc from 'fast-check';
import { expect, test } from 'vitest';
import { referenceKernels } from '../../assembly/host/reference.ts';
import type { Area, FlashEvent } from '../../flash/events.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';
import { NorFlash } from '../../flash/nor-flash.ts';
import type { PageRun } from '../../flash/page-runs.ts';
import { defaultPart } from '../../flash/parts.ts';

const CAPACITY = 0x80000;
/** Those that the operations use. */
const SECTORS = 6;
const areaOf = (address: number): Area => (address < 0x3100 ? 'app' : 'staging');

function makeChip(open: boolean) {
  let now = 0;
  const events: (FlashEvent & { atUs: number })[] = [];
  const mirrored = new Uint8Array(CAPACITY).fill(0xff);
  let runs = 0;
  const chip = new NorFlash({
    part: defaultPart(CAPACITY),
    store: referenceKernels().createChip(CAPACITY),
    clock: { nowUs: () => now, spend: (us) => (now += us), settle: () => undefined },
    emit: (event) => events.push({ ...event, atUs: now }),
    areaOf,
    mirror: { write: (address, data) => mirrored.set(data, address) },
    runs: {
      isOpen: () => open,
      tell: ({ address, pages, area, wear, busyUs }: PageRun) => {
        runs++;
        for (let page = 0; page < pages; page++) {
          const at = { address: address + page * PAGE_BYTES, length: PAGE_BYTES, area, stuckBits: 0, wear };
          events.push({ type: 'flash.program', ...at, atUs: now + (page + 1) * busyUs });
        }
      },
    },
  });
  const write = (address: number, data: Uint8Array): void => {
    if (chip.programRun(address, data)) return;
    for (let done = 0; done < data.length; ) {
      const piece = data.subarray(done, done + PAGE_BYTES - ((address + done) % PAGE_BYTES));
      chip.programPage(address + done, piece);
      done += piece.length;
    }
  };
  // Compared as text: the matcher takes seconds for arrays of this size.
  const latin1 = (bytes: Uint8Array): string =>
    Buffer.from(bytes.subarray(0, SECTORS * SECTOR_BYTES)).toString('latin1');
  const state = () => ({
    cells: latin1(chip.peek(0, CAPACITY)),
    mirrored: latin1(mirrored),
    events: JSON.stringify(events),
    now,
    wear: Array.from({ length: SECTORS + 2 }, (_, sector) => chip.wear(sector)),
  });
  return { chip, write, state, runs: () => runs };
}

const operation = fc.oneof(
  fc.record({ erase: fc.nat(SECTORS - 1) }),
  fc.record({
    address: fc.oneof(
      fc.nat(SECTORS * 16 - 1).map((page) => page * PAGE_BYTES),
      fc.nat(SECTORS * SECTOR_BYTES - 1),
    ),
    length: fc.oneof(
      fc.integer({ min: 1, max: 16 }).map((pages) => pages * PAGE_BYTES),
      fc.integer({ min: 1, max: 600 }),
    ),
    seed: fc.nat(255),
  }),
);

test('invariant: pages at once leave the cells, events, times, wear and mirror that pages one by one leave', () => {
  let runs = 0;
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
      const quick = makeChip(true);
      const plain = makeChip(false);
      for (const { chip, write } of [quick, plain]) {
        for (const one of operations) {
          if ('erase' in one) chip.eraseSector(one.erase);
          else
            write(
              one.address,
              Uint8Array.from({ length: one.length }, (_, i) => (one.seed * (i + 1)) & 0xff),
            );
        }
      }
      expect(quick.state()).toEqual(plain.state());
      runs += quick.runs();
      expect(plain.runs()).toBe(0);
    }),
    { numRuns: 60 },
  );
  expect(runs).toBeGreaterThan(0);
});

test('an armed fault, a part of a page, cells that were programmed, and two areas go page by page', () => {
  const { chip, runs } = makeChip(true);
  const sector = new Uint8Array(SECTOR_BYTES).fill(0x5a);
  chip.faults = { armed: true, decide: () => undefined };
  expect(chip.programRun(0, sector)).toBe(false);
  chip.faults = { decide: () => undefined };
  expect(chip.programRun(0, sector)).toBe(false);
  chip.faults = { armed: false, decide: () => undefined };
  expect(chip.programRun(1, sector.subarray(0, 256))).toBe(false);
  expect(chip.programRun(0, sector.subarray(0, 255))).toBe(false);
  expect(chip.programRun(0, sector.subarray(0, 0))).toBe(false);
  expect(chip.programRun(0x100, sector)).toBe(false);
  expect(chip.programRun(0x3000, sector)).toBe(false);
  expect(chip.programRun(CAPACITY, sector)).toBe(false);
  expect(runs()).toBe(0);
  expect(chip.programRun(0, sector)).toBe(true);
  expect(chip.programRun(0, sector)).toBe(false);
  expect(runs()).toBe(1);
});
