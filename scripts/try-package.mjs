/**
 * Packs the project, installs the tarball in an empty project and runs what a user of the package would: the command
 * `vesp`, and an import of the library.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vesp-package-'));
const run = (command, args, cwd) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

try {
  const [{ filename }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root),
  );
  writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n');
  run('npm', ['install', '--no-audit', '--no-fund', '--omit=dev', `./${filename}`], folder);
  const image = join(folder, 'hello.bin');
  run(
    'npx',
    [
      '--no-install',
      'vesp',
      'image',
      'build',
      '--out',
      image,
      '--sketch',
      'blank',
      '--version',
      '1',
      '--size',
      '65536',
      '--layout',
      '4m2m',
    ],
    folder,
  );
  const info = JSON.parse(run('npx', ['--no-install', 'vesp', 'image', 'info', image, '--json'], folder));
  if (!info) throw new Error('image info printed nothing');
  writeFileSync(
    join(folder, 'boot.mjs'),
    `import { createDevice } from 'esp8266-ota-emulator';
const device = await createDevice({ image: 'hello.bin', clock: 'virtual' });
const { state } = await device.powerOn();
await device.close();
if (state !== 'running') throw new Error('state is ' + state);
console.log('library: ' + state);
`,
  );
  console.log(run('node', ['boot.mjs'], folder).trim());
  console.log(`package ${filename}: installs, the command and the library work`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
