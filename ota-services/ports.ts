/**
 * What the services need from the machine around them, as interfaces. The emulator supplies them for real sockets and for
 * a simulated network alike; tests supply arrays. Services import `flash/` and this file, nothing else of ours.
 *
 * One rule for all: a promise from a port rejects with an `Interruption` (flash/ports.ts) when the device was reset or
 * lost power meanwhile, and every later call does so too. Services never swallow it.
 */
import type { Emit } from '../flash/ports.ts';
import type { ServiceEvent } from './events.ts';

export type { Emit } from '../flash/ports.ts';

/** What may become of a delay in fast time: see {@link Clock.delay}. */
export type DelayKind = 'device' | 'peer' | 'unseen';

/** The Arduino time functions. Source: Arduino reference; spec chapter 03 §6–§7. */
export interface Clock {
  /** Device microseconds since the last start of the application, as the 32-bit counter `micros()` shows them. */
  micros(): number;
  millis(): number;
  /**
   * Blocks the sketch. `--time fast` shortens it unless `kind` is `peer`: a pause that real peers need
   * (spec chapter 03 §11.1: the 1000 ms before the final `OK`). A shortened delay still lets the network run, except one
   * of the kind `unseen`: nobody can tell whether it took place, and what follows it must not be overtaken.
   */
  delay(ms: number, kind?: DelayKind): Promise<void>;
  /** Lets the network context run once; nothing to wait for when it has just run. */
  yield(): Promise<void> | void;
}

export interface Address {
  /** Dotted IPv4. */
  readonly address: string;
  readonly port: number;
}

/** A bound UDP socket. Datagrams arrive in the network context: at once, also while the sketch is blocked. */
export interface UdpSocket {
  readonly local: Address;
  onDatagram(receive: (data: Uint8Array, from: Address) => void): void;
  /** Fire and forget; never throws for an unreachable peer. */
  send(data: Uint8Array, to: Address): void;
  close(): void;
}

/**
 * A TCP connection as lwIP and `WiFiClient` show it (spec chapter 03 §6.3 and §7).
 * `available` never exceeds the receive window (2144 bytes by default), so a peer that floods is slowed, not buffered.
 */
export interface TcpConnection {
  readonly local: Address;
  readonly remote: Address;
  /** Bytes that can be read now. */
  available(): number;
  /** Up to `max` bytes, possibly none; as those of `peek`, not to be changed. */
  read(max: number): Uint8Array;
  /** Up to `max` bytes without taking them. Later calls do not change the array, nor may the caller. */
  peek(max: number): Uint8Array;
  /**
   * Where there is more than the window: all that has come and lies in one piece, for a reader that goes through it byte by
   * byte, to whom the window makes no difference. It takes what it has used with {@link TcpConnection.skip}, which a
   * connection that has this has, too.
   */
  peekAhead?(): Uint8Array;
  /** Takes bytes that `peekAhead` gave. */
  skip?(count: number): void;
  /** False once the peer sent FIN or RST or we closed. Unread bytes may remain. */
  connected(): boolean;
  /** Queues bytes; false (and nothing sent) when the connection is closed for writing: after the peer's FIN too. */
  write(data: Uint8Array): boolean;
  /** Resolves when something arrived or the connection changed, at the latest after `ms`; in fast time too, as this is the peer's time. */
  wait(ms: number): Promise<void>;
  /** Waits until the peer's TCP has acknowledged what was written, at the longest `ms` without progress. */
  flush(ms: number): Promise<void>;
  /** FIN after what is queued; RST instead when unread bytes remain, as lwIP does. */
  close(): void;
  /** RST at once. */
  abort(): void;
}

export interface TcpListener {
  readonly local: Address;
  /** A connection that is waiting, or undefined. */
  accept(): TcpConnection | undefined;
  close(): void;
}

/**
 * A listener for TLS. What it accepts is plain TCP: the handshake is made, and waited for, when the server turns to a
 * connection. Source: spec chapter 04 §13.
 */
export interface TlsListener extends TcpListener {
  /**
   * Makes the handshake on an accepted connection, which is used up by it.
   *
   * @returns the connection of plain bytes; undefined when there was no handshake within `timeoutMs`: then it is gone
   */
  secure(connection: TcpConnection, timeoutMs: number): Promise<TcpConnection | undefined>;
}

/** A server's certificate (RSA or EC, with its chain) and private key, as PEM texts. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** What makes a TLS server trustworthy; one of them. Without any, every connect fails. Source: spec chapter 04 §23. */
export type TlsTrust =
  /** PEM text with the certificates of authorities (or of the server itself). */
  | { readonly ca: string }
  /** SHA-1 of the server's certificate, 20 bytes. */
  | { readonly fingerprint: Uint8Array }
  | { readonly insecure: true };

