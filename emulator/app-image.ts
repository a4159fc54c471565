/** The application that is in flash, judged as design.md §7 says. */
import { parseImage } from '../flash/image-format.ts';
import type { Manifest } from '../flash/manifest.ts';
import type { NorFlash } from '../flash/nor-flash.ts';

export interface AppImage {
  readonly manifest: Manifest | undefined;
  readonly checksumOk: boolean;
  /** Absent when the image carries no CRC. */
  readonly crcOk: boolean | undefined;
  /** Why it crashes instead of running its sketch; absent when it is whole. */
  readonly damage: string | undefined;
  /** Entry address of its header. */
  readonly entry: number;
}

/**
 * @param size `getSketchSize()`: what the segment headers in flash add up to, which in a damaged image may be anything
 */
export function readAppImage(chip: NorFlash, size: number): AppImage {
  const { app, embedded, manifest, damage } = parseImage(chip.peek(0, Math.min(size, chip.capacityBytes)));
  const checksum = app?.checksum;
  return {
    manifest,
    // Storing length and CRC leaves the checksum byte wrong, in real builds too: what counts is the one it was built with.
    checksumOk: checksum !== undefined && (checksum.given === checksum.computed || checksum.given === checksum.asBuilt),
    crcOk: embedded?.ok,
    damage,
    entry: app?.header.entry ?? 0xffffffff,
  };
}
