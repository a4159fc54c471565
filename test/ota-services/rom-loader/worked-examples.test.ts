/** The byte sequences of spec chapter 05 §11, in their order, as they go over the wire. */
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { checksum } from '../../../ota-services/rom-loader/packets.ts';
import { slipFrame } from '../../../ota-services/rom-loader/slip.ts';
import { expectBytes, nodeMd5 } from '../../support/flash.ts';
import { bytes, hex, LoaderBench, noise, padded, words } from '../../support/loader-bench.ts';

/** One exchange: what the host sends, what comes back, how often. `undefined`: any success under the same command. */
type Step = readonly [request: string, reply?: string, times?: number];

const OK_TAIL = '00000000' + '0000';

async function replay(bench: LoaderBench, steps: readonly Step[]): Promise<void> {
  for (const [request, reply, times = 1] of steps) {
    const sent = bytes(request);
    const expected = reply === undefined ? `01${hex(sent.subarray(1, 2))}0200${OK_TAIL}` : hex(bytes(reply));
    const came = await bench.exchange(sent);
    expect(came.map(hex), `after ${request}`).toEqual(new Array<string>(times).fill(expected));
  }
}

const SYNC = `00 08 24 00 00 00 00 00 07 07 12 20 ${'55 '.repeat(32)}`;
const read = (address: string): string => `00 0A 04 00 00 00 00 00 ${address}`;
const write = (address: string, value: string): string =>
  `00 09 10 00 00 00 00 00 ${address} ${value} FF FF FF FF 00 00 00 00`;
const command = (number: string, data: string): string => {
  const length = bytes(data).length;
  return `00 ${number} ${length.toString(16).padStart(2, '0')} 00 00 00 00 00 ${data}`;
};

describe('§11.1 SYNC and chip identification', () => {
  const otp3: Step = [read('5C 00 F0 3F'), '01 0A 02 00 7F CF 5C 00 00 00'];
  const otp2: Step = [read('58 00 F0 3F'), '01 0A 02 00 00 A0 00 00 00 00'];
  const otp1: Step = [read('54 00 F0 3F'), '01 0A 02 00 22 11 00 02 00 00'];
  const otp0: Step = [read('50 00 F0 3F'), '01 0A 02 00 00 00 00 33 00 00'];
  const identification: readonly Step[] = [
    [SYNC, '01 08 02 00 07 07 12 20 00 00', 8],
    ['00 14 00 00 00 00 00 00', '01 08 02 00 00 00 00 00 01 05'],
    [read('00 10 00 40'), '01 0A 02 00 01 C1 F0 FF 00 00'],
    ...[otp3, otp2, otp1, otp0, otp3, otp2, otp1, otp0],
    [read('14 00 00 60'), '01 0A 02 00 C3 01 00 00 00 00'],
    ...[otp0, otp1, otp3],
  ];

  test('5.3.1 and the ROM', () => replay(new LoaderBench(), identification));

  test('the same, a byte at a time', async () => {
    const bench = new LoaderBench();
    for (const [request, reply, times = 1] of identification) {
      for (const byte of slipFrame(bytes(request))) bench.loader.receive(Uint8Array.of(byte));
      await bench.send(new Uint8Array(0));
      expect(bench.take().map(hex)).toEqual(new Array<string>(times).fill(hex(bytes(reply!))));
    }
  });

  test('the same, cut in two at every byte', async () => {
    const stream = Buffer.concat(identification.map(([request]) => slipFrame(bytes(request))));
    const whole = new LoaderBench();
    await whole.send(stream);
    const expected = hex(whole.takeRaw());
    expect(expected.length).toBeGreaterThan(200);
    for (let at = 0; at <= stream.length; at++) {
      const bench = new LoaderBench();
      bench.loader.receive(stream.subarray(0, at));
      await bench.send(stream.subarray(at));
      expect(hex(bench.takeRaw()), `cut at ${at}`).toBe(expected);
    }
  });

  test('the first READ_REG on the wire', async () => {
    const bench = new LoaderBench();
    await bench.send(bytes('C0 00 0A 04 00 00 00 00 00 00 10 00 40 C0'));
    expect(hex(bench.takeRaw())).toBe(hex(bytes('C0 01 0A 02 00 01 C1 F0 FF 00 00 C0')));
  });
});

