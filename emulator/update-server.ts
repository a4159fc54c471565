/**
 * The httpUpdate server of `vesp serve`, for real devices and emulated ones: node:http around `ota-services/update-server/`.
 * Source: design.md §4 (`serve`), §9; spec chapter 04 §25. No device takes part here: what is caught in this file can be no
 * Interruption.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, isIP, isIPv4, isIPv6, type Socket } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { pipeline } from 'node:stream/promises';
import type { TlsIdentity } from '../ota-services/ports.ts';
import { foldersOf, imagesOf, parseFileName } from '../ota-services/update-server/catalogue.ts';
import {
  type DeviceRequest,
  decide,
  type Offer,
  readDeviceRequest,
  sortOf,
} from '../ota-services/update-server/decide.ts';
import { urlPath } from '../ota-services/update-server/url-path.ts';
import type { HostPort } from './events.ts';
import { ListenError } from './network/device-network.ts';
import { selfSigned } from './self-signed.ts';
import { FileTrouble, type OpenFile, ServedFolder } from './update-files.ts';
import { type OfferChange, type OfferedImage, OfferWatch, offerTable } from './update-table.ts';

export type { OfferChange, OfferedImage } from './update-table.ts';

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 8000;
const ANY = '0.0.0.0';

// Limits. A device sends some 700 bytes and reads as fast as it erases flash.
const MAX_HEADER_BYTES = 8192;
const MAX_HEADERS = 64;
const MAX_CONNECTIONS = 64;
/** For the whole request, from the first byte on. */
const REQUEST_MS = 15_000;
const CHECK_MS = 2000;
const HANDSHAKE_MS = 15_000;
/** Without a byte in either direction. */
const SILENCE_MS = 60_000;
/** For a whole answer, however slowly it is read. */
const ANSWER_MS = 30 * 60_000;
const MAX_LOGGED_PATH = 120;
const PIECE_BYTES = 65_536;

export interface UpdateServerOptions {
  /** Folder with the images; see docs/serve.md. */
  readonly dir: string;
  /** Address to listen on (127.0.0.1). */
  readonly host?: string;
  /** TCP port; 0 lets the system choose (8000). */
  readonly port?: number;
  /** Speak TLS 1.2 and newer: with a certificate and its key as PEM texts, or with one made at each start. */
  readonly tls?: TlsIdentity | 'self-signed';
  /** Called once for each request, when its connection is done with it. */
  readonly onRequest?: (request: ServedRequest) => void;
  /** Called when files came, went or changed. */
  readonly onChange?: (change: OfferChange) => void;
}

/** What became of a request. Texts of the peer are printable ASCII of limited length. */
export interface ServedRequest {
  /** `ip:port` */
  readonly peer: string;
  /** Empty when the request could not be read. */
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly status: number;
  /** What the device said of itself; absent when it was none. */
  readonly device?: DeviceRequest;
  /** Path of the chosen file below the folder. */
  readonly file?: string;
  /** Version of the chosen file. */
  readonly version?: string;
  /** Bytes of the body that was to be sent, and that were handed to the system until the peer was gone. */
  readonly size?: number;
  readonly sent?: number;
  /** Why there is no image. */
  readonly reason?: string;
}

export interface UpdateServer {
  /** Where it listens. */
  readonly address: HostPort;
  /** `http://127.0.0.1:8000` */
  readonly url: string;
  /** SHA-1 of the certificate as `setFingerprint` takes it: `AA:BB:…`. */
  readonly fingerprint?: string;
  /** What devices would get now. */
  offers(): Promise<readonly OfferedImage[]>;
  /** Stops listening and cuts what is still running. */
  close(): Promise<void>;
}

/** A folder or a certificate that cannot be used. */
export class UpdateServerOptionError extends Error {
  override readonly name = 'UpdateServerOptionError';
}

/**
 * Starts an httpUpdate server.
 *
 * @throws UpdateServerOptionError for a folder or a certificate that cannot be used
 * @throws ListenError when the address or the port cannot be had
 * @example
 * const server = await createUpdateServer({ dir: 'firmware', port: 0 });
 * console.log(server.url, await server.offers());
 * await server.close();
 */
