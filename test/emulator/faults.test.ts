import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeviceReset } from '../../emulator/device-reset.ts';
import type { DeviceEvent } from '../../emulator/events.ts';
import { FaultEngine } from '../../emulator/faults/engine.ts';
import {
  CHIP_KINDS,
  type Fault,
  FaultSpecError,
  formatFault,
  NET_KINDS,
  PHASES,
  type Phase,
  POINTS,
  parseFault,
  parseFaults,
} from '../../emulator/faults/spec.ts';
import { SeededRandom } from '../../emulator/random.ts';
import { PowerLost } from '../../flash/ports.ts';

const flashPhases = PHASES.filter((phase) => phase !== 'command' && phase !== 'clear');
const place = (phases: readonly Phase[]) =>
  fc.oneof(
    fc.record({ phase: fc.constantFrom(...phases), op: fc.nat(999_999) }),
    fc.record({ address: fc.nat(0xffffff) }),
  );
const powerCut: fc.Arbitrary<Fault> = fc
  .tuple(place(PHASES), fc.option(fc.constantFrom(...POINTS)), fc.option(fc.integer({ min: 0, max: 100 })))
  .map(([where, point, percent]) => ({
    kind: 'power-cut',
    at: {
      ...where,
      ...(point === null ? {} : { point }),
      ...(point === 'inside' && percent !== null ? { fraction: percent / 100 } : {}),
    },
  }));
const chipFault: fc.Arbitrary<Fault> = fc.record({ kind: fc.constantFrom(...CHIP_KINDS), at: place(flashPhases) });
const netFault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({
    kind: fc.constantFrom(...NET_KINDS),
    at: fc.record({ phase: fc.constantFrom('tcp' as const, 'http' as const), op: fc.nat(999_999) }),
  }),
  fc.record({
    kind: fc.constantFrom('net-loss' as const, 'net-delay' as const, 'net-reorder' as const, 'net-stall' as const),
    at: fc.record({ phase: fc.constant('udp' as const), op: fc.nat(999_999) }),
  }),
);
const fault = fc.oneof(powerCut, chipFault, netFault);

describe('the fault grammar', () => {
  test('every fault reads back from its text', () => {
    fc.assert(
      fc.property(fault, (one) => {
        expect(parseFault(formatFault(one))).toEqual(one);
      }),
    );
    fc.assert(
      fc.property(fc.array(fault, { minLength: 1, maxLength: 4 }), (list) => {
        expect(parseFaults(list.map(formatFault).join('+'))).toEqual(list);
      }),
    );
  });

  test('any other text is refused in words, never with a crash', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseFaults(text);
        } catch (error) {
          expect(error).toBeInstanceOf(FaultSpecError);
        }
      }),
    );
  });

  test.each([
    ['power-cut', /KIND@PHASE:OP/],
    ['power-cat@copy:1', /no kind of fault/],
    ['power-cut@copied:1', /no phase/],
    ['power-cut@copy', /which operation/],
    ['power-cut@copy:x', /which operation/],
    ['power-cut@copy:1:middle', /no point/],
    ['power-cut@copy:1:before:0.5', /fraction goes with the point "inside"/],
    ['power-cut@copy:1:inside:1.5', /no fraction/],
    ['power-cut@copy:1:inside:0.5:x', /too much/],
    ['reset@copy:1:inside', /no inside/],
    ['erase-fail@command:1', /RTC memory/],
    ['erase-fail@copy:1:after', /no point/],
    ['net-loss@copy:1', /no phase of net-loss; use udp, tcp, http/],
    ['net-loss@0x1000', /network fault has no flash address/],
    ['net-loss@tcp:1:after', /no point/],
    ['net-reset@udp:1', /no connection in UDP/],
    ['power-cut@tcp:1', /no phase of power-cut/],
  ])('%s: %s', (text, message) => {
    expect(() => parseFaults(text)).toThrow(message);
  });
});

describe('faults as objects', () => {
  test.each([
    [undefined, /a fault is/],
    [[], /list is empty/],
    [{ kind: 'power-cut', at: { phase: 'copy', op: 1, point: 'inside', fraction: 'e' } }, /between 0 and 1/],
    [{ kind: Symbol('x'), at: { address: null } }, /no such kind/],
    ['power-cut', /KIND@PHASE:OP/],
    [{ kind: 'power-cut' }, /a fault is/],
    [{ kind: 'power-cat', at: { phase: 'copy', op: 1 } }, /no such kind/],
    [{ kind: 'power-cut', at: { phase: 'tcp', op: 1 } }, /phases of power-cut are staging/],
    [{ kind: 'net-loss', at: { phase: 'copy', op: 1 } }, /phases of net-loss are udp, tcp, http/],
    [{ kind: 'power-cut', at: { phase: 'copy' } }, /phase with an operation, or an address/],
    [{ kind: 'power-cut', at: { phase: 'copy', op: -1 } }, /op is a whole number/],
    [{ kind: 'power-cut', at: { phase: 'copy', op: 0.5 } }, /op is a whole number/],
    [{ kind: 'power-cut', at: { phase: 'copy', op: Number.NaN } }, /op is a whole number/],
    [{ kind: 'power-cut', at: { address: 0x1000000 } }, /address is a whole number/],
    [{ kind: 'power-cut', at: { phase: 'copy', op: 1, point: 'middle' } }, /points are before/],
    [{ kind: 'power-cut', at: { phase: 'copy', op: 1, point: 'inside', fraction: 2 } }, /between 0 and 1/],
  ])('%j is refused', (one, message) => {
    const { faults, events } = engine(() => 'copy');
    expect(() => faults.arm(one as never)).toThrow(message);
    expect(() => faults.arm(one as never)).toThrow(FaultSpecError);
    expect(events).toEqual([]);
  });

  test('whatever is armed as an object, the engine answers in words or takes it', () => {
    fc.assert(
      fc.property(
        fc.anything(),
        fc.record({
          kind: fc.oneof(fc.string(), fc.constantFrom(...CHIP_KINDS, ...NET_KINDS)),
          at: fc.record(
            {
              phase: fc.anything(),
              op: fc.anything(),
              address: fc.anything(),
              point: fc.anything(),
              fraction: fc.anything(),
            },
            { requiredKeys: [] },
          ),
        }),
        (any, shaped) => {
          for (const one of [any, shaped]) {
            try {
              engine(() => 'copy').faults.arm(one as never);
            } catch (error) {
              expect(error).toBeInstanceOf(FaultSpecError);
            }
          }
        },
      ),
    );
  });

  test('a fraction too small for a plain number reads back all the same', () => {
    const at = { phase: 'copy', op: 1, point: 'inside', fraction: 1e-9 } as const;
    expect(parseFault(formatFault({ kind: 'power-cut', at })).at.fraction).toBe(1e-9);
  });
});

