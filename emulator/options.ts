/** What a device is made of. Contract in the names: design.md §3. */

import type { ClockMode } from './clock.ts';
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
  /** Which bootloader runs; `auto` takes the model, as there is no native engine yet. */
  bootloader?: 'auto' | 'model' | 'native';
  /** Era of the core (`master`). */
  core?: string;
  /** PEM of an RSA public key: installs signature verification. */
  publicKey?: string;
  /** ATOMIC_FS_UPDATE build. */
  atomicFs?: boolean;
  /** Straps at the first power-on: GPIO0 low starts the serial loader (`flash`). */
  boot?: 'flash' | 'download';
  /** Faults to arm, in the grammar of design.md §8. */
  faults?: readonly string[];
  /** What follows a power cut by a fault: it stays off until `powerOn()`, or power comes back at once (`stay-off`). */
  afterPowerCut?: 'stay-off' | 'power-on';
  /** Bytes of free heap that the firmware sees at start (30,000). */
  freeHeap?: number;
  /** 24-bit chip id (from the seed; 0xc0ffee for seed 1). */
  chipId?: number;
  /** Told when the flash file can no longer be written. */
  onFlashFileError?: (error: Error) => void;
}

/** A device that cannot be made from what was given: says what, where, and what to do. */
export class DeviceOptionError extends Error {
  override readonly name = 'DeviceOptionError';
}

export type { ManifestSettings };
