/**
 * The core's `HTTPClient`, as far as `ESPhttpUpdate` uses it: GET requests, the head of the answer, redirects. What follows
 * the head stays in the connection. Source: spec chapter 04 §15–§18 (ESP8266HTTPClient.cpp).
 */
import type { HttpUpdateEvent } from '../events.ts';
import type { Clock, Emit } from '../ports.ts';
import { equalsIgnoreCase } from '../web-server/arduino-string.ts';
import { type ByteText, toByteText, toText } from '../web-server/byte-text.ts';
import {
  HTTPC_ERROR_CONNECTION_FAILED,
  HTTPC_ERROR_CONNECTION_LOST,
  HTTPC_ERROR_NOT_CONNECTED,
  HTTPC_ERROR_READ_TIMEOUT,
  HTTPC_ERROR_SEND_HEADER_FAILED,
  httpErrorText,
} from './error-codes.ts';
import { type FollowRedirects, HTTPC_DISABLE_FOLLOW_REDIRECTS, REDIRECT_LIMIT, redirectTarget } from './redirect.ts';
import { type GetRequest, type HeaderLine, requestBytes, requestHeaders } from './request.ts';
import { DEFAULT_HEAP_BYTES, ResponseParser } from './response.ts';
import { type HttpTarget, parseUrl, shownUrl } from './url.ts';
import type { WiFiClient } from './wifi-client.ts';

const DEFAULT_USER_AGENT = 'ESP8266HTTPClient';
const DEFAULT_TIMEOUT_MS = 5000;
/**
 * A connection that ends without a byte counts as "closed right after the request" (−4) for so long, and as lost (−5)
 * later. Between its write and its first look the device gives the network no such time; the recorded code did find
 * connections closed there, and a network needs a while to tell.
 */
const RIGHT_AFTER_MS = 100;

export interface HttpClientPorts {
  readonly clock: Clock;
  readonly emit: Emit<HttpUpdateEvent>;
  /** Bytes that texts of an answer may take: the free heap. */
  readonly heapBytes?: () => number;
}

/**
 * @example
 * const http = new HTTPClient({ clock, emit });
 * http.begin(client, 'http://192.168.1.8:8000/fw.bin');
 * const code = await http.GET(); // a status, or a negative error
 * await http.end();
 */
export class HTTPClient {
  private client: WiFiClient | undefined;
  private target: HttpTarget | undefined;
  private authorization: ByteText = '';
  private userAgent: ByteText = DEFAULT_USER_AGENT;
  private timeoutMs = DEFAULT_TIMEOUT_MS;
  private http10 = false;
  private reuse = true;
  private followRedirects: FollowRedirects = HTTPC_DISABLE_FOLLOW_REDIRECTS;
  private redirectLimit = REDIRECT_LIMIT;
  private headers: HeaderLine[] = [];
  private collect: readonly ByteText[] = [];
  private answer = new ResponseParser();
  private bodyBytes = 0;

  constructor(private readonly ports: HttpClientPorts) {}

  /** Takes a URL apart, or takes the parts as they are. False when the URL is none for us: then `GET` returns −1. */
  begin(client: WiFiClient, url: string): boolean;
  begin(client: WiFiClient, host: string, port: number, uri?: string): boolean;
  begin(client: WiFiClient, urlOrHost: string, port?: number, uri = '/'): boolean {
    const text = toByteText(urlOrHost);
    this.client = client;
    this.target =
      port === undefined ? parseUrl(text) : { protocol: 'http', host: text, port: port & 0xffff, uri: toByteText(uri) };
    this.authorization = this.target?.credentials ?? this.authorization;
    return this.target !== undefined;
  }

  /** Limit for DNS, for the connection, for the answer, and for each of its bytes, in milliseconds. */
  setTimeout(ms: number): void {
    this.timeoutMs = ms;
  }

  setUserAgent(userAgent: string): void {
    this.userAgent = toByteText(userAgent);
  }

  /** User and password, when neither is empty; or what stands behind `Basic `, without its line feeds. */
  setAuthorization(user: string, password: string): void;
  setAuthorization(base64: string): void;
  setAuthorization(userOrBase64: string, password?: string): void {
    const text = toByteText(userOrBase64);
    if (password === undefined) this.authorization = text.replaceAll('\n', '');
    else if (text !== '' && password !== '') this.authorization = btoa(`${text}:${toByteText(password)}`);
  }

  useHTTP10(on = true): void {
    this.http10 = on;
    this.reuse = !on;
  }

  setFollowRedirects(mode: FollowRedirects): void {
    this.followRedirects = mode;
  }

  setRedirectLimit(limit: number): void {
    this.redirectLimit = limit;
  }

  /** Replaces one of that name. */
  addHeader(name: string, value: string): void {
    const line: HeaderLine = [toByteText(name), toByteText(value)];
    const at = this.headers.findIndex(([known]) => equalsIgnoreCase(known, line[0]));
    if (at >= 0) this.headers[at] = line;
    else this.headers.push(line);
  }

