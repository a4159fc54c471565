/** Hostile and unlucky hosts: nothing throws, memory stays bounded, and the next host is served. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PowerLost } from '../../../flash/ports.ts';
import { encodeRequest } from '../../../ota-services/rom-loader/packets.ts';
import { slipFrame } from '../../../ota-services/rom-loader/slip.ts';
import { ZlibInflate } from '../../../ota-services/rom-loader/zlib-inflate.ts';
import { expectBytes } from '../../support/flash.ts';
import { bytes, hex, LoaderBench, noise, settled, words } from '../../support/loader-bench.ts';

const SYNC = encodeRequest(0x08, bytes(`07 07 12 20 ${'55'.repeat(32)}`));
const COMMANDS = [0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0d, 0x0f, 0x10, 0x11, 0x12, 0x13];
const STUB_COMMANDS = [0x14, 0xd0, 0xd1, 0xd2, 0xd3];

const number = fc.oneof(
  fc.constantFrom(0, 1, 2, 16, 0x100, 0x400, 0xfff, 0x1000, 0x4000, 0x10000, 0x80000, 0x7f000, 0xffffffff, 0x40100000),
  fc.constantFrom(0x60000200, 0x6000021c, 0x60000220, 0x60000224, 0x60000240, 0x3ffe8000, 0x4010d004, 0x00040000),
  fc.nat(0x20000),
  fc.integer({ min: 0, max: 0xffffffff }),
);
/** How many words each command wants. */
const WORDS: Record<number, number> = {
  2: 4,
  4: 1,
  5: 4,
  6: 2,
  9: 4,
  10: 1,
  11: 6,
  13: 1,
  15: 2,
  16: 4,
  18: 1,
  19: 4,
  208: 0,
  209: 2,
  210: 4,
  211: 0,
};
/** Something like a command: its words may make sense, its length and checksum mostly do. */
const command = fc
  .record({
    command: fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(...COMMANDS) },
      { weight: 2, arbitrary: fc.constantFrom(...STUB_COMMANDS) },
      { weight: 1, arbitrary: fc.nat(255) },
    ),
    words: fc.array(number, { minLength: 6, maxLength: 6 }),
    tail: fc.uint8Array({ maxLength: 40 }),
    form: fc.constantFrom('as wanted', 'as wanted', 'as wanted', 'block', 'block', 'any'),
  })
  .map(({ command, words: numbers, tail, form }) => {
    if (form === 'any') return encodeRequest(command, tail);
    if (form === 'as wanted') return encodeRequest(command, words(...numbers.slice(0, WORDS[command] ?? 3)));
    const data = Buffer.concat([words(tail.length, numbers[0]! % 9, 0, 0), tail]);
    return encodeRequest(
      command,
      data,
      tail.reduce((sum, byte) => sum ^ byte, 0xef),
    );
  });
const garbage = fc.array(fc.oneof(fc.constantFrom(0xc0, 0xdb, 0xdc, 0xdd, 0x00), fc.nat(255)), { maxLength: 30 });
const piece = fc.oneof(
  { weight: 5, arbitrary: command },
  { weight: 1, arbitrary: fc.tuple(command, fc.nat(60)).map(([frame, cut]) => frame.subarray(0, cut)) },
  { weight: 1, arbitrary: garbage.map((list) => Uint8Array.from(list)) },
);

describe.each(['rom', 'stub'] as const)('%s', (dialect) => {
  test('invariant: after whatever came, one of the next three SYNCs is answered', { timeout: 60_000 }, async () => {
    const bench = new LoaderBench({ capacity: 0x80000 });
    const ends: Record<string, number> = {};
    const fresh = async (): Promise<void> => {
      if (bench.end) {
        ends[bench.end.do] = (ends[bench.end.do] ?? 0) + 1;
        bench.restart();
      }
      if (dialect === 'stub' && bench.loader.dialect === 'rom') {
        await bench.send(bytes('C0 C0')); // out of a frame that was begun
        await bench.startStub();
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 6 }), async (stream) => {
        await fresh();
        for (const part of stream) bench.loader.receive(part);
        await settled();
        if (bench.failure) throw bench.failure;
        if (bench.end) return;
        bench.take();
        for (let i = 0; i < 3; i++) bench.loader.receive(SYNC);
        await settled();
        if (bench.failure) throw bench.failure;
        if (bench.end) return; // a command without its last byte, which was a SYNC's first
        const replies = bench.take().filter((frame) => frame[0] === 1 && frame[1] === 8);
        expect(replies.length).toBeGreaterThanOrEqual(8);
        bench.events.length = 0;
        bench.flashEvents.length = 0;
      }),
      { numRuns: 5000 },
    );
    // Some of it made the loader leave; which ways out were found is chance.
    expect(Object.keys(ends).length).toBeGreaterThan(0);
  });
});

