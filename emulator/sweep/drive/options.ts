/** What one driven update is, and what a device needs so that it can happen. */
import { DEFAULT_PEER_ADDRESS } from '../../network/simulated-network.ts';
import type { DeviceOptions } from '../../options.ts';

export const UPDATE_PATHS = ['arduino-ota', 'web', 'http-update', 'stream', 'serial'] as const;
/** By which service an image reaches the device. */
export type UpdatePath = (typeof UPDATE_PATHS)[number];
export type UpdateTarget = 'sketch' | 'fs';

/** Where the http-update sketches of a driven device ask. */
export const SERVER_ADDRESS = DEFAULT_PEER_ADDRESS;
export const SERVER_PORT = 8000;
export const SERVER_URL = `http://${SERVER_ADDRESS}:${SERVER_PORT}/`;
/** Seconds between two questions of a driven http-update sketch. */
const ASK_EVERY_S = 1;

export interface DriveOptions {
  readonly path: UpdatePath;
  readonly target: UpdateTarget;
  /** The file: firmware or file system; plain, gzip or signed. */
  readonly image: Uint8Array;
  /**
   * Bytes that the peer hands to its TCP at a time, a list of such numbers going round. Of `arduino-ota` each is
   * acknowledged by the device before the next one leaves (1460, as espota.py); the others wait for their TCP only (without
   * it: everything at once, as the window allows).
   */
  readonly chunk?: number | readonly number[];
  /** `arduino-ota`: used when the device asks for one (empty). */
  readonly password?: string;
  /** `web`. A Digest is answered to a Digest challenge, so the form is asked for first. */
  readonly credentials?: { readonly user: string; readonly password: string; readonly scheme?: 'basic' | 'digest' };
  /** `web`: path of the form (`/update`). */
  readonly formPath?: string;
  /** `serial`: which loader does the work (`rom`). */
  readonly loader?: 'rom' | 'stub';
  /** MD5 that the peer announces, 32 hex digits (the image's); `null` for none where the path can do without. */
  readonly md5?: string | null;
  /** Device time after which it is given up, microseconds (600 s). */
  readonly limitUs?: number;
}

export interface DriveResult {
  /** The device took the image: `update.end`, and where the path restarts by itself, that restart. */
  readonly ok: boolean;
  /** Why not, as the peer sees it, or as the device says. */
  readonly error?: string;
  /** The device restarted by itself to use the image. */
  readonly restarted: boolean;
}

/** The name of the sketch that serves a path, as `buildImage` and `--sketch` take it. */
export function sketchFor(path: UpdatePath, target: UpdateTarget): string {
  switch (path) {
    case 'arduino-ota':
      return 'basic-ota';
    case 'web':
      return 'web-updater';
    case 'http-update':
      return target === 'fs' ? 'http-update-fs' : 'http-update';
    case 'stream':
      return 'stream-update';
    case 'serial':
      return 'blank';
    default:
      return path satisfies never;
  }
}

/**
 * Device options that a path needs: a virtual clock, the sketch, and whom that asks. Merge them with your own; an image with
 * a manifest brings its own sketch, so build it with {@link sketchFor}.
 */
export function deviceOptionsFor(path: UpdatePath, target: UpdateTarget): Partial<DeviceOptions> {
  return {
    clock: 'virtual',
    sketch: sketchFor(path, target),
    ...(path === 'http-update'
      ? {
          update: {
            ...(target === 'fs' ? { fsUrl: SERVER_URL } : { url: SERVER_URL }),
            intervalS: ASK_EVERY_S,
          },
        }
      : {}),
  };
}
