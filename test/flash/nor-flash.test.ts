/** The chip's physics. Spec chapter 01 §1; fault and mirror rules of design.md §8. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadKernels } from '../../assembly/host/load.ts';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { areaOf } from '../../flash/areas.ts';
import { CHIP_MAX_BYTES, CHIP_MIN_BYTES, PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';
import { layoutByName } from '../../flash/layouts.ts';
import type { FlashFault, FlashOperation } from '../../flash/nor-flash.ts';
import { defaultPart, partById } from '../../flash/parts.ts';
import { PowerLost } from '../../flash/ports.ts';
import { tornErase, tornProgram } from '../../flash/tearing.ts';
import { type ChipOptions, expectBytes, makeChip, type TestChip } from '../support/flash.ts';

const CAPACITY = 0x80000;
/** Properties look at the first sectors and at the last one. */
const WINDOW = 3 * SECTOR_BYTES;

type Step =
  | { do: 'erase'; sector: number }
  | { do: 'program'; address: number; data: Uint8Array }
  | { do: 'load'; address: number; data: Uint8Array };
const erases: fc.Arbitrary<Step> = fc.record({ do: fc.constant('erase' as const), sector: fc.nat(2) });
const programs: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('program' as const),
  address: fc.nat(WINDOW - 1),
  data: fc.uint8Array({ minLength: 1, maxLength: PAGE_BYTES }),
});
const loads: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('load' as const),
  address: fc.nat(WINDOW - 1),
  data: fc.uint8Array({ maxLength: 2 * SECTOR_BYTES }),
});
const faults: fc.Arbitrary<FlashFault | undefined> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom<FlashFault>({ do: 'fail' }, { do: 'drop' }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('stop' as const),
      point: fc.constantFrom('before' as const, 'after' as const),
      with: fc.constant(new PowerLost('fault')),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('tear' as const),
      bits: fc.nat(SECTOR_BYTES * 8),
      with: fc.constant(new PowerLost('fault')),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stick' as const), mask: fc.uint8Array({ maxLength: 300 }) }) },
);

function run({ chip }: TestChip, step: Step): boolean {
  try {
    if (step.do === 'erase') chip.eraseSector(step.sector);
    else if (step.do === 'program') chip.programPage(step.address, step.data);
    else chip.load(step.address, step.data);
    return true;
  } catch (error) {
    if (!(error instanceof PowerLost)) throw error;
    return false;
  }
}

/** What programming `data` at `address` touches: chip addresses in the data's order, wrapping inside the page. */
const pageAddresses = (address: number, length: number): number[] => {
  const page = address - (address % PAGE_BYTES);
  return Array.from({ length }, (_, i) => page + ((address - page + i) % PAGE_BYTES));
};

const bitCount = (byte: number): number => byte.toString(2).replaceAll('0', '').length;

