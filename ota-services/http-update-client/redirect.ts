/** Whether and where a 3xx answer leads. Source: spec chapter 04 §18. */
import type { ByteText } from '../web-server/byte-text.ts';
import { type HttpTarget, parseUrl } from './url.ts';

export const HTTPC_DISABLE_FOLLOW_REDIRECTS = 0;
/** For a GET, strict and force do the same. */
export const HTTPC_STRICT_FOLLOW_REDIRECTS = 1;
export const HTTPC_FORCE_FOLLOW_REDIRECTS = 2;
export type FollowRedirects = 0 | 1 | 2;

/** Redirects that one request follows. */
export const REDIRECT_LIMIT = 10;

/** 308 is never followed. */
const FOLLOWED_STATUSES = [301, 302, 303, 307];

/** The answer to a request. */
export interface RedirectAnswer {
  readonly status: number;
  /** Empty without such a header. */
  readonly location: ByteText;
}

/**
 * The next target; `undefined` when the answer is the result.
 *
 * `//host/path` is a path on the same host. From http to https or back, and to paths without a leading slash, no redirect
 * leads: what does not begin with the protocol of the request, letter by letter, is refused.
 */
export function redirectTarget(
  mode: FollowRedirects,
  { status, location }: RedirectAnswer,
  from: HttpTarget,
): HttpTarget | undefined {
  if (mode === HTTPC_DISABLE_FOLLOW_REDIRECTS || location === '' || !FOLLOWED_STATUSES.includes(status)) {
    return undefined;
  }
  if (location.startsWith('/')) {
    const { protocol, host, port } = from;
    return { protocol, host, port, uri: location };
  }
  return location.startsWith(`${from.protocol}:`) ? parseUrl(location) : undefined;
}
