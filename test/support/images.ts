/** Small images for tests, so that every byte of one can be tried. */
import { buildImage } from '../../flash/image-build.ts';

/** An image close to the smallest one, of a core's era. */
export const smallImage = (core = 'master', version = '1.0'): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size: 6000, layout: '4m2m', core });

/** A copy with bytes changed. */
export function patched(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

/** One core of each era of the image format: CRC in the application, in the boot sector, nowhere. */
export const formatEras = ['master', '3.0.0', '2.7.4', '2.6.3', '2.0.0'] as const;
