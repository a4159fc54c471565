/**
 * The core's `ESP8266WebServer`: one client at a time, on the sketch's thread. Source: spec chapter 04 §1–§8.
 *
 * Texts that a sketch gives and gets are ordinary strings; on the wire they are UTF-8, and bytes that are not come back
 * unharmed (see byte-text.ts). Everything that sends is async, but need not be awaited: the server does so after the
 * handler, in order.
 */
import type { ServiceEvent } from '../events.ts';
import type { Address, Clock, Emit, Md5, Network, System, TcpConnection, TcpListener } from '../ports.ts';
import { bytesOf, toByteText } from './byte-text.ts';
import { ClientQueue } from './client-queue.ts';
import { HTTP_MAX_CLOSE_WAIT, HTTP_MAX_DATA_AVAILABLE_WAIT, HTTP_MAX_DATA_WAIT } from './constants.ts';
import { FrozenWatch } from './frozen-watch.ts';
import { emptyRequest } from './parsed-request.ts';
import { parseRequest } from './request.ts';
import {
  type Handler,
  type RequestHandler,
  Route,
  type RouteMethod,
  type StaticFiles,
  StaticRoute,
} from './request-handler.ts';
import { RequestInput } from './request-input.ts';
import { RequestReader, type Told } from './request-reader.ts';
import { Responder } from './responder.ts';
import { CONTENT_LENGTH_UNKNOWN } from './response.ts';
import { SketchRequest } from './sketch-request.ts';
import { UPLOAD_FILE_ABORTED, UPLOAD_FILE_END, UPLOAD_FILE_START, UPLOAD_HEAP_BYTES, type Upload } from './upload.ts';
import { WebClient } from './web-client.ts';

export type { HttpMethod } from './parsed-request.ts';
export type { Handler, RequestHandler, Route, RouteMethod, StaticFiles } from './request-handler.ts';
export { CONTENT_LENGTH_NOT_SET, CONTENT_LENGTH_UNKNOWN } from './response.ts';
export {
  UPLOAD_FILE_ABORTED,
  UPLOAD_FILE_END,
  UPLOAD_FILE_START,
  UPLOAD_FILE_WRITE,
  type Upload as HTTPUpload,
} from './upload.ts';
export type { WebClient } from './web-client.ts';

const DEFAULT_PORT = 80;
const DEFAULT_REALM = 'Login Required';

export type AuthMethod = 'BASIC' | 'DIGEST';

export interface WebServerPorts {
  readonly clock: Clock;
  readonly network: Pick<Network, 'listenTcp'>;
  readonly system: Pick<System, 'freeHeap' | 'allocate' | 'release'>;
  readonly md5: () => Md5;
  readonly emit: Emit<ServiceEvent>;
  /** The hardware's random numbers, unsigned 32 bits: for the nonces of digests. */
  readonly random32: () => number;
}

/** Where the client that is being served stands. */
type ClientState = 'wait-read' | 'wait-close';

/**
 * @example
 * const server = new ESP8266WebServer(ports, 80);
 * server.on('/', 'GET', () => server.send(200, 'text/plain', `Hello ${server.arg('name')}`));
 * await server.begin();
 * for (;;) await server.handleClient();
 */
export class ESP8266WebServer extends SketchRequest {
  private readonly queue = new ClientQueue();
  private readonly responder: Responder;
  private readonly watch: FrozenWatch;
  private readonly handlers: RequestHandler[] = [];
  private notFoundHandler: Handler | undefined;
  private fileUploadHandler: Handler | undefined;

  private current: WebClient | undefined;
  private state: ClientState = 'wait-read';
  /** Device milliseconds at which the state began. */
  private since = 0;
  private handler: RequestHandler | undefined;
  private currentUpload: Upload | undefined;
  private uploadHeapBytes = 0;
  private isHandling = false;

  constructor(
    protected readonly ports: WebServerPorts,
    private port: number = DEFAULT_PORT,
  ) {
    super(ports.md5);
    this.responder = new Responder(ports.emit, () => this.queue.length > 0);
    this.watch = new FrozenWatch(ports.emit);
  }

  // The server.

  /** Starts to listen. Rejects when the port is taken. @param port instead of the constructor's; 0: the system chooses */
  async begin(port: number = this.port): Promise<void> {
    this.close();
    this.port = port;
    this.queue.open(await this.listen(port));
  }

  /** Stops listening and drops the client. */
  close(): void {
    this.drop();
    this.queue.close();
  }

  stop(): void {
    this.close();
  }

  /** Where it listens; undefined before `begin`. */
  get local(): Address | undefined {
    return this.queue.local;
  }

