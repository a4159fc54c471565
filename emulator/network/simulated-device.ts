/** The device's side of a `SimulatedNetwork`, for one life: the ports of `ota-services/ports.ts`. */
import type {
  Address,
  Network,
  StreamChannel,
  TcpConnection,
  TcpListener,
  UdpSocket,
} from '../../ota-services/ports.ts';
import type { Life } from '../life.ts';
import { Signal } from './signal.ts';
import type { SimulatedLink } from './simulated-link.ts';
import { type Segment, TcpEnd } from './simulated-tcp.ts';
import { addressKey, checkPort, connectionKey, inNetworkContext, LISTEN_BACKLOG, wireEvent } from './wire.ts';

export class SimulatedDevice implements Network {
  readonly address: string;
  private readonly sockets = new Map<number, SimulatedUdpSocket>();
  /** Multicast members by `group:port`; one device may join a group once per responder. */
  private readonly members = new Map<string, Set<SimulatedUdpSocket>>();
  private readonly listeners = new Map<number, SimulatedListener>();
  private readonly connections = new Map<string, TcpEnd>();

  constructor(
    readonly network: SimulatedLink,
    readonly life: Life,
  ) {
    this.address = network.address;
    life.onEnd(() => {
      for (const end of [...this.connections.values()]) {
        if (network.settings.onLifeEnd === 'reset') end.abort();
        else end.vanish();
      }
    });
  }

  async bindUdp(port: number): Promise<UdpSocket> {
    this.life.check();
    const local = { address: this.address, port: checkPort(port) || this.network.ephemeralPort() };
    if (this.sockets.has(local.port)) throw new Error(`UDP port ${addressKey(local)} is in use`);
    const socket = new SimulatedUdpSocket(this, local, 'udp', () => void this.sockets.delete(local.port));
    this.sockets.set(local.port, socket);
    return socket;
  }

  async joinMulticast(group: string, port: number): Promise<UdpSocket> {
    this.life.check();
    const key = addressKey({ address: group, port: checkPort(port, 1) });
    const members = this.members.get(key) ?? new Set();
    const socket = new SimulatedUdpSocket(this, { address: this.address, port }, 'mdns', () => members.delete(socket));
    this.members.set(key, members.add(socket));
    return socket;
  }

  async connectTcp(to: Address, timeoutMs: number, channel?: StreamChannel): Promise<TcpConnection | undefined> {
    this.life.check();
    checkPort(to.port, 1);
    const local = { address: this.address, port: this.network.ephemeralPort() };
    const connection = new SimulatedConnection(this, local, { ...to }, channel, 'connect');
    connection.end.start();
    if (connection.end.state === 'connecting') await connection.changed.wait(timeoutMs * 1000);
    if (connection.end.state === 'open') return connection;
    connection.end.vanish();
    return undefined;
  }

  async resolve(host: string): Promise<string | undefined> {
    this.life.check();
    return this.life.guard(this.network.resolve(host));
  }

  async listenTcp(port: number, channel?: StreamChannel): Promise<TcpListener> {
    this.life.check();
    const local = { address: this.address, port: checkPort(port) || this.network.ephemeralPort() };
    if (this.listeners.has(local.port)) throw new Error(`TCP port ${addressKey(local)} is in use`);
    const listener = new SimulatedListener(this, local, channel, () => void this.listeners.delete(local.port));
    this.listeners.set(local.port, listener);
    return listener;
  }

  /** From the network: a datagram, to our address or to a group. */
  receiveUdp(data: Uint8Array, from: Address, to: Address): void {
    for (const members of [this.members.get(addressKey(to)), this.unicastMembers(to)]) {
      for (const socket of members ?? []) socket.deliver(data, from);
    }
    if (to.address === this.address) this.sockets.get(to.port)?.deliver(data, from);
  }

  /** From the network: a segment. */
  receiveTcp(segment: Segment, from: Address, to: Address): void {
    if (to.address !== this.address) return;
    const end = this.connections.get(connectionKey(to, from));
    if (end) {
      end.receive(segment);
      return;
    }
    const listener = this.listeners.get(to.port);
    if (!segment.syn || !listener) this.network.answerReset('to-peer', to, from, segment);
    // A full backlog drops the SYN; the peer repeats it.
    else if (listener.hasRoom()) listener.answer(segment, from);
  }

  track(key: string, end: TcpEnd): void {
    this.connections.set(key, end);
  }

  forget(key: string): void {
    this.connections.delete(key);
  }

  /** A socket that joined a group also gets what is sent to its port directly. */
  private unicastMembers(to: Address): SimulatedUdpSocket[] {
    if (to.address !== this.address) return [];
    return [...this.members.values()].flatMap((members) => [...members]).filter((one) => one.local.port === to.port);
  }
}

