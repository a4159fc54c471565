/**
 * A device that fetches its updates in virtual time, and servers on the simulated network that answer as they are told.
 * The device is the one of `ota-device.ts`, the surroundings those of the recorded exchanges.
 */
import { VirtualClock } from '../../emulator/clock.ts';
import { DeviceReset } from '../../emulator/device-reset.ts';
import { Life } from '../../emulator/life.ts';
import { SimulatedNetwork, type SimulatedNetworkOptions } from '../../emulator/network/simulated-network.ts';
import type { PeerConnection } from '../../emulator/network/simulated-peer.ts';
import { Interruption } from '../../flash/ports.ts';
import type { ServiceEvent } from '../../ota-services/events.ts';
import { HTTPClient } from '../../ota-services/http-update-client/http-client.ts';
import {
  ESP8266HTTPUpdate,
  type HTTPUpdateResult,
  type HttpUpdateIdentity,
} from '../../ota-services/http-update-client/http-update.ts';
import { OpenConnections } from '../../ota-services/http-update-client/open-connections.ts';
import { WiFiClient, WiFiClientSecure } from '../../ota-services/http-update-client/wifi-client.ts';
import { OtaDevice, type OtaDeviceOptions } from './ota-device.ts';
import { latin1, toBytes } from './transcript.ts';

export const SERVER = '192.168.1.8';
export const SERVER_PORT = 8000;
export const SERVER_URL = `http://${SERVER}:${SERVER_PORT}/fw.bin`;

export interface HttpUpdateBenchOptions extends OtaDeviceOptions {
  readonly network?: Omit<SimulatedNetworkOptions, 'clock' | 'emit'>;
  readonly clientTimeoutMs?: number;
  readonly identity?: HttpUpdateIdentity;
  readonly chipId?: number;
}

/** What a sketch's call came to. */
export interface Attempt<T> {
  result: T | undefined;
  /** Device time at which it ended, by returning or by a restart. */
  endedAtMs: number | undefined;
}

export class HttpUpdateBench extends OtaDevice {
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;
  readonly connections: OpenConnections;
  readonly httpUpdate: ESP8266HTTPUpdate;
  /** `start`, `progress 0/5000`, `error -104`, `end`. */
  readonly callbacks: { readonly atMs: number; readonly line: string }[] = [];

  constructor(options: HttpUpdateBenchOptions = {}) {
    const clock = new VirtualClock();
    const life = new Life(clock);
    const sinks: ((event: ServiceEvent) => void)[] = [];
    const network = new SimulatedNetwork({
      latencyUs: 50,
      ...options.network,
      clock,
      emit: (event) => {
        for (const sink of sinks) sink(event);
      },
    });
    const connections = new OpenConnections();
    super(clock, life, connections.watch(network.forDevice(life)), { chipTakesTime: false, ...options });
    sinks.push((event) => this.tell(event));
    this.clock = clock;
    this.network = network;
    this.connections = connections;
    const { ports } = this;
    this.httpUpdate = new ESP8266HTTPUpdate(
      {
        ...ports,
        system: {
          restart: () => ports.system.restart(),
          freeHeap: () => ports.system.freeHeap(),
          chipId: options.chipId ?? ports.system.chipId,
        },
        flash: this.esp,
        updater: this.updater,
        connections,
        atomicFs: options.updater?.atomicFs ?? false,
        ...(options.identity ? { identity: options.identity } : {}),
      },
      options.clientTimeoutMs,
    );
    const note = (line: string): void => void this.callbacks.push({ atMs: this.nowMs, line });
    this.httpUpdate.onStart(() => note('start'));
    this.httpUpdate.onEnd(() => note('end'));
    this.httpUpdate.onError((code) => note(`error ${code}`));
    this.httpUpdate.onProgress((done, total) => note(`progress ${done}/${total}`));
  }

  /** Callback lines without their times. */
  get called(): string[] {
    return this.callbacks.map(({ line }) => line);
  }

  plainClient(): WiFiClient {
    return new WiFiClient(this.ports);
  }

  secureClient(): WiFiClientSecure {
    return new WiFiClientSecure(this.ports);
  }

