/** Where the Updater puts an image, and whether it fits. Source: spec chapter 02 §5, address rules. */
import { roundUpToSector } from '../flash/geometry.ts';

export const U_FLASH = 0;
export const U_FS = 100;
/** Known to ArduinoOTA; `begin` refuses it. */
export const U_AUTH = 200;

/** What the rules look at. Chip offsets and bytes. */
export interface UpdateSpace {
  readonly fsStart: number;
  readonly fsEnd: number;
  /** The running sketch, as cached since boot (Q16). */
  readonly sketchSize: number;
  /** ATOMIC_FS_UPDATE build: file systems are staged and copied by eboot, like sketches. */
  readonly atomicFs: boolean;
}

export type UpdateArea =
  | { ok: true; start: number; roundedSize: number }
  | { ok: false; error: { name: 'SPACE'; code: 4; needed: number; free: number } }
  | { ok: false; error: { name: 'UNKNOWN_COMMAND'; code: 16; command: number } };

/**
 * Applies the rules. Rounding and sums are 32-bit unsigned, so sizes from 0xFFFFF001 on round to 0 and fit everywhere
 * (Q12). For gzip only the compressed size counts (Q13).
 */
export function findUpdateArea(size: number, command: number, space: UpdateSpace): UpdateArea {
  const roundedSize = roundUpToSector(size);
  switch (command) {
    case U_FLASH:
      return stage(roundedSize, space);
    case U_FS:
      if ((space.fsStart + roundedSize) >>> 0 > space.fsEnd) {
        return noSpace(roundedSize, space.fsEnd - space.fsStart);
      }
      return space.atomicFs ? stage(roundedSize, space) : { ok: true, start: space.fsStart, roundedSize };
    default:
      return { ok: false, error: { name: 'UNKNOWN_COMMAND', code: 16, command } };
  }
}

/** Below the file system, ending where it begins. The gap between the running sketch and the image is never touched. */
function stage(roundedSize: number, { fsStart, sketchSize }: UpdateSpace): UpdateArea {
  const sketchEnd = roundUpToSector(sketchSize);
  const start = fsStart > roundedSize ? fsStart - roundedSize : 0;
  // Strict: an image may begin in the sector right behind the sketch.
  if (start < sketchEnd) return noSpace(roundedSize, Math.max(0, fsStart - sketchEnd));
  return { ok: true, start, roundedSize };
}

const noSpace = (needed: number, free: number): UpdateArea => ({
  ok: false,
  error: { name: 'SPACE', code: 4, needed, free },
});
