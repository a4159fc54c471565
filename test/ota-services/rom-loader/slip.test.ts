import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SlipDecoder, slipFrame } from '../../../ota-services/rom-loader/slip.ts';
import { bytes, hex } from '../../support/loader-bench.ts';

function decode(pieces: readonly Uint8Array[], limit = 1000): string[] {
  const frames: string[] = [];
  const decoder = new SlipDecoder(limit, (frame) => void frames.push(hex(frame)));
  for (const piece of pieces) decoder.push(piece);
  return frames;
}

const special = fc.constantFrom(0xc0, 0xdb, 0xdc, 0xdd, 0x00, 0x55);
const payload = fc
  .array(fc.oneof(special, fc.nat(255)), { minLength: 1, maxLength: 60 })
  .map((b) => Uint8Array.from(b));

describe('SLIP', () => {
  test('C0 and DB travel escaped, and every frame has two delimiters of its own', () => {
    expect(hex(slipFrame(bytes('01 C0 02 DB 03')))).toBe('c001dbdc02dbdd03c0');
  });

  test('invariant: whatever is framed is read back, however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 6 }), fc.array(fc.nat(400), { maxLength: 10 }), (payloads, cuts) => {
        const stream = Buffer.concat(payloads.map(slipFrame));
        const places = [0, ...cuts.map((cut) => Math.min(cut, stream.length)).sort((a, b) => a - b), stream.length];
        const pieces = places.slice(1).map((end, i) => stream.subarray(places[i], end));
        expect(decode(pieces)).toEqual(payloads.map(hex));
      }),
    );
  });

  test('invariant: a stream gives the same frames when it is cut at any byte', () => {
    const stream = bytes('55 aa C0 01 DB DC 02 C0 C0 C0 03 DB 00 04 C0 C0 05 DB C0 06 C0 77 C0 08 C0');
    const whole = decode([stream]);
    for (let at = 0; at <= stream.length; at++) {
      expect(decode([stream.subarray(0, at), stream.subarray(at)]), `cut at ${at}`).toEqual(whole);
    }
    expect(decode([...stream].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
  });

  test.each([
    ['bytes outside a frame are ignored', '11 22 C0 01 C0 33 44 C0 02 C0 55', ['01', '02']],
    ['an empty frame is ignored, and its second C0 may open the next', 'C0 C0 01 C0', ['01']],
    ['row 10: frames back to back', 'C0 01 C0 C0 02 C0', ['01', '02']],
    ['a delimiter closes one frame and does not open another', 'C0 01 C0 02 C0 C0 03 C0', ['01', '03']],
    ['an invalid escape aborts its frame', 'C0 01 DB 02 03 C0 C0 04 C0', ['04']],
    ['a delimiter after an escape aborts and opens', 'C0 01 DB C0 02 C0', ['02']],
  ])('%s', (_, stream, frames) => {
    expect(decode([bytes(stream)])).toEqual(frames);
  });

  test('a frame that is too long shows as one byte too many, whatever its length', () => {
    for (const length of [11, 12, 5000]) {
      expect(decode([slipFrame(new Uint8Array(length).fill(0xc0))], 10)).toEqual(['c0'.repeat(11)]);
    }
    expect(decode([slipFrame(new Uint8Array(10))], 10)).toEqual(['00'.repeat(10)]);
  });

  test('reset forgets a frame begun', () => {
    const frames: string[] = [];
    const decoder = new SlipDecoder(10, (frame) => void frames.push(hex(frame)));
    decoder.push(bytes('C0 01 02 DB'));
    decoder.reset();
    decoder.push(bytes('03 C0 04 C0'));
    expect(frames).toEqual(['04']);
  });
});
