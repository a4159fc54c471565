/** The ports of the services for one life of the application, over the device's parts. */

import type { ChipClock } from '../flash/ports.ts';
import type { Clock, System } from '../ota-services/ports.ts';
import type { DeviceClock } from './clock.ts';
import { DeviceReset } from './device-reset.ts';
import type { Life } from './life.ts';

/** `ESP.restart()` stops Wi-Fi, lets the UART run dry and waits this long. Source: spec chapter 01 §6.4. */
const RESTART_MS = 100;

/** The chip's clock, seen from one life: after its end nothing goes on. */
export function chipClock(clock: DeviceClock, life: Life): ChipClock {
  return {
    nowUs: () => clock.nowUs(),
    spend: (us) => clock.spend(us),
    settle() {
      life.check();
      const wait = clock.settle();
      return wait && life.guard(wait);
    },
  };
}

/** Arduino time; counts from the start of the application. */
export function sketchClock(clock: DeviceClock, life: Life): Clock {
  const startedAt = clock.nowUs();
  return {
    micros: () => (clock.nowUs() - startedAt) >>> 0,
    millis: () => Math.floor((clock.nowUs() - startedAt) / 1000) >>> 0,
    async delay(ms, kind = 'device') {
      const us = Math.max(0, ms) * 1000;
      if (kind !== 'unseen') return life.sleep(us, kind);
      if (clock.mode !== 'fast') return life.sleep(us, 'device');
      life.check();
      clock.spend(us);
    },
    yield() {
      life.check();
      const turn = clock.breathe();
      return turn && life.guard(turn);
    },
  };
}

/** `ESP.rebootIntoUartDownloadMode()`: never resolves, the sketch's thread ends here. */
export async function rebootIntoLoader(life: Life): Promise<never> {
  life.check();
  throw new DeviceReset('software', false, { toLoader: true });
}

/** What the system port needs of the device. */
export interface SystemParts {
  readonly life: Life;
  readonly chipId: number;
  readonly freeHeap: number;
  /** GPI bits 16–19. */
  readonly bootStraps: () => number;
}

export function systemPort({ life, chipId, freeHeap, bootStraps }: SystemParts): System {
  let heap = freeHeap;
  return {
    chipId,
    bootStraps,
    freeHeap: () => heap,
    allocate(bytes) {
      if (bytes > heap) return false;
      heap -= bytes;
      return true;
    },
    release(bytes) {
      heap += bytes;
    },
    async restart() {
      await life.sleep(RESTART_MS * 1000, 'device');
      throw new DeviceReset('software');
    },
    wifiOff: () => Promise.resolve(true),
    hardwareReset: () => Promise.reject(new DeviceReset('hardware-watchdog', true)),
    // Pins and modem sleep have no observable effect on an emulator without pins and radio.
    disableWifiSleep() {},
    digitalWrite() {},
    pinMode() {},
  };
}