describe('§11.2 ROM "attach" and RDID', () => {
  const go = write('00 02 00 60', '00 00 04 00');
  const done: Step = [read('00 02 00 60'), '01 0A 02 00 00 00 00 00 00 00'];
  const attachAndId: readonly Step[] = [
    [command('02', '00 00 00 00 00 00 00 00 00 04 00 00 00 00 00 00')],
    [read('1C 02 00 60')],
    [read('24 02 00 60')],
    [write('20 02 00 60', '00 17 00 00')],
    [write('1C 02 00 60', '00 00 00 90')],
    [write('24 02 00 60', '9F 00 00 70')],
    [write('40 02 00 60', '00 00 00 00')],
    [go],
    done,
    [read('40 02 00 60'), '01 0A 02 00 EF 40 16 00 00 00'],
    [write('1C 02 00 60', '00 00 00 00')],
    [write('24 02 00 60', '00 00 00 00')],
  ];

  test('attaching erases nothing, and the id comes', async () => {
    const bench = new LoaderBench();
    await replay(bench, attachAndId);
    expect(bench.flashEvents).toEqual([]);
  });

  /** One transaction with a read phase; gives W0. */
  const transact = async (bench: LoaderBench, usr: number, usr1: number, opcode: number, address?: number) => {
    for (const [register, value] of [
      [0x60000220, usr1],
      [0x6000021c, usr],
      [0x60000224, 0x70000000 | opcode],
      ...(address === undefined ? [] : [[0x60000204, address] as const]),
      [0x60000240, 0],
      [0x60000200, 0x00040000],
    ] as const) {
      await bench.ok(bench.command(0x09, words(register, value, 0xffffffff, 0)));
    }
    expect(await bench.register(0x60000200)).toBe(0);
    return await bench.register(0x60000240);
  };

  test('4.7 reads SFDP at 0x10 with the address unshifted, 5.x shifted: not the mark of an XMC part', async () => {
    const bench = new LoaderBench();
    expect(await transact(bench, 0xf0000000, 0x5c000707, 0x5a, 0x10)).not.toBe(0x20);
    expect(await transact(bench, 0xf0000000, 0x5c000707, 0x5a, 0x1000)).not.toBe(0x20);
  });

  test('5.3 reads SFDP at 0, then resets the flash chip', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0, noise(4096));
    const before = bench.chip.peek(0, 0x2000);
    expect(await transact(bench, 0xf0000000, 0x5c001f07, 0x5a, 0)).toBe(0x50444653);
    await transact(bench, 0x80000000, 0, 0x66);
    await transact(bench, 0x80000000, 0, 0x99);
    expectBytes(bench.chip.peek(0, 0x2000), before);
  });
});

describe('§11.3 write_flash without stub', () => {
  test('a 2752-byte image at 0 and a 70001-byte file at 0x10000', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0, new Uint8Array(0x40000)); // old data everywhere
    const image = noise(2752, 3);
    image.set([0xe9, 0x03], 0);
    const file = noise(70001, 4);
    await replay(bench, [[command('02', '00 10 00 00 03 00 00 00 00 04 00 00 00 00 00 00')]]);
    expect(erasedSectors(bench)).toEqual([0, 1]);
    await sendBlocks(bench, image);
    await replay(bench, [[command('02', '00 90 00 00 45 00 00 00 00 04 00 00 00 00 01 00')]]);
    expect(erasedSectors(bench)).toEqual([0, 1, ...Array.from({ length: 18 }, (_, i) => 16 + i)]);
    expect(await sendBlocks(bench, file)).toBe(0x45);
    expectBytes(bench.chip.peek(0, 0x2000), padded(image, 0x2000));
    expectBytes(bench.chip.peek(0x10000, 18 * 0x1000), padded(file, 18 * 0x1000));
    expect(bench.end).toBeUndefined();
  });

  const sendBlocks = async (bench: LoaderBench, data: Uint8Array): Promise<number> => {
    const all = padded(data, 0x400);
    for (let at = 0; at < all.length; at += 0x400) {
      const block = all.subarray(at, at + 0x400);
      const sum = checksum(block).toString(16).padStart(2, '0');
      const head = `00 03 10 04 ${sum} 00 00 00 00 04 00 00`;
      const sequence = hex(words(at / 0x400));
      await replay(bench, [
        [`${head} ${sequence} 00 00 00 00 00 00 00 00 ${hex(block)}`, '01 03 02 00 00 00 00 00 00 00'],
      ]);
    }
    return all.length / 0x400;
  };

  const erasedSectors = (bench: LoaderBench): number[] =>
    bench.flashEvents.filter(({ type }) => type === 'flash.erase').map(({ address }) => address / 0x1000);
});

