/** Which method and path leads where. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from './api-error.ts';

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  /** What stands in the path for `ID`. */
  readonly id: string;
  /** Aborts when the client goes away before it has its answer. */
  readonly signal: AbortSignal;
}

/** What to answer; `undefined` when the handler answers by itself. */
export type Answer =
  | { readonly status?: number; readonly json: unknown }
  | { readonly status?: number; readonly type: string; readonly body: Uint8Array | string }
  | undefined;

export type Handler = (exchange: Exchange) => Answer | Promise<Answer>;

/** By path, then by method. `ID` in a path stands for one piece of it. */
export type Routes = Readonly<Record<string, Readonly<Partial<Record<string, Handler>>>>>;

/**
 * Finds the handler. `HEAD` is answered as `GET`.
 *
 * @throws ApiError 404 for an unknown path, 405 (with `Allow`) for a method that it does not know
 */
export function route(routes: Routes, method: string, path: string): { handler: Handler; id: string } {
  for (const [pattern, methods] of Object.entries(routes)) {
    const id = match(pattern, path);
    if (id === undefined) continue;
    const handler = Object.hasOwn(methods, method) ? methods[method] : method === 'HEAD' ? methods['GET'] : undefined;
    if (handler) return { handler, id };
    const allowed = Object.keys(methods).flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]));
    throw new ApiError(405, 'method-not-allowed', `${path} knows ${allowed.join(', ')}`, { Allow: allowed.join(', ') });
  }
  throw new ApiError(404, 'not-found', 'there is nothing at this path');
}

/** The piece that stands for `ID`, or an empty text without one; undefined when the path is another. */
function match(pattern: string, path: string): string | undefined {
  if (!pattern.includes('ID')) return pattern === path ? '' : undefined;
  const [before = '', after = ''] = pattern.split('ID');
  if (!path.startsWith(before) || !path.endsWith(after) || path.length <= before.length + after.length)
    return undefined;
  const id = path.slice(before.length, path.length - after.length);
  return /^[\w-]{1,64}$/.test(id) ? id : undefined;
}
