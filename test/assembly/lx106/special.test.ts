/** Special registers, spec chapter 07 §1: numbers, masks, what is read-only. */
import { describe, expect, test } from 'vitest';
import { SPECIAL_REGISTERS } from '../../../assembly/host/lx106-special.ts';
import { program, rsr, wsr, xsr } from './code.ts';
import { implementations, load } from './cores.ts';

const READ_ONLY = ['configid0', 'configid1', 'debugcause', 'prid'];
const MASKS: Record<string, number> = {
  sar: 0x3f,
  intenable: 0x7fff,
  ps: 0x3f,
  vecbase: 0xffffff00,
  exccause: 0x3f,
};
const PLAIN = [...SPECIAL_REGISTERS].filter(
  ([name]) => !READ_ONLY.includes(name) && !['interrupt', 'intclear', 'ccount'].includes(name),
);

describe.each(implementations)('%s', (_, create) => {
  const cpu = create();

  test.each(PLAIN)('%s (%i) keeps the bits it has, through WSR, RSR, XSR and from the host', (name, number) => {
    const mask = MASKS[name] ?? 0xffffffff;
    for (const value of [0xffffffff, 0xa5a5a5a5, 0]) {
      load(cpu, program(wsr(3, number), rsr(4, number)));
      cpu.registers[3] = value;
      expect(cpu.step()).toBeUndefined();
      expect(cpu.special.get(name)).toBe((value & mask) >>> 0);
      expect(cpu.step()).toBeUndefined();
      expect(cpu.registers[4]).toBe((value & mask) >>> 0);

      load(cpu, program(xsr(3, number))).special.set(name, value);
      const before = cpu.special.get(name);
      expect(before).toBe((value & mask) >>> 0);
      cpu.registers[3] = ~value;
      expect(cpu.step()).toBeUndefined();
      expect(cpu.registers[3]).toBe(before);
      expect(cpu.special.get(name)).toBe((~value & mask) >>> 0);
    }
  });

  test('read-only registers: their values, and writing raises exception 0', () => {
    for (const [name, value] of [
      ['configid0', 0xc28cdafa],
      ['configid1', 0x1082b6f6],
      ['prid', 0],
      ['debugcause', 0],
    ] as const) {
      const number = SPECIAL_REGISTERS.get(name)!;
      load(cpu, program(rsr(3, number))).registers[3] = 1;
      expect(cpu.step()).toBeUndefined();
      expect(cpu.registers[3]).toBe(value);
      for (const code of [wsr(3, number), xsr(3, number)]) {
        load(cpu, program(code));
        expect(cpu.step(), name).toEqual({ exception: 0 });
      }
    }
  });

  test('INTCLEAR cannot be read', () => {
    for (const code of [rsr(3, 227), xsr(3, 227)]) {
      load(cpu, program(code));
      expect(cpu.step()).toEqual({ exception: 0 });
    }
  });

  test('every other number is an illegal instruction', () => {
    const known = new Set(SPECIAL_REGISTERS.values());
    let others = 0;
    for (let number = 0; number < 256; number++) {
      if (known.has(number)) continue;
      others++;
      for (const code of [rsr(3, number), wsr(3, number), xsr(3, number)]) {
        load(cpu, program(code));
        expect(cpu.step(), `${number}`).toEqual({ exception: 0 });
      }
    }
    expect(others).toBe(256 - 31);
  });

  test('the host asking for a name that is none is told', () => {
    expect(() => cpu.special.get('lbeg')).toThrow(RangeError);
    expect(() => cpu.special.set('SAR', 1)).toThrow(RangeError);
  });

  test('reset: everything to zero, or as after a reset of the chip', () => {
    load(cpu, program(rsr(3, 3)));
    cpu.registers[5] = 5;
    cpu.special.set('intenable', 1);
    cpu.writeWord(0x3ffe8000, 1);
    cpu.step();
    cpu.reset('chip');
    expect(cpu.pc).toBe(0x40000080);
    expect(cpu.registers[5]).toBe(5);
    expect(cpu.readWord(0x3ffe8000)).toBe(1);
    expect(['ps', 'intenable', 'vecbase', 'litbase'].map((name) => cpu.special.get(name))).toEqual([
      0x1f, 0, 0x40000000, 0,
    ]);
    cpu.reset();
    expect([cpu.pc, cpu.steps, ...cpu.registers, cpu.readWord(0x3ffe8000), cpu.special.get('ps')]).toEqual(
      new Array(20).fill(0),
    );
  });
});
