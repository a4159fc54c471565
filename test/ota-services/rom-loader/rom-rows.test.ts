/** Rows of spec chapter 05 §16 that the ROM dialect decides. What needs a device, a transport or a host is tested there. */
import { describe, expect, test } from 'vitest';
import { PowerLost } from '../../../flash/ports.ts';
import { encodeRequest } from '../../../ota-services/rom-loader/packets.ts';
import { romEraseSectors } from '../../../ota-services/rom-loader/rom-commands.ts';
import { expectBytes } from '../../support/flash.ts';
import { BenchRam, hex, LoaderBench, noise, padded, settled, words } from '../../support/loader-bench.ts';

const SYNC = Uint8Array.of(0x07, 0x07, 0x12, 0x20, ...new Array<number>(32).fill(0x55));
const BLOCK = 0x400;

/** What hosts ask for, to make up for the quirk. Source: spec chapter 05 §7.2. */
function hostEraseSize(offset: number, size: number): number {
  const n = Math.ceil(size / 0x1000);
  const h = Math.min(16 - (Math.floor(offset / 0x1000) % 16), n);
  return (n < 2 * h ? Math.ceil(n / 2) : n - h) * 0x1000;
}

async function writeRom(bench: LoaderBench, offset: number, data: Uint8Array): Promise<void> {
  const blocks = Math.ceil(data.length / BLOCK);
  await bench.ok(bench.command(0x02, words(hostEraseSize(offset, data.length), blocks, BLOCK, offset)));
  const all = padded(data, BLOCK);
  for (let i = 0; i < blocks; i++) await bench.ok(bench.block(0x03, i, all.subarray(i * BLOCK, (i + 1) * BLOCK)));
}

