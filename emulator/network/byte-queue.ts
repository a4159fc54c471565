/** A first-in first-out queue of bytes, kept as the pieces that came. */
export class ByteQueue {
  private pieces: Uint8Array[] = [];
  /** Bytes of the first piece that are gone already. */
  private offset = 0;
  private size = 0;

  /** Bytes held. */
  get length(): number {
    return this.size;
  }

  /** Appends a copy of `data`, so the caller may reuse its buffer. */
  push(data: Uint8Array): void {
    if (data.length === 0) return;
    this.pieces.push(data.slice());
    this.size += data.length;
  }

  /** Up to `max` bytes from `start` on, without taking them. */
  peek(max: number, start = 0): Uint8Array {
    const result = new Uint8Array(Math.max(0, Math.min(max, this.size - start)));
    let skip = this.offset + start;
    let done = 0;
    for (const piece of this.pieces) {
      if (done === result.length) break;
      if (skip >= piece.length) {
        skip -= piece.length;
        continue;
      }
      const part = piece.subarray(skip, skip + result.length - done);
      result.set(part, done);
      done += part.length;
      skip = 0;
    }
    return result;
  }

  /** Removes up to `max` bytes from the front; returns how many. */
  drop(max: number): number {
    const count = Math.max(0, Math.min(max, this.size));
    this.size -= count;
    this.offset += count;
    let gone = 0;
    while (gone < this.pieces.length && this.offset >= this.pieces[gone]!.length) {
      this.offset -= this.pieces[gone]!.length;
      gone++;
    }
    if (gone > 0) this.pieces.splice(0, gone);
    return count;
  }

  /** Takes up to `max` bytes. */
  take(max: number): Uint8Array {
    const result = this.peek(max);
    this.drop(result.length);
    return result;
  }

  clear(): void {
    this.pieces = [];
    this.offset = 0;
    this.size = 0;
  }
}
