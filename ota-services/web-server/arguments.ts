/** Query strings and url-encoded bodies. Source: spec chapter 04 §3.1 (Parsing-impl.h). */
import type { ByteText } from './byte-text.ts';
import { ARGUMENT_BYTES, type StringHeap } from './string-heap.ts';

export interface Argument {
  readonly key: ByteText;
  readonly value: ByteText;
}

/**
 * Splits at `&` and at `;`, in order, duplicates and all; empty items are skipped. An item without `=` has an empty value.
 *
 * @param heap what the items are kept in. The device restarts when even their table does not fit; we drop the items
 */
export function parseArguments(query: ByteText, heap: StringHeap): Argument[] {
  const items: Argument[] = [];
  for (const item of query.split(/[&;]/)) {
    if (item === '') continue;
    if (!heap.take(ARGUMENT_BYTES)) break;
    const equals = item.indexOf('=');
    const key = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? '' : item.slice(equals + 1);
    items.push({ key: heap.keep(urlDecode(key)), value: heap.keep(urlDecode(value)) });
  }
  return items;
}

/**
 * `+` is a space, `%` and two characters are a byte. They need not be hex digits: what `strtol` makes of them counts, so
 * `%zz` is 00 and `%4x` is 04. A `%` with fewer than two characters behind it stays.
 */
export function urlDecode(text: ByteText): ByteText {
  return text.replace(/\+|%(.)(.)/gs, (match, high: string, low: string) => {
    if (match === '+') return ' ';
    return String.fromCharCode(hexValue(high, low));
  });
}

function hexValue(high: string, low: string): number {
  const isHex = (digit: string): boolean => /[0-9a-fA-F]/.test(digit);
  if (!isHex(high)) return 0;
  return Number.parseInt(isHex(low) ? high + low : high, 16);
}
