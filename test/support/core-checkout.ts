/** The user's own checkout of the Arduino core, for the opt-in checks of `test/core`. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A file of the checkout that `ARDUINO_CORE_DIR` names.
 *
 * @throws Error saying what to do when the variable or the file is missing
 */
export function coreFile(name: string): string {
  const folder = process.env['ARDUINO_CORE_DIR'];
  if (!folder) throw new Error('ARDUINO_CORE_DIR is not set: name a checkout of https://github.com/esp8266/Arduino');
  const file = join(folder, name);
  if (!existsSync(file)) throw new Error(`ARDUINO_CORE_DIR=${folder}: there is no ${name} in it`);
  return file;
}
