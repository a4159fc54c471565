/**
 * What a sketch is told: the options of `run`, overridden by the settings in the image's manifest, so that an update can
 * change a password or remove OTA altogether (design.md §7).
 */
export interface SketchSettings {
  /** UDP port of ArduinoOTA; 0 lets the system choose. */
  readonly otaPort: number;
  readonly hostname?: string;
  readonly password?: string;
  readonly passwordHash?: string;
  /** What ArduinoOTA's challenge is made with (`md5`). */
  readonly otaDigest?: 'md5' | 'sha256';
  readonly mdns: boolean;
  /** TCP port of the web updater; 0 lets the system choose. */
  readonly httpPort: number;
  readonly httpUser?: string;
  readonly httpPassword?: string;
  /** TCP port of the web updater with TLS; 0 lets the system choose. */
  readonly httpsPort: number;
  /** Path of the update form (`/update`; with TLS `/firmware`). */
  readonly httpPath?: string;
  /** TCP port of `stream-update`; 0 lets the system choose. */
  readonly streamPort: number;
  /** File that `stream-update` installs at start. */
  readonly streamFile?: string;
  /** Where the http-update sketches ask for their sketch and their file system. */
  readonly updateUrl?: string;
  readonly updateFsUrl?: string;
  /** Seconds from one attempt to the next; without it the next begins when one is over, as in the examples. */
  readonly updateIntervalS?: number;
  /** Sent as `x-ESP8266-version`. */
  readonly currentVersion?: string;
  /** What an image from the server must have: 32 hex digits. */
  readonly md5?: string;
  readonly followRedirects?: 'disabled' | 'strict' | 'force';
  /** Trust of http-update-secure: PEM of authorities, SHA-1 of the server's certificate in hex, or none needed. */
  readonly ca?: string;
  readonly fingerprint?: string;
  readonly insecure?: boolean;
  /** PEM of an RSA public key: the firmware verifies signatures. */
  readonly publicKey?: string;
  /** ATOMIC_FS_UPDATE build. */
  readonly atomicFs: boolean;
}

/** Settings as an image carries them: keys are the long options of `run`, values text. */
export type ManifestSettings = Readonly<Record<string, string | number | boolean>>;

/** As many milliseconds as a signed 32-bit counter takes. */
const MAX_SECONDS = 2_147_483;
const REDIRECTS = ['disabled', 'strict', 'force'] as const;

/** The run's settings with an image's on top. Keys that mean nothing to a sketch are left to others. */
export function mergeSettings(run: SketchSettings, image: ManifestSettings): SketchSettings {
  const text = (key: string): string | undefined => (image[key] === undefined ? undefined : String(image[key]));
  const number = (key: string, most = 0xffff): number | undefined => {
    const value = Number(image[key]);
    return image[key] === undefined || !Number.isInteger(value) || value < 0 || value > most ? undefined : value;
  };
  const flag = (key: string): boolean | undefined => (image[key] === undefined ? undefined : image[key] === true);
  return {
    ...run,
    ...defined({
      otaPort: number('ota-port'),
      hostname: text('hostname'),
      password: text('password'),
      passwordHash: text('password-hash'),
      mdns: flag('mdns'),
      httpPort: number('http-port'),
      httpsPort: number('https-port'),
      httpUser: text('http-user'),
      httpPassword: text('http-password'),
      httpPath: text('http-path'),
      streamPort: number('stream-port'),
      updateUrl: text('update-url'),
      updateFsUrl: text('update-fs-url'),
      updateIntervalS: number('update-interval', MAX_SECONDS),
      currentVersion: text('current-version'),
      md5: text('md5'),
      followRedirects: REDIRECTS.find((mode) => mode === image['follow-redirects']),
      ca: text('ca'),
      fingerprint: text('fingerprint'),
      insecure: flag('insecure'),
      publicKey: text('public-key'),
      atomicFs: flag('atomic-fs'),
    }),
  };
}

/** Drops the keys whose value is undefined. */
export function defined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never;
}
