/**
 * The TCP connections that a sketch's objects hold, so that an update can close them first (`WiFiClient::stopAllExcept`).
 * Connections that nobody has accepted yet, and the sockets of ArduinoOTA and mDNS, are not among them.
 * Source: spec chapter 04 §20 step 5.
 */
import type { Network, TcpConnection, TcpListener, TlsListener } from '../ports.ts';
import { CLIENT_STOP_FLUSH_WAIT } from '../web-server/constants.ts';

export class OpenConnections {
  private readonly open = new Set<TcpConnection>();

  /** The same network; what is connected or accepted through it is remembered. */
  watch(network: Network): Network {
    const { netmask, resolve, connectTls, listenTls } = network;
    return {
      address: network.address,
      ...(netmask === undefined ? {} : { netmask }),
      bindUdp: (port) => network.bindUdp(port),
      joinMulticast: (group, port) => network.joinMulticast(group, port),
      connectTcp: async (to, timeoutMs) => this.remember(await network.connectTcp(to, timeoutMs)),
      listenTcp: async (port) => this.watchListener(await network.listenTcp(port)),
      ...(resolve ? { resolve: resolve.bind(network) } : {}),
      ...(listenTls
        ? {
            listenTls: async (...parameters: Parameters<typeof listenTls>) => {
              const listener = await listenTls.apply(network, parameters);
              return {
                ...this.watchListener(listener),
                secure: async (connection, timeoutMs) => this.remember(await listener.secure(connection, timeoutMs)),
              } satisfies TlsListener;
            },
          }
        : {}),
      ...(connectTls
        ? {
            connectTls: async (...parameters: Parameters<typeof connectTls>) => {
              const connection = await connectTls.apply(network, parameters);
              return 'error' in connection ? connection : this.remember(connection);
            },
          }
        : {}),
    };
  }

  /** Closes every one but `kept`. */
  async stopAllExcept(kept: TcpConnection | undefined): Promise<void> {
    for (const connection of [...this.open]) {
      if (connection === kept) continue;
      this.open.delete(connection);
      if (connection.connected()) await connection.flush(CLIENT_STOP_FLUSH_WAIT);
      connection.close();
    }
  }

  private remember<T extends TcpConnection | undefined>(connection: T): T {
    if (connection) {
      for (const old of this.open) if (!old.connected() && old.available() === 0) this.open.delete(old);
      this.open.add(connection);
    }
    return connection;
  }

  private watchListener(listener: TcpListener): TcpListener {
    return {
      local: listener.local,
      accept: () => this.remember(listener.accept()),
      close: () => listener.close(),
    };
  }
}
