/**
 * The device's `String` holds bytes. Inside the web server it is a {@link ByteText}: a JavaScript string with one character
 * per byte, U+0000 to U+00FF, so that positions and lengths are those of the device. What a sketch sees is ordinary text:
 * UTF-8 is decoded, and a byte that is not part of valid UTF-8 becomes a lone surrogate U+DC80 to U+DCFF (as in Python's
 * `surrogateescape`), so that text goes back to exactly the bytes it came from.
 */
export type ByteText = string;

/** A byte 0x80…0xFF that is not UTF-8 shows as this plus the byte. */
const ESCAPE_BASE = 0xdc00;
/** `String.fromCharCode` takes its characters as arguments; engines limit how many. */
const CHARACTERS_AT_ONCE = 4096;

export function byteText(bytes: Uint8Array): ByteText {
  if (bytes.length <= CHARACTERS_AT_ONCE) return String.fromCharCode(...bytes);
  let text = '';
  for (let i = 0; i < bytes.length; i += CHARACTERS_AT_ONCE) {
    text += String.fromCharCode(...bytes.subarray(i, i + CHARACTERS_AT_ONCE));
  }
  return text;
}

/** @throws RangeError for a character above U+00FF */
export function bytesOf(text: ByteText): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) throw new RangeError(`a device text has characters up to U+00FF, not U+${code.toString(16)}`);
    bytes[i] = code;
  }
  return bytes;
}

/** Text of a sketch as bytes in UTF-8; undoes {@link toText}. */
export function toByteText(text: string): ByteText {
  if (isAscii(text)) return text;
  let result = '';
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) result += character;
    else if (code > ESCAPE_BASE + 0x7f && code <= ESCAPE_BASE + 0xff) result += String.fromCharCode(code - ESCAPE_BASE);
    else result += byteText(encodeCharacter(code));
  }
  return result;
}

/** Bytes as text of a sketch. */
export function toText(bytes: ByteText): string {
  if (isAscii(bytes)) return bytes;
  let result = '';
  for (let i = 0; i < bytes.length; ) {
    const size = utf8Size(bytes, i);
    result += size === 0 ? escapeByte(bytes.charCodeAt(i)) : String.fromCodePoint(decodeCharacter(bytes, i, size));
    i += Math.max(1, size);
  }
  return result;
}

function escapeByte(byte: number): string {
  return String.fromCharCode(ESCAPE_BASE + byte);
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** Length of the valid UTF-8 sequence at `at`, or 0: overlong forms, surrogates and values above U+10FFFF are not valid. */
function utf8Size(bytes: ByteText, at: number): number {
  const first = bytes.charCodeAt(at);
  if (first < 0x80) return 1;
  const size =
    first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  for (let i = 1; i < size; i++) {
    // Behind the end charCodeAt gives NaN, which passes no comparison.
    if (!((bytes.charCodeAt(at + i) & 0xc0) === 0x80)) return 0;
  }
  const second = bytes.charCodeAt(at + 1);
  const overlong = (first === 0xe0 && second < 0xa0) || (first === 0xf0 && second < 0x90);
  const outside = (first === 0xed && second >= 0xa0) || (first === 0xf4 && second >= 0x90);
  return overlong || outside ? 0 : size;
}

function decodeCharacter(bytes: ByteText, at: number, size: number): number {
  let code = size === 1 ? bytes.charCodeAt(at) : bytes.charCodeAt(at) & (0x7f >> size);
  for (let i = 1; i < size; i++) code = (code << 6) | (bytes.charCodeAt(at + i) & 0x3f);
  return code;
}

function encodeCharacter(code: number): Uint8Array {
  if (code < 0x800) return Uint8Array.of(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
  // A surrogate that is half of nothing has no bytes; U+FFFD stands for it.
  if (code >= 0xd800 && code < 0xe000) return encodeCharacter(0xfffd);
  if (code < 0x10000) return Uint8Array.of(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
  return Uint8Array.of(
    0xf0 | (code >> 18),
    0x80 | ((code >> 12) & 0x3f),
    0x80 | ((code >> 6) & 0x3f),
    0x80 | (code & 0x3f),
  );
}
