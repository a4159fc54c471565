/** Serial hosts on TCP: a plain byte pipe (`socket://`), or RFC 2217 (`rfc2217://`). Shells over {@link SerialPort}. */
import { createServer, type Server, type Socket } from 'node:net';
import type { HostPort } from '../events.ts';
import { ListenError } from '../network/device-network.ts';
import { Outbox } from './outbox.ts';
import type { SerialConnection, SerialPort } from './serial-port.ts';
import { TelnetComPort } from './telnet-com-port.ts';

/** After so long without a word from a host the system asks whether it is still there. */
const KEEP_ALIVE_MS = 15_000;

export interface SerialListener {
  readonly close: () => void;
}

/**
 * Listens for hosts on TCP.
 *
 * @param at port 0 lets the system choose
 * @throws ListenError when the port is taken or the address is not of this machine
 */
export function listenForHosts(
  port: SerialPort,
  kind: 'tcp' | 'rfc2217',
  at: HostPort,
): Promise<SerialListener & { readonly address: HostPort }> {
  const server = createServer({ noDelay: true }, (socket) => new SocketHost(socket, port, kind));
  return listen(server, { host: at.host, port: at.port, exclusive: true }).then(
    (close) => {
      const bound = server.address();
      const number = bound !== null && typeof bound === 'object' ? bound.port : at.port;
      return { close, address: { host: at.host, port: number } };
    },
    (error: NodeJS.ErrnoException) => {
      throw new ListenError(
        error.code === 'EADDRINUSE'
          ? `serial: TCP port ${at.port} on ${at.host} is in use; choose another, or 0`
          : `serial: cannot listen on ${at.host} port ${at.port} (${error.code ?? error.message})`,
      );
    },
  );
}

/** Listens on a socket file, for the bridge of a pseudo-terminal. */
export async function listenOnFile(
  port: SerialPort,
  file: string,
  peer: string,
  onHost: () => void,
): Promise<SerialListener> {
  const server = createServer((socket) => {
    new SocketHost(socket, port, 'tcp', peer);
    onHost();
  });
  return { close: await listen(server, { path: file }) };
}

async function listen(
  server: Server,
  at: { path: string } | { host: string; port: number; exclusive: true },
): Promise<() => void> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      server.off('error', reject);
      // A connection that broke before it was accepted is none.
      server.on('error', () => {});
      resolve();
    });
  });
  return () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
}

/** One connection. Output that its peer does not read waits in an {@link Outbox}. */
class SocketHost {
  private readonly outbox = new Outbox();
  private readonly telnet: TelnetComPort | undefined;
  private readonly connection: SerialConnection | undefined;
  private writing = false;

  constructor(
    private readonly socket: Socket,
    port: SerialPort,
    kind: 'tcp' | 'rfc2217',
    peer = `${socket.remoteAddress}:${socket.remotePort}`,
  ) {
    // A host may leave at any time, and one whose machine went away without a word must not keep the loader for ever.
    socket.on('error', () => socket.destroy());
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    const telnet = kind === 'rfc2217' ? new TelnetComPort() : undefined;
    this.telnet = telnet;
    this.connection = port.connect({
      peer,
      lines: telnet !== undefined,
      write: (bytes) => {
        this.outbox.push(telnet ? TelnetComPort.encode(bytes) : Uint8Array.from(bytes));
        this.flush();
      },
    });
    if (!this.connection) {
      socket.destroy();
      return;
    }
    socket.on('data', (bytes) => this.receive(bytes));
    socket.once('close', () => this.connection?.close());
  }

  private receive(bytes: Uint8Array): void {
    const connection = this.connection!;
    if (!this.telnet) return connection.receive(bytes);
    for (const action of this.telnet.receive(bytes)) {
      switch (action.do) {
        case 'data':
          connection.receive(action.bytes);
          break;
        case 'answer':
          if (!this.outbox.answer(action.bytes)) return void this.socket.destroy();
          break;
        case 'baud':
          connection.setBaud(action.rate);
          break;
        case 'lines':
          connection.setLines(action);
          break;
        case 'purge':
          // The chip takes what it gets at once: nothing waits on the way in.
          if (action.output) this.outbox.purge();
          break;
        default:
          action satisfies never;
      }
    }
    this.flush();
  }

  /** Hands over what waits, when the system has taken what came before. */
  private flush(): void {
    if (this.writing || this.socket.destroyed) return;
    const bytes = this.outbox.take();
    if (!bytes) return;
    this.writing = true;
    this.socket.write(bytes, () => {
      this.writing = false;
      this.flush();
    });
  }
}
