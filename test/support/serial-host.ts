/** A host on a device's serial port, in this process: esptool's protocol by hand, in virtual time. */
import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import type { Device, SerialConnection } from '../../emulator/index.ts';
import * as command from '../../ota-services/rom-loader/commands.ts';
import { checksum, encodeRequest, SYNC_DATA, wordBytes } from '../../ota-services/rom-loader/packets.ts';
import { SlipDecoder, slipFrame } from '../../ota-services/rom-loader/slip.ts';

const STEP_US = 1000;
const PATIENCE_US = 3_000_000;
/** Where the stubs of esptool go: spec chapter 05 §8.1. */
const STUB_ADDRESS = 0x4010e000;

export const words = (...values: number[]): Uint8Array => Buffer.concat(values.map((value) => wordBytes(value)));

export interface Reply {
  readonly command: number;
  readonly value: number;
  readonly data: Uint8Array;
  /** `00 00` for success. */
  readonly status: string;
}

let hosts = 0;

export class LabHost {
  /** Everything the device sent since the last {@link LabHost.forget}, latin1. */
  text = '';
  readonly frames: Uint8Array[] = [];
  readonly connection: SerialConnection;
  private decoder = this.newDecoder();

  constructor(
    readonly device: Device,
    options: { lines?: boolean; name?: string } = {},
  ) {
    const connection = device.serial.connect({
      peer: options.name ?? `host${hosts++}`,
      lines: options.lines ?? false,
      write: (bytes) => {
        this.text += Buffer.from(bytes).toString('latin1');
        this.decoder.push(bytes);
      },
    });
    if (!connection) throw new Error('the serial port is full');
    this.connection = connection;
  }

  /** Flushes the input buffer, as hosts do before each attempt. */
  forget(): void {
    this.text = '';
    this.frames.length = 0;
    this.decoder = this.newDecoder();
  }

  send(bytes: Uint8Array): void {
    this.connection.receive(bytes);
  }

  /** The next frame; undefined when none comes within three seconds. */
  async frame(patienceUs = PATIENCE_US): Promise<Uint8Array | undefined> {
    for (let spent = 0; this.frames.length === 0 && spent < patienceUs; spent += STEP_US) {
      await this.device.advance(STEP_US);
    }
    return this.frames.shift();
  }

  /** One request and its reply. */
  async request(code: number, data: Uint8Array = new Uint8Array(0), sum = 0): Promise<Reply | undefined> {
    this.send(encodeRequest(code, data, sum));
    const frame = await this.frame();
    if (!frame) return undefined;
    const view = new DataView(frame.buffer, frame.byteOffset);
    return {
      command: frame[1]!,
      value: view.getUint32(4, true),
      data: frame.slice(8, -2),
      status: Buffer.from(frame.slice(-2)).toString('hex'),
    };
  }

  /** SYNC; the values of the eight replies. */
  async sync(): Promise<number[]> {
    this.forget();
    this.send(encodeRequest(command.SYNC, SYNC_DATA));
    const values: number[] = [];
    for (let i = 0; i < 8; i++) {
      const frame = await this.frame(100_000);
      if (!frame) break;
      values.push(new DataView(frame.buffer, frame.byteOffset).getUint32(4, true));
    }
    return values;
  }

  async block(code: number, sequence: number, bytes: Uint8Array): Promise<string | undefined> {
    const data = Buffer.concat([words(bytes.length, sequence, 0, 0), bytes]);
    return (await this.request(code, data, checksum(bytes)))?.status;
  }

  /** Puts something where stubs go and starts it; the emulator does not look at the code. */
  async startStub(): Promise<void> {
    const code = new Uint8Array(64);
    await this.request(command.MEM_BEGIN, words(code.length, 1, 0x1800, STUB_ADDRESS));
    await this.block(command.MEM_DATA, 0, code);
    await this.request(command.MEM_END, words(0, STUB_ADDRESS + 4));
    const hello = Buffer.from((await this.frame()) ?? []).toString();
    if (hello !== 'OHAI') throw new Error(`the stub says "${hello}"`);
  }

  /** As `write_flash --no-stub` does: the erase size for the ROM's quirk, blocks of 0x400. */
  async writeByRom(offset: number, file: Uint8Array, blocks = Number.POSITIVE_INFINITY): Promise<void> {
    const sectors = Math.ceil(file.length / 0x1000);
    const head = Math.min(16 - (Math.floor(offset / 0x1000) % 16), sectors);
    const erase = sectors < 2 * head ? Math.ceil(sectors / 2) : sectors - head;
    const count = Math.ceil(file.length / 0x400);
    this.check(await this.request(command.FLASH_BEGIN, words(erase * 0x1000, count, 0x400, offset)));
    for (let i = 0; i < Math.min(count, blocks); i++) {
      const bytes = new Uint8Array(0x400).fill(0xff);
      bytes.set(file.subarray(i * 0x400, (i + 1) * 0x400));
      const status = await this.block(command.FLASH_DATA, i, bytes);
      if (status !== '0000') throw new Error(`block ${i}: ${status}`);
    }
  }

  /** As `write_flash` with the stub does: compressed, ended without leaving, verified by MD5. */
  async writeByStub(offset: number, file: Uint8Array): Promise<void> {
    const packed = deflateSync(file, { level: 9 });
    const count = Math.ceil(packed.length / 0x4000);
    this.check(await this.request(command.FLASH_DEFL_BEGIN, words(file.length, count, 0x4000, offset)));
    for (let i = 0; i < count; i++) {
      const status = await this.block(command.FLASH_DEFL_DATA, i, packed.subarray(i * 0x4000, (i + 1) * 0x4000));
      if (status !== '0000') throw new Error(`block ${i}: ${status}`);
    }
    const md5 = await this.request(command.SPI_FLASH_MD5, words(offset, file.length, 0, 0));
    const wanted = createHash('md5').update(file).digest('hex');
    if (Buffer.from(md5?.data ?? []).toString('hex') !== wanted) throw new Error('MD5 of file does not match');
  }

  private check(reply: Reply | undefined): void {
    if (reply?.status !== '0000') throw new Error(`the loader refused: ${reply?.status ?? 'no reply'}`);
  }

  private newDecoder(): SlipDecoder {
    return new SlipDecoder(0x10000, (frame) => this.frames.push(frame));
  }
}

/** A raw frame of a host, for acknowledgements. */
export const rawFrame = (payload: Uint8Array): Uint8Array => slipFrame(payload);
