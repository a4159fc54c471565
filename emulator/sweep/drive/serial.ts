/**
 * A host on the serial port, as esptool: resets the chip into its loader by DTR and RTS, writes through the ROM or through its
 * stub, and lets it start. Source: spec chapter 05 §2.2, §5, §7–§8, §10.
 */
import { createHash } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { SECTOR_BYTES } from '../../../flash/geometry.ts';
import { resolveLayout } from '../../../flash/layouts.ts';
import * as command from '../../../ota-services/rom-loader/commands.ts';
import { checksum, encodeRequest, SYNC_DATA, wordBytes } from '../../../ota-services/rom-loader/packets.ts';
import { SlipDecoder } from '../../../ota-services/rom-loader/slip.ts';
import type { SerialConnection } from '../../serial/serial-port.ts';
import type { Drive, Peer } from './drive.ts';

/** Microseconds, as all below: how long the lines are held, and how long the ROM needs to be there. */
const LINES_US = 100_000;
const ROM_US = 50_000;
const SYNC_TRIES = 7;
const SYNC_US = 100_000;
/** For a reply; erasing a whole chip is in it. */
const REPLY_US = 60_000_000;
/** The longest frame that comes back. */
const FRAME_BYTES = 0x10000;
const ROM_BLOCK_BYTES = 0x400;
const STUB_BLOCK_BYTES = 0x4000;
const RAM_BLOCK_BYTES = 0x1800;
const SECTORS_PER_BLOCK = 16;
/** Where esptool's stubs go. */
const STUB_ADDRESS = 0x4010e000;
const GOOD = '0000';

/** Ends the work of a host; never leaves this file. */
class Trouble extends Error {}

export function serial(drive: Drive): Peer {
  const host = new Host(drive);
  host.run().catch((error: unknown) => {
    drive.fail(error instanceof Error ? error.message : String(error)); // a host's trouble, never an Interruption
  });
  return { close: () => host.close() };
}

class Host {
  private readonly connection: SerialConnection | undefined;
  private readonly frames: Uint8Array[] = [];
  private decoder = new SlipDecoder(FRAME_BYTES, (frame) => this.hear(frame));
  private wake: (() => void) | undefined;
  private closed = false;

  constructor(private readonly drive: Drive) {
    this.connection = drive.device.serial.connect({
      peer: 'drive',
      lines: true,
      write: (bytes) => this.decoder.push(bytes),
    });
  }

  async run(): Promise<void> {
    const { device, options } = this.drive;
    if (!device.isOn) throw new Trouble('the device is off');
    const layout = resolveLayout(device.layout, device.flash.chip.capacityBytes);
    const offset = options.target === 'fs' ? layout?.fsStart : 0;
    if (offset === undefined) throw new Trouble(`layout ${device.layout} has no file system`);
    await this.enterLoader();
    if (options.loader === 'stub') {
      await this.startStub();
      await this.writeByStub(offset, options.image);
    } else await this.writeByRom(offset, options.image);
    this.drive.written();
    this.setLines({ dtr: false, rts: true });
    await this.sleep(LINES_US);
    this.setLines({ dtr: false, rts: false });
    this.drive.peerDone();
  }

  close(): void {
    this.closed = true;
    this.connection?.close();
  }

  private async enterLoader(): Promise<void> {
    this.setLines({ dtr: false, rts: true });
    await this.sleep(LINES_US);
    this.setLines({ dtr: true, rts: false });
    await this.sleep(ROM_US);
    this.setLines({ dtr: false, rts: false });
    for (let tries = 0; tries < SYNC_TRIES; tries++) {
      this.frames.length = 0;
      this.send(encodeRequest(command.SYNC, SYNC_DATA));
      if (!(await this.frame(SYNC_US))) continue;
      // The ROM answers eight times.
      while (await this.frame(SYNC_US));
      return;
    }
    throw new Trouble('the loader does not answer');
  }

  /** Puts something where stubs go and starts it: what it is, nobody looks at. */
  private async startStub(): Promise<void> {
    const code = new Uint8Array(64);
    await this.demand('MEM_BEGIN', command.MEM_BEGIN, words(code.length, 1, RAM_BLOCK_BYTES, STUB_ADDRESS));
    await this.block(command.MEM_DATA, 0, code);
    await this.demand('MEM_END', command.MEM_END, words(0, STUB_ADDRESS + 4));
    const hello = await this.frame(REPLY_US);
    if (!hello || Buffer.from(hello).toString('latin1') !== 'OHAI') throw new Trouble('the stub does not start');
  }

