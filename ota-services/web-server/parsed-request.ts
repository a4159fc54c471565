/** What the parser makes of a request. Source: spec chapter 04 §2–§5. */
import type { Argument } from './arguments.ts';
import type { ByteText } from './byte-text.ts';

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';

/** Filled step by step while the request is read; handlers of uploads see it half full. */
export interface Request {
  method: HttpMethod;
  /** Not percent-decoded. */
  path: ByteText;
  /** Behind the first `?`. */
  query: ByteText;
  /** The 8-bit number behind `HTTP/1.`. */
  version: number;
  keepAlive: boolean;
  host: ByteText;
  /** Values of the collected headers, in the order of the names that were asked for; empty ones did not come. */
  headers: ByteText[];
  args: Argument[];
  /** The raw body of a request that is no form: the argument `plain`, which `args` does not count. */
  plain: ByteText | undefined;
}

export interface ParserOptions {
  /** Names of the headers to keep. */
  readonly collect: readonly ByteText[];
  /** Free heap in bytes: what the texts of the request may take. */
  readonly heapBytes: number;
}

/** `continue`: call the handler. `stop`: close the connection without a word. */
export type ParseResult = 'continue' | 'stop';

export const emptyRequest = (): Request => ({
  method: 'GET',
  path: '',
  query: '',
  version: 0,
  keepAlive: false,
  host: '',
  headers: [],
  args: [],
  plain: undefined,
});
