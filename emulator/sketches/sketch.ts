/**
 * What firmware does, in the manner of the Arduino examples: `setup()` once, `loop()` for ever, on the device's only
 * thread. The core's objects are at hand in {@link Core}. Application code of an image is not executed; which sketch stands
 * for it is decided at each boot (design.md §7).
 */
import type { EspFlash } from '../../flash/esp-class.ts';
import type { ArduinoOTA } from '../../ota-services/arduino-ota/arduino-ota.ts';
import type { ESP8266HTTPUpdate } from '../../ota-services/http-update-client/http-update.ts';
import type { Mdns } from '../../ota-services/mdns/mdns.ts';
import type { Clock, Network, ServicePorts, TlsIdentity } from '../../ota-services/ports.ts';
import type { Updater } from '../../ota-services/updater.ts';
import type { Addresses, HostPort } from '../events.ts';
import type { ArduinoSerial } from '../serial/arduino-serial.ts';
import type { SketchSettings } from '../settings.ts';

/** `ESP` of the core, as far as sketches use it. */
export interface Esp {
  /** Never resolves: the sketch's thread ends here. */
  restart(): Promise<never>;
  /**
   * Into the serial loader without a hardware reset: the straps stay latched as they are, so what the host then starts may be
   * updated over the air. Never resolves. Source: spec chapter 01 §6.5.
   */
  rebootIntoUartDownloadMode(): Promise<never>;
  /** Texts of spec chapter 01 §6.4, e.g. `Software/System restart`. */
  getResetReason(): string;
  /** 24-bit. */
  getChipId(): number;
  getSketchSize(): number;
  getSketchMD5(): string;
  getFreeSketchSpace(): number;
  getFreeHeap(): number;
  readonly flash: EspFlash;
}

/** The core's objects for one life of the application. */
export interface Core {
  readonly Serial: ArduinoSerial;
  readonly ESP: Esp;
  readonly Update: Updater;
  readonly ArduinoOTA: ArduinoOTA;
  readonly ESPhttpUpdate: ESP8266HTTPUpdate;
  readonly WiFi: { localIP(): string };
  /** One responder for all services; undefined when mDNS is not modelled. */
  readonly MDNS: Mdns | undefined;
  /** What services of your own take. */
  readonly ports: ServicePorts & { random32(): number };
  /** For sketches with sockets of their own; everything opened closes at the next reset. */
  readonly network: Network;
  /** The run's options, overridden by the image's manifest. */
  readonly settings: SketchSettings;
  /** The time functions as services take them. */
  readonly clock: Clock;
  /** Sleeps while the network runs; shortened with `--time fast`. */
  delay(ms: number): Promise<void>;
  yield(): Promise<void>;
  millis(): number;
  micros(): number;
  /** Seconds since 1970, UTC, as time servers tell them. */
  time(): number;
  /** Tells where a service listens; shown in the `ready` line. */
  listening(service: keyof Addresses, at: HostPort): void;
  /** A fatal exception of the CPU: post-mortem text, then a reset. */
  crash(cause: number, what: string): never;
  /** Bytes of a file on the host, for sketches that stand for an SD card; undefined when it is not there. */
  readFile(path: string): Promise<Uint8Array | undefined>;
  /** Lower-case hex MD5, as MD5Builder gives it. */
  md5(data: Uint8Array): string;
  /** Certificate and key that are compiled into the firmware. */
  tlsIdentity(): TlsIdentity;
  /** Into the event stream as `sketch.log`, not on the serial line. */
  log(text: string): void;
}

export interface Sketch {
  setup?(): void | Promise<void>;
  loop?(): void | Promise<void>;
}

export type SketchFactory = (core: Core) => Sketch;
