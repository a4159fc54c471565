/** The interpreter in TypeScript against the shared instruction vectors (test/golden/lx106/README.md). */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { referenceLx106 } from '../../assembly/host/lx106-reference.ts';

interface Vector {
  i: string;
  p: number;
  r?: Record<string, number>;
  sr?: Record<string, number>;
  m?: [number, number][];
  o: {
    p: number;
    r?: Record<string, number>;
    sr?: Record<string, number>;
    m?: [number, number][];
    x?: number;
    waiting?: true;
  };
  n?: string;
}

const folder = new URL('../golden/lx106/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
const vectors = files.flatMap((file) =>
  Object.entries(
    (JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as { instructions: Record<string, Vector[]> })
      .instructions,
  ),
);
const WATCHED = [
  'sar',
  'litbase',
  'epc1',
  'epc2',
  'epc3',
  'depc',
  'eps2',
  'eps3',
  'excsave1',
  'excsave2',
  'excsave3',
].concat(['intenable', 'ps', 'vecbase', 'exccause', 'debugcause', 'excvaddr', 'ccompare0']);

test('the folder is complete', () => {
  expect(vectors.flatMap(([, cases]) => cases)).toHaveLength(4559);
});

describe.each(vectors)('%s', (_, cases) => {
  test.each(cases.map((vector) => [vector.i, vector.p.toString(16), vector] as const))(
    '%s at %s',
    (_bytes, _at, vector) => {
      const cpu = referenceLx106();
      const registers = Array.from(
        { length: 16 },
        (_, index) => vector.r?.[index] ?? Math.imul(0x11111111, index) >>> 0,
      );
      const special: Record<string, number> = { ps: 0x20, vecbase: 0x40000000, ...vector.sr };
      cpu.registers.set(registers);
      for (const [name, value] of Object.entries(special)) cpu.special.set(name, value);
      for (const [address, word] of vector.m ?? []) cpu.writeWord(address, word);
      cpu.writeBytes(vector.p, Buffer.from(vector.i, 'hex'));
      cpu.pc = vector.p;
      const before = cpu.snapshot();

      const stop = cpu.step();
      const { o } = vector;
      expect(stop).toEqual(o.x !== undefined ? { exception: o.x } : o.waiting ? { waiting: true } : undefined);
      expect(cpu.pc).toBe(o.p);
      expect([...cpu.registers]).toEqual(registers.map((value, index) => o.r?.[index] ?? value));
      for (const name of WATCHED) expect(cpu.special.get(name), name).toBe(o.sr?.[name] ?? special[name] ?? 0);
      const dram = new DataView(before.dram.buffer);
      const iram = new DataView(before.iram.buffer);
      for (const [address, word] of o.m ?? []) {
        if (address < 0x40000000) dram.setUint32(address - 0x3ffe8000, word, true);
        else iram.setUint32(address - 0x40100000, word, true);
      }
      const after = cpu.snapshot();
      expect(Buffer.compare(after.dram, before.dram), 'DRAM').toBe(0);
      expect(Buffer.compare(after.iram, before.iram), 'IRAM').toBe(0);
    },
  );
});