describe('physics', () => {
  test('invariant: without an erase, no bit ever goes from 0 to 1', () => {
    fc.assert(
      fc.property(fc.array(programs, { maxLength: 20 }), (steps) => {
        const made = makeChip({ capacity: CAPACITY });
        for (const step of steps) {
          const before = made.chip.peek(0, WINDOW);
          run(made, step);
          expect(made.chip.peek(0, WINDOW).every((byte, i) => (byte & ~before[i]!) === 0)).toBe(true);
        }
      }),
    );
  });

  test('invariant: a program ANDs its data into its page and counts the ones that stayed 0; no other cell changes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(erases, programs), { maxLength: 20 }), (steps) => {
        const { chip, events } = makeChip({ capacity: CAPACITY });
        const model = new Uint8Array(WINDOW).fill(0xff);
        for (const step of steps) {
          if (step.do === 'erase') {
            expect(chip.eraseSector(step.sector)).toEqual({ ok: true, stuckBits: 0 });
            model.fill(0xff, step.sector * SECTOR_BYTES, (step.sector + 1) * SECTOR_BYTES);
          } else if (step.do === 'program') {
            let stuckBits = 0;
            for (const [i, at] of pageAddresses(step.address, step.data.length).entries()) {
              stuckBits += bitCount(step.data[i]! & ~model[at]!);
              model[at]! &= step.data[i]!;
            }
            expect(chip.programPage(step.address, step.data)).toEqual({ ok: true, stuckBits });
            expect(events.at(-1)).toMatchObject({ type: 'flash.program', stuckBits, length: step.data.length });
          }
        }
        expectBytes(chip.peek(0, WINDOW), model);
        expect(events).toHaveLength(steps.length);
      }),
    );
  });

  test('a program that runs past the end of its page goes on at the start of that page', () => {
    const { chip, events } = makeChip({ capacity: CAPACITY });
    chip.programPage(0x12fe, Uint8Array.of(1, 2, 3, 4));
    expect([...chip.peek(0x12fe, 2)]).toEqual([1, 2]);
    expect([...chip.peek(0x1200, 2)]).toEqual([3, 4]);
    expect([...chip.peek(0x1300, 2)]).toEqual([0xff, 0xff]);
    expect(events).toMatchObject([{ type: 'flash.program', address: 0x12fe, length: 4 }]);
  });

  test.each([CHIP_MIN_BYTES, 0x100000, 0x200000, 0x400000, 0x800000, CHIP_MAX_BYTES])(
    'a chip of %i bytes: addresses wrap modulo the capacity, the last sector works',
    (capacity) => {
      const { chip } = makeChip({ capacity });
      const last = capacity / SECTOR_BYTES - 1;
      chip.programPage(capacity - 4, Uint8Array.of(1, 2, 3, 4));
      chip.programPage(capacity + 0x100, Uint8Array.of(5));
      const target = new Uint8Array(6);
      expect(chip.read(2 * capacity - 4, target)).toBe(true);
      expect([...target]).toEqual([1, 2, 3, 4, 0xff, 0xff]);
      expect(chip.peek(0x100, 1)[0]).toBe(5);
      chip.eraseSector(last + (last + 1));
      expect(chip.peek(capacity - 4, 4)).toEqual(new Uint8Array(4).fill(0xff));
      expect([chip.wear(last), chip.sectorCount]).toEqual([1, last + 1]);
    },
  );

  test('a read longer than the chip goes round it', () => {
    const { chip } = makeChip({ capacity: CAPACITY });
    chip.load(CAPACITY - 1, Uint8Array.of(7));
    const target = new Uint8Array(2 * CAPACITY + 2);
    chip.read(CAPACITY - 1, target);
    expect([target[0], target[1], target[CAPACITY], target[2 * CAPACITY], target[2 * CAPACITY + 1]]).toEqual([
      7, 0xff, 7, 7, 0xff,
    ]);
  });

  test.each<[string, (made: TestChip) => unknown]>([
    ['nothing', ({ chip }) => chip.programPage(0, new Uint8Array(0))],
    ['more than a page', ({ chip }) => chip.programPage(0, new Uint8Array(257))],
    ['a negative address', ({ chip }) => chip.programPage(-1, new Uint8Array(1))],
    ['half an address', ({ chip }) => chip.read(0.5, new Uint8Array(1))],
    ['no sector', ({ chip }) => chip.eraseSector(-1)],
    ['half a sector', ({ chip }) => chip.eraseSector(Number.NaN)],
    ['a sector without wear', ({ chip }) => chip.wear(128)],
    ['a look behind the chip', ({ chip }) => chip.peek(CAPACITY, 1)],
    ['a load behind the chip', ({ chip }) => chip.load(CAPACITY - 1, new Uint8Array(2))],
    ['wear of another chip', ({ chip }) => chip.restoreWear(new Uint32Array(1))],
  ])('%s cannot be put on the bus: RangeError, and the chip is as before', (_, call) => {
    const made = makeChip({ capacity: CAPACITY });
    expect(() => call(made)).toThrow(RangeError);
    expect([made.events, made.clock.nowUs(), made.store.isBlank(0, CAPACITY)]).toEqual([[], 0, true]);
  });

  test('a chip of an impossible capacity is refused', () => {
    for (const capacityBytes of [0x40000, 0x300000, 0x2000000]) {
      const store = { ...referenceKernels().createChip(CAPACITY), capacityBytes };
      expect(() => makeChip({ store, part: defaultPart(CAPACITY) })).toThrow(/512 KiB to 16 MiB/);
    }
  });

  test('a relabelled chip wraps where its cells end, whatever its id claims', () => {
    const { chip } = makeChip({ capacity: 0x100000, part: partById(0x1640ef) });
    chip.programPage(0x300000, Uint8Array.of(9));
    expect([chip.capacityBytes, chip.peek(0, 1)[0]]).toEqual([0x100000, 9]);
  });
});

