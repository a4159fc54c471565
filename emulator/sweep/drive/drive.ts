/** One driven update: watches the device's events, moves its time step by step, and knows when it is over. */
import type { Device } from '../../device.ts';
import type { Stamped } from '../../events.ts';
import type { SimulatedNetwork } from '../../network/simulated-network.ts';
import type { DriveOptions, DriveResult } from './options.ts';

/** Between two looks at what became of it. */
const STEP_US = 2_000;
const DEFAULT_LIMIT_US = 600_000_000;
/** An update that does not restart the device by itself is over so long after its end. */
const RESTART_PATIENCE_US = 3_000_000;

/** A peer at work: it acts when called back by the network, and at each step. */
export interface Peer {
  /** Called between two steps of time. */
  step?(): void;
  /** Gives its sockets back. */
  close(): void;
}

export class Drive {
  readonly network: SimulatedNetwork;
  private result: DriveResult | undefined;
  /** The device said `update.end` after its last `update.begin`. */
  private taken = false;
  private lastError: string | undefined;
  private deadline: { readonly atUs: number; readonly why: string } | undefined;
  private peerDoneAtUs: number | undefined;

  constructor(
    readonly device: Device,
    readonly options: DriveOptions,
  ) {
    this.network = device.network;
  }

  get nowUs(): number {
    return this.network.clock.nowUs();
  }

  /** The update came to nothing. */
  fail(error: string): void {
    this.result ??= { ok: false, error, restarted: false };
  }

  /** The peer is content; what is left is the restart. */
  peerDone(): void {
    this.deadline = undefined;
    this.peerDoneAtUs ??= this.nowUs;
  }

  /** From now on something must happen within `us`, or it failed. Each call replaces the one before. */
  expectWithin(us: number, why: string): void {
    this.deadline = { atUs: this.nowUs + us, why };
  }

  /** Of a path without the Updater: everything is in flash. */
  written(): void {
    this.taken = true;
  }

  /** Runs the peer to the end of the update. */
  async run(start: (drive: Drive) => Peer): Promise<DriveResult> {
    const endUs = this.nowUs + (this.options.limitUs ?? DEFAULT_LIMIT_US);
    const stop = this.device.events.subscribe((event) => this.see(event));
    let peer: Peer | undefined;
    try {
      peer = start(this);
      while (!this.result) {
        await this.device.going();
        await this.device.advance(STEP_US);
        peer.step?.();
        this.lookAtTime(endUs);
      }
      return this.result;
    } finally {
      stop();
      peer?.close();
    }
  }

  private see(event: Stamped): void {
    switch (event.type) {
      case 'update.begin':
        this.taken = false;
        break;
      case 'update.end':
        this.taken = true;
        break;
      case 'update.error':
        this.taken = false;
        this.lastError = event.message;
        break;
      case 'reset':
        if (event.cause === 'power-on') break;
        if (this.options.path === 'serial') {
          // The host itself resets the chip, before and after its work; of any other reset it hears by silence.
          if (this.taken) this.result ??= { ok: true, restarted: true };
          break;
        }
        if (event.cause === 'software' && this.taken) this.result ??= { ok: true, restarted: true };
        else this.fail(`the device was reset (${event.cause})`);
        break;
      case 'power.off':
        this.fail('the device lost power');
        break;
      default:
    }
  }

  private lookAtTime(endUs: number): void {
    const now = this.nowUs;
    if (this.deadline && now > this.deadline.atUs) this.fail(this.deadline.why);
    if (this.peerDoneAtUs !== undefined && now > this.peerDoneAtUs + RESTART_PATIENCE_US) {
      if (this.taken) this.result ??= { ok: true, restarted: false };
      else this.fail(this.lastError ?? 'the device never said that the update ended well');
    }
    if (now > endUs) this.fail('the update did not end in time');
  }
}

/** Sizes of successive chunks: one number, or a list that goes round. @throws RangeError unless all are positive integers */
export function chunkSizes(chunk: number | readonly number[]): () => number {
  const sizes = typeof chunk === 'number' ? [chunk] : chunk;
  if (sizes.length === 0 || sizes.some((size) => !Number.isInteger(size) || size < 1)) {
    throw new RangeError(`chunk: wants a whole number of bytes from 1 on, or a list of such; got ${sizes}`);
  }
  let next = 0;
  return () => sizes[next++ % sizes.length]!;
}
