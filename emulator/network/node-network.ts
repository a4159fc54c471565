/**
 * The device on the sockets of this machine. It listens on one address only, the one that stands for the station's
 * IP (127.0.0.1 unless told otherwise), and sends from it. When a life ends, its TCP connections end with RST: the system
 * owns them and would say so anyway, whereas a real chip just falls silent.
 */
import { lookup } from 'node:dns/promises';
import { createConnection, isIPv4, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Emit } from '../../flash/ports.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type {
  Address,
  Network,
  StreamChannel,
  TcpConnection,
  TcpListener,
  TlsIdentity,
  TlsListener,
  TlsOptions,
  UdpSocket,
} from '../../ota-services/ports.ts';
import type { Life } from '../life.ts';
import { NodeListener } from './node-listener.ts';
import { NodeTcpConnection, type NodeTcpOptions, resetSocket } from './node-tcp.ts';
import { NodeUdpSocket } from './node-udp.ts';
import { checkPort, DEFAULT_WINDOW_BYTES } from './wire.ts';

const ANY = '0.0.0.0';
const LOOPBACK_NETMASK = '255.0.0.0';
const USUAL_NETMASK = '255.255.255.0';

export interface NodeNetworkOptions {
  /** IPv4 address to listen on; 0.0.0.0 for all of this machine's. */
  readonly host: string;
  readonly emit: Emit<WireEvent>;
  /** Address of the interface for multicast (`host`, or for 0.0.0.0 the first that is not loopback). */
  readonly mdnsInterface?: string | undefined;
  /** Receive window as the device shows it (2144). */
  readonly windowBytes?: number | undefined;
}

export interface NodeNetwork {
  /** The network of one life; everything opened through it ends with that life. */
  forDevice(life: Life): Network;
}

/**
 * @throws RangeError when an address is not a dotted IPv4 address
 * @example
 * const network = nodeNetwork({ host: '127.0.0.1', emit: (event) => console.log(event) }).forDevice(life);
 * const socket = await network.bindUdp(8266);
 */
export function nodeNetwork(options: NodeNetworkOptions): NodeNetwork {
  const { host, mdnsInterface } = options;
  for (const address of [host, mdnsInterface]) {
    if (address !== undefined && !isIPv4(address)) {
      throw new RangeError(`the device listens on a dotted IPv4 address, not on "${address}"`);
    }
  }
  return { forDevice: (life) => new NodeDevice(options, life) };
}

class NodeDevice implements Network {
  readonly address: string;
  readonly netmask: string;
  private readonly tcp: NodeTcpOptions;

  constructor(
    private readonly options: NodeNetworkOptions,
    private readonly life: Life,
  ) {
    this.address = stationAddress(options);
    this.netmask = netmaskOf(this.address);
    this.tcp = { life, emit: options.emit, windowBytes: options.windowBytes ?? DEFAULT_WINDOW_BYTES };
  }

  async bindUdp(port: number): Promise<UdpSocket> {
    this.life.check();
    const bind = { address: this.options.host, port: checkPort(port) };
    return NodeUdpSocket.open({ life: this.life, emit: this.options.emit, bind });
  }

  async joinMulticast(group: string, port: number): Promise<UdpSocket> {
    this.life.check();
    const interfaceAddress = this.options.mdnsInterface ?? this.address;
    return NodeUdpSocket.open({
      life: this.life,
      emit: this.options.emit,
      // Bound to one address, a socket sees no multicast on Linux.
      bind: { address: ANY, port: checkPort(port, 1) },
      multicast: { group, interfaceAddress },
      // So it also hears other interfaces: a device that lives on loopback stays unknown outside.
      ...(isLoopback(interfaceAddress) ? { accepts: ({ address }: Address) => isOwn(address) } : {}),
    });
  }

  async connectTcp(to: Address, timeoutMs: number, channel?: StreamChannel): Promise<TcpConnection | undefined> {
    const socket = await this.connect(to, timeoutMs);
    return socket && new NodeTcpConnection(socket, this.tcpAs(channel));
  }

