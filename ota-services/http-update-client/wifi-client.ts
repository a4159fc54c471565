/**
 * The core's `WiFiClient` and `WiFiClientSecure` as far as a program that connects uses them: names, time limits, and which
 * connection is open. Source: spec chapter 04 §15, §20 step 7, §23.
 */
import type { Address, Clock, Network, TcpConnection, TlsTrust } from '../ports.ts';
import { type ByteSource, TimedStream } from '../stream.ts';
import { CLIENT_STOP_FLUSH_WAIT } from '../web-server/constants.ts';

/** Of a client that nobody configured. */
const DEFAULT_TIMEOUT_MS = 5000;
/** `peekBytes` of a TLS client waits so long, whatever its timeout. */
const TLS_PEEK_MS = 5000;
const SHA1_BYTES = 20;

export interface WiFiClientPorts {
  readonly clock: Clock;
  readonly network: Network;
}

/**
 * A plain TCP client: one connection at a time.
 *
 * @example
 * const client = new WiFiClient({ clock, network });
 * if (await client.connect('updates.local', 8000)) client.write(bytes);
 */
export class WiFiClient implements ByteSource {
  /** Why the last `connect` failed, in words: the device itself does not know. */
  failure: string | undefined;
  protected timeoutMs = DEFAULT_TIMEOUT_MS;
  private opened: TcpConnection | undefined;

  constructor(protected readonly ports: WiFiClientPorts) {}

  /** The longest wait of `connect` (for the name and for the connection, each) and for a byte. */
  setTimeout(ms: number): void {
    this.timeoutMs = ms;
  }

  get connection(): TcpConnection | undefined {
    return this.opened;
  }

  /** @param host dotted IPv4, or a name for DNS; an IPv6 address is neither */
  async connect(host: string, port: number): Promise<boolean> {
    if (this.opened) await this.stop();
    this.failure = undefined;
    const { network } = this.ports;
    const address = isDottedIpv4(host) ? host : await network.resolve?.(host, this.timeoutMs);
    if (address === undefined) this.failure = `DNS: no address for "${host}"`;
    else if (port === 0) this.failure = 'TCP: nobody listens on port 0';
    else this.opened = await this.open({ address, port }, host);
    return this.opened !== undefined;
  }

  /** False once the peer sent FIN or RST; unread bytes may remain. */
  connected(): boolean {
    return this.opened?.connected() ?? false;
  }

  available(): number {
    return this.opened?.available() ?? 0;
  }

  read(max: number): Uint8Array {
    return this.opened?.read(max) ?? NOTHING;
  }

  peek(max: number): Uint8Array {
    return this.opened?.peek(max) ?? NOTHING;
  }

  write(bytes: Uint8Array): boolean {
    return this.opened?.write(bytes) ?? false;
  }

  /**
   * Waits for something to arrive. Of a connection that is gone nobody outside waits for anything: then it is the device's
   * own time that passes.
   */
  async wait(ms: number): Promise<void> {
    if (this.opened?.connected()) await this.opened.wait(ms);
    else await this.ports.clock.delay(ms);
  }

  /** The first `length` bytes, without taking them; fewer when they did not come in time. Does not notice a peer that is gone. */
  async peekBytes(length: number): Promise<Uint8Array> {
    const { clock } = this.ports;
    const startedAt = clock.millis();
    while (this.available() < length) {
      const left = this.peekTimeoutMs() - ((clock.millis() - startedAt) >>> 0);
      if (left <= 0) break;
      await this.wait(left);
    }
    return this.peek(length);
  }

  /** For `Update.writeStream`: waits at most the client's timeout for each byte. */
  stream(): TimedStream {
    return new TimedStream(this, this.ports.clock, this.timeoutMs);
  }

  /** Closes: FIN, or RST when unread bytes remain. */
  async stop(): Promise<void> {
    const connection = this.opened;
    if (!connection) return;
    await connection.flush(CLIENT_STOP_FLUSH_WAIT);
    connection.close();
    this.opened = undefined;
  }

  protected peekTimeoutMs(): number {
    return this.timeoutMs;
  }

  protected async open(to: Address, _host: string): Promise<TcpConnection | undefined> {
    const connection = await this.ports.network.connectTcp(to, this.timeoutMs);
    if (!connection) this.failure = `TCP: ${to.address}:${to.port} refuses the connection or does not answer`;
    return connection;
  }
}

/**
 * TLS. Nothing is trusted until one of the setters was called; each replaces what another has set.
 *
 * @example
 * const client = new WiFiClientSecure({ clock, network });
 * client.setFingerprint('5A CF FE F0 F1 A6 F4 5F D2 11 11 C6 1D 2F 0E BC 39 8D 50 E0');
 */
export class WiFiClientSecure extends WiFiClient {
  private trust: TlsTrust | undefined;

  /** Any server is trusted. */
  setInsecure(): void {
    this.trust = { insecure: true };
  }

  /** @param pem certificates of the authorities, or the server's own */
  setTrustAnchors(pem: string): void {
    this.trust = { ca: pem };
  }

  /**
   * @param fingerprint SHA-1 of the server's certificate: 20 bytes, or 40 hex digits, with spaces or colons between bytes
   * @returns false, and nothing changes, for a text that is none
   */
  setFingerprint(fingerprint: Uint8Array | string): boolean {
    const bytes = typeof fingerprint === 'string' ? parseFingerprint(fingerprint) : fingerprint.slice(0, SHA1_BYTES);
    if (bytes?.length !== SHA1_BYTES) return false;
    this.trust = { fingerprint: bytes };
    return true;
  }

  protected override peekTimeoutMs(): number {
    return TLS_PEEK_MS;
  }

  protected override async open(to: Address, host: string): Promise<TcpConnection | undefined> {
    const { network } = this.ports;
    if (!this.trust) this.failure = 'TLS: no trust is set (a CA, a fingerprint, or insecure)';
    else if (!network.connectTls) this.failure = 'TLS: this network has none';
    else {
      const opened = await network.connectTls(to, { host, trust: this.trust }, this.timeoutMs);
      if (!('error' in opened)) return opened;
      this.failure = `TLS: ${opened.error}`;
    }
    return undefined;
  }
}

const NOTHING = new Uint8Array(0);

function isDottedIpv4(host: string): boolean {
  const parts = host.split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
}

function parseFingerprint(text: string): Uint8Array | undefined {
  if (!/^[ :]*([0-9a-f]{2}[ :]*){20}$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/[0-9a-f]{2}/gi)!, (byte) => Number.parseInt(byte, 16));
}
