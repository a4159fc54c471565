/** A client of the control API over real sockets, and a device to control. */
import { type ClientRequest, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';
import {
  buildImage,
  createDevice,
  type Device,
  type DeviceOptions,
  type Stamped,
  uploadOverOta,
} from '../../emulator/index.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly bytes: Buffer;
  readonly text: string;
  /** The body as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into many shapes
  readonly json: any;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** An object is sent as JSON. */
  readonly body?: unknown;
}

const bodyOf = (body: unknown): Buffer | undefined => {
  if (body === undefined) return undefined;
  if (body instanceof Uint8Array) return Buffer.from(body);
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
};

/** One request on a connection of its own. */
export function ask(port: number, path: string, options: AskOptions = {}): Promise<Answer> {
  const body = bodyOf(options.body);
  return new Promise((resolve, reject) => {
    const request: ClientRequest = httpRequest(
      {
        host: '127.0.0.1',
        port,
        path,
        method: options.method ?? (body ? 'POST' : 'GET'),
        agent: false,
        headers: {
          ...(body && !options.headers?.['Transfer-Encoding'] ? { 'Content-Length': body.length } : {}),
          ...options.headers,
        },
      },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const bytes = Buffer.concat(pieces);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            bytes,
            text: bytes.toString(),
            get json() {
              return JSON.parse(bytes.toString());
            },
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

export interface SentEvent {
  readonly event: string;
  readonly id: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly data: any;
}

/** A reader of the event stream. */
export class EventReader {
  readonly all: SentEvent[] = [];
  status = 0;
  ended = false;
  private text = '';
  private watchers: (() => void)[] = [];

  private constructor(private readonly request: ClientRequest) {}

  static open(port: number, headers: OutgoingHttpHeaders = {}, path = '/api/events'): Promise<EventReader> {
    return new Promise((resolve, reject) => {
      const request = httpRequest({ host: '127.0.0.1', port, path, agent: false, headers });
      const reader = new EventReader(request);
      request.on('error', (error) => {
        reader.end();
        reject(error);
      });
      request.on('response', (response) => {
        reader.status = response.statusCode ?? 0;
        response.setEncoding('utf8').on('data', (piece: string) => reader.take(piece));
        response.on('close', () => reader.end());
        response.on('error', () => reader.end());
        resolve(reader);
      });
      request.end();
    });
  }

  /** Events of the device, without `hello` and `gap`. */
  get events(): Stamped[] {
    return this.all.filter(({ event }) => event === 'message').map(({ data }) => data as Stamped);
  }

  async until(enough: (reader: EventReader) => boolean): Promise<void> {
    while (!enough(this)) {
      if (this.ended) throw new Error(`the stream ended: ${JSON.stringify(this.all.at(-1))}`);
      await new Promise<void>((resolve) => this.watchers.push(resolve));
    }
  }

  close(): void {
    this.request.destroy();
  }

  private end(): void {
    this.ended = true;
    this.wake();
  }

  private wake(): void {
    for (const watcher of this.watchers.splice(0)) watcher();
  }

  private take(piece: string): void {
    this.text += piece;
    for (;;) {
      const end = this.text.indexOf('\n\n');
      if (end < 0) break;
      const lines = this.text.slice(0, end).split('\n');
      this.text = this.text.slice(end + 2);
      const field = (name: string): string | undefined =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field('data');
      if (data !== undefined)
        this.all.push({ event: field('event') ?? 'message', id: field('id'), data: JSON.parse(data) });
    }
    this.wake();
  }
}

export const image = (version: string, size = 300_000): Uint8Array =>
  buildImage({ sketch: ['basic-ota', 'web-updater'], version, size, layout: '4m2m' });

export interface Controlled {
  readonly device: Device;
  readonly port: number;
  ask(path: string, options?: AskOptions): Promise<Answer>;
}

/** A device with the control API on a port of the system's choice, powered on. */
export async function controlled(options: DeviceOptions = {}, on = true): Promise<Controlled> {
  const device = await createDevice({
    layout: '4m2m',
    image: image('1.0'),
    ota: { port: 0 },
    http: { port: 0 },
    control: { port: 0 },
    ...options,
  });
  if (on) await device.powerOn();
  const { port } = device.address.control!;
  return { device, port, ask: (path, more) => ask(port, path, more) };
}

/** An update by ArduinoOTA, up to the start of the new application. */
export async function driveUpdateOverSockets(device: Device, file: Uint8Array): Promise<void> {
  const started = device.next('app.start');
  const { host, port } = device.address.ota!;
  const result = await uploadOverOta({ host, port, file });
  if (!result.ok) throw new Error(result.message);
  await started;
}

/** A bare connection. */
export function rawConnection(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', reject);
  });
}

/** Sends bytes as they are and reads until the other side closes. */
export async function rawExchange(port: number, text: string | Uint8Array): Promise<string> {
  const socket = await rawConnection(port);
  socket.removeAllListeners('error');
  socket.on('error', () => {});
  let answer = '';
  socket.setEncoding('latin1').on('data', (piece: string) => {
    answer += piece;
  });
  socket.write(text);
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return answer;
}
