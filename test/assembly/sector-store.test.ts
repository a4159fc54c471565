import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SectorStore } from '../../assembly/host/kernels.ts';
import { instantiateKernels, loadKernels } from '../../assembly/host/load.ts';
import { crc32 } from '../../assembly/host/reference.ts';
import { WasmSectorStore } from '../../assembly/host/sector-store.ts';
import { hex, implementations, noise } from './support.ts';

const SECTOR = 0x1000;
const MIB = 0x100000;
const START = 0xffffffff;

/** How many bits of a byte are 1. */
const ones = Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

/** What the store must be, without sharing: an open branch is another list of sectors, a change makes a new sector. */
class Model {
  levels: Uint8Array[][];
  touched: Set<number>[] = [];

  constructor(capacityBytes: number) {
    this.levels = [Array.from({ length: capacityBytes / SECTOR }, () => new Uint8Array(SECTOR).fill(0xff))];
  }

  get now(): Uint8Array[] {
    return this.levels.at(-1)!;
  }

  read(address: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => this.now[(address + i) >> 12]![(address + i) & 0xfff]!);
  }

  /** Applies `rule` to each byte; returns the sum of what `count` says. */
  change(address: number, data: Uint8Array, rule: (cell: number, byte: number) => number): number {
    let stuckBits = 0;
    data.forEach((byte, i) => {
      const sector = (address + i) >> 12;
      if (i === 0 || ((address + i) & 0xfff) === 0) this.set(sector, this.now[sector]!.slice());
      const cells = this.now[sector]!;
      const at = (address + i) & 0xfff;
      stuckBits += ones[byte & ~cells[at]!]!;
      cells[at] = rule(cells[at]!, byte);
    });
    return stuckBits;
  }

  set(sector: number, bytes: Uint8Array): void {
    this.now[sector] = bytes;
    this.touched.at(-1)?.add(sector);
  }

  fork(): void {
    this.levels.push([...this.now]);
    this.touched.push(new Set());
  }

  drop(): void {
    this.levels.pop();
    this.touched.pop();
  }

  commit(): void {
    const [level, touched] = [this.levels.pop()!, this.touched.pop()!];
    this.levels[this.levels.length - 1] = level;
    for (const sector of touched) this.touched.at(-1)?.add(sector);
  }
}

type Step =
  | { do: 'fork' | 'drop' | 'commit' }
  | { do: 'program' | 'overwrite'; sector: number; offset: number; length: number; seed: number }
  | { do: 'erase'; sector: number }
  | { do: 'copy'; from: number; to: number };

/** Few sectors, so that branches meet in them: the ends of the chip, and neighbours, so that ranges cross. */
const sectorOf = (capacity: number) => {
  const last = capacity / SECTOR - 1;
  return fc.constantFrom(0, 1, 2, 3, 5, 17, last - 2, last - 1, last);
};

function steps(capacity: number): fc.Arbitrary<Step[]> {
  const sector = sectorOf(capacity);
  const write = fc.record({
    do: fc.constantFrom('program' as const, 'overwrite' as const),
    sector,
    offset: fc.oneof(fc.constant(0), fc.nat(SECTOR - 1)),
    length: fc.oneof(fc.nat(40), fc.constantFrom(256, SECTOR, 2 * SECTOR), fc.nat(3 * SECTOR)),
    seed: fc.nat(1000),
  });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('fork' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('drop' as const, 'commit' as const) }) },
    { weight: 5, arbitrary: write },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('erase' as const), sector }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('copy' as const), from: sector, to: sector }) },
  );
  return fc.array(step, { minLength: 5, maxLength: 60 });
}

/** Does a step to both, if it can be done. */
function apply(step: Step, store: SectorStore, model: Model): void {
  switch (step.do) {
    case 'fork':
      model.fork();
      expect(store.fork()).toBe(model.touched.length);
      return;
    case 'drop':
    case 'commit':
      if (model.touched.length === 0) return;
      model[step.do]();
      store[step.do]();
      return;
    case 'program':
    case 'overwrite': {
      const address = step.sector * SECTOR + step.offset;
      const data = noise(Math.min(step.length, store.capacityBytes - address), step.seed);
      if (step.do === 'overwrite') {
        store.overwrite(address, data);
        model.change(address, data, (_cell, byte) => byte);
      } else {
        expect(store.program(address, data)).toBe(model.change(address, data, (cell, byte) => cell & byte));
      }
      return;
    }
    case 'erase':
      store.eraseSector(step.sector);
      model.set(step.sector, new Uint8Array(SECTOR).fill(0xff));
      return;
    case 'copy':
      store.copySector(step.from, step.to);
      model.set(step.to, model.now[step.from]!.slice());
      return;
    default:
      step satisfies never;
  }
}

