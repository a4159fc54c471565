/** Numbers as users type them, with errors that say which option was wrong. */
import { UserError } from './errors.ts';

/** A whole number of 0 or more, decimal or 0x…. */
export function parseCount(option: string, text: string): number {
  if (!/^(\d+|0x[0-9a-f]+)$/i.test(text))
    throw new UserError(`${option} "${text}": wants a whole number, decimal or 0x…`);
  return Number(text);
}

/** 0 … 65535; 0 lets the system choose. */
export function parsePort(option: string, text: string): number {
  const port = parseCount(option, text);
  if (port > 0xffff) throw new UserError(`${option} ${text}: ports go from 0 to 65535`);
  return port;
}

/** The longest wait of a timer: 2^31 - 1 milliseconds, about 24 days. */
const MAX_SECONDS = 2_147_483;

/** Seconds, fractions allowed. */
export function parseSeconds(option: string, text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new UserError(`${option} "${text}": wants seconds, e.g. 60`);
  if (Number(text) > MAX_SECONDS) throw new UserError(`${option} ${text}: at most ${MAX_SECONDS} seconds`);
  return Number(text);
}
