import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BootEvent } from '../../eboot/events.ts';
import type { ResetCause } from '../../eboot/reset-cause.ts';
import { RtcMemory } from '../../eboot/rtc-memory.ts';
import { PowerLost } from '../../flash/ports.ts';

/** Memory whose noise is the running number of the power-up. */
function makeRtc(): { rtc: RtcMemory; events: BootEvent[] } {
  const events: BootEvent[] = [];
  let powerUps = 0;
  const rtc = new RtcMemory({
    noise: (target) => void target.fill(++powerUps),
    flipBits: (target) => {
      target[0x200]! ^= 1;
    },
    emit: (event) => void events.push(event),
  });
  return { rtc, events };
}

const KEEPING: ResetCause[] = ['external', 'software', 'software-watchdog', 'hardware-watchdog', 'exception', 'eboot'];

describe('what survives (ch. 01 §6.3)', () => {
  test.each(KEEPING)('%s keeps all 1024 bytes', (cause) => {
    const { rtc } = makeRtc();
    rtc.writeUserWord(8, 0x12345678);
    const before = rtc.snapshot();
    expect(rtc.reset(cause)).toBe(true);
    expect(rtc.snapshot()).toEqual(before);
  });

  test('power-on leaves noise everywhere', () => {
    const { rtc } = makeRtc();
    rtc.writeUserWord(8, 0x12345678);
    expect(rtc.reset('power-on')).toBe(false);
    expect(rtc.snapshot()).toEqual(new Uint8Array(1024).fill(2));
  });

  test('a brown-out keeps it with flipped bits', () => {
    const { rtc } = makeRtc();
    expect(rtc.reset('brown-out')).toBe(true);
    expect(rtc.readUserWord(0)).toBe(0x01010100);
    expect(rtc.readUserWord(4)).toBe(0x01010101);
  });

  test('a snapshot comes back whole', () => {
    const { rtc } = makeRtc();
    rtc.writeSystemWord(0, 4);
    rtc.writeUserWord(508, 0xfedcba98);
    const saved = rtc.snapshot();
    rtc.reset('power-on');
    rtc.restore(saved);
    expect(rtc.readSystemWord(0)).toBe(4);
    expect(rtc.readUserWord(508)).toBe(0xfedcba98);
    expect(() => rtc.restore(new Uint8Array(512))).toThrow('512 bytes');
  });
});

describe('rtcUserMemoryRead and rtcUserMemoryWrite (ch. 01 §6.2)', () => {
  test.each([
    [0, 512, true],
    [127, 4, true],
    [127, 5, false], // 508 + 5 > 512, before the rounding up
    [128, 4, false],
    [0, 513, false],
    [0, 0, false],
    [0x40000000, 4, true], // wraps to 0
    [0x40000080, 4, false], // wraps to 512
  ])('offset %i, size %i: %s', (offset, size, ok) => {
    const { rtc } = makeRtc();
    expect(rtc.rtcUserMemoryRead(offset, new Uint8Array(size), size)).toBe(ok);
    expect(rtc.rtcUserMemoryWrite(offset, new Uint8Array(size), size)).toBe(ok);
  });

  test('a wrapped offset reaches block 0', () => {
    const { rtc } = makeRtc();
    expect(rtc.rtcUserMemoryWrite(0x40000000, Uint8Array.of(1, 2, 3, 4))).toBe(true);
    expect(rtc.readUserWord(0)).toBe(0x04030201);
  });

  test('the block number is cut to 8 bits: just below the wrap it is the last system block', () => {
    const { rtc } = makeRtc();
    expect(rtc.rtcUserMemoryWrite(0x3fffffff, Uint8Array.of(9, 8, 7, 6))).toBe(true);
    expect(rtc.readSystemWord(252)).toBe(0x06070809);
  });

  test('an unaligned pointer is refused', () => {
    const { rtc } = makeRtc();
    expect(rtc.rtcUserMemoryRead(0, new Uint8Array(4), 4, false)).toBe(false);
    expect(rtc.rtcUserMemoryWrite(0, new Uint8Array(4), 4, false)).toBe(false);
  });

  test('sizes are rounded up to words, in both directions', () => {
    const { rtc } = makeRtc();
    rtc.rtcUserMemoryWrite(2, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 5);
    expect(rtc.readUser(8, 12)).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 1, 1));
    const target = new Uint8Array(12).fill(0xee);
    rtc.rtcUserMemoryRead(2, target, 5);
    expect(target).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 0xee, 0xee, 0xee, 0xee));
  });

  test('invariant: what was written is read back, and nothing beyond the rounded size changes', () => {
    fc.assert(
      fc.property(fc.nat(127), fc.uint8Array({ minLength: 1, maxLength: 64 }), (offset, data) => {
        const { rtc } = makeRtc();
        const before = rtc.readUser();
        const ok = rtc.rtcUserMemoryWrite(offset, data);
        expect(ok).toBe(offset * 4 + data.length <= 512);
        const after = rtc.readUser();
        const end = ok ? offset * 4 + ((data.length + 3) & ~3) : offset * 4;
        expect(after.subarray(0, offset * 4)).toEqual(before.subarray(0, offset * 4));
        expect(after.subarray(end)).toEqual(before.subarray(end));
        if (!ok) return;
        const read = new Uint8Array(data.length);
        expect(rtc.rtcUserMemoryRead(offset, read)).toBe(true);
        expect(read).toEqual(data);
      }),
    );
  });
});

