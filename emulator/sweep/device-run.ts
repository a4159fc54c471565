/**
 * One point of a sweep on a real device, from the beginning: the whole update with the faults armed, what follows, and the
 * verdict by the bytes in flash. This is what `replay` does, and what the tests hold the engine against.
 */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { Device } from '../device.ts';
import type { PowerState } from '../power.ts';
import { settle } from './drive/index.ts';
import { CURES, deathReason, type Judgement, NEVER_SETTLES, RUNNING, stuckReason, type Verdict } from './reasons.ts';
import { finished, type Reference } from './reference-data.ts';
import { type Cut, faultsOf } from './schedule.ts';
import { type Subject, sendUpdate, start, subjectDevice } from './subject.ts';

/** A device that loses power or hangs more often than its faults can explain is at fault itself. */
const MOST_STARTS = 16;

export interface DeviceRun extends Judgement {
  /** What the faults left of the whole chip. */
  readonly flash: Uint8Array;
  /** Every fault struck. */
  readonly fired: boolean;
  /** With `retry`: what the repeated update came to. */
  readonly retry?: Judgement;
}

export interface DeviceRunOptions {
  /** Sees the device before it is switched on: for its events. */
  readonly watch?: (device: Device) => Promise<void> | void;
  /** Sees the device as the verdict found it, before it is closed. */
  readonly after?: (device: Device, judged: Judgement) => Promise<void>;
  readonly retry?: boolean;
}

/** Runs the update with these cuts. */
export async function runOnDevice(
  subject: Subject,
  reference: Reference,
  cuts: readonly Cut[],
  options: DeviceRunOptions = {},
): Promise<DeviceRun> {
  const device = await subjectDevice(subject);
  try {
    await options.watch?.(device);
    await start(device);
    device.faults.arm(faultsOf(cuts));
    await sendUpdate(device, subject);
    const state = await recover(device);
    const fired = device.faults.fired.length === cuts.length;
    const flash = device.flash.read(0, reference.before.length);
    const judged = await judgeDevice(device, state, reference);
    if (!options.retry || judged.verdict === 'brick' || judged.verdict === 'corrupt') {
      await options.after?.(device, judged);
      return { ...judged, flash, fired };
    }
    await sendUpdate(device, subject);
    const retry = await judgeDevice(device, await recover(device), reference);
    await options.after?.(device, judged);
    return { ...judged, flash, fired, retry };
  } finally {
    await device.close();
  }
}

/** Plugs the device in again as often as a fault cut the power; lets go of GPIO0 when it waits in the serial loader. */
async function recover(device: Device): Promise<PowerState | undefined> {
  let state = await settle(device);
  for (let starts = 0; starts < MOST_STARTS; starts++) {
    if (state?.state === 'off') {
      device.straps.gpio0 = 1;
      state = await start(device);
    } else if (state?.state === 'download') {
      device.straps.gpio0 = 1;
      state = await reset(device);
    } else return state;
  }
  return state;
}

async function reset(device: Device): Promise<PowerState | undefined> {
  const restarted = device.reset('external');
  restarted.catch(() => {});
  return await settle(device);
}

/** The verdict, by design.md §8. A device that is dead gets an external reset, then a power cycle. */
export async function judgeDevice(
  device: Device,
  state: PowerState | undefined,
  reference: Reference,
): Promise<Judgement> {
  if (state?.state === 'running') return compare(device, reference);
  const code = lastEbootCode(device);
  const failed = device.events.recent('rom.boot').at(-1)?.failure !== undefined;
  for (const cure of CURES) {
    let cured: PowerState | undefined;
    if (cure === 'external') cured = await reset(device);
    else {
      await device.powerOff();
      cured = await start(device);
    }
    if (cured?.state !== 'running') continue;
    const found = compare(device, reference);
    if (found.verdict !== 'old' && found.verdict !== 'new') return found;
    return { verdict: 'stuck', reason: stuckReason(found.verdict, cure, code) };
  }
  return { verdict: 'brick', reason: state?.state === 'dead' ? reasonOf(state, failed, code) : NEVER_SETTLES };
}

/** @param failed the ROM found no image: `no-image` is its word, and also the device's for an exception in eboot */
function reasonOf({ why }: Extract<PowerState, { state: 'dead' }>, failed: boolean, code: number | undefined): string {
  if (why === 'no-image' && !failed) return deathReason('no-application');
  return why === 'rom-hang' ? deathReason('hang', code) : deathReason(why);
}

/** Of the last run of eboot that gave up. */
function lastEbootCode(device: Device): number | undefined {
  const end = device.events.recent('eboot.end').at(-1);
  const starts = device.events.recent('reset').at(-1);
  return starts?.cause === 'eboot' ? end?.result : undefined;
}

function compare(device: Device, reference: Reference): Judgement {
  const { target, before, fsStart, fsEnd, oldLength, payload } = reference;
  const wanted = finished(reference);
  const flash = device.flash.read(0, before.length);
  const same = (other: Uint8Array, from: number, to: number): boolean =>
    Buffer.compare(flash.subarray(from, to), other.subarray(from, to)) === 0;
  const fsFrom = Math.floor(fsStart / SECTOR_BYTES) * SECTOR_BYTES;
  if (target === 'fs') {
    if (!same(before, 0, oldLength)) return RUNNING.corrupt;
    if (same(wanted, fsFrom, fsEnd)) return RUNNING.newFs;
    return same(before, fsFrom, fsEnd) ? RUNNING.oldFs : RUNNING.fsLost;
  }
  const isNew = same(wanted, 0, payload.length);
  if (!isNew && !same(before, 0, oldLength)) return RUNNING.corrupt;
  if (!same(before, fsFrom, fsEnd)) return RUNNING.fsLost;
  return isNew ? RUNNING.new : RUNNING.old;
}

/** Verdicts after which the device can be updated again. */
export const SURVIVED: readonly Verdict[] = ['old', 'new', 'fs-lost', 'stuck'];
