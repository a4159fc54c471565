/**
 * Network faults, for sockets of this machine and for the simulated network alike: a `Network` around the one that the
 * device has. The n-th byte is counted when the firmware's side of a socket first sees it; what a fault does is what a real
 * network does to a program on the device. Semantics: docs/fault-model.md §4.
 *
 * A connection is watched from its start, so a fault that is armed while one is open looks at the next one.
 */
import type { Address, Network, TcpConnection, TcpListener, TlsListener, UdpSocket } from '../../ota-services/ports.ts';
import type { DeviceClock } from '../clock.ts';
import type { Life } from '../life.ts';
import { Signal } from '../network/signal.ts';
import { inNetworkContext } from '../network/wire.ts';
import type { FaultEngine } from './engine.ts';
import type { NetKind, NetPhase } from './spec.ts';

/** TCP repeats a segment that nobody acknowledged after this time, and the receiver waits. Microseconds, as all below. */
export const LOSS_GAP_US = 1_000_000;
/** So much later than it would a delayed byte or datagram comes. */
export const DELAY_US = 500_000;
/** A segment that was overtaken comes when the next one is there, or after this time. */
export const REORDER_US = 200_000;
/** So long no datagram comes through; longer than uploaders wait for an answer. */
export const UDP_STALL_US = 15_000_000;

export interface NetFaultParts {
  readonly faults: FaultEngine;
  readonly life: Life;
  readonly clock: DeviceClock;
}

type Stream = Exclude<NetPhase, 'udp'>;

/** @param phase of the TCP connections that are made here; datagrams are `udp` in any case */
export function faultyNetwork(network: Network, phase: Stream, parts: NetFaultParts): Network {
  const { faults } = parts;
  const watch = (connection: TcpConnection): TcpConnection =>
    faults.watchesNet(phase) ? new FaultyConnection(connection, phase, parts) : connection;
  const { netmask, resolve, connectTls, listenTls } = network;
  return {
    address: network.address,
    ...(netmask === undefined ? {} : { netmask }),
    bindUdp: async (port) => new FaultyUdpSocket(await network.bindUdp(port), parts),
    joinMulticast: (group, port) => network.joinMulticast(group, port),
    async connectTcp(to, timeoutMs) {
      if (faults.refuses(phase)) return await parts.life.guard(parts.clock.turn().then(() => undefined));
      const connection = await network.connectTcp(to, timeoutMs);
      return connection && watch(connection);
    },
    listenTcp: async (port) => new FaultyListener(await network.listenTcp(port), phase, parts, watch),
    ...(resolve ? { resolve: resolve.bind(network) } : {}),
    ...(connectTls
      ? {
          async connectTls(...parameters: Parameters<typeof connectTls>) {
            const [{ address, port }] = parameters;
            if (faults.refuses(phase)) return { error: `no TCP connection to ${address}:${port}: refused` };
            const connection = await connectTls.apply(network, parameters);
            return 'error' in connection ? connection : watch(connection);
          },
        }
      : {}),
    ...(listenTls
      ? {
          async listenTls(...parameters: Parameters<typeof listenTls>) {
            return new FaultyTlsListener(await listenTls.apply(network, parameters), phase, parts, watch);
          },
        }
      : {}),
  };
}

class FaultyUdpSocket implements UdpSocket {
  private receive: ((data: Uint8Array, from: Address) => void) | undefined;
  private silentUntilUs = 0;
  /** Overtaken, and to be delivered behind the next one. */
  private overtaken: (() => void) | undefined;

  constructor(
    private readonly inner: UdpSocket,
    private readonly parts: NetFaultParts,
  ) {}

  get local(): Address {
    return this.inner.local;
  }

  onDatagram(receive: (data: Uint8Array, from: Address) => void): void {
    this.receive = receive;
    this.inner.onDatagram((data, from) => this.arrive(data, from));
  }

  send(data: Uint8Array, to: Address): void {
    this.inner.send(data, to);
  }

  close(): void {
    this.receive = undefined;
    this.inner.close();
  }

  private arrive(data: Uint8Array, from: Address): void {
    const { faults, clock } = this.parts;
    if (clock.nowUs() < this.silentUntilUs) return;
    const strike = faults.receive('udp', data.length, true);
    const later = (): void => {
      inNetworkContext(this.parts.life, () => this.receive?.(data, from));
      if (!this.parts.life.ended) this.parts.life.wake();
    };
    switch (strike?.kind) {
      case undefined: {
        this.receive?.(data, from);
        const { overtaken } = this;
        this.overtaken = undefined;
        overtaken?.();
        break;
      }
      case 'net-delay':
        this.after(DELAY_US, later);
        break;
      case 'net-reorder': {
        const waiting = (): void => later();
        this.overtaken = waiting;
        this.after(REORDER_US, () => {
          if (this.overtaken !== waiting) return;
          this.overtaken = undefined;
          later();
        });
        break;
      }
      case 'net-stall':
        this.silentUntilUs = clock.nowUs() + UDP_STALL_US;
        break;
      default:
      // net-loss
    }
  }

  private after(us: number, call: () => void): void {
    const { life, clock } = this.parts;
    const alarm = clock.alarm(us, 'peer', () => {
      forget();
      call();
    });
    const forget = life.onEnd(() => alarm.cancel());
  }
}

class FaultyListener implements TcpListener {
  constructor(
    protected readonly inner: TcpListener,
    private readonly phase: Stream,
    private readonly parts: NetFaultParts,
    private readonly watch: (connection: TcpConnection) => TcpConnection,
  ) {}

  get local(): Address {
    return this.inner.local;
  }

