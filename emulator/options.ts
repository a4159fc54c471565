/** What a device is made of. Contract in the names: design.md §3. */

import type { Alterations } from './alterations.ts';
import type { ClockMode } from './clock.ts';
import type { SerialWiring } from './serial/control-lines.ts';
import type { DownloadMode } from './serial/serial-port.ts';
import type { ManifestSettings } from './settings.ts';
import type { SketchFactory } from './sketches/sketch.ts';

/** The firmware about to start, as `sketchFor` sees it. */
export interface BootedImage {
  /** From the manifest, if there is one. */
  readonly version?: string;
  /** Bytes, eboot included: `ESP.getSketchSize()`. */
  readonly size: number;
  /** Lower-case hex MD5 of those bytes: `ESP.getSketchMD5()`. */
  readonly md5: string;
  /** Reads the chip. */
  read(address: number, length: number): Uint8Array;
}

/** Every field may also be given as `undefined`, which is the same as leaving it out. */
export type DeviceOptions = { [K in keyof DeviceFields]?: DeviceFields[K] | undefined };

interface DeviceFields {
  /** A board id of `boards.json` (`nodemcuv2`). */
  board?: string;
  /** A flash layout (the board's default); `auto`, `auto:max-fs`, `auto:no-fs` choose by the chip's size. */
  layout?: string;
  /** Chip size in bytes, or a text such as `4M` (the layout's). */
  flashSize?: number | string;
  /** JEDEC id as `getFlashChipId()` shows it (a Winbond part of that size). */
  flashId?: number;
  /**
   * Firmware put in flash before the first start, as a serial upload would: a path, bytes, or what `buildImage` made.
   * Without it: what the flash file holds, or else a factory image made for `sketch`.
   */
  image?: string | Uint8Array;
  /** What firmware without a manifest does: names of sketches, or one of your own (`basic-ota,web-updater`). */
  sketch?: string | readonly string[] | SketchFactory;
  /** A rule for images without a manifest; `undefined` leaves it to `sketch`. */
  sketchFor?: (image: BootedImage) => SketchFactory | string | readonly string[] | undefined;
  ota?: {
    /** UDP port (8266); 0 lets the system choose. */
    port?: number;
    password?: string;
    /** Stored verbatim, as `setPasswordHash` does. */
    passwordHash?: string;
    /**
     * What the challenge to an uploader is made with: `md5`, 32 characters, or `sha256`, 64 characters, as the ArduinoOTA of
     * arduino-esp32 3.3.1 has it (spec chapter 06, row 39, which is the only source) (`md5`).
     */
    digest?: 'md5' | 'sha256';
    hostname?: string;
  };
  http?: {
    /** TCP port of the web updater (8080); 0 lets the system choose. */
    port?: number;
    /** Credentials hold only when user and password are both given. */
    user?: string;
    password?: string;
    /** Path of the form (`/update`; `/firmware` for `secure-web-updater`). */
    path?: string;
  };
  https?: {
    /** TCP port of the sketch `secure-web-updater` (8443); 0 lets the system choose. */
    port?: number;
    /**
     * PEM text of a certificate (RSA or EC) and of its key, without a passphrase. Without them a self-signed one is made at
     * the first start of the sketch, and with a flash file kept in `FILE.tls.pem`.
     */
    cert?: string;
    key?: string;
  };
  stream?: {
    /** TCP port of the sketch `stream-update` (8232); 0 lets the system choose. */
    port?: number;
    /** File that `stream-update` installs at start. */
    file?: string;
  };
  /** For the sketches `http-update`, `http-update-fs`, `http-update-signed` and `http-update-secure`. */
  update?: {
    /** Where they ask for a sketch; without it they ask nobody. */
    url?: string;
    /** Where `http-update-fs` asks for a file system. */
    fsUrl?: string;
    /** Seconds from one attempt to the next, never shortened (0: at once, as the core's examples do). */
    intervalS?: number;
    /** Sent as `x-ESP8266-version`; one line of ASCII. */
    currentVersion?: string;
    /** What the image must have, 32 hex digits; goes before the server's `x-MD5`. */
    md5?: string;
    /** Whether redirects are followed (`disabled`); `force` follows those that `strict` leaves to the sketch, too. */
    followRedirects?: 'disabled' | 'strict' | 'force';
    /** Trust of `http-update-secure`, one of these: PEM text of authorities, */
    ca?: string;
    /** SHA-1 of the server's certificate as 40 hex digits, also with colons, */
    fingerprint?: string;
    /** or no check at all. */
    insecure?: boolean;
  };
  /** Control API and live page on 127.0.0.1 (off). `port` 8267 unless given; 0 lets the system choose. */
  control?: { port?: number };
  /** UART0 for monitors and flashers (none). Any number may listen, one flashes at a time; not with a virtual clock. */
  serial?: SerialOptions;
  /** The device's IPv4 address: where it listens (127.0.0.1). */
  host?: string;
  /** Advertise by mDNS (when `host` is not loopback). */
  mdns?: boolean;
  /** IPv4 address of the interface for mDNS (`host`). */
  mdnsInterface?: string;
  /** `fast`, `real`, or `virtual`, which opens no sockets (`fast`). */
  clock?: ClockMode;
  /** All randomness of the device (1). */
  seed?: number;
  /** Back the chip with a file. */
  flashFile?: string;
  /**
   * Which bootloader runs: `model` is eboot restated, `native` executes the code that is really in sector 0; `auto` takes
   * `native` when there is code (images made by `buildImage` have none), else `model` (`auto`).
   */
  bootloader?: 'auto' | 'model' | 'native';
  /**
   * A port on 127.0.0.1 for GDB; 0 or nothing lets the system choose. Code that is executed then waits for a debugger
   * before its first instruction.
   */
  gdb?: { port?: number };
  /**
   * What becomes of the flasher stub that a serial host uploads: `state` only switches to its commands, `native` executes
   * it, as any other program that is uploaded to RAM (`state`).
   */
  stub?: 'state' | 'native';
  /**
   * Era of the core: of its bootloader and of its update services. Without it the boot sector says what eboot does, and the
   * image's manifest what the services do, each `master` where they do not say.
   */
  core?: string;
  /** PEM of an RSA public key: installs signature verification. */
  publicKey?: string;
  /** ATOMIC_FS_UPDATE build. */
  atomicFs?: boolean;
  /**
   * Straps at the first power-on: `download` holds GPIO0 low until they are latched, which starts the serial loader; the next
   * hardware reset starts from flash (`flash`).
   */
  boot?: 'flash' | 'download';
  /** Faults to arm, in the grammar of design.md §8. */
  faults?: readonly string[];
  /** What follows a power cut by a fault: it stays off until `powerOn()`, or power comes back at once (`stay-off`). */
  afterPowerCut?: 'stay-off' | 'power-on';
  /**
   * The flash chip answers in QIO and QOUT (true). On modules where two of its four data lines are not connected it does not:
   * an image with such a mode in its header never starts. Source: spec chapter 06, row 11.
   */
  quadFlash?: boolean;
  /**
   * Firmware finds its file system where the layout in its own manifest says, as each build on hardware does (false: all
   * firmware counts as built for the device's layout).
   */
  layoutFromImage?: boolean;
  /** Bytes of free heap that the firmware sees at start (30,000). */
  freeHeap?: number;
  /** 24-bit chip id (from the seed; 0xc0ffee for seed 1). */
  chipId?: number;
  /** Bootloader and Updater of a test's own making. @internal */
  alter?: Alterations;
  /** Told when the flash file can no longer be written. */
  onFlashFileError?: (error: Error) => void;
}

