/** The core's `ESP8266WebServerSecure`: the web server behind TLS. Source: spec chapter 04 §13 (ESP8266WebServerSecure.h). */
import type { Network, TcpConnection, TcpListener, TlsIdentity, TlsListener } from '../ports.ts';
import { ESP8266WebServer, type WebServerPorts } from './web-server.ts';

const DEFAULT_PORT = 443;
/** The handshake blocks the sketch, at the longest so many milliseconds. */
const HANDSHAKE_WAIT = 15_000;

export interface WebServerSecurePorts extends WebServerPorts {
  readonly network: Pick<Network, 'listenTcp' | 'listenTls'>;
}

/** The underlying `WiFiServerSecure`, as far as sketches set it up. Texts are PEM. */
export interface ServerKeys {
  /** Before `begin`. */
  setRSACert(cert: string, key: string): void;
  /** Before `begin`. */
  setECCert(cert: string, key: string): void;
}

/**
 * Without a key it listens, but never turns to anybody.
 *
 * @example
 * const server = new ESP8266WebServerSecure(ports, 443);
 * server.getServer().setECCert(cert, key);
 * await server.begin();
 */
export class ESP8266WebServerSecure extends ESP8266WebServer {
  private identity: TlsIdentity | undefined;
  private listener: TlsListener | undefined;

  constructor(
    private readonly securePorts: WebServerSecurePorts,
    port: number = DEFAULT_PORT,
  ) {
    super(securePorts, port);
  }

  getServer(): ServerKeys {
    const set = (cert: string, key: string): void => {
      this.identity = { cert, key };
    };
    return { setRSACert: set, setECCert: set };
  }

  /** @throws Error on a network without TLS */
  protected override async listen(port: number): Promise<TcpListener> {
    const { network } = this.securePorts;
    this.listener = undefined;
    if (!this.identity) return await network.listenTcp(port);
    if (!network.listenTls) throw new Error('there is no TLS on this network');
    this.listener = await network.listenTls(port, this.identity);
    return this.listener;
  }

  protected override isAccepting(): boolean {
    return this.listener !== undefined;
  }

  protected override async pickUp(connection: TcpConnection): Promise<TcpConnection | undefined> {
    return await this.listener?.secure(connection, HANDSHAKE_WAIT);
  }
}
