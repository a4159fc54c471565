/** `npm run test:core -- DIR`: the opt-in tests that need a checkout of the Arduino core (its tools/ and eboot.elf). */
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
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'core', ...rest], {
  stdio: 'inherit',
  env: { ...process.env, ARDUINO_CORE_DIR: resolve(folder) },
});
process.exit(status ?? 1);