/** Where UART0 can be opened, and as what. */
export interface SerialOptions {
  /**
   * Bytes on TCP (`socket://`), Telnet with DTR, RTS and baud rate (`rfc2217://`), or a pseudo-terminal made by socat.
   * Without it only this program reaches the port, through `device.serial`.
   */
  readonly transport?: 'tcp' | 'rfc2217' | 'pty' | undefined;
  /** TCP port (0: the system chooses). */
  readonly port?: number | undefined;
  /**
   * What a SYNC does while a sketch runs: nothing, as on hardware (`manual`), or it holds FLASH and pulses RST (`on-sync`).
   * Default: `on-sync`, but `manual` for hosts that have the real lines, as with rfc2217.
   */
  readonly download?: DownloadMode | undefined;
  /** Where DTR and RTS go (`cross-coupled`, as on NodeMCU and D1 mini). */
  readonly wiring?: SerialWiring | undefined;
  /**
   * A host at another baud rate than the device's reads garbage, and what it sends is garbage to the device (false). Raw hosts
   * count as 115200, and with the loader as at the right rate.
   */
  readonly baudFaithful?: boolean | undefined;
  /**
   * A host that closes the port pulses RST, with GPIO0 high unless FLASH is held; not while another one flashes (false: as on
   * hardware, the chip stays in its loader).
   */
  readonly resetOnClose?: boolean | undefined;
}

/** A device that cannot be made from what was given: says what, where, and what to do. */
export class DeviceOptionError extends Error {
  override readonly name = 'DeviceOptionError';
}

export type { ManifestSettings };
