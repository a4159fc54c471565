/**
 * All chance of one device: a seed and a label make a stream, so that one user of chance never shifts another's numbers.
 * Integers only. Generator: xorshift32 (Marsaglia 2003), seeded through a 32-bit mix.
 */
export class SeededRandom {
  private state: number;

  constructor(
    private readonly seed: number,
    private readonly label = '',
  ) {
    let mixed = (seed ^ 0x9e3779b9) >>> 0;
    for (const char of label) mixed = Math.imul(mixed ^ char.charCodeAt(0), 0x01000193) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0;
    this.state = (mixed ^ (mixed >>> 16)) >>> 0 || 1;
  }

  /** An independent stream of the same seed. */
  stream(label: string): SeededRandom {
    return new SeededRandom(this.seed, `${this.label}/${label}`);
  }

  /** An unsigned 32-bit number, never 0. */
  next32(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }

  /** 0 … limit − 1. */
  below(limit: number): number {
    if (!Number.isInteger(limit) || limit < 1) throw new RangeError(`below(${limit}): wants a positive integer`);
    return this.next32() % limit;
  }

  /** Noise, as RAM holds after power-up. Four bytes a step: a power cycle fills 160 KiB. */
  fill(bytes: Uint8Array): void {
    let i = 0;
    for (; i + 3 < bytes.length; i += 4) {
      const word = this.next32();
      bytes[i] = word;
      bytes[i + 1] = word >>> 8;
      bytes[i + 2] = word >>> 16;
      bytes[i + 3] = word >>> 24;
    }
    for (; i < bytes.length; i++) bytes[i] = this.next32() >>> 11;
  }
}