describe('noise and half packets', () => {
  test('row 11: garbage before a frame', async () => {
    const bench = new LoaderBench();
    await bench.send(Buffer.concat([noise(500).filter((byte) => byte !== 0xc0), SYNC]));
    expect(bench.take().length).toBe(8);
  });

  test('row 10: two frames back to back', async () => {
    const bench = new LoaderBench();
    const one = encodeRequest(0x0a, words(0x40001000));
    await bench.send(Buffer.concat([one, one]));
    expect(bench.take().map(hex)).toEqual(new Array(2).fill('010a020001c1f0ff0000'));
  });

  test('two frames that share one delimiter: the first is carried out, and the one after the second', async () => {
    const bench = new LoaderBench();
    const one = encodeRequest(0x0a, words(0x40001000));
    const two = encodeRequest(0x0a, words(0x60000078));
    await bench.send(Buffer.concat([one, two.subarray(1), one]));
    expect(bench.take().map(hex)).toEqual(new Array(2).fill('010a020001c1f0ff0000'));
  });

  test('frames that are no requests get no answer', async () => {
    const bench = new LoaderBench();
    await bench.send(slipFrame(new Uint8Array(7)));
    await bench.send(slipFrame(bytes('01 08 00 00 00 00 00 00')));
    await bench.send(slipFrame(Buffer.from('hello world')));
    expect(bench.take()).toEqual([]);
    expect(bench.events).toEqual([{ type: 'loader.start', dialect: 'rom' }]);
  });

  test('a frame cut short gets an error and does nothing', async () => {
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x02, words(0x1000, 4, 0x400, 0)));
    bench.flashEvents.length = 0;
    const frame = encodeRequest(0x03, Buffer.concat([words(0x400, 0, 0, 0), noise(0x400)]));
    await bench.send(Buffer.concat([frame.subarray(0, 700), bytes('C0')]));
    expect(bench.take().map((reply) => hex(reply.subarray(-2)))).toEqual(['0105']);
    expect(bench.flashEvents).toEqual([]);
  });

  test('a frame that is too long gets one error and does nothing, in both dialects', async () => {
    const frame = new Uint8Array(100_000);
    frame.set(bytes('00 09 F0 FF'));
    const bench = new LoaderBench();
    expect((await bench.exchange(frame)).map((reply) => hex(reply.subarray(-2)))).toEqual(['0105']);
    await bench.startStub();
    expect((await bench.exchange(frame)).map((reply) => hex(reply.subarray(-2)))).toEqual(['c000']);
    expect(await bench.register(0x40001000)).toBe(0xfff0c101);
  });
});

describe('floods', () => {
  test('without frames, no memory is used and nothing is answered', async () => {
    const bench = new LoaderBench();
    const flood = new Uint8Array(1 << 20).fill(0x55);
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 64; i++) bench.loader.receive(flood);
    bench.loader.receive(bytes('C0'));
    for (let i = 0; i < 64; i++) bench.loader.receive(flood);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 << 20);
    await settled();
    expect(bench.take()).toEqual([]);
    await bench.send(Buffer.concat([SYNC, SYNC]));
    expect(bench.take().length).toBeGreaterThanOrEqual(8);
  });

  test('of frames, those that do not fit are lost, the others served', async () => {
    const bench = new LoaderBench();
    const many = Buffer.concat(new Array<Uint8Array>(20_000).fill(encodeRequest(0x0a, words(0x40001000))));
    bench.loader.receive(many);
    await settled();
    expect(bench.take().length).toBe(64);
    expect(await bench.register(0x40001000)).toBe(0xfff0c101);
  });

  test('of begin commands and RAM uploads, only the last counts', async () => {
    const bench = new LoaderBench();
    for (let i = 0; i < 500; i++) await bench.ok(bench.command(0x05, words(16, 1, 16, 0x40100000 + 16 * i)));
    await bench.startStub();
    for (let i = 0; i < 50; i++) await bench.ok(bench.command(0x10, words(0x100000, 1, 0x4000, 0)));
    expect(await bench.register(0x40001000)).toBe(0xfff0c101);
  });
});