describe('§11.4 write_flash with stub, compressed', () => {
  const md5Reply = (data: Uint8Array): string => {
    const md5 = nodeMd5();
    md5.update(data);
    return `01 13 12 00 00 00 00 00 ${hex(md5.digest())} 00 00`;
  };
  const deflData = (sequence: number, block: Uint8Array): string => {
    const size = hex(Uint8Array.of((16 + block.length) & 0xff, (16 + block.length) >> 8));
    const sum = checksum(block).toString(16).padStart(2, '0');
    return `00 11 ${size} ${sum} 00 00 00 ${hex(words(block.length, sequence, 0, 0))} ${hex(block)}`;
  };
  const setParams: Step = [command('0B', '00 00 00 00 00 00 40 00 00 00 01 00 00 10 00 00 00 01 00 00 FF FF 00 00')];

  test('5.2 and 5.3: 20 bytes to begin, an end for every file, before its MD5', async () => {
    const bench = new LoaderBench();
    await bench.startStub();
    const image = Buffer.concat([noise(1900, 8), Buffer.alloc(852, 0xff)]); // 0xAC0 bytes
    const packed = deflateSync(image, { level: 9 });
    const file = noise(31000, 9);
    const packedFile = deflateSync(file, { level: 9 });
    expect(packedFile.length).toBeGreaterThan(0x4000);
    await replay(bench, [
      setParams,
      [command('10', 'C0 0A 00 00 01 00 00 00 00 40 00 00 00 00 00 00 00 00 00 00')],
      [deflData(0, packed)],
      [command('12', '01 00 00 00')],
      [command('13', '00 00 00 00 C0 0A 00 00 00 00 00 00 00 00 00 00'), md5Reply(image)],
      [command('10', hex(words(file.length, 2, 0x4000, 0x10000, 0)))],
      [deflData(0, packedFile.subarray(0, 0x4000))],
      [deflData(1, packedFile.subarray(0x4000))],
      [command('12', '01 00 00 00')],
      [command('13', hex(words(0x10000, file.length, 0, 0))), md5Reply(file)],
      [command('02', hex(words(0, 0, 0x4000, 0, 0)))],
      [command('04', '00 00 00 00')],
    ]);
    expect(bench.end).toEqual({ do: 'reset' });
    expectBytes(bench.chip.peek(0, image.length), image);
    expectBytes(bench.chip.peek(0x10000, file.length), file);
  });

  test('3.0, 4.7 and 5.0: 16 bytes to begin, one end after the last file', async () => {
    const bench = new LoaderBench();
    await bench.startStub();
    const one = noise(0xac0, 8);
    const two = noise(5000, 9);
    await replay(bench, [
      setParams,
      [command('10', 'C0 0A 00 00 01 00 00 00 00 40 00 00 00 00 00 00')],
      [deflData(0, deflateSync(one))],
      [command('13', '00 00 00 00 C0 0A 00 00 00 00 00 00 00 00 00 00'), md5Reply(one)],
      [command('10', hex(words(two.length, 1, 0x4000, 0x10000)))],
      [deflData(0, deflateSync(two))],
      [command('13', hex(words(0x10000, two.length, 0, 0))), md5Reply(two)],
      [command('02', hex(words(0, 0, 0x4000, 0)))],
      [command('12', '01 00 00 00')],
    ]);
    expect(bench.end).toBeUndefined();
    expect(bench.loader.dialect).toBe('stub');
  });

  test('uncompressed, with a baud change right after OHAI, and everything erased first', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0x300000, noise(1000));
    await bench.startStub();
    await replay(bench, [[command('0F', '00 08 07 00 00 C2 01 00')]]);
    expect(bench.bauds).toEqual([460800]);
    await replay(bench, [setParams, ['00 D0 00 00 00 00 00 00']]);
    expect(bench.chip.store.isBlank(0, 0x400000)).toBe(true);
    const file = noise(0x4800, 12);
    await replay(bench, [[command('02', hex(words(file.length, 2, 0x4000, 0x1000)))]]);
    for (const sequence of [0, 1]) {
      const block = padded(file.subarray(sequence * 0x4000), 0x4000).subarray(0, 0x4000);
      await bench.ok(bench.block(0x03, sequence, block));
    }
    await replay(bench, [[command('04', '01 00 00 00')]]);
    expectBytes(bench.chip.peek(0x1000, file.length), file);
    expect(bench.chip.store.isBlank(0x1000 + file.length, 0x4000)).toBe(true);
  });
});

