/**
 * One end of a simulated TCP connection: enough of the protocol that windows, half-closing, lost segments and a peer
 * that vanished behave as a socket's user knows them. Both ends, the device's and the peer's, are this class.
 *
 * Numbers are offsets in the stream of one direction, from 0; a FIN counts as one more byte. Segments carry an
 * acknowledgement always. Left out: sequence number wrap, selective acknowledgement, congestion control (a peer
 * is held back by the device's window alone), delayed acknowledgement, Nagle.
 */
import type { Alarm } from '../clock.ts';
import { ByteQueue } from './byte-queue.ts';
import type { Timer } from './signal.ts';

/** The first wait before a segment that nobody acknowledged is sent again; doubled each time. */
export const RETRANSMIT_US = 1_000_000;
/** The longest such wait. */
const RETRANSMIT_MAX_US = 64_000_000;
/** Attempts without any answer until the connection counts as lost (lwIP: `TCP_MAXRTX`). */
const RETRANSMIT_LIMIT = 12;
/** A window update is sent when reading has opened this part of the window (lwIP: a quarter). */
const WINDOW_UPDATE_PART = 4;

export interface Segment {
  readonly syn?: boolean;
  readonly fin?: boolean;
  readonly rst?: boolean;
  /** Asks for an answer with the current window. */
  readonly probe?: boolean;
  /** Offset of `data` in the sender's stream. */
  readonly sequence: number;
  /** The next offset that the sender of this segment expects; -1 before it heard anything. */
  readonly acknowledged: number;
  /** Bytes beyond `acknowledged` that its sender can take. */
  readonly window: number;
  readonly data: Uint8Array;
}

export type TcpEndState =
  /** We sent SYN. */
  | 'connecting'
  /** We answered SYN. */
  | 'answering'
  | 'open'
  /** Both directions ended in order. */
  | 'closed'
  /** The other side answered SYN with RST. */
  | 'refused'
  /** The other side sent RST. */
  | 'reset'
  /** We sent RST. */
  | 'aborted'
  /** No answer to repeated segments. */
  | 'timed-out'
  /** Ended without a word: the machine is gone. */
  | 'vanished';

export interface TcpEndOptions {
  readonly mss: number;
  /** Size of the receive buffer. */
  readonly windowBytes: number;
  /** lwIP's client context: a FIN that finds nothing unread aborts the connection. Source: spec chapter 03 §7.3. */
  readonly abortOnIdleFin: boolean;
  readonly timer: Timer;
  send(segment: Segment): void;
  /** These bytes were taken into the receive buffer. */
  onData?(data: Uint8Array): void;
  /** Bytes or a FIN arrived. */
  onArrival?(): void;
  /** Our bytes were acknowledged. */
  onProgress?(): void;
  onState?(): void;
}

const NOTHING = new Uint8Array(0);

export class TcpEnd {
  state: TcpEndState;
  /** The other side will send nothing more. */
  finReceived = false;
  /** We were told to send nothing more. */
  finQueued = false;
  /** Received and not read. */
  readonly incoming = new ByteQueue();

  /** From the first byte that was not acknowledged. */
  private readonly outgoing = new ByteQueue();
  /** Length of our stream so far, without the FIN. */
  private written = 0;
  private unacknowledged = 0;
  private nextToSend = 0;
  /** The other side's window ends here. */
  private edge = 0;
  private expected = 0;
  private advertisedEdge: number;
  private heard = false;
  /** Arrivals are thrown away: the user closed, lwIP then acknowledges and forgets. */
  private discarding = false;
  private retries = 0;
  private alarm: Alarm | undefined;

  constructor(
    private readonly options: TcpEndOptions,
    role: 'connect' | 'answer',
  ) {
    this.state = role === 'connect' ? 'connecting' : 'answering';
    this.advertisedEdge = options.windowBytes;
  }

  /** Sends the first SYN of a connecting end. */
  start(): void {
    this.sendSyn();
    this.arm();
  }

  get over(): boolean {
    return this.state !== 'connecting' && this.state !== 'answering' && this.state !== 'open';
  }

  /** Bytes that were written and not acknowledged. */
  get pending(): number {
    return this.outgoing.length;
  }

  /** Queues bytes; with `fin`, the last of them carries the FIN. False when that is not possible any more. */
  write(data: Uint8Array, fin = false): boolean {
    if (this.over || this.finQueued) return false;
    this.outgoing.push(data);
    this.written += data.length;
    this.finQueued = fin;
    this.transmit();
    return true;
  }

  /** Takes received bytes and opens the window. */
  read(max: number): Uint8Array {
    const data = this.incoming.take(max);
    if (data.length > 0 && this.state === 'open' && !this.finReceived) {
      const opened = this.expected + this.windowFree() - this.advertisedEdge;
      if (opened >= this.options.windowBytes / WINDOW_UPDATE_PART) this.sendNothing();
    }
    return data;
  }

  /** Ends our direction; what arrives from now on is thrown away. With unread bytes: RST, as lwIP does. */
  close(): void {
    if (this.over) return;
    if (this.incoming.length > 0) {
      this.abort();
      return;
    }
    this.discarding = true;
    this.write(NOTHING, true);
  }

