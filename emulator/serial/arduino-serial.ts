/** `Serial` of the core: `println` ends with CR LF, `printf` adds nothing. Source: spec chapter 03 §12. */
import type { Uart } from './uart.ts';

/** What a UART of the chip can be asked for: the divisor has 20 bits, the clock is 80 MHz. */
const MIN_BAUD = 300;
const MAX_BAUD = 5_000_000;

export class ArduinoSerial {
  constructor(
    private readonly uart: Uart,
    private readonly alive: () => void,
  ) {}

  /** Sets the rate; without it a sketch has 115200 baud. @throws RangeError for a rate that the chip cannot have */
  begin(baud: number): void {
    if (!Number.isInteger(baud) || baud < MIN_BAUD || baud > MAX_BAUD) {
      throw new RangeError(`Serial.begin(${baud}): wants ${MIN_BAUD} to ${MAX_BAUD} baud`);
    }
    this.alive();
    this.uart.baud = baud;
  }

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