describe('§11.5 other commands', () => {
  test('read_flash: 3 frames, each after the acknowledgement of the one before, then the MD5', async () => {
    const bench = new LoaderBench();
    const data = noise(0x3000, 77);
    bench.chip.load(0x10000, data);
    await bench.startStub();
    const frame = (at: number): string => hex(slipFrame(data.subarray(at, at + 0x1000)));
    bench.takeRaw();
    await bench.send(slipFrame(bytes(command('D2', '00 00 01 00 00 30 00 00 00 10 00 00 40 00 00 00'))));
    expect(hex(bench.takeRaw())).toBe(hex(slipFrame(bytes('01 D2 02 00 00 00 00 00 00 00'))) + frame(0));
    await bench.send(bytes('C0 00 10 00 00 C0'));
    expect(hex(bench.takeRaw())).toBe(frame(0x1000));
    await bench.send(bytes('C0 00 20 00 00 C0'));
    expect(hex(bench.takeRaw())).toBe(frame(0x2000));
    await bench.send(bytes('C0 00 30 00 00 C0'));
    const md5 = nodeMd5();
    md5.update(data);
    expect(hex(bench.takeRaw())).toBe(hex(slipFrame(md5.digest())));
    await replay(bench, [[SYNC, '01 08 02 00 00 00 00 00 00 00', 8]]);
  });

  test('erase_region and erase_flash', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0, new Uint8Array(0x400000));
    await bench.startStub();
    await replay(bench, [[command('D1', '00 10 01 00 00 20 00 00')]]);
    expect(bench.chip.store.isBlank(0x11000, 0x2000)).toBe(true);
    expect(bench.flashEvents.map(({ address }) => address)).toEqual([0x11000, 0x12000]);
    await replay(bench, [['00 D0 00 00 00 00 00 00']]);
    expect(bench.chip.store.isBlank(0, 0x400000)).toBe(true);
  });

  test('run and soft_reset to the ROM', async () => {
    const bench = new LoaderBench();
    await replay(bench, [
      [command('02', '00 00 00 00 00 00 00 00 00 04 00 00 00 00 00 00')],
      [command('04', '01 00 00 00')],
    ]);
    expect(bench.end).toEqual({ do: 'run-flash' });
  });

  test('soft_reset to the stub has no reply', async () => {
    const bench = new LoaderBench();
    await bench.startStub();
    await replay(bench, [['00 D3 00 00 00 00 00 00', '', 0]]);
    expect(bench.end).toEqual({ do: 'run-flash' });
  });

  test('no_reset to the stub: back to the ROM', async () => {
    const bench = new LoaderBench();
    await bench.startStub();
    await replay(bench, [
      [command('02', '00 00 00 00 00 00 00 00 00 40 00 00 00 00 00 00')],
      [command('04', '00 00 00 00')],
    ]);
    expect(bench.end).toEqual({ do: 'reset' });
  });

  test('load_ram: no OHAI, the program runs', async () => {
    const bench = new LoaderBench();
    const program = noise(0x2100, 5);
    await bench.ok(bench.command(0x05, words(program.length, 2, 0x1800, 0x40100000)));
    await bench.ok(bench.block(0x07, 0, program.subarray(0, 0x1800)));
    await bench.ok(bench.block(0x07, 1, program.subarray(0x1800)));
    expectBytes(bench.ram.read!(0x40100000, program.length)!, program);
    await replay(bench, [[command('06', '00 00 00 00 94 02 10 40')]]);
    expect(bench.end).toEqual({ do: 'run-ram', entry: 0x40100294 });
  });
});
