/**
 * The control API (design.md §6): a server on loopback through which programs and the live page look into the device and
 * press its buttons. It uses the device's public methods only. No device code runs in here: what is caught in this folder
 * can be no Interruption.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isValidCommand } from '../../eboot/command.ts';
import { decodeEbootCommand } from '../eboot-command.ts';
import type { DeviceEvent, HostPort, Stamped } from '../events.ts';
import { ListenError } from '../network/device-network.ts';
import { ApiError } from './api-error.ts';
import { pageAssets } from './assets.ts';
import { cpuRoutes, faultRoutes, imageRoutes, serialRoutes, snapshotRoutes } from './bench-routes.ts';
import { waitsForContinue } from './body.ts';
import { deviceRoutes, mutex } from './device-routes.ts';
import { DEFAULT_STREAM_LIMITS, EventStream, type ReadFrom, type StreamLimits } from './event-stream.ts';
import { FaultList } from './fault-list.ts';
import { memoryRoutes } from './memory-routes.ts';
import { refusal } from './origin.ts';
import type { ControlledDevice, KnownSettings, OpaqueSnapshot } from './ports.ts';
import { type Answer, type Exchange, type Routes, route } from './routes.ts';
import { SectorStates } from './sector-states.ts';
import { Snapshots } from './snapshots.ts';

const HOST = '127.0.0.1';
const MAX_CONNECTIONS = 128;
const MAX_HEADER_BYTES = 16 * 1024;
/** For the head of a request; for all of it; without a byte in either direction. */
const HEAD_MS = 10_000;
const REQUEST_MS = 120_000;
const SILENCE_MS = 60_000;
/** Requests whose body or answer may be as large as the chip, at once. */
const MAX_LARGE = 4;
const LARGE_ANSWER_BYTES = 512 * 1024;
/** After a refusal the rest of a body is read for so long, so that the client hears why. */
const LINGER_MS = 1000;

/** Everything comes from here, runs from here, and nobody may put the page into a frame. */
const SECURITY: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

export interface ControlOptions {
  /** TCP port on 127.0.0.1; 0 lets the system choose. */
  readonly port: number;
  /** Settings of the run, for `/api/upload`. */
  readonly settings?: KnownSettings;
  readonly limits?: Partial<StreamLimits>;
}

export interface ControlServer {
  readonly address: HostPort;
  /** Stops listening and cuts what is still running. */
  close(): Promise<void>;
}

/**
 * Starts the server.
 *
 * @throws ListenError when the port is taken
 */
export async function startControl<S extends OpaqueSnapshot>(
  device: ControlledDevice<S>,
  options: ControlOptions,
): Promise<ControlServer> {
  const control = new Control(device, options);
  try {
    const address = await control.listen(options.port);
    return { address, close: () => control.close() };
  } catch (error) {
    await control.close();
    throw error;
  }
}

class Control<S extends OpaqueSnapshot> {
  private readonly run = randomUUID();
  private readonly server: Server;
  private readonly stream: EventStream;
  private readonly sectors: SectorStates;
  private readonly faults = new FaultList();
  private readonly snapshots = new Snapshots<S>();
  private readonly pauseOn = new Set<string>();
  private readonly routes: Routes;
  private readonly stop: () => void;
  private app: unknown;
  private reset: unknown;
  private large = 0;
  private port = 0;

