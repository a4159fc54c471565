/** What too little voltage does to RAM. */
import type { SeededRandom } from './random.ts';

/** One bit in so many flips. */
const FLIPS_ONE_IN = 100;

/** A brown-out leaves most of the RAM alone: about one bit in a hundred flips. */
export function flipSomeBits(bytes: Uint8Array, random: Pick<SeededRandom, 'below'>): void {
  for (let flips = Math.ceil((bytes.length * 8) / FLIPS_ONE_IN); flips > 0; flips--) {
    const bit = random.below(bytes.length * 8);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
  }
}