  /** Any method. */
  on(path: string, handler: Handler): Route;
  on(path: string, method: RouteMethod, handler: Handler, uploadHandler?: Handler): Route;
  on(path: string, methodOrHandler: RouteMethod | Handler, ...handlers: Handler[]): Route {
    const [method, all]: [RouteMethod, Handler[]] =
      typeof methodOrHandler === 'string' ? [methodOrHandler, handlers] : ['ANY', [methodOrHandler]];
    const [handler, uploadHandler] = all;
    if (!handler) throw new TypeError(`on(${path}): wants a handler`);
    const route = new Route(path, method, handler, uploadHandler ?? this.fileUploadHandler);
    this.handlers.push(route);
    return route;
  }

  addHandler(handler: RequestHandler): void {
    this.handlers.push(handler);
  }

  onNotFound(handler: Handler): void {
    this.notFoundHandler = handler;
  }

  /** Takes the files of forms on routes that are registered after it and have no upload handler of their own. */
  onFileUpload(handler: Handler): void {
    this.fileUploadHandler = handler;
  }

  /** Serves a file at `uri`, or a directory at every path that begins with it. */
  serveStatic(uri: string, files: StaticFiles, path: string, cacheControl = ''): void {
    this.handlers.push(new StaticRoute(this, uri, files, path, cacheControl));
  }

  /** Adds `Access-Control-Allow-Origin: *` to every response. */
  enableCORS(on: boolean): void {
    this.responder.cors = on;
  }

  /**
   * One step; returns soon, except that a request is read, answered and done within one call. To be called in `loop()`.
   * A call inside a handler does nothing.
   */
  async handleClient(): Promise<void> {
    if (this.isHandling) return;
    this.isHandling = true;
    try {
      await this.step();
    } finally {
      this.isHandling = false;
    }
  }

  // The request and its client.

  /** The client that is being served. @throws Error when there is none */
  client(): WebClient {
    if (!this.current) throw new Error('client() outside of a request: there is nobody');
    return this.current;
  }

  /** The file that comes in. Good inside an upload handler. @throws Error when none was begun */
  upload(): Upload {
    if (!this.currentUpload) throw new Error('upload() without a file: call it in an upload handler');
    return this.currentUpload;
  }

  // The response.

  /** Answers 401. */
  requestAuthentication(mode: AuthMethod = 'BASIC', realm: string = DEFAULT_REALM, body = ''): Promise<void> {
    this.challenge = { ...this.challenge, realm: toByteText(realm) };
    let value = `Basic realm="${realm}"`;
    if (mode === 'DIGEST') {
      this.challenge = { ...this.challenge, nonce: this.randomHex(), opaque: this.randomHex() };
      value = `Digest realm="${realm}", qop="auth", nonce="${this.challenge.nonce}", opaque="${this.challenge.opaque}"`;
    }
    this.sendHeader('WWW-Authenticate', value);
    return this.send(401, 'text/html', body);
  }

  /** A header of the coming response. @param first before those so far, though behind Content-Type */
  sendHeader(name: string, value: string, first = false): void {
    this.responder.addHeader(toByteText(name), toByteText(value), first);
  }

  /** Bytes of the coming body, or CONTENT_LENGTH_UNKNOWN: then it comes in chunks. Holds for this request. */
  setContentLength(length: number): void {
    this.responder.contentLength = length;
  }

  /** Sends header block and body. @param contentType `text/html` if empty */
  send(code: number, contentType = '', content: string | Uint8Array = ''): Promise<void> {
    return this.responder.send(code, toByteText(contentType), contentBytes(content));
  }

  /** A further piece of the body. */
  sendContent(content: string | Uint8Array): Promise<void> {
    return this.responder.sendContent(contentBytes(content));
  }

  /** Starts a body in chunks; false for an HTTP/1.0 client, who cannot read them. */
  chunkedResponseModeStart(code: number, contentType = ''): boolean {
    if (this.request.version === 0) return false;
    this.setContentLength(CONTENT_LENGTH_UNKNOWN);
    void this.send(code, contentType);
    return true;
  }

  chunkedResponseFinalize(): Promise<void> {
    return this.sendContent('');
  }

  /** 302. Without content the connection is closed at once. */
  async redirect(url: string, content = ''): Promise<void> {
    this.sendHeader('Location', url);
    this.sendHeader('Cache-Control', 'no-cache, no-store, must-revalidate');
    this.sendHeader('Pragma', 'no-cache');
    this.sendHeader('Expires', '-1');
    await this.send(302, 'text/html', content);
    if (content === '') await this.client().stop();
  }

  /** Whether the connection will be kept, as far as is known; a handler may forbid it. */
  keepAlive(keep?: boolean): boolean {
    if (keep !== undefined) this.request.keepAlive = keep;
    return this.request.keepAlive;
  }

  // What TLS does in another way.

  protected listen(port: number): Promise<TcpListener> {
    return this.ports.network.listenTcp(port);
  }

  /** False: whoever connects waits. */
  protected isAccepting(): boolean {
    return true;
  }

  /** The server turns to a connection. @returns undefined when it came to nothing */
  protected async pickUp(connection: TcpConnection): Promise<TcpConnection | undefined> {
    return connection;
  }

  // The states of spec chapter 04 §1.2.

