/** A chip with the real flasher stub on its executed CPU, and a host that talks to it in memory. Source: spec chapter 05 §4, §8. */
import { deflateSync } from 'node:zlib';
import type { Lx106, Lx106Options } from '../../assembly/host/lx106.ts';
import { CpuSocket } from '../../eboot/native/native-machine.ts';
import { type StubEnd, StubMachine } from '../../eboot/native/stub-machine.ts';
import { Ram } from '../../eboot/ram.ts';
import * as commands from '../../ota-services/rom-loader/commands.ts';
import { checksum, encodeRequest, SYNC_DATA, word, wordBytes } from '../../ota-services/rom-loader/packets.ts';
import { SlipDecoder, slipFrame } from '../../ota-services/rom-loader/slip.ts';
import { esptoolStub } from './esptool-stub.ts';
import { makeChip, type TestChip } from './flash.ts';

const BLOCK = 0x4000;
const FRAME_LIMIT = 0x5000;

export interface Reply {
  readonly command: number;
  readonly value: number;
  /** Without the two status bytes. */
  readonly data: Uint8Array;
  readonly status: number;
}

export class StubHost {
  readonly chip: TestChip;
  /** Everything that came back, as frames. */
  readonly frames: Uint8Array[] = [];
  /** Rates that the stub chose. */
  readonly rates: number[] = [];
  readonly ended: Promise<StubEnd>;
  private readonly machine: StubMachine;
  private wakeStub: (() => void) | undefined;
  private wakeHost: (() => void) | undefined;

  constructor(createCpu: (options: Lx106Options) => Lx106, capacity = 0x100000) {
    this.chip = makeChip({ capacity });
    const stub = esptoolStub();
    const ram = new Ram();
    for (const { address, data } of stub.segments) ram.view(address, data.length).set(data);
    const decoder = new SlipDecoder(FRAME_LIMIT, (frame) => {
      this.frames.push(frame);
      this.wakeHost?.();
    });
    this.machine = new StubMachine({
      socket: new CpuSocket(createCpu),
      ram,
      chip: this.chip.chip,
      clock: this.chip.clock,
      flashId: 0x1440ef,
      fixed: new Map([[0x3ff00050, 0x12345678]]),
      baud: 115_200,
      transmit: (bytes) => decoder.push(bytes),
      setBaud: (rate) => this.rates.push(rate),
      idle: () =>
        new Promise((resolve) => {
          this.wakeStub = resolve;
        }),
      breathe: () => new Promise((resolve) => setImmediate(resolve)),
    });
    this.ended = this.machine.run(stub.entry);
  }

  send(bytes: Uint8Array): void {
    this.machine.receive(bytes);
    this.wakeStub?.();
  }

  /** The next frame, as it is. */
  async frame(): Promise<Uint8Array> {
    while (this.frames.length === 0) {
      await new Promise<void>((resolve) => {
        this.wakeHost = resolve;
      });
    }
    return this.frames.shift()!;
  }

  async command(command: number, data: Uint8Array = new Uint8Array(0), sum = 0): Promise<Reply> {
    this.send(encodeRequest(command, data, sum));
    const frame = await this.frame();
    const body = frame.subarray(8);
    if (frame[0] !== 1 || frame[1] !== command) throw new Error(`reply to 0x${frame[1]?.toString(16)}: ${frame}`);
    return { command, value: word(frame, 4), data: body.slice(0, -2), status: body.at(-2)! };
  }

  words(command: number, ...values: number[]): Promise<Reply> {
    return this.command(command, Buffer.concat(values.map(wordBytes)));
  }

  /** SYNC, whose eight replies a real host waits for. */
  async sync(): Promise<Reply> {
    const reply = await this.command(commands.SYNC, SYNC_DATA);
    return reply;
  }

  async block(command: number, sequence: number, bytes: Uint8Array): Promise<Reply> {
    const head = Buffer.concat([bytes.length, sequence, 0, 0].map(wordBytes));
    return await this.command(command, Buffer.concat([head, bytes]), checksum(bytes));
  }

  /** FLASH_BEGIN, the blocks, FLASH_END(stay). */
  async write(address: number, bytes: Uint8Array): Promise<number[]> {
    const count = Math.ceil(bytes.length / BLOCK);
    const statuses = [(await this.words(commands.FLASH_BEGIN, bytes.length, count, BLOCK, address, 0)).status];
    for (let i = 0; i < count; i++) {
      const block = new Uint8Array(BLOCK).fill(0xff);
      block.set(bytes.subarray(i * BLOCK, (i + 1) * BLOCK));
      statuses.push((await this.block(commands.FLASH_DATA, i, block)).status);
    }
    return statuses;
  }

  /** The same with a zlib stream. */
  async writeDeflated(address: number, bytes: Uint8Array): Promise<number[]> {
    const packed = deflateSync(bytes, { level: 9 });
    const count = Math.ceil(packed.length / BLOCK);
    const statuses = [(await this.words(commands.FLASH_DEFL_BEGIN, bytes.length, count, BLOCK, address, 0)).status];
    for (let i = 0; i < count; i++) {
      statuses.push(
        (await this.block(commands.FLASH_DEFL_DATA, i, packed.subarray(i * BLOCK, (i + 1) * BLOCK))).status,
      );
    }
    return statuses;
  }

  /** READ_FLASH with its acknowledgements; the bytes, and the MD5 frame that ends it. */
  async read(address: number, length: number): Promise<{ bytes: Uint8Array; md5: Uint8Array }> {
    const { status } = await this.words(commands.READ_FLASH, address, length, 0x1000, 64);
    if (status !== 0) throw new Error(`READ_FLASH: status ${status}`);
    const parts: Uint8Array[] = [];
    let total = 0;
    while (total < length) {
      const frame = await this.frame();
      parts.push(frame);
      total += frame.length;
      this.send(slipFrame(wordBytes(total)));
    }
    return { bytes: Buffer.concat(parts), md5: await this.frame() };
  }
}
