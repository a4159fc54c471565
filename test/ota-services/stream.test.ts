import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BytesSource, TimedStream } from '../../ota-services/stream.ts';
import { TestClock } from '../support/flash.ts';
import { concat, cut, firstDifference, PlayedClock, patternBytes, ScriptedSource } from '../support/updater.ts';

const makeClock = (): PlayedClock => new PlayedClock(new TestClock());

describe('TimedStream', () => {
  test('gives what is there at once and waits for the rest', async () => {
    const clock = makeClock();
    const source = new ScriptedSource(clock, [
      { bytes: Uint8Array.of(1, 2) },
      { at: 900, bytes: Uint8Array.of(3) },
      { at: 1800, bytes: Uint8Array.of(4, 5) },
    ]);
    const stream = new TimedStream(source, clock);
    expect([stream.available(), stream.peek()]).toEqual([2, 1]);
    expect(await stream.readBytes(4)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(clock.millis()).toBe(1800);
    expect([stream.available(), stream.peek()]).toEqual([1, 5]);
  });

  test('the timeout counts per gap, and a gap that is too long ends the read with what came', async () => {
    const clock = makeClock();
    const source = new ScriptedSource(clock, [
      { bytes: Uint8Array.of(1) },
      { at: 999, bytes: Uint8Array.of(2) },
      { at: 2000, bytes: Uint8Array.of(3) },
    ]);
    const stream = new TimedStream(source, clock);
    expect(await stream.readBytes(10)).toEqual(Uint8Array.of(1, 2));
    expect(clock.millis()).toBe(1999);
    expect(stream.peek()).toBe(-1);
  });

  test('setTimeout(0) reads what is there', async () => {
    const clock = makeClock();
    const stream = new TimedStream(new ScriptedSource(clock, [{ bytes: Uint8Array.of(1) }]), clock);
    stream.setTimeout(0);
    expect(await stream.readBytes(2)).toEqual(Uint8Array.of(1));
    expect(clock.millis()).toBe(0);
  });

  test('nothing is waited for when nothing is wanted', async () => {
    const clock = makeClock();
    expect(await new TimedStream(new ScriptedSource(clock, []), clock).readBytes(0)).toEqual(new Uint8Array(0));
    expect(clock.millis()).toBe(0);
  });

  test('the end of a source is not noticed: the timeout passes on the device, without spinning', async () => {
    const clock = makeClock();
    const stream = new TimedStream(new BytesSource(Uint8Array.of(7)), clock, 8000);
    expect(await stream.readBytes(2)).toEqual(Uint8Array.of(7));
    expect([clock.millis(), clock.delays]).toEqual([8000, [8000]]);
    expect(stream.peek()).toBe(-1);
  });

  test('a closed connection whose wait resolves at once does not spin either', async () => {
    const clock = makeClock();
    let waits = 0;
    const closed = {
      available: () => 0,
      read: () => new Uint8Array(0),
      peek: () => new Uint8Array(0),
      connected: () => false,
      wait: async () => void waits++,
    };
    expect(await new TimedStream(closed, clock).readBytes(5)).toEqual(new Uint8Array(0));
    expect([clock.millis(), waits]).toEqual([1000, 0]);
  });

  test('a source that cannot wait is asked again every millisecond', async () => {
    const clock = makeClock();
    const source = new ScriptedSource(clock, [{ at: 3, bytes: Uint8Array.of(9) }]);
    const plain = {
      available: () => source.available(),
      read: (max: number) => source.read(max),
      peek: (max: number) => source.peek(max),
    };
    expect(await new TimedStream(plain, clock).readBytes(1)).toEqual(Uint8Array.of(9));
    expect(clock.delays).toEqual([1, 1, 1]);
  });

  test('a gap across the wrap of millis() is measured right', async () => {
    const chip = new TestClock();
    const clock = new PlayedClock(chip);
    chip.us = (2 ** 32 - 400) * 1000;
    const stream = new TimedStream(new ScriptedSource(clock, []), clock);
    expect(await stream.readBytes(1)).toEqual(new Uint8Array(0));
    expect(chip.us).toBe((2 ** 32 + 600) * 1000);
  });

  test('invariant: in order, nothing lost, whatever the sizes of reads and pieces', async () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 });
    const reads = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(pieces, reads, async (lengths, wanted) => {
        const bytes = patternBytes(lengths.reduce((sum, length) => sum + length, 0));
        const clock = makeClock();
        const script = cut(bytes, lengths).map((piece, i) => ({ at: i * 7, bytes: piece }));
        const stream = new TimedStream(new ScriptedSource(clock, script), clock);
        const got: Uint8Array[] = [];
        for (const length of wanted) got.push(await stream.readBytes(length));
        const all = concat(...got);
        expect(firstDifference(all, bytes.subarray(0, all.length))).toBe(-1);
        expect(all.length).toBe(
          Math.min(
            bytes.length,
            wanted.reduce((sum, length) => sum + length, 0),
          ),
        );
      }),
    );
  });
});
