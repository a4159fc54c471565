/** Rows of spec chapter 05 §16 that the stub's dialect decides. */
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { slipFrame } from '../../../ota-services/rom-loader/slip.ts';
import { expectBytes, nodeMd5 } from '../../support/flash.ts';
import { hex, LoaderBench, noise, padded, words } from '../../support/loader-bench.ts';

const SYNC = Uint8Array.of(0x07, 0x07, 0x12, 0x20, ...new Array<number>(32).fill(0x55));
const LEGACY = 0x4010d004;
const NEW = 0x4010c504;
const BLOCK = 0x4000;

async function stub(options: ConstructorParameters<typeof LoaderBench>[0] = {}, entry = LEGACY): Promise<LoaderBench> {
  const bench = new LoaderBench(options);
  await bench.startStub(entry);
  return bench;
}

const begin = (bench: LoaderBench, size: number, offset: number, command = 0x02, blockSize = BLOCK) =>
  bench.command(command, words(size, Math.ceil(size / BLOCK), blockSize, offset));

const md5 = (data: Uint8Array): string => {
  const computation = nodeMd5();
  computation.update(data);
  return hex(computation.digest());
};

async function writePacked(bench: LoaderBench, offset: number, data: Uint8Array, packed: Uint8Array): Promise<void> {
  await bench.ok(begin(bench, data.length, offset, 0x10));
  for (let at = 0, i = 0; at < packed.length; at += BLOCK, i++) {
    await bench.ok(bench.block(0x11, i, packed.subarray(at, at + BLOCK)));
  }
  await bench.ok(bench.command(0x12, words(1)));
}

