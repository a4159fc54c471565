/** A device that runs ArduinoOTA in virtual time, and uploaders on a simulated network that react as espota.py does. */
import { VirtualClock } from '../../emulator/clock.ts';
import { Life } from '../../emulator/life.ts';
import { SimulatedNetwork, type SimulatedNetworkOptions } from '../../emulator/network/simulated-network.ts';
import type { PeerConnection, PeerListener } from '../../emulator/network/simulated-peer.ts';
import type { ServiceEvent } from '../../ota-services/events.ts';
import { md5Hex, OtaDevice, type OtaDeviceOptions } from './ota-device.ts';
import { latin1, toBytes } from './transcript.ts';

export { md5Hex } from './ota-device.ts';
export { imageByRule } from './transcript.ts';

export const PEER = '192.168.1.10';
export const OTA_PORT = 8266;
const DEFAULT_LATENCY_US = 50;

export interface OtaBenchOptions extends OtaDeviceOptions {
  readonly network?: Omit<SimulatedNetworkOptions, 'clock' | 'emit'>;
  /** Whether the sketch runs: `begin(useMdns)` and then `handle()` for ever (true). Otherwise the test calls them. */
  readonly loop?: boolean;
}

export class OtaBench extends OtaDevice {
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;

  constructor(options: OtaBenchOptions = {}) {
    const clock = new VirtualClock();
    const life = new Life(clock);
    const sinks: ((event: ServiceEvent) => void)[] = [];
    const network = new SimulatedNetwork({
      latencyUs: DEFAULT_LATENCY_US,
      ...options.network,
      clock,
      emit: (event) => {
        for (const sink of sinks) sink(event);
      },
    });
    super(clock, life, network.forDevice(life), options);
    sinks.push((event) => this.tell(event));
    this.clock = clock;
    this.network = network;
    if (options.loop ?? true) void this.runSketch();
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms * 1000);
  }

  /** Advances until `condition` holds. @throws Error after `limitMs` of device time */
  async until(condition: () => boolean, what: string, limitMs = 10_000, stepMs = 0.5): Promise<void> {
    const start = this.nowMs;
    while (!condition()) {
      if (this.nowMs - start > limitMs) {
        throw new Error(`${what} did not happen within ${limitMs} ms; serial: ${JSON.stringify(this.lines)}`);
      }
      await this.advance(stepMs);
    }
  }

  /** An uploader that has not done anything yet. */
  uploader(image: Uint8Array, options: SimUploaderOptions = {}): SimUploader {
    return new SimUploader(this, image, options);
  }
}

export interface SimUploaderOptions {
  readonly command?: number;
  /** Goes into the invitation instead of the image's. */
  readonly md5?: string;
  readonly size?: number;
  readonly password?: string;
  /** Bytes sent before something from the device is awaited (1460); 0: everything at once. */
  readonly chunk?: number;
  /** Called before each chunk; false: the uploader sends nothing more by itself. */
  readonly beforeChunk?: (offset: number, uploader: SimUploader) => boolean;
}

/** An uploader that reacts to what arrives, as espota.py does, without a thread. */
export class SimUploader {
  /** Datagrams that came back, with the time. */
  readonly udp: { readonly atMs: number; readonly text: string }[] = [];
  /** Pieces that came on the TCP connection. */
  readonly tcp: { readonly atMs: number; readonly text: string }[] = [];
  connection: PeerConnection | undefined;
  connectedAtMs = Number.NaN;
  sent = 0;
  private readonly socket;
  private readonly listener: PeerListener | undefined;

  constructor(
    private readonly bench: OtaBench,
    readonly image: Uint8Array,
    private readonly options: SimUploaderOptions,
  ) {
    this.socket = bench.network.udp(PEER);
    this.socket.onDatagram(({ data, atUs }) => this.answered(latin1(data), atUs / 1000));
    this.listener = bench.network.listenTcp(PEER);
    this.listener.onConnection((connection) => this.connected(connection));
  }

  get port(): number {
    return this.listener!.local.port;
  }

  get invitation(): string {
    const { command = 0, size = this.image.length, md5 = md5Hex(this.image) } = this.options;
    return `${command} ${this.port} ${size} ${md5}\n`;
  }

  /** All that came on the connection, joined. */
  get text(): string {
    return this.tcp.map(({ text }) => text).join('');
  }

  get replies(): string[] {
    return this.udp.map(({ text }) => text);
  }

  /** Times of the states of the connection, as the uploader saw them. */
  stateAtMs(state: string): number | undefined {
    const entry = this.connection?.history.find((one) => one.state === state);
    return entry && entry.atUs / 1000;
  }

  invite(text: string = this.invitation): this {
    this.send(text);
    return this;
  }

  send(text: string): void {
    this.socket.send(toBytes(text), OTA_PORT);
  }

  /** Ends the listener: a connection is refused. */
  refuse(): this {
    this.listener?.close();
    return this;
  }

  /** Sends the next `count` bytes of the image, whatever the device said. */
  push(count: number): void {
    const chunk = this.image.subarray(this.sent, this.sent + count);
    this.sent += chunk.length;
    if (chunk.length > 0) this.connection?.write(chunk);
  }

  private answered(text: string, atMs: number): void {
    this.udp.push({ atMs, text });
    const { password } = this.options;
    if (password === undefined || !text.startsWith('AUTH ')) return;
    const cnonce = md5Hex('cnonce');
    this.send(`200 ${cnonce} ${md5Hex(`${md5Hex(password)}:${text.slice(5)}:${cnonce}`)}\n`);
  }

  private connected(connection: PeerConnection): void {
    this.connection = connection;
    this.connectedAtMs = this.bench.nowMs;
    connection.onData((data) => {
      this.tcp.push({ atMs: this.bench.nowMs, text: latin1(data) });
      this.next();
    });
    this.next();
  }

  private next(): void {
    const { chunk = 1460, beforeChunk } = this.options;
    if (this.sent >= this.image.length) return;
    if (beforeChunk && !beforeChunk(this.sent, this)) return;
    this.push(chunk === 0 ? this.image.length : chunk);
  }
}
