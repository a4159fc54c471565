/**
 * A gzip file as eboot sees it: the header it parses, and the last word, which it takes for the uncompressed size.
 * Nothing is inflated here. Sources: RFC 1952; spec chapter 01 §9.4 rule 3 and §10.
 */
import { wordAt } from './image-header.ts';

const GZIP_MAGIC = [0x1f, 0x8b] as const;
const METHOD_DEFLATE = 8;
const FIXED_HEADER_BYTES = 10;
/** CRC-32 and ISIZE. */
export const GZIP_TRAILER_BYTES = 8;

// RFC 1952 §2.3.1; FTEXT (1) changes nothing.
const FHCRC = 2;
const FEXTRA = 4;
const FNAME = 8;
const FCOMMENT = 16;
const RESERVED = 0xe0;

export interface GzipReport {
  readonly method: number;
  readonly flags: number;
  /** Seconds since 1970, 0 for none. */
  readonly modifiedAt: number;
  /** Original file name; latin1. */
  readonly name?: string;
  readonly comment?: string;
  /** File offset of the deflate data; absent when the header is bad. */
  readonly dataAt?: number;
  /** Why eboot would answer with code 5. */
  readonly headerError?: string;
  /**
   * The last word as a signed number, which is how many bytes eboot unpacks; 0 or less: none. In a signed file given to
   * a device without verification this is the length of the signature (spec chapter 01 §11.4).
   */
  readonly isize: number;
}

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === GZIP_MAGIC[0] && bytes[1] === GZIP_MAGIC[1];

/** Reads the header and the last word of a file that {@link isGzip} holds for; never throws. */
export function parseGzip(bytes: Uint8Array): GzipReport {
  const isize = bytes.length >= 4 ? wordAt(bytes, bytes.length - 4) | 0 : 0;
  const method = bytes[2] ?? 0;
  const flags = bytes[3] ?? 0;
  const modifiedAt = bytes.length >= 8 ? wordAt(bytes, 4) : 0;
  const report = { method, flags, modifiedAt, isize };
  const bad = (headerError: string): GzipReport => ({ ...report, headerError });

  if (bytes.length < FIXED_HEADER_BYTES) return bad(`the file ends inside the gzip header, at ${bytes.length} bytes`);
  if (method !== METHOD_DEFLATE) return bad(`compression method ${method} instead of 8 (deflate)`);
  if (flags & RESERVED) return bad(`reserved flag bits are set (flags 0x${flags.toString(16)})`);
  let at = FIXED_HEADER_BYTES;
  if (flags & FEXTRA) at += 2 + ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8));
  const texts: { name?: string; comment?: string } = {};
  for (const [flag, field] of [
    [FNAME, 'name'],
    [FCOMMENT, 'comment'],
  ] as const) {
    if (!(flags & flag)) continue;
    const end = bytes.indexOf(0, at);
    if (end < 0) return bad(`the ${field} in the gzip header has no end`);
    texts[field] = latin1(bytes.subarray(at, end));
    at = end + 1;
  }
  if (flags & FHCRC) at += 2; // not checked by eboot either
  if (at > bytes.length) return bad(`the file ends inside the gzip header, at ${bytes.length} bytes`);
  return { ...report, ...texts, dataAt: at };
}

const MAX_TEXT = 256;

/** Printable latin1, the rest as `?`: this is shown on terminals. */
const latin1 = (bytes: Uint8Array): string =>
  Array.from(bytes.subarray(0, MAX_TEXT), (byte) =>
    (byte >= 0x20 && byte < 0x7f) || byte >= 0xa0 ? String.fromCharCode(byte) : '?',
  ).join('');