export async function createUpdateServer(options: UpdateServerOptions): Promise<UpdateServer> {
  const files = await ServedFolder.at(options.dir);
  if (typeof files === 'string') throw new UpdateServerOptionError(`folder ${options.dir}: ${files}`);
  const identity = options.tls === 'self-signed' ? ownIdentity(options.host ?? DEFAULT_HOST) : options.tls;
  const fingerprint = identity && checkCertificate(identity);
  const log = options.onRequest ?? (() => {});
  const server = makeServer(identity, (request, response) => void new Exchange(files, request, response, log).run());
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuse(error, socket, log));
  server.on('connect', (_request, socket: Socket) => {
    socket.on('error', () => {});
    socket.end(rawAnswer(405, 'Method Not Allowed', 'Allow: GET, HEAD\r\n'));
    log({ peer: peerOf(socket), method: 'CONNECT', path: '', status: 405, reason: 'only GET and HEAD' });
  });
  const address = await listen(server, options.host ?? DEFAULT_HOST, options.port ?? DEFAULT_PORT);
  const watch = options.onChange && new OfferWatch(files, await offerTable(files), options.onChange);
  const shownHost = isIPv6(address.host) ? `[${address.host}]` : address.host;
  return {
    address,
    url: `${identity ? 'https' : 'http'}://${shownHost}:${address.port}`,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    offers: async () => (await offerTable(files)).images,
    close: () =>
      new Promise((resolve) => {
        watch?.close();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A certificate for the names and addresses under which devices may ask for a server that listens on `host`. */
function ownIdentity(host: string): TlsIdentity {
  const ours = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const everywhere = ours.filter(({ family }) => family === 'IPv4').map(({ address }) => address);
  const listening = isIPv4(host) && host !== ANY ? [host] : everywhere;
  const names = [...(isIP(host) === 0 ? [host] : []), hostname(), 'localhost', ...listening];
  return selfSigned({ names: [...new Set(names)], now: new Date() });
}

function checkCertificate({ cert, key }: TlsIdentity): string {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    throw new UpdateServerOptionError('the certificate is no PEM certificate');
  }
  let fits: boolean;
  try {
    fits = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw new UpdateServerOptionError('the key is no PEM private key, or has a passphrase');
  }
  if (!fits) throw new UpdateServerOptionError('the key does not belong to the certificate');
  return certificate.fingerprint;
}

function makeServer(
  tls: TlsIdentity | undefined,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const limits = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: REQUEST_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: CHECK_MS,
    // Devices do without it (HTTP/1.1), and what is wrong with it is ours to say.
    requireHostHeader: false,
  };
  const server: Server = tls
    ? createTlsServer({ ...limits, ...tls, minVersion: 'TLSv1.2', handshakeTimeout: HANDSHAKE_MS }, answer)
    : createServer(limits, answer);
  server.maxHeadersCount = MAX_HEADERS;
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(SILENCE_MS, (socket) => socket.destroy());
  // A failed handshake is the peer's affair; Node closes the connection.
  server.on('tlsClientError', () => {});
  return server;
}

function listen(server: Server, host: string, port: number): Promise<HostPort> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      reject(new ListenError(`cannot listen on ${host}:${port}: ${listenReason(error)}`));
    };
    server.once('error', failed);
    server.listen({ host, port }, () => {
      server.off('error', failed);
      // Accepting may fail later (no descriptors left); those connections are lost, the server is not.
      server.on('error', () => {});
      const { address, port: chosen } = server.address() as AddressInfo;
      resolve({ host: address, port: chosen });
    });
  });
}

function listenReason({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'EADDRINUSE':
      return 'the port is in use by another program; choose another with --port';
    case 'EACCES':
      return 'the system does not allow this port';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'there is no such host';
    default:
      return code ?? message;
  }
}

/** A request that Node could not read, or that did not come in time. */
function refuse(error: NodeJS.ErrnoException, socket: Socket, log: (request: ServedRequest) => void): void {
  const [status, text] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ([431, 'Request Header Fields Too Large'] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ([408, 'Request Timeout'] as const)
        : ([400, 'Bad Request'] as const);
  // Reset by the peer, after our answer, or opened in reserve by a browser: there is nobody to tell, and nothing to log.
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0) {
    socket.destroy();
    return;
  }
  socket.end(rawAnswer(status, text), () => socket.destroy());
  log({ peer: peerOf(socket), method: '', path: '', status, reason: text });
}

const rawAnswer = (status: number, text: string, headers = ''): string =>
  `HTTP/1.1 ${status} ${text}\r\n${headers}Content-Length: 0\r\nConnection: close\r\n\r\n`;

const peerOf = ({ remoteAddress = '?', remotePort = 0 }: Socket): string =>
  `${remoteAddress.replace(/^::ffff:/, '')}:${remotePort}`;

const printable = (text: string, limit: number): string => text.slice(0, limit).replace(/[^\x20-\x7e]/g, '?');

/** An open file as the decision sees it. */
interface OpenOffer extends Offer {
  readonly file: OpenFile;
  readonly path: readonly string[];
}

/** One request and its answer. */
class Exchange {
  private readonly opened: OpenFile[] = [];
  private readonly record: { -readonly [K in keyof ServedRequest]: ServedRequest[K] };
  private readonly device: DeviceRequest | undefined;

