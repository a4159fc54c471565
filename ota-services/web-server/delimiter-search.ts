/**
 * Where a file of a form may end. The device compares byte by byte; looking for the delimiter as Horspool does, which
 * tries one byte in as many as the delimiter has, finds the same place and takes a tenth of the time.
 */
const CR = 0x0d;
const BYTE_VALUES = 256;

export class DelimiterSearch {
  /** How far the next possible start is when a byte stands where the delimiter's last one should. */
  private readonly shift: Int32Array;

  /** @param delimiter begins with CR, and has no other */
  constructor(readonly delimiter: Uint8Array) {
    const last = delimiter.length - 1;
    this.shift = new Int32Array(BYTE_VALUES).fill(delimiter.length);
    for (let i = 0; i < last; i++) this.shift[delimiter[i]!] = last - i;
  }

  /**
   * @param bytes as many as have come
   * @param from where to begin
   * @returns index of the first delimiter, or of what may become one as the bytes end inside it; else `bytes.length`
   */
  find(bytes: Uint8Array, from: number): number {
    const { delimiter, shift } = this;
    const last = delimiter.length - 1;
    let at = from;
    for (let end = at + last; end < bytes.length; end = at + last) {
      const byte = bytes[end]!;
      if (byte === delimiter[last] && this.agrees(bytes, at)) return at;
      at += shift[byte]!;
    }
    for (at = bytes.indexOf(CR, at); at >= 0; at = bytes.indexOf(CR, at + 1)) if (this.agrees(bytes, at)) return at;
    return bytes.length;
  }

  /** The delimiter stands at `at`, or as much of it as there is room for. */
  private agrees(bytes: Uint8Array, at: number): boolean {
    const { delimiter } = this;
    const length = Math.min(delimiter.length, bytes.length - at);
    for (let i = 0; i < length; i++) if (bytes[at + i] !== delimiter[i]) return false;
    return true;
  }
}
