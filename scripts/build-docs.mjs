/** Builds the documentation site from docs/ and the doc comments into site/. Its generator has a package.json of its own. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const home = fileURLToPath(new URL('../docs/site/', import.meta.url));
const run = (command, args) => {
  const { status } = spawnSync(command, args, { cwd: home, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) process.exit(status ?? 1);
};
if (!existsSync(`${home}node_modules`)) run('npm', ['ci', '--no-audit', '--no-fund']);
run(process.execPath, ['node_modules/typedoc/bin/typedoc', ...process.argv.slice(2)]);
