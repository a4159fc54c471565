/**
 * An ArduinoOTA uploader: what espota.py of the Arduino core does on the wire, for those without Python. Where that
 * tool overlooks something (an error text in the middle, an end of stream instead of a result), this one tells it.
 * Source: spec chapter 03 §1, §4, §11.1.
 */
import { createHash } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { createServer, type Server, type Socket } from 'node:net';

/** Bytes sent before an acknowledgement is awaited. */
export const UPLOAD_CHUNK_BYTES = 1460;
/** The device's error line may come in pieces; so long we wait for the rest of it. */
const ERROR_TEXT_REST_MS = 1000;
/** Of a device that talks without end, so many characters and pieces are kept. */
const HEARD_LIMIT = 4096;
const INBOX_LIMIT = 1024;

/** Milliseconds. The defaults are espota.py's. */
export interface UploadTimeouts {
  /** For the answer to the invitation (10,000). */
  readonly answer: number;
  /** For the answer to our authentication (10,000). */
  readonly auth: number;
  /** For the device's connection (10,000). */
  readonly connect: number;
  /** For something from the device after each chunk (10,000). */
  readonly ack: number;
  /** For `OK` or an error after the last chunk (60,000). */
  readonly result: number;
}

export interface UploadOptions {
  /** Name or IPv4 address of the device. */
  readonly host: string;
  /** UDP port (8266). */
  readonly port?: number;
  readonly file: Uint8Array;
  /** Goes into the uploader's part of the authentication, as with espota.py. */
  readonly fileName?: string;
  /** Used only if the device asks for one (empty). */
  readonly password?: string;
  /** `fs`: a file system image. */
  readonly command?: 'sketch' | 'fs';
  /** TCP port to listen on; 0: the system chooses (0). */
  readonly hostPort?: number;
  readonly timeouts?: Partial<UploadTimeouts>;
  /** Bytes handed to the network so far, after each chunk was answered. */
  readonly onProgress?: (sent: number, total: number) => void;
  readonly onStage?: (stage: UploadStage) => void;
  readonly signal?: AbortSignal;
}

export type UploadStage = 'inviting' | 'authenticating' | 'waiting-for-device' | 'uploading' | 'waiting-for-result';

export type UploadFailure =
  | 'unknown-host'
  | 'listen-failed'
  | 'no-answer'
  | 'bad-answer'
  | 'no-auth-answer'
  | 'auth-failed'
  | 'no-connection'
  | 'upload-error'
  /** The device told an error on the connection. */
  | 'device-error'
  | 'no-result'
  | 'aborted';

export type UploadResult =
  | { readonly ok: true }
  /** `message` is espota.py's wording where it has one; `sent` counts bytes. */
  | { readonly ok: false; readonly reason: UploadFailure; readonly message: string; readonly sent: number };

const ESPOTA_TIMEOUTS: UploadTimeouts = { answer: 10_000, auth: 10_000, connect: 10_000, ack: 10_000, result: 60_000 };

/**
 * Uploads an image to a device that runs ArduinoOTA.
 *
 * @returns what became of it; whatever a device or a network does is a value
 * @throws RangeError for a port that is none
 *
 * @example
 * const result = await uploadOverOta({ host: '192.168.1.50', file: await readFile('firmware.bin'), password: 'admin' });
 * if (!result.ok) console.error(result.message);
 */
export async function uploadOverOta(options: UploadOptions): Promise<UploadResult> {
  checkPort('port', options.port ?? 8266, 1);
  checkPort('hostPort', options.hostPort ?? 0, 0);
  const upload = new Upload(options);
  try {
    await upload.run();
    return { ok: true };
  } catch (error) {
    if (error instanceof Failure) return { ok: false, reason: error.reason, message: error.message, sent: upload.sent };
    throw error;
  } finally {
    upload.close();
  }
}

/**
 * How long an invitation that is answered by "port unreachable" is repeated: a device that starts or restarts is back within
 * a second. espota.py sends one and waits ten seconds; on the air nothing comes back from a chip that is just booting.
 */
const REFUSED_PATIENCE_MS = 3000;
const REFUSED_RETRY_MS = 200;