  httpClient(): HTTPClient {
    return new HTTPClient(this.ports);
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(Math.round(ms * 1000));
  }

  /** Advances until `condition` holds. @throws Error after `limitMs` of device time */
  async until(condition: () => boolean, what: string, limitMs = 30_000, stepMs = 1): Promise<void> {
    const start = this.nowMs;
    while (!condition()) {
      if (this.nowMs - start > limitMs) {
        throw new Error(`${what} did not happen within ${limitMs} ms; callbacks: ${JSON.stringify(this.called)}`);
      }
      await this.advance(stepMs);
    }
    if (this.crash) throw this.crash;
  }

  /** Starts a call of the sketch on the device's thread. */
  start<T>(call: () => Promise<T>): Attempt<T> {
    const attempt: Attempt<T> = { result: undefined, endedAtMs: undefined };
    const run = async (): Promise<void> => {
      try {
        attempt.result = await call();
      } catch (error) {
        if (!(error instanceof Interruption)) {
          this.crash = error;
          this.life.end(new DeviceReset('exception'));
        }
      }
      attempt.endedAtMs = this.nowMs;
    };
    void run();
    return attempt;
  }

  /** Runs a call to its end: its result, or `undefined` when the device restarted instead. */
  async finish<T>(call: () => Promise<T>, limitMs = 100_000): Promise<T | undefined> {
    const attempt = this.start(call);
    await this.until(() => attempt.endedAtMs !== undefined, 'the end of the call', limitMs);
    return attempt.result;
  }

  /** `update(url)`, to its end. */
  update(url: string = SERVER_URL, version?: string): Promise<HTTPUpdateResult | undefined> {
    return this.finish(() => this.httpUpdate.update(url, version));
  }

  server(answer: Answer, options: { address?: string; port?: number } = {}): ScriptServer {
    return new ScriptServer(this, answer, options.address ?? SERVER, options.port ?? SERVER_PORT);
  }
}

/**
 * What a server does with a request: a text (or bytes as latin1) is sent at once, in one piece; a function does as it likes.
 * A list has one for each request, the last one for all that follow.
 */
export type Answer =
  | string
  | ((request: ServedRequest) => void)
  | readonly (string | ((request: ServedRequest) => void))[];

export class ServedRequest {
  constructor(
    private readonly bench: HttpUpdateBench,
    readonly connection: PeerConnection,
    readonly text: string,
  ) {}

  get path(): string {
    return this.text.split(' ')[1] ?? '';
  }

  send(text: string): void {
    this.connection.write(toBytes(text));
  }

  /** FIN, with the last of `text`. */
  end(text = ''): void {
    this.connection.end(toBytes(text));
  }

  /** Runs `action` later, in the device's time. */
  after(ms: number, action: () => void): void {
    this.bench.clock.alarm(ms * 1000, 'peer', action);
  }
}

export class ScriptServer {
  readonly requests: ServedRequest[] = [];
  readonly connections: PeerConnection[] = [];

  constructor(bench: HttpUpdateBench, answer: Answer, address: string, port: number) {
    bench.network.listenTcp(address, port).onConnection((connection) => {
      this.connections.push(connection);
      let text = '';
      connection.onData((data) => {
        text += latin1(data);
        if (!text.endsWith('\r\n\r\n')) return;
        const request = new ServedRequest(bench, connection, text);
        text = '';
        const answers = Array.isArray(answer) ? (answer as readonly Answer[]) : [answer];
        const mine = answers[Math.min(this.requests.length, answers.length - 1)]! as
          | string
          | ((r: ServedRequest) => void);
        this.requests.push(request);
        if (typeof mine === 'string') request.send(mine);
        else mine(request);
      });
    });
  }

  /** The first request, or the one at `index`, as text. */
  request(index = 0): string {
    return this.requests[index]!.text;
  }
}

/** A whole answer with a body. Further header lines without their CR LF. */
export function ok(body: Uint8Array, ...headers: string[]): string {
  return head(200, `Content-Length: ${body.length}`, ...headers) + latin1(body);
}

export function head(status: number, ...headers: string[]): string {
  return `${[`HTTP/1.1 ${status} Whatever`, ...headers].join('\r\n')}\r\n\r\n`;
}
