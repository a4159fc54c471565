/** Compiles the TypeScript to dist/ from scratch, puts the WASM module beside its loader and marks the command executable. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
rmSync('dist', { recursive: true, force: true });
mkdirSync('dist/assembly/build', { recursive: true });
copyFileSync('assembly/build/kernels.wasm', 'dist/assembly/build/kernels.wasm');
const { status } = spawnSync(process.execPath, [join(dirname(manifest), 'bin', 'tsc'), '-p', 'tsconfig.json'], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
chmodSync('dist/emulator/cli/main.js', 0o755);
