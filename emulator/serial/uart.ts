/**
 * UART0 of the chip: bytes with a baud rate in both directions, and the text of them for people. The ROM and eboot send at
 * 74880 baud, sketches at the rate they ask for; the serial loader takes the line over while it runs.
 * Source: spec chapter 05 §1, chapter 01 §8.
 */
import type { Emit } from '../../flash/ports.ts';
import { SLIP_END } from '../../ota-services/rom-loader/slip.ts';
import type { LifecycleEvent } from '../events.ts';

/** 115200 baud by a divisor meant for a 40 MHz crystal, on the usual 26 MHz one. */
export const ROM_BAUD = 74_880;
/** What nearly every sketch asks for. */
export const SKETCH_BAUD = 115_200;

/** How much output is kept for {@link Uart.text}. */
const KEPT_CHARACTERS = 1 << 20;
/** The core's receive buffer; further bytes are lost, as on the device. */
const RECEIVE_BYTES = 256;
/** Of a loader's frame, or of what a host sends, an event shows this much; `length` tells the rest. */
const EVENT_CHARACTERS = 256;

/** Takes bytes as they leave the chip. */
export type OutputListener = (bytes: Uint8Array, baud: number) => void;

export class Uart {
  /** The rate at which the chip sends now. */
  baud = ROM_BAUD;
  private readonly parts: string[] = [];
  private length = 0;
  private input = '';
  private readonly listeners = new Set<OutputListener>();
  private readonly watchers = new Set<(owner: 'rom' | 'loader' | 'sketch') => void>();
  private loader: ((bytes: Uint8Array) => void) | undefined;

  constructor(
    private readonly emit: Emit<LifecycleEvent>,
    private readonly wake: () => void,
  ) {}

  /** What the device prints; characters are latin1. */
  send(text: string): void {
    if (text === '') return;
    this.keep(text);
    this.emit({ type: 'serial.out', text, uart: 0 });
    if (this.listeners.size > 0) this.pass(Buffer.from(text, 'latin1'));
  }

  /** Frames of the serial loader: on the line as everything else, but nothing for people to read. */
  sendFrames(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const text = latin1(bytes);
    this.keep(text);
    this.emit({ type: 'serial.out', ...shown(text), uart: 0, loader: true });
    this.pass(bytes);
  }

  /** Everything sent so far, from every boot (at least the last MiB), latin1. */
  text(): string {
    return this.parts.join('');
  }

  /** Calls `listener` with every coming byte; returns the function that ends it. */
  onOutput(listener: OutputListener): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Tells who holds the line from now on: nobody yet after a reset, the loader, or a sketch. */
  onOwner(watcher: (owner: 'rom' | 'loader' | 'sketch') => void): () => void {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  }

  /** What a host sends to the device. */
  receive(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const text = latin1(bytes);
    if (this.loader) {
      this.emit({ type: 'serial.in', ...shown(text), uart: 0, loader: true });
      this.loader(bytes);
      return;
    }
    this.input = (this.input + text.slice(0, RECEIVE_BYTES)).slice(0, RECEIVE_BYTES);
    this.emit({ type: 'serial.in', ...shown(text), uart: 0 });
    this.wake();
  }

  /** The serial loader listens, until the returned function is called. */
  attachLoader(receive: (bytes: Uint8Array) => void): () => void {
    this.loader = receive;
    this.tell('loader');
    return () => {
      if (this.loader === receive) this.loader = undefined;
    };
  }

  /** The host of the loader is gone: a frame that it left half-sent ends here, and spoils nothing of the next host's. */
  hostGone(): void {
    this.loader?.(Uint8Array.of(SLIP_END));
  }

  /** True while the serial loader listens. */
  get loading(): boolean {
    return this.loader !== undefined;
  }

  /** The SDK takes the line over for a sketch. */
  startSketch(): void {
    this.baud = SKETCH_BAUD;
    this.tell('sketch');
  }

  /** A reset empties the receive buffer and ends the loader. */
  reset(baud: number): void {
    this.input = '';
    this.loader = undefined;
    this.baud = baud;
    this.tell('rom');
  }

  available(): number {
    return this.input.length;
  }

  /** One byte, or −1. */
  read(): number {
    if (this.input === '') return -1;
    const byte = this.input.charCodeAt(0);
    this.input = this.input.slice(1);
    return byte;
  }

  private keep(text: string): void {
    this.parts.push(text);
    this.length += text.length;
    if (this.length <= KEPT_CHARACTERS * 2) return;
    const rest = this.parts.join('').slice(-KEPT_CHARACTERS);
    this.parts.length = 0;
    this.parts.push(rest);
    this.length = rest.length;
  }

  private pass(bytes: Uint8Array): void {
    for (const listener of [...this.listeners]) listener(bytes, this.baud);
  }

  private tell(owner: 'rom' | 'loader' | 'sketch'): void {
    for (const watcher of [...this.watchers]) watcher(owner);
  }
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

function shown(text: string): { text: string; length?: number } {
  return text.length <= EVENT_CHARACTERS ? { text } : { text: text.slice(0, EVENT_CHARACTERS), length: text.length };
}