describe('time, wear, events', () => {
  test('each operation takes its time and is one event', () => {
    const layout = layoutByName('1m64');
    const made = makeChip({ capacity: 0x100000, areaOf: (address) => areaOf(layout, address) });
    const { chip, clock, events } = made;
    const times = [0];
    const tick = () => times.push(clock.nowUs());
    chip.eraseSector(0);
    tick();
    chip.programPage(0x1000, new Uint8Array(256));
    tick();
    chip.programPage(0x1000, Uint8Array.of(0xff));
    tick();
    chip.read(0, new Uint8Array(4096));
    tick();
    chip.read(0, new Uint8Array(1));
    tick();
    chip.eraseSector(0);
    chip.eraseSector(0xfb);
    expect(times.slice(1).map((at, i) => at - times[i]!)).toEqual([45_000, 700, 700, 600, 1]);
    expect(events).toEqual([
      { type: 'flash.erase', address: 0, length: 4096, area: 'eboot', stuckBits: 0, wear: 1 },
      { type: 'flash.program', address: 0x1000, length: 256, area: 'app', stuckBits: 0, wear: 0 },
      { type: 'flash.program', address: 0x1000, length: 1, area: 'app', stuckBits: 8, wear: 0 },
      { type: 'flash.erase', address: 0, length: 4096, area: 'eboot', stuckBits: 0, wear: 2 },
      { type: 'flash.erase', address: 0xfb000, length: 4096, area: 'eeprom', stuckBits: 0, wear: 1 },
    ]);
  });

  test('wear is counted by sector, and can be saved and put back', () => {
    const { chip } = makeChip({ capacity: CAPACITY });
    for (const sector of [0, 5, 5]) chip.eraseSector(sector);
    const saved = chip.wearCounts();
    chip.eraseSector(5);
    expect([chip.wear(0), chip.wear(5), chip.wear(6)]).toEqual([1, 3, 0]);
    chip.restoreWear(saved);
    expect([chip.wear(0), chip.wear(5), chip.wear(6)]).toEqual([1, 2, 0]);
    chip.eraseSector(5);
    expect(saved[5]).toBe(2);
  });

  test('peek and load take no time, are no events, and wear nothing', () => {
    const { chip, clock, events } = makeChip({ capacity: CAPACITY });
    chip.load(0xff0, new Uint8Array(32).fill(0x55));
    chip.load(0xff0, new Uint8Array(32).fill(0xaa));
    expect(chip.peek(0xff0, 32)).toEqual(new Uint8Array(32).fill(0xaa));
    expect([clock.nowUs(), events, chip.wear(0)]).toEqual([0, [], 0]);
  });
});

/** A chip whose operations meet the given faults in turn. */
function faulty(list: (FlashFault | undefined)[], options: ChipOptions = {}) {
  const seen: FlashOperation[] = [];
  const made = makeChip({
    capacity: CAPACITY,
    faults: {
      decide: (operation) => {
        seen.push({ ...operation });
        return list.shift();
      },
    },
    ...options,
  });
  return { ...made, seen };
}

