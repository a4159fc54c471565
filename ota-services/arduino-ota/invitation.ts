/**
 * The two datagrams an uploader sends. Nothing is rejected for its form: the device reads numbers and texts until
 * it has what it wants, and looks at the result. Source: spec chapter 03 §3.2, §4.
 */
import { DatagramReader } from './datagram-reader.ts';
import { U_AUTH, U_FLASH, U_FS } from './ota-constants.ts';

/** Length of an MD5 as text, of the challenge, and of both parts of an answer. */
export const MD5_TEXT_LENGTH = 32;

/** Datagram 1: `<command> <tcp-port> <size> <md5>\n`. */
export interface Invitation {
  /** 0 (sketch) or 100 (file system). */
  readonly command: number;
  /** TCP port where the uploader listens, 0…65535. */
  readonly tcpPort: number;
  /** Bytes, 0…2147483647. */
  readonly size: number;
  /** As sent, white space trimmed; any characters. */
  readonly md5: string;
}

/** Datagram 2: `200 <cnonce> <response>\n`. */
export interface AuthAnswer {
  readonly cnonce: string;
  readonly response: string;
}

export type ReadInvitation =
  /** The first integer is neither 0 nor 100: nothing of the datagram is kept. */
  | { readonly kind: 'other-command' }
  /** The MD5 has not 32 characters: ignored, and yet the device has stored the numbers. */
  | { readonly kind: 'malformed'; readonly invitation: Invitation }
  | { readonly kind: 'accepted'; readonly invitation: Invitation };

/**
 * Reads a datagram that came in the idle state. Never throws.
 *
 * @example
 * const bytes = new TextEncoder().encode('0 48266 300000 9dd4e461268c8034f5c8564e155c67a6\n');
 * readInvitation(bytes); // { kind: 'accepted', invitation: { command: 0, tcpPort: 48266, size: 300000, … } }
 */
export function readInvitation(datagram: Uint8Array): ReadInvitation {
  const reader = new DatagramReader(datagram);
  const command = reader.integer();
  if (command !== U_FLASH && command !== U_FS) return { kind: 'other-command' };
  const tcpPort = reader.integer() & 0xffff;
  const size = reader.integer();
  reader.skip();
  const md5 = trimWhiteSpace(reader.textUntil('\n'));
  const invitation = { command, tcpPort, size, md5 };
  return { kind: md5.length === MD5_TEXT_LENGTH ? 'accepted' : 'malformed', invitation };
}

/**
 * Reads a datagram that came while the answer to a challenge is awaited. Nothing is trimmed: a CR before the LF makes
 * the response too long. Never throws.
 *
 * @param length characters of both parts
 * @returns undefined when it is no answer: another command, or a part that has not so many characters
 */
export function readAuthAnswer(datagram: Uint8Array, length: number = MD5_TEXT_LENGTH): AuthAnswer | undefined {
  const reader = new DatagramReader(datagram);
  if (reader.integer() !== U_AUTH) return undefined;
  reader.skip();
  const cnonce = reader.textUntil(' ');
  const response = reader.textUntil('\n');
  if (cnonce.length !== length || response.length !== length) return undefined;
  return { cnonce, response };
}

/** What C's `isspace` takes; JavaScript's `trim` would take a no-break space (0xA0) too. */
const WHITE_SPACE = ' \t\n\v\f\r';

/** Not a regular expression: those take quadratic time on a datagram full of spaces. */
function trimWhiteSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && WHITE_SPACE.includes(text[start]!)) start++;
  while (end > start && WHITE_SPACE.includes(text[end - 1]!)) end--;
  return text.slice(start, end);
}