  accept(): TcpConnection | undefined {
    for (let connection = this.inner.accept(); connection; connection = this.inner.accept()) {
      if (!this.parts.faults.refuses(this.phase)) return this.watched(connection);
      connection.abort();
    }
    return undefined;
  }

  close(): void {
    this.inner.close();
  }

  protected watched(connection: TcpConnection): TcpConnection {
    return this.watch(connection);
  }
}

/** Counts what is said inside TLS. */
class FaultyTlsListener extends FaultyListener implements TlsListener {
  private readonly tls: TlsListener;

  constructor(
    inner: TlsListener,
    phase: Stream,
    parts: NetFaultParts,
    private readonly watchSecured: (connection: TcpConnection) => TcpConnection,
  ) {
    super(inner, phase, parts, watchSecured);
    this.tls = inner;
  }

  async secure(connection: TcpConnection, timeoutMs: number): Promise<TcpConnection | undefined> {
    const secured = await this.tls.secure(connection, timeoutMs);
    return secured && this.watchSecured(secured);
  }

  protected override watched(connection: TcpConnection): TcpConnection {
    return connection;
  }
}

/** A connection on which a fault may strike. Everything of the stream up to `admitted` has arrived, the rest is on its way. */
class FaultyConnection implements TcpConnection {
  private readonly changed: Signal;
  private admitted = 0;
  private taken = 0;
  /** Nothing arrives as long as this is set; `more`: it ends when there is more than so many bytes of the stream. */
  private gap: { readonly more?: number } | undefined;
  /** Nothing passes any more, in either direction, and nobody is told. */
  private stalled = false;
  /** The connection is over; these bytes may still be read. */
  private rest: Uint8Array | undefined;
  private closed = false;

  constructor(
    private readonly inner: TcpConnection,
    private readonly phase: Stream,
    private readonly parts: NetFaultParts,
  ) {
    const { clock, life } = parts;
    this.changed = new Signal(life, (us, callback) => clock.alarm(us, 'peer', callback));
  }

  get local(): Address {
    return this.inner.local;
  }

  get remote(): Address {
    return this.inner.remote;
  }

  available(): number {
    this.admit();
    return this.rest ? this.rest.length : this.closed ? 0 : this.admitted - this.taken;
  }

  read(max: number): Uint8Array {
    const data = this.peek(max);
    if (this.rest) this.rest = this.rest.subarray(data.length);
    else this.inner.read(data.length);
    this.taken += data.length;
    return data;
  }

  peek(max: number): Uint8Array {
    const count = Math.max(0, Math.min(max, this.available()));
    return this.rest ? this.rest.subarray(0, count) : this.inner.peek(count);
  }

  connected(): boolean {
    this.admit();
    if (this.rest || this.closed) return false;
    // What ends the stream lies behind the gap.
    return this.gap !== undefined || this.stalled || this.inner.connected();
  }

  write(data: Uint8Array): boolean {
    this.admit();
    if (this.rest || this.closed) return false;
    return this.stalled || this.inner.write(data);
  }

  async wait(ms: number): Promise<void> {
    this.admit();
    if (this.gap || this.stalled || this.rest) {
      // A gap may end before the network has news, and news may end a gap.
      await Promise.race([this.changed.wait(ms * 1000), ...(this.gap ? [this.inner.wait(ms)] : [])]);
      return;
    }
    await this.inner.wait(ms);
  }

  async flush(ms: number): Promise<void> {
    if (this.rest) return;
    if (this.stalled) await this.changed.wait(ms * 1000);
    else await this.inner.flush(ms);
  }

  close(): void {
    this.end(() => this.inner.close());
  }

  abort(): void {
    this.end(() => this.inner.abort());
  }

  private end(tell: () => void): void {
    const over = this.closed || this.rest !== undefined;
    this.closed = true;
    this.rest = undefined;
    // The peer of a stalled connection hears nothing of its end either, until this life ends.
    if (!over && !this.stalled) tell();
  }

  /** Counts what has arrived since the last look, up to the byte where a fault strikes. */
  private admit(): void {
    const { faults } = this.parts;
    const arrived = this.taken + this.inner.available();
    if (this.gap?.more !== undefined && arrived > this.gap.more) this.gap = undefined;
    while (!this.gap && !this.stalled && !this.rest && !this.closed && arrived > this.admitted) {
      const strike = faults.receive(this.phase, arrived - this.admitted);
      if (!strike) {
        this.admitted = arrived;
        return;
      }
      this.admitted += strike.at;
      this.strike(strike.kind, arrived);
    }
  }

  private strike(kind: NetKind, arrived: number): void {
    switch (kind) {
      case 'net-loss':
        this.pause(LOSS_GAP_US);
        break;
      case 'net-delay':
        this.pause(DELAY_US);
        break;
      case 'net-reorder':
        this.pause(REORDER_US, arrived);
        break;
      case 'net-stall':
        this.stalled = true;
        break;
      case 'net-close':
        this.rest = this.inner.read(this.admitted - this.taken).slice();
        this.inner.abort();
        break;
      case 'net-reset':
        this.rest = new Uint8Array(0);
        this.inner.abort();
        break;
      default:
    }
  }

  private pause(us: number, more?: number): void {
    const { clock, life } = this.parts;
    const gap = more === undefined ? {} : { more };
    this.gap = gap;
    const alarm = clock.alarm(us, 'peer', () => {
      forget();
      if (this.gap === gap) this.gap = undefined;
      inNetworkContext(life, () => this.changed.fire());
      life.wake();
    });
    const forget = life.onEnd(() => alarm.cancel());
  }
}