  private async step(): Promise<void> {
    this.queue.pickUp();
    if (!this.current && !(await this.next())) return;
    const client = this.current!;
    const available = client.available() > 0;
    if (!client.connected() && !available) {
      this.drop();
      return;
    }
    if (available && this.request.keepAlive) this.state = 'wait-read';
    const idleMs = (this.ports.clock.millis() - this.since) >>> 0;
    if (this.state === 'wait-read') {
      if (available) {
        // The network runs between two turns of the sketch's loop: a FIN in the request's wake is here before it is read.
        await this.ports.clock.yield();
        await this.serve(client);
      } else if (idleMs > HTTP_MAX_DATA_WAIT || (this.queue.isUrgent && idleMs > HTTP_MAX_DATA_AVAILABLE_WAIT))
        this.drop();
    } else if (this.queue.length > 0 || idleMs > HTTP_MAX_CLOSE_WAIT) {
      this.drop();
    } else if (available) {
      this.state = 'wait-read'; // although the answer said `Connection: close`
    }
  }

  /** Turns to the oldest client that waits. False: there is none, or it is gone. */
  private async next(): Promise<boolean> {
    const waiting = this.isAccepting() ? this.queue.shift() : undefined;
    const connection = waiting && (await this.pickUp(waiting));
    if (!connection) return false;
    const client = new WebClient(connection, this.ports.clock);
    if (!client.connected() && client.available() === 0) {
      client.close();
      return false;
    }
    this.current = client;
    this.enter('wait-read');
    return true;
  }

  private enter(state: ClientState): void {
    this.state = state;
    this.since = this.ports.clock.millis();
  }

  private async serve(client: WebClient): Promise<void> {
    const { clock, system } = this.ports;
    this.request = emptyRequest();
    this.handler = undefined;
    this.responder.begin(client, this.request);
    const input = new RequestInput();
    const collect = this.headerNames.map(toByteText);
    const parser = parseRequest(input, this.request, { collect, heapBytes: system.freeHeap() });
    const reader = new RequestReader(client, clock, this.watch);
    const result = await reader.read(parser, input, (told) => this.hear(told, client));
    if (result === 'stop') {
      client.close();
      this.drop();
      return;
    }
    await this.answer();
    await this.responder.finish();
    if (client.connected() || client.available() > 0) this.enter('wait-close');
    else this.drop();
  }

  private hear(told: Told, client: WebClient): void | Promise<void> {
    if (told.do === 'upload') return this.hearUpload(told.upload, client);
    if (told.do === 'pieces') return told.upload.takeMany?.(told.pieces);
    const { method } = this.request;
    const path = this.uri();
    this.handler = this.handlers.find((handler) => handler.canHandle(method, path));
    this.ports.emit({ type: 'http.request', peer: client.peer, method, path });
  }

  private hearUpload(upload: Upload, client: WebClient): void | Promise<void> {
    if (upload.status === UPLOAD_FILE_START) this.beginUpload(upload);
    this.tellUpload(upload, client);
    if (this.handler?.canUpload(this.uri())) return this.handler.upload();
  }

  private beginUpload(upload: Upload): void {
    this.freeUpload();
    this.currentUpload = upload;
    // Without the memory for it the device's `new` would restart it; here the upload goes on.
    if (this.ports.system.allocate(UPLOAD_HEAP_BYTES)) this.uploadHeapBytes = UPLOAD_HEAP_BYTES;
  }

  private freeUpload(): void {
    if (this.uploadHeapBytes > 0) this.ports.system.release(this.uploadHeapBytes);
    this.uploadHeapBytes = 0;
    this.currentUpload = undefined;
  }

  private tellUpload(upload: Upload, client: WebClient): void {
    const state = UPLOAD_STATES[upload.status];
    if (!state) return;
    const { name: field, filename } = upload;
    const bytes = upload.totalSize + (upload.status === UPLOAD_FILE_ABORTED ? upload.currentSize : 0);
    this.ports.emit({ type: 'http.upload', peer: client.peer, field, filename, bytes, state });
  }

  private async answer(): Promise<void> {
    const { method } = this.request;
    if (await this.handler?.handle(method, this.uri())) return;
    if (this.notFoundHandler) await this.notFoundHandler();
    else await this.responder.send(404, 'text/html', bytesOf(`Not found: ${this.request.path}`));
  }

  /** Forgets the client. */
  private drop(): void {
    this.current?.drop();
    this.current = undefined;
    this.freeUpload();
  }

  /** 32 hex digits. */
  private randomHex(): string {
    return Array.from({ length: 4 }, () => this.ports.random32().toString(16).padStart(8, '0')).join('');
  }
}

const UPLOAD_STATES: Partial<Record<Upload['status'], 'start' | 'end' | 'aborted'>> = {
  [UPLOAD_FILE_START]: 'start',
  [UPLOAD_FILE_END]: 'end',
  [UPLOAD_FILE_ABORTED]: 'aborted',
};

function contentBytes(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? bytesOf(toByteText(content)) : content;
}
