/** Builds and sends the response of the request that is being served. Source: spec chapter 04 §6. */
import type { HttpEvent } from '../events.ts';
import type { Emit } from '../ports.ts';
import { type ByteText, bytesOf } from './byte-text.ts';
import type { Request } from './parsed-request.ts';
import {
  CONTENT_LENGTH_NOT_SET,
  CONTENT_LENGTH_UNKNOWN,
  chunkHead,
  headerLine,
  isChunked,
  responseHead,
} from './response.ts';
import type { WebClient } from './web-client.ts';

export class Responder {
  cors = false;
  /** Content-Length of the coming response, or one of the two special values. */
  contentLength: number = CONTENT_LENGTH_NOT_SET;

  private client: WebClient | undefined;
  private request: Request | undefined;
  /** Lines of `sendHeader`; they stay until a response takes them. */
  private headers: ByteText = '';
  private chunked = false;
  /** Everything that was given to send. */
  private sending: Promise<void> | undefined;

  /** @param isAwaited true when another client is waiting: then this one will not be kept */
  constructor(
    private readonly emit: Emit<HttpEvent>,
    private readonly isAwaited: () => boolean,
  ) {}

  /** A new request of `client`. */
  begin(client: WebClient, request: Request): void {
    this.client = client;
    this.request = request;
    this.contentLength = CONTENT_LENGTH_NOT_SET;
    this.chunked = false;
  }

  addHeader(name: ByteText, value: ByteText, first: boolean): void {
    const line = headerLine(name, value);
    this.headers = first ? line + this.headers : this.headers + line;
  }

  send(code: number, contentType: ByteText, content: Uint8Array): Promise<void> {
    const { client, request } = this;
    if (!client || !request) throw new Error('send() outside of a request: there is nobody to answer');
    const contentLength = this.contentLength === CONTENT_LENGTH_NOT_SET ? content.length : this.contentLength;
    if (this.isAwaited()) request.keepAlive = false;
    const { version, keepAlive } = request;
    const { headers, cors } = this;
    const head = responseHead({ code, version, contentType, headers, contentLength, cors, keepAlive });
    this.headers = '';
    this.chunked = isChunked({ contentLength, version });
    this.emit({
      type: 'http.response',
      peer: client.peer,
      status: code,
      length: contentLength === CONTENT_LENGTH_UNKNOWN ? 0 : contentLength,
    });
    const sent = this.enqueue(bytesOf(head));
    return content.length > 0 ? this.sendContent(content) : sent;
  }

  /** A piece of the body; an empty one ends a chunked body. */
  sendContent(content: Uint8Array): Promise<void> {
    if (this.request?.method === 'HEAD') return this.idle();
    if (!this.chunked) return content.length > 0 ? this.enqueue(content) : this.idle();
    if (content.length === 0) this.chunked = false;
    return this.enqueue(bytesOf(chunkHead(content.length)), content, bytesOf('\r\n'));
  }

  /** The handler has returned: ends a chunked body, and waits until all is sent. */
  async finish(): Promise<void> {
    if (this.chunked) void this.sendContent(new Uint8Array(0));
    this.chunked = false;
    await this.idle();
    this.sending = undefined;
  }

  private idle(): Promise<void> {
    return this.sending ?? Promise.resolve();
  }

  /**
   * Sends behind what is being sent, each piece with a write of its own. The promise may be dropped: `finish` waits for the
   * last one, which fails when one before it did.
   */
  private enqueue(...pieces: Uint8Array[]): Promise<void> {
    const client = this.client!;
    const write = async (): Promise<void> => {
      for (const piece of pieces) if (piece.length > 0) await client.write(piece);
    };
    const sending = this.sending ? this.sending.then(write) : write();
    sending.catch(() => {}); // a handler that was interrupted never gets to `finish`
    this.sending = sending;
    return sending;
  }
}
