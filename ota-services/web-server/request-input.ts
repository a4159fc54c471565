/**
 * How the request parser gets its bytes. The parser is a generator without I/O: it takes bytes from a {@link RequestInput},
 * and yields when it needs more, or has something to tell. Whoever drives it (the server with a connection, a test with
 * arrays) looks at `at` to know which bytes the device has really taken: what it has not decides between FIN and RST when
 * it closes.
 */
import { type ByteText, byteText } from './byte-text.ts';
import { CHARACTER_WAIT } from './constants.ts';
import type { Upload } from './upload.ts';

const NOTHING = new Uint8Array(0);

/** The parser needs bytes and has used up all it had. Answer: true when there are some. */
export interface Wait {
  readonly do: 'wait';
  /** Longest wait in milliseconds; Infinity: until bytes come or the connection is gone. */
  readonly ms: number;
  /** The time is waited out although the connection is gone, and nothing can come any more. */
  readonly evenIfGone: boolean;
  /** The parser will ask again for ever (spec chapter 04 §5.6). */
  readonly endless: boolean;
}

export type ParserEffect =
  | Wait
  /** Method, path and query are known: the moment to choose the handler. */
  | { readonly do: 'route' }
  /** Something about a file of a form; see `upload.status`. */
  | { readonly do: 'upload'; readonly upload: Upload }
  /** Several whole pieces of it, for {@link Upload.takeMany}. */
  | { readonly do: 'pieces'; readonly upload: Upload; readonly pieces: Uint8Array };

/** A part of the parser. Yields effects; is resumed with true, or with false when a {@link Wait} brought nothing. */
export type Parsing<T> = Generator<ParserEffect, T, boolean>;

/** What the driver and the parser share. */
export class RequestInput {
  bytes: Uint8Array = NOTHING;
  /** Index of the first byte that the parser has not taken. */
  at = 0;
  /** False once the peer's FIN or RST came, also while bytes are left. The driver sets it before it resumes the parser. */
  connected = true;

  /** Loads what has come meanwhile, if anything: spares a turn through the parser. For a driver that can. */
  pull: () => boolean = () => false;

  /** More bytes, behind those that were there: all of them have been taken. */
  load(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.at = 0;
  }

  get isEmpty(): boolean {
    return this.at === this.bytes.length;
  }
}

const LINE_WAIT: Wait = { do: 'wait', ms: CHARACTER_WAIT, evenIfGone: true, endless: false };
const ENDLESS_LINE_WAIT: Wait = { ...LINE_WAIT, endless: true };

const CR = 0x0d;
const LF = 0x0a;

/**
 * Takes bytes up to `terminator`, which is dropped. Each byte may take 5 s, whether or not the connection is up; when that
 * was not enough, what came so far counts. Source: spec chapter 04 §2.1.
 *
 * @param room bytes that the heap has for it; those beyond are taken and lost, as `String` does
 */
export function* readUntil(input: RequestInput, terminator: number, room: number, wait = LINE_WAIT): Parsing<ByteText> {
  let text = '';
  for (;;) {
    if (input.isEmpty && !(yield wait)) return text;
    const found = input.bytes.indexOf(terminator, input.at);
    const end = found < 0 ? input.bytes.length : found;
    const kept = Math.min(end, input.at + Math.max(0, room - text.length));
    if (kept > input.at) text += byteText(input.bytes.subarray(input.at, kept));
    input.at = found < 0 ? end : found + 1;
    if (found >= 0) return text;
  }
}

/** A line as the core reads it: up to CR, and whatever stands between CR and LF is lost. */
export function* readLine(input: RequestInput, room: number, endless = false): Parsing<ByteText> {
  const line = yield* readUntilCr(input, room, endless);
  yield* skipToLf(input, endless);
  return line;
}

export function* readUntilCr(input: RequestInput, room: number, endless = false): Parsing<ByteText> {
  return yield* readUntil(input, CR, room, endless ? ENDLESS_LINE_WAIT : LINE_WAIT);
}

export function* skipToLf(input: RequestInput, endless = false): Parsing<void> {
  yield* readUntil(input, LF, 0, endless ? ENDLESS_LINE_WAIT : LINE_WAIT);
}
