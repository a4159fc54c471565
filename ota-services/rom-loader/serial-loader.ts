/**
 * The serial loader: bytes from UART0 in, replies and flash operations out. One object is one stay in download mode, from
 * the reset to the command (or the next reset) that ends it. Source: spec chapter 05.
 *
 * Whatever comes in, nothing throws: noise is ignored, a wrong command gets its error bytes. Memory is bounded: one buffer
 * for the frame that is coming in (16 KiB), {@link WAITING_FRAMES} that have come in, 1024 register words, two times 32 KiB
 * and tables for a compressed stream. On the device a host that does not wait for replies overruns smaller buffers.
 */
import { commandName } from './commands.ts';
import type { Dialect } from './events.ts';
import { FlashAccess } from './flash-access.ts';
import { FlashReading } from './flash-reading.ts';
import type { Commands, Next, Outcome } from './outcome.ts';
import { encodeResponse, parseRequest, REQUEST_LIMIT } from './packets.ts';
import type { LoaderEnd, LoaderParts } from './ports.ts';
import { RamUpload } from './ram-upload.ts';
import { Registers } from './registers.ts';
import { RomCommands } from './rom-commands.ts';
import { SlipDecoder, slipFrame } from './slip.ts';
import { SpiController } from './spi-controller.ts';
import { StubCommands, stubKind } from './stub-commands.ts';

export type { Dialect, LoaderEvent } from './events.ts';
export type { LoaderEnd, LoaderParts, LoaderRam } from './ports.ts';

/** Frames (16 KiB at the most) that wait while a command is at work; more are lost. */
const WAITING_FRAMES = 64;
/** What the UART starts with, before anybody announced another rate. */
const DEFAULT_BAUD = 115200;
/** A stub's first words. */
const OHAI = Uint8Array.of(0x4f, 0x48, 0x41, 0x49);

/**
 * @example
 * const loader = new SerialLoader(parts);
 * uart.onInput((bytes) => loader.receive(bytes));
 * const end = await loader.run(); // { do: 'run-flash' }, …
 */
export class SerialLoader {
  /**
   * The baud rate that the host uses, as far as the transport knows; the UART divider register shows it, and hosts compute
   * the crystal from that. CHANGE_BAUDRATE sets it too.
   */
  baud = DEFAULT_BAUD;

  private readonly flash: FlashAccess;
  private readonly upload: RamUpload;
  private readonly registers: Registers;
  private readonly decoder: SlipDecoder;
  private readonly frames: Uint8Array[] = [];
  private wake: (() => void) | undefined;
  private commands: Commands;
  private current: Dialect = 'rom';
  private reading: FlashReading | undefined;

  constructor(private readonly parts: LoaderParts) {
    this.flash = new FlashAccess(parts.chip, parts.clock);
    this.upload = new RamUpload(parts.ram);
    this.registers = new Registers({
      mac: parts.mac,
      embeddedFlash: parts.embeddedFlash,
      ram: parts.ram,
      spi: new SpiController(parts.chip, parts.flashId),
      baud: () => this.baud,
    });
    this.decoder = new SlipDecoder(REQUEST_LIMIT, (frame) => this.enqueue(frame));
    this.commands = new RomCommands({ flash: this.flash, upload: this.upload, registers: this.registers });
  }

  /** Whose commands are understood now. */
  get dialect(): Dialect {
    return this.current;
  }

  /** Bytes from the host, in any pieces; before {@link SerialLoader.run} too. */
  receive(bytes: Uint8Array): void {
    this.decoder.push(bytes);
  }

  /**
   * Serves hosts until one of them ends the loader. Rejects with the Interruption that stops a chip operation; a reset
   * while it waits for a command just leaves it waiting.
   */
  async run(): Promise<LoaderEnd> {
    this.parts.emit({ type: 'loader.start', dialect: this.current });
    for (;;) {
      const frame = this.frames.shift();
      if (!frame) {
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        continue;
      }
      const end = await this.handle(frame);
      if (end) {
        this.parts.emit({ type: 'loader.end', dialect: this.current, next: end.do });
        return end;
      }
      const turn = this.frames.length > 0 ? this.parts.breathe?.() : undefined;
      if (turn) await turn;
    }
  }

  private enqueue(frame: Uint8Array): void {
    if (this.frames.length === WAITING_FRAMES) return;
    this.frames.push(frame);
    this.wake?.();
    this.wake = undefined;
  }

  private async handle(frame: Uint8Array): Promise<LoaderEnd | undefined> {
    if (this.reading) {
      if (await this.reading.acknowledge(frame)) this.reading = undefined;
      return undefined;
    }
    const request = parseRequest(frame);
    if (!request) return undefined;
    const outcome = await this.commands.execute(request);
    // The reply comes when the chip is ready.
    const wait = this.parts.clock.settle();
    if (wait) await wait;
    const { status, error, next } = outcome;
    this.parts.emit({ type: 'loader.command', name: commandName(request.command), status, error });
    this.reply(request.command, outcome);
    return next && (await this.proceed(next));
  }

  private reply(command: number, { replies = 1, replyAs = command, ...response }: Outcome): void {
    if (replies === 0) return;
    const { value, data, status, error } = response;
    const one = encodeResponse({
      command: replyAs,
      status,
      error,
      ...(value === undefined ? {} : { value }),
      ...(data === undefined ? {} : { data }),
    });
    if (replies === 1) return this.parts.transmit(one);
    const all = new Uint8Array(one.length * replies);
    for (let i = 0; i < replies; i++) all.set(one, i * one.length);
    this.parts.transmit(all);
  }

  /** What comes after the reply. */
  private async proceed(next: Next): Promise<LoaderEnd | undefined> {
    switch (next.do) {
      case 'stub':
        if (this.parts.stub === 'native') return { do: 'run-ram', entry: next.entry };
        this.startStub(next.entry);
        return undefined;
      case 'read':
        await this.startReading(next);
        return undefined;
      case 'baud':
        this.changeBaud(next.rate);
        return undefined;
      default:
        return next;
    }
  }

  private startStub(entry: number): void {
    this.current = 'stub';
    this.commands = new StubCommands({
      flash: this.flash,
      upload: this.upload,
      registers: this.registers,
      md5: this.parts.md5,
      kind: stubKind(entry),
    });
    this.parts.emit({ type: 'loader.start', dialect: 'stub' });
    this.parts.transmit(slipFrame(OHAI));
  }

  private async startReading(options: { address: number; length: number; packet: number }): Promise<void> {
    const send = (payload: Uint8Array): void => this.parts.transmit(slipFrame(payload));
    const reading = new FlashReading(this.flash, this.parts.md5(), send, options);
    if (!(await reading.start())) this.reading = reading;
  }

  /** A rate of 0 would stop the UART for good; it is taken for a mistake of the host. */
  private changeBaud(rate: number): void {
    if (rate === 0) return;
    this.baud = rate;
    this.parts.setBaud?.(rate);
  }
}
