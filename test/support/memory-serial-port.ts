/** A Web Serial port over a line in memory, as esptool-js wants one. */

/** The device's end. */
export interface Line {
  /** Bytes from the host. */
  receive(bytes: Uint8Array): void;
  /** DTR and RTS, true meaning asserted. */
  signals(dtr: boolean, rts: boolean): void;
  baud(rate: number): void;
}

/** What esptool-js uses of Web Serial's `SerialPort`. */
export class WebSerialPort {
  readable: ReadableStream<Uint8Array> | null = null;
  writable: WritableStream<Uint8Array> | null = null;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  private dtr = false;
  private rts = false;

  constructor(private readonly line: Line) {}

  /** Bytes from the device; lost while the port is closed. */
  deliver(bytes: Uint8Array): void {
    this.controller?.enqueue(bytes.slice());
  }

  getInfo(): { usbVendorId?: number; usbProductId?: number } {
    return {};
  }

  open({ baudRate }: { baudRate: number }): Promise<void> {
    this.line.baud(baudRate);
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.controller = controller;
      },
    });
    this.writable = new WritableStream<Uint8Array>({ write: (bytes) => this.line.receive(bytes) });
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.controller = undefined;
    this.readable = null;
    this.writable = null;
    return Promise.resolve();
  }

  /** Not in the standard; esptool-js uses it where it is there. */
  setBaudRate(rate: number): Promise<void> {
    this.line.baud(rate);
    return Promise.resolve();
  }

  setSignals(signals: { dataTerminalReady?: boolean; requestToSend?: boolean }): Promise<void> {
    this.dtr = signals.dataTerminalReady ?? this.dtr;
    this.rts = signals.requestToSend ?? this.rts;
    this.line.signals(this.dtr, this.rts);
    return Promise.resolve();
  }
}
