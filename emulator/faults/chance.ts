/**
 * What the seed decides about a fault. Each choice is a function of the seed and of the fault and its operation alone: what
 * else happened before, or was armed beside it, changes nothing.
 */
import type { SeededRandom } from '../random.ts';

/** One in this many bits is hit in a unit that `stuck-bits` or `worn-sector` strikes; at least one always is. */
const HIT_ONE_IN = 64;

/** How much of an operation happens when the fault does not say: 0 … 1, the 1 left out. */
export function chosenFraction(random: SeededRandom, what: string): number {
  return random.stream(`fraction ${what}`).below(1 << 16) / (1 << 16);
}

/** Which bits of a unit are hit. @param length bytes */
export function chosenBits(random: SeededRandom, what: string, length: number): Uint8Array {
  const stream = random.stream(`bits ${what}`);
  const mask = new Uint8Array(length);
  const bits = length * 8;
  for (let count = Math.max(1, Math.floor(bits / HIT_ONE_IN)); count > 0; count--) {
    const bit = stream.below(bits);
    mask[bit >> 3]! |= 0x80 >> (bit & 7);
  }
  return mask;
}
