/**
 * A listening TCP socket whose connections become TLS ones when the server turns to them, as the device's BearSSL server
 * does it. Source: spec chapter 04 §13. The device also speaks TLS 1.0 and 1.1, which OpenSSL here no longer does.
 */
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import type { Address, TcpConnection, TlsIdentity, TlsListener } from '../../ota-services/ports.ts';
import { NodeListener } from './node-listener.ts';
import { NodeTcpConnection, type NodeTcpOptions, resetSocket } from './node-tcp.ts';

const VERSION = 'TLSv1.2';

export class NodeTlsListener implements TlsListener {
  /** Listens; rejects with an Error that says what to do, or with one of OpenSSL for a bad certificate or key. */
  static async open(bind: Address, identity: TlsIdentity, options: NodeTcpOptions): Promise<NodeTlsListener> {
    const context = createSecureContext({ ...identity, minVersion: VERSION, maxVersion: VERSION });
    // The events show what is said inside TLS, not what can be seen of it from outside.
    const tcp = await NodeListener.open(bind, { ...options, emit: () => {} });
    return new NodeTlsListener(tcp, context, options);
  }

  private constructor(
    private readonly tcp: NodeListener,
    private readonly context: SecureContext,
    private readonly options: NodeTcpOptions,
  ) {}

  get local(): Address {
    return this.tcp.local;
  }

  accept(): TcpConnection | undefined {
    return this.tcp.accept();
  }

  close(): void {
    this.tcp.close();
  }

  async secure(connection: TcpConnection, timeoutMs: number): Promise<TcpConnection | undefined> {
    if (!(connection instanceof NodeTcpConnection)) throw new TypeError('secure(): not a connection of this listener');
    const carrier = connection.release();
    if (!carrier) return undefined;
    const socket = new TLSSocket(carrier, { isServer: true, secureContext: this.context });
    const secured = await this.options.life.guard(this.handshake(socket, timeoutMs));
    return secured ? new NodeTcpConnection(socket, this.options) : undefined;
  }

  /** False: there was none, and the connection is gone. */
  private handshake(socket: TLSSocket, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (secured: boolean): void => {
        clearTimeout(timer);
        forget();
        socket.off('secure', succeed).off('close', fail).off('end', fail);
        if (!secured) resetSocket(socket);
        resolve(secured);
      };
      const succeed = (): void => finish(true);
      const fail = (): void => finish(false);
      const timer = setTimeout(fail, timeoutMs);
      const forget = this.options.life.onEnd(fail);
      // What OpenSSL has to say about a peer that speaks something else ends in 'close', too.
      socket.on('error', () => {}).on('_tlsError', () => {});
      socket.once('secure', succeed).once('close', fail).once('end', fail);
    });
  }
}
