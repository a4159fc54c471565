/**
 * A network without sockets: one device, any number of peers, and a link between them, all in device time. The same
 * calls in the same order give the same packets at the same microseconds.
 *
 * The model: each packet takes {@link SimulatedNetworkOptions.latencyUs} in its direction; TCP segments of one burst
 * arrive together unless `segmentGapUs` spreads them. UDP to nobody is lost without a word, as are packets to an address
 * where nobody lives. An address lives once a peer has opened a socket there. The device lives while a
 * {@link Life} does that asked for the network; when the life ends the device just falls silent, as a chip does whose
 * radio went down: peers find out when they write, from the RST of the next life or from silence. With
 * `onLifeEnd: 'reset'` they get RST at once, as from a process whose sockets the system cleans up.
 */
import type { Emit } from '../../flash/ports.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type { Address, Network } from '../../ota-services/ports.ts';
import type { DeviceClock } from '../clock.ts';
import type { Life } from '../life.ts';
import { SimulatedDevice } from './simulated-device.ts';
import type { Direction, LinkSettings, SimulatedLink } from './simulated-link.ts';
import { PeerConnection, PeerListener, PeerUdpSocket } from './simulated-peer.ts';
import { type Segment, TcpEnd, type TcpEndOptions } from './simulated-tcp.ts';
import { addressKey, checkPort, connectionKey, DEFAULT_WINDOW_BYTES } from './wire.ts';

export const DEFAULT_DEVICE_ADDRESS = '192.168.1.50';
export const DEFAULT_PEER_ADDRESS = '192.168.1.10';

/** One way. A quiet Wi-Fi cell answers a ping in about a millisecond. */
const DEFAULT_LATENCY_US = 500;
const DEFAULT_MSS = 1460;
/** A peer's receive window: it reads at once, so this is only a bound. */
const PEER_WINDOW_BYTES = 65_535;
const FIRST_EPHEMERAL_PORT = 49_152;

export interface SimulatedNetworkOptions {
  readonly clock: DeviceClock;
  /** The device's IPv4 address (192.168.1.50). */
  readonly address?: string;
  /** Microseconds one way (500). */
  readonly latencyUs?: number | { readonly toDevice: number; readonly toPeer: number };
  /** Largest TCP segment in either direction: 1460, or 536 as in the core's default build. */
  readonly mss?: number;
  /** The device's receive window: `available()` never exceeds it (2144). */
  readonly windowBytes?: number;
  /** Time the link is busy with each TCP segment that carries data (0). */
  readonly segmentGapUs?: number;
  readonly onLifeEnd?: 'vanish' | 'reset';
  readonly emit?: Emit<WireEvent>;
}

/** What travels over the link, as a fault sees it. */
export interface Packet {
  readonly direction: Direction;
  readonly protocol: 'udp' | 'tcp';
  readonly from: Address;
  readonly to: Address;
  readonly data: Uint8Array;
  /** TCP only. */
  readonly segment?: Segment;
}

/** What becomes of a packet: it passes, is lost, or comes this much later than it would. */
export type LinkVerdict = 'pass' | 'drop' | { readonly delayUs: number };

export class SimulatedNetwork implements SimulatedLink {
  readonly clock: DeviceClock;
  readonly address: string;
  readonly settings: LinkSettings;

  /** Link faults go here: asked once for every packet, in the order of sending. */
  link: ((packet: Packet) => LinkVerdict) | undefined;

  /** What the network's name server knows: names in lower case, and their IPv4 addresses. */
  readonly names = new Map<string, string>();

  private readonly latencyUs: { readonly toDevice: number; readonly toPeer: number };
  private device: SimulatedDevice | undefined;
  /** Addresses where somebody lives. */
  private readonly hosts = new Set<string>();
  /** By `address:port`. */
  private readonly sockets = new Map<string, PeerUdpSocket>();
  /** By group address and port. */
  private readonly groups = new Map<string, Set<PeerUdpSocket>>();
  private readonly listeners = new Map<string, PeerListener>();
  /** By {@link connectionKey}. */
  private readonly connections = new Map<string, TcpEnd>();
  private nextPort = FIRST_EPHEMERAL_PORT;
  private readonly busyUntil = { 'to-device': 0, 'to-peer': 0 };

