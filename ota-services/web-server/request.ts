/**
 * The request parser: request line, headers, arguments and body, with the device's rules. It knows no 400 answer: what it
 * cannot use ends the connection. Source: spec chapter 04 §2–§4 (Parsing-impl.h).
 */
import { equalsIgnoreCase, substring, toInt, trim } from './arduino-string.ts';
import { parseArguments } from './arguments.ts';
import { type ByteText, byteText } from './byte-text.ts';
import { HTTP_MAX_POST_WAIT } from './constants.ts';
import { parseForm } from './multipart.ts';
import type { HttpMethod, ParseResult, ParserOptions, Request } from './parsed-request.ts';
import { type Parsing, type RequestInput, readLine, type Wait } from './request-input.ts';
import { StringHeap } from './string-heap.ts';

/** Any other word counts as GET. */
const KNOWN_METHODS: readonly string[] = ['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const METHODS_WITH_BODY: readonly HttpMethod[] = ['POST', 'PUT', 'PATCH', 'DELETE'];
/** `HTTP/1.` */
const VERSION_PREFIX_LENGTH = 7;
const BODY_WAIT: Wait = { do: 'wait', ms: HTTP_MAX_POST_WAIT, evenIfGone: false, endless: false };

type BodyKind = 'plain' | 'urlencoded' | 'form';

interface Entity {
  kind: BodyKind;
  length: number;
  boundary: ByteText;
}

export function* parseRequest(input: RequestInput, request: Request, options: ParserOptions): Parsing<ParseResult> {
  const heap = new StringHeap(options.heapBytes);
  if (!parseRequestLine(yield* readLine(input, heap.room), request, heap)) return 'stop';
  yield { do: 'route' };
  request.headers = options.collect.map(() => '');
  if (!METHODS_WITH_BODY.includes(request.method)) {
    yield* readHeaders(input, heap, (name, line, colon) => {
      // Exactly one character behind the colon goes, whatever it is; nothing else is trimmed.
      takeHeader(request, options.collect, heap, name, substring(line, colon + 2));
    });
    request.args = parseArguments(request.query, heap);
    return 'continue';
  }
  const entity: Entity = { kind: 'plain', length: 0, boundary: '' };
  yield* readHeaders(input, heap, (name, line, colon) => {
    const value = trim(substring(line, colon + 1));
    takeHeader(request, options.collect, heap, name, value);
    takeEntityHeader(entity, heap, name, value);
  });
  if (entity.kind !== 'form') return yield* readBody(input, request, entity, heap);
  request.args = parseArguments(request.query, heap);
  return yield* parseForm(input, request, entity.boundary, entity.length, heap);
}

/** False: not two spaces in it. */
function parseRequestLine(line: ByteText, request: Request, heap: StringHeap): boolean {
  const first = line.indexOf(' ');
  const second = line.indexOf(' ', first + 1);
  if (first < 0 || second < 0) return false;
  const word = line.slice(0, first);
  request.method = KNOWN_METHODS.includes(word) ? (word as HttpMethod) : 'GET';
  const url = line.slice(first + 1, second);
  const question = url.indexOf('?');
  // The line is still in memory while its parts are copied.
  request.path = heap.keep(question < 0 ? url : url.slice(0, question), line.length);
  request.query = heap.keep(question < 0 ? '' : url.slice(question + 1), line.length);
  request.version = toInt(substring(line, second + 1 + VERSION_PREFIX_LENGTH)) & 0xff;
  request.keepAlive = request.version > 0;
  return true;
}

type TakeHeader = (name: ByteText, line: ByteText, colon: number) => void;

/** Up to an empty line, or to one without a colon: what follows is body then. */
function* readHeaders(input: RequestInput, heap: StringHeap, take: TakeHeader): Parsing<void> {
  for (;;) {
    const line = yield* readLine(input, heap.room);
    const colon = line.indexOf(':');
    if (colon < 0) return;
    take(line.slice(0, colon), line, colon);
  }
}

function takeHeader(
  request: Request,
  collect: readonly ByteText[],
  heap: StringHeap,
  name: ByteText,
  value: ByteText,
): void {
  collect.forEach((wanted, index) => {
    if (!equalsIgnoreCase(wanted, name)) return;
    heap.free(request.headers[index]!);
    request.headers[index] = heap.keep(value, value.length);
  });
  if (equalsIgnoreCase(name, 'Host')) {
    heap.free(request.host);
    request.host = heap.keep(value, value.length);
  } else if (equalsIgnoreCase(name, 'Connection')) {
    request.keepAlive = equalsIgnoreCase(value, 'keep-alive');
  }
}

function takeEntityHeader(entity: Entity, heap: StringHeap, name: ByteText, value: ByteText): void {
  if (equalsIgnoreCase(name, 'Content-Type')) {
    entity.kind = bodyKind(value);
    heap.free(entity.boundary);
    // Behind the first `=`, or everything: a parameter before or after the boundary spoils it.
    entity.boundary =
      entity.kind === 'form' ? heap.keep(value.slice(value.indexOf('=') + 1).replaceAll('"', ''), value.length) : '';
  } else if (equalsIgnoreCase(name, 'Content-Length')) {
    entity.length = toInt(value) >>> 0;
  }
}

function bodyKind(contentType: ByteText): BodyKind {
  if (contentType.startsWith('application/x-www-form-urlencoded')) return 'urlencoded';
  return contentType.startsWith('multipart/') ? 'form' : 'plain';
}

/** Exactly as many bytes as announced. More than the heap holds end the request as too few do. */
function* readBody(input: RequestInput, request: Request, entity: Entity, heap: StringHeap): Parsing<ParseResult> {
  const room = Math.min(entity.length, heap.room);
  let body = '';
  while (body.length < room) {
    if (input.isEmpty && !(yield BODY_WAIT)) return 'stop';
    const end = Math.min(input.bytes.length, input.at + room - body.length);
    body += byteText(input.bytes.subarray(input.at, end));
    input.at = end;
  }
  if (body.length < entity.length) return 'stop';
  const query = entity.kind === 'urlencoded' ? `${request.query}&${body}` : request.query;
  if (entity.length > 0) request.plain = heap.keep(body);
  request.args = parseArguments(heap.keep(query), heap);
  return 'continue';
}
