/**
 * READ_FLASH after its reply: one raw frame, one acknowledgement, and so on; at the end an MD5 of what was sent.
 * Source: spec chapter 05 §8.5.
 */
import type { Md5 } from '../ports.ts';
import type { FlashAccess } from './flash-access.ts';
import { word } from './packets.ts';

const ACKNOWLEDGEMENT_BYTES = 4;

export interface ReadingOptions {
  readonly address: number;
  /** Bytes to read; 0 is only the MD5. */
  readonly length: number;
  /** Bytes of one frame; the last may be shorter. */
  readonly packet: number;
}

export class FlashReading {
  private sent = 0;

  constructor(
    private readonly flash: FlashAccess,
    private readonly md5: Md5,
    private readonly send: (payload: Uint8Array) => void,
    private readonly options: ReadingOptions,
  ) {}

  /** Sends the first frame. @returns true when the transfer is over */
  start(): Promise<boolean> {
    return this.options.length === 0 ? this.finish() : this.frame();
  }

  /**
   * Takes the host's next frame: the number of bytes it has. Less than was sent leaves us waiting; a frame of another
   * length, or a number that cannot be, ends the transfer early.
   *
   * @returns true when the transfer is over
   */
  async acknowledge(frame: Uint8Array): Promise<boolean> {
    const acknowledged = frame.length === ACKNOWLEDGEMENT_BYTES ? word(frame, 0) : undefined;
    if (acknowledged === undefined || acknowledged > this.sent) return await this.finish();
    if (acknowledged < this.sent) return false;
    return this.sent === this.options.length ? await this.finish() : await this.frame();
  }

  private async frame(): Promise<boolean> {
    const { address, length, packet } = this.options;
    const bytes = await this.flash.read(address + this.sent, Math.min(packet, length - this.sent));
    if (!bytes) return await this.finish();
    this.sent += bytes.length;
    this.md5.update(bytes);
    this.send(bytes);
    return false;
  }

  private finish(): Promise<true> {
    this.send(this.md5.digest());
    return Promise.resolve(true);
  }
}
