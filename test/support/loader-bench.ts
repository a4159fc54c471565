/** A serial loader with a chip, and the host's end of its line. */

import type { FlashEvent } from '../../flash/events.ts';
import type { NorFlash } from '../../flash/nor-flash.ts';
import type { ChipClock } from '../../flash/ports.ts';
import { checksum, encodeRequest, word, wordBytes } from '../../ota-services/rom-loader/packets.ts';
import {
  type LoaderEnd,
  type LoaderEvent,
  type LoaderParts,
  SerialLoader,
} from '../../ota-services/rom-loader/serial-loader.ts';
import { SlipDecoder, slipFrame } from '../../ota-services/rom-loader/slip.ts';
import { type ChipOptions, makeChip, nodeMd5 } from './flash.ts';

export const MAC = Uint8Array.of(0x5c, 0xcf, 0x7f, 0x11, 0x22, 0x33);
export const FLASH_ID = 0x1640ef;

const DRAM = 0x3ffe8000;
const IRAM = 0x40100000;

/** RAM as the loader may write it. */
export class BenchRam {
  readonly dram = new Uint8Array(0x18000);
  readonly iram = new Uint8Array(0x10000);

  write(address: number, data: Uint8Array): boolean {
    const view = this.view(address, data.length);
    view?.set(data);
    return view !== undefined;
  }

  read(address: number, length: number): Uint8Array | undefined {
    return this.view(address, length)?.slice();
  }

  private view(address: number, length: number): Uint8Array | undefined {
    for (const [base, bank] of [
      [DRAM, this.dram],
      [IRAM, this.iram],
    ] as const) {
      if (address >= base && address + length <= base + bank.length) {
        return bank.subarray(address - base, address - base + length);
      }
    }
    return undefined;
  }
}

/** A response as the host sees it. */
export interface Reply {
  command: number;
  value: number;
  /** Without the status bytes. */
  data: Uint8Array;
  /** Status byte and error byte, as esptool prints them: 0x0107. */
  result: number;
}

export function parseReply(payload: Uint8Array): Reply {
  if (payload[0] !== 1) throw new Error(`no response: ${hex(payload)}`);
  const length = payload[2]! | (payload[3]! << 8);
  if (payload.length !== 8 + length || length < 2) throw new Error(`a response of the wrong length: ${hex(payload)}`);
  return {
    command: payload[1]!,
    value: word(payload, 4),
    data: payload.slice(8, -2),
    result: (payload.at(-2)! << 8) | payload.at(-1)!,
  };
}

export interface BenchOptions extends ChipOptions {
  mac?: Uint8Array;
  flashId?: number;
  stub?: LoaderParts['stub'];
  ram?: LoaderParts['ram'];
  breathe?: LoaderParts['breathe'];
}

export class LoaderBench {
  readonly chip: NorFlash;
  readonly clock: ChipClock;
  readonly flashEvents: FlashEvent[];
  readonly events: LoaderEvent[] = [];
  readonly ram: LoaderParts['ram'];
  readonly bauds: number[] = [];
  /** What the last loader's run came to. */
  end: LoaderEnd | undefined;
  failure: unknown;
  loader: SerialLoader;
  /** Called with everything that goes to the host, instead of keeping it. */
  onTransmit: ((bytes: Uint8Array) => void) | undefined;

  private readonly parts: LoaderParts;
  private readonly raw: Uint8Array[] = [];
  private readonly frames: Uint8Array[] = [];
  private readonly decoder = new SlipDecoder(0x10000, (frame) => void this.frames.push(frame));

  constructor(options: BenchOptions = {}) {
    const made = makeChip({ capacity: 0x400000, ...options });
    this.chip = made.chip;
    this.clock = made.clock;
    this.flashEvents = made.events;
    this.ram = options.ram ?? new BenchRam();
    this.parts = {
      chip: made.chip,
      clock: made.clock,
      ram: this.ram,
      mac: options.mac ?? MAC,
      flashId: options.flashId ?? FLASH_ID,
      md5: nodeMd5,
      emit: (event) => void this.events.push(event),
      transmit: (bytes) => {
        if (this.onTransmit) return this.onTransmit(bytes);
        this.raw.push(bytes);
        this.decoder.push(bytes);
      },
      setBaud: (rate) => void this.bauds.push(rate),
      ...(options.stub === undefined ? {} : { stub: options.stub }),
      ...(options.breathe === undefined ? {} : { breathe: options.breathe }),
    };
    this.loader = this.start();
  }

  /** As after a reset into download mode: a new loader on the same chip. */
  restart(): void {
    this.loader = this.start();
  }