describe('faults', () => {
  const cut = new PowerLost('fault');

  test('the hook sees every operation before it happens, with its address on the chip', () => {
    const { chip, seen } = faulty([]);
    const data = Uint8Array.of(1, 2);
    chip.eraseSector(CAPACITY / SECTOR_BYTES + 2);
    chip.programPage(CAPACITY + 3, data);
    chip.read(CAPACITY + 4, new Uint8Array(8));
    expect(seen).toEqual([
      { kind: 'erase', address: 2 * SECTOR_BYTES, length: SECTOR_BYTES },
      { kind: 'program', address: 3, length: 2, data },
      { kind: 'read', address: 4, length: 8 },
    ]);
  });

  test('fail: the driver sees an error, the cells do not change, nothing is told', () => {
    const { chip, events } = faulty([{ do: 'fail' }, { do: 'fail' }, { do: 'fail' }]);
    chip.load(0, Uint8Array.of(0x0f));
    const target = Uint8Array.of(0x77);
    expect(chip.programPage(0, Uint8Array.of(0))).toEqual({ ok: false, stuckBits: 0 });
    expect(chip.eraseSector(0)).toEqual({ ok: false, stuckBits: 0 });
    expect(chip.read(0, target)).toBe(false);
    expect([chip.peek(0, 1)[0], target[0], events, chip.wear(0)]).toEqual([0x0f, 0x77, [], 0]);
  });

  test('drop: the driver sees success, the cells (or the buffer) do not change, nothing is told', () => {
    const { chip, events, clock } = faulty([{ do: 'drop' }, { do: 'drop' }, { do: 'drop' }]);
    chip.load(0, Uint8Array.of(0x0f));
    const target = Uint8Array.of(0x77);
    expect(chip.programPage(0, Uint8Array.of(0))).toEqual({ ok: true, stuckBits: 0 });
    expect(chip.eraseSector(0)).toEqual({ ok: true, stuckBits: 0 });
    expect(chip.read(0, target)).toBe(true);
    expect([chip.peek(0, 1)[0], target[0], events, chip.wear(0)]).toEqual([0x0f, 0x77, [], 0]);
    expect(clock.nowUs()).toBe(45_000 + 700 + 1);
  });

  test.each(['before', 'after'] as const)('stop %s: the operation happens whole or not at all', (point) => {
    const stop: FlashFault = { do: 'stop', point, with: cut };
    const { chip, events } = faulty([stop, stop, stop]);
    const happened = point === 'after';
    chip.load(0x1000, Uint8Array.of(0));
    expect(() => chip.programPage(0, Uint8Array.of(0x12))).toThrow(cut);
    expect(() => chip.eraseSector(1)).toThrow(cut);
    expect(() => chip.read(0, new Uint8Array(4))).toThrow(cut);
    expect([chip.peek(0, 1)[0], chip.peek(0x1000, 1)[0]]).toEqual(happened ? [0x12, 0xff] : [0xff, 0]);
    expect([events.length, chip.wear(1)]).toEqual(happened ? [2, 1] : [0, 0]);
  });

  test('tear: the torn state of the pure function is in the cells and the mirror before the power is gone', () => {
    const tear = fc.record({
      address: fc.nat(WINDOW - 1),
      data: fc.uint8Array({ minLength: 1, maxLength: PAGE_BYTES }),
      bits: fc.nat(PAGE_BYTES * 8),
      old: fc.uint8Array({ minLength: PAGE_BYTES, maxLength: PAGE_BYTES }),
    });
    fc.assert(
      fc.property(tear, ({ address, data, bits, old }) => {
        const mirror = new Uint8Array(CAPACITY).fill(0xff);
        const { chip, events } = faulty([{ do: 'tear', bits, with: cut }], {
          mirror: { write: (at, bytes) => mirror.set(bytes, at) },
        });
        chip.load(address - (address % PAGE_BYTES), old);
        const at = pageAddresses(address, data.length);
        const before = chip.peek(0, WINDOW);
        const expected = before.slice();
        const torn = tornProgram(
          Uint8Array.from(at, (i) => before[i]!),
          data,
          bits,
        );
        for (const [i, cell] of at.entries()) expected[cell] = torn[i]!;
        expect(() => chip.programPage(address, data)).toThrow(cut);
        expectBytes(chip.peek(0, WINDOW), expected, 'cells');
        expectBytes(mirror.subarray(0, WINDOW), expected, 'mirror');
        expect(events).toMatchObject([{ type: 'flash.program', address, torn: Math.min(bits, data.length * 8) }]);
      }),
    );
  });

  test.each([0, 1, 4095, 16_384, 32_767, 32_768, 99_999])('tear: an erase cut after %i bits', (bits) => {
    const mirror = new Uint8Array(CAPACITY).fill(0xff);
    const { chip, events, clock } = faulty([{ do: 'tear', bits, with: cut }], {
      mirror: { write: (at, bytes) => mirror.set(bytes, at) },
    });
    const old = Uint8Array.from({ length: SECTOR_BYTES }, (_, i) => (i * 37) & 0xff);
    chip.load(SECTOR_BYTES, old);
    expect(() => chip.eraseSector(1)).toThrow(cut);
    expectBytes(chip.peek(SECTOR_BYTES, SECTOR_BYTES), tornErase(old, bits));
    expectBytes(mirror, chip.peek(0, CAPACITY), 'mirror');
    expect(events).toMatchObject([{ type: 'flash.erase', wear: 1, torn: Math.min(bits, 32_768) }]);
    expect(clock.nowUs()).toBe(Math.floor((45_000 * Math.min(bits, 32_768)) / 32_768));
  });

  test('tear: half a read leaves the flash alone', () => {
    const { chip, events } = faulty([{ do: 'tear', bits: 4, with: cut }]);
    expect(() => chip.read(0, new Uint8Array(4))).toThrow(cut);
    expect([events, chip.store.isBlank(0, CAPACITY)]).toEqual([[], true]);
  });

  test('stick: worn bits do not program, are 0 after an erase, and read as 0', () => {
    const mask = Uint8Array.of(0xf0, 0x01);
    const { chip, events } = faulty([{ do: 'stick', mask }, { do: 'stick', mask }, undefined, { do: 'stick', mask }]);
    expect(chip.programPage(0, Uint8Array.of(0, 0, 0))).toEqual({ ok: true, stuckBits: 0 });
    expect([...chip.peek(0, 3)]).toEqual([0xf0, 0x01, 0]);
    expect(chip.eraseSector(0)).toEqual({ ok: true, stuckBits: 5 });
    expect([...chip.peek(0, 3)]).toEqual([0x0f, 0xfe, 0xff]);
    expect(chip.programPage(0, Uint8Array.of(0xff))).toEqual({ ok: true, stuckBits: 4 });
    const target = new Uint8Array(3);
    expect(chip.read(1, target)).toBe(true);
    expect([...target]).toEqual([0x0e, 0xfe, 0xff]);
    expect(events.map(({ stuckBits }) => stuckBits)).toEqual([0, 5, 4]);
  });
});

