/**
 * What the heap has left for the texts of one request. On the device a `String` that cannot grow keeps what it has, and
 * one that cannot be made is empty; neither is an error. So a flood of bytes costs a request its content, not the device
 * its life, and us no more memory than the device has.
 *
 * Not modelled: heap fragmentation, and allocations of objects, where the device's `new` restarts it. There we drop the
 * object.
 */
import type { ByteText } from './byte-text.ts';

/** Texts up to this length live inside the `String` object. Source: WString.h of the core (small string optimisation). */
const INLINE_BYTES = 11;
/** A `String` object. */
const STRING_BYTES = 12;
const ALLOCATION_UNIT_BYTES = 16;
/** Longer than any boundary (RFC 2046: 70 characters) and than the names in a part's header. */
const SMALLEST_LINE_BYTES = 512;

export class StringHeap {
  /** @param left bytes */
  constructor(private left: number) {}

  /** Bytes that a growing text could reach now. */
  get room(): number {
    return Math.max(0, this.left);
  }

  /** The same for a line that is only looked at. Never so little that the lines of a form are not recognised. */
  get lineRoom(): number {
    return Math.max(this.left, SMALLEST_LINE_BYTES);
  }

  /** Keeps a text until the end of the request; empty when it does not fit beside `alongside` bytes in use for the moment. */
  keep(text: ByteText, alongside = 0): ByteText {
    const bytes = heapBytes(text);
    if (bytes + alongside > this.room) return '';
    this.left -= bytes;
    return text;
  }

  /** Takes room for objects; false when there is none. */
  take(bytes: number): boolean {
    if (bytes > this.room) return false;
    this.left -= bytes;
    return true;
  }

  /** Gives back a kept text. */
  free(text: ByteText): void {
    this.left += heapBytes(text);
  }
}

/** Heap of an item with two texts, without the texts. */
export const ARGUMENT_BYTES = 2 * STRING_BYTES;

function heapBytes(text: ByteText): number {
  return text.length <= INLINE_BYTES ? 0 : (text.length + ALLOCATION_UNIT_BYTES) & -ALLOCATION_UNIT_BYTES;
}
