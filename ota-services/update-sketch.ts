/** `ESP.updateSketch()`: a whole update from a stream in one call. Source: spec chapter 02 §11 (Esp.cpp). */
import type { System } from './ports.ts';
import type { Stream } from './stream.ts';
import type { Updater } from './updater.ts';

export interface UpdateSketchOptions {
  /** Restart also when the update failed; false unless given. */
  readonly restartOnFail?: boolean;
  /** Restart into the new sketch; true unless given. */
  readonly restartOnSuccess?: boolean;
}

/**
 * Updates the sketch with `size` bytes from `stream`, which must give exactly that many.
 *
 * @returns whether it worked, unless the device restarts: then never
 */
export async function updateSketch(
  update: Updater,
  system: Pick<System, 'restart'>,
  stream: Stream,
  size: number,
  options: UpdateSketchOptions = {},
): Promise<boolean> {
  const { restartOnFail = false, restartOnSuccess = true } = options;
  const ok = (await update.begin(size)) && (await update.writeStream(stream)) === size && (await update.end());
  if (ok ? restartOnSuccess : restartOnFail) await system.restart();
  return ok;
}
