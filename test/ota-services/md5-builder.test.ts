import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Md5Builder } from '../../ota-services/md5-builder.ts';
import { BytesSource, type Stream, TimedStream } from '../../ota-services/stream.ts';
import { nodeMd5, TestClock } from '../support/flash.ts';
import { md5Hex, PlayedClock, PlayedSystem, patternBytes, ScriptedSource } from '../support/updater.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const EMPTY = 'd41d8cd98f00b204e9800998ecf8427e';
const ZEROS = '0'.repeat(32);

/** Result of a build. */
function hashed(build: (md5: Md5Builder) => void): string {
  const md5 = new Md5Builder(nodeMd5);
  md5.begin();
  build(md5);
  md5.calculate();
  return md5.toString();
}

describe('MD5Builder', () => {
  test('hashes what was added, zeros before that', () => {
    const md5 = new Md5Builder(nodeMd5);
    expect(md5.toString()).toBe(ZEROS);
    md5.begin();
    md5.add('The quick brown fox ');
    md5.add(text('jumps over the lazy dog'));
    expect(md5.toString()).toBe(ZEROS);
    md5.calculate();
    expect(md5.toString()).toBe('9e107d9d372bb6826bd81d3542a419d6');
    expect([md5.getBytes().length, md5.getBytes()[0]]).toEqual([16, 0x9e]);
    md5.calculate();
    expect(md5.toString()).toBe('9e107d9d372bb6826bd81d3542a419d6');
    md5.begin();
    expect(md5.toString()).toBe(ZEROS);
  });

  test('without begin nothing is computed', () => {
    const md5 = new Md5Builder(nodeMd5);
    md5.add('x');
    md5.calculate();
    expect(md5.toString()).toBe(ZEROS);
  });

  test('lengths are 16 bits wide', () => {
    const bytes = patternBytes(0x20005);
    expect(hashed((md5) => md5.add(bytes))).toBe(md5Hex(bytes.subarray(0, 5)));
    expect(hashed((md5) => md5.add(bytes.subarray(0, 0xffff)))).toBe(md5Hex(bytes.subarray(0, 0xffff)));
    expect(hashed((md5) => md5.add(bytes.subarray(0, 0x10000)))).toBe(EMPTY);
  });

  const hexStrings: [hex: string, bytes: number[]][] = [
    ['00ff10', [0, 255, 16]],
    ['ABcd', [0xab, 0xcd]],
    ['abc', [0xab]],
    ['zz1z z1', [0, 0x10, 0x0]],
    ['', []],
    ['f', []],
  ];
  test.each(hexStrings)('hex string "%s"', (hex, bytes) => {
    expect(hashed((md5) => md5.addHexString(hex))).toBe(md5Hex(Uint8Array.from(bytes)));
  });

  test('without memory a hex string adds nothing, a stream gives false; what was held is given back', async () => {
    const none = new Md5Builder(nodeMd5, { allocate: () => false, release: () => expect.unreachable() });
    none.begin();
    none.addHexString('00');
    const clock = new PlayedClock(new TestClock());
    expect(await none.addStream(new TimedStream(new BytesSource(text('x')), clock), 1)).toBe(false);
    none.calculate();
    expect(none.toString()).toBe(EMPTY);

    const system = new PlayedSystem();
    const some = new Md5Builder(nodeMd5, system);
    some.begin();
    some.addHexString('0011');
    await some.addStream(new TimedStream(new BytesSource(text('x')), clock), 1);
    expect(system.held).toBe(0);
  });

  test('a stream is read in pieces of at most 512, up to the limit', async () => {
    const bytes = patternBytes(2000);
    const md5 = new Md5Builder(nodeMd5);
    md5.begin();
    const clock = new PlayedClock(new TestClock());
    const stream = new TimedStream(new BytesSource(bytes), clock);
    const asked: number[] = [];
    const watched: Stream = {
      available: () => stream.available(),
      peek: () => stream.peek(),
      readBytes: (length) => {
        asked.push(length);
        return stream.readBytes(length);
      },
    };
    expect(await md5.addStream(watched, 1300)).toBe(true);
    expect(asked).toEqual([512, 512, 276]);
    md5.calculate();
    expect(md5.toString()).toBe(md5Hex(bytes.subarray(0, 1300)));
  });

  test('a stream ends, with success, as soon as nothing is there at that instant', async () => {
    const clock = new PlayedClock(new TestClock());
    const source = new ScriptedSource(clock, [{ bytes: text('now') }, { at: 5, bytes: text('later') }]);
    const md5 = new Md5Builder(nodeMd5);
    md5.begin();
    expect(await md5.addStream(new TimedStream(source, clock), 100)).toBe(true);
    md5.calculate();
    expect(md5.toString()).toBe(md5Hex(text('now')));
  });

  test('a stream that announces bytes and gives none: false', async () => {
    const md5 = new Md5Builder(nodeMd5);
    md5.begin();
    const liar: Stream = { available: () => 5, peek: () => -1, readBytes: async () => new Uint8Array(0) };
    expect(await md5.addStream(liar, 100)).toBe(false);
  });

  test('invariant: how data is split does not matter', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
        const whole = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
        expect(hashed((md5) => pieces.forEach((piece) => void md5.add(piece)))).toBe(md5Hex(whole));
      }),
    );
  });
});