/** Ends an upload; never leaves this file. */
class Failure extends Error {
  constructor(
    readonly reason: UploadFailure,
    message: string,
  ) {
    super(message);
  }
}

class Upload {
  sent = 0;
  private readonly timeouts: UploadTimeouts;
  private readonly udp: UdpSocket = createSocket('udp4');
  private server: Server | undefined;
  private connection: Socket | undefined;
  private readonly answers = new Inbox();
  private readonly connections = new Inbox<Socket>();
  private readonly replies = new Inbox();
  /** What the device sent on the connection so far. */
  private heard = '';
  /** While its answer is waited for. */
  private invitation: { readonly text: string; readonly until: number } | undefined;
  private retry: NodeJS.Timeout | undefined;

  constructor(private readonly options: UploadOptions) {
    this.timeouts = { ...ESPOTA_TIMEOUTS, ...options.timeouts };
    options.signal?.addEventListener('abort', this.abort);
  }

  async run(): Promise<void> {
    const { host, file, command = 'sketch' } = this.options;
    if (this.options.signal?.aborted) this.abort();
    const local = await this.openUdp();
    const port = await this.listen(local);
    const md5 = md5Hex(file);

    this.options.onStage?.('inviting');
    this.invite(`${command === 'fs' ? 100 : 0} ${port} ${file.length} ${md5}\n`);
    const answer = await this.answers.next(this.timeouts.answer);
    this.invitation = undefined;
    if (answer === undefined) throw new Failure('no-answer', 'No Answer');
    if (answer.startsWith('AUTH')) await this.authenticate(answer.split(/\s+/)[1] ?? '', md5, host);
    else if (answer !== 'OK') throw new Failure('bad-answer', `Bad Answer: ${answer.trimEnd()}`);

    this.options.onStage?.('waiting-for-device');
    this.connection = await this.connections.next(this.timeouts.connect);
    if (!this.connection) throw new Failure('no-connection', 'No response from device');
    this.connection.on('data', (data) => this.replies.push(data.toString('latin1', 0, HEARD_LIMIT)));
    this.connection.on('close', () => this.replies.finish());
    this.connection.on('error', () => this.replies.finish());

    await this.sendImage(this.connection);
    await this.awaitResult();
  }

  private invite(text: string): void {
    this.invitation = { text, until: performance.now() + REFUSED_PATIENCE_MS };
    this.send(text);
  }

  /** "Port unreachable". */
  private refused(): void {
    const { invitation } = this;
    if (!invitation || performance.now() > invitation.until) {
      this.answers.finish();
      return;
    }
    this.retry = setTimeout(() => this.send(invitation.text), REFUSED_RETRY_MS);
  }

  close(): void {
    clearTimeout(this.retry);
    this.options.signal?.removeEventListener('abort', this.abort);
    this.udp.close();
    this.server?.close();
    // A connection that came after the one we took.
    for (let late = this.connections.poll(); late; late = this.connections.poll()) late.destroy();
    this.connection?.destroy();
  }

  private readonly abort = (): void => {
    const failure = new Failure('aborted', 'Aborted');
    for (const inbox of [this.answers, this.connections, this.replies]) inbox.fail(failure);
  };

