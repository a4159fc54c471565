/** UART0 as a person at the serial monitor sees it, and the Arduino `Serial` object over it. */
import type { Emit } from '../flash/ports.ts';
import type { LifecycleEvent } from './events.ts';

/** How much output is kept for {@link Uart.text}. */
const KEPT_CHARACTERS = 1 << 20;
/** The core's receive buffer; further bytes are lost, as on the device. */
const RECEIVE_BYTES = 256;

/** Bytes are latin1 characters. */
export class Uart {
  private readonly parts: string[] = [];
  private length = 0;
  private input = '';

  constructor(
    private readonly emit: Emit<LifecycleEvent>,
    private readonly wake: () => void,
  ) {}

  /** What the device sends. */
  send(text: string): void {
    if (text === '') return;
    this.parts.push(text);
    this.length += text.length;
    if (this.length > KEPT_CHARACTERS * 2) {
      const rest = this.parts.join('').slice(-KEPT_CHARACTERS);
      this.parts.length = 0;
      this.parts.push(rest);
      this.length = rest.length;
    }
    this.emit({ type: 'serial.out', text, uart: 0 });
  }

  /** Everything sent so far, from every boot (at least the last MiB). */
  text(): string {
    return this.parts.join('');
  }

  /** What a host sends to the device. */
  receive(text: string): void {
    this.input = (this.input + text).slice(0, RECEIVE_BYTES);
    this.emit({ type: 'serial.in', text, uart: 0 });
    this.wake();
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

  /** A reset empties the receive buffer. */
  clearInput(): void {
    this.input = '';
  }
}

/** `Serial` of the core: `println` ends with CR LF, `printf` adds nothing. Source: spec chapter 03 §12. */
export class ArduinoSerial {
  constructor(
    private readonly uart: Uart,
    private readonly alive: () => void,
  ) {}

  print(text: string): void {
    this.alive();
    this.uart.send(text);
  }

  println(text = ''): void {
    this.print(`${text}\r\n`);
  }

  available(): number {
    return this.uart.available();
  }

  read(): number {
    return this.uart.read();
  }
}
