/**
 * A TCP connection of the operating system, shown as lwIP and `WiFiClient` would (spec chapter 03 §6.3, §7).
 *
 * What differs from the chip, because Node's sockets do not tell: `flush` ends when the bytes are in the kernel, not when
 * the peer's TCP acknowledged them; a peer can be some 100 KB ahead in the kernel's buffers and in ours, although the
 * device sees no more than its window; and a RST is noticed late while a full window lies unread.
 */
import type { Socket } from 'node:net';
import type { Emit } from '../../flash/ports.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type { Address, StreamChannel, TcpConnection } from '../../ota-services/ports.ts';
import type { Life } from '../life.ts';
import { ByteQueue } from './byte-queue.ts';
import { Signal } from './signal.ts';
import { inNetworkContext, wallTimer, wireEvent } from './wire.ts';

/** After our FIN, the peer has so long for its own (lwIP: `TCP_FIN_WAIT_TIMEOUT`). */
const FIN_WAIT_MS = 20_000;
/**
 * So much is taken from the kernel before the device has read it, and so little left makes it go on. With one read of 64 KiB
 * at a time a fast upload took a tenth longer.
 */
const READ_AHEAD_BYTES = 0x40000;
const READ_ON_BYTES = 0x20000;

export interface NodeTcpOptions {
  readonly life: Life;
  readonly emit: Emit<WireEvent>;
  readonly windowBytes: number;
  /** In the events (tcp). */
  readonly channel?: StreamChannel;
}

export class NodeTcpConnection implements TcpConnection {
  readonly local: Address;
  readonly remote: Address;
  private readonly channel: StreamChannel;
  /** Received and not read; may hold more than the window, as the kernel hands over what it has. */
  private readonly incoming = new ByteQueue();
  private readonly changed: Signal;
  private readonly progressed: Signal;
  private ended = false;
  private closed = false;
  private over = false;
  private unsentBytes = 0;
  /** The device is about to be told that something came. */
  private telling = false;
  private linger: NodeJS.Timeout | undefined;
  private readonly letGo: () => void;

  /** @param socket connected, `allowHalfOpen`, without listeners that consume its data */
  constructor(
    private readonly socket: Socket,
    private readonly options: NodeTcpOptions,
  ) {
    this.local = { address: socket.localAddress ?? '0.0.0.0', port: socket.localPort ?? 0 };
    this.remote = { address: socket.remoteAddress ?? '0.0.0.0', port: socket.remotePort ?? 0 };
    this.channel = options.channel ?? 'tcp';
    const { life } = options;
    this.changed = new Signal(life, wallTimer);
    this.progressed = new Signal(life, wallTimer);
    const forget = life.onEnd(() => this.reset());
    const receive = (data: Buffer): void => this.receive(data);
    const receiveFin = (): void => this.receiveFin();
    const finish = (): void => {
      forget();
      clearTimeout(this.linger);
      this.over = true;
      this.unsentBytes = 0;
      this.progressed.fire();
      this.notify();
    };
    socket.setNoDelay(true);
    // Whatever goes wrong ends in 'close'; that is all lwIP's user hears, too.
    socket.on('error', () => {});
    socket.on('data', receive).on('end', receiveFin).on('close', finish);
    this.letGo = () => {
      forget();
      socket.off('data', receive).off('end', receiveFin).off('close', finish);
    };
  }

  available(): number {
    this.options.life.check();
    return Math.min(this.incoming.length, this.options.windowBytes);
  }

  read(max: number): Uint8Array {
    const data = this.peek(max);
    this.skip(data.length);
    return data;
  }

  peek(max: number): Uint8Array {
    return this.incoming.peek(Math.min(max, this.available()));
  }

  peekAhead(): Uint8Array {
    this.options.life.check();
    return this.incoming.peekPiece();
  }

