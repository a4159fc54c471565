/**
 * Multipart forms, as the device reads them: by lines, and byte by byte inside a file. Content-Length plays no part.
 * Source: spec chapter 04 §5 (Parsing-impl.h).
 *
 * While part headers or field values are read, nothing notices that the peer is gone: the loops go round for ever, 10 s a
 * turn (§5.6). Only inside a file a dead connection ends the request.
 */
import { asciiLower, substring } from './arduino-string.ts';
import type { Argument } from './arguments.ts';
import { type ByteText, bytesOf, toText } from './byte-text.ts';
import { HTTP_UPLOAD_BUFLEN, WEBSERVER_MAX_POST_ARGS } from './constants.ts';
import { DelimiterSearch } from './delimiter-search.ts';
import type { ParseResult, Request } from './parsed-request.ts';
import {
  type ParserEffect,
  type Parsing,
  type RequestInput,
  readLine,
  readUntilCr,
  skipToLf,
  type Wait,
} from './request-input.ts';
import { ARGUMENT_BYTES, type StringHeap } from './string-heap.ts';
import { UPLOAD_FILE_ABORTED, UPLOAD_FILE_END, UPLOAD_FILE_WRITE, Upload } from './upload.ts';

/** Attempts to read the first boundary while the line is empty; each may wait 5 s. */
const FIRST_LINE_TRIES = 3;
const DISPOSITION = 'content-disposition';
const TYPE = 'content-type';
/** A stalled upload holds the device for ever. */
const FILE_WAIT: Wait = { do: 'wait', ms: Number.POSITIVE_INFINITY, evenIfGone: false, endless: false };

/** A field when it has no filename. */
interface PartHeader {
  readonly name: ByteText;
  readonly filename: ByteText | undefined;
  readonly type: ByteText;
}

/**
 * @param request its `args` are those of the query on entry; on success the form's come first, then the query's, at most 32
 * @param contentLength told to the handlers of uploads, nothing more
 */
export function* parseForm(
  input: RequestInput,
  request: Request,
  boundary: ByteText,
  contentLength: number,
  heap: StringHeap,
): Parsing<ParseResult> {
  const delimiter = `--${boundary}`;
  if ((yield* readFirstLine(input, heap)) !== delimiter) return 'stop';
  const fields: Argument[] = [];
  for (let last = false; !last; ) {
    const part = yield* readPartHeader(input, heap);
    if (part.filename === undefined) {
      const field = yield* readField(input, delimiter, heap);
      // More than 32 overrun the device's array, and anything may happen; here they are dropped.
      if (fields.length < WEBSERVER_MAX_POST_ARGS && heap.take(ARGUMENT_BYTES)) {
        fields.push({ key: heap.keep(part.name), value: heap.keep(field.value) });
      }
      last = field.last;
    } else {
      const filename = part.filename === 'blob' ? (queryFilename(request) ?? part.filename) : part.filename;
      const upload = new Upload(toText(part.name), toText(filename), toText(part.type), contentLength);
      if (!(yield* readFile(input, upload, delimiter))) return 'stop';
      last = (yield* readLine(input, heap.lineRoom)) === '--';
    }
  }
  request.args = [...fields, ...request.args].slice(0, WEBSERVER_MAX_POST_ARGS);
  return 'continue';
}

/** Browsers send `blob` for a file without a name; a script can give it one in the query. */
const queryFilename = (request: Request): ByteText | undefined =>
  request.args.find((argument) => argument.key === 'filename')?.value;

function* readFirstLine(input: RequestInput, heap: StringHeap): Parsing<ByteText> {
  let line = '';
  for (let tries = 0; line === '' && tries < FIRST_LINE_TRIES; tries++) line = yield* readUntilCr(input, heap.lineRoom);
  yield* skipToLf(input);
  return line;
}

/** Content-Disposition, then perhaps Content-Type, then one line that is taken to be empty: no other order works. */
function* readPartHeader(input: RequestInput, heap: StringHeap): Parsing<PartHeader> {
  let line = '';
  do line = yield* readLine(input, heap.lineRoom, true);
  while (!(startsWith(line, DISPOSITION) && line.includes('=')));
  const names = parseNames(line);
  line = yield* readLine(input, heap.lineRoom);
  if (!startsWith(line, TYPE)) return { ...names, type: 'text/plain' };
  yield* readLine(input, heap.lineRoom);
  return { ...names, type: substring(line, line.indexOf(':') + 2) };
}