describe.each([
  ['legacy stub', LEGACY],
  ['new stub', NEW],
])('%s', (_, entry) => {
  const isNew = entry === NEW;

  test('rows 8 and 41: SYNC is answered eight times with value 0, also to the next connection', async () => {
    const bench = await stub({}, entry);
    for (let i = 0; i < 2; i++) {
      const replies = await bench.exchange(Buffer.concat([Buffer.from('0008240000000000', 'hex'), SYNC]));
      expect(replies.map(hex)).toEqual(new Array(8).fill('01080200000000000000'));
    }
  });

  test('row 9: a SYNC of the wrong length gets one error', async () => {
    const bench = await stub({}, entry);
    expect(await bench.command(0x08, SYNC.subarray(1))).toMatchObject({ command: 0x08, result: 0xc000 });
  });

  test('an unknown command', async () => {
    const bench = await stub({}, entry);
    expect(await bench.command(0x14)).toMatchObject({ command: 0x14, result: isNew ? 0xc300 : 0xff00 });
    expect((await bench.command(0x0c)).result).toBe(isNew ? 0xc300 : 0xff00);
  });

  test('row 29: begin commands of 16 and of 20 bytes, and of no other length', async () => {
    const bench = await stub({}, entry);
    for (const command of [0x02, 0x10]) {
      await bench.ok(bench.command(command, words(0x1000, 1, BLOCK, 0)));
      await bench.ok(bench.command(command, words(0x1000, 1, BLOCK, 0, 0)));
      for (const length of [12, 17, 24]) {
        expect((await bench.command(command, new Uint8Array(length))).result).toBe(0xc000);
      }
    }
  });

  test('row 32: data and end outside of flash mode', async () => {
    const bench = await stub({}, entry);
    expect((await bench.block(0x03, 0, noise(64))).result).toBe(0xc600);
    expect((await bench.block(0x11, 0, noise(64))).result).toBe(0xc600);
    expect((await bench.command(0x04, words(1))).result).toBe(0xc600);
    expect((await bench.command(0x12, words(1))).result).toBe(0xc600);
    expect(bench.flashEvents).toEqual([]);
  });

  test('row 33: a block size beyond 0x4000', async () => {
    const bench = await stub({}, entry);
    expect((await begin(bench, 0x8000, 0, 0x02, 0x8000)).result).toBe(0xc200);
    expect((await begin(bench, 0x8000, 0, 0x10, 0x4001)).result).toBe(0xc200);
    expect((await bench.block(0x03, 0, noise(64))).result).toBe(0xc600);
  });

  test('row 34: a wrong checksum, and nothing is written', async () => {
    const bench = await stub({}, entry);
    await bench.ok(begin(bench, 0x1000, 0));
    expect((await bench.block(0x03, 0, noise(0x1000), 0x55)).result).toBe(0xc100);
    await bench.ok(begin(bench, 0x1000, 0, 0x10));
    expect((await bench.block(0x11, 0, deflateSync(noise(0x1000)), 0x55)).result).toBe(0xc100);
    expect(bench.flashEvents).toEqual([]);
  });

  test('row 35: an end with data missing; the missing data may still come', async () => {
    const bench = await stub({}, entry);
    const data = noise(0x5000);
    await bench.ok(begin(bench, data.length, 0));
    await bench.ok(bench.block(0x03, 0, data.subarray(0, BLOCK)));
    expect((await bench.command(0x04, words(1))).result).toBe(isNew ? 0xc000 : 0xc800);
    await bench.ok(bench.block(0x03, 1, padded(data.subarray(BLOCK), BLOCK)));
    await bench.ok(bench.command(0x04, words(1)));
    expectBytes(bench.chip.peek(0, data.length), data);
    expect((await bench.command(0x04, words(1))).result).toBe(0xc600);
  });

  test('row 36: a region is erased, nothing else', async () => {
    const bench = await stub({}, entry);
    bench.chip.load(0, new Uint8Array(0x20000));
    await bench.ok(bench.command(0xd1, words(0x11000, 0x2000)));
    expect(bench.flashEvents.map(({ address }) => address)).toEqual([0x11000, 0x12000]);
  });

  test('row 37: a region off the sectors, or past the chip, is refused', async () => {
    const bench = await stub({}, entry);
    const misaligned = isNew ? 0xc000 : 0x0100;
    expect((await bench.command(0xd1, words(0x11001, 0x2000))).result).toBe(misaligned);
    expect((await bench.command(0xd1, words(0x11000, 0x2001))).result).toBe(misaligned);
    expect((await bench.command(0xd1, words(0x3ff000, 0x2000))).result).not.toBe(0);
    expect((await bench.command(0xd1, words(0xfffff000, 0x1000))).result).not.toBe(0);
    expect(bench.flashEvents).toEqual([]);
  });

  test('row 42: FLASH_END with 0 sends it back to the ROM', async () => {
    const bench = await stub({}, entry);
    await bench.ok(bench.command(0x02, words(0, 0, BLOCK, 0)));
    await bench.ok(bench.command(0x04, words(0)));
    expect(bench.end).toEqual({ do: 'reset' });
    expect(bench.events.at(-1)).toEqual({ type: 'loader.end', dialect: 'stub', next: 'reset' });
    bench.restart();
    expect(bench.loader.dialect).toBe('rom');
  });

  test('row 43: RUN_USER_CODE has no reply', async () => {
    const bench = await stub({}, entry);
    expect(await bench.exchange(Buffer.from('00d3000000000000', 'hex'))).toEqual([]);
    expect(bench.end).toEqual({ do: 'run-flash' });
  });
});

