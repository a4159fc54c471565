/**
 * The head of a response, as the core reads it: byte by byte, line by line, in whatever pieces it comes. No I/O and no time:
 * the shell says when a line that was begun will not be continued. Source: spec chapter 04 §17.
 *
 * Limits: on the device a `String` that finds no memory keeps what it has, so a line, or a collected value, that outgrows
 * the heap is cut off there and the rest of it is read and forgotten. So is it here.
 */
import { asciiLower, equalsIgnoreCase, toInt, trim } from '../web-server/arduino-string.ts';
import { type ByteText, byteText } from '../web-server/byte-text.ts';
import { HTTPC_ERROR_ENCODING, HTTPC_ERROR_NO_HTTP_SERVER } from './error-codes.ts';
import type { HeaderLine } from './request.ts';

const LF = 0x0a;
/** `HTTP/1.1 ` */
const STATUS_AT = 9;
/** The heap of a typical sketch, bytes. */
export const DEFAULT_HEAP_BYTES = 30_000;
/** So many characters of the head are kept for the event that tells of it. */
const SHOWN_HEAD_LENGTH = 4096;

export class ResponseParser {
  /** Set at the end of the head: the status, or a negative error. */
  result: number | undefined;
  /** 0 until there was a status line. */
  status = 0;
  /** `Content-Length`; −1 without one. */
  size = -1;
  location: ByteText = '';
  /** Headers as they came, for events; only the first few KiB. */
  readonly shown: HeaderLine[] = [];
  private transferEncoding: ByteText = '';
  private line: ByteText = '';
  private begun = false;
  private shownLength = 0;
  private readonly collected: { readonly name: ByteText; value: ByteText }[];

  /**
   * @param collect names of the headers whose values are wanted, any case
   * @param heapBytes no text grows beyond this
   */
  constructor(
    collect: readonly ByteText[] = [],
    private readonly heapBytes: number = DEFAULT_HEAP_BYTES,
  ) {
    this.collected = collect.map((name) => ({ name: asciiLower(name), value: '' }));
  }

  /** Some of a line has come, but not its LF. */
  get lineBegun(): boolean {
    return this.begun;
  }

  /** Characters held: for tests of the limits. */
  get heldLength(): number {
    const texts = [this.line, this.location, this.transferEncoding, ...this.collected.map(({ value }) => value)];
    return texts.reduce((sum, text) => sum + text.length, this.shownLength);
  }

  /** Takes bytes up to the end of the head. @returns how many; what follows belongs to the body */
  push(bytes: Uint8Array): number {
    let taken = 0;
    while (this.result === undefined && taken < bytes.length) {
      const lf = bytes.indexOf(LF, taken);
      const end = lf < 0 ? bytes.length : lf;
      this.append(bytes.subarray(taken, end));
      taken = end;
      if (lf < 0) break;
      taken++;
      this.endLine();
    }
    return taken;
  }

  /** The line ends here: at its LF, or because nothing more of it came in time. */
  endLine(): void {
    const line = trim(this.line);
    this.line = '';
    this.begun = false;
    if (line === '') this.end();
    else if (line.startsWith('HTTP/1.')) this.readStatus(line);
    else this.readHeader(line);
  }

  /** The value of a collected header; empty when it did not come. Repeated ones are joined with `,`. */
  value(name: ByteText): ByteText {
    return this.collected.find((one) => equalsIgnoreCase(one.name, name))?.value ?? '';
  }

  private append(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.begun = true;
    const room = this.heapBytes - this.line.length;
    if (room > 0) this.line += byteText(piece.subarray(0, room));
  }

  /** Any line may be a status line; the last one counts. */
  private readStatus(line: ByteText): void {
    const space = line.indexOf(' ', STATUS_AT);
    this.status = toInt(line.slice(STATUS_AT, space < 0 ? undefined : space));
  }

  private readHeader(line: ByteText): void {
    const colon = line.indexOf(':');
    if (colon <= 0) return;
    const name = line.slice(0, colon);
    const value = trim(line.slice(colon + 1));
    if (equalsIgnoreCase(name, 'Content-Length')) this.size = toInt(value);
    if (equalsIgnoreCase(name, 'Transfer-Encoding')) this.transferEncoding = value;
    if (equalsIgnoreCase(name, 'Location')) this.location = value;
    for (const one of this.collected) {
      if (!equalsIgnoreCase(one.name, name)) continue;
      one.value = (one.value === '' ? value : `${one.value},${value}`).slice(0, this.heapBytes);
    }
    if (this.shownLength + line.length > SHOWN_HEAD_LENGTH) return;
    this.shownLength += line.length;
    this.shown.push([name, value]);
  }

  private end(): void {
    const { transferEncoding } = this;
    if (transferEncoding !== '' && !equalsIgnoreCase(transferEncoding, 'chunked')) this.result = HTTPC_ERROR_ENCODING;
    else this.result = this.status > 0 ? this.status : HTTPC_ERROR_NO_HTTP_SERVER;
  }
}
