/**
 * Methods of the device's `String` where JavaScript's differ. The request rules of spec chapter 04 are written in them,
 * and several of its quirks are theirs.
 */
import type { ByteText } from './byte-text.ts';

const INT_MAX = 0x7fffffff;
const INT_MIN = -0x80000000;

const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d);
const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

/** White space (as C knows it) off both ends. */
export function trim(text: ByteText): ByteText {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** The decimal number that the text begins with, after white space; 0 if none. 32-bit, saturating, as `strtol`. */
export function toInt(text: ByteText): number {
  let i = 0;
  while (isSpace(text.charCodeAt(i))) i++;
  const negative = text[i] === '-';
  if (negative || text[i] === '+') i++;
  let value = 0;
  for (; isDigit(text.charCodeAt(i)) && value <= INT_MAX; i++) value = value * 10 + text.charCodeAt(i) - 0x30;
  return negative ? Math.max(-value, INT_MIN) || 0 : Math.min(value, INT_MAX);
}

/** From `left` up to, not including, `right`. Bounds in the wrong order are exchanged; −1 means the end, being unsigned. */
export function substring(text: ByteText, left: number, right: number = text.length): ByteText {
  const [from, to] = left >>> 0 > right >>> 0 ? [right >>> 0, left >>> 0] : [left >>> 0, right >>> 0];
  return text.slice(from, to);
}

/** Upper-case letters of ASCII in lower case; other bytes stay. */
export const asciiLower = (text: ByteText): ByteText => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

export const equalsIgnoreCase = (a: ByteText, b: ByteText): boolean =>
  a.length === b.length && asciiLower(a) === asciiLower(b);
