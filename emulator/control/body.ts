/** Bodies of requests, with a limit. */
import type { IncomingMessage } from 'node:http';
import { ApiError, badRequest } from './api-error.ts';

/** Settings, faults, serial input. */
export const JSON_LIMIT = 64 * 1024;

const tooLarge = (limit: number): ApiError =>
  new ApiError(413, 'too-large', `the body is too large: at most ${limit} bytes`, { Connection: 'close' });

/** How a client is told to go on that announced a body and waits (`Expect: 100-continue`). */
const waiting = new WeakMap<IncomingMessage, () => void>();

export function waitsForContinue(request: IncomingMessage, goOn: () => void): void {
  waiting.set(request, goOn);
}

/**
 * Reads a body.
 *
 * @throws ApiError 413 as soon as it is known to pass `limit`; 400 when the client went away in the middle
 */
export async function readBody(request: IncomingMessage, limit: number): Promise<Uint8Array> {
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge(limit);
  waiting.get(request)?.();
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > limit) throw tooLarge(limit);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw badRequest('the body ended before its end', 'cut-short');
  }
  return new Uint8Array(Buffer.concat(pieces, length));
}

/**
 * A body that is a JSON object; an empty one counts as `{}`.
 *
 * @throws ApiError 400 for anything else
 */
export async function readObject(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const text = new TextDecoder().decode(await readBody(request, JSON_LIMIT));
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest('the body is no JSON', 'bad-json');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest('the body has to be a JSON object', 'bad-json');
  }
  return value as Record<string, unknown>;
}
