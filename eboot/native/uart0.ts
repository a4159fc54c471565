/** UART0 as software sees it. Source: spec chapter 07 §4; the depth of the FIFO from the chip's documentation. */

const FIFO = 0x00;
const INT_RAW = 0x04;
const INT_ST = 0x08;
const INT_ENA = 0x0c;
const INT_CLR = 0x10;
const CLKDIV = 0x14;
const STATUS = 0x1c;
const CONF0 = 0x20;

const RX_FULL = 1 << 0;
const RX_TIMEOUT = 1 << 8;
const RX_RESET = 1 << 17;
/** How many received bytes the count field can show. Further ones wait on the wire here, where the chip would lose them. */
const FIFO_BYTES = 127;
/** Divisor that the ROM writes: 80 MHz / 115200. */
const ROM_DIVISOR = 694;
/** What is really divided, with the usual 26 MHz crystal: the line runs at 74880 baud then. */
const CLOCK_HZ = 52_000_000;

export class Uart0 {
  private readonly words = new Uint32Array(0x100 / 4);
  private received: number[] = [];
  private first = 0;

  /**
   * @param transmit gets each byte
   * @param setBaud gets the rate of the line whenever the divisor changes
   */
  constructor(
    private readonly transmit: (byte: number) => void,
    private readonly setBaud?: (rate: number) => void,
  ) {
    this.words[CLKDIV >> 2] = ROM_DIVISOR;
  }

  /** The rate as the loader has measured it, before the code starts. */
  set baud(rate: number) {
    this.words[CLKDIV >> 2] = Math.round(CLOCK_HZ / Math.max(1, rate));
  }

  /** What a host sends. */
  receive(bytes: Uint8Array): void {
    for (const byte of bytes) this.received.push(byte);
  }

  /** How many received bytes wait. */
  get waiting(): number {
    return this.received.length - this.first;
  }

  /** The level of interrupt line 5. */
  get interrupt(): boolean {
    return (this.raw() & this.words[INT_ENA >> 2]!) !== 0;
  }

  /** One received byte, or undefined. */
  take(): number | undefined {
    if (this.waiting === 0) return undefined;
    const byte = this.received[this.first++]!;
    if (this.first > 0x1000) {
      this.received = this.received.slice(this.first);
      this.first = 0;
    }
    return byte;
  }

  send(byte: number): void {
    this.transmit(byte & 0xff);
  }

  /** `uart_div_modify`: a new rate; the FIFOs are emptied. */
  divide(divisor: number): void {
    this.words[CLKDIV >> 2] = divisor;
    this.clear();
    this.tellBaud();
  }

  load(offset: number): number {
    switch (offset) {
      case FIFO:
        return this.take() ?? 0;
      case INT_RAW:
        return this.raw();
      case INT_ST:
        return this.raw() & this.words[INT_ENA >> 2]!;
      case STATUS:
        return Math.min(this.waiting, FIFO_BYTES);
      default:
        return this.words[offset >> 2]!;
    }
  }

  store(offset: number, value: number): void {
    switch (offset) {
      case FIFO:
        this.send(value);
        return;
      case INT_RAW:
      case INT_ST:
      case INT_CLR: // what is received sets them again at once
      case STATUS:
        return;
      default:
        this.words[offset >> 2] = value;
        if (offset === CLKDIV) this.tellBaud();
        if (offset === CONF0 && value & RX_RESET) this.clear();
    }
  }

  private raw(): number {
    return this.waiting > 0 ? RX_FULL | RX_TIMEOUT : 0;
  }

  private clear(): void {
    this.received = [];
    this.first = 0;
  }

  private tellBaud(): void {
    const divisor = this.words[CLKDIV >> 2]! & 0xfffff;
    if (divisor > 0) this.setBaud?.(Math.round(CLOCK_HZ / divisor));
  }
}