  private async writeByRom(offset: number, file: Uint8Array): Promise<void> {
    const count = Math.ceil(file.length / ROM_BLOCK_BYTES);
    await this.demand(
      'FLASH_BEGIN',
      command.FLASH_BEGIN,
      words(romEraseBytes(offset, file.length), count, ROM_BLOCK_BYTES, offset),
    );
    for (let i = 0; i < count; i++) {
      const bytes = new Uint8Array(ROM_BLOCK_BYTES).fill(0xff);
      bytes.set(file.subarray(i * ROM_BLOCK_BYTES, (i + 1) * ROM_BLOCK_BYTES));
      await this.block(command.FLASH_DATA, i, bytes);
    }
  }

  private async writeByStub(offset: number, file: Uint8Array): Promise<void> {
    const packed = deflateSync(file, { level: 9 });
    const count = Math.ceil(packed.length / STUB_BLOCK_BYTES);
    await this.demand(
      'FLASH_DEFL_BEGIN',
      command.FLASH_DEFL_BEGIN,
      words(file.length, count, STUB_BLOCK_BYTES, offset),
    );
    for (let i = 0; i < count; i++) {
      await this.block(command.FLASH_DEFL_DATA, i, packed.subarray(i * STUB_BLOCK_BYTES, (i + 1) * STUB_BLOCK_BYTES));
    }
    const found = await this.demand('SPI_FLASH_MD5', command.SPI_FLASH_MD5, words(offset, file.length, 0, 0));
    const wanted = createHash('md5').update(file).digest('hex');
    if (Buffer.from(found).toString('hex') !== wanted) throw new Trouble('MD5 of file does not match data in flash');
  }

  private block(code: number, sequence: number, bytes: Uint8Array): Promise<Uint8Array> {
    const data = Buffer.concat([words(bytes.length, sequence, 0, 0), bytes]);
    return this.demand(`block ${sequence}`, code, data, checksum(bytes));
  }

  /** One request; the data of its reply. */
  private async demand(what: string, code: number, data: Uint8Array, sum = 0): Promise<Uint8Array> {
    this.send(encodeRequest(code, data, sum));
    const reply = await this.frame(REPLY_US);
    if (!reply) throw new Trouble(`${what}: the loader does not answer`);
    const status = Buffer.from(reply.subarray(-2)).toString('hex');
    if (status !== GOOD) throw new Trouble(`${what}: the loader answers ${status}`);
    return reply.subarray(8, -2);
  }

  private async frame(us: number): Promise<Uint8Array | undefined> {
    if (this.frames.length === 0) {
      const alarm = this.drive.network.clock.alarm(us, 'peer', () => this.wake?.());
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
      alarm.cancel();
    }
    this.checkOpen();
    return this.frames.shift();
  }

  private async sleep(us: number): Promise<void> {
    await new Promise<void>((resolve) => void this.drive.network.clock.alarm(us, 'peer', resolve));
    this.checkOpen();
  }

  private hear(frame: Uint8Array): void {
    this.frames.push(frame);
    this.wake?.();
  }

  private send(bytes: Uint8Array): void {
    this.open().receive(bytes);
  }

  private setLines(lines: { readonly dtr: boolean; readonly rts: boolean }): void {
    this.open().setLines(lines);
  }

  private open(): SerialConnection {
    this.checkOpen();
    if (!this.connection) throw new Trouble('the serial port is taken');
    return this.connection;
  }

  private checkOpen(): void {
    if (this.closed) throw new Trouble('the update is over');
  }
}

/** The ROM erases more than it is asked to; hosts ask for less. Source: spec chapter 05 §7.2. */
function romEraseBytes(offset: number, size: number): number {
  const sectors = Math.ceil(size / SECTOR_BYTES);
  const head = Math.min(SECTORS_PER_BLOCK - (Math.floor(offset / SECTOR_BYTES) % SECTORS_PER_BLOCK), sectors);
  return (sectors < 2 * head ? Math.ceil(sectors / 2) : sectors - head) * SECTOR_BYTES;
}

const words = (...values: number[]): Uint8Array => Buffer.concat(values.map((value) => wordBytes(value)));