  /** Which headers of the answer are kept; in place of those named before. */
  collectHeaders(names: readonly string[]): void {
    this.collect = names.map(toByteText);
  }

  /** Value of a collected header; empty when it did not come. */
  header(name: string): string {
    return toText(this.answer.value(toByteText(name)));
  }

  hasHeader(name: string): boolean {
    return this.header(name) !== '';
  }

  /** `Content-Length` of the answer; −1 without one. */
  getSize(): number {
    return this.answer.size;
  }

  getLocation(): string {
    return toText(this.answer.location);
  }

  /** Bytes of the body that had come together with the end of the head. */
  get bodyBytesWithHead(): number {
    return this.bodyBytes;
  }

  /** There, or something of it is still to be read. */
  connected(): boolean {
    return this.client !== undefined && (this.client.connected() || this.client.available() > 0);
  }

  /** The client that carries the body. */
  getStream(): WiFiClient | undefined {
    return this.client;
  }

  /** Forgets what was not read, and closes. */
  async end(): Promise<void> {
    const { client } = this;
    if (!client) return;
    while (client.available() > 0) client.read(client.available());
    await client.stop();
  }

  /**
   * Sends the request and reads the head of the answer; follows redirects, each on a connection of its own and without the
   * headers that were added.
   *
   * @returns the status, or a negative error; after one the connection is closed
   */
  async GET(): Promise<number> {
    for (let followed = 0; ; followed++) {
      const code = await this.request();
      if (code <= 0) {
        // What is under way arrives first; it is not read, so the connection ends with RST, as was recorded.
        await this.ports.clock.yield();
        await this.client?.stop();
        return code;
      }
      const target = followed < this.redirectLimit ? this.next(code) : undefined;
      if (!target) return code;
      await this.end();
      this.target = target;
      this.authorization = target.credentials ?? this.authorization;
      this.headers = [];
    }
  }

  static errorToString(code: number): string {
    return httpErrorText(code);
  }

  private next(status: number): HttpTarget | undefined {
    return this.target && redirectTarget(this.followRedirects, { status, location: this.answer.location }, this.target);
  }

  private async request(): Promise<number> {
    const { client, target } = this;
    this.answer = new ResponseParser(this.collect, this.ports.heapBytes?.() ?? DEFAULT_HEAP_BYTES);
    this.bodyBytes = 0;
    if (client && !target) client.failure = 'URL: it begins with neither http: nor https:';
    if (!client || !target) return HTTPC_ERROR_CONNECTION_FAILED;
    client.setTimeout(this.timeoutMs);
    if (!(await client.connect(target.host, target.port))) return HTTPC_ERROR_CONNECTION_FAILED;

    const request: GetRequest = {
      host: target.host,
      port: target.port,
      uri: target.uri,
      http10: this.http10,
      keepAlive: this.reuse,
      userAgent: this.userAgent,
      authorization: this.authorization,
      headers: this.headers,
    };
    if (!client.write(requestBytes(request))) return HTTPC_ERROR_SEND_HEADER_FAILED;
    const headers = asRecord(requestHeaders(request));
    this.ports.emit({ type: 'httpupdate.request', url: shownUrl(target), headers });

    const code = await this.readHead(client);
    if (this.answer.result !== undefined) {
      this.bodyBytes = client.available();
      const { status, shown } = this.answer;
      this.ports.emit({ type: 'httpupdate.response', status, headers: asRecord(shown) });
    }
    return code;
  }

  /**
   * Takes the head, no byte more. A line that was begun is waited for even when the peer is gone; between lines that is
   * noticed at once.
   */
  private async readHead(client: WiFiClient): Promise<number> {
    const { clock } = this.ports;
    const { answer, timeoutMs } = this;
    let heardAt = clock.millis();
    let silent = true;
    while (answer.result === undefined) {
      const waiting = client.available();
      const waited = (clock.millis() - heardAt) >>> 0; // a 32-bit counter that wraps
      if (waiting > 0) {
        client.read(answer.push(client.peek(waiting)));
        heardAt = clock.millis();
        silent = false;
      } else if (answer.lineBegun) {
        if (waited < timeoutMs) {
          await client.wait(timeoutMs - waited);
        } else {
          answer.endLine();
          heardAt = clock.millis();
        }
      } else if (!client.connected()) {
        return silent && waited <= RIGHT_AFTER_MS ? HTTPC_ERROR_NOT_CONNECTED : HTTPC_ERROR_CONNECTION_LOST;
      } else if (waited > timeoutMs) {
        return HTTPC_ERROR_READ_TIMEOUT;
      } else {
        await client.wait(timeoutMs - waited + 1);
      }
    }
    return answer.result;
  }
}

/** Named lines as events show them. */
function asRecord(lines: readonly HeaderLine[]): Record<string, string> {
  const record: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of lines) {
    const before = record[name];
    record[name] = before === undefined ? toText(value) : `${before},${toText(value)}`;
  }
  return record;
}
