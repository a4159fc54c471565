/** What time servers tell a device: this machine's time, and on a virtual clock a time that is the same in every run. */
import type { DeviceClock } from './clock.ts';

/** 2026-01-01T00:00:00Z, when a device with a virtual clock is made. */
const VIRTUAL_START_S = 1_767_225_600;

/** Seconds since 1970, UTC. */
export function ntpTime(clock: DeviceClock): number {
  return clock.mode === 'virtual' ? VIRTUAL_START_S + Math.floor(clock.nowUs() / 1e6) : Math.floor(Date.now() / 1000);
}
