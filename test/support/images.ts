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

/**
 * Firmware that does not say what it is: no manifest that can be read, and no CRC, as in core 2.6.3. Which sketch stands
 * for it is the device's choice.
 */
export function foreignImage(): Uint8Array {
  const bytes = smallImage('2.6.3');
  const at = Buffer.from(bytes).indexOf('esp8266-ota-emulator manifest');
  if (at < 0) throw new Error('the image has no manifest to damage');
  bytes[bytes.length - 1]! ^= bytes[at]! ^ 0x58; // keeps the checksum right
  bytes[at] = 0x58;
  return bytes;
}
