/**
 * A device that runs a web server with the update server on it, in virtual time: chip, Updater, a sketch that calls
 * `handleClient()` for ever, and peers on a simulated network. The surroundings are those of the recorded exchanges: 4 MiB,
 * file system 0x200000 to 0x3FA000, running sketch of 300000 bytes, mode DOUT, 30000 bytes of free heap.
 */
import { referenceKernels } from '../../assembly/host/reference.ts';
import { VirtualClock } from '../../emulator/clock.ts';
import { DeviceReset } from '../../emulator/device-reset.ts';
import { Life } from '../../emulator/life.ts';
import { SimulatedNetwork, type SimulatedNetworkOptions } from '../../emulator/network/simulated-network.ts';
import type { PeerConnection, PeerState } from '../../emulator/network/simulated-peer.ts';
import { chipClock, sketchClock } from '../../emulator/ports.ts';
import { SeededRandom } from '../../emulator/random.ts';
import { EspFlash } from '../../flash/esp-class.ts';
import type { FlashEvent } from '../../flash/events.ts';
import { type FlashLayout, layoutByName } from '../../flash/layouts.ts';
import { type FlashFaults, NorFlash } from '../../flash/nor-flash.ts';
import { defaultPart } from '../../flash/parts.ts';
import { Interruption } from '../../flash/ports.ts';
import type { ServiceEvent } from '../../ota-services/events.ts';
import { ESP8266HTTPUpdateServer } from '../../ota-services/http-update-server/http-update-server.ts';
import type { System } from '../../ota-services/ports.ts';
import { Updater } from '../../ota-services/updater.ts';
import { ESP8266WebServer } from '../../ota-services/web-server/web-server.ts';
import { nodeMd5 } from './flash.ts';
import { latin1, toBytes } from './transcript.ts';

const CHIP_BYTES = 0x400000;
const RUNNING_SKETCH_BYTES = 300_000;
const RUNNING_MODE_DOUT = 3;
const APP_HEADER = 0x1000;
export const HTTP_PORT = 80;

export interface HttpBenchOptions {
  readonly network?: Omit<SimulatedNetworkOptions, 'clock' | 'emit'>;
  readonly faults?: FlashFaults;
  readonly layout?: FlashLayout;
  readonly freeHeap?: number;
  /** Bytes of the running sketch; a multiple of 16. */
  readonly sketchBytes?: number;
  /** Of the update server. */
  readonly user?: string;
  readonly password?: string;
  readonly path?: string;
  /** The update server tells what it does on the serial line (true). */
  readonly serialDebug?: boolean;
  /** Without it the web server has no routes but these (and no update server when it is false). */
  readonly updateServer?: boolean;
  /** Routes of the sketch; registered before those of the update server. */
  readonly setup?: (server: ESP8266WebServer, bench: HttpBench) => void;
}

export interface BootCommand {
  readonly source: number;
  readonly destination: number;
  readonly size: number;
}

export class HttpBench {
  readonly clock = new VirtualClock();
  readonly life = new Life(this.clock);
  readonly network: SimulatedNetwork;
  readonly chip: NorFlash;
  readonly esp: EspFlash;
  readonly updater: Updater;
  readonly server: ESP8266WebServer;
  readonly updateServer: ESP8266HTTPUpdateServer;
  readonly events: (ServiceEvent & { readonly atMs: number })[] = [];
  readonly flashEvents: FlashEvent[] = [];
  readonly serial: { readonly atMs: number; readonly text: string }[] = [];
  /** Every eboot command that was written; the last one is armed. */
  readonly commands: BootCommand[] = [];
  fileSystemsClosed = 0;
  restartAtMs: number | undefined;
  /** Heap that the services hold. */
  held = 0;
  /** The sketch's thread ended with something that was no Interruption. */
  crash: unknown;