describe('words, events and faults', () => {
  test('one event per word; those of the command say what they mean', () => {
    const { rtc, events } = makeRtc();
    rtc.rtcUserMemoryWrite(30, new Uint8Array(12).fill(5));
    expect(events).toEqual([
      { type: 'rtc.write', offset: 120, length: 4, meaning: 'eboot command: argument 28' },
      { type: 'rtc.write', offset: 124, length: 4, meaning: 'eboot command: CRC' },
      { type: 'rtc.write', offset: 128, length: 4 },
    ]);
  });

  test('the gate strikes before or after a word', () => {
    const { rtc, events } = makeRtc();
    const cut = new PowerLost('fault');
    rtc.gate = {
      before: (offset) => {
        if (offset === 4) throw cut;
      },
      after: (offset) => {
        if (offset === 8) throw cut;
      },
    };
    expect(() => rtc.writeUserWord(4, 7)).toThrow(cut);
    expect(rtc.readUserWord(4)).toBe(0x01010101);
    expect(() => rtc.writeUserWord(8, 7)).toThrow(cut);
    expect(rtc.readUserWord(8)).toBe(7);
    expect(events).toHaveLength(1);
  });

  test('CPU stores reach every word, and only those of user memory are told', () => {
    const { rtc, events } = makeRtc();
    rtc.store(0x60001100, 0xaabbccdd);
    rtc.store(0x600013fc, 0x11223344);
    expect(rtc.readSystemWord(0)).toBe(0xaabbccdd);
    expect(rtc.readUserWord(508)).toBe(0x11223344);
    expect(events).toEqual([{ type: 'rtc.write', offset: 508, length: 4 }]);
  });

  test.each([-4, 2, 512, 0.5])('word offset %d is a mistake', (offset) => {
    const { rtc } = makeRtc();
    expect(() => rtc.readUserWord(offset)).toThrow(RangeError);
    expect(() => rtc.writeUserWord(offset, 0)).toThrow(RangeError);
    expect(() => rtc.readSystemWord(offset < 256 ? offset : 256)).toThrow(RangeError);
  });

  test('ranges outside user memory are a mistake', () => {
    const { rtc } = makeRtc();
    expect(() => rtc.readUser(0, 513)).toThrow(RangeError);
    expect(() => rtc.readUser(-1, 4)).toThrow(RangeError);
    expect(rtc.readUser(508)).toHaveLength(4);
  });
});