export interface TlsOptions {
  /** Name for SNI and for the check of the certificate. */
  readonly host: string;
  readonly trust: TlsTrust;
}

/** How the events name what crosses a TCP connection (design.md §5). */
export type StreamChannel = 'tcp' | 'http';

/** The device's network interface. Everything opened through it is closed when the device stops. */
export interface Network {
  /** The station's IPv4 address. */
  readonly address: string;
  /** Dotted; without it 255.255.255.0. */
  readonly netmask?: string;
  /** Rejects with an Error when the port is taken. Port 0: the system chooses. */
  bindUdp(port: number): Promise<UdpSocket>;
  /** Joins `group` on the interface; several sockets on one machine share the port. */
  joinMulticast(group: string, port: number): Promise<UdpSocket>;
  /** `undefined` when refused (at once) or unreachable (after `timeoutMs`). */
  connectTcp(to: Address, timeoutMs: number, channel?: StreamChannel): Promise<TcpConnection | undefined>;
  /** TCP and TLS 1.2; `error` says in words what went wrong, which the device itself does not tell. */
  connectTls?(
    to: Address,
    options: TlsOptions,
    timeoutMs: number,
    channel?: StreamChannel,
  ): Promise<TcpConnection | { readonly error: string }>;
  /** IPv4 address of a host name; `undefined` when there is none, or no answer within `timeoutMs`. */
  resolve?(host: string, timeoutMs: number): Promise<string | undefined>;
  listenTcp(port: number, channel?: StreamChannel): Promise<TcpListener>;
  /** TLS 1.2 with this certificate. Not there on the simulated network. Rejects as `listenTcp`. */
  listenTls?(port: number, identity: TlsIdentity, channel?: StreamChannel): Promise<TlsListener>;
}

/** The ROM's MD5 as the core's MD5Builder uses it. */
export interface Md5 {
  update(data: Uint8Array): void;
  /** 16 bytes; ends this computation. */
  digest(): Uint8Array;
}

/** A hash for signatures: `begin` by construction. Source: spec chapter 02 §7.2. */
export interface SignatureHash {
  update(data: Uint8Array): void;
  digest(): Uint8Array;
}

/** An installed signature verifier. Source: spec chapter 02 §7.2. */
export interface SignatureVerifier {
  /** Expected signature length in bytes: modulus length for RSA; 0 without a key. */
  readonly length: number;
  hash(): SignatureHash;
  /** `signature` is undefined when `length` is 0. */
  verify(digest: Uint8Array, signature: Uint8Array | undefined): boolean;
}

/** The eboot command in RTC user memory, as the core writes it. Source: spec chapter 01 §9.2. */
export interface EbootCommandPort {
  /** Writes action 1 (copy raw). */
  writeCopy(source: number, destination: number, size: number): void;
  /** Zeroes the magic and the CRC word. */
  clear(): void;
}

/** The rest of `ESP` and `WiFi` that services call. */
export interface System {
  /** 24-bit chip id. */
  readonly chipId: number;
  /** Strap number as `Update.begin` reads it: GPI bits 16–19. Source: spec chapter 01 §6.5. */
  bootStraps(): number;
  freeHeap(): number;
  /** Tells the model that the heap holds or released a buffer; false when the allocation fails. */
  allocate(bytes: number): boolean;
  release(bytes: number): void;
  /** `ESP.restart()`: never resolves, the sketch's thread ends here. */
  restart(): Promise<never>;
  /** `WiFi.setSleepMode(WIFI_NONE_SLEEP)`; nothing in the services turns it back on. Source: spec chapter 02 §5, Q15. */
  disableWifiSleep(): void;
  /** Wi-Fi off for `eraseConfigAndReset`; false on a timeout. */
  wifiOff(): Promise<boolean>;
  /** Hardware-watchdog reset that the next boot reports as External System. Never resolves. */
  hardwareReset(): Promise<never>;
  digitalWrite(pin: number, level: 0 | 1): void;
  pinMode(pin: number, mode: 'output' | 'input'): void;
}

/** All of the above, as the composition root hands it to a service. */
export interface ServicePorts {
  readonly clock: Clock;
  readonly network: Network;
  readonly system: System;
  readonly command: EbootCommandPort;
  readonly md5: () => Md5;
  readonly emit: Emit<ServiceEvent>;
}