  constructor(readonly options: HttpBenchOptions = {}) {
    const { clock, life } = this;
    const tell = (event: ServiceEvent): void => void this.events.push({ ...event, atMs: this.nowMs });
    this.network = new SimulatedNetwork({ latencyUs: 50, ...options.network, clock, emit: tell });
    this.chip = new NorFlash({
      part: defaultPart(CHIP_BYTES),
      store: referenceKernels().createChip(CHIP_BYTES),
      clock: chipClock(clock, life),
      emit: (event) => void this.flashEvents.push(event),
    });
    this.chip.load(0, runningSketch(options.sketchBytes ?? RUNNING_SKETCH_BYTES));
    const layout = options.layout ?? layoutByName('4m2m');
    this.esp = new EspFlash({ chip: this.chip, clock: chipClock(clock, life), layout, md5: nodeMd5 });
    this.esp.sdkStart();
    this.chip.faults = options.faults;
    const random = new SeededRandom(1);
    const ports = {
      clock: sketchClock(clock, life),
      network: this.network.forDevice(life),
      system: this.system(),
      command: {
        writeCopy: (source: number, destination: number, size: number) =>
          void this.commands.push({ source, destination, size }),
        clear: () => {
          throw new Error('nobody here clears the command');
        },
      },
      md5: nodeMd5,
      emit: tell,
      random32: () => random.next32(),
    };
    this.updater = new Updater({ ...ports, flash: this.esp });
    this.server = new ESP8266WebServer(ports, HTTP_PORT);
    this.updateServer = new ESP8266HTTPUpdateServer(
      {
        ...ports,
        update: this.updater,
        flash: this.esp,
        print: (text) => void this.serial.push({ atMs: this.nowMs, text }),
        closeFileSystems: () => void this.fileSystemsClosed++,
      },
      options.serialDebug ?? true,
    );
    options.setup?.(this.server, this);
    if (options.updateServer ?? true) {
      this.updateServer.setup(this.server, options.path ?? '/update', options.user ?? '', options.password ?? '');
    }
    void this.sketch();
  }

  get nowMs(): number {
    return this.clock.nowUs() / 1000;
  }

  /** Everything printed so far. */
  get printed(): string {
    return this.serial.map(({ text }) => text).join('');
  }

  get command(): BootCommand | undefined {
    return this.commands.at(-1);
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(Math.round(ms * 1000));
  }

  /** Advances until `condition` holds. @throws Error after `limitMs` of device time */
  async until(condition: () => boolean, what: string, limitMs = 30_000): Promise<void> {
    const start = this.nowMs;
    while (!condition()) {
      if (this.nowMs - start > limitMs) {
        throw new Error(`${what} did not happen within ${limitMs} ms; printed: ${JSON.stringify(this.printed)}`);
      }
      await this.advance(1);
    }
    if (this.crash) throw this.crash;
  }

  eventsOf<T extends ServiceEvent['type']>(type: T): Extract<ServiceEvent, { type: T }>[] {
    return this.events.filter((event) => event.type === type) as unknown as Extract<ServiceEvent, { type: T }>[];
  }

  /** A client that has connected. */
  async connect(): Promise<HttpPeer> {
    const peer = new HttpPeer(this, this.network.connectTcp(HTTP_PORT));
    await this.until(() => peer.connection.state !== 'connecting', 'the connection');
    return peer;
  }

  /** Sends a request on a connection of its own, and waits for a whole answer, or the end. */
  async ask(request: string, limitMs?: number): Promise<HttpPeer> {
    const peer = await this.connect();
    peer.write(request);
    await peer.answered(1, limitMs);
    return peer;
  }

  private system(): System {
    return {
      chipId: 0xc0ffee,
      bootStraps: () => 3,
      freeHeap: () => this.options.freeHeap ?? 30_000,
      allocate: (bytes) => {
        this.held += bytes;
        return true;
      },
      release: (bytes) => {
        this.held -= bytes;
        if (this.held < 0) throw new Error(`released ${-this.held} bytes that nobody held`);
      },
      restart: () => {
        this.restartAtMs = this.nowMs;
        const reset = new DeviceReset('software');
        this.life.end(reset);
        return Promise.reject(reset);
      },
      disableWifiSleep: () => {},
      wifiOff: () => Promise.resolve(true),
      hardwareReset: () => Promise.reject(new Error('hardwareReset was called')),
      digitalWrite: () => {},
      pinMode: () => {},
    };
  }

  private async sketch(): Promise<void> {
    try {
      await this.server.begin();
      for (;;) {
        await this.server.handleClient();
        await this.life.idle(1000);
      }
    } catch (error) {
      if (error instanceof Interruption) return;
      this.crash = error;
      this.life.end(new DeviceReset('exception'));
    }
  }
}

const STATES_AFTER_FIN: readonly PeerState[] = ['device-ended', 'closed'];

/** A client that writes down what comes, and when. */
export class HttpPeer {
  readonly pieces: { readonly atMs: number; readonly text: string }[] = [];

  constructor(
    private readonly bench: HttpBench,
    readonly connection: PeerConnection,
  ) {
    connection.onData((data) => void this.pieces.push({ atMs: bench.nowMs, text: latin1(data) }));
  }

  /** All that came. */
  get text(): string {
    return this.pieces.map(({ text }) => text).join('');
  }

  /** `latin1`, one byte a character. */
  write(text: string): void {
    this.connection.write(toBytes(text));
  }

