/**
 * Finds requests of esptool's protocol in a stream of bytes, however it is cut into pieces: this is how a host that wants
 * to flash is told from a monitor. Pure. Source: spec chapter 05 §4, §7.1.
 */
import { isSync, parseRequest, REQUEST_LIMIT } from '../../ota-services/rom-loader/packets.ts';
import { SlipDecoder, slipFrame } from '../../ota-services/rom-loader/slip.ts';

/** The longest frame on the wire: every byte escaped, and two delimiters. */
export const LONGEST_FRAME = 2 * REQUEST_LIMIT + 2;

export interface FoundRequest {
  /** As it goes over the wire, delimiters included. */
  readonly frame: Uint8Array;
  readonly sync: boolean;
  /** What of the pushed bytes follows it. */
  readonly rest: Uint8Array;
}

export class RequestWatch {
  private decoder: SlipDecoder | undefined;
  private found: Uint8Array | undefined;

  /** Takes bytes; returns the first request that is complete, if one is. Text and noise between are forgotten. */
  push(bytes: Uint8Array): FoundRequest | undefined {
    // A monitor never sends what opens a frame: it needs no buffer.
    if (!this.decoder && !bytes.includes(0xc0)) return undefined;
    this.decoder ??= new SlipDecoder(REQUEST_LIMIT, (payload) => {
      if (parseRequest(payload)) this.found = payload;
    });
    for (let i = 0; i < bytes.length; i++) {
      this.decoder.push(bytes.subarray(i, i + 1));
      const payload = this.found;
      if (!payload) continue;
      this.found = undefined;
      return { frame: slipFrame(payload), sync: isSync(payload), rest: bytes.subarray(i + 1) };
    }
    return undefined;
  }

  /** Forgets a half request. */
  clear(): void {
    this.decoder = undefined;
  }
}
