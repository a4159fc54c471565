/** As much of HTTP as the peers of a driven update need: heads as text, bodies of a known length. */

export interface HttpMessage {
  /** The request line or the status line. */
  readonly start: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const HEAD_END = '\r\n\r\n';

/**
 * Reads a message from the bytes so far (latin1).
 *
 * @param ended nothing more will come: a body without a length is complete then
 * @returns undefined as long as it is not whole
 */
export function readMessage(text: string, ended: boolean): HttpMessage | undefined {
  const end = text.indexOf(HEAD_END);
  if (end < 0) return undefined;
  const [start = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const body = text.slice(end + HEAD_END.length);
  const length = headers.get('content-length');
  if (length === undefined) return ended || start.startsWith('GET ') ? { start, headers, body } : undefined;
  return body.length >= Number(length) ? { start, headers, body: body.slice(0, Number(length)) } : undefined;
}

/** A head as bytes. */
export const head = (
  start: string,
  headers: readonly (readonly [name: string, value: string | number])[],
): Uint8Array =>
  Buffer.from(`${start}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`, 'latin1');
