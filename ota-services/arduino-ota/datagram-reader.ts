/**
 * Reads one datagram as ArduinoOTA does: integers and texts, and nothing is ever a syntax error.
 * Source: spec chapter 03 §3.1.
 */

/** So many digits are taken at most; exactly so many make the value 0. */
const MAX_DIGITS = 16;
/** The largest value of a signed 32-bit integer, where larger numbers saturate. */
const INT_MAX = 0x7fffffff;

const NUL = 0x00;
const SPACE = 0x20;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;

export class DatagramReader {
  private position = 0;

  constructor(private readonly datagram: Uint8Array) {}

  /**
   * Skips spaces (0x20 only) and takes decimal digits; the first other byte stays. No digit reads as 0. There are no
   * signs: `-5` reads as 0 and the `-` stays.
   *
   * The device collects the digits in a buffer of 16 characters. A number that fills it comes out as 0, and further
   * digits stay for the next element; so do we.
   *
   * @returns 0…2147483647
   */
  integer(): number {
    while (this.datagram[this.position] === SPACE) this.position++;
    let digits = 0;
    let value = 0;
    while (digits < MAX_DIGITS) {
      const byte = this.datagram[this.position];
      if (byte === undefined || byte < DIGIT_0 || byte > DIGIT_9) break;
      value = Math.min(value * 10 + (byte - DIGIT_0), INT_MAX);
      this.position++;
      digits++;
    }
    return digits === MAX_DIGITS ? 0 : value;
  }

  /** Takes one byte, whatever it is. At the end of the datagram there is none to take. */
  skip(): void {
    if (this.position < this.datagram.length) this.position++;
  }

  /**
   * The bytes before the first `terminator`, NUL, or the end; the terminator is taken too.
   * @returns one character per byte (latin1)
   */
  textUntil(terminator: string): string {
    const stop = terminator.charCodeAt(0);
    let text = '';
    while (this.position < this.datagram.length) {
      const byte = this.datagram[this.position++]!;
      if (byte === stop || byte === NUL) break;
      text += String.fromCharCode(byte);
    }
    return text;
  }
}
