/** `MDNS` of the core, on the network port: the {@link Responder} with a socket and a clock. Source: spec chapter 03 §13. */
import { Interruption } from '../../flash/ports.ts';
import type { Address, ServicePorts, UdpSocket } from '../ports.ts';
import { MDNS_GROUP, MDNS_PORT } from './constants.ts';
import { type AdvertisedService, type OutgoingDatagram, Responder, type ResponderOptions } from './responder.ts';
import { acceptableLabel, type ServiceOptions, type TxtEntry } from './service.ts';

export type { TxtEntry } from './service.ts';

export interface MdnsOptions {
  /** Board id of boards.txt for the TXT string `board`. Source: spec chapter 03 §13.2, §15.3. */
  readonly board?: string;
  /** An integer from 0 to `below` - 1, for the wait before the first probe. */
  readonly random: ResponderOptions['random'];
  readonly onHostProbeResult?: NonNullable<ResponderOptions['onHostProbeResult']>;
  /** The group could not be joined. A real device says nothing then, and is just never found. */
  readonly onJoinFailed?: (error: Error) => void;
}

const DEFAULT_BOARD = 'generic';
const GROUP: Address = { address: MDNS_GROUP, port: MDNS_PORT };

/**
 * @example
 * const mdns = new Mdns({ clock, network }, { board: 'nodemcuv2', random: (below) => random.below(below) });
 * mdns.begin('esp8266-c0ffee');
 * mdns.addArduinoService(8266, false);
 * for (;;) await mdns.update(); // from the loop
 */
export class Mdns {
  private responder: Responder | undefined;
  private hostname = '';
  private socket: UdpSocket | undefined;
  /** The join under way, until it is done. */
  private joining: Promise<void> | undefined;
  /** Raised with each begin, restart and end, so that a join that comes late finds out. */
  private generation = 0;

  constructor(
    private readonly ports: Pick<ServicePorts, 'clock' | 'network'>,
    private readonly options: MdnsOptions,
  ) {}

  /**
   * Starts with a hostname, without `.local`; when it runs already, renames the host and probes again.
   *
   * @returns false when the name does not fit in a label (1 to 63 bytes)
   */
  begin(hostname: string): boolean {
    if (!acceptableLabel(hostname)) return false;
    this.hostname = hostname;
    if (this.responder) {
      this.responder.setHostname(hostname);
      return true;
    }
    const { address, netmask } = this.ports.network;
    const { random, onHostProbeResult } = this.options;
    this.responder = new Responder({
      hostname,
      address,
      netmask,
      random,
      ...(onHostProbeResult ? { onHostProbeResult } : {}),
    });
    this.open();
    return true;
  }

  /**
   * `MDNS.addService("http", "tcp", 80)`: the instance gets the present hostname, for good.
   *
   * @param txt in the order of adding; on the wire it is reversed
   * @returns false before `begin`, for names and numbers out of range, and for a service that is there already
   */
  addService(service: string, protocol: string, port: number, txt: readonly TxtEntry[] = []): boolean {
    return this.add({ service, protocol, port, txt, instance: this.hostname });
  }

  /** `MDNS.enableArduino`: the instance is named after the host, and follows it. */
  addArduinoService(port: number, authUpload: boolean): boolean {
    const txt: TxtEntry[] = [
      ['tcp_check', 'no'],
      ['ssh_upload', 'no'],
      ['board', this.options.board ?? DEFAULT_BOARD],
      ['auth_upload', authUpload ? 'yes' : 'no'],
    ];
    return this.add({ service: 'arduino', protocol: 'tcp', port, txt });
  }

  /** Any service, with all that LEAmDNS lets one say. */
  add(options: AdvertisedService): boolean {
    return this.responder?.addService(options) ?? false;
  }

  /** Says goodbye for a service of this host (or of the instance named) and forgets it; false when there is none. */
  removeService(service: string, protocol: string, instance?: string): boolean {
    const wanted: Pick<ServiceOptions, 'service' | 'protocol' | 'instance'> = {
      service,
      protocol,
      ...(instance === undefined ? {} : { instance }),
    };
    const goodbye = this.responder?.removeService(wanted);
    if (goodbye) this.send(goodbye);
    return goodbye !== undefined;
  }

  /** One step of probing and announcing. Before the group is joined there is none. */
  async update(): Promise<void> {
    if (this.joining) await this.joining;
    if (!this.socket || !this.responder) return;
    this.send(this.responder.update(this.ports.clock.millis()));
  }

  /** A network interface changed: joins the group again and begins with all names from the start. */
  restart(): void {
    if (!this.responder) return;
    this.responder.restart();
    this.leave();
    this.open();
  }

  /** Says goodbye and forgets everything, services too. */
  end(): void {
    if (!this.responder) return;
    this.send(this.responder.close());
    this.responder = undefined;
    this.leave();
  }

  private open(): void {
    const generation = ++this.generation;
    const joining = this.ports.network.joinMulticast(MDNS_GROUP, MDNS_PORT).then((socket) => {
      if (generation !== this.generation) {
        socket.close();
        return;
      }
      this.socket = socket;
      this.joining = undefined;
      socket.onDatagram((data, from) => {
        if (this.responder) this.send(this.responder.receive(data, from));
      });
    });
    this.joining = joining.catch((error: unknown) => {
      // A later call of update() meets it; nobody may be waiting now.
      if (error instanceof Interruption) throw error;
      if (generation !== this.generation) return;
      this.joining = undefined;
      this.options.onJoinFailed?.(error instanceof Error ? error : new Error(String(error)));
    });
    this.joining.catch(() => {});
  }

  private leave(): void {
    this.generation++;
    this.joining = undefined;
    this.socket?.close();
    this.socket = undefined;
  }

  private send(datagrams: readonly OutgoingDatagram[]): void {
    for (const { data, to } of datagrams) this.socket?.send(data, to === 'group' ? GROUP : to);
  }
}