describe('writing', () => {
  test('row 30: a compressed image, its MD5, and what is behind it', async () => {
    const bench = await stub();
    bench.chip.load(0, noise(0x100000, 5));
    const behind = bench.chip.peek(0x80000, 0x1000);
    const image = Buffer.concat([noise(100_000), Buffer.alloc(200_000, 0xff), noise(100_000, 3)]);
    await writePacked(bench, 0x10000, image, deflateSync(image, { level: 9 }));
    expectBytes(bench.chip.peek(0x10000, image.length), image);
    const reply = await bench.ok(bench.command(0x13, words(0x10000, image.length, 0, 0)));
    expect(hex(reply.data)).toBe(md5(image));
    expectBytes(bench.chip.peek(0x80000, 0x1000), behind);
  });

  test('plain and compressed writes of every size and place leave the data, and erase just their sectors', async () => {
    for (const [offset, size] of [
      [0, 1],
      [0x1003, 5000],
      [0x2000, 0x4000],
      [0xf000, 0x11001],
      [0x10000, 0x20000],
      [0x12345, 70_001],
    ] as const) {
      for (const packed of [false, true]) {
        const bench = await stub();
        bench.chip.load(0, new Uint8Array(0x40000));
        const data = noise(size, size);
        if (packed) await writePacked(bench, offset, data, deflateSync(data));
        else {
          await bench.ok(begin(bench, size, offset));
          for (let i = 0; i * BLOCK < size; i++) {
            await bench.ok(bench.block(0x03, i, padded(data.subarray(i * BLOCK, (i + 1) * BLOCK), BLOCK)));
          }
          await bench.ok(bench.command(0x04, words(1)));
        }
        expectBytes(bench.chip.peek(offset, size), data, `${size} bytes at 0x${offset.toString(16)}`);
        const erased = bench.flashEvents.filter(({ type }) => type === 'flash.erase').map(({ address }) => address);
        const first = Math.floor(offset / 0x1000);
        const last = Math.ceil((offset + size) / 0x1000);
        expect(erased).toEqual(Array.from({ length: last - first }, (_, i) => (first + i) * 0x1000));
      }
    }
  });

  test('the padding of the last block is dropped: what is behind the file in its sector stays erased', async () => {
    const bench = await stub();
    await bench.ok(begin(bench, 100, 0x1000));
    await bench.ok(bench.block(0x03, 0, new Uint8Array(BLOCK)));
    expectBytes(bench.chip.peek(0x1000, 200), padded(new Uint8Array(100), 200));
    await bench.ok(bench.block(0x03, 1, new Uint8Array(BLOCK)));
    await bench.ok(bench.command(0x04, words(1)));
    expectBytes(bench.chip.peek(0x1000, 200), padded(new Uint8Array(100), 200));
  });

  test('sectors are erased when their data comes, 64 KiB at a time where that is aligned', async () => {
    const bench = await stub();
    await bench.ok(begin(bench, 0x22000, 0xf000));
    expect(bench.flashEvents).toEqual([]);
    const erasedBy = async (sequence: number): Promise<number> => {
      bench.flashEvents.length = 0;
      await bench.ok(bench.block(0x03, sequence, noise(BLOCK)));
      return bench.flashEvents.filter(({ type }) => type === 'flash.erase').length;
    };
    expect(await erasedBy(0)).toBe(1 + 16);
    expect(await erasedBy(1)).toBe(0);
  });

  test('a block erase takes the time of one, a chip erase too, and each sector is an operation', async () => {
    const bench = await stub();
    const { part } = bench.chip;
    const start = bench.clock.nowUs();
    await bench.ok(bench.command(0xd1, words(0x10000, 0x10000)));
    expect(bench.clock.nowUs() - start).toBe(part.blockEraseUs);
    await bench.ok(bench.command(0xd1, words(0x21000, 0x1000)));
    expect(bench.clock.nowUs() - start).toBe(part.blockEraseUs + part.sectorEraseUs);
    bench.flashEvents.length = 0;
    const before = bench.clock.nowUs();
    await bench.ok(bench.command(0xd0));
    expect(bench.flashEvents.length).toBe(1024);
    expect(Math.abs(bench.clock.nowUs() - before - part.chipEraseUs)).toBeLessThan(1024);
  });

  test('a repeated plain block goes to the same place', async () => {
    const bench = await stub();
    const data = noise(2 * BLOCK);
    await bench.ok(begin(bench, data.length, 0));
    await bench.ok(bench.block(0x03, 0, data.subarray(0, BLOCK)));
    await bench.ok(bench.block(0x03, 0, data.subarray(0, BLOCK)));
    expect((await bench.command(0x04, words(1))).result).toBe(0xc800);
    await bench.ok(bench.block(0x03, 1, data.subarray(BLOCK)));
    await bench.ok(bench.block(0x03, 1, data.subarray(BLOCK)));
    await bench.ok(bench.command(0x04, words(1)));
    expectBytes(bench.chip.peek(0, data.length), data);
  });

  test('a repeated compressed block is taken once', async () => {
    const bench = await stub();
    const data = noise(3 * BLOCK);
    const packed = deflateSync(data);
    await bench.ok(begin(bench, data.length, 0, 0x10));
    for (let at = 0, i = 0; at < packed.length; at += BLOCK, i++) {
      await bench.ok(bench.block(0x11, i, packed.subarray(at, at + BLOCK)));
      await bench.ok(bench.block(0x11, i, packed.subarray(at, at + BLOCK)));
    }
    await bench.ok(bench.command(0x12, words(1)));
    expectBytes(bench.chip.peek(0, data.length), data);
  });

  test('invariant: one failing operation anywhere costs a block one repetition, and the image is right', async () => {
    const data = Buffer.concat([noise(40_000), Buffer.alloc(30_000, 7), noise(10_000, 9)]);
    const packed = deflateSync(data);
    for (const kind of ['program', 'erase'] as const) {
      for (const compressed of [false, true]) {
        for (const failing of [0, 1, 5, 17, 100, 200]) {
          const bench = await stub();
          let count = 0;
          let failed = 0;
          bench.chip.faults = {
            decide: (operation) => (operation.kind === kind && count++ === failing ? { do: 'fail' } : undefined),
          };
          await bench.ok(begin(bench, data.length, 0x8000, compressed ? 0x10 : 0x02));
          const stream = compressed ? packed : padded(data, BLOCK);
          for (let at = 0, i = 0; at < stream.length; at += BLOCK, i++) {
            const block = stream.subarray(at, at + BLOCK);
            const { result } = await bench.block(compressed ? 0x11 : 0x03, i, block);
            if (result === 0) continue;
            expect(result).toBe(0xc400);
            failed++;
            await bench.ok(bench.block(compressed ? 0x11 : 0x03, i, block));
          }
          await bench.ok(bench.command(compressed ? 0x12 : 0x04, words(1)));
          expectBytes(bench.chip.peek(0x8000, data.length), data, `${kind} ${failing}`);
          expect(failed).toBe(Number(failing < count));
        }
      }
    }
  });

  test('compressed: damaged, too short, too long', async () => {
    const data = noise(20_000);
    const packed = deflateSync(data);
    const send = async (size: number, stream: Uint8Array): Promise<number> => {
      const bench = await stub();
      await bench.ok(begin(bench, size, 0, 0x10));
      for (let at = 0, i = 0; at < stream.length; at += BLOCK, i++) {
        const { result } = await bench.block(0x11, i, stream.subarray(at, at + BLOCK));
        if (result !== 0) return result;
      }
      return 0;
    };
    const damaged = Buffer.from(packed);
    damaged[1000]! ^= 0x40;
    expect(await send(data.length, damaged)).toBe(0xc700);
    expect(await send(data.length, noise(100))).toBe(0xc700);
    const wrongSum = Buffer.from(packed);
    wrongSum[wrongSum.length - 1]! ^= 1;
    expect(await send(data.length, wrongSum)).toBe(0xc700);
    expect(await send(data.length + 1, packed)).toBe(0xc800);
    expect(await send(data.length - 1, packed)).toBe(0xc900);
    expect(await send(0, packed)).toBe(0xc900);
    expect(await send(data.length, packed)).toBe(0);
  });

  test('compressed: the checksum may come in a block of its own, and up to 4 bytes may follow', async () => {
    const data = noise(9000);
    const packed = deflateSync(data);
    for (let cut = 1; cut <= 6; cut++) {
      const bench = await stub();
      await bench.ok(begin(bench, data.length, 0, 0x10));
      await bench.ok(bench.block(0x11, 0, packed.subarray(0, -cut)));
      await bench.ok(bench.block(0x11, 1, packed.subarray(-cut)));
      await bench.ok(bench.block(0x11, 2, new Uint8Array(3)));
      await bench.ok(bench.block(0x11, 3, new Uint8Array(1)));
      expect((await bench.block(0x11, 4, new Uint8Array(1))).result).toBe(0xc900);
      await bench.ok(bench.command(0x12, words(1)));
      expectBytes(bench.chip.peek(0, data.length), data);
    }
  });

  test('a bomb stays in its 32 KiB', async () => {
    const bench = await stub();
    const bomb = deflateSync(Buffer.alloc(0x1000000));
    await bench.ok(begin(bench, 0x8000, 0, 0x10));
    expect((await bench.block(0x11, 0, bomb.subarray(0, BLOCK))).result).toBe(0xc900);
    expect(bench.chip.store.isBlank(0x8000, 0x10000)).toBe(true);
  });

  test('past the chip: C4, and what fits is written', async () => {
    for (const capacity of [0x80000]) {
      const bench = await stub({ capacity });
      expect((await begin(bench, 0x1000, capacity)).result).toBe(0xc400);
      expect((await bench.block(0x03, 0, noise(0x1000))).result).toBe(0xc400);
      await bench.ok(begin(bench, 0x8000, capacity - BLOCK));
      const data = noise(BLOCK);
      await bench.ok(bench.block(0x03, 0, data));
      expect((await bench.block(0x03, 1, noise(BLOCK))).result).toBe(0xc400);
      expectBytes(bench.chip.peek(capacity - BLOCK, BLOCK), data);
      expect((await bench.command(0x13, words(0, capacity + 1, 0, 0))).result).not.toBe(0);
      expect((await bench.command(0xd2, words(capacity, 1, 0x1000, 64))).result).not.toBe(0);
    }
  });

  test('SPI_SET_PARAMS makes the chip smaller, never larger', async () => {
    const bench = await stub();
    await bench.ok(bench.command(0x0b, words(0, 0x100000, 0x10000, 0x1000, 0x100, 0xffff)));
    expect((await begin(bench, 0x1000, 0x100000)).result).toBe(0xc400);
    await bench.ok(begin(bench, 0x1000, 0xff000));
    await bench.ok(bench.command(0x0b, words(0, 0x10000000, 0x10000, 0x1000, 0x100, 0xffff)));
    expect((await begin(bench, 0x1000, 0x400000)).result).toBe(0xc400);
    expect((await bench.command(0x0b, new Uint8Array(20))).result).toBe(0xc000);
  });
});

