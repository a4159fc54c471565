/**
 * Three ways to execute the same code: `step` (from the bytes of each instruction), `run` (decoded code and quick
 * handlers), and the core in TypeScript, written by another hand. They must agree about everything that can be seen.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Lx106, Lx106Options } from '../../../assembly/host/lx106.ts';
import { referenceLx106 } from '../../../assembly/host/lx106-reference.ts';
import { createLx106Sync } from '../../../eboot/lx106.ts';
import {
  codeOf,
  Dice,
  ordinaryCode,
  ram,
  randomCode,
  randomState,
  randomWord,
  recordingDevices,
  seen,
} from './random.ts';
import { runOne } from './vectors.ts';

const NMI = 1 << 14;
const NMI_VECTOR = 0x20;

const setups: readonly (readonly [string, () => Lx106Options & { devices?: ReturnType<typeof recordingDevices> }])[] = [
  ['RAM alone', () => ({})],
  ['devices and ROM traps', () => ({ devices: recordingDevices(), romTraps: true })],
];

describe.each(setups)('%s', (_, options) => {
  const machines = [options(), options(), options()];
  const stepping = createLx106Sync(machines[0]);
  const running = createLx106Sync(machines[1]);
  const reference = referenceLx106(machines[2]);
  const cores: readonly Lx106[] = [stepping, running, reference];

  const same = (what: string) => {
    const expected = seen(reference);
    expect(seen(stepping), `${what}: step`).toEqual(expected);
    expect(seen(running), `${what}: run`).toEqual(expected);
    const told = machines[2]!.devices?.log;
    expect(machines[0]!.devices?.log, `${what}: devices of step`).toEqual(told);
    expect(machines[1]!.devices?.log, `${what}: devices of run`).toEqual(told);
  };
  const sameRam = (what: string) => {
    const expected = ram(reference);
    expect(ram(stepping).equals(expected), `${what}: RAM after step`).toBe(true);
    expect(ram(running).equals(expected), `${what}: RAM after run`).toBe(true);
  };
  const clear = () => {
    for (const core of cores) core.reset();
    for (const { devices } of machines) if (devices) devices.log.length = 0;
  };
  const everywhere = (set: (core: Lx106) => void) => cores.forEach(set);

  test('single instructions from random states', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const dice = new Dice(seed);
        clear();
        const noise = Uint8Array.from({ length: 64 }, () => dice.word());
        for (let round = 0; round < 40; round++) {
          const code = randomCode(dice);
          const offset = dice.below(10) === 0 ? 0x10000 - code.length - dice.below(3) : dice.below(0xfff0);
          const pc = dice.below(40) === 0 ? randomWord(dice) : 0x40100000 + offset;
          randomState(dice, cores);
          const base = 0x3ffe8000 + dice.below(0x17fc0);
          everywhere((core) => {
            core.writeBytes(base, noise);
            core.writeBytes(0x40100000 + offset, code);
            core.pc = pc;
          });
          const what = `${Buffer.from(code).toString('hex')} at ${pc.toString(16)}`;
          const outcome = reference.step();
          expect(stepping.step(), what).toEqual(outcome);
          if (running.special.get('interrupt')) running.step();
          else if (reference.steps > running.steps) expect(runOne(running), what).toEqual(outcome);
          else expect(running.run({ maxSteps: 1 }), what).toEqual({ reason: 'trap', steps: 0 });
          same(what);
        }
        sameRam(`seed ${seed}`);
      }),
      { numRuns: 60 },
    );
  });

  test('programs of random instructions, which also overwrite themselves', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const dice = new Dice(seed);
        clear();
        randomState(dice, cores);
        const start = 0x40100000 + dice.below(0x8000);
        const program = Buffer.concat(Array.from({ length: 200 }, () => randomCode(dice)));
        everywhere((core) => {
          core.stopOnException = true;
          core.writeBytes(start, program);
          core.pc = start;
        });
        for (let round = 0; round < 60; round++) {
          // Stores land in the program itself now and then.
          if (dice.below(3) === 0) {
            const number = dice.below(16);
            const value = start + (dice.below(program.length) & ~3);
            everywhere((core) => {
              core.registers[number] = value - (value & 3);
            });
          }
          const maxSteps = 1 + dice.below(30);
          const before = reference.steps;
          const stop = reference.run({ maxSteps });
          expect(running.run({ maxSteps }), `seed ${seed}, round ${round}`).toEqual(stop);
          for (let guard = 0; stepping.steps < before + stop.steps && guard < 100; guard++) stepping.step();
          // Entering an interrupt counts as no step: level 1 ends the run, the NMI does so when its vector is a trap.
          const entered = stop.reason === 'exception' && reference.special.get('exccause') === 4;
          const isNmi = stop.reason === 'trap' && (stepping.special.get('interrupt') & NMI) !== 0;
          if (entered || (isNmi && reference.pc === reference.special.get('vecbase') + NMI_VECTOR)) stepping.step();
          if (stop.reason !== 'budget' || dice.below(4) === 0) {
            same(`seed ${seed}, round ${round}`);
            const pc = start + dice.below(program.length);
            const ps = dice.pick([0x20, 0x20, 0x00, 0x30]);
            everywhere((core) => {
              core.pc = pc;
              core.special.set('ps', ps);
              core.special.set('interrupt', 0);
            });
          } else {
            expect(seen(running), `seed ${seed}, round ${round}`).toEqual(seen(reference));
          }
        }
        sameRam(`seed ${seed}`);
      }),
      { numRuns: 30 },
    );
  });

  test('ordinary code, of which the host changes words between runs', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const dice = new Dice(seed);
        clear();
        const start = 0x40100000 + dice.below(0x8000);
        const program = Buffer.concat(Array.from({ length: 60 }, () => ordinaryCode(dice)));
        everywhere((core) => core.writeBytes(start, program));
        for (let round = 0; round < 60; round++) {
          const registers = Array.from({ length: 16 }, () =>
            dice.below(4) === 0 ? dice.word() : 0x3ffe8000 + 4 * dice.below(0x6000),
          );
          const pc = start + dice.below(program.length);
          const changed = (start + dice.below(program.length)) & ~3;
          const word =
            dice.below(2) === 0
              ? reference.readWord(changed)
              : Buffer.concat([ordinaryCode(dice), ordinaryCode(dice)]).readInt32LE();
          const breakpoint = dice.below(3) === 0 ? start + dice.below(program.length) : undefined;
          everywhere((core) => {
            core.registers.set(registers);
            core.special.set('ps', 0x20);
            core.writeWord(changed, word);
            core.pc = pc;
            core.breakpoints.clear();
            if (breakpoint !== undefined) core.breakpoints.add(breakpoint);
          });
          for (const maxSteps of [1 + dice.below(5), 1 + dice.below(5), 1 + dice.below(100)]) {
            const stop = reference.run({ maxSteps });
            expect(running.run({ maxSteps }), `seed ${seed}, round ${round}`).toEqual(stop);
            for (let step = 0; step < stop.steps; step++) stepping.step();
          }
          expect([...running.registers], `seed ${seed}, round ${round}`).toEqual([...reference.registers]);
          expect(running.pc).toBe(reference.pc);
        }
        same(`seed ${seed}`);
        sameRam(`seed ${seed}`);
      }),
      { numRuns: 30 },
    );
  });

  /** As in assembly/lx106/fuse.ts. */
  const pairs = (
    'l32i.n+l32i.n s32i.n+s32i.n l32i.n+addi l32i.n+addmi addi.n+s32i.n l8ui+add.n slli+add.n addi.n+add.n srli+s32i.n ' +
    'ssr+srl l32i+sub mov.n+bnez.n l16ui+slli sub+bgez mov+add add.n+beq add.n+beqi srai+srai sub+bnone ssl+sll'
  ).split(' ');
  test.each(pairs)('the pair %s, cut off by a budget, a breakpoint, or a fault of either', (pair) => {
    const dice = new Dice(pair.length);
    const [first, second] = pair.split('+');
    for (let round = 0; round < 150; round++) {
      clear();
      const [one, two] = [codeOf(dice, first!), codeOf(dice, second!)];
      const registers = Array.from({ length: 16 }, () => 0x3ffe8000 + (dice.word() % 0x17000));
      for (const number of registers.keys()) if (dice.below(3)) registers[number]! &= ~3;
      const start = 0x40100000 + dice.below(0x4000);
      const breakpoint = start + one.length;
      const maxSteps = 1 + dice.below(3);
      everywhere((core) => {
        core.writeBytes(start, Buffer.concat([one, two, two]));
        core.registers.set(registers);
        core.special.set('ps', 0x20);
        core.breakpoints.clear();
        if (round % 3 === 0) core.breakpoints.add(breakpoint);
        core.pc = start;
      });
      const stop = reference.run({ maxSteps });
      const what = `${Buffer.concat([one, two]).toString('hex')}, ${maxSteps} steps`;
      expect(running.run({ maxSteps }), what).toEqual(stop);
      for (let step = 0; step < stop.steps; step++) stepping.step();
      same(what);
    }
  });
});
