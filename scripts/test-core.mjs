/**
 * `npm run test:core -- DIR [FILE...]`: the opt-in tests that need a checkout of the Arduino core (its tools/ and
 * eboot.elf). Each FILE is a firmware image (.bin) or another release's eboot.elf, whose bootloader is then executed too.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder = process.env.ARDUINO_CORE_DIR, ...rest] = process.argv.slice(2);
if (folder === undefined || !existsSync(join(folder, 'tools', 'espota.py'))) {
  console.error(
    folder === undefined
      ? 'test:core: say where the core is: npm run test:core -- DIR (a checkout of esp8266/Arduino)'
      : `test:core: ${folder} is no checkout of esp8266/Arduino: it has no tools/espota.py`,
  );
  process.exit(2);
}
const isImage = (argument) => /\.(bin|elf)$/.test(argument) && existsSync(argument);
const images = rest.filter(isImage).map((file) => resolve(file));
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--project', 'core', ...rest.filter((argument) => !isImage(argument))],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      ARDUINO_CORE_DIR: resolve(folder),
      ...(images.length > 0 ? { ESP8266_IMAGES: images.join(':') } : {}),
    },
  },
);
process.exit(status ?? 1);
