/** Exceptions and vectors, spec chapter 07 §3. */
import { describe, expect, test } from 'vitest';
import {
  bnez,
  breakN,
  breakWide,
  callx0,
  ill,
  j,
  jx,
  l8ui,
  l16ui,
  l32i,
  l32r,
  movi,
  nop,
  nopN,
  program,
  rfe,
  rfi,
  s8i,
  s16i,
  s32i,
  syscall,
} from './code.ts';
import { CODE, DATA, expectSpecial, implementations, load } from './cores.ts';

describe.each(implementations)('%s', (_, create) => {
  const cpu = create();

  test('a general exception: EPC1, EXCCAUSE, EXCM, the user or kernel vector, relative to VECBASE', () => {
    load(cpu, program(syscall));
    expect(cpu.step()).toEqual({ exception: 1 });
    expect(cpu.pc).toBe(0x40000050);
    expectSpecial(cpu, { epc1: CODE, exccause: 1, ps: 0x30, depc: 0, excvaddr: 0 });
    load(cpu, program(ill)).special.set('ps', 0x03);
    cpu.special.set('vecbase', 0x40108000);
    expect(cpu.step()).toEqual({ exception: 0 });
    expect(cpu.pc).toBe(0x40108030);
    expectSpecial(cpu, { epc1: CODE, exccause: 0, ps: 0x13 });
  });

  test('with EXCM = 1: DEPC and the double vector, EPC1 stays', () => {
    load(cpu, program(ill)).special.set('ps', 0x30);
    cpu.special.set('epc1', 0x1234);
    expect(cpu.step()).toEqual({ exception: 0 });
    expect(cpu.pc).toBe(0x40000070);
    expectSpecial(cpu, { epc1: 0x1234, depc: CODE, exccause: 0, ps: 0x30 });
  });

  const accesses = [
    ['l8ui', l8ui(3, 2, 0), 1],
    ['l16ui', l16ui(3, 2, 0), 2],
    ['l32i', l32i(3, 2, 0), 4],
    ['s8i', s8i(3, 2, 0), 1],
    ['s16i', s16i(3, 2, 0), 2],
    ['s32i', s32i(3, 2, 0), 4],
  ] as const;
  test.each(accesses)('%s: alignment first, then 3 for small accesses to IRAM, then 28 and 29', (name, code, size) => {
    const cause = (address: number) => {
      load(cpu, program(code));
      cpu.registers[2] = address;
      cpu.registers[3] = 0xcafe;
      const stop = cpu.step();
      if (!stop) return undefined;
      // A faulting instruction has no other effect, and tells its address.
      expect(cpu.registers[3]).toBe(0xcafe);
      expectSpecial(cpu, { excvaddr: address, epc1: CODE });
      return 'exception' in stop ? stop.exception : stop;
    };
    const prohibited = name.startsWith('l') ? 28 : 29;
    expect(cause(DATA)).toBeUndefined();
    expect(cause(0x40000000 - size)).toBeUndefined();
    expect(cause(DATA - size)).toBe(prohibited);
    expect(cause(0x40100800)).toBe(size === 4 ? undefined : 3);
    expect(cause(0)).toBe(prohibited);
    expect(cause(0x1ffffff0)).toBe(prohibited);
    expect(cause(0x60000000)).toBe(prohibited);
    expect(cause(0x40000000)).toBe(prohibited);
    expect(cause(0x40110000)).toBe(prohibited);
    if (size > 1) {
      for (const address of [DATA + 1, 0x40100801, 1, 0x60000001, 0xffffffff]) expect(cause(address)).toBe(9);
    }
  });

  test('causes 0, 1 and 4 leave EXCVADDR alone', () => {
    load(cpu, program(ill)).special.set('excvaddr', 0x5555);
    cpu.step();
    expectSpecial(cpu, { excvaddr: 0x5555 });
    load(cpu, program(nop)).special.set('excvaddr', 0x5555);
    cpu.special.set('intenable', 0x20);
    cpu.setInterruptLine(5, true);
    expect(cpu.step()).toEqual({ exception: 4 });
    expectSpecial(cpu, { excvaddr: 0x5555, epc1: CODE });
    cpu.setInterruptLine(5, false);
  });

  test.each([
    [0x3fff0000, 2],
    [0xffffffff, 2],
    [0x60000000, 2],
    [0x40000000, 2],
    [0x40200000, 2],
    [0x40110000, 2],
    [0x1fffffff, 20],
    [0, 20],
  ])('a jump to 0x%s cannot be fetched', (target, cause) => {
    for (const jump of [jx(4), callx0(4)]) {
      load(cpu, program(jump)).registers[4] = target;
      expect(cpu.run({ maxSteps: 10 })).toEqual({ reason: 'exception', steps: 2 });
      expectSpecial(cpu, { exccause: cause, epc1: target, excvaddr: target });
      expect(cpu.pc).toBe(0x40000050);
    }
  });

  test('jumps and branches with a fixed target out of IRAM', () => {
    load(cpu, program(j(-0x200)), 0x40100000);
    expect(cpu.run({ maxSteps: 10 })).toEqual({ reason: 'exception', steps: 2 });
    expectSpecial(cpu, { exccause: 2, epc1: 0x400ffe00, excvaddr: 0x400ffe00 });
    load(cpu, program(movi(2, 1), bnez(2, 100)), 0x4010fff0);
    expect(cpu.run({ maxSteps: 10 })).toEqual({ reason: 'exception', steps: 3 });
    expectSpecial(cpu, { epc1: 0x40110057 });
  });

  test('the end of IRAM: running off it, and an instruction that reaches behind it', () => {
    load(cpu, program(nopN, nopN), 0x4010fffc);
    expect(cpu.run({ maxSteps: 10 })).toEqual({ reason: 'exception', steps: 3 });
    expectSpecial(cpu, { exccause: 2, epc1: 0x40110000, excvaddr: 0x40110000 });
    for (const [code, at] of [
      [program(nop).subarray(0, 2), 0x4010fffe],
      [program(nopN).subarray(0, 1), 0x4010ffff],
    ] as const) {
      load(cpu, code, at);
      expect(cpu.run({ maxSteps: 10 })).toEqual({ reason: 'exception', steps: 1 });
      expectSpecial(cpu, { exccause: 2, epc1: at, excvaddr: at });
    }
    load(cpu, program(nop), 0x4010fffd);
    expect(cpu.run({ maxSteps: 1 })).toEqual({ reason: 'budget', steps: 1 });
  });

  test('an exception that cannot be served repeats until the budget is used up', () => {
    load(cpu, program(ill));
    cpu.stopOnException = false;
    expect(cpu.run({ maxSteps: 100_000 })).toEqual({ reason: 'budget', steps: 100_000 });
    cpu.stopOnException = true;
    expectSpecial(cpu, { epc1: CODE, depc: 0x40000070, exccause: 2 });
  });

  test('a handler in IRAM: RFE returns, EXCM falls', () => {
    load(cpu, program(syscall, movi(2, 7)));
    cpu.special.set('vecbase', 0x40104000);
    // The handler skips the instruction, as the ROM does for SYSCALL.
    cpu.writeBytes(0x40104050, program([0x30, 0xb1, 0x03], [0x32, 0xc3, 0x03], [0x30, 0xb1, 0x13], rfe));
    cpu.stopOnException = false;
    expect(cpu.run({ maxSteps: 6 })).toEqual({ reason: 'budget', steps: 6 });
    cpu.stopOnException = true;
    expect(cpu.registers[2]).toBe(7);
    expectSpecial(cpu, { ps: 0x20 });
  });

  test('BREAK enters debug level 2 and is no exception for run; at level 2 and above it does nothing', () => {
    for (const [code, cause] of [
      [breakWide, 8],
      [breakN, 16],
    ] as const) {
      load(cpu, program(code)).special.set('vecbase', 0x40104000);
      cpu.writeBytes(0x40104010, program(movi(2, 7), rfi(2)));
      expect(cpu.run({ maxSteps: 2 })).toEqual({ reason: 'budget', steps: 2 });
      expect(cpu.registers[2]).toBe(7);
      expectSpecial(cpu, { epc2: CODE, eps2: 0x20, debugcause: cause, ps: 0x32 });
      // Back to the BREAK itself, with the PS from before.
      expect(cpu.step()).toBeUndefined();
      expect(cpu.pc).toBe(CODE);
      expectSpecial(cpu, { ps: 0x20 });
      cpu.special.set('ps', 0x22);
      expect(cpu.step()).toBeUndefined();
      expect(cpu.pc).toBe(CODE + code.length);
    }
  });

  test('RFI takes levels 2 and 3 only', () => {
    for (const level of [0, 1, 4, 5, 15]) {
      load(cpu, program(rfi(level)));
      expect(cpu.step(), `level ${level}`).toEqual({ exception: 0 });
    }
    load(cpu, program(rfi(3)));
    cpu.special.set('eps3', 0xffffffff);
    cpu.special.set('epc3', 0x40100801);
    expect(cpu.step()).toBeUndefined();
    expect(cpu.pc).toBe(0x40100801);
    expectSpecial(cpu, { ps: 0x3f, eps3: 0xffffffff });
  });

  test('L32R: one word back from each alignment of pc; -4 with an unaligned pc is the word of the instruction', () => {
    for (let offset = 0; offset < 4; offset++) {
      load(cpu, program(l32r(5, -1)), CODE + offset);
      const address = ((CODE + offset + 3) & ~3) - 4;
      if (offset === 0) cpu.writeWord(address, 0x12345678);
      const expected = cpu.readWord(address);
      expect(cpu.run({ maxSteps: 1 }).reason).toBe('budget');
      expect(cpu.registers[5], `offset ${offset}`).toBe(expected);
      if (offset > 0) expect(address).toBe(CODE);
    }
    // 262144 bytes back from the start of IRAM there is nothing.
    load(cpu, program(l32r(5, -65536)));
    expect(cpu.step()).toEqual({ exception: 28 });
    expectSpecial(cpu, { excvaddr: CODE - 262144 });
  });
});
