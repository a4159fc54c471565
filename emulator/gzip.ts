/** gzip with a limit: a small file must not become all of memory. */
import { gunzipSync } from 'node:zlib';
import { CHIP_MAX_BYTES } from '../flash/geometry.ts';

/**
 * Unpacks a gzip file of at most `limit` bytes, by default what the largest chip holds.
 *
 * @returns undefined when it is damaged or larger
 */
export function gunzip(bytes: Uint8Array, limit = CHIP_MAX_BYTES): Uint8Array | undefined {
  try {
    return gunzipSync(bytes, { maxOutputLength: limit });
  } catch {
    return undefined; // synchronous: no Interruption can pass
  }
}
