/** A Web Serial port over a TCP connection, raw or RFC 2217, as esptool-js wants one. */
import { connect, type Socket } from 'node:net';

const IAC = 255;
const SB = 250;
const SE = 240;
const COM_PORT = 44;
const SET_BAUDRATE = 1;
const SET_CONTROL = 5;
/** Codes of the server are those of the client plus this. */
const SERVER = 100;
const PATIENCE_MS = 3000;

/** What esptool-js uses of Web Serial's `SerialPort`. */
export class TcpSerialPort {
  readable: ReadableStream<Uint8Array> | null = null;
  writable: WritableStream<Uint8Array> | null = null;
  /** RFC 2217: the codes of the server's answers, in order. */
  readonly answered: number[] = [];

  private socket: Socket | undefined;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  private waiting: (() => void)[] = [];
  /** Bytes of a Telnet command begun. */
  private pending: number[] = [];

  constructor(
    private readonly host: string,
    private readonly port: number,
    private readonly kind: 'tcp' | 'rfc2217',
  ) {}

  getInfo(): { usbVendorId?: number; usbProductId?: number } {
    return {};
  }

  async open({ baudRate }: { baudRate: number }): Promise<void> {
    const socket = connect(this.port, this.host);
    this.socket = socket;
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.on('error', () => {});
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.controller = controller;
      },
    });
    this.writable = new WritableStream<Uint8Array>({ write: (bytes) => this.send(bytes) });
    socket.on('data', (bytes) => this.arrived(bytes));
    if (this.kind === 'tcp') return;
    socket.write(Uint8Array.of(IAC, 251, 3, IAC, 253, 3, IAC, 253, COM_PORT, IAC, 251, COM_PORT));
    await this.setBaudRate(baudRate);
  }

  async close(): Promise<void> {
    this.controller = undefined;
    this.readable = null;
    this.writable = null;
    const { socket } = this;
    if (!socket || socket.destroyed) return;
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.destroy();
    });
  }

  /** Not in the standard; esptool-js uses it where it is there. */
  async setBaudRate(rate: number): Promise<void> {
    await this.ask(
      SET_BAUDRATE,
      [24, 16, 8, 0].map((shift) => (rate >>> shift) & 0xff),
    );
  }

  async setSignals(signals: { dataTerminalReady?: boolean; requestToSend?: boolean }): Promise<void> {
    if (signals.dataTerminalReady !== undefined) await this.ask(SET_CONTROL, [signals.dataTerminalReady ? 8 : 9]);
    if (signals.requestToSend !== undefined) await this.ask(SET_CONTROL, [signals.requestToSend ? 11 : 12]);
  }

  private async send(bytes: Uint8Array): Promise<void> {
    const { socket } = this;
    if (!socket || socket.destroyed) throw new Error('the port is closed');
    const wire = this.kind === 'tcp' ? bytes : doubled(bytes);
    await new Promise<void>((resolve, reject) => socket.write(wire, (error) => (error ? reject(error) : resolve())));
  }

  /** One sub-negotiation, and the answer to it. */
  private async ask(code: number, value: readonly number[]): Promise<void> {
    if (this.kind === 'tcp') return;
    const answer = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`RFC 2217: no answer to ${code}`)), PATIENCE_MS);
      this.waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.socket!.write(Uint8Array.of(IAC, SB, COM_PORT, code, ...doubled(Uint8Array.from(value)), IAC, SE));
    await answer;
  }

  private arrived(bytes: Uint8Array): void {
    if (this.kind === 'tcp') return this.deliver(bytes);
    const data: number[] = [];
    for (const byte of bytes) {
      if (this.pending.length === 0 && byte !== IAC) {
        data.push(byte);
        continue;
      }
      this.pending.push(byte);
      const { pending } = this;
      const [, command] = pending;
      if (pending.length < 2) continue;
      if (command === IAC) data.push(IAC);
      else if (command === SB) {
        if (byte !== SE || pending.at(-2) !== IAC) continue;
        this.answered.push(pending[3]!);
        if (pending[2] === COM_PORT && pending[3]! > SERVER) this.waiting.shift()?.();
      } else if (command! >= 251 && pending.length < 3) continue;
      this.pending = [];
    }
    if (data.length > 0) this.deliver(Uint8Array.from(data));
  }

  private deliver(bytes: Uint8Array): void {
    this.controller?.enqueue(new Uint8Array(bytes));
  }
}

/** 0xFF travels twice. */
function doubled(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (const byte of bytes) {
    out.push(byte);
    if (byte === IAC) out.push(IAC);
  }
  return Uint8Array.from(out);
}
