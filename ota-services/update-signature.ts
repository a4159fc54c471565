/** The signature check of `Update.end()`: everything it judges is read back from flash. Source: spec chapter 02 §7.2. */
import type { EspFlash } from '../flash/esp-class.ts';
import type { Heap } from './md5-builder.ts';
import type { SignatureVerifier } from './ports.ts';
import type { SignatureProblem } from './updater-errors.ts';

/** The payload is hashed through a buffer of this size on the stack. */
const HASH_PIECE_BYTES = 128;
/** The signature length at the very end of a signed file: 32 bits, little endian. */
const LENGTH_WORD_BYTES = 4;

/** A staged file: payload, signature, length word. Chip offset and bytes. */
export interface StagedFile {
  readonly start: number;
  readonly size: number;
}

export type SignatureVerdict =
  /** `payloadSize`: the file without signature and length word, which is what eboot gets. */
  | { ok: true; payloadSize: number }
  | { ok: false; error: { name: 'SIGN'; code: 12; problem: SignatureProblem } }
  | { ok: false; error: { name: 'OOM'; code: 14; needed: number } };

/**
 * Checks in the core's order. A failing flash read is not noticed: the buffer keeps what it held, and the hash or the
 * length will not match.
 */
export function checkSignature(
  verifier: SignatureVerifier,
  file: StagedFile,
  flash: Pick<EspFlash, 'flashRead'>,
  heap: Heap,
  debug: (line: string) => void,
): SignatureVerdict {
  const expected = verifier.length;
  const found = expected > 0 ? readWord(flash, (file.start + file.size - LENGTH_WORD_BYTES) >>> 0) : 0;
  debug(`[Updater] expected sigLen: ${expected}\n`);
  debug(`[Updater] sigLen from flash: ${found}\n`);
  if (found !== expected) return refused({ check: 'length', expected, found });
  const trailer = expected > 0 ? expected + LENGTH_WORD_BYTES : 0;
  if (file.size < trailer) return refused({ check: 'size', expected, size: file.size });
  const payloadSize = file.size - trailer;
  debug(`[Updater] Adjusted size (without the signature and sigLen): ${payloadSize}\n`);

  const digest = hashPayload(verifier, { start: file.start, size: payloadSize }, flash);
  debug(`[Updater] Computed Hash: ${hexBytes(digest)}\n`);

  if (expected > 0 && !heap.allocate(expected)) {
    return { ok: false, error: { name: 'OOM', code: 14, needed: expected } };
  }
  let signature: Uint8Array | undefined;
  if (expected > 0) {
    signature = flash.flashRead(file.start + payloadSize, expected) ?? new Uint8Array(expected);
    debug(`[Updater] Received Signature: ${hexBytes(signature)}\n`);
  }
  const matches = verifier.verify(digest, signature);
  if (expected > 0) heap.release(expected);
  if (!matches) return refused({ check: 'signature' });
  debug('[Updater] Signature matches\n');
  return { ok: true, payloadSize };
}

function hashPayload(verifier: SignatureVerifier, payload: StagedFile, flash: Pick<EspFlash, 'flashRead'>): Uint8Array {
  const hash = verifier.hash();
  const buffer = new Uint8Array(HASH_PIECE_BYTES);
  for (let offset = 0; offset < payload.size; offset += HASH_PIECE_BYTES) {
    const length = Math.min(HASH_PIECE_BYTES, payload.size - offset);
    const piece = flash.flashRead(payload.start + offset, length);
    if (piece) buffer.set(piece);
    hash.update(buffer.subarray(0, length));
  }
  return hash.digest();
}

/** 32 bits, little endian, at any address; 0 when the flash cannot be read there. */
function readWord(flash: Pick<EspFlash, 'flashRead'>, address: number): number {
  const bytes = flash.flashRead(address, LENGTH_WORD_BYTES);
  return bytes ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) : 0;
}

const refused = (problem: SignatureProblem): SignatureVerdict => ({
  ok: false,
  error: { name: 'SIGN', code: 12, problem },
});

const hexBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
