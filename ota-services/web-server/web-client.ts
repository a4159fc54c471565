/** The connection that is being served, as a sketch sees it (`WiFiClient`). Source: spec chapter 04 §1, §6. */
import type { Clock, TcpConnection } from '../ports.ts';
import { CLIENT_STOP_FLUSH_WAIT, HTTP_DOWNLOAD_UNIT_SIZE, HTTP_MAX_SEND_WAIT, TCP_SND_BUF } from './constants.ts';

export class WebClient {
  /** The peer's FIN came while bytes of it were unread: the connection is there, but nothing can be sent. */
  private halfClosed = false;
  /** Written since the last wait for acknowledgements. */
  private unacknowledged = 0;
  private stopped = false;

  constructor(
    readonly connection: TcpConnection,
    private readonly clock: Clock,
  ) {}

  /** Dotted IPv4. */
  remoteIP(): string {
    return this.connection.remote.address;
  }

  remotePort(): number {
    return this.connection.remote.port;
  }

  /** `ip:port` of the peer. */
  get peer(): string {
    const { address, port } = this.connection.remote;
    return `${address}:${port}`;
  }

  available(): number {
    return this.stopped ? 0 : this.connection.available();
  }

  /** False once the peer sent FIN or RST, also while bytes of it are unread. */
  connected(): boolean {
    if (this.stopped) return false;
    const connected = this.connection.connected();
    // lwIP ends a connection at once whose FIN finds nothing unread: what has unread bytes now is only half closed.
    if (!connected && this.connection.available() > 0) this.halfClosed = true;
    return connected;
  }

  /** Nagle's algorithm: the emulated network has none, so this is here for the sketch's sake only. */
  setNoDelay(_noDelay: boolean): void {}

  /**
   * Sends bytes, waiting while the send buffer is full, at most 5 s without progress. On a half-closed connection it waits
   * the whole 5 s, for nothing.
   *
   * @returns false when not all of it could be sent
   */
  async write(bytes: Uint8Array): Promise<boolean> {
    for (let from = 0; from < bytes.length; from += HTTP_DOWNLOAD_UNIT_SIZE) {
      const piece = bytes.subarray(from, from + HTTP_DOWNLOAD_UNIT_SIZE);
      if (!this.connected() || !this.connection.write(piece)) {
        if (this.halfClosed && !this.stopped) await this.clock.delay(HTTP_MAX_SEND_WAIT, 'peer');
        return false;
      }
      this.unacknowledged += piece.length;
      if (this.unacknowledged > TCP_SND_BUF && !(await this.acknowledged())) return false;
    }
    return true;
  }

  /** Sends what is left, at most 300 ms without progress, then closes: FIN, whatever the peer sent meanwhile. */
  async stop(maxWaitMs: number = CLIENT_STOP_FLUSH_WAIT): Promise<void> {
    if (this.stopped) return;
    await this.connection.flush(maxWaitMs);
    this.drop();
  }

  /** Forgets unread bytes and closes with FIN. */
  drop(): void {
    if (this.stopped) return;
    // Each reading may let in more: what came before the close must not make it a RST.
    while (this.connection.available() > 0) this.connection.read(this.connection.available());
    this.end();
  }

  /** Closes with what is unread: RST if there is any, else FIN. */
  close(): void {
    if (this.stopped) return;
    this.end();
  }

  private end(): void {
    this.stopped = true;
    this.connection.close();
  }

  private async acknowledged(): Promise<boolean> {
    const startedAt = this.clock.millis();
    await this.connection.flush(HTTP_MAX_SEND_WAIT);
    this.unacknowledged = 0;
    // A flush that took so long ended without success; the counter of milliseconds wraps.
    return this.connection.connected() && (this.clock.millis() - startedAt) >>> 0 < HTTP_MAX_SEND_WAIT;
  }
}
