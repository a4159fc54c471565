const NOTHING = new Uint8Array(0);

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
    this.give(data.slice());
  }

  /** Appends `data` itself: the caller gives it away. */
  give(data: Uint8Array): void {
    if (data.length === 0) return;
    this.pieces.push(data);
    this.size += data.length;
  }

  /**
   * Up to `max` bytes from `start` on, without taking them. Nobody may change them: where they lie in one piece, which is
   * nearly always, it is a view of that piece. (A copy took longer than everything else that happens to the bytes.)
   */
  peek(max: number, start = 0): Uint8Array {
    const wanted = Math.max(0, Math.min(max, this.size - start));
    let skip = this.offset + start;
    let index = 0;
    while (index < this.pieces.length && skip >= this.pieces[index]!.length) skip -= this.pieces[index++]!.length;
    const first = this.pieces[index];
    if (!first || wanted === 0) return NOTHING;
    if (skip + wanted <= first.length) return new Uint8Array(first.buffer, first.byteOffset + skip, wanted);
    const result = new Uint8Array(wanted);
    for (let done = 0; done < wanted; skip = 0) {
      const piece = this.pieces[index++]!;
      const part = piece.subarray(skip, skip + wanted - done);
      result.set(part, done);
      done += part.length;
    }
    return result;
  }

  /** What is left of the first piece; see {@link ByteQueue.peek}. */
  peekPiece(): Uint8Array {
    const [first] = this.pieces;
    return first ? new Uint8Array(first.buffer, first.byteOffset + this.offset, first.length - this.offset) : NOTHING;
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

  /** Takes up to `max` bytes; see {@link ByteQueue.peek}. */
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