class SimulatedUdpSocket implements UdpSocket {
  private receive: ((data: Uint8Array, from: Address) => void) | undefined;

  constructor(
    private readonly device: SimulatedDevice,
    readonly local: Address,
    private readonly channel: 'udp' | 'mdns',
    private readonly shut: () => void,
  ) {}

  onDatagram(receive: (data: Uint8Array, from: Address) => void): void {
    this.receive = receive;
  }

  send(data: Uint8Array, to: Address): void {
    const { life, network } = this.device;
    life.check();
    network.settings.emit(wireEvent('wire.out', this.channel, to, data));
    network.sendUdp('to-peer', data, this.local, to);
  }

  close(): void {
    this.receive = undefined;
    this.shut();
  }

  deliver(data: Uint8Array, from: Address): void {
    const { life, network } = this.device;
    network.settings.emit(wireEvent('wire.in', this.channel, from, data));
    inNetworkContext(life, () => this.receive?.(data.slice(), from));
    life.wake();
  }
}

class SimulatedListener implements TcpListener {
  private readonly waiting: SimulatedConnection[] = [];
  /** Handshakes that are not complete. */
  private answering = 0;
  private open = true;

  constructor(
    private readonly device: SimulatedDevice,
    readonly local: Address,
    private readonly channel: StreamChannel | undefined,
    private readonly shut: () => void,
  ) {}

  hasRoom(): boolean {
    return this.waiting.length + this.answering < LISTEN_BACKLOG;
  }

  answer(syn: Segment, from: Address): void {
    this.answering++;
    let done = false;
    const connection = new SimulatedConnection(this.device, this.local, from, this.channel, 'answer', () => {
      if (done) return;
      done = true;
      this.answering--;
      if (connection.end.state !== 'open') return;
      if (this.open) this.waiting.push(connection);
      else connection.end.abort();
    });
    connection.end.receive(syn);
  }

  accept(): TcpConnection | undefined {
    this.device.life.check();
    return this.waiting.shift();
  }

  /** Nobody will accept those who wait: lwIP aborts them. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.shut();
    for (const connection of this.waiting.splice(0)) connection.end.abort();
  }
}

class SimulatedConnection implements TcpConnection {
  readonly end: TcpEnd;
  readonly changed: Signal;
  private readonly progressed: Signal;
  private closed = false;

  /** @param settled called when the handshake succeeded or failed */
  constructor(
    private readonly device: SimulatedDevice,
    readonly local: Address,
    readonly remote: Address,
    private readonly channel: StreamChannel = 'tcp',
    role: 'connect' | 'answer' = 'connect',
    settled?: () => void,
  ) {
    const { life, network } = device;
    const options = network.endOptions(local, remote, 'to-peer');
    const key = connectionKey(local, remote);
    this.changed = new Signal(life, options.timer);
    this.progressed = new Signal(life, options.timer);
    this.end = new TcpEnd(
      {
        ...options,
        windowBytes: network.settings.windowBytes,
        abortOnIdleFin: true,
        onArrival: () => this.notify(),
        onProgress: () => this.progressed.fire(),
        onState: () => {
          if (this.end.over) {
            device.forget(key);
            this.progressed.fire();
          }
          settled?.();
          this.notify();
        },
        onData: (data) => network.settings.emit(wireEvent('wire.in', channel, remote, data)),
      },
      role,
    );
    device.track(key, this.end);
  }

  available(): number {
    this.device.life.check();
    return this.end.incoming.length;
  }

  read(max: number): Uint8Array {
    this.device.life.check();
    return this.end.read(max);
  }

  peek(max: number): Uint8Array {
    this.device.life.check();
    return this.end.incoming.peek(max);
  }

  connected(): boolean {
    this.device.life.check();
    return this.end.state === 'open' && !this.end.finReceived && !this.closed;
  }

  write(data: Uint8Array): boolean {
    if (!this.connected()) return false;
    this.device.network.settings.emit(wireEvent('wire.out', this.channel, this.remote, data));
    return this.end.write(data);
  }

  async wait(ms: number): Promise<void> {
    await this.changed.wait(ms * 1000);
  }

  async flush(ms: number): Promise<void> {
    this.device.life.check();
    while (this.end.pending > 0 && (await this.progressed.wait(ms * 1000)));
  }

  close(): void {
    if (this.closed || this.device.life.ended) return;
    this.closed = true;
    if (this.end.over) this.end.incoming.clear();
    else this.end.close();
  }

  abort(): void {
    if (this.device.life.ended) return;
    this.closed = true;
    this.end.abort();
    this.end.incoming.clear();
  }

  private notify(): void {
    this.changed.fire();
    this.device.life.wake();
  }
}
