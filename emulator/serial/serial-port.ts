/**
 * The serial adapter between UART0 and the hosts that opened it: any number of monitors read, one flasher at a time writes
 * to the loader. No sockets here; the transports are shells over it. Source: spec chapter 05 §2, §3.1, §15.
 *
 * The rule for several hosts: while the chip runs a sketch, everybody types into it. In the loader, the first host that
 * completes a request (a SYNC, as a rule) owns the chip's input and its reset line until it closes or the chip is reset;
 * what the others send meanwhile is dropped and told as `serial.host` with state `ignored`. So two flashers never interleave.
 */
import type { Emit } from '../../flash/ports.ts';
import type { Alarm, WaitKind } from '../clock.ts';
import type { LifecycleEvent } from '../events.ts';
import { ControlLines, type ResetPin, type SerialWiring } from './control-lines.ts';
import { asHeardAt } from './line-noise.ts';
import { LONGEST_FRAME, RequestWatch } from './request-watch.ts';
import { SKETCH_BAUD, type Uart } from './uart.ts';

/** Hosts at once; more are turned away. */
export const MAX_HOSTS = 16;

/** How a host gets the chip into its loader. */
export type DownloadMode =
  /** As on hardware: by straps and reset only. */
  | 'manual'
  /** A SYNC while a sketch runs holds FLASH, pulses RST, and is then answered. */
  | 'on-sync';

/** One host, as its transport shows it. */
export interface SerialHost {
  /** `ip:port`, or a path. */
  readonly peer: string;
  /** Whether it has DTR and RTS, and announces its baud rate. */
  readonly lines: boolean;
  /** Takes what the device sent. */
  write(bytes: Uint8Array): void;
}

/** What a transport does with its host. */
export interface SerialConnection {
  receive(bytes: Uint8Array): void;
  setLines(change: { readonly dtr?: boolean; readonly rts?: boolean }): void;
  setBaud(rate: number): void;
  close(): void;
}

export interface SerialPortParts {
  readonly uart: Uart;
  readonly emit: Emit<LifecycleEvent>;
  readonly alarm: (us: number, kind: WaitKind, callback: () => void) => Alarm;
  /** RST and GPIO0 as one of the hosts pulls them; RST is low while any of them does. */
  readonly pinOf: (host: SerialHost) => ResetPin;
  /** Holds FLASH and pulses RST; false when the device is off or on its way through a start. */
  readonly pressFlashAndReset: () => boolean;
  /** Default: `on-sync` for hosts without lines, which have no other way; `manual` for those that have them. */
  readonly download: DownloadMode | undefined;
  readonly wiring: SerialWiring;
  /** A host that announced another rate than the device's reads garbage, and so does the device. */
  readonly baudFaithful: boolean;
  /** A host that closes pulses RST. */
  readonly resetOnClose: boolean;
}

export class SerialPort {
  private readonly hosts = new Set<Host>();
  private stopListening: (() => void) | undefined;
  /** The host that talks with the loader. */
  private owner: Host | undefined;
  /** What the owner sent since its SYNC pressed the buttons, for the loader that is about to start. */
  private early: Early | undefined;
  /** The loader has measured the rate of its host. */
  private rateKnown = false;

  constructor(private readonly parts: SerialPortParts) {
    parts.uart.onOwner((who) => this.ownerOfLine(who));
  }

  /** A host opens the port; undefined when there are too many. */
  connect(host: SerialHost): SerialConnection | undefined {
    if (this.hosts.size >= MAX_HOSTS) return undefined;
    const { uart, alarm, pinOf, wiring, emit, baudFaithful } = this.parts;
    const entry = new Host(host, {
      baudFaithful,
      // A raw port cannot say its rate: it is taken to follow the changes that its host asks the loader for.
      rateFollows: () => uart.loading && !host.lines,
      lines: new ControlLines(pinOf(host), (us, callback) => alarm(us, 'peer', callback), wiring),
    });
    // Only with hosts: a device that nobody listens to need not turn its text into bytes.
    this.stopListening ??= uart.onOutput((bytes, baud) => {
      for (const one of [...this.hosts]) one.output(bytes, baud);
    });
    this.hosts.add(entry);
    emit({ type: 'serial.host', peer: host.peer, state: 'connected' });
    return {
      receive: (bytes) => this.receive(entry, bytes),
      setLines: (change) => {
        if (this.mayDrive(entry)) return entry.lines.set(change);
        entry.lines.note(change);
        entry.ignored(emit);
      },
      setBaud: (rate) => {
        entry.baud = rate;
      },
      close: () => this.close(entry),
    };
  }

  /** What a program types through the API; it is no host, and keeps silent while one flashes. */
  type(bytes: Uint8Array): void {
    if (this.owner && this.flashing) return;
    if (this.parts.uart.loading) this.toLoader(SKETCH_BAUD, bytes);
    else this.parts.uart.receive(bytes);
  }