  /** RST at once. */
  abort(): void {
    if (this.over) return;
    this.options.send(this.segment({ rst: true }));
    this.incoming.clear();
    this.finish('aborted');
  }

  /** Ends without a word. */
  vanish(): void {
    if (!this.over) this.finish('vanished');
  }

  receive(segment: Segment): void {
    if (this.over) return;
    if (segment.rst) {
      this.finish(this.state === 'connecting' ? 'refused' : 'reset');
      return;
    }
    this.heard = true;
    this.retries = 0;
    if (segment.syn) {
      this.receiveSyn(segment);
      return;
    }
    if (this.state === 'connecting') return;
    if (this.state === 'answering') this.open();
    this.receiveAcknowledgement(segment);
    this.receiveData(segment);
    this.transmit();
    this.finishWhenDone();
  }

  private receiveSyn(segment: Segment): void {
    this.edge = Math.max(this.edge, segment.window);
    if (this.state === 'connecting') {
      this.open();
      this.sendNothing();
      this.transmit();
    } else if (this.state === 'answering') {
      this.sendSyn();
      this.arm();
    } else {
      this.sendNothing();
    }
  }

  private open(): void {
    this.state = 'open';
    this.disarm();
    this.options.onState?.();
  }

  private receiveAcknowledgement(segment: Segment): void {
    this.edge = Math.max(this.edge, segment.acknowledged + segment.window);
    if (segment.acknowledged <= this.unacknowledged) return;
    this.outgoing.drop(segment.acknowledged - this.unacknowledged);
    this.unacknowledged = segment.acknowledged;
    this.nextToSend = Math.max(this.nextToSend, this.unacknowledged);
    this.disarm();
    this.options.onProgress?.();
  }

  private receiveData(segment: Segment): void {
    if (segment.data.length === 0 && !segment.fin) {
      if (segment.probe) this.sendNothing();
      return;
    }
    const fresh = segment.data.subarray(Math.max(0, this.expected - segment.sequence));
    // What does not continue the stream, or came after the FIN, is answered and not taken; the sender repeats it.
    if (segment.sequence > this.expected || this.finReceived) {
      this.sendNothing();
      return;
    }
    const taken = this.discarding ? fresh : fresh.subarray(0, this.windowFree());
    this.expected += taken.length;
    if (taken.length > 0) this.options.onData?.(taken);
    if (!this.discarding) this.incoming.push(taken);
    if (segment.fin && taken.length === fresh.length) {
      this.finReceived = true;
      this.expected++;
      if (this.options.abortOnIdleFin && !this.finQueued && this.incoming.length === 0) {
        this.abort();
        return;
      }
    }
    this.sendNothing();
    this.options.onArrival?.();
  }

  /** Sends what the other side's window allows; the FIN travels with the last data when both are due. */
  private transmit(): void {
    if (this.state !== 'open') return;
    while (this.nextToSend < this.written) {
      const size = Math.min(this.options.mss, this.written - this.nextToSend, this.edge - this.nextToSend);
      if (size <= 0) break;
      const data = this.outgoing.peek(size, this.nextToSend - this.unacknowledged);
      const fin = this.finQueued && this.nextToSend + size === this.written;
      this.options.send(this.segment({ data, fin }));
      this.nextToSend += size + (fin ? 1 : 0);
    }
    if (this.finQueued && this.nextToSend === this.written) {
      this.options.send(this.segment({ fin: true }));
      this.nextToSend++;
    }
    if (this.nextToSend > this.unacknowledged || this.outgoing.length > 0) this.arm();
  }

  private finishWhenDone(): void {
    const finAcknowledged = this.unacknowledged > this.written;
    if (this.state === 'open' && this.finReceived && finAcknowledged) this.finish('closed');
  }

  private finish(state: TcpEndState): void {
    this.state = state;
    this.disarm();
    this.outgoing.clear();
    this.options.onState?.();
  }

  private arm(): void {
    if (this.alarm) return;
    const us = Math.min(RETRANSMIT_US * 2 ** this.retries, RETRANSMIT_MAX_US);
    this.alarm = this.options.timer(us, () => {
      this.alarm = undefined;
      this.retransmit();
    });
  }

  private disarm(): void {
    this.alarm?.cancel();
    this.alarm = undefined;
  }

  private retransmit(): void {
    if (this.over) return;
    this.retries++;
    if (this.retries > RETRANSMIT_LIMIT) {
      this.finish('timed-out');
      return;
    }
    if (this.state !== 'open') this.sendSyn();
    else if (this.nextToSend > this.unacknowledged) this.nextToSend = this.unacknowledged;
    else this.options.send(this.segment({ probe: true }));
    this.transmit();
    this.arm();
  }

  private sendSyn(): void {
    this.options.send(this.segment({ syn: true }));
  }

  private sendNothing(): void {
    this.options.send(this.segment({}));
  }

  private windowFree(): number {
    return Math.max(0, this.options.windowBytes - this.incoming.length);
  }

  private segment(parts: Partial<Segment>): Segment {
    const window = this.windowFree();
    this.advertisedEdge = this.expected + window;
    return {
      sequence: this.nextToSend,
      acknowledged: this.heard ? this.expected : -1,
      window,
      data: NOTHING,
      ...parts,
    };
  }
}
