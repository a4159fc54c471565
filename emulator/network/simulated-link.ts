/** What the device's side of a simulated network asks of the whole. */
import type { Emit } from '../../flash/ports.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type { Address } from '../../ota-services/ports.ts';
import type { Segment, TcpEndOptions } from './simulated-tcp.ts';

export type Direction = 'to-device' | 'to-peer';

export interface LinkSettings {
  /** Largest TCP segment in either direction. */
  readonly mss: number;
  /** The device's receive window. */
  readonly windowBytes: number;
  /** Time the link is busy with each TCP segment that carries data. */
  readonly segmentGapUs: number;
  readonly onLifeEnd: 'vanish' | 'reset';
  readonly emit: Emit<WireEvent>;
}

export interface SimulatedLink {
  /** The device's IPv4 address. */
  readonly address: string;
  readonly settings: LinkSettings;
  /** A port that nobody was given before. */
  ephemeralPort(): number;
  /** For one end of a connection that sends in this direction. */
  endOptions(from: Address, to: Address, direction: Direction): Pick<TcpEndOptions, 'mss' | 'timer' | 'send'>;
  sendUdp(direction: Direction, data: Uint8Array, from: Address, to: Address): void;
  /** Asks the network's name server, which is one round trip away. */
  resolve(host: string): Promise<string | undefined>;
  /** Answers a segment for which no connection exists with RST. */
  answerReset(direction: Direction, from: Address, to: Address, segment: Segment): void;
}
