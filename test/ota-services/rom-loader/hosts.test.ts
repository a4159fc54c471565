/**
 * Hosts of each esptool generation, by the order of commands that spec chapter 05 §11 and §12 record for them: what they
 * send, and what they need to see. The real tools are run elsewhere.
 */
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { expectBytes, nodeMd5 } from '../../support/flash.ts';
import { hex, LoaderBench, noise, padded, words } from '../../support/loader-bench.ts';

interface Host {
  readonly name: string;
  readonly securityInfo: boolean;
  /** Code, data and entry of its stub; the ROM without. */
  readonly stub?: { readonly text: readonly [size: number, address: number]; readonly data: readonly [number, number] };
  /** The fifth word of *_BEGIN. */
  readonly flagWord: boolean;
  readonly endPerFile: boolean;
  /** SFDP reads (address register, bits) and whether the flash chip is reset. */
  readonly sfdp: readonly (readonly [address: number, bits: number])[];
  readonly flashReset: boolean;
  /** Offsets are rounded down to sectors, and the file gets a head of 0xFF. */
  readonly alignsOffsets: boolean;
}

const SHIFTED: readonly [number, number] = [0x1000, 8];
const hosts: readonly Host[] = [
  {
    name: '2.8',
    securityInfo: false,
    flagWord: false,
    endPerFile: false,
    sfdp: [],
    flashReset: false,
    alignsOffsets: false,
  },
  {
    name: '3.0',
    securityInfo: false,
    stub: { text: [8104, 0x4010e000], data: [768, 0x3fffaca8] },
    flagWord: false,
    endPerFile: false,
    sfdp: [],
    flashReset: false,
    alignsOffsets: false,
  },
  {
    name: '4.7',
    securityInfo: true,
    stub: { text: [7808, 0x4010d000], data: [904, 0x3fffaca8] },
    flagWord: false,
    endPerFile: false,
    sfdp: [[0x10, 8]],
    flashReset: false,
    alignsOffsets: false,
  },
  {
    name: '5.0',
    securityInfo: true,
    stub: { text: [8248, 0x4010d000], data: [768, 0x3fffaca8] },
    flagWord: false,
    endPerFile: false,
    sfdp: [SHIFTED],
    flashReset: true,
    alignsOffsets: true,
  },
  {
    name: '5.2',
    securityInfo: true,
    stub: { text: [8276, 0x4010d000], data: [768, 0x3fffacac] },
    flagWord: true,
    endPerFile: true,
    sfdp: [SHIFTED],
    flashReset: true,
    alignsOffsets: true,
  },
  {
    name: '5.3',
    securityInfo: true,
    stub: { text: [13740, 0x4010c500], data: [932, 0x3fffae68] },
    flagWord: true,
    endPerFile: true,
    sfdp: [SHIFTED, [0, 32]],
    flashReset: true,
    alignsOffsets: true,
  },
];

const SYNC_DATA = Uint8Array.of(0x07, 0x07, 0x12, 0x20, ...new Array<number>(32).fill(0x55));

/** One session of one host. */
class Session {
  isStub = false;

  constructor(
    private readonly host: Host,
    readonly bench: LoaderBench,
  ) {}

  async connect(): Promise<void> {
    const { bench, host } = this;
    const replies = await bench.exchange(Buffer.concat([Buffer.from('0008240000000000', 'hex'), SYNC_DATA]));
    expect(replies.length).toBe(8);
    this.isStub = replies.every((reply) => hex(reply.subarray(4, 8)) === '00000000');
    if (host.securityInfo && !this.isStub) {
      const { command, result } = await bench.command(0x14);
      // What a host takes for "this chip does not know the command".
      expect([command !== 0x14, result]).toEqual([true, 0x0105]);
    }
    expect(await bench.register(0x40001000)).toBe(0xfff0c101);
    const divider = await bench.register(0x60000014);
    expect(Math.round((115200 * divider) / 2e6)).toBe(26);
    if (host.stub && !this.isStub) await this.uploadStub(host.stub);
  }

  private async uploadStub({ text, data }: NonNullable<Host['stub']>): Promise<void> {
    const { bench } = this;
    for (const [size, address] of [text, data]) {
      await bench.ok(bench.command(0x05, words(size, Math.ceil(size / 0x1800), 0x1800, address)));
      const program = noise(size, size);
      for (let at = 0, i = 0; at < size; at += 0x1800, i++) {
        await bench.ok(bench.block(0x07, i, program.subarray(at, at + 0x1800)));
      }
    }
    const frames = await bench.exchange(Buffer.concat([Buffer.from('0006080000000000', 'hex'), words(0, text[1] + 4)]));
    expect(frames.map(hex)).toEqual(['01060200000000000000', hex(Buffer.from('OHAI'))]);
    this.isStub = true;
  }

  /** Attach, RDID, and the looks at the part that newer versions take. */
  async flashId(): Promise<number> {
    const { bench, host } = this;
    if (!this.isStub) await bench.ok(bench.command(0x02, words(0, 0, 0x400, 0)));
    const id = await this.spi(0x9f, 24);
    for (const [address, bits] of host.sfdp) expect(await this.spi(0x5a, bits, address)).not.toBe(0x20);
    if (host.flashReset) for (const opcode of [0x66, 0x99]) await this.spi(opcode, 0);
    return id;
  }

