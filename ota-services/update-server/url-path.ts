/**
 * From the target of a request to the names of a path below the served folder. Pure, and the first of two walls: what passes
 * here holds only plain names; that no link leads out is the shell's work.
 */
import { MAX_FILE_NAME } from './catalogue.ts';

/** Characters of a target, query included. */
export const MAX_URL = 2048;
/** Folders below folders. */
export const MAX_DEPTH = 16;

export type UrlPath =
  | { readonly ok: true; readonly names: readonly string[] }
  /** 400: no URL of ours; 404: one of something that does not exist. */
  | { readonly ok: false; readonly status: 400 | 404; readonly reason: string };

const bad = (reason: string): UrlPath => ({ ok: false, status: 400, reason });
const missing = (reason: string): UrlPath => ({ ok: false, status: 404, reason });

/** A control character (NUL among them), or what some system takes for a separator. */
const FORBIDDEN = /[\p{Cc}/\\]/u;

/**
 * Splits a target (RFC 9112 §3.2: origin form, or absolute form as a proxy gets it) into names. Empty names are left out, so
 * `/a//b/` is `/a/b`. Names are decoded once, after splitting: an encoded separator never separates.
 *
 * @example urlPath('/lamps/kitchen?x=1') // { ok: true, names: ['lamps', 'kitchen'] }
 */
export function urlPath(target: string): UrlPath {
  if (target.length > MAX_URL) return bad(`the URL has more than ${MAX_URL} characters`);
  const local = target.replace(/^https?:\/\/[^/?#]*/i, '');
  if (local === target && !target.startsWith('/')) return bad('the URL does not begin with /');
  const path = local.replace(/[?#].*$/s, '');
  const names: string[] = [];
  for (const encoded of path.split('/')) {
    if (encoded === '') continue;
    const name = decode(encoded);
    if (name === undefined) return bad('the URL has a bad % escape');
    if (FORBIDDEN.test(name)) return bad('the URL has a character that no name may have');
    if (name.startsWith('.')) return missing('dot files and dot folders do not exist');
    if (name.length > MAX_FILE_NAME) return missing('a name in the URL is too long');
    names.push(name);
  }
  return names.length > MAX_DEPTH ? missing(`more than ${MAX_DEPTH} folders`) : { ok: true, names };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // a bad escape or no UTF-8; synchronous: no Interruption can pass
  }
}
