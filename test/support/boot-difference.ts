/** Where two starts of eboot part: the first differing operation, else the first other difference, in words. */
import type { BootOnceResult } from '../../eboot/boot-once.ts';

export interface BootTrace {
  readonly result: BootOnceResult;
  readonly flash: Uint8Array;
  readonly rtcUser: Uint8Array;
}

/** Builds without arguments to `ets_wdt_enable` show what two more registers happen to hold. */
export const watchdogMode = (call: string): string => call.split(' ').slice(0, 2).join(' ');

/** One of them ran into the step limit, which the model counts roughly: only the operations before that can be compared. */
export const isCutShort = (model: BootTrace, native: BootTrace): boolean =>
  model.result.outcome === 'hang' || native.result.outcome === 'hang';

/** Undefined when they agree. */
export function firstDifference(model: BootTrace, native: BootTrace): string | undefined {
  const show = (value: unknown): string => JSON.stringify(value) ?? 'nothing';
  const { flashOps: left } = model.result;
  const { flashOps: right } = native.result;
  const short = isCutShort(model, native);
  const count = short ? Math.min(left.length, right.length) : Math.max(left.length, right.length);
  for (let i = 0; i < count; i++) {
    if (show(left[i]) !== show(right[i])) return `operation ${i}: model ${show(left[i])}, native ${show(right[i])}`;
  }
  if (short) return undefined;
  const facts = ({ outcome, entry, sp, uart, watchdog }: BootOnceResult): string =>
    show({ outcome, entry, sp, uart, watchdog: watchdog.map(watchdogMode) });
  if (facts(model.result) !== facts(native.result))
    return `model ${facts(model.result)}, native ${facts(native.result)}`;
  return (
    differentBytes('flash', model.flash, native.flash) ??
    differentBytes('RTC user memory', model.rtcUser, native.rtcUser)
  );
}

function differentBytes(what: string, left: Uint8Array, right: Uint8Array): string | undefined {
  if (Buffer.compare(left, right) === 0) return undefined;
  const at = left.findIndex((byte, index) => byte !== right[index]);
  return `${what} at 0x${at.toString(16)}: model ${left[at]}, native ${right[at]}`;
}