/** Everything the store says about itself is what the model says. */
function check(store: SectorStore, model: Model, sectors: number[]): void {
  expect(store.depth).toBe(model.touched.length);
  expect(store.touchedSectors()).toEqual([...(model.touched.at(-1) ?? [])].sort((a, b) => a - b));
  for (const sector of sectors) {
    expect(hex(store.read(sector * SECTOR, SECTOR)), `sector ${sector}`).toBe(hex(model.now[sector]!));
  }
}

/** Three branches deep, with sectors that one, two or all of them changed, closed in each way. */
const nested = (last: 'drop' | 'commit'): Step[] => [
  { do: 'overwrite', sector: 0, offset: 0, length: 3 * SECTOR, seed: 1 },
  { do: 'fork' },
  { do: 'overwrite', sector: 1, offset: 0, length: SECTOR, seed: 2 },
  { do: 'erase', sector: 3 },
  { do: 'fork' },
  { do: 'program', sector: 1, offset: 9, length: 2 * SECTOR, seed: 3 },
  { do: 'copy', from: 1, to: 5 },
  { do: 'fork' },
  { do: 'copy', from: 5, to: 3 },
  { do: 'erase', sector: 1 },
  { do: 'program', sector: 17, offset: 0, length: 40, seed: 4 },
  { do: 'commit' },
  { do: 'program', sector: 17, offset: 20, length: 40, seed: 5 },
  { do: 'commit' },
  { do: 'erase', sector: 0 },
  { do: last },
];