  constructor(
    private readonly device: ControlledDevice<S>,
    options: ControlOptions,
  ) {
    this.stream = new EventStream(device.events, this.run, { ...DEFAULT_STREAM_LIMITS, ...options.limits });
    this.sectors = new SectorStates(device.flash.chip);
    const exclusive = mutex();
    this.routes = {
      ...deviceRoutes(device, {
        run: this.run,
        latest: () => ({ app: this.app, reset: this.reset }),
        pauseOn: this.pauseOn,
        exclusive,
      }),
      ...memoryRoutes(device, this.sectors, this.snapshots as Snapshots<never>),
      ...serialRoutes(device),
      ...faultRoutes(device, this.faults),
      ...cpuRoutes(device),
      ...imageRoutes(device, options.settings ?? {}, (task) => this.asLarge(task)),
      ...snapshotRoutes(device, this.snapshots, this.sectors, exclusive),
      '/api/events': { GET: (exchange) => this.events(exchange) },
    };
    for (const event of device.events.recent()) this.see(event);
    this.stop = device.events.subscribe((event) => this.see(event));
    this.server = createServer(
      { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: HEAD_MS, requestTimeout: REQUEST_MS },
      (request, response) => void this.answer(request, response),
    );
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.setTimeout(SILENCE_MS);
    // A large body is announced: refuse it before it is sent.
    this.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      waitsForContinue(request, () => response.writeContinue());
      void this.answer(request, response);
    });
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseGarbage(error, socket));
    for (const verb of ['connect', 'upgrade'] as const) {
      this.server.on(verb, (_request: IncomingMessage, socket: Socket) => {
        socket.on('error', () => {});
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      });
    }
  }

  async listen(port: number): Promise<HostPort> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', (error: NodeJS.ErrnoException) => {
        const why = error.code === 'EADDRINUSE' ? 'it is in use' : (error.code ?? error.message);
        reject(new ListenError(`TCP port ${port} on ${HOST} for the control API: ${why}; choose another (0: any)`));
      });
      this.server.listen(port, HOST, resolve);
    });
    this.port = (this.server.address() as AddressInfo).port;
    return { host: HOST, port: this.port };
  }

  close(): Promise<void> {
    this.stop();
    this.stream.close();
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }

  private see(event: Stamped<DeviceEvent>): void {
    this.sectors.see(event);
    this.faults.see(event);
    if (this.pauseOn.has(event.type)) this.device.pause();
    switch (event.type) {
      case 'app.start':
        this.app = event;
        break;
      case 'reset':
        this.reset = event;
        this.app = undefined;
        if (event.rtcKept) this.saveBeforeCopy(event);
        break;
      case 'power.off':
        this.app = undefined;
        break;
      case 'update.begin':
        this.snapshots.addAutomatic('before-update', 'before the update', event.atUs, this.device.snapshot());
        break;
      default:
    }
  }

  /** The moment to come back to when somebody wants to see eboot's copy again, or to cut it. */
  private saveBeforeCopy(event: Stamped): void {
    const { device } = this;
    if (!isValidCommand(decodeEbootCommand(device.rtc.readUser(0, 128)))) return;
    this.snapshots.addAutomatic('before-copy', 'before eboot copies', event.atUs, device.snapshot());
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(SECURITY)) response.setHeader(name, value);
    response.on('error', () => {});
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      const refused = refusal(request.headers, this.port);
      if (refused !== undefined) throw new ApiError(403, 'foreign', refused, { Connection: 'close' });
      const url = parseTarget(request.url ?? '');
      const { handler, id } = this.find(request.method ?? '', url.pathname);
      const exchange: Exchange = { request, response, query: url.searchParams, id, signal: gone.signal };
      const answer = await handler(exchange);
      if (answer !== undefined) this.send(request, response, answer);
    } catch (error) {
      sendError(request, response, error);
    }
  }

  private send(request: IncomingMessage, response: ServerResponse, answer: NonNullable<Answer>): void {
    const [type, body] =
      'json' in answer ? ['application/json', JSON.stringify(answer.json)] : [answer.type, answer.body];
    const length = Buffer.byteLength(body);
    if (length > LARGE_ANSWER_BYTES && request.method !== 'HEAD') {
      this.beginLarge();
      response.once('close', () => this.large--);
    }
    response.writeHead(answer.status ?? 200, { 'Content-Type': type, 'Content-Length': length });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  private find(method: string, path: string): ReturnType<typeof route> {
    const asset = pageAssets().get(path);
    if (!asset) return route(this.routes, method, path);
    return route({ [path]: { GET: () => ({ type: asset.type, body: asset.body }) } }, method, path);
  }

  private events({ request, response, query }: Exchange): undefined {
    if (request.method === 'HEAD') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end();
      return undefined;
    }
    const text = request.headers['last-event-id'] ?? query.get('after');
    const after = typeof text === 'string' && /^(-1|\d{1,15})$/.test(text) ? Number(text) : undefined;
    const from: ReadFrom = after === undefined ? undefined : { after, run: query.get('run') ?? undefined };
    this.stream.add(response, from);
    return undefined;
  }

  private async asLarge<T>(task: () => Promise<T>): Promise<T> {
    this.beginLarge();
    try {
      return await task();
    } finally {
      this.large--;
    }
  }

  /** Bounds what requests and answers of the chip's size hold in memory together. */
  private beginLarge(): void {
    if (this.large >= MAX_LARGE) {
      throw new ApiError(503, 'busy', `${MAX_LARGE} large requests are under way`, { 'Retry-After': '1' });
    }
    this.large++;
  }
}

/** @throws ApiError 400 for what is no path of this server */
function parseTarget(target: string): URL {
  if (target.startsWith('/') && URL.canParse(target, 'http://control')) {
    const url = new URL(target, 'http://control');
    if (url.host === 'control') return url;
  }
  throw new ApiError(400, 'bad-target', 'the request target has to be a path');
}

function sendError(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const told =
    error instanceof ApiError
      ? error
      : new ApiError(500, 'internal', error instanceof Error ? error.message : String(error));
  const body = told.body();
  // What the client still sends is not read any further: the connection ends with this answer.
  const early = !request.complete;
  response.writeHead(told.status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    ...told.headers,
    ...(early ? { Connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
  if (early) linger(request);
}

/** A client hears a refusal only if we do not reset the connection under it while it still sends. */
function linger(request: IncomingMessage): void {
  const { socket } = request;
  request.on('error', () => {});
  request.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

function refuseGarbage(error: NodeJS.ErrnoException, socket: Socket): void {
  socket.on('error', () => {});
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const tooLong = error.code === 'HPE_HEADER_OVERFLOW';
  const [status, code] = tooLong
    ? ['431 Request Header Fields Too Large', 'too-large']
    : ['400 Bad Request', 'bad-request'];
  const body = new ApiError(400, code!, tooLong ? 'the headers are too large' : 'this is no HTTP request').body();
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
