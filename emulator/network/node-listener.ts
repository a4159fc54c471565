/** A listening TCP socket of the operating system with lwIP's accept queue in front. */
import { createServer, type Server, type Socket } from 'node:net';
import type { Address, TcpConnection, TcpListener } from '../../ota-services/ports.ts';
import { NodeTcpConnection, type NodeTcpOptions, resetSocket } from './node-tcp.ts';
import { bindingError, LISTEN_BACKLOG } from './wire.ts';

/**
 * lwIP ignores the SYN of a connection that exceeds the backlog, and the peer repeats it. The system has accepted it
 * already: such a connection waits here unread, up to this many; more are reset.
 */
const OVERFLOW_LIMIT = 64;

export class NodeListener implements TcpListener {
  local: Address;
  private readonly server: Server;
  /** Oldest first; the device sees the first {@link LISTEN_BACKLOG}. */
  private waiting: NodeTcpConnection[] = [];
  private readonly overflow: Socket[] = [];
  private closed = false;
  private forget: () => void = () => {};

  /** Listens; rejects with an Error that says what to do. */
  static open(bind: Address, options: NodeTcpOptions): Promise<NodeListener> {
    const listener = new NodeListener(bind, options);
    return options.life.guard(listener.listen().then(() => listener));
  }

  private constructor(
    bind: Address,
    private readonly options: NodeTcpOptions,
  ) {
    this.local = bind;
    this.server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.arrive(socket));
  }

  accept(): TcpConnection | undefined {
    this.options.life.check();
    const connection = this.waiting.shift();
    this.refill();
    return connection;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.forget();
    this.server.close();
    for (const connection of this.waiting.splice(0)) connection.abort();
    for (const socket of this.overflow.splice(0)) resetSocket(socket);
  }

  private listen(): Promise<void> {
    const { life } = this.options;
    this.forget = life.onEnd(() => this.close());
    return new Promise((resolve, reject) => {
      this.server.once('error', (error) => {
        this.close();
        reject(bindingError('TCP', this.local, error));
      });
      this.server.listen({ host: this.local.address, port: this.local.port, exclusive: true }, () => {
        if (this.closed) {
          this.server.close(); // the life ended while the system was still opening the port
          return;
        }
        this.server.removeAllListeners('error');
        // A connection that broke before it could be accepted is none.
        this.server.on('error', () => {});
        const address = this.server.address();
        if (address !== null && typeof address === 'object') this.local = { ...this.local, port: address.port };
        resolve();
      });
    });
  }

  private arrive(socket: Socket): void {
    socket.on('error', () => {});
    if (this.closed || this.overflow.length >= OVERFLOW_LIMIT) {
      resetSocket(socket);
      return;
    }
    this.overflow.push(socket);
    this.refill();
  }

  private refill(): void {
    while (this.waiting.length < LISTEN_BACKLOG && this.overflow.length > 0) {
      const socket = this.overflow.shift()!;
      if (socket.destroyed) continue;
      const connection = new NodeTcpConnection(socket, this.options);
      socket.resume();
      this.waiting.push(connection);
      this.options.life.wake();
    }
  }
}
