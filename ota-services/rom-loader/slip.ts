/**
 * SLIP framing (RFC 1055) as loader and hosts use it: `C0` payload `C0`, every frame with two delimiters of its own.
 * Source: spec chapter 05 §4.
 */

export const SLIP_END = 0xc0;
export const SLIP_ESC = 0xdb;
export const SLIP_ESC_END = 0xdc;
export const SLIP_ESC_ESC = 0xdd;

/**
 * Takes a byte stream apart into frames, in whatever pieces it comes. Bytes outside a frame are ignored, an empty frame
 * too: its second delimiter may open the next frame. An invalid escape aborts the frame; when the byte after the escape
 * is a delimiter, that opens the next one. Its only memory is one buffer of the largest frame.
 */
export class SlipDecoder {
  /** One byte longer than the limit, so that a frame that is too long shows as such. */
  private readonly buffer: Uint8Array;
  private length = 0;
  private inFrame = false;
  private escaped = false;

  /**
   * @param limit payload bytes of the longest good frame; of a longer one the first `limit` + 1 are delivered
   * @param deliver gets a copy of each payload, 1 to `limit` + 1 bytes
   */
  constructor(
    limit: number,
    private readonly deliver: (payload: Uint8Array) => void,
  ) {
    this.buffer = new Uint8Array(limit + 1);
  }

  push(bytes: Uint8Array): void {
    const { buffer } = this;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (byte === SLIP_END) this.delimiter();
      else if (!this.inFrame) continue;
      else if (this.escaped) {
        this.escaped = false;
        if (byte !== SLIP_ESC_END && byte !== SLIP_ESC_ESC) this.inFrame = false;
        else if (this.length < buffer.length) buffer[this.length++] = byte === SLIP_ESC_END ? SLIP_END : SLIP_ESC;
      } else if (byte === SLIP_ESC) this.escaped = true;
      else if (this.length < buffer.length) buffer[this.length++] = byte;
    }
  }

  /** Forgets a frame begun. */
  reset(): void {
    this.inFrame = false;
    this.escaped = false;
  }

  private delimiter(): void {
    const complete = this.inFrame && !this.escaped && this.length > 0;
    this.inFrame = !complete;
    this.escaped = false;
    const { length } = this;
    this.length = 0;
    if (complete) this.deliver(this.buffer.slice(0, length));
  }
}

/** One payload as it goes over the wire, both delimiters included. */
export function slipFrame(payload: Uint8Array): Uint8Array {
  let extra = 2;
  for (let i = 0; i < payload.length; i++) if (payload[i] === SLIP_END || payload[i] === SLIP_ESC) extra++;
  const frame = new Uint8Array(payload.length + extra);
  let at = 0;
  frame[at++] = SLIP_END;
  for (let i = 0; i < payload.length; i++) {
    const byte = payload[i]!;
    if (byte === SLIP_END || byte === SLIP_ESC) {
      frame[at++] = SLIP_ESC;
      frame[at++] = byte === SLIP_END ? SLIP_ESC_END : SLIP_ESC_ESC;
    } else frame[at++] = byte;
  }
  frame[at] = SLIP_END;
  return frame;
}