describe('mirror', () => {
  test('invariant: after whatever happens it equals the cells, and no write crosses a sector', () => {
    const steps = fc.array(fc.tuple(fc.oneof(erases, programs, loads), faults), { maxLength: 25 });
    fc.assert(
      fc.property(steps, (list) => {
        const mirror = new Uint8Array(CAPACITY).fill(0xff);
        let fault: FlashFault | undefined;
        const made = makeChip({
          capacity: CAPACITY,
          faults: { decide: () => fault },
          mirror: {
            write: (address, data) => {
              expect(data.length).toBeGreaterThan(0);
              expect(Math.floor(address / SECTOR_BYTES)).toBe(Math.floor((address + data.length - 1) / SECTOR_BYTES));
              mirror.set(data, address);
            },
          },
        });
        for (const [step, next] of list) {
          fault = next;
          run(made, step);
          expectBytes(mirror.subarray(0, 2 * WINDOW), made.chip.peek(0, 2 * WINDOW));
        }
        expectBytes(mirror, made.chip.peek(0, CAPACITY));
      }),
    );
  });
});

test('both kernels make the same chip: cells, stuck bits, events', () => {
  const steps = fc.array(fc.tuple(fc.oneof(erases, programs), faults), { maxLength: 25 });
  fc.assert(
    fc.property(steps, (list) => {
      const [plain, wasm] = [referenceKernels(), loadKernels()].map((kernels) => {
        let fault: FlashFault | undefined;
        const made = makeChip({ store: kernels.createChip(CAPACITY), faults: { decide: () => fault } });
        const finished = list.map(([step, next]) => {
          fault = next;
          return run(made, step);
        });
        return { finished, cells: made.chip.peek(0, CAPACITY), events: made.events, us: made.clock.nowUs() };
      });
      expectBytes(wasm!.cells, plain!.cells);
      expect({ ...wasm, cells: 0 }).toEqual({ ...plain, cells: 0 });
    }),
    { numRuns: 40 },
  );
});