  skip(count: number): void {
    this.incoming.drop(count);
    if (!this.closed && this.incoming.length < READ_ON_BYTES && this.socket.isPaused()) this.socket.resume();
  }

  connected(): boolean {
    this.options.life.check();
    return !this.over && !this.closed && !this.finReceived;
  }

  /** A FIN behind more than the window cannot have come yet, even if the kernel has it. */
  private get finReceived(): boolean {
    return this.ended && this.incoming.length <= this.options.windowBytes;
  }

  write(data: Uint8Array): boolean {
    if (!this.connected() || !this.socket.writable) return false;
    if (data.length === 0) return true;
    this.options.emit(wireEvent('wire.out', this.channel, this.remote, data));
    this.unsentBytes += data.length;
    // A copy: the kernel may take it later than the caller reuses its buffer.
    this.socket.write(data.slice(), () => {
      this.unsentBytes = Math.max(0, this.unsentBytes - data.length);
      this.progressed.fire();
    });
    return true;
  }

  async wait(ms: number): Promise<void> {
    await this.changed.wait(ms * 1000);
  }

  async flush(ms: number): Promise<void> {
    this.options.life.check();
    while (this.unsentBytes > 0 && (await this.progressed.wait(ms * 1000)));
  }

  close(): void {
    if (this.closed || this.options.life.ended) return;
    if (this.incoming.length > 0 || this.socket.readableLength > 0) {
      this.abort();
      return;
    }
    this.closed = true;
    if (this.over) return;
    // Closed in the kernel too: like lwIP, it then answers data that still comes with RST. espota.py relies on it to learn
    // that a flash error ended its upload.
    // TLS still has its farewell to send.
    if (this.socket.writableLength === 0 && !('encrypted' in this.socket)) {
      this.socket.destroy();
      return;
    }
    this.socket.end(() => this.socket.destroy());
    this.linger = setTimeout(() => this.reset(), FIN_WAIT_MS);
  }

  /**
   * Gives the socket away, paused, with everything that was received and not read still to come from it: for TLS, which
   * begins on a connection that has waited. This connection is over then.
   *
   * @returns undefined when the peer is gone already
   */
  release(): Socket | undefined {
    if (!this.connected()) {
      this.abort();
      return undefined;
    }
    this.letGo();
    this.closed = true;
    this.socket.pause();
    if (this.incoming.length > 0) this.socket.unshift(this.incoming.take(this.incoming.length));
    return this.socket;
  }

  abort(): void {
    this.closed = true;
    this.incoming.clear();
    this.reset();
  }

  private receive(data: Buffer): void {
    if (this.closed) return;
    this.options.emit(wireEvent('wire.in', this.channel, this.remote, data));
    this.incoming.give(data); // Node reads into a new buffer each time
    if (this.incoming.length >= READ_AHEAD_BYTES) this.socket.pause();
    // Once for all that comes in one turn: a fast upload is woken half as often.
    if (this.telling) return;
    this.telling = true;
    setImmediate(() => {
      this.telling = false;
      this.notify();
    });
  }

  private receiveFin(): void {
    if (this.closed || this.over) return;
    this.ended = true;
    if (this.incoming.length === 0) this.reset();
    this.notify();
  }

  private reset(): void {
    if (this.socket.destroyed) return;
    this.over = true;
    resetSocket(this.socket);
  }

  private notify(): void {
    const { life } = this.options;
    if (life.ended) return;
    inNetworkContext(life, () => this.changed.fire());
    life.wake();
  }
}

/**
 * RST, now. A plain close where the system refuses one (not connected yet, or our FIN is just leaving), and inside TLS:
 * Node 20.20 crashes when the TCP socket below a TLS one is reset.
 */
export function resetSocket(socket: Socket): void {
  const finLeaving = socket.writableEnded && !socket.writableFinished;
  if (!socket.connecting && !finLeaving && !('encrypted' in socket)) socket.resetAndDestroy();
  socket.destroy();
}
