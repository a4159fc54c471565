import { describe, expect, test } from 'vitest';
import type { ResetCause } from '../../eboot/reset-cause.ts';
import {
  NO_EXCEPTION,
  ResetState,
  readRstInfo,
  resetInfoText,
  resetReasonText,
  sdkReason,
  storedReason,
  writeRstInfo,
} from '../../eboot/reset-state.ts';
import { RtcMemory } from '../../eboot/rtc-memory.ts';
import {
  bootModeOf,
  DOWNLOAD,
  FLASH_BOOT,
  gpiRegister,
  type Level,
  strapNumber,
  updaterStraps,
} from '../../eboot/straps.ts';

const noise = (target: Uint8Array): void => void target.fill(0xc3);

describe('straps (ch. 01 §6.5)', () => {
  test.each([
    [0, 0, 0, 0, 'invalid'],
    [0, 0, 1, 1, 'download'],
    [0, 1, 0, 2, 'invalid'],
    [0, 1, 1, 3, 'flash'],
    [1, 0, 0, 4, 'sdio'],
    [1, 1, 1, 7, 'sdio'],
  ] as [Level, Level, Level, number, string][])(
    'GPIO15 %i, GPIO0 %i, GPIO2 %i: strap %i, %s',
    (gpio15, gpio0, gpio2, strap, mode) => {
      expect(strapNumber({ gpio15, gpio0, gpio2 })).toBe(strap);
      expect(bootModeOf(strap)).toBe(mode);
    },
  );

  test('GPI shows both numbers, and the Updater sees exactly 1 only in download mode', () => {
    expect(gpiRegister(3, 6)).toBe(0xc0030000);
    expect([0, 1, 2, 3, 4, 5, 6, 7].filter((strap) => updaterStraps(strap) === 1)).toEqual([1]);
  });
});

describe('causes (ch. 01 §6.3, §6.4, §8.1)', () => {
  test.each([
    ['power-on', 1, false, true],
    ['external', 2, true, true],
    ['brown-out', 2, true, true],
    ['hardware-watchdog', 4, true, false],
    ['eboot', 3, true, false],
    ['software', 1, true, false],
    ['software-watchdog', 1, true, false],
    ['exception', 1, true, false],
  ] as [ResetCause, number, boolean, boolean][])(
    '%s after power-on: N=%i, RTC kept %s, straps latched %s',
    (cause, rstCause, rtcKept, latched) => {
      const state = new ResetState();
      state.start('power-on', FLASH_BOOT);
      expect(state.start(cause, FLASH_BOOT)).toMatchObject({ cause, rstCause, rtcKept, latched });
    },
  );

  test('the raw cause does not change on a software restart, and the watchdog runs on', () => {
    const state = new ResetState();
    state.start('external', FLASH_BOOT);
    state.watchdogRunning = true;
    for (const cause of ['software', 'exception', 'software-watchdog'] as const) {
      expect(state.start(cause, FLASH_BOOT)).toMatchObject({ rstCause: 2, watchdogRunning: true });
    }
    expect(state.start('hardware-watchdog', FLASH_BOOT)).toMatchObject({ rstCause: 4, watchdogRunning: false });
    state.watchdogRunning = true;
    expect(state.start('external', FLASH_BOOT)).toMatchObject({ rstCause: 2, watchdogRunning: false });
  });

  test('after a serial upload and a soft restart the loader is entered again until a physical reset', () => {
    const state = new ResetState();
    state.start('external', DOWNLOAD);
    state.watchdogRunning = true; // the uploaded code ran, started by a soft reset
    expect(state.start('software', FLASH_BOOT)).toMatchObject({ rstCause: 2, strap: 1, watchdogRunning: true });
    expect(state.start('hardware-watchdog', FLASH_BOOT)).toMatchObject({
      rstCause: 4,
      strap: 1,
      watchdogRunning: false,
    });
    expect(state.start('external', FLASH_BOOT)).toMatchObject({ rstCause: 2, strap: 3 });
  });

  test('a snapshot brings everything back', () => {
    const state = new ResetState();
    state.start('external', DOWNLOAD);
    state.watchdogRunning = true;
    const saved = state.snapshot();
    state.start('power-on', FLASH_BOOT);
    state.restore(saved);
    expect(state.start('software', FLASH_BOOT)).toMatchObject({ rstCause: 2, strap: 1, watchdogRunning: true });
  });
});

describe('the SDK reason (ch. 01 §6.4)', () => {
  test.each([
    ['power-up, RTC is noise', 0xc3c3c3c3, 1, 'Power On'],
    ['EXT_RST while running', 1, 2, 'External System'],
    ['EXT_RST after power-up noise', 0xc3c3c3c3, 2, 'External System'],
    ['hardware watchdog while running', 1, 4, 'Hardware Watchdog'],
    ['hardware watchdog right after the start', 0, 4, 'Power On'],
    ['restart, last hardware reset power-up', 4, 1, 'Software/System restart'],
    ['restart, last hardware reset watchdog', 4, 4, 'Software/System restart'],
    ['exception', 2, 2, 'Exception'],
    ['software watchdog', 3, 1, 'Software Watchdog'],
    ['deep-sleep wake', 5, 2, 'Deep-Sleep Wake'],
  ])('%s', (_name, stored, rstCause, text) => {
    expect(resetReasonText(sdkReason(stored, rstCause))).toBe(text);
  });

  test('only restarts of its own store a reason', () => {
    expect(['software', 'exception', 'software-watchdog'].map((cause) => storedReason(cause as ResetCause))).toEqual([
      4, 2, 3,
    ]);
    for (const cause of ['power-on', 'external', 'hardware-watchdog', 'eboot', 'brown-out'] as const) {
      expect(storedReason(cause)).toBeUndefined();
    }
  });

  test('the record goes through RTC memory', () => {
    const rtc = new RtcMemory({ noise });
    const info = { reason: 2, exccause: 28, epc1: 0x40201234, epc2: 1, epc3: 2, excvaddr: 0xfffffffc, depc: 3 };
    writeRstInfo(rtc, info);
    rtc.reset('exception');
    expect(readRstInfo(rtc)).toEqual(info);
  });

  test('texts of getResetInfo', () => {
    expect(resetInfoText({ ...NO_EXCEPTION, reason: 6 })).toBe('External System');
    expect(resetInfoText({ ...NO_EXCEPTION, reason: 9 })).toBe('Unknown');
    expect(resetInfoText({ ...NO_EXCEPTION, reason: 2, exccause: 28, epc1: 0x40201234, excvaddr: 0xfffffffc })).toBe(
      'Fatal exception:28 flag:2 (Exception) epc1:0x40201234 epc2:0x00000000 epc3:0x00000000 excvaddr:0xfffffffc depc:0x00000000',
    );
    expect(resetInfoText({ ...NO_EXCEPTION, reason: 1 })).toMatch(
      /^Fatal exception:0 flag:1 \(Hardware Watchdog\) epc1:0x00000000/,
    );
  });
});
