/** Response bytes: status line, headers in the device's order, chunks. Source: spec chapter 04 §6 (ESP8266WebServer-impl.h). */
import type { ByteText } from './byte-text.ts';

const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  101: 'Switching Protocols',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  203: 'Non-Authoritative Information',
  204: 'No Content',
  205: 'Reset Content',
  206: 'Partial Content',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  305: 'Use Proxy',
  307: 'Temporary Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Request Entity Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range not satisfiable',
  417: 'Expectation Failed',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version not supported',
};

/** The text behind the code; empty for a code the core does not know, so that the line ends with a space. */
export const reasonPhrase = (code: number): string => REASONS[code] ?? '';

/** For `setContentLength`: the length is not known, the body comes in chunks. */
export const CONTENT_LENGTH_UNKNOWN = -1;
/** For `setContentLength`: the length is that of the body given to `send`. */
export const CONTENT_LENGTH_NOT_SET = -2;

export interface ResponseHead {
  readonly code: number;
  /** The number behind `HTTP/1.` that the request had. */
  readonly version: number;
  /** Empty: `text/html`. */
  readonly contentType: ByteText;
  /** Lines of the handler, each with its CR LF. */
  readonly headers: ByteText;
  /** Bytes, or {@link CONTENT_LENGTH_UNKNOWN}. */
  readonly contentLength: number;
  readonly cors: boolean;
  readonly keepAlive: boolean;
}

/** The header block, its empty line included. */
export function responseHead(head: ResponseHead): ByteText {
  const lines = [
    `HTTP/1.${head.version} ${head.code} ${reasonPhrase(head.code)}\r\n`,
    headerLine('Content-Type', head.contentType || 'text/html'),
    head.headers,
  ];
  if (head.contentLength !== CONTENT_LENGTH_UNKNOWN) lines.push(headerLine('Content-Length', `${head.contentLength}`));
  else if (isChunked(head)) {
    lines.push(headerLine('Accept-Ranges', 'none'), headerLine('Transfer-Encoding', 'chunked'));
  }
  if (head.cors) lines.push(headerLine('Access-Control-Allow-Origin', '*'));
  lines.push(headerLine('Connection', head.keepAlive ? 'keep-alive' : 'close'));
  // The number is in milliseconds, though clients read seconds.
  if (head.keepAlive) lines.push(headerLine('Keep-Alive', 'timeout=2000'));
  return `${lines.join('')}\r\n`;
}

/** HTTP/1.0 has no chunks: there the end of the connection ends the body. */
export const isChunked = (head: Pick<ResponseHead, 'contentLength' | 'version'>): boolean =>
  head.contentLength === CONTENT_LENGTH_UNKNOWN && head.version >= 1;

export const headerLine = (name: ByteText, value: ByteText): ByteText => `${name}: ${value}\r\n`;

/** What stands before the data of a chunk; behind it comes CR LF. Length 0 ends the body. */
export const chunkHead = (length: number): ByteText => `${length.toString(16)}\r\n`;
