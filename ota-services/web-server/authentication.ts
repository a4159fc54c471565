/**
 * Basic and Digest authentication as the core checks them. A digest stays good until the next 401: no count of nonces, no
 * expiry. Source: spec chapter 04 §7.
 */
import type { Md5 } from '../ports.ts';
import { substring, trim } from './arduino-string.ts';
import { type ByteText, bytesOf } from './byte-text.ts';
import type { HttpMethod } from './parsed-request.ts';

/** Of these a digest is computed with their own name; of any other method with GET. */
const DIGEST_METHODS: readonly HttpMethod[] = ['GET', 'POST', 'PUT', 'DELETE'];

/** What the server sent with its last 401. Empty texts before the first. */
export interface Challenge {
  readonly realm: ByteText;
  readonly nonce: ByteText;
  readonly opaque: ByteText;
}

export type StartMd5 = () => Md5;

export function md5Hex(start: StartMd5, text: ByteText): ByteText {
  const md5 = start();
  md5.update(bytesOf(text));
  return Array.from(md5.digest(), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param authorization value of the header, as the request parser keeps it */
export function isBasicGood(authorization: ByteText, user: ByteText, password: ByteText): boolean {
  return authorization.startsWith('Basic') && trim(substring(authorization, 6)) === btoa(`${user}:${password}`);
}

/** H1 of a digest: what a sketch may store instead of a password. */
export const credentialHash = (md5: StartMd5, user: ByteText, realm: ByteText, password: ByteText): ByteText =>
  md5Hex(md5, `${user}:${realm}:${password}`);

/** @param h1 made from the realm that the client names */
export function isDigestGood(
  md5: StartMd5,
  request: { readonly authorization: ByteText; readonly method: HttpMethod },
  user: ByteText,
  h1: (realm: ByteText) => ByteText,
  challenge: Challenge,
): boolean {
  const { authorization, method } = request;
  if (!authorization.startsWith('Digest')) return false;
  const value = (name: string): ByteText => parameter(authorization, name);
  const [realm, nonce, uri, response, opaque] = ['realm', 'nonce', 'uri', 'response', 'opaque'].map(value) as FiveTexts;
  if (value('username') !== user || user === '') return false;
  if (realm === '' || nonce === '' || uri === '' || response === '' || opaque === '') return false;
  if (opaque !== challenge.opaque || nonce !== challenge.nonce || realm !== challenge.realm) return false;
  // The uri is the client's word; that it is the one requested is not checked.
  const h2 = md5Hex(md5, `${DIGEST_METHODS.includes(method) ? method : 'GET'}:${uri}`);
  const between = hasQop(authorization) ? `${nonce}:${nonceCount(authorization)}:${value('cnonce')}:auth` : nonce;
  return response === md5Hex(md5, `${h1(realm)}:${between}:${h2}`);
}

type FiveTexts = [ByteText, ByteText, ByteText, ByteText, ByteText];

const hasQop = (authorization: ByteText): boolean =>
  authorization.includes('qop=auth') || authorization.includes('qop="auth"');

/** From the first `name="` on, wherever it stands: `nonce` is found in `cnonce` too. */
function parameter(authorization: ByteText, name: string): ByteText {
  const start = authorization.indexOf(`${name}="`);
  if (start < 0) return '';
  const from = start + name.length + 2;
  return substring(authorization, from, authorization.indexOf('"', from));
}

function nonceCount(authorization: ByteText): ByteText {
  const start = authorization.indexOf('nc=');
  return start < 0 ? '' : substring(authorization, start + 3, authorization.indexOf(',', start));
}
