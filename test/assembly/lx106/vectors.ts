/** Runs the vectors of test/golden/lx106, whose format its README describes, on any core. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Lx106 } from '../../../assembly/host/lx106.ts';

/** One instruction executed once from a given state. */
export interface Vector {
  /** Instruction bytes, hex. */
  readonly i: string;
  readonly p: number;
  readonly r?: Readonly<Record<string, number>>;
  readonly sr?: Readonly<Record<string, number>>;
  readonly m?: readonly (readonly [number, number])[];
  readonly o: {
    readonly p: number;
    readonly r?: Readonly<Record<string, number>>;
    readonly sr?: Readonly<Record<string, number>>;
    readonly m?: readonly (readonly [number, number])[];
    readonly x?: number;
    readonly waiting?: boolean;
  };
  readonly n?: string;
}

const folder = new URL('../../golden/lx106/', import.meta.url);

/** All vectors by mnemonic. */
export function vectors(): [mnemonic: string, cases: Vector[]][] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .flatMap((name) => {
      const file = JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
      if (file.format !== 'lx106-vectors-1') throw new Error(`${name}: format ${file.format}`);
      return Object.entries(file.instructions as Record<string, Vector[]>);
    });
}

/** The special registers that the vectors watch. */
const WATCHED = (
  'sar litbase epc1 epc2 epc3 depc eps2 eps3 excsave1 excsave2 excsave3 intenable ps vecbase exccause excvaddr ' +
  'ccompare0 debugcause'
).split(' ');

const hex = (value: number) => `0x${(value >>> 0).toString(16)}`;

/** What differs from the expected result, in words; nothing when the vector passes. */
export function check(cpu: Lx106, vector: Vector, execute: (cpu: Lx106) => ReturnType<Lx106['step']>): string[] {
  cpu.reset();
  for (let number = 0; number < 16; number++) cpu.registers[number] = vector.r?.[number] ?? 0x11111111 * number;
  cpu.special.set('ps', 0x20);
  cpu.special.set('vecbase', 0x40000000);
  for (const [name, value] of Object.entries(vector.sr ?? {})) cpu.special.set(name, value);
  for (const [address, word] of vector.m ?? []) cpu.writeWord(address, word);
  const code = Uint8Array.from(vector.i.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  cpu.writeBytes(vector.p, code);
  cpu.pc = vector.p;
  const registers = [...cpu.registers];
  const special = WATCHED.map((name) => cpu.special.get(name));
  const touched = [...(vector.m ?? []), ...(vector.o.m ?? [])].map(([address]) => address);
  const memory = touched.map((address) => cpu.readWord(address));

  const stop = execute(cpu);

  const wrong: string[] = [];
  const expectSame = (what: string, got: number, wanted: number) => {
    if (got >>> 0 !== wanted >>> 0) wrong.push(`${what} is ${hex(got)}, not ${hex(wanted)}`);
  };
  expectSame('pc', cpu.pc, vector.o.p);
  for (const [number, before] of registers.entries()) {
    expectSame(`a${number}`, cpu.registers[number]!, vector.o.r?.[number] ?? before);
  }
  for (const [index, name] of WATCHED.entries()) {
    expectSame(name, cpu.special.get(name), vector.o.sr?.[name] ?? special[index]!);
  }
  const after = new Map(vector.o.m ?? []);
  for (const [index, address] of touched.entries()) {
    expectSame(`[${hex(address)}]`, cpu.readWord(address), after.get(address) ?? memory[index]!);
  }
  const exception = stop && 'exception' in stop ? stop.exception : undefined;
  if (exception !== vector.o.x) wrong.push(`exception ${exception}, not ${vector.o.x}`);
  const waiting = stop !== undefined && 'waiting' in stop;
  if (waiting !== (vector.o.waiting ?? false)) wrong.push(`waiting is ${waiting}`);
  return wrong;
}

/** One instruction with `run`, which has its own quick handlers, told as `step` tells it. */
export function runOne(cpu: Lx106): ReturnType<Lx106['step']> {
  const before = cpu.steps;
  const { reason, steps } = cpu.run({ maxSteps: 1 });
  if (steps !== 1 || cpu.steps !== before + 1) throw new Error(`run({ maxSteps: 1 }) made ${steps} steps`);
  if (reason === 'exception') return { exception: cpu.special.get('exccause') };
  return reason === 'waiting' ? { waiting: true } : undefined;
}
