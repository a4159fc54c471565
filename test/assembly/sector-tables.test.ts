import fc from 'fast-check';
import { expect, test } from 'vitest';
import { instantiateKernels } from '../../assembly/host/load.ts';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { ReferenceSectorTables, type SectorTables, WasmSectorTables } from '../../assembly/host/sector-tables.ts';

const SECTORS = 24;
const CONTENTS = 6;
const { crc32 } = referenceKernels();

const contents = Array.from({ length: CONTENTS }, (_, content) =>
  Uint8Array.from({ length: 4096 }, (_, i) => (i * (content + 3) + content * 31) & 0xff),
);

const sector = fc.nat(SECTORS - 1);
const slot = fc.nat(2);
const command = fc.oneof(
  fc.record({ do: fc.constant('set' as const), slot, sector, content: fc.nat(CONTENTS - 1) }),
  fc.record({ do: fc.constant('fork' as const), from: slot, to: slot }),
  fc.record({
    do: fc.constant('copy' as const),
    slot,
    source: sector,
    destination: sector,
    count: sector,
    compareFirst: fc.boolean(),
  }),
);

function both(): SectorTables[] {
  const all = [new WasmSectorTables(instantiateKernels(), SECTORS, 3), new ReferenceSectorTables(crc32, SECTORS, 3)];
  for (const tables of all) {
    for (const [content, bytes] of contents.entries()) tables.setCrc(content, crc32(bytes, 0));
  }
  return all;
}

test('invariant: the kernels do with tables what their TypeScript twin does', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 30 }), slot, slot, sector, sector, (commands, a, b, first, last) => {
      const all = both();
      for (const step of commands) {
        const results = all.map((tables) => {
          if (step.do === 'set') tables.table(step.slot)[step.sector] = step.content;
          else if (step.do === 'fork') tables.fork(step.from, step.to);
          else {
            const count = Math.min(step.count, SECTORS - Math.max(step.source, step.destination));
            return tables.copy(step.slot, step.source, step.destination, count, step.compareFirst);
          }
          return undefined;
        });
        expect(results[0]).toBe(results[1]);
      }
      const [wasm, twin] = all;
      for (const index of [0, 1, 2]) expect([...wasm!.table(index)]).toEqual([...twin!.table(index)]);
      const from = Math.min(first, last);
      const count = Math.abs(first - last);
      expect(wasm!.firstDifference(a, b, from, count)).toBe(twin!.firstDifference(a, b, from, count));
      expect(wasm!.crc(a, from, count, 0x12345678)).toBe(twin!.crc(a, from, count, 0x12345678));
    }),
    { numRuns: 60 },
  );
});

test('invariant: the CRC over a table is that over the bytes', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(CONTENTS - 1), { maxLength: SECTORS }), fc.nat(0xffffffff), (numbers, start) => {
      const bytes = Buffer.concat(numbers.map((content) => contents[content]!));
      for (const tables of both()) {
        tables.table(0).set(numbers);
        expect(tables.crc(0, 0, numbers.length, start)).toBe(crc32(bytes, start));
      }
    }),
    { numRuns: 20 },
  );
});

test('a copy over its own source takes what was there before or what it wrote itself, going forward', () => {
  for (const tables of both()) {
    tables.table(0).set([0, 1, 2, 3, 4, 5]);
    expect(tables.copy(0, 0, 2, 4, false)).toBe(false);
    expect([...tables.table(0).subarray(0, 6)]).toEqual([0, 1, 0, 1, 0, 1]);
    tables.table(0).set([3, 1, 2, 3, 4, 5]);
    expect(tables.copy(0, 3, 0, 3, true)).toBe(true);
    expect([...tables.table(0).subarray(0, 3)]).toEqual([3, 4, 5]);
  }
});

test('a chip that does not exist is refused', () => {
  for (const tables of both()) expect(() => tables.table(3)).toThrow(RangeError);
});