  /** FIN, in one segment with the last of `text`. */
  end(text = ''): void {
    this.connection.end(toBytes(text));
  }

  reset(): void {
    this.connection.reset();
  }

  /** How the device ended the connection. */
  get ending(): 'FIN' | 'RST' | undefined {
    const { state } = this.connection;
    if (state === 'reset') return 'RST';
    return STATES_AFTER_FIN.includes(state) ? 'FIN' : undefined;
  }

  /** When it did. */
  get endedAtMs(): number | undefined {
    const entry = this.connection.history.find(({ state }) => state === 'reset' || STATES_AFTER_FIN.includes(state));
    return entry && entry.atUs / 1000;
  }

  /** Status line of the last answer. */
  get status(): string {
    return this.answers.at(-1)?.head.split('\r\n')[0] ?? '';
  }

  get head(): string {
    return this.answers.at(-1)?.head ?? '';
  }

  get body(): string {
    return this.answers.at(-1)?.body ?? '';
  }

  /** Whole answers, split by their Content-Length. */
  get answers(): { head: string; body: string }[] {
    const found: { head: string; body: string }[] = [];
    let rest = this.text;
    for (;;) {
      const end = rest.indexOf('\r\n\r\n') + 4;
      if (end < 4) return found;
      const head = rest.slice(0, end);
      const length = Number(/^Content-Length: (\d+)\r$/m.exec(head)?.[1] ?? 0);
      if (rest.length < end + length) return found;
      found.push({ head, body: rest.slice(end, end + length) });
      rest = rest.slice(end + length);
    }
  }

  /** Waits for so many whole answers, or for the end of the connection. */
  async answered(count = 1, limitMs?: number): Promise<void> {
    await this.bench.until(
      () => this.answers.length >= count || this.ending !== undefined,
      `answer ${count} (so far ${JSON.stringify(this.text)})`,
      limitMs,
    );
  }

  async ended(limitMs?: number): Promise<void> {
    await this.bench.until(() => this.ending !== undefined, 'the end of the connection', limitMs);
  }
}

/** From the header at 0 and the application header at 0x1000 the core reads mode, chip size and sketch size. */
function runningSketch(bytes: number): Uint8Array {
  const image = new Uint8Array(APP_HEADER + 16).fill(0xff);
  const header = [0xe9, 1, RUNNING_MODE_DOUT, 0x40, 0, 0, 0x10, 0x40];
  image.set(header, 0);
  image.set(header, APP_HEADER);
  const segment = new DataView(image.buffer, APP_HEADER + 8);
  segment.setUint32(0, 0x40201010, true);
  // Header, segment header, and the padding to 16 with the checksum byte belong to the size as well.
  segment.setUint32(4, bytes - APP_HEADER - 32, true);
  return image;
}

export const BOUNDARY = '----boundary7MA4YWxkTrZu0gW';

export interface Part {
  /** Text before the part's data: header lines and the empty one. */
  readonly head: string;
  readonly data: string;
}

/** A file part as browsers and curl send it. */
export const filePart = (data: Uint8Array, name = 'firmware', filename = 'fw.bin'): Part => ({
  head: `Content-Disposition: form-data; name="${name}"; filename="${filename}"\r\nContent-Type: application/octet-stream\r\n\r\n`,
  data: latin1(data),
});

export const fieldPart = (name: string, value: string): Part => ({
  head: `Content-Disposition: form-data; name="${name}"\r\n\r\n`,
  data: value,
});

/** The body of a form. */
export const formBody = (parts: readonly Part[]): string =>
  `${parts.map(({ head, data }) => `--${BOUNDARY}\r\n${head}${data}\r\n`).join('')}--${BOUNDARY}--\r\n`;

export interface PostOptions {
  readonly method?: string;
  readonly path?: string;
  readonly contentType?: string;
  /** Further header lines, without their CR LF. */
  readonly headers?: readonly string[];
}

/** A whole request with a body. */
export function post(body: string, options: PostOptions = {}): string {
  const { method = 'POST', path = '/update', contentType = `multipart/form-data; boundary=${BOUNDARY}` } = options;
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Content-Type: ${contentType}`,
    `Content-Length: ${body.length}`,
    ...(options.headers ?? []),
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

/** The upload of one file. */
export const upload = (data: Uint8Array, name?: string, options?: PostOptions): string =>
  post(formBody([filePart(data, name)]), options);

export const get = (path = '/update', ...headers: string[]): string =>
  `GET ${path} HTTP/1.1\r\n${['Host: 127.0.0.1', ...headers].map((line) => `${line}\r\n`).join('')}\r\n`;
