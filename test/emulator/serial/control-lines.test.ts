/** DTR and RTS: the sequences of spec chapter 05 §2.3 and §11.6 at the times they arrive, in virtual time. */
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../emulator/clock.ts';
import { ControlLines, type SerialWiring } from '../../../emulator/serial/control-lines.ts';

type Change = readonly [ms: number, dtr: 0 | 1, rts: 0 | 1];

/** Feeds (DTR, RTS) at times; tells when RST went low and with which GPIO0 it went high. */
async function play(changes: readonly Change[], wiring?: SerialWiring, thenMs = 5000): Promise<string[]> {
  const clock = new VirtualClock();
  const log: string[] = [];
  const at = (): string => `${Math.round(clock.nowUs() / 1000)}`;
  const lines = new ControlLines(
    {
      assert: () => log.push(`${at()} reset`),
      release: (gpio0Low) => log.push(`${at()} ${gpio0Low ? 'download' : 'flash'}`),
    },
    (us, callback) => clock.alarm(us, 'peer', callback),
    wiring,
  );
  for (const [ms, dtr, rts] of changes) {
    await clock.advance(ms * 1000 - clock.nowUs());
    lines.set({ dtr: dtr === 1, rts: rts === 1 });
  }
  await clock.advance(thenMs * 1000);
  return log;
}

describe('DTR and RTS', () => {
  test.each<[string, Change[], string[]]>([
    [
      'classic, at once',
      [
        [0, 0, 0],
        [0, 0, 1],
        [100, 1, 1],
        [100, 1, 0],
        [150, 0, 0],
      ],
      ['0 reset', '100 download'],
    ],
    [
      'classic over RFC 2217, each change 50 ms after the other (§11.6)',
      [
        [150, 1, 0],
        [200, 1, 1],
        [600, 0, 1],
        [650, 0, 1],
        [700, 0, 1],
        [860, 1, 1],
        [910, 1, 0],
        [960, 1, 0],
        [1060, 0, 0],
      ],
      ['600 reset', '910 download'],
    ],
    [
      'Unix tight',
      [
        [0, 0, 0],
        [0, 1, 1],
        [0, 0, 1],
        [100, 1, 0],
        [150, 0, 0],
      ],
      ['0 reset', '100 download'],
    ],
    [
      'hard reset after',
      [
        [0, 0, 1],
        [100, 0, 0],
      ],
      ['0 reset', '100 flash'],
    ],
    [
      "pySerial's open",
      [
        [0, 1, 0],
        [0, 1, 1],
      ],
      [],
    ],
    [
      'both stay asserted while in reset: after a second the flash',
      [
        [0, 0, 1],
        [100, 1, 1],
      ],
      ['0 reset', '1100 flash'],
    ],
    [
      'RTS falls after that second: nothing more',
      [
        [0, 0, 1],
        [100, 1, 1],
        [1200, 1, 0],
        [1300, 0, 0],
      ],
      ['0 reset', '1100 flash'],
    ],
    [
      'back to (0,1) within the second: still in reset',
      [
        [0, 0, 1],
        [100, 1, 1],
        [900, 0, 1],
        [3000, 1, 1],
        [3900, 1, 0],
      ],
      ['0 reset', '3900 download'],
    ],
    [
      'a terminal that drops RTS first passes (1,0): nothing',
      [
        [0, 1, 1],
        [0, 1, 0],
        [0, 0, 0],
      ],
      [],
    ],
    [
      'a terminal that drops DTR first passes (0,1): a reset',
      [
        [0, 1, 1],
        [0, 0, 1],
        [20, 0, 0],
      ],
      ['0 reset', '20 flash'],
    ],
  ])('%s', async (_, changes, expected) => {
    expect(await play(changes)).toEqual(expected);
  });

  test('direct wiring: RTS alone resets, whatever DTR is', async () => {
    expect(
      await play(
        [
          [0, 1, 1],
          [100, 1, 0],
          [200, 1, 1],
          [300, 0, 1],
          [400, 0, 0],
        ],
        'direct',
      ),
    ).toEqual(['0 reset', '100 download', '200 reset', '400 flash']);
  });

  test('a host that vanishes with the chip in reset lets it go', () => {
    const log: string[] = [];
    const clock = new VirtualClock();
    const lines = new ControlLines(
      { assert: () => log.push('reset'), release: (low) => log.push(low ? 'download' : 'flash') },
      (us, callback) => clock.alarm(us, 'peer', callback),
    );
    lines.set({ rts: true });
    lines.close();
    lines.close();
    expect(log).toEqual(['reset', 'flash']);
  });
});
