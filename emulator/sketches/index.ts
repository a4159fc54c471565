/** The sketches that come with the emulator, by the names of `--sketch`. */
import { basicOta } from './basic-ota.ts';
import { httpUpdate, httpUpdateFs, httpUpdateSecure, httpUpdateSigned } from './http-update.ts';
import { secureWebUpdater } from './secure-web-updater.ts';
import type { SketchFactory } from './sketch.ts';
import { streamUpdate } from './stream-update.ts';
import { webUpdater } from './web-updater.ts';

/** Firmware without any update service: after it only the serial loader helps. */
const blank: SketchFactory = () => ({});

export const SKETCHES: Readonly<Record<string, SketchFactory>> = {
  'basic-ota': basicOta,
  'web-updater': webUpdater,
  'secure-web-updater': secureWebUpdater,
  'http-update': httpUpdate,
  'http-update-fs': httpUpdateFs,
  'http-update-signed': httpUpdateSigned,
  'http-update-secure': httpUpdateSecure,
  'stream-update': streamUpdate,
  blank,
};

export const SKETCH_NAMES: readonly string[] = Object.keys(SKETCHES);
