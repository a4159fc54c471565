/** Running: budgets, breakpoints, traps, devices, code that changes, and saved states. */
import { describe, expect, test } from 'vitest';
import type { Lx106Devices } from '../../../assembly/host/lx106.ts';
import {
  add,
  addi,
  bnez,
  callx0,
  ill,
  j,
  jx,
  l8ui,
  l32i,
  movi,
  nop,
  nopN,
  program,
  retN,
  s8i,
  s16i,
  s32i,
} from './code.ts';
import { CODE, DATA, expectSpecial, implementations, load } from './cores.ts';

describe.each(implementations)('%s', (_, create) => {
  test('an endless loop ends with the budget, exactly', () => {
    const cpu = load(create(), program(addi(2, 2, 1), j(-3)));
    for (const maxSteps of [1, 2, 3, 1000, 100_001]) {
      const before = cpu.steps;
      expect(cpu.run({ maxSteps })).toEqual({ reason: 'budget', steps: maxSteps });
      expect(cpu.steps).toBe(before + maxSteps);
    }
    expect(cpu.registers[2]).toBe(Math.ceil(cpu.steps / 2));
    expect(cpu.run({ maxSteps: 0 })).toEqual({ reason: 'budget', steps: 0 });
  });

  test('a jump to itself', () => {
    const cpu = load(create(), program(j(0)));
    expect(cpu.run({ maxSteps: 12345 })).toEqual({ reason: 'budget', steps: 12345 });
    expect(cpu.pc).toBe(CODE);
  });

  test('a breakpoint stops before the instruction, once for each arrival', () => {
    const cpu = load(create(), program(movi(2, 3), addi(2, 2, -1), bnez(2, -3), nop));
    cpu.breakpoints.add(CODE + 3);
    for (const left of [3, 2, 1]) {
      expect(cpu.run({ maxSteps: 100 })).toMatchObject({ reason: 'breakpoint' });
      expect([cpu.pc, cpu.registers[2]]).toEqual([CODE + 3, left]);
    }
    expect(cpu.run({ maxSteps: 3 })).toEqual({ reason: 'budget', steps: 3 });
    // step() pays no attention to it, and then it counts again.
    cpu.pc = CODE;
    cpu.step();
    cpu.step();
    expect(cpu.pc).toBe(CODE + 6);
    cpu.pc = CODE + 3;
    expect(cpu.run({ maxSteps: 5 })).toEqual({ reason: 'breakpoint', steps: 0 });
    cpu.breakpoints.delete(CODE + 3);
    cpu.breakpoints.add(CODE + 9);
    cpu.registers[2] = 50;
    expect(cpu.run()).toEqual({ reason: 'breakpoint', steps: 100 });
    cpu.breakpoints.clear();
    cpu.pc = CODE;
    expect(cpu.run()).toMatchObject({ reason: 'exception' });
  });

  test('a breakpoint survives that the instruction is overwritten, and one between two instructions is never met', () => {
    const cpu = load(create(), program(nop, nop, nop, j(-9)));
    cpu.breakpoints.add(CODE + 3);
    cpu.breakpoints.add(CODE + 4);
    expect(cpu.run()).toEqual({ reason: 'breakpoint', steps: 1 });
    cpu.writeBytes(CODE + 3, program(addi(5, 5, 1)));
    expect(cpu.run()).toEqual({ reason: 'breakpoint', steps: 4 });
    expect(cpu.registers[5]).toBe(1);
  });

  test('the mask ROM traps: the host serves it and sends the core back', () => {
    const cpu = load(create({ romTraps: true }), program(callx0(4), addi(2, 2, 1)));
    cpu.registers[4] = 0x4000dea8;
    expect(cpu.run()).toEqual({ reason: 'trap', steps: 1 });
    expect(cpu.pc).toBe(0x4000dea8);
    // Nothing happens until the host does something about it.
    expect(cpu.run()).toEqual({ reason: 'trap', steps: 0 });
    expect(cpu.step()).toBeUndefined();
    expect(cpu.steps).toBe(1);
    cpu.breakpoints.add(0x4000dea8);
    expect(cpu.run()).toEqual({ reason: 'breakpoint', steps: 0 });
    expect(cpu.run()).toEqual({ reason: 'trap', steps: 0 });
    cpu.registers[2] = 41;
    cpu.pc = cpu.registers[0]!;
    expect(cpu.run({ maxSteps: 1 })).toEqual({ reason: 'budget', steps: 1 });
    expect(cpu.registers[2]).toBe(42);
    // Exceptions lead there too when run() is to go on.
    cpu.stopOnException = false;
    cpu.writeBytes(CODE, program(ill));
    cpu.pc = CODE;
    expect(cpu.run()).toEqual({ reason: 'trap', steps: 1 });
    expect(cpu.pc).toBe(0x40000050);
  });

  test('devices are asked for what is theirs, with address, value and size as on the bus', () => {
    const log: [string, number, number, number?][] = [];
    const devices: Lx106Devices = {
      load: (address, size) => {
        log.push(['load', address, size]);
        return 0xfedcba98;
      },
      store: (address, value, size) => {
        log.push(['store', address, size, value]);
        return true;
      },
    };
    const cpu = create({ devices });
    const access = (code: readonly number[], address: number) => {
      load(cpu, program(code));
      cpu.registers[2] = address;
      cpu.registers[3] = 0x89abcdef;
      return cpu.step();
    };
    expect(access(l32i(3, 2, 4), 0x60000000)).toBeUndefined();
    expect(cpu.registers[3]).toBe(0xfedcba98);
    access(s32i(3, 2, 0), 0x600013fc);
    access(s16i(3, 2, 0), 0x3ff00000);
    access(s8i(3, 2, 0), 0x3ff1ffff);
    access(l32i(3, 2, 0), 0x40001000);
    expect(log).toEqual([
      ['load', 0x60000004, 4],
      ['store', 0x600013fc, 4, 0x89abcdef],
      ['store', 0x3ff00000, 2, 0xcdef],
      ['store', 0x3ff1ffff, 1, 0xef],
      ['load', 0x40001000, 4],
    ]);
    log.length = 0;
    expect(access(l8ui(3, 2, 0), 0x40001000)).toEqual({ exception: 3 });
    expect(access(s32i(3, 2, 0), 0x40001000)).toEqual({ exception: 3 });
    expect(access(l32i(3, 2, 0), 0x60001400)).toEqual({ exception: 28 });
    expect(access(s32i(3, 2, 0), 0x3ff20000)).toEqual({ exception: 29 });
    expect(access(l32i(3, 2, 0), 0x40200000)).toEqual({ exception: 28 });
    expect(access(l32i(3, 2, 0), 0x1ffffffc)).toEqual({ exception: 28 });
    expect(access(l32i(3, 2, 0), 0x60000001)).toEqual({ exception: 9 });
    expect(log).toEqual([]);
  });

  test('a device that refuses a store stops the run before the instruction', () => {
    let allow = false;
    const stores: number[] = [];
    const devices: Lx106Devices = {
      load: () => 0,
      store: (_address, value) => {
        if (allow) stores.push(value);
        return allow;
      },
    };
    const cpu = load(create({ devices }), program(movi(3, 7), s32i(3, 2, 0), movi(3, 8)));
    cpu.registers[2] = 0x60000200;
    expect(cpu.run()).toEqual({ reason: 'trap', steps: 1 });
    expect([cpu.pc, cpu.steps, cpu.special.get('ccount')]).toEqual([CODE + 3, 1, 1]);
    expect(cpu.run()).toEqual({ reason: 'trap', steps: 0 });
    expect(cpu.step()).toBeUndefined();
    expect(cpu.steps).toBe(1);
    allow = true;
    expect(cpu.run({ maxSteps: 2 })).toEqual({ reason: 'budget', steps: 2 });
    expect([stores, cpu.registers[3]]).toEqual([[7], 8]);
  });

  test('what a device throws reaches the caller; the core stands before the instruction', () => {
    let broken = true;
    const devices: Lx106Devices = {
      load: () => {
        if (broken) throw new Error('power lost');
        return 5;
      },
      store: () => true,
    };
    const cpu = load(create({ devices }), program(nop, nop, l32i(3, 2, 0), nop));
    cpu.registers[2] = 0x60000000;
    expect(() => cpu.run()).toThrow('power lost');
    expect([cpu.pc, cpu.steps, cpu.special.get('ccount')]).toEqual([CODE + 6, 2, 2]);
    broken = false;
    expect(cpu.run({ maxSteps: 2 })).toEqual({ reason: 'budget', steps: 2 });
    expect(cpu.registers[3]).toBe(5);
  });

  test('a device sees the state before the instruction, and may raise an interrupt line', () => {
    const seen: number[] = [];
    const devices: Lx106Devices = {
      load: () => {
        seen.push(cpu.pc, cpu.steps, cpu.special.get('ccount'), cpu.registers[3]!);
        cpu.setInterruptLine(5, true);
        return 9;
      },
      store: () => true,
    };
    const cpu = load(create({ devices }), program(movi(3, 7), l32i(3, 2, 0), movi(4, 1)));
    cpu.registers[2] = 0x60000000;
    cpu.special.set('intenable', 0x20);
    expect(cpu.run()).toEqual({ reason: 'exception', steps: 2 });
    expect(seen).toEqual([CODE + 3, 1, 1, 7]);
    expect(cpu.registers[3]).toBe(9);
    expectSpecial(cpu, { exccause: 4, epc1: CODE + 6 });
  });

  test('decoded code follows stores of the core and writes of the host, at every distance to the instruction', () => {
    for (let distance = -8; distance <= 8; distance++) {
      // The body is executed once, then a word that overlaps it (or not) changes, then it is executed again.
      const cpu = create();
      const body = program(movi(5, 1), addi(6, 6, 1), nopN, nopN, retN);
      const at = CODE + 0x20 + (distance & 3);
      const run = () => {
        cpu.pc = CODE;
        cpu.registers[0] = 0;
        cpu.registers[7] = at;
        cpu.run({ maxSteps: 20 });
      };
      const twin = create();
      for (const core of [cpu, twin]) {
        load(core, program(s32i(3, 2, 0), nop, jx(7)));
        core.writeBytes(at, body);
        core.registers[2] = DATA;
      }
      run();
      const target = (at + distance) & ~3;
      cpu.registers[2] = target;
      cpu.registers[3] = 0x03d00000 | 0xf03d;
      run();
      // The same with a fresh core that has never seen the old code.
      twin.registers.set(cpu.registers);
      twin.writeWord(target, 0x03d0f03d);
      const before = cpu.registers[6]!;
      run();
      const after = cpu.registers[6]! - before;
      const [r5, r6] = [twin.registers[5], twin.registers[6]];
      twin.pc = at;
      twin.registers[0] = 0;
      twin.special.set('ps', 0x20);
      cpu.special.set('ps', 0x20);
      twin.run({ maxSteps: 20 });
      expect(twin.registers[6]! - r6!, `distance ${distance}`).toBe(after);
      expect(r5).toBeDefined();
      cpu.writeByte(at, 0x0c);
      cpu.writeByte(at + 1, 0x95);
      cpu.pc = at;
      cpu.step();
      expect(cpu.registers[5]).toBe(9);
    }
  });

  test('snapshot and restore: everything comes back, decoded code too', () => {
    const cpu = load(create(), program(movi(2, 1), add(3, 3, 2), j(-3)));
    cpu.run({ maxSteps: 11 });
    const save = cpu.snapshot();
    const registers = [...cpu.registers];
    cpu.writeBytes(CODE, program(movi(2, 1), add(3, 3, 3), j(-3)));
    cpu.writeWord(DATA + 0x17ffc, 5);
    cpu.special.set('excsave1', 1);
    cpu.setInterruptLine(2, true);
    cpu.run({ maxSteps: 50 });
    cpu.restore(save);
    expect([...cpu.registers]).toEqual(registers);
    expect([cpu.pc, cpu.steps, cpu.readWord(DATA + 0x17ffc)]).toEqual([CODE + 3, 11, 0]);
    expectSpecial(cpu, { excsave1: 0, interrupt: 0 });
    cpu.run({ maxSteps: 10 });
    expect(cpu.registers[3]).toBe(10);
    // The same state twice, and into another core.
    const other = create();
    other.restore(save);
    other.run({ maxSteps: 10 });
    expect([other.registers[3], other.steps]).toEqual([10, 21]);
  });

  test('RAM for the host: any alignment, little-endian, and nothing outside', () => {
    const cpu = create();
    for (const address of [DATA, DATA + 1, DATA + 0x17ffc, 0x40100000, 0x40100003, 0x4010fffc]) {
      cpu.writeWord(address, 0x89abcdef);
      expect(cpu.readWord(address)).toBe(0x89abcdef);
      expect([...cpu.readBytes(address, 4)]).toEqual([0xef, 0xcd, 0xab, 0x89]);
      const target = new Uint8Array(4);
      cpu.readInto(address, target);
      expect(target).toEqual(cpu.readBytes(address, 4));
      expect(cpu.readByte(address + 1)).toBe(0xcd);
      cpu.writeByte(address + 1, 0x12);
      expect(cpu.readWord(address)).toBe(0x89ab12ef);
    }
    for (const address of [0, DATA - 1, 0x40000000 - 3, 0x400fffff, 0x4010fffd, 0x60000000]) {
      expect(() => cpu.readWord(address), address.toString(16)).toThrow(RangeError);
      expect(() => cpu.readInto(address, new Uint8Array(4))).toThrow(RangeError);
      expect(() => cpu.writeBytes(address, new Uint8Array(4))).toThrow(RangeError);
    }
    expect(() => cpu.writeBytes(DATA, new Uint8Array(0x18001))).toThrow(RangeError);
  });

  test('garbage everywhere never throws', () => {
    const cpu = create();
    cpu.reset();
    let state = 1;
    const noise = Uint8Array.from({ length: 0x10000 }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    });
    cpu.writeBytes(0x40100000, noise);
    cpu.stopOnException = false;
    cpu.special.set('vecbase', 0x40104400);
    cpu.pc = 0x40108000;
    const { reason, steps } = cpu.run({ maxSteps: 300_000 });
    expect(['budget', 'waiting']).toContain(reason);
    expect(steps).toBe(cpu.steps);
    expect(nopN).toHaveLength(2);
  });
});