describe('reading', () => {
  test('row 38: one frame per acknowledgement, then the MD5', async () => {
    const bench = await stub();
    const data = noise(0x3000);
    bench.chip.load(0x5000, data);
    expectBytes(await bench.readFlash(0x5000, 0x3000), data);
    expectBytes(await bench.readFlash(0x5001, 0x2345), data.subarray(1, 0x2346));
    expectBytes(await bench.readFlash(0x5000, 1000, 64), data.subarray(0, 1000));
    expectBytes(await bench.readFlash(0x5000, 0), new Uint8Array(0));
  });

  test('row 39: without acknowledgement nothing more comes; a reset helps', async () => {
    const bench = await stub();
    await bench.send(slipFrame(Buffer.concat([Buffer.from('00d2100000000000', 'hex'), words(0, 0x3000, 0x1000, 64)])));
    expect(bench.take().length).toBe(2);
    await bench.send(new Uint8Array(100));
    expect(bench.take()).toEqual([]);
    bench.restart();
    expect(await bench.register(0x40001000)).toBe(0xfff0c101);
  });

  test('a frame that is no acknowledgement ends the transfer, with the MD5 of what was sent', async () => {
    const bench = await stub();
    const data = noise(0x1000);
    bench.chip.load(0, data);
    for (const frame of [new Uint8Array(44), words(0x5000)]) {
      await bench.send(
        slipFrame(Buffer.concat([Buffer.from('00d2100000000000', 'hex'), words(0, 0x3000, 0x1000, 64)])),
      );
      bench.take();
      await bench.send(slipFrame(frame));
      expect(bench.take().map(hex)).toEqual([md5(data)]);
      await bench.register(0x40001000);
    }
  });

  test('an acknowledgement of less than was sent does not bring more', async () => {
    const bench = await stub();
    await bench.send(slipFrame(Buffer.concat([Buffer.from('00d2100000000000', 'hex'), words(0, 0x3000, 0x1000, 64)])));
    bench.take();
    await bench.send(slipFrame(words(0xfff)));
    expect(bench.take()).toEqual([]);
    await bench.send(slipFrame(words(0x1000)));
    expect(bench.take().length).toBe(1);
  });

  test('row 40: C0 and DB in the data, both ways', async () => {
    const bench = await stub();
    const data = Uint8Array.from({ length: 0x1000 }, (_, i) => [0xc0, 0xdb, 0xdc, 0xdd, i & 0xff][i % 5]!);
    await bench.ok(begin(bench, data.length, 0));
    await bench.ok(bench.block(0x03, 0, data));
    await bench.ok(bench.command(0x04, words(1)));
    expectBytes(await bench.readFlash(0, data.length), data);
  });

  test('packets of no size, or of too much', async () => {
    const bench = await stub();
    expect((await bench.command(0xd2, words(0, 0x1000, 0, 64))).result).toBe(0xc200);
    expect((await bench.command(0xd2, words(0, 0x1000, 0x4001, 64))).result).toBe(0xc200);
  });

  test('reading faults: the transfer ends early, the MD5 fails', async () => {
    const bench = await stub();
    bench.chip.faults = {
      decide: ({ kind, address }) => (kind === 'read' && address >= 0x1000 ? { do: 'fail' } : undefined),
    };
    expect((await bench.command(0x13, words(0, 0x2000, 0, 0))).result).toBe(0x0100);
    await expect(bench.readFlash(0, 0x2000)).rejects.toThrow();
    bench.chip.faults = undefined;
    expect(await bench.register(0x40001000)).toBe(0xfff0c101);
  });

  test('the MD5 of nothing', async () => {
    const bench = await stub();
    const { data } = await bench.ok(bench.command(0x13, words(0x1234, 0, 0, 0)));
    expect(hex(data)).toBe('d41d8cd98f00b204e9800998ecf8427e');
  });
});

