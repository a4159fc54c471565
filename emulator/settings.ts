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
  readonly mdns: boolean;
  /** TCP port of the web updater; 0 lets the system choose. */
  readonly httpPort: number;
  readonly httpUser?: string;
  readonly httpPassword?: string;
  /** Path of the update form (`/update`). */
  readonly httpPath: string;
  /** TCP port of `stream-update`; 0 lets the system choose. */
  readonly streamPort: number;
  /** File that `stream-update` installs at start. */
  readonly streamFile?: string;
  /** PEM of an RSA public key: the firmware verifies signatures. */
  readonly publicKey?: string;
  /** ATOMIC_FS_UPDATE build. */
  readonly atomicFs: boolean;
}

/** Settings as an image carries them: keys are the long options of `run`, values text. */
export type ManifestSettings = Readonly<Record<string, string | number | boolean>>;

/** The run's settings with an image's on top. Keys that mean nothing to a sketch are left to others. */
export function mergeSettings(run: SketchSettings, image: ManifestSettings): SketchSettings {
  const text = (key: string): string | undefined => (image[key] === undefined ? undefined : String(image[key]));
  const number = (key: string): number | undefined => {
    const value = Number(image[key]);
    return image[key] === undefined || !Number.isInteger(value) || value < 0 || value > 0xffff ? undefined : value;
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
      httpUser: text('http-user'),
      httpPassword: text('http-password'),
      httpPath: text('http-path'),
      streamPort: number('stream-port'),
      publicKey: text('public-key'),
      atomicFs: flag('atomic-fs'),
    }),
  };
}

/** Drops the keys whose value is undefined. */
export function defined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never;
}
