/** Interrupts, the timer and WAITI, spec chapter 07 §1 and §3. */
import { describe, expect, test } from 'vitest';
import { addi, bnez, j, movi, nop, program, rfi, rsil, rsr, waiti, wsr, xsr } from './code.ts';
import { CODE, expectSpecial, implementations, load } from './cores.ts';

const INTERRUPT = 226;
const INTCLEAR = 227;
const CCOUNT = 234;
const CCOMPARE0 = 240;

describe.each(implementations)('%s', (_, create) => {
  const fresh = (code: Uint8Array) => load(create(), code);

  test('a level line shows in INTERRUPT while it is high, and interrupts when enabled, at level 0, without EXCM', () => {
    for (const line of [0, 1, 2, 3, 4, 5]) {
      const cpu = fresh(program(nop, nop, nop, nop));
      cpu.setInterruptLine(line, true);
      expectSpecial(cpu, { interrupt: 1 << line });
      expect(cpu.step()).toBeUndefined();
      cpu.special.set('intenable', 1 << line);
      cpu.special.set('ps', 0x21);
      expect(cpu.step()).toBeUndefined();
      cpu.special.set('ps', 0x30);
      expect(cpu.step()).toBeUndefined();
      cpu.special.set('ps', 0x20);
      expect(cpu.step()).toEqual({ exception: 4 });
      expect(cpu.pc).toBe(0x40000050);
      expectSpecial(cpu, { epc1: CODE + 9, ps: 0x30, exccause: 4, interrupt: 1 << line });
      expect(cpu.steps).toBe(3);
      cpu.setInterruptLine(line, false);
      expectSpecial(cpu, { interrupt: 0 });
    }
  });

  test('an edge line is remembered until INTCLEAR; high without a new edge is nothing', () => {
    for (const line of [8, 9, 13]) {
      const cpu = fresh(program(wsr(2, INTCLEAR), nop));
      cpu.setInterruptLine(line, true);
      cpu.setInterruptLine(line, false);
      expectSpecial(cpu, { interrupt: 1 << line });
      cpu.setInterruptLine(line, true);
      cpu.registers[2] = 0x7fff;
      cpu.step();
      expectSpecial(cpu, { interrupt: 0 });
      cpu.setInterruptLine(line, true);
      expectSpecial(cpu, { interrupt: 0 });
    }
  });

  test('the software interrupt: INTSET sets bit 7 only, INTCLEAR clears it, and level lines stay', () => {
    const cpu = fresh(program(wsr(2, INTERRUPT), wsr(2, INTCLEAR), wsr(2, INTERRUPT), xsr(3, INTERRUPT)));
    cpu.setInterruptLine(3, true);
    cpu.registers[2] = 0xffffffff;
    cpu.step();
    expectSpecial(cpu, { interrupt: 0x88 });
    cpu.step();
    expectSpecial(cpu, { interrupt: 0x08 });
    cpu.step();
    cpu.registers[3] = 0;
    cpu.step();
    expect(cpu.registers[3]).toBe(0x88);
    expectSpecial(cpu, { interrupt: 0x88 });
  });

  test('enabling by WSR inside run is noticed before the next instruction', () => {
    const cpu = fresh(program(movi(2, 0x80), wsr(2, INTERRUPT), wsr(2, 228), movi(3, 1)));
    expect(cpu.run({ maxSteps: 100 })).toEqual({ reason: 'exception', steps: 3 });
    expectSpecial(cpu, { exccause: 4, epc1: CODE + 9 });
    expect(cpu.registers[3]).toBe(0);
  });

  test('RSIL masks; lowering the level lets the interrupt in', () => {
    const cpu = fresh(program(rsil(4, 1), nop, rsil(5, 0), movi(3, 1)));
    cpu.special.set('intenable', 0x20);
    cpu.step();
    cpu.setInterruptLine(5, true);
    expect(cpu.run({ maxSteps: 100 })).toEqual({ reason: 'exception', steps: 2 });
    expectSpecial(cpu, { exccause: 4, epc1: CODE + 9 });
    expect([cpu.registers[4], cpu.registers[5]]).toEqual([0x20, 0x21]);
  });

  test('NMI: edge-triggered, not masked by INTENABLE or EXCM, held off by level 3', () => {
    const cpu = fresh(program(nop, nop, nop));
    cpu.special.set('ps', 0x33);
    cpu.setInterruptLine(14, true);
    expect(cpu.step()).toBeUndefined();
    expect(cpu.pc).toBe(CODE + 3);
    cpu.special.set('ps', 0x32);
    cpu.special.set('vecbase', 0x40104000);
    cpu.writeBytes(0x40104020, program(rfi(3)));
    expect(cpu.step()).toBeUndefined();
    expect(cpu.pc).toBe(0x40104020);
    expectSpecial(cpu, { epc3: CODE + 3, eps3: 0x32, ps: 0x33, interrupt: 0 });
    expect(cpu.run({ maxSteps: 2 })).toEqual({ reason: 'budget', steps: 2 });
    expect(cpu.pc).toBe(CODE + 6);
    expectSpecial(cpu, { ps: 0x32 });
  });

  test('CCOUNT: one for each instruction, two more for a jump, one more for a load; RSR sees it before itself', () => {
    const cpu = fresh(program(rsr(2, CCOUNT), nop, j(4), [0], rsr(3, CCOUNT), bnez(3, 4), [0], rsr(4, CCOUNT)));
    cpu.special.set('ccount', 1000);
    expect(cpu.run({ maxSteps: 6 })).toEqual({ reason: 'budget', steps: 6 });
    expect([cpu.registers[2], cpu.registers[3], cpu.registers[4]]).toEqual([1000, 1005, 1009]);
    expectSpecial(cpu, { ccount: 1010 });
  });

  test('the timer: pending when CCOUNT reaches or steps over CCOMPARE0, cleared by writing CCOMPARE0', () => {
    for (let compare = 1; compare < 12; compare++) {
      const cpu = fresh(program(movi(2, 3), addi(2, 2, -1), bnez(2, -3), movi(4, 0), wsr(4, CCOMPARE0)));
      cpu.special.set('ccompare0', compare);
      let before = 0;
      for (;;) {
        cpu.step();
        const now = cpu.special.get('ccount');
        if (now >= compare) break;
        before = now;
        expect(cpu.special.get('interrupt')).toBe(0);
      }
      expect(before).toBeLessThan(compare);
      expectSpecial(cpu, { interrupt: 0x40 });
      expect(cpu.run({ maxSteps: 100 }).reason).toBe('exception'); // runs into the zeros behind
      expectSpecial(cpu, { interrupt: 0, exccause: 0 });
    }
  });

  test('the timer interrupts a loop exactly where stepping would', () => {
    for (let compare = 1; compare < 400; compare += 7) {
      const make = () => {
        const cpu = fresh(program(movi(2, 1000), addi(3, 3, 1), addi(2, 2, -1), bnez(2, -6)));
        cpu.special.set('intenable', 0x40);
        cpu.special.set('ccompare0', compare);
        return cpu;
      };
      const stepped = make();
      while (!stepped.step());
      const ran = make();
      expect(ran.run()).toEqual({ reason: 'exception', steps: stepped.steps });
      expect([ran.pc, ran.special.get('epc1'), ran.registers[3], ran.special.get('ccount')]).toEqual([
        stepped.pc,
        stepped.special.get('epc1'),
        stepped.registers[3],
        stepped.special.get('ccount'),
      ]);
    }
  });

  test('WAITI sleeps until an interrupt, which returns to the next instruction', () => {
    const cpu = fresh(program(waiti(0), movi(2, 1)));
    cpu.special.set('intenable', 0x10);
    expect(cpu.run()).toEqual({ reason: 'waiting', steps: 1 });
    expect(cpu.pc).toBe(CODE + 3);
    expect(cpu.run()).toEqual({ reason: 'waiting', steps: 0 });
    expect(cpu.step()).toEqual({ waiting: true });
    cpu.setInterruptLine(5, true);
    expect(cpu.run()).toEqual({ reason: 'waiting', steps: 0 });
    cpu.setInterruptLine(4, true);
    expect(cpu.run()).toEqual({ reason: 'exception', steps: 0 });
    expectSpecial(cpu, { epc1: CODE + 3, exccause: 4 });
  });

  test('asleep above the level of what comes, only NMI or the host wakes it', () => {
    const cpu = fresh(program(waiti(2), movi(2, 1)));
    cpu.special.set('intenable', 0x7fff);
    cpu.special.set('ccompare0', 100);
    cpu.run();
    cpu.setInterruptLine(1, true);
    expect(cpu.run()).toEqual({ reason: 'waiting', steps: 0 });
    const save = cpu.snapshot();
    cpu.setInterruptLine(14, true);
    expect(cpu.step()).toBeUndefined();
    expect(cpu.pc).toBe(0x40000020);
    cpu.restore(save);
    expect(cpu.run()).toEqual({ reason: 'waiting', steps: 0 });
    cpu.pc = CODE + 3;
    expect(cpu.run({ maxSteps: 1 })).toEqual({ reason: 'budget', steps: 1 });
    expect(cpu.registers[2]).toBe(1);
  });

  test('a sleeping core that the timer can wake sleeps until it does', () => {
    const cpu = fresh(program(waiti(0), movi(2, 1)));
    cpu.special.set('intenable', 0x40);
    cpu.special.set('ccompare0', 123456);
    expect(cpu.run()).toEqual({ reason: 'waiting', steps: 1 });
    expect(cpu.run()).toEqual({ reason: 'exception', steps: 0 });
    expectSpecial(cpu, { exccause: 4, ccount: 123456, interrupt: 0x40 });
  });
});

test.each([-1, 15, 1.5, Number.NaN])('line %s does not exist', (line) => {
  for (const [, create] of implementations) expect(() => create().setInterruptLine(line, true)).toThrow(RangeError);
});
