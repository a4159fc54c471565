/**
 * The gzip header as eboot reads it: byte by byte from the input window. Source: spec chapter 01 §10; RFC 1952.
 */
import { INPUT_BYTES, type Inflate } from './inflate.ts';
import type { Requests } from './machine.ts';

const FLAG_HEADER_CRC = 2;
const FLAG_EXTRA = 4;
const FLAG_NAME = 8;
const FLAG_COMMENT = 16;
const FLAG_RESERVED = 0xe0;
const METHOD_DEFLATE = 8;
/** Modification time, extra flags, operating system. */
const SKIPPED_BYTES = 6;

/**
 * Moves the window past the header.
 *
 * @param refill fetches the next window
 * @returns false when the header is not acceptable (code 5). The header's CRC is not checked, the text flag is ignored.
 */
export function* skipGzipHeader(stream: Inflate, refill: () => Requests<void>): Requests<boolean> {
  function* byte(): Requests<number> {
    if (stream.position === INPUT_BYTES) yield* refill();
    return stream.input[stream.position++]!;
  }
  function* skip(count: number): Requests<void> {
    for (let left = count; left > 0; ) {
      if (stream.position === INPUT_BYTES) yield* refill();
      const here = Math.min(left, INPUT_BYTES - stream.position);
      stream.position += here;
      left -= here;
    }
  }
  function* skipText(): Requests<void> {
    for (;;) {
      if (stream.position === INPUT_BYTES) yield* refill();
      const end = stream.input.indexOf(0, stream.position);
      stream.position = end < 0 ? INPUT_BYTES : end + 1;
      if (end >= 0) return;
    }
  }

  if ((yield* byte()) !== 0x1f || (yield* byte()) !== 0x8b) return false;
  if ((yield* byte()) !== METHOD_DEFLATE) return false;
  const flags = yield* byte();
  if (flags & FLAG_RESERVED) return false;
  yield* skip(SKIPPED_BYTES);
  if (flags & FLAG_EXTRA) {
    const low = yield* byte();
    yield* skip(low | ((yield* byte()) << 8));
  }
  if (flags & FLAG_NAME) yield* skipText();
  if (flags & FLAG_COMMENT) yield* skipText();
  if (flags & FLAG_HEADER_CRC) yield* skip(2);
  return true;
}
