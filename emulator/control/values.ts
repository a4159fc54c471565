/** Values of JSON bodies and query strings, checked: an error says what was wanted and what came. */
import { badRequest } from './api-error.ts';

const MAX_SHOWN = 60;

const got = (value: unknown): string => {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
};

/** A boolean that must be there. */
export function booleanOf(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw badRequest(`"${name}" wants true or false; got ${got(value)}`);
  return value;
}

/** A number within bounds; `whole` numbers unless said otherwise. */
export function numberOf(name: string, value: unknown, least: number, most: number, whole = true): number {
  if (typeof value !== 'number' || !(value >= least && value <= most) || (whole && !Number.isInteger(value))) {
    throw badRequest(`"${name}" wants a ${whole ? 'whole ' : ''}number from ${least} to ${most}; got ${got(value)}`);
  }
  return value;
}

/** One of a list of texts. */
export function oneOf<T extends string>(name: string, value: unknown, list: readonly T[]): T {
  const found = list.find((item) => item === value);
  if (found === undefined) throw badRequest(`"${name}" wants one of ${list.join(', ')}; got ${got(value)}`);
  return found;
}

/** An unsigned number of a query string, decimal or 0x…; undefined when it is not there. */
export function queryNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^(\d{1,10}|0x[0-9a-f]{1,8})$/i.test(text)) {
    throw badRequest(`?${name}= wants a number, decimal or 0x…; got ${got(text)}`);
  }
  return Number(text);
}