describe('ROM', () => {
  test('row 7: SYNC is answered eight times, with its first word as the value', async () => {
    const bench = new LoaderBench();
    const replies = await bench.exchange(Buffer.concat([Buffer.from('0008240000000000', 'hex'), SYNC]));
    expect(replies.map(hex)).toEqual(new Array(8).fill('01080200070712200000'));
  });

  test('row 9: a SYNC of the wrong length gets one error', async () => {
    const bench = new LoaderBench();
    expect((await bench.command(0x08, SYNC.subarray(1))).result).toBe(0x0105);
  });

  test('row 12: GET_SECURITY_INFO gets one error, under the number of the command before', async () => {
    const bench = new LoaderBench();
    expect(await bench.command(0x14)).toMatchObject({ command: 0, value: 0, result: 0x0105 });
    await bench.register(0x40001000);
    expect(await bench.command(0x14)).toMatchObject({ command: 0x0a, value: 0, result: 0x0105 });
    expect(await bench.command(0x14)).toMatchObject({ command: 0x0a, result: 0x0105 });
  });

  test('row 25: the commands of the stub are not there', async () => {
    const bench = new LoaderBench();
    for (const command of [0x0b, 0x0d, 0x0f, 0x10, 0x11, 0x12, 0x13, 0xd0, 0xd1, 0xd2, 0xd3, 0x00, 0x01, 0xff]) {
      expect((await bench.command(command, new Uint8Array(16))).result, `0x${command.toString(16)}`).toBe(0x0105);
    }
    expect(bench.flashEvents).toEqual([]);
  });

  test.each([
    [0, 100, 0x1000, 2],
    [0, 8192, 0x1000, 2],
    [0, 12288, 0x2000, 4],
    [0, 65536, 0x8000, 16],
    [0, 65537, 0x9000, 18],
    [0, 131072, 0x10000, 32],
    [0, 266704, 0x32000, 66],
    [0, 446352, 0x5d000, 109],
    [0x10000, 70004, 0x9000, 18],
    [0xf000, 4096, 0x1000, 2],
    [0xf000, 65536, 0xf000, 16],
    [0x200000, 1024000, 0xea000, 250],
  ])('erase quirk: 0x%x, %i bytes: 0x%x asked, %i sectors erased', async (offset, size, asked, erased) => {
    expect(hostEraseSize(offset, size)).toBe(asked);
    expect(romEraseSectors(offset, asked)).toBe(erased);
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x02, words(asked, 1, BLOCK, offset)));
    const expected = Array.from({ length: erased }, (_, i) => offset + i * 0x1000);
    expect(bench.flashEvents.map(({ type, address }) => [type, address])).toEqual(
      expected.map((address) => ['flash.erase', address]),
    );
  });

  test('row 19: an image of 65537 bytes over old data, with the 18th sector erased too', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0, new Uint8Array(0x20000).fill(0x11));
    const file = noise(65537);
    await writeRom(bench, 0, file);
    expectBytes(bench.chip.peek(0, 18 * 0x1000), padded(file, 18 * 0x1000));
    expectBytes(bench.chip.peek(18 * 0x1000, 0xe000), new Uint8Array(0xe000).fill(0x11));
  });

  test('row 20: 0x1000 asked at 0 erases sectors 0 and 1', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0, new Uint8Array(0x3000));
    await bench.ok(bench.command(0x02, words(0x1000, 1, BLOCK, 0)));
    expect(bench.chip.store.isBlank(0, 0x2000)).toBe(true);
    expectBytes(bench.chip.peek(0x2000, 0x1000), new Uint8Array(0x1000));
  });

  test('an erase is cut at the end of the chip', async () => {
    const bench = new LoaderBench({ capacity: 0x80000 });
    bench.chip.load(0, new Uint8Array(0x80000));
    await bench.ok(bench.command(0x02, words(0x8000, 1, BLOCK, 0x7f000)));
    expect(bench.flashEvents.map(({ address }) => address)).toEqual([0x7f000]);
  });

  test('invariant: a write with the compensation of hosts leaves the image, whatever was there', async () => {
    for (const [offset, size] of [
      [0, 1],
      [0x3000, 200_000],
      [0xf000, 4097],
      [0x1f000, 0x11000],
      [0x7f000, 0x1000],
    ] as const) {
      const bench = new LoaderBench({ capacity: 0x80000 });
      bench.chip.load(0, noise(0x80000, 99));
      const file = noise(size, size);
      await writeRom(bench, offset, file);
      expectBytes(bench.chip.peek(offset, size), file, `${size} bytes at ${offset}`);
    }
  });

  test('row 21: a wrong checksum is refused, and nothing written', async () => {
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x02, words(0x1000, 1, BLOCK, 0)));
    bench.flashEvents.length = 0;
    expect((await bench.block(0x03, 0, noise(BLOCK), 0x12)).result).toBe(0x0107);
    expect(bench.flashEvents).toEqual([]);
    expect(bench.chip.store.isBlank(0, 0x1000)).toBe(true);
  });

  test('row 22: a block that was refused comes again, and its number decides where it goes', async () => {
    const bench = new LoaderBench();
    const data = noise(3 * BLOCK);
    await bench.ok(bench.command(0x02, words(0x1000, 3, BLOCK, 0)));
    const piece = (i: number): Uint8Array => data.subarray(i * BLOCK, (i + 1) * BLOCK);
    await bench.ok(bench.block(0x03, 0, piece(0)));
    expect((await bench.block(0x03, 1, piece(1), 0)).result).toBe(0x0107);
    await bench.ok(bench.block(0x03, 1, piece(1)));
    await bench.ok(bench.block(0x03, 1, piece(1)));
    await bench.ok(bench.block(0x03, 2, piece(2)));
    expectBytes(bench.chip.peek(0, data.length), data);
  });

  test('row 24: a block that cannot be written says 01 08, each time', async () => {
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x02, words(0x1000, 2, BLOCK, 0)));
    bench.chip.faults = {
      decide: ({ kind, address }) => (kind === 'program' && address === 0x400 ? { do: 'fail' } : undefined),
    };
    await bench.ok(bench.block(0x03, 0, noise(BLOCK)));
    for (let i = 0; i < 3; i++) expect((await bench.block(0x03, 1, noise(BLOCK))).result).toBe(0x0108);
    bench.chip.faults = undefined;
    await bench.ok(bench.block(0x03, 1, noise(BLOCK)));
  });

  test('an erase that fails says so', async () => {
    const bench = new LoaderBench();
    bench.chip.faults = { decide: ({ kind }) => (kind === 'erase' ? { do: 'fail' } : undefined) };
    expect((await bench.command(0x02, words(0x1000, 2, BLOCK, 0))).result).toBe(0x0106);
  });

  test('writing only clears bits', async () => {
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x02, words(0, 1, BLOCK, 0x5000)));
    bench.chip.load(0x5000, new Uint8Array(BLOCK).fill(0x0f));
    await bench.ok(bench.block(0x03, 0, new Uint8Array(BLOCK).fill(0x35)));
    expectBytes(bench.chip.peek(0x5000, BLOCK), new Uint8Array(BLOCK).fill(0x05));
  });

  test('addresses past the chip: 01 08, nothing written and nothing erased', async () => {
    const bench = new LoaderBench({ capacity: 0x80000 });
    expect((await bench.command(0x02, words(0x1000, 1, BLOCK, 0x80000))).result).toBe(0x0108);
    expect((await bench.block(0x03, 0, noise(BLOCK))).result).toBe(0x0108);
    expect((await bench.command(0x02, words(0x1000, 1, BLOCK, 0xfffff000))).result).toBe(0x0108);
    await bench.ok(bench.command(0x02, words(0, 1, BLOCK, 0x7fc00)));
    await bench.ok(bench.block(0x03, 0, noise(BLOCK)));
    expect((await bench.block(0x03, 1, noise(BLOCK))).result).toBe(0x0108);
    expect((await bench.block(0x03, 0xffffffff, noise(BLOCK))).result).toBe(0x0108);
    expect(bench.flashEvents.every(({ address }) => address >= 0x7fc00)).toBe(true);
  });

  test('an offset inside a sector (4.7) erases from its sector on and writes where it says', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0, new Uint8Array(0x4000));
    const data = noise(BLOCK);
    await bench.ok(bench.command(0x02, words(0x1000, 1, BLOCK, 0x1003)));
    await bench.ok(bench.block(0x03, 0, data));
    expectBytes(bench.chip.peek(0x1003, BLOCK), data);
    expect(bench.chip.peek(0xfff, 2)).toEqual(Uint8Array.of(0, 0xff));
    expect(bench.chip.store.isBlank(0x1003 + BLOCK, 0x1bfd)).toBe(true);
  });

  test('lengths that are wrong: 01 05', async () => {
    const bench = new LoaderBench();
    for (const [command, length] of [
      [0x02, 12],
      [0x03, 15],
      [0x04, 0],
      [0x05, 12],
      [0x06, 4],
      [0x07, 8],
      [0x09, 0],
      [0x09, 17],
      [0x0a, 3],
    ] as const) {
      expect((await bench.command(command, new Uint8Array(length))).result, `0x${command.toString(16)}`).toBe(0x0105);
    }
    await bench.ok(bench.command(0x02, words(0, 1, BLOCK, 0)));
    const short = Buffer.concat([words(BLOCK, 0, 0, 0), new Uint8Array(10)]);
    expect((await bench.command(0x03, short)).result).toBe(0x0105);
  });

  test('data without a begin is refused', async () => {
    const bench = new LoaderBench();
    expect((await bench.block(0x03, 0, noise(BLOCK))).result).toBe(0x0106);
    expect((await bench.block(0x07, 0, noise(BLOCK))).result).toBe(0x0106);
  });

  test('row 26: a stub is known by where its code is, in every build', async () => {
    for (const [text, entry] of [
      [0x4010e000, 0x4010e004],
      [0x4010d000, 0x4010d004],
      [0x4010c500, 0x4010c504],
    ] as const) {
      const bench = new LoaderBench();
      await bench.ok(bench.command(0x05, words(0x2000, 2, 0x1800, text)));
      await bench.ok(bench.block(0x07, 0, noise(0x1800)));
      await bench.ok(bench.block(0x07, 1, noise(0x800)));
      await bench.ok(bench.command(0x05, words(768, 1, 0x1800, 0x3fffaca8)));
      await bench.ok(bench.block(0x07, 0, noise(768)));
      const frames = await bench.exchange(Buffer.concat([Buffer.from('0006080000000000', 'hex'), words(0, entry)]));
      expect(frames.map(hex)).toEqual(['01060200000000000000', '4f484149']);
      expect(bench.loader.dialect).toBe('stub');
      expect(bench.events.at(-1)).toEqual({ type: 'loader.start', dialect: 'stub' });
    }
  });

  test('a stub for a CPU that really runs it: no OHAI of ours', async () => {
    const bench = new LoaderBench({ stub: 'native' });
    await bench.ok(bench.command(0x05, words(0x100, 1, 0x1800, 0x4010e000)));
    await bench.ok(bench.block(0x07, 0, noise(0x100)));
    await bench.ok(bench.command(0x06, words(0, 0x4010e004)));
    expect(bench.end).toEqual({ do: 'run-ram', entry: 0x4010e004 });
  });

  test.each([
    ['row 28: its entry is a program’s', 0x40100000, 0x294, 0x40100100],
    ['nothing was uploaded there', 0x4010e000, 0x100, 0x4010e100],
    ['the entry is in data RAM', 0x3ffe8000, 0x100, 0x3ffe8000],
    ['a program reaches up to there', 0x40100000, 0x10000, 0x40100004],
  ])('no OHAI when %s', async (_, address, size, entry) => {
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x05, words(size, 1, 0x1800, address)));
    await bench.ok(bench.block(0x07, 0, noise(0x100)));
    await bench.ok(bench.command(0x06, words(0, entry)));
    expect(bench.end).toEqual({ do: 'run-ram', entry });
  });

  test('MEM_END with flag 1 stays, and forgets what was uploaded', async () => {
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x05, words(0x100, 1, 0x1800, 0x4010e000)));
    await bench.ok(bench.block(0x07, 0, noise(0x100)));
    await bench.ok(bench.command(0x06, words(1, 0)));
    expect(bench.end).toBeUndefined();
    await bench.ok(bench.command(0x06, words(0, 0x4010e004)));
    expect(bench.end).toEqual({ do: 'run-ram', entry: 0x4010e004 });
  });

  test('RAM: wrong addresses, wrong sizes, wrong checksums', async () => {
    const bench = new LoaderBench();
    const begin = async (size: number, address: number) =>
      (await bench.command(0x05, words(size, 1, 0x1800, address))).result;
    expect(await begin(4, 0x40000000)).toBe(0x010f);
    expect(await begin(4, 0x40110000)).toBe(0x010f);
    expect(await begin(4, 0x3ffe7fff)).toBe(0x010f);
    expect(await begin(0x10001, 0x40100000)).toBe(0x010e);
    expect(await begin(0xffffffff, 0x3ffe8000)).toBe(0x010e);
    expect(await begin(0x10, 0x40100000)).toBe(0);
    expect((await bench.block(0x07, 0, noise(0x11))).result).toBe(0x010e);
    expect((await bench.block(0x07, 1, noise(0x10))).result).toBe(0x010e);
    expect((await bench.block(0x07, 0, noise(0x10), 1)).result).toBe(0x0107);
    await bench.ok(bench.block(0x07, 0, noise(0x10)));
    const deaf = new LoaderBench({ ram: { write: () => false } });
    await deaf.ok(deaf.command(0x05, words(0x10, 1, 0x1800, 0x40100000)));
    expect((await deaf.block(0x07, 0, noise(0x10))).result).toBe(0x010f);
  });

  test('FLASH_END: 0 restarts, 1 boots the flash; both are answered first', async () => {
    for (const [value, end] of [
      [0, 'reset'],
      [1, 'run-flash'],
    ] as const) {
      const bench = new LoaderBench();
      await bench.ok(bench.command(0x04, words(value)));
      expect(bench.end).toEqual({ do: end });
      expect(bench.events.at(-1)).toEqual({ type: 'loader.end', dialect: 'rom', next: end });
    }
  });

  test('the fifth word of newer begin commands is no mistake (esptool-js sends it to the ROM)', async () => {
    const bench = new LoaderBench();
    await bench.ok(bench.command(0x02, words(0x1000, 1, 0x4000, 0, 0)));
    const data = noise(0x4000);
    await bench.ok(bench.block(0x03, 0, data.subarray(0, 0x1000)));
    expectBytes(bench.chip.peek(0, 0x1000), data.subarray(0, 0x1000));
  });

  test('what happened is told, command by command', async () => {
    const bench = new LoaderBench();
    await bench.register(0x40001000);
    await bench.command(0x14);
    await bench.block(0x03, 0, noise(4));
    expect(bench.events).toEqual([
      { type: 'loader.start', dialect: 'rom' },
      { type: 'loader.command', name: 'READ_REG', status: 0, error: 0 },
      { type: 'loader.command', name: 'GET_SECURITY_INFO', status: 1, error: 5 },
      { type: 'loader.command', name: 'FLASH_DATA', status: 1, error: 6 },
    ]);
  });

  test('commands that wait together: whoever shares the thread has a turn between each two, and can stop them', async () => {
    const turns: { go: () => void; stop: (why: Error) => void }[] = [];
    const bench = new LoaderBench({
      breathe: () => new Promise((go, stop) => void turns.push({ go, stop })),
    });
    const read = encodeRequest(0x0a, words(0x40001000));
    await bench.send(Buffer.concat([read, read, read, read]));
    expect([bench.take().length, turns.length]).toEqual([1, 1]);
    turns[0]!.go();
    await settled();
    expect([bench.take().length, turns.length]).toEqual([1, 2]);
    const stopped = new PowerLost('user');
    turns[1]!.stop(stopped);
    await settled();
    expect([bench.take().length, bench.failure]).toEqual([0, stopped]);
    // Nobody is kept waiting for a turn after the last one.
    const other = new LoaderBench({ breathe: () => new Promise(() => void turns.push(turns[0]!)) });
    await other.send(read);
    expect(turns.length).toBe(2);
  });

  test('RAM can be read back by READ_REG and changed by WRITE_REG', async () => {
    const ram = new BenchRam();
    const bench = new LoaderBench({ ram });
    await bench.ok(bench.command(0x09, words(0x3ffe8010, 0x11223344, 0xffff00ff, 0)));
    expect(await bench.register(0x3ffe8010)).toBe(0x11220044);
    expect(hex(ram.dram.subarray(0x10, 0x14))).toBe('44002211');
  });
});
