/**
 * Bytes that look like machine code to a compressor, out of a seed. An image needs a body: it has to fill flash sectors
 * that differ between two versions, and to shrink in gzip about as much as real firmware does.
 */

/** FNV-1a over a text; never 0, which xorshift cannot leave. */
export function seedOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0 || 1;
}

const WORDS = 1024;
/** Of 32 steps, how many repeat a stretch of what went before. */
const REPEATS = 4;

/**
 * Fills `target`. The same seed gives the same bytes, on every machine and release: reports name images by their hash.
 *
 * Like code, the bytes are drawn from a vocabulary of two- and three-byte words of which some are far more frequent than
 * others, with stretches that come again, as inlined functions do. `gzip -9` brings 16 KiB to 1 MiB of it to about half
 * (a test holds it between 0.4 and 0.6).
 *
 * @param seed 1 to 0xFFFFFFFF
 */
export function fillLikeCode(target: Uint8Array, seed: number): void {
  let state = seed;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const words = Uint32Array.from({ length: WORDS }, next);
  let at = 0;
  while (at < target.length) {
    const x = next();
    if (x >>> 27 < REPEATS && at > 64) {
      const length = 8 + (x & 31);
      const distance = 1 + (((x >>> 5) & 0xffff) % Math.min(at, 0x8000));
      for (let i = 0; i < length && at < target.length; i++, at++) target[at] = target[at - distance]!;
      continue;
    }
    // The smaller of two draws: early words of the vocabulary come more often.
    const word = words[Math.min(x & (WORDS - 1), (x >>> 10) & (WORDS - 1))]!;
    target[at++] = word;
    if (at < target.length) target[at++] = word >>> 8;
    if (word & 0x1000000 && at < target.length) target[at++] = word >>> 16;
  }
}