  constructor(options: SimulatedNetworkOptions) {
    this.clock = options.clock;
    this.address = options.address ?? DEFAULT_DEVICE_ADDRESS;
    const latency = options.latencyUs ?? DEFAULT_LATENCY_US;
    this.latencyUs = typeof latency === 'number' ? { toDevice: latency, toPeer: latency } : latency;
    this.settings = {
      mss: options.mss ?? DEFAULT_MSS,
      windowBytes: options.windowBytes ?? DEFAULT_WINDOW_BYTES,
      segmentGapUs: options.segmentGapUs ?? 0,
      onLifeEnd: options.onLifeEnd ?? 'vanish',
      emit: options.emit ?? (() => {}),
    };
  }

  /** The network of one life of the device. @throws Error while another life lasts: the device has one radio. */
  forDevice(life: Life): Network {
    if (this.device && !this.device.life.ended) {
      if (this.device.life === life) return this.device;
      throw new Error('the life before this one still holds the network: end it first');
    }
    this.device = new SimulatedDevice(this, life);
    return this.device;
  }

  // The peers' side.

  /** Makes `address` a machine that answers: a TCP connection to it is refused, not lost. */
  addHost(address: string): void {
    this.hosts.add(address);
  }

  /** A peer's UDP socket; port 0 or none chooses one. With `group`, it also gets what is sent to that group and port. */
  udp(address: string = DEFAULT_PEER_ADDRESS, port = 0, options: { readonly group?: string } = {}): PeerUdpSocket {
    const local = this.claim(address, port, this.sockets);
    const socket = new PeerUdpSocket({
      local,
      deviceAddress: this.address,
      send: (data, to) => this.sendUdp('to-device', data, local, to),
      close: () => {
        this.sockets.delete(addressKey(local));
        for (const members of this.groups.values()) members.delete(socket);
      },
    });
    this.sockets.set(addressKey(local), socket);
    if (options.group !== undefined) {
      const key = addressKey({ address: options.group, port: local.port });
      const members = this.groups.get(key) ?? new Set();
      this.groups.set(key, members.add(socket));
    }
    return socket;
  }

  /** A peer that accepts connections; port 0 chooses one. */
  listenTcp(address: string = DEFAULT_PEER_ADDRESS, port = 0): PeerListener {
    const local = this.claim(address, port, this.listeners);
    const listener = new PeerListener(local, () => void this.listeners.delete(addressKey(local)));
    this.listeners.set(addressKey(local), listener);
    return listener;
  }

  /** Starts to connect to a TCP port of the device; watch `state`. */
  connectTcp(
    devicePort: number,
    options: { readonly from?: string; readonly localPort?: number } = {},
  ): PeerConnection {
    const remote = { address: this.address, port: checkPort(devicePort, 1) };
    const address = options.from ?? DEFAULT_PEER_ADDRESS;
    this.hosts.add(address);
    const local = { address, port: checkPort(options.localPort || this.ephemeralPort()) };
    const { connection, end } = this.peerEnd(local, remote, 'connect');
    end.start();
    return connection;
  }

  // What the device's side needs.

  ephemeralPort(): number {
    const port = this.nextPort;
    this.nextPort = port === 65_535 ? FIRST_EPHEMERAL_PORT : port + 1;
    return port;
  }

  endOptions(from: Address, to: Address, direction: Direction): Pick<TcpEndOptions, 'mss' | 'timer' | 'send'> {
    return {
      mss: this.settings.mss,
      timer: (us, callback) => this.clock.alarm(us, 'peer', callback),
      send: (segment) => this.sendTcp(direction, from, to, segment),
    };
  }

  resolve(host: string): Promise<string | undefined> {
    const { toPeer, toDevice } = this.latencyUs;
    return new Promise((done) => {
      this.clock.alarm(toPeer + toDevice, 'peer', () => done(this.names.get(host.toLowerCase())));
    });
  }

