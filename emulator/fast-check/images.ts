/** Firmware for tests: small, bootable, and of a sketch that can be updated again. */
import { buildImage } from '../../flash/image-build.ts';
import { sketchFor, type UpdatePath, type UpdateTarget } from '../sweep/drive/index.ts';

export interface Firmware {
  readonly version: string;
  readonly bytes: Uint8Array;
}

export interface FirmwareOptions {
  readonly path: UpdatePath;
  readonly target: UpdateTarget;
  readonly layout: string;
  readonly version: string;
  /** Bytes, rounded up to 16. */
  readonly size: number;
}

const made = new Map<string, Firmware>();
const MADE_LIMIT = 200;

/** Equal options give the same object: shrinking asks for the same few images again and again. */
export function firmwareImage({ path, target, layout, version, size }: FirmwareOptions): Firmware {
  const key = [path, target, layout, version, size].join();
  let firmware = made.get(key);
  if (!firmware) {
    firmware = { version, bytes: buildImage({ sketch: sketchFor(path, target), version, size, layout }) };
    if (made.size >= MADE_LIMIT) made.clear();
    made.set(key, firmware);
  }
  return firmware;
}
