/** Something that looks like a file system from outside, for sweeps without one: nobody mounts it. */
import { SeededRandom } from '../random.ts';

/** LittleFS begins with two metadata blocks; with 8 KiB blocks, as on 4 MiB chips, they start here. */
const METADATA_AT = [0, 0x2000] as const;
const METADATA_BYTES = 300;
const FILES_AT = 0x4000;

/**
 * Two metadata blocks with a little in them, files over about half of the rest, and then nothing.
 *
 * @param seed no two seeds share a sector with content
 * @param size bytes, whole sectors
 */
export function buildFileSystem(seed: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(0xff);
  const random = new SeededRandom(seed).stream('file system');
  for (const at of METADATA_AT) random.fill(bytes.subarray(at, Math.min(at + METADATA_BYTES, size)));
  const end = FILES_AT + Math.floor((size - FILES_AT) / 2);
  if (end > FILES_AT) random.fill(bytes.subarray(FILES_AT, end));
  return bytes;
}
