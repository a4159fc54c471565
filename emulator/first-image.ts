/** The bytes on the chip before the first start. */
import { readFileSync } from 'node:fs';
import { isGzip } from '../flash/gzip-image.ts';
import { buildImage } from '../flash/image-build.ts';
import { IMAGE_MAGIC } from '../flash/image-header.ts';
import { layoutByName } from '../flash/layouts.ts';
import { DeviceOptionError } from './options.ts';

/** A quarter MiB, a typical small sketch; on chips of 512 KiB half of that, so that there is room for updates. */
const FACTORY_IMAGE_BYTES = 0x40000;
const SMALL_FACTORY_IMAGE_BYTES = 0x20000;
const SMALL_CHIP_BYTES = 0x80000;
/** The version that the factory image reports. */
export const FACTORY_VERSION = 'factory';

/** Reads an image for the chip; a gzip image is refused, as only eboot can unpack it. @throws DeviceOptionError */
export function readImage(image: string | Uint8Array, capacityBytes: number): Uint8Array {
  const name = typeof image === 'string' ? image : 'the image';
  const bytes = typeof image === 'string' ? readFile(image) : image;
  if (isGzip(bytes)) {
    throw new DeviceOptionError(
      `${name} is a gzip file: a serial upload puts bytes in flash as they are and the ROM cannot unpack them. ` +
        'Unpack it first (gunzip), or upload it over the air, where eboot unpacks it',
    );
  }
  if (bytes.length === 0) throw new DeviceOptionError(`${name} is empty`);
  if (bytes[0] !== IMAGE_MAGIC) {
    throw new DeviceOptionError(
      `${name} is no ESP8266 firmware: it begins with 0x${bytes[0]!.toString(16).padStart(2, '0')} instead of 0xe9 ` +
        '(`image info` says more)',
    );
  }
  if (bytes.length > capacityBytes) {
    throw new DeviceOptionError(`${name} has ${bytes.length} bytes, the chip ${capacityBytes}`);
  }
  return bytes;
}

function readFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new DeviceOptionError(
      `image ${path}: ${code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`}`,
    );
  }
}

/** What a device without an image runs: made by the same code as `image build`. */
export function factoryImage(options: {
  sketch: readonly string[];
  layoutName: string;
  core: string | undefined;
  seed: number;
  mode: string;
  freqMHz: number;
  capacityBytes: number;
}): Uint8Array {
  const auto = options.layoutName.startsWith('auto');
  return buildImage({
    sketch: options.sketch,
    version: FACTORY_VERSION,
    size: options.capacityBytes <= SMALL_CHIP_BYTES ? SMALL_FACTORY_IMAGE_BYTES : FACTORY_IMAGE_BYTES,
    layout: auto ? 'auto' : layoutByName(options.layoutName).name,
    mode: options.mode as never,
    freq: options.freqMHz as never,
    seed: options.seed,
    ...(options.core === undefined ? {} : { core: options.core }),
  });
}