  private async spi(opcode: number, readBits: number, address?: number): Promise<number> {
    const { bench } = this;
    const usr = await bench.register(0x6000021c);
    const usr2 = await bench.register(0x60000224);
    const withAddress = address === undefined ? 0 : 0x60000000;
    const lengths = ((Math.max(1, readBits) - 1) << 8) | (address === undefined ? 0 : (23 << 26) | 7);
    const writes: [number, number][] = [
      [0x60000220, lengths],
      [0x6000021c, (0x80000000 | withAddress | (readBits > 0 ? 0x10000000 : 0)) >>> 0],
      [0x60000224, 0x70000000 | opcode],
      ...(address === undefined ? [] : ([[0x60000204, address]] as [number, number][])),
      [0x60000240, 0],
      [0x60000200, 0x40000],
    ];
    for (const [register, value] of writes) await bench.ok(bench.command(0x09, words(register, value, 0xffffffff, 0)));
    expect((await bench.register(0x60000200)) & 0x40000).toBe(0);
    const result = await bench.register(0x60000240);
    await bench.ok(bench.command(0x09, words(0x6000021c, usr, 0xffffffff, 0)));
    await bench.ok(bench.command(0x09, words(0x60000224, usr2, 0xffffffff, 0)));
    return result;
  }

  async write(files: readonly (readonly [offset: number, data: Uint8Array])[], compress: boolean): Promise<void> {
    const { bench, host } = this;
    if (this.isStub) {
      const capacity = bench.chip.capacityBytes;
      await bench.ok(bench.command(0x0b, words(0, capacity, 0x10000, 0x1000, 0x100, 0xffff)));
    }
    for (const [given, file] of files) {
      const head = host.alignsOffsets ? given % 0x1000 : 0;
      const data = padded(Buffer.concat([Buffer.alloc(head, 0xff), file]), 4);
      if (compress && this.isStub) await this.compressed(given - head, data);
      else await this.plain(given - head, data);
      if (this.isStub) await this.verify(given - head, data);
    }
    if (this.isStub && !host.endPerFile) {
      await bench.ok(bench.command(0x02, words(0, 0, 0x4000, 0)));
      await bench.ok(bench.command(compress ? 0x12 : 0x04, words(1)));
    }
  }

  private begin(command: number, size: number, blocks: number, blockSize: number, offset: number): Promise<unknown> {
    const flag = this.host.flagWord && this.isStub ? [0] : [];
    return this.bench.ok(this.bench.command(command, words(size, blocks, blockSize, offset, ...flag)));
  }

  private async plain(offset: number, data: Uint8Array): Promise<void> {
    const { bench, isStub, host } = this;
    const blockSize = isStub ? 0x4000 : 0x400;
    const blocks = Math.ceil(data.length / blockSize);
    await this.begin(0x02, isStub ? data.length : romEraseSize(offset, data.length), blocks, blockSize, offset);
    const all = padded(data, blockSize);
    for (let i = 0; i < blocks; i++) {
      await bench.ok(bench.block(0x03, i, all.subarray(i * blockSize, (i + 1) * blockSize)));
    }
    if (isStub && host.endPerFile) await bench.ok(bench.command(0x04, words(1)));
  }

  private async compressed(offset: number, data: Uint8Array): Promise<void> {
    const { bench, host } = this;
    const packed = deflateSync(data, { level: 9 });
    const blocks = Math.ceil(packed.length / 0x4000);
    await this.begin(0x10, data.length, blocks, 0x4000, offset);
    for (let i = 0; i < blocks; i++) {
      await bench.ok(bench.block(0x11, i, packed.subarray(i * 0x4000, (i + 1) * 0x4000)));
    }
    if (host.endPerFile) await bench.ok(bench.command(0x12, words(1)));
  }

  private async verify(offset: number, data: Uint8Array): Promise<void> {
    const md5 = nodeMd5();
    md5.update(data);
    const reply = await this.bench.ok(this.bench.command(0x13, words(offset, data.length, 0, 0)));
    expect(hex(reply.data)).toBe(hex(md5.digest()));
  }
}

function romEraseSize(offset: number, size: number): number {
  const n = Math.ceil(size / 0x1000);
  const h = Math.min(16 - (Math.floor(offset / 0x1000) % 16), n);
  return (n < 2 * h ? Math.ceil(n / 2) : n - h) * 0x1000;
}

describe.each(hosts)('esptool $name', (host) => {
  const ways = host.stub ? (['compressed', 'plain', 'without stub'] as const) : (['without stub'] as const);

  test.each(ways)('writes two files, %s, over old data', async (way) => {
    const bench = new LoaderBench();
    bench.chip.load(0, noise(0x60000, 31));
    const session = new Session(way === 'without stub' ? withoutStub(host) : host, bench);
    await session.connect();
    expect(await session.flashId()).toBe(0x1640ef);
    const image = noise(2751, 41);
    const file = Buffer.concat([noise(70_001, 42), Buffer.alloc(50_000, 0)]);
    await session.write(
      [
        [0, image],
        [0x10000, file],
      ],
      way === 'compressed',
    );
    expectBytes(bench.chip.peek(0, image.length), image);
    expectBytes(bench.chip.peek(0x10000, file.length), file);
    expect(bench.end).toBeUndefined();
  });

  test('writes to an offset inside a sector', async () => {
    const bench = new LoaderBench();
    bench.chip.load(0, noise(0x8000, 31));
    const session = new Session(host, bench);
    await session.connect();
    const file = noise(9001, 43);
    await session.write([[0x1003, file]], true);
    expectBytes(bench.chip.peek(0x1003, file.length), file);
  });

  test('connects a second time to what the first left', async () => {
    const bench = new LoaderBench();
    const first = new Session(host, bench);
    await first.connect();
    await first.write([[0x4000, noise(100)]], true);
    const second = new Session(host, bench);
    await second.connect();
    expect(second.isStub).toBe(host.stub !== undefined);
    await second.write([[0x8000, noise(5000, 4)]], true);
    expectBytes(bench.chip.peek(0x8000, 5000), noise(5000, 4));
  });
});

function withoutStub(host: Host): Host {
  const { stub: _, ...rest } = host;
  return rest;
}