  private receive(host: Host, bytes: Uint8Array): void {
    if (!this.hosts.has(host)) return;
    const { uart } = this.parts;
    if (host === this.owner && this.early) return this.keepEarly(bytes);
    if (this.flashing && this.owner && this.owner !== host) return host.ignored(this.parts.emit);
    if (host === this.owner && uart.loading) {
      // The loader has the rate of its host until that announces another one by itself.
      return this.toLoader(host.baud, this.rateKnown ? host.heard(bytes, uart.baud) : bytes);
    }
    let request = host.watch.push(bytes);
    if (uart.loading) {
      if (!request) return;
      this.own(host);
      this.toLoader(host.baud, request.frame);
      return this.toLoader(host.baud, request.rest);
    }
    while (request && !request.sync) request = host.watch.push(request.rest);
    const mode = this.parts.download ?? (host.host.lines ? 'manual' : 'on-sync');
    if (!request || mode === 'manual' || !this.parts.pressFlashAndReset()) {
      return uart.receive(host.heard(bytes, uart.baud));
    }
    this.own(host);
    this.early = { pieces: [], bytes: 0, reset: false };
    this.keepEarly(request.frame);
    this.keepEarly(request.rest);
  }

  /** Whether somebody's session with the loader must not be disturbed. */
  private get flashing(): boolean {
    return this.parts.uart.loading || this.early !== undefined;
  }

  private mayDrive(host: Host): boolean {
    return !this.flashing || this.owner === undefined || this.owner === host;
  }

  private own(host: Host): void {
    if (this.owner === host) return;
    this.owner = host;
    this.rateKnown = false;
    for (const other of this.hosts) other.watch.clear();
    this.parts.emit({ type: 'serial.host', peer: host.peer, state: 'flashing' });
  }

  /** The loader measures the rate of the first bytes it gets. */
  private toLoader(baud: number, bytes: Uint8Array): void {
    if (!this.rateKnown) this.parts.uart.baud = baud;
    this.rateKnown = true;
    this.parts.uart.receive(bytes);
  }

  private keepEarly(bytes: Uint8Array): void {
    const early = this.early!;
    if (early.bytes + bytes.length > LONGEST_FRAME) return;
    early.pieces.push(bytes);
    early.bytes += bytes.length;
  }

  private ownerOfLine(who: 'rom' | 'loader' | 'sketch'): void {
    if (who === 'rom') {
      for (const host of this.hosts) host.watch.clear();
      // A new start is anybody's, or a host that hangs would keep the loader from all others for ever; but not the start
      // that a SYNC asked for. When that comes to nothing, as other straps are wrong, the next one is again.
      if (this.early && !this.early.reset) this.early.reset = true;
      else {
        this.early = undefined;
        this.owner = undefined;
      }
      return;
    }
    this.rateKnown = false;
    const early = this.early;
    this.early = undefined;
    if (who === 'loader' && early && this.owner) {
      for (const bytes of early.pieces) this.toLoader(this.owner.baud, bytes);
    }
  }

  private close(host: Host): void {
    if (!this.hosts.delete(host)) return;
    if (this.hosts.size === 0) {
      this.stopListening?.();
      this.stopListening = undefined;
    }
    const mayDrive = this.mayDrive(host);
    // Before the lines fall back: a host that holds the chip in reset lets it go.
    if (mayDrive) host.lines.close();
    if (this.owner === host) {
      this.owner = undefined;
      this.early = undefined;
      this.parts.uart.hostGone();
    }
    if (mayDrive && this.parts.resetOnClose) {
      const pin = this.parts.pinOf(host.host);
      pin.assert();
      pin.release(false);
    }
    this.parts.emit({ type: 'serial.host', peer: host.host.peer, state: 'gone' });
  }
}

interface Early {
  readonly pieces: Uint8Array[];
  bytes: number;
  /** The reset that the SYNC asked for has come. */
  reset: boolean;
}

interface HostParts {
  readonly baudFaithful: boolean;
  /** Whether its rate is whatever the device's is. */
  readonly rateFollows: () => boolean;
  readonly lines: ControlLines;
}

class Host {
  readonly watch = new RequestWatch();
  /** As announced; a raw port has the rate of nearly every sketch. */
  baud = SKETCH_BAUD;
  private toldIgnored = false;

  constructor(
    readonly host: SerialHost,
    private readonly parts: HostParts,
  ) {}

  get peer(): string {
    return this.host.peer;
  }

  get lines(): ControlLines {
    return this.parts.lines;
  }

  output(bytes: Uint8Array, baud: number): void {
    this.host.write(this.readable ? bytes : asHeardAt(bytes, baud, this.baud));
  }

  /** What a device at `baud` makes of bytes that this host sends. */
  heard(bytes: Uint8Array, baud: number): Uint8Array {
    return this.readable ? bytes : asHeardAt(bytes, this.baud, baud);
  }

  private get readable(): boolean {
    return !this.parts.baudFaithful || this.parts.rateFollows();
  }

  /** Told once per host: it may go on for megabytes. */
  ignored(emit: Emit<LifecycleEvent>): void {
    if (this.toldIgnored) return;
    this.toldIgnored = true;
    emit({ type: 'serial.host', peer: this.host.peer, state: 'ignored' });
  }
}