  sendUdp(direction: Direction, bytes: Uint8Array, from: Address, to: Address): void {
    const data = bytes.slice();
    this.carry({ direction, protocol: 'udp', from, to, data }, () => {
      if (direction === 'to-device') {
        this.livingDevice()?.receiveUdp(data, from, to);
        return;
      }
      const members = this.groups.get(addressKey(to));
      const socket = this.sockets.get(addressKey(to));
      const targets = members ? [...members] : socket ? [socket] : [];
      for (const target of targets) target.deliver({ data: data.slice(), from, atUs: this.clock.nowUs() });
    });
  }

  private sendTcp(direction: Direction, from: Address, to: Address, segment: Segment): void {
    this.carry({ direction, protocol: 'tcp', from, to, data: segment.data, segment }, () => {
      if (direction === 'to-device') this.livingDevice()?.receiveTcp(segment, from, to);
      else this.receiveTcp(segment, from, to);
    });
  }

  /** A segment for which no connection exists is answered with RST. */
  answerReset(direction: Direction, from: Address, to: Address, segment: Segment): void {
    if (segment.rst) return;
    const rst = { rst: true, sequence: 0, acknowledged: -1, window: 0, data: new Uint8Array(0) };
    this.sendTcp(direction, from, to, rst);
  }

  private receiveTcp(segment: Segment, from: Address, to: Address): void {
    const end = this.connections.get(connectionKey(to, from));
    if (end) {
      end.receive(segment);
      return;
    }
    if (!this.hosts.has(to.address)) return;
    const listener = this.listeners.get(addressKey(to));
    if (!segment.syn || !listener) {
      this.answerReset('to-device', to, from, segment);
      return;
    }
    const answering = this.peerEnd(to, from, 'answer');
    answering.whenOpen(() => listener.deliver(answering.connection));
    answering.end.receive(segment);
  }

  private peerEnd(local: Address, remote: Address, role: 'connect' | 'answer') {
    const key = connectionKey(local, remote);
    let whenOpen: (() => void) | undefined;
    let connection: PeerConnection | undefined;
    const end = new TcpEnd(
      {
        ...this.endOptions(local, remote, 'to-device'),
        windowBytes: PEER_WINDOW_BYTES,
        abortOnIdleFin: false,
        onArrival: () => connection?.arrived(),
        onState: () => {
          if (end.over) this.connections.delete(key);
          connection?.update();
          if (end.state !== 'open') return;
          whenOpen?.();
          whenOpen = undefined;
        },
      },
      role,
    );
    this.connections.set(key, end);
    connection = new PeerConnection({ local, remote, end, nowUs: () => this.clock.nowUs() });
    return {
      connection,
      end,
      whenOpen: (call: () => void): void => {
        whenOpen = call;
      },
    };
  }

  private livingDevice(): SimulatedDevice | undefined {
    return this.device && !this.device.life.ended ? this.device : undefined;
  }

  /** The link: latency, the order of TCP segments, and the one place where faults strike. */
  private carry(packet: Packet, deliver: () => void): void {
    const verdict = this.link?.(packet) ?? 'pass';
    if (verdict === 'drop') return;
    const toDevice = packet.direction === 'to-device';
    let us = toDevice ? this.latencyUs.toDevice : this.latencyUs.toPeer;
    if (packet.protocol === 'tcp' && packet.data.length > 0 && this.settings.segmentGapUs > 0) {
      const now = this.clock.nowUs();
      const start = Math.max(now, this.busyUntil[packet.direction]);
      this.busyUntil[packet.direction] = start + this.settings.segmentGapUs;
      us += start - now;
    }
    if (verdict !== 'pass') us += verdict.delayUs;
    this.clock.alarm(us, 'peer', deliver);
  }

  private claim(address: string, wanted: number, taken: ReadonlyMap<string, unknown>): Address {
    const local = { address, port: checkPort(wanted) || this.ephemeralPort() };
    if (taken.has(addressKey(local))) throw new Error(`${address}:${local.port} is in use on the simulated network`);
    this.hosts.add(address);
    return local;
  }
}
