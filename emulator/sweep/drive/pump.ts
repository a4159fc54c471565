/** Hands bytes to a connection: all at once, or chunk by chunk, each after the device's TCP has taken the one before. */
import type { PeerConnection } from '../../network/simulated-peer.ts';
import { chunkSizes } from './drive.ts';

export class Pump {
  private rest: Uint8Array;
  private pending = 0;
  private readonly nextSize: (() => number) | undefined;

  constructor(
    private readonly connection: PeerConnection,
    parts: readonly Uint8Array[],
    chunk: number | readonly number[] | undefined,
    /** Bytes that leave with the first chunk and do not count. */
    private lead = 0,
  ) {
    this.rest = Buffer.concat(parts);
    this.nextSize = chunk === undefined ? undefined : chunkSizes(chunk);
  }

  /** Everything was handed over. */
  get done(): boolean {
    return this.rest.length === 0;
  }

  /** Writes what may be written now; call it between steps of time. @returns whether anything moved since the last step */
  step(): boolean {
    const { state, pendingBytes } = this.connection;
    const moved = pendingBytes !== this.pending;
    this.pending = pendingBytes;
    if (this.done || pendingBytes > 0 || (state !== 'open' && state !== 'device-ended')) return moved;
    const size = this.lead + (this.nextSize?.() ?? this.rest.length);
    this.lead = 0;
    this.connection.write(this.rest.subarray(0, size));
    this.rest = this.rest.subarray(size);
    return true;
  }
}