function engine(phase: () => Phase) {
  const events: DeviceEvent[] = [];
  const faults = new FaultEngine(phase, new SeededRandom(1), (event) => events.push(event));
  return { faults, events };
}
const erase = (address: number) => ({ kind: 'erase', address, length: 4096 }) as const;
const program = (address: number) => ({ kind: 'program', address, length: 256 }) as const;

describe('armed faults', () => {
  test('operations are counted from 0 within their phase, and the fault proves that it fired', () => {
    let phase: Phase = 'app';
    const { faults, events } = engine(() => phase);
    faults.arm('power-cut@copy:2:after');
    expect(faults.decide(erase(0))).toBeUndefined();
    phase = 'copy';
    expect(faults.decide(erase(0))).toBeUndefined();
    expect(faults.decide(program(0))).toBeUndefined();
    const decision = faults.decide(program(0x100));
    expect(decision).toMatchObject({ do: 'stop', point: 'after' });
    expect(decision?.do === 'stop' && decision.with).toBeInstanceOf(PowerLost);
    expect(events.map(({ type }) => type)).toEqual(['fault.armed', 'fault.fired']);
    expect(events[1]).toMatchObject({ spec: 'power-cut@copy:2:after', op: 2, address: 0x100 });
    expect(faults.decide(program(0x200))).toBeUndefined();
  });

  test('reads are no operations, except for read faults', () => {
    const { faults } = engine(() => 'copy');
    faults.arm('power-cut@copy:0');
    faults.arm('read-fail@copy:1');
    const read = { kind: 'read', address: 0, length: 4 } as const;
    expect(faults.decide(read)).toBeUndefined();
    expect(faults.decide(read)).toEqual({ do: 'fail' });
    expect(faults.decide(erase(0))).toMatchObject({ do: 'stop', point: 'before' });
  });

  test('of a list each entry counts from where the one before struck', () => {
    const { faults } = engine(() => 'copy');
    faults.arm('reset@copy:1+power-cut@copy:0:inside:0.5');
    expect(faults.decide(erase(0))).toBeUndefined();
    const first = faults.decide(erase(0x1000));
    expect(first?.do === 'stop' && first.with).toBeInstanceOf(DeviceReset);
    expect(faults.decide(erase(0))).toMatchObject({ do: 'tear', bits: 4096 * 4 });
    expect(faults.armed).toBe(false);
  });

  test('two lists at the same operation both strike, and what stops the machine is what is seen', () => {
    const { faults } = engine(() => 'copy');
    faults.arm('erase-fail@copy:0');
    faults.arm('power-cut@copy:0');
    faults.arm('reset@copy:1');
    expect(faults.decide(erase(0))).toMatchObject({ do: 'stop', point: 'before' });
    expect(faults.fired).toHaveLength(2);
    expect(faults.decide(erase(0))).toMatchObject({ do: 'stop' });
    expect(faults.armed).toBe(false);
  });

  test('an address means the next operation on its sector', () => {
    const { faults } = engine(() => 'staging');
    faults.arm('erase-fail@0x1ac0ff');
    expect(faults.decide(program(0x1ac000))).toBeUndefined();
    expect(faults.decide(erase(0x1ad000))).toBeUndefined();
    expect(faults.decide(erase(0x1ac000))).toEqual({ do: 'fail' });
  });

  test('a fraction f tears after the first floor(8 f length) bits; without one the seed decides, always the same', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1000 }), (permille) => {
        const { faults } = engine(() => 'copy');
        faults.arm({ kind: 'power-cut', at: { phase: 'copy', op: 0, point: 'inside', fraction: permille / 1000 } });
        expect(faults.decide(program(0))).toMatchObject({ bits: Math.floor((8 * 256 * permille) / 1000) });
      }),
    );
    const bits = [1, 2].map(() => {
      const { faults } = engine(() => 'copy');
      faults.arm('power-cut@copy:0:inside');
      return faults.decide(program(0));
    });
    expect(bits[0]).toEqual(bits[1]);
  });

  test('RTC words are operations of the phases command and clear', () => {
    const { faults } = engine(() => 'app');
    faults.arm('power-cut@command:1:after');
    expect(faults.decideRtcWord('clear')).toEqual({});
    expect(faults.decideRtcWord('command')).toEqual({});
    expect(faults.decideRtcWord('command').after).toBeInstanceOf(PowerLost);
  });
});