  async connectTls(
    to: Address,
    options: TlsOptions,
    timeoutMs: number,
    channel?: StreamChannel,
  ): Promise<TcpConnection | { readonly error: string }> {
    const socket = await this.connect(to, timeoutMs);
    if (!socket) return { error: `no TCP connection to ${to.address}:${to.port}` };
    const { startTls } = await this.life.guard(import('./node-tls.ts'));
    const secured = await this.life.guard(startTls(socket, options, this.life));
    if (typeof secured === 'string') return { error: secured };
    return new NodeTcpConnection(secured, this.tcpAs(channel));
  }

  async resolve(host: string, timeoutMs: number): Promise<string | undefined> {
    this.life.check();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<undefined>((done) => {
      timer = setTimeout(() => done(undefined), timeoutMs);
    });
    // A name that is none makes lookup() throw before it asks anybody.
    const answer = (async () => (await lookup(host, { family: 4 })).address)().catch(() => undefined);
    try {
      return await this.life.guard(Promise.race([answer, timeout]));
    } finally {
      clearTimeout(timer);
    }
  }

  async listenTcp(port: number, channel?: StreamChannel): Promise<TcpListener> {
    this.life.check();
    return NodeListener.open({ address: this.options.host, port: checkPort(port) }, this.tcpAs(channel));
  }

  async listenTls(port: number, identity: TlsIdentity, channel?: StreamChannel): Promise<TlsListener> {
    this.life.check();
    const bind = { address: this.options.host, port: checkPort(port) };
    // Most devices have no TLS, and to load it takes Node a tenth of their start.
    const { NodeTlsListener } = await this.life.guard(import('./node-tls-listener.ts'));
    return NodeTlsListener.open(bind, identity, this.tcpAs(channel));
  }

  private tcpAs(channel: StreamChannel = 'tcp'): NodeTcpOptions {
    // Field by field: what the spread operator makes changes its shape after some lives, and the engine begins anew.
    const { life, emit, windowBytes } = this.tcp;
    return { life, emit, windowBytes, channel };
  }

  private async connect(to: Address, timeoutMs: number): Promise<Socket | undefined> {
    this.life.check();
    checkPort(to.port, 1);
    // Loopback and the rest of the world cannot talk to each other.
    const bindable = this.options.host !== ANY && isLoopback(this.options.host) === isLoopback(to.address);
    const socket = createConnection({
      host: to.address,
      port: to.port,
      family: 4,
      allowHalfOpen: true,
      noDelay: true,
      ...(bindable ? { localAddress: this.options.host } : {}),
    });
    return (await this.life.guard(settled(socket, timeoutMs, this.life))) ? socket : undefined;
  }
}

/** True when connected, in time; otherwise the socket is gone. */
function settled(socket: Socket, timeoutMs: number, life: Life): Promise<boolean> {
  return new Promise((resolve) => {
    const finish = (connected: boolean): void => {
      clearTimeout(timer);
      forget();
      socket
        .removeListener('connect', succeed)
        .removeListener('error', fail)
        .on('error', () => {});
      if (!connected) resetSocket(socket);
      resolve(connected);
    };
    const succeed = (): void => finish(true);
    const fail = (): void => finish(false);
    const timer = setTimeout(fail, timeoutMs);
    const forget = life.onEnd(fail);
    socket.once('connect', succeed);
    socket.once('error', fail);
  });
}

function stationAddress({ host, mdnsInterface }: NodeNetworkOptions): string {
  if (host !== ANY) return host;
  const outward = ownInterfaces().find((one) => !one.internal);
  return mdnsInterface ?? outward?.address ?? '127.0.0.1';
}

function netmaskOf(address: string): string {
  const found = ownInterfaces().find((one) => one.address === address);
  return found?.netmask ?? (isLoopback(address) ? LOOPBACK_NETMASK : USUAL_NETMASK);
}

function ownInterfaces() {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter((one) => one.family === 'IPv4'));
}

function isOwn(address: string): boolean {
  return isLoopback(address) || ownInterfaces().some((one) => one.address === address);
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.');
}
