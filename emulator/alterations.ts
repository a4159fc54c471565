/**
 * Parts of firmware and bootloader that a test puts in the place of the core's: known bugs that sweeps and property tests
 * must find, and designs that must survive them. See sweep/defects.ts.
 */
import type { Requests } from '../eboot/machine.ts';
import type { EbootEnd, EbootOptions } from '../eboot/model.ts';
import type { NorFlash } from '../flash/nor-flash.ts';
import type { UpdaterOptions, UpdaterPorts } from '../ota-services/update-state.ts';
import type { Updater } from '../ota-services/updater.ts';
import type { SketchFactory } from './sketches/sketch.ts';

export interface Alterations {
  /** The bootloader, instead of the model of eboot. */
  readonly bootloader?: ((options: EbootOptions) => Requests<EbootEnd>) | undefined;
  /** What the names in a manifest stand for, besides those of `--sketch`. */
  readonly sketches?: Readonly<Record<string, SketchFactory>> | undefined;
  /**
   * The firmware's `Update`. It erases and programs by `eraseSectorNow` and `writeNow` of its flash; web uploads come by
   * `writeNow`, `write`, and where much has come at once by `writePieces`, which calls `write` with all of it.
   */
  readonly updater?: ((ports: UpdaterPorts, options: UpdaterOptions, chip: NorFlash) => Updater) | undefined;
}