describe('RAM in the stub', () => {
  test('a program of which a part is missing is not started', async () => {
    const bench = await stub();
    await bench.ok(bench.command(0x05, words(0x100, 1, 0x1800, 0x40100000)));
    await bench.ok(bench.block(0x07, 0, noise(0x80)));
    expect((await bench.command(0x06, words(0, 0x40100000))).result).toBe(0x0100);
    expect(bench.end).toBeUndefined();
    await bench.ok(bench.block(0x07, 0, noise(0x100)));
    await bench.ok(bench.command(0x06, words(0, 0x40100000)));
    expect(bench.end).toEqual({ do: 'run-ram', entry: 0x40100000 });
  });

  test('another stub may be uploaded over it', async () => {
    const bench = await stub();
    await bench.startStub(NEW);
    expect((await bench.command(0x14)).result).toBe(0xc300);
  });

  test('wrong blocks', async () => {
    const bench = await stub();
    expect((await bench.command(0x05, words(0x100, 1, 0x1800, 0))).result).toBe(0x0100);
    await bench.ok(bench.command(0x05, words(0x100, 1, 0x1800, 0x40100000)));
    expect((await bench.block(0x07, 0, noise(0x101))).result).toBe(0xc900);
    expect((await bench.block(0x07, 0, noise(0x100), 0)).result).toBe(0xc100);
  });
});
