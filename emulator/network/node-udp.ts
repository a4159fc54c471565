/** A UDP socket of the operating system as the device's. */
import { createSocket, type Socket } from 'node:dgram';
import type { Emit } from '../../flash/ports.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type { Address, UdpSocket } from '../../ota-services/ports.ts';
import type { Life } from '../life.ts';
import { bindingError, inNetworkContext, wireEvent } from './wire.ts';

/** RFC 6762 §11; spec chapter 03 §13.1. */
const MULTICAST_TTL = 255;

export interface NodeUdpOptions {
  readonly life: Life;
  readonly emit: Emit<WireEvent>;
  /** Where to bind; port 0 lets the system choose. */
  readonly bind: Address;
  /** Join this group on the interface with this address; the port is then shared with other programs. */
  readonly multicast?: { readonly group: string; readonly interfaceAddress: string };
  /** Datagrams from elsewhere are as if they had not come. */
  readonly accepts?: (from: Address) => boolean;
}

export class NodeUdpSocket implements UdpSocket {
  local: Address;
  private readonly socket: Socket;
  private readonly channel: WireEvent['channel'];
  private receive: ((data: Uint8Array, from: Address) => void) | undefined;
  private closed = false;
  private forget: () => void = () => {};

  /** Binds and, when asked, joins; rejects with an Error that says what to do. */
  static open(options: NodeUdpOptions): Promise<NodeUdpSocket> {
    const socket = new NodeUdpSocket(options);
    return options.life.guard(socket.bind().then(() => socket));
  }

  private constructor(private readonly options: NodeUdpOptions) {
    this.local = options.bind;
    this.channel = options.multicast ? 'mdns' : 'udp';
    this.socket = createSocket({
      type: 'udp4',
      reuseAddr: options.multicast !== undefined,
      // All our addresses are numbers. Node would look them up a turn later: too late when the socket is closed next.
      lookup: (host, _options, callback) => callback(null, host, 4),
    });
  }

  onDatagram(receive: (data: Uint8Array, from: Address) => void): void {
    this.receive = receive;
  }

  send(data: Uint8Array, to: Address): void {
    this.options.life.check();
    // Port 0 cannot be addressed: Node throws, lwIP's datagram is lost.
    if (this.closed || to.port === 0) return;
    this.options.emit(wireEvent('wire.out', this.channel, to, data));
    this.socket.send(data.slice(), to.port, to.address, () => {});
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.receive = undefined;
    this.forget();
    this.socket.close();
  }

  private bind(): Promise<void> {
    const { life, bind } = this.options;
    this.forget = life.onEnd(() => this.close());
    this.socket.on('message', (data, from) => this.deliver(data, from));
    return new Promise((resolve, reject) => {
      this.socket.once('error', (error) => {
        this.close();
        reject(bindingError('UDP', bind, error));
      });
      this.socket.bind({ address: bind.address, port: bind.port, exclusive: true }, () => {
        try {
          this.join();
        } catch (error) {
          this.close();
          reject(bindingError('UDP', bind, error));
          return;
        }
        this.socket.removeAllListeners('error');
        // Errors of single datagrams (an ICMP answer to one we sent): lwIP's user never hears of them.
        this.socket.on('error', () => {});
        this.local = { address: bind.address, port: this.socket.address().port };
        resolve();
      });
    });
  }

  private join(): void {
    const { multicast } = this.options;
    if (!multicast) return;
    this.socket.addMembership(multicast.group, multicast.interfaceAddress);
    this.socket.setMulticastInterface(multicast.interfaceAddress);
    this.socket.setMulticastTTL(MULTICAST_TTL);
    this.socket.setMulticastLoopback(true);
  }

  private deliver(data: Buffer, { address, port }: Address): void {
    const { life, emit, accepts } = this.options;
    const from = { address, port };
    if (this.closed || life.ended || accepts?.(from) === false) return;
    emit(wireEvent('wire.in', this.channel, from, data));
    inNetworkContext(life, () => this.receive?.(new Uint8Array(data), from));
    if (!life.ended) life.wake();
  }
}
