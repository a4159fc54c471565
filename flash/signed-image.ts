/**
 * Signed files: `payload ‖ signature (L bytes) ‖ L as a little-endian word`. The new and the legacy format differ only in
 * what the signature holds, so only the public key can tell them apart. Source: spec chapter 02 §7.2 (tools/signing.py).
 */
import { putWord, wordAt } from './image-header.ts';

export const SIGNATURE_LENGTH_BYTES = 4;
/** Signatures that are worth a guess: RSA from 512 to 8192 bits. */
const PLAUSIBLE_MIN = 64;
const PLAUSIBLE_MAX = 1024;

/** Puts a signature and its length behind a payload. */
export function appendSignature(payload: Uint8Array, signature: Uint8Array): Uint8Array {
  const file = new Uint8Array(payload.length + signature.length + SIGNATURE_LENGTH_BYTES);
  file.set(payload);
  file.set(signature, payload.length);
  putWord(file, file.length - SIGNATURE_LENGTH_BYTES, signature.length);
  return file;
}

export interface SignedParts {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Takes a signed file apart, by the length word at its end.
 *
 * @returns views on the file; undefined when the word cannot be a signature's length
 */
export function splitSignature(file: Uint8Array): SignedParts | undefined {
  const end = file.length - SIGNATURE_LENGTH_BYTES;
  if (end < 0) return undefined;
  const length = wordAt(file, end);
  if (length < PLAUSIBLE_MIN || length > PLAUSIBLE_MAX || length > end) return undefined;
  return { payload: file.subarray(0, end - length), signature: file.subarray(end - length, end) };
}