describe.each(implementations)('sector store, %s', (_, make) => {
  test.each([
    ['512 KiB', 0x80000, 60],
    ['16 MiB', 16 * MIB, 10],
  ])('invariant: after any steps the store is what the model is, %s', (_size, capacity, numRuns) => {
    const last = capacity / SECTOR - 1;
    const sectors = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, last - 3, last - 2, last - 1, last];
    fc.assert(
      fc.property(steps(capacity), (list) => {
        const store = make().createChip(capacity);
        const model = new Model(capacity);
        for (const step of list) {
          apply(step, store, model);
          if (step.do === 'drop' || step.do === 'commit') check(store, model, sectors);
        }
        check(store, model, sectors);
        while (model.touched.length > 0) {
          apply({ do: list.length % 2 ? 'drop' : 'commit' }, store, model);
          check(store, model, sectors);
        }
      }),
      { numRuns, examples: [[nested('drop')], [nested('commit')]] },
    );
  });

  test('invariant: questions about ranges give what the bytes give, however the sectors lie', () => {
    const capacity = 0x80000;
    const range = fc.tuple(fc.nat(24 * SECTOR), fc.oneof(fc.nat(100), fc.nat(24 * SECTOR)));
    fc.assert(
      fc.property(steps(capacity), fc.array(range, { minLength: 1, maxLength: 5 }), (list, ranges) => {
        const kernels = make();
        const store = kernels.createChip(capacity);
        const model = new Model(capacity);
        for (const step of list) apply(step, store, model);
        for (const [address, length] of ranges) {
          const bytes = model.read(address, length);
          expect(hex(store.read(address, length))).toBe(hex(bytes));
          expect(store.crc32(address, length)).toBe(crc32(bytes, 0, length, START));
          expect(store.crc32(address, length, 7)).toBe(crc32(bytes, 0, length, 7));
          expect(store.equals(address, bytes)).toBe(true);
          expect(store.isBlank(address, length)).toBe(bytes.every((byte) => byte === 0xff));
          expect(hex(kernels.md5().updateFromChip(store, address, length).digest())).toBe(
            hex(kernels.md5().update(bytes).digest()),
          );
          if (length === 0) continue;
          const other = bytes.slice();
          other[length >> 1]! ^= 1;
          expect(store.equals(address, other)).toBe(false);
        }
      }),
      { numRuns: 25 },
    );
  });

  test('invariant: without an erase no bit of the chip goes 0 -> 1', () => {
    const write = fc.tuple(fc.nat(3 * SECTOR), fc.uint8Array({ minLength: 1, maxLength: 300 }));
    fc.assert(
      fc.property(fc.array(write, { maxLength: 20 }), fc.array(fc.boolean(), { maxLength: 20 }), (writes, forks) => {
        const store = make().createChip(0x80000);
        let before = store.read(0, 4 * SECTOR);
        writes.forEach(([address, data], i) => {
          if (forks[i]) store.fork();
          store.program(address, data);
          const after = store.read(0, 4 * SECTOR);
          expect(after.every((byte, at) => (byte & ~before[at]!) === 0)).toBe(true);
          before = after;
        });
        while (store.depth > 0) store.commit();
        expect(hex(store.read(0, 4 * SECTOR))).toBe(hex(before));
      }),
      { numRuns: 40 },
    );
  });

  test('a new chip is blank, whatever its size', () => {
    for (const capacity of [SECTOR, 0x80000, MIB, 4 * MIB, 16 * MIB]) {
      const store = make().createChip(capacity);
      expect([store.capacityBytes, store.depth, store.touchedSectors()]).toEqual([capacity, 0, []]);
      expect(store.isBlank(0, capacity)).toBe(true);
      store.program(capacity - 1, Uint8Array.of(0xfe));
      expect(store.isBlank(0, capacity)).toBe(false);
      expect(store.isBlank(0, capacity - 1)).toBe(true);
    }
  });

  test('writes longer than the kernel is lent at once', () => {
    const store = make().createChip(MIB);
    const data = noise(300_000, 3);
    expect(store.program(1234, data)).toBe(0);
    expect(store.equals(1234, data)).toBe(true);
    store.overwrite(4321, data);
    expect(hex(store.read(4321, data.length))).toBe(hex(data));
    const bits = data.reduce((sum, byte) => sum + ones[byte ^ 0xff]!, 0);
    expect(store.program(4321, new Uint8Array(data.length).fill(0xff))).toBe(bits);
  });

  test('a copied sector is its own: what happens to the other afterwards is not seen', () => {
    const store = make().createChip(0x80000);
    const data = noise(SECTOR, 6);
    store.overwrite(2 * SECTOR, data);
    store.fork();
    store.copySector(2, 9);
    store.eraseSector(2);
    expect(store.equals(9 * SECTOR, data)).toBe(true);
    store.copySector(9, 9);
    store.copySector(9, 2);
    store.program(9 * SECTOR, new Uint8Array(SECTOR));
    expect(store.equals(2 * SECTOR, data)).toBe(true);
    expect(store.touchedSectors()).toEqual([2, 9]);
    store.copySector(3, 3);
    expect(store.isBlank(3 * SECTOR, SECTOR)).toBe(true);
    store.drop();
    expect(store.isBlank(9 * SECTOR, SECTOR)).toBe(true);
    expect(store.equals(2 * SECTOR, data)).toBe(true);
  });

  test('the bytes given are taken, not kept', () => {
    const store = make().createChip(0x80000);
    const data = noise(300);
    const kept = data.slice();
    store.overwrite(0, data);
    data.fill(0);
    expect(store.equals(0, kept)).toBe(true);
    const read = store.read(0, 300);
    read.fill(0);
    expect(store.equals(0, kept)).toBe(true);
  });

  test('a range that is not inside the chip is refused by every method, and changes nothing', () => {
    const store = make().createChip(0x80000);
    const two = new Uint8Array(2);
    const bad: [number, number][] = [
      [0x7ffff, 2],
      [-1, 2],
      [0x80001, 0],
      [1.5, 2],
      [Number.NaN, 2],
      [0x100000000, 2],
    ];
    for (const [address, length] of bad) {
      const data = two.subarray(0, length);
      expect(() => store.read(address, length)).toThrow(RangeError);
      expect(() => store.readInto(address, data)).toThrow(RangeError);
      expect(() => store.program(address, data)).toThrow(RangeError);
      expect(() => store.overwrite(address, data)).toThrow(RangeError);
      expect(() => store.isBlank(address, length)).toThrow(RangeError);
      expect(() => store.equals(address, data)).toThrow(RangeError);
      expect(() => store.crc32(address, length)).toThrow(RangeError);
    }
    for (const length of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => store.read(0, length)).toThrow('are not inside a chip of 524288 bytes');
    }
    for (const sector of [-1, 128, 0.5]) {
      expect(() => store.eraseSector(sector)).toThrow(`eraseSector(${sector}): the chip has 128 sectors`);
      expect(() => store.copySector(sector, 0)).toThrow(RangeError);
      expect(() => store.copySector(0, sector)).toThrow(RangeError);
    }
    expect(store.isBlank(0, 0x80000)).toBe(true);
    expect(store.read(0x80000, 0)).toHaveLength(0);
  });

  test('one chip an instance, of a size that chips have; branches are closed as often as opened, at most 1024', () => {
    const kernels = make();
    for (const size of [0, SECTOR + 1, 16 * MIB + SECTOR, -SECTOR, Number.NaN]) {
      expect(() => kernels.createChip(size)).toThrow(RangeError);
    }
    const store = kernels.createChip(0x80000);
    expect(() => kernels.createChip(0x80000)).toThrow('has a chip of 524288 bytes already');
    expect(() => store.drop()).toThrow('no branch is open');
    expect(() => store.commit()).toThrow('no branch is open');
    for (let depth = 1; depth <= 1024; depth++) expect(store.fork()).toBe(depth);
    expect(() => store.fork()).toThrow(RangeError);
    store.overwrite(5, Uint8Array.of(1, 2, 3));
    for (let depth = 1024; depth > 0; depth--) store.commit();
    expect(store.read(5, 3)).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe('sector store, memory', () => {
  const bytesOf = (store: WasmSectorStore) => store.instance.memory.buffer.byteLength;

  test('invariant: 100,000 branches that erase, program, nest, commit and are dropped need the memory of a few', () => {
    const store = new WasmSectorStore(instantiateKernels(), 4 * MIB);
    const page = noise(256);
    const round = (i: number) => {
      store.fork();
      for (let sector = 0; sector < 4; sector++) store.eraseSector((i + sector) % 1024);
      store.fork();
      store.program((i % 1024) * SECTOR, page);
      store.copySector(i % 1024, (i + 7) % 1024);
      if (i % 2) store.commit();
      else store.drop();
      store.drop();
    };
    for (let i = 0; i < 100; i++) round(i);
    const before = bytesOf(store);
    for (let i = 0; i < 100_000; i++) round(i);
    expect(bytesOf(store)).toBe(before);
    expect(store.isBlank(0, 4 * MIB)).toBe(true);
  });

  test('invariant: a branch that commits to the chip again and again needs no more memory', () => {
    const store = new WasmSectorStore(instantiateKernels(), 0x80000);
    const round = (i: number) => {
      store.fork();
      store.overwrite((i * 13) % 0x7f000, noise(64, i));
      store.commit();
    };
    for (let i = 0; i < 10; i++) round(i);
    const before = bytesOf(store);
    for (let i = 0; i < 20_000; i++) round(i);
    expect(bytesOf(store)).toBe(before);
  });

  test('a branch may change every sector of the largest chip, twice nested; the views follow the memory', () => {
    const kernels = loadKernels();
    const store = kernels.createChip(16 * MIB);
    const stream = kernels.md5().update(noise(10));
    const data = noise(MIB, 8);
    for (let depth = 0; depth < 2; depth++) {
      store.fork();
      for (let at = 0; at < 16 * MIB; at += MIB) store.overwrite(at, data.subarray(0, MIB - depth));
    }
    for (let at = 0; at < 16 * MIB; at += MIB) expect(store.equals(at, data)).toBe(true);
    expect(store.touchedSectors()).toHaveLength(4096);
    expect(hex(stream.digest())).toBe(hex(kernels.md5().update(noise(10)).digest()));
    store.commit();
    store.commit();
    for (let at = 0; at < 16 * MIB; at += MIB) expect(store.equals(at, data)).toBe(true);
  });

  test('when memory is out the caller is told, and the store goes on', () => {
    const store = new WasmSectorStore(instantiateKernels(2 * MIB), MIB);
    const data = noise(SECTOR);
    store.overwrite(0, data);
    for (let depth = 0; depth < 3; depth++) store.fork();
    const changes = [
      (sector: number) => store.eraseSector(sector),
      (sector: number) => store.program(sector * SECTOR, Uint8Array.of(0)),
      (sector: number) => store.overwrite(sector * SECTOR, Uint8Array.of(1)),
      (sector: number) => store.copySector(0, sector),
    ];
    let sector = 1;
    expect(() => {
      for (; sector < 256; sector++) store.eraseSector(sector);
    }).toThrow('no memory for another changed sector, 3 branches being open');
    expect(sector).toBeGreaterThan(50);
    for (const change of changes) expect(() => change(sector)).toThrow(RangeError);
    expect(store.touchedSectors()).toHaveLength(sector - 1);
    store.drop();
    for (const change of changes) change(sector);
    expect(store.equals(sector * SECTOR, data)).toBe(true);
    store.drop();
    store.drop();
    expect(store.equals(0, data)).toBe(true);
    expect(store.isBlank(SECTOR, MIB - SECTOR)).toBe(true);
  });
});