/** Longer than `prefix`, and begins with it in any case. */
const startsWith = (line: ByteText, prefix: string): boolean =>
  line.length > prefix.length && asciiLower(line.slice(0, prefix.length)) === prefix;

/**
 * The first value is the name, a second one makes it a file: whatever they are called. Values are thought to stand in
 * quotes, so without them they lose their first and last character.
 */
function parseNames(line: ByteText): Pick<PartHeader, 'name' | 'filename'> {
  const name = substring(line, line.indexOf('=') + 2);
  const equals = name.indexOf('=');
  if (equals < 0) return { name: substring(name, 0, name.length - 1), filename: undefined };
  return {
    name: substring(name, 0, name.indexOf('"')),
    filename: substring(name, equals + 2, name.length - 1),
  };
}

function* readField(
  input: RequestInput,
  delimiter: ByteText,
  heap: StringHeap,
): Parsing<{ value: ByteText; last: boolean }> {
  let value = '';
  for (;;) {
    const line = yield* readLine(input, heap.lineRoom, true);
    if (line.startsWith(delimiter)) return { value, last: line === `${delimiter}--` };
    const joined = value === '' ? line : `${value}\n${line}`;
    if (joined.length <= heap.room) value = joined;
  }
}

/**
 * The file's bytes, up to CR LF and the delimiter, wherever that stands. False: the connection went away.
 *
 * Every `yield` for a piece of the file stands in this one function: through each `yield*` above it the parser is entered
 * again, and that for every 2 KiB.
 */
function* readFile(input: RequestInput, upload: Upload, delimiter: ByteText): Parsing<boolean> {
  const told: ParserEffect = { do: 'upload', upload };
  const search = new DelimiterSearch(bytesOf(`\r\n${delimiter}`));
  const end = search.delimiter;
  let matched = 0;
  yield told;
  upload.status = UPLOAD_FILE_WRITE;
  while (matched < end.length) {
    if (input.isEmpty && !input.pull() && !(yield FILE_WAIT)) {
      upload.status = UPLOAD_FILE_ABORTED;
      yield told;
      return false;
    }
    if (matched === 0) {
      const until = search.find(input.bytes, input.at);
      while (input.at < until) {
        if (isFull(upload)) {
          yield told;
          empty(upload);
        }
        const together = upload.takeMany && upload.currentSize === 0 ? wholePieces(until - input.at) : 0;
        if (together === 0) {
          store(upload, input, until);
          continue;
        }
        const pieces = input.bytes.subarray(input.at, input.at + together);
        input.at += together;
        yield { do: 'pieces', upload, pieces };
        upload.totalSize += together;
      }
      if (input.isEmpty) continue;
    }
    if (input.bytes[input.at] === end[matched]) {
      matched++;
      input.at++;
    } else {
      // No CR but the first is in the delimiter, so the only place to look for a new start is this very byte.
      const partial = end.subarray(0, matched);
      matched = 0;
      for (const byte of partial) {
        if (isFull(upload)) {
          yield told;
          empty(upload);
        }
        upload.buf[upload.currentSize++] = byte;
      }
    }
  }
  yield told;
  empty(upload);
  upload.status = UPLOAD_FILE_END;
  yield told;
  if (input.connected) return true;
  // A FIN counts, though everything came: the file is complete and its upload aborted.
  upload.status = UPLOAD_FILE_ABORTED;
  yield told;
  return false;
}

const isFull = (upload: Upload): boolean => upload.currentSize === HTTP_UPLOAD_BUFLEN;

/** How many of so many bytes are pieces that can be told at once: a piece is told when a byte behind it has come. */
function wholePieces(bytes: number): number {
  const pieces = Math.floor((bytes - 1) / HTTP_UPLOAD_BUFLEN);
  return pieces > 1 ? pieces * HTTP_UPLOAD_BUFLEN : 0;
}

/** The piece was told. */
function empty(upload: Upload): void {
  upload.totalSize += upload.currentSize;
  upload.currentSize = 0;
}

/** Moves bytes before `until` into the buffer, as many as fit. */
function store(upload: Upload, input: RequestInput, until: number): void {
  const count = Math.min(until - input.at, HTTP_UPLOAD_BUFLEN - upload.currentSize);
  upload.buf.set(input.bytes.subarray(input.at, input.at + count), upload.currentSize);
  upload.currentSize += count;
  input.at += count;
}