  private start(): SerialLoader {
    this.end = undefined;
    const loader = new SerialLoader(this.parts);
    loader.run().then(
      (end) => {
        if (this.loader === loader) this.end = end;
      },
      (error: unknown) => {
        this.failure = error;
      },
    );
    return loader;
  }

  /** Sends bytes and lets everything that follows happen. */
  async send(bytes: Uint8Array): Promise<void> {
    this.loader.receive(bytes);
    await settled();
  }

  /** Payloads that arrived since the last call. */
  take(): Uint8Array[] {
    this.raw.length = 0;
    return this.frames.splice(0);
  }

  /** Bytes that arrived since the last call. */
  takeRaw(): Uint8Array {
    this.frames.length = 0;
    return Buffer.concat(this.raw.splice(0));
  }

  /** Sends a frame with this payload; gives the payloads that came back. */
  async exchange(payload: Uint8Array): Promise<Uint8Array[]> {
    this.take();
    await this.send(slipFrame(payload));
    return this.take();
  }

  /** One command, one reply. */
  async command(command: number, data: Uint8Array = new Uint8Array(0), sum = 0): Promise<Reply> {
    this.take();
    await this.send(encodeRequest(command, data, sum));
    const [reply, ...more] = this.take();
    if (!reply || more.length > 0) {
      throw new Error(`command 0x${command.toString(16)}: ${(reply ? 1 : 0) + more.length} frames came, one expected`);
    }
    return parseReply(reply);
  }

  /** A *_DATA command. */
  block(command: number, sequence: number, bytes: Uint8Array, sum = checksum(bytes)): Promise<Reply> {
    return this.command(command, Buffer.concat([words(bytes.length, sequence, 0, 0), bytes]), sum);
  }

  /** READ_REG. */
  async register(address: number): Promise<number> {
    const reply = await this.command(0x0a, words(address));
    if (reply.result !== 0) throw new Error(`READ_REG: ${reply.result.toString(16)}`);
    return reply.value;
  }

  /** Uploads something that looks like a stub, and waits for its OHAI. */
  async startStub(entry = 0x4010d004): Promise<void> {
    const text = new Uint8Array(600).fill(0x5a);
    const address = entry - 4;
    await this.ok(this.command(0x05, words(text.length, 1, 0x1800, address)));
    await this.ok(this.block(0x07, 0, text));
    this.take();
    await this.send(encodeRequest(0x06, words(0, entry)));
    const [reply, ohai] = this.take();
    if (!reply || parseReply(reply).result !== 0 || Buffer.from(ohai ?? []).toString() !== 'OHAI') {
      throw new Error(`no OHAI but ${hex(ohai ?? new Uint8Array(0))}`);
    }
  }

  /** Expects success. */
  async ok(pending: Promise<Reply>): Promise<Reply> {
    const reply = await pending;
    if (reply.result !== 0) {
      throw new Error(`0x${reply.command.toString(16)}: result 0x${reply.result.toString(16).padStart(4, '0')}`);
    }
    return reply;
  }

  /** READ_FLASH as esptool does it. */
  async readFlash(address: number, length: number, packet = 0x1000): Promise<Uint8Array> {
    this.take();
    await this.send(encodeRequest(0xd2, words(address, length, packet, 64)));
    const frames = this.take();
    const reply = parseReply(frames.shift()!);
    if (reply.result !== 0) throw new Error(`READ_FLASH: ${reply.result.toString(16)}`);
    const pieces: Uint8Array[] = [];
    let got = 0;
    while (got < length) {
      if (frames.length !== 1) throw new Error(`${frames.length} frames for one acknowledgement`);
      const piece = frames.shift()!;
      pieces.push(piece);
      got += piece.length;
      await this.send(slipFrame(wordBytes(got)));
      frames.push(...this.take());
    }
    const all = Buffer.concat(pieces);
    const md5 = nodeMd5();
    md5.update(all);
    if (frames.length !== 1 || hex(frames[0]!) !== hex(md5.digest())) throw new Error('READ_FLASH: wrong MD5');
    return new Uint8Array(all);
  }
}

/** Lets every promise that can go on do so. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const words = (...values: number[]): Uint8Array => Buffer.concat(values.map((value) => wordBytes(value)));

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Bytes from text such as `00 08 24 00`. */
export const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s+/g, ''), 'hex'));

/** Bytes that look random and are the same in every run. */
export function noise(length: number, seed = 1): Uint8Array {
  const data = new Uint8Array(length);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[i] = state & 0xff;
  }
  return data;
}

/** Padded with 0xFF to a multiple. */
export function padded(data: Uint8Array, multiple: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(data.length / multiple) * multiple).fill(0xff);
  out.set(data);
  return out;
}