  /**
   * A connected socket: only the device's own datagrams count, and "port unreachable" is heard at once instead of after
   * ten seconds of silence.
   * @returns our address as the device sees it, where it will connect to
   */
  private async openUdp(): Promise<string> {
    const { host, port = 8266 } = this.options;
    const { address } = await lookup(host, { family: 4 }).catch(() => {
      throw new Failure('unknown-host', `${host} is not known to the name service (an IPv4 address is needed)`);
    });
    this.udp.on('message', (data) => this.answers.push(data.toString('latin1')));
    this.udp.on('error', () => this.refused());
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => reject(new Failure('no-answer', `No Answer: there is no way to ${address}`));
      this.udp.once('error', fail);
      this.udp.connect(port, address, (error?: Error) => (error ? fail() : resolve()));
    });
    return this.udp.address().address;
  }

  private async listen(address: string): Promise<number> {
    const server = createServer((socket) => {
      socket.setNoDelay(true);
      this.connections.push(socket);
    });
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new Failure('listen-failed', `Listen Failed: ${error.message}`)));
      server.listen(this.options.hostPort ?? 0, address, resolve);
    });
    const bound = server.address();
    if (bound === null || typeof bound === 'string') throw new Failure('listen-failed', 'Listen Failed');
    return bound.port;
  }

  private async authenticate(nonce: string, md5: string, host: string): Promise<void> {
    const { file, fileName = 'firmware.bin', password = '' } = this.options;
    this.options.onStage?.('authenticating');
    const cnonce = md5Hex(`${fileName}${file.length}${md5}${host}`);
    this.send(`200 ${cnonce} ${md5Hex(`${md5Hex(password)}:${nonce}:${cnonce}`)}\n`);
    const answer = await this.answers.next(this.timeouts.auth);
    if (answer === undefined) throw new Failure('no-auth-answer', 'No Answer to our Authentication');
    if (answer.startsWith('ERR')) throw new Failure('bad-answer', `Bad Answer: ${answer.trimEnd()}`);
    if (answer !== 'OK') throw new Failure('auth-failed', answer.trimEnd());
  }

  private async sendImage(connection: Socket): Promise<void> {
    const { file, onProgress, onStage } = this.options;
    onStage?.('uploading');
    onProgress?.(0, file.length);
    while (this.sent < file.length) {
      const chunk = file.subarray(this.sent, this.sent + UPLOAD_CHUNK_BYTES);
      connection.write(chunk);
      if (!(await this.hear(this.timeouts.ack))) throw new Failure('upload-error', 'Error Uploading');
      await this.checkForError();
      this.sent += chunk.length;
      onProgress?.(this.sent, file.length);
    }
  }

  /** Unlike espota.py, which forgets an `OK` that came with the last acknowledgement, we look at all we heard. */
  private async awaitResult(): Promise<void> {
    this.options.onStage?.('waiting-for-result');
    const deadline = performance.now() + this.timeouts.result;
    while (!this.heard.includes('OK')) {
      const left = deadline - performance.now();
      if (left <= 0 || !(await this.hear(left))) throw new Failure('no-result', 'No Result!');
      await this.checkForError();
    }
  }

  /** False when nothing came within `ms`, or the connection ended. */
  private async hear(ms: number): Promise<boolean> {
    const reply = await this.replies.next(ms);
    if (reply === undefined) return false;
    this.heard = (this.heard + reply).slice(-HEARD_LIMIT);
    return true;
  }

  /** Acknowledgements are digits and the result is `OK`, so an `E` begins an error text. */
  private async checkForError(): Promise<void> {
    if (!this.heard.includes('E')) return;
    while (!this.heard.includes('\n') && (await this.hear(ERROR_TEXT_REST_MS)));
    throw new Failure('device-error', this.heard.slice(this.heard.indexOf('E')).trimEnd());
  }

  private send(message: string): void {
    this.udp.send(message, () => {});
  }
}

/** What arrived and was not taken yet, and one who waits for it. */
class Inbox<T = string> {
  private readonly items: T[] = [];
  private over = false;
  private failure: Failure | undefined;
  private wake: (() => void) | undefined;

  push(item: T): void {
    if (this.items.length < INBOX_LIMIT) this.items.push(item);
    this.wake?.();
  }

  /** Nothing more will come. */
  finish(): void {
    this.over = true;
    this.wake?.();
  }

  fail(failure: Failure): void {
    this.failure = failure;
    this.wake?.();
  }

  poll(): T | undefined {
    return this.items.shift();
  }

  /** The oldest item; undefined when none comes within `ms`, or none will. @throws the failure that was set */
  async next(ms: number): Promise<T | undefined> {
    if (this.items.length === 0 && !this.over && !this.failure) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.wake = undefined;
    }
    if (this.failure) throw this.failure;
    return this.items.shift();
  }
}

function md5Hex(data: Uint8Array | string): string {
  return createHash('md5').update(data).digest('hex');
}

function checkPort(name: string, port: number, lowest: number): void {
  if (!Number.isInteger(port) || port < lowest || port > 65535) {
    throw new RangeError(`${name}: a port is an integer from ${lowest} to 65535, not ${port}`);
  }
}