  constructor(
    private readonly files: ServedFolder,
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    log: (request: ServedRequest) => void,
  ) {
    const { method = '', url = '', headers, socket } = request;
    const device = readDeviceRequest(headers);
    this.device = device;
    const path = printable(url.replace(/[?#].*$/s, ''), MAX_LOGGED_PATH);
    this.record = { peer: peerOf(socket), method, path, status: 0, ...(device ? { device: shownDevice(device) } : {}) };
    const deadline = setTimeout(() => socket.destroy(), ANSWER_MS);
    deadline.unref();
    response.once('close', () => {
      clearTimeout(deadline);
      log(this.record);
    });
    response.on('error', () => {}); // the peer is gone: `close` follows
  }

  async run(): Promise<void> {
    try {
      await this.answer();
    } catch (error) {
      const trouble = error instanceof FileTrouble ? error : new FileTrouble('internal error');
      if (this.response.headersSent) this.response.destroy();
      else this.refuse(trouble.status, trouble.message);
    } finally {
      for (const { handle } of this.opened) await handle.close().catch(() => {});
    }
  }

  private async answer(): Promise<void> {
    const { method, url = '' } = this.request;
    if (method !== 'GET' && method !== 'HEAD') return this.refuse(405, 'only GET and HEAD', { Allow: 'GET, HEAD' });
    const path = urlPath(url);
    if (!path.ok) return this.refuse(path.status, path.reason);
    const named = path.names.length > 0 ? await this.offer(path.names) : undefined;
    if (named && !this.device) return this.send(named, true);
    if (!this.device) {
      return this.refuse(403, 'images are for ESP8266 devices: the request has no x-ESP8266-* headers');
    }
    const answer = decide(this.device, named ? [named] : await this.choose(path.names, this.device));
    if ('reason' in answer) return this.refuse(answer.status, answer.reason);
    this.note(answer.offer);
    if (answer.status === 200) return this.send(answer.offer, answer.body);
    this.head(304, {});
    this.response.end();
  }

  /** The variants of the best build for a device: in its own folder, else in the one of the path. */
  private async choose(folder: readonly string[], { mode, mac }: DeviceRequest): Promise<OpenOffer[]> {
    const names = mode === undefined ? undefined : await this.files.list(folder);
    if (mode === undefined || names === undefined) return [];
    const own = mac === undefined ? [] : foldersOf(names, mac).map((name) => [...folder, name]);
    for (const place of [...own, folder]) {
      const found = place === folder ? names : ((await this.files.list(place)) ?? []);
      for (const build of imagesOf(found, sortOf(mode))) {
        const offers: OpenOffer[] = [];
        for (const { fileName } of build) {
          const offer = await this.offer([...place, fileName]);
          if (offer) offers.push(offer);
        }
        if (offers.length > 0) return offers;
      }
    }
    return [];
  }

  private async offer(path: readonly string[]): Promise<OpenOffer | undefined> {
    const file = await this.files.open(path);
    if (file === undefined) return undefined;
    this.opened.push(file);
    const version = parseFileName(path.at(-1) ?? '')?.version;
    return { ...file.facts, file, path, ...(version === undefined ? {} : { version }) };
  }

  private note({ path, version }: OpenOffer): void {
    this.record.file = printable(path.join('/'), MAX_LOGGED_PATH);
    if (version !== undefined) this.record.version = version;
  }

  private async send(offer: OpenOffer, withBody: boolean): Promise<void> {
    this.note(offer);
    const { facts, handle } = offer.file;
    this.head(200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': withBody ? facts.size : 0,
      'x-MD5': facts.md5,
      ...(offer.version === undefined ? {} : { 'x-version': offer.version }),
    });
    if (!withBody || this.request.method === 'HEAD' || facts.size === 0) {
      this.response.end();
      return;
    }
    this.record.size = facts.size;
    this.record.sent = 0;
    const body = handle.createReadStream({
      start: 0,
      end: facts.size - 1,
      highWaterMark: PIECE_BYTES,
      autoClose: false,
    });
    body.on('data', (piece) => {
      this.record.sent = (this.record.sent ?? 0) + piece.length;
    });
    try {
      await pipeline(body, this.response);
    } catch {
      this.response.destroy(); // the peer is gone, or the file became shorter: it sees a body that ends too early
    }
  }

  private refuse(status: number, reason: string, headers: Record<string, string> = {}): void {
    this.record.reason = reason;
    const text = `${reason}\n`;
    const length = Buffer.byteLength(text);
    this.head(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': length, ...headers });
    this.response.end(this.request.method === 'HEAD' ? undefined : text);
  }

  private head(status: number, headers: Record<string, string | number>): void {
    this.record.status = status;
    // One request a connection, as devices do it: nothing waits, nothing is pipelined.
    this.response.writeHead(status, { ...headers, Connection: 'close' });
  }
}

/** For the log: texts of strangers. */
function shownDevice(device: DeviceRequest): DeviceRequest {
  return device.version === undefined ? device : { ...device, version: printable(device.version, 64) };
}
