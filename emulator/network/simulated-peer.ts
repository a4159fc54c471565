/**
 * The peers' side of a `SimulatedNetwork`: what a test, or a program that uses the library, holds in its hands.
 * Everything here happens in device time; nothing moves until somebody advances the clock.
 */
import type { Address } from '../../ota-services/ports.ts';
import { ByteQueue } from './byte-queue.ts';
import type { TcpEnd } from './simulated-tcp.ts';

export interface ReceivedDatagram {
  readonly data: Uint8Array;
  readonly from: Address;
  readonly atUs: number;
}

/** What the network does for a peer's UDP socket. */
export interface PeerUdpShell {
  readonly local: Address;
  /** Where datagrams go when nobody says otherwise: the device. */
  readonly deviceAddress: string;
  send(data: Uint8Array, to: Address): void;
  close(): void;
}

/** A UDP socket of a peer. */
export class PeerUdpSocket {
  /** Every datagram that came, oldest first. */
  readonly received: ReceivedDatagram[] = [];
  private listener: ((datagram: ReceivedDatagram) => void) | undefined;

  constructor(private readonly shell: PeerUdpShell) {}

  get local(): Address {
    return this.shell.local;
  }

  /** @param to an address, or a port of the device */
  send(data: Uint8Array | string, to: Address | number): void {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    this.shell.send(bytes, typeof to === 'number' ? { address: this.shell.deviceAddress, port: to } : to);
  }

  /** Called for each datagram from now on; they are kept in `received` all the same. */
  onDatagram(listener: (datagram: ReceivedDatagram) => void): void {
    this.listener = listener;
  }

  close(): void {
    this.shell.close();
  }

  /** For the network. */
  deliver(datagram: ReceivedDatagram): void {
    this.received.push(datagram);
    this.listener?.(datagram);
  }
}

export type PeerState =
  | 'connecting'
  | 'open'
  /** The device sent FIN; we may still write. */
  | 'device-ended'
  /** We sent FIN; the device may still write. */
  | 'we-ended'
  /** FIN in both directions, all acknowledged. */
  | 'closed'
  /** The device sent RST. */
  | 'reset'
  /** We sent RST. */
  | 'aborted'
  /** RST in answer to our SYN. */
  | 'refused'
  /** Nothing came back, 12 repetitions long. */
  | 'timed-out';

/** What the network does for a peer's connection. */
export interface PeerConnectionShell {
  readonly local: Address;
  readonly remote: Address;
  readonly end: TcpEnd;
  nowUs(): number;
}

/** A TCP connection as the peer sees it. */
export class PeerConnection {
  /** Each state with the device time at which it began. */
  readonly history: { readonly state: PeerState; readonly atUs: number }[] = [];
  /** Bytes that came from the device so far, read or not. */
  receivedBytes = 0;
  private readonly unread = new ByteQueue();
  private dataListener: ((data: Uint8Array) => void) | undefined;
  private stateListener: ((state: PeerState) => void) | undefined;

  constructor(private readonly shell: PeerConnectionShell) {
    this.update();
  }

  get local(): Address {
    return this.shell.local;
  }

  get remote(): Address {
    return this.shell.remote;
  }

  get state(): PeerState {
    return this.history.at(-1)!.state;
  }

  /** Bytes written that the device's TCP has not acknowledged; what its window does not take waits here. */
  get pendingBytes(): number {
    return this.shell.end.pending;
  }

  /** Queues bytes for the device. False once either of us has ended this direction. */
  write(data: Uint8Array | string): boolean {
    return this.shell.end.write(toBytes(data));
  }

  /** FIN, in the same segment as the last of `data` (or of what is queued): the device sees both at one instant. */
  end(data: Uint8Array | string = ''): void {
    this.shell.end.write(toBytes(data), true);
    this.update();
  }

  /** RST at once. */
  reset(): void {
    this.shell.end.abort();
  }

  /** Takes what came from the device and was not yet read; with a listener installed, nothing. */
  read(): Uint8Array {
    return this.unread.take(this.unread.length);
  }

  /** As {@link PeerConnection.read}, as Latin-1 text. */
  readText(): string {
    return String.fromCharCode(...this.read());
  }

  /** Called with everything unread, and from now on with each piece as it arrives. */
  onData(listener: (data: Uint8Array) => void): void {
    this.dataListener = listener;
    if (this.unread.length > 0) listener(this.read());
  }

  /** Called at each change of `state` from now on. */
  onState(listener: (state: PeerState) => void): void {
    this.stateListener = listener;
  }

  /** For the network: bytes or a FIN arrived. */
  arrived(): void {
    const data = this.shell.end.read(Number.MAX_SAFE_INTEGER);
    if (data.length > 0) {
      this.receivedBytes += data.length;
      if (this.dataListener) this.dataListener(data);
      else this.unread.push(data);
    }
    this.update();
  }

  /** For the network: the end changed its state. */
  update(): void {
    const state = this.currentState();
    if (this.history.length > 0 && this.state === state) return;
    this.history.push({ state, atUs: this.shell.nowUs() });
    this.stateListener?.(state);
  }

  private currentState(): PeerState {
    const { state, finReceived, finQueued } = this.shell.end;
    if (state === 'answering') return 'connecting';
    if (state === 'vanished') return 'aborted';
    if (state !== 'open') return state;
    if (finReceived) return finQueued ? 'closed' : 'device-ended';
    return finQueued ? 'we-ended' : 'open';
  }
}

/** A listening TCP socket of a peer. */
export class PeerListener {
  private readonly waiting: PeerConnection[] = [];
  private listener: ((connection: PeerConnection) => void) | undefined;

  constructor(
    readonly local: Address,
    private readonly shut: () => void,
  ) {}

  /** The oldest connection that nobody took, if any. */
  accept(): PeerConnection | undefined {
    return this.waiting.shift();
  }

  /** Called with every connection instead of queueing it for {@link PeerListener.accept}. */
  onConnection(listener: (connection: PeerConnection) => void): void {
    this.listener = listener;
    for (const connection of this.waiting.splice(0)) listener(connection);
  }

  close(): void {
    this.shut();
  }

  /** For the network: the handshake is complete. */
  deliver(connection: PeerConnection): void {
    if (this.listener) this.listener(connection);
    else this.waiting.push(connection);
  }
}

function toBytes(data: Uint8Array | string): Uint8Array {
  return typeof data === 'string' ? new TextEncoder().encode(data) : data;
}