describe('a host that vanishes', () => {
  test('at any byte of a write: what was written stays, and the next host is served', async () => {
    const data = noise(0x800);
    const stream = Buffer.concat([
      encodeRequest(0x02, words(0x1000, 2, 0x400, 0)),
      ...[0, 1].map((i) => {
        const block = data.subarray(i * 0x400, (i + 1) * 0x400);
        return encodeRequest(
          0x03,
          Buffer.concat([words(0x400, i, 0, 0), block]),
          block.reduce((sum, byte) => sum ^ byte, 0xef),
        );
      }),
    ]);
    for (let at = 0; at <= stream.length; at += 13) {
      const bench = new LoaderBench({ capacity: 0x80000 });
      await bench.send(stream.subarray(0, at));
      const replies = bench.take().length;
      const whole = Math.max(0, replies - 1) * 0x400;
      expectBytes(bench.chip.peek(0, whole), data.subarray(0, whole));
      expect(bench.chip.store.isBlank(whole, 0x1000 - whole)).toBe(true);
      await bench.send(Buffer.concat([SYNC, SYNC]));
      expect(bench.take().filter((frame) => frame[1] === 8).length, `cut at ${at}`).toBeGreaterThanOrEqual(8);
      await bench.ok(bench.command(0x02, words(0x1000, 2, 0x400, 0)));
    }
  });
});

describe('the machine stops', () => {
  test('invariant: a loss of power at any operation passes through, and flash is as it then was', async () => {
    const data = noise(0x5000, 6);
    const operations = 5 + 0x50;
    for (let cut = 0; cut < operations; cut += 7) {
      const bench = new LoaderBench({ capacity: 0x80000 });
      bench.chip.load(0, new Uint8Array(0x8000));
      await bench.startStub();
      let count = 0;
      const lost = new PowerLost('fault');
      bench.chip.faults = {
        decide: ({ kind }) =>
          kind !== 'read' && count++ === cut ? { do: 'stop', point: 'after', with: lost } : undefined,
      };
      await bench.command(0x02, words(data.length, 2, 0x4000, 0));
      for (const i of [0, 1]) {
        if (bench.failure) break;
        const block = data.subarray(i * 0x4000, (i + 1) * 0x4000);
        await bench.block(0x03, i, block).catch((error: Error) => expect(error.message).toContain('0 frames came'));
      }
      expect(bench.failure, `cut ${cut}`).toBe(lost);
      const erases = bench.flashEvents.filter(({ type }) => type === 'flash.erase').length;
      const programs = bench.flashEvents.length - erases;
      expect(erases + programs).toBe(cut + 1);
      const model = new Uint8Array(0x8000);
      model.fill(0xff, 0, erases * 0x1000);
      model.set(data.subarray(0, programs * 0x100));
      expectBytes(bench.chip.peek(0, 0x8000), model);
    }
  });

  test('a reset while it waits for the chip', async () => {
    const stopped = new PowerLost();
    const clock = {
      us: 0,
      nowUs: () => clock.us,
      spend: (us: number) => {
        clock.us += us;
      },
      settle: () => (clock.us > 100_000 ? Promise.reject(stopped) : undefined),
    };
    const bench = new LoaderBench({ clock });
    bench.loader.receive(encodeRequest(0x02, words(0x8000, 1, 0x400, 0x1000)));
    await settled();
    expect(bench.failure).toBe(stopped);
    expect(bench.flashEvents.length).toBe(3);
    expect(bench.take()).toEqual([]);
  });

  test('with a clock that makes the chip’s time pass, the reply comes when it is over', async () => {
    let release: (() => void) | undefined;
    const clock = {
      us: 0,
      nowUs: () => clock.us,
      spend: (us: number) => {
        clock.us += us;
      },
      settle: () => {
        if (release || clock.us === 0) return undefined;
        return new Promise<void>((resolve) => {
          release = resolve;
        });
      },
    };
    const bench = new LoaderBench({ clock });
    bench.loader.receive(encodeRequest(0x02, words(0x1000, 1, 0x400, 0xf000)));
    await settled();
    expect([bench.flashEvents.length, bench.take().length]).toEqual([1, 0]);
    bench.loader.receive(SYNC); // waits its turn
    release!();
    await settled();
    expect([bench.flashEvents.length, bench.take().length]).toEqual([2, 9]);
  });
});

test('the unpacker needs no more than its window', () => {
  const before = process.memoryUsage().arrayBuffers;
  const inflate = new ZlibInflate();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(48 << 10);
  expect(inflate.available).toBe(0);
});
