/** Compiles assembly/index.ts to assembly/build/kernels.wasm with the options of assembly/asconfig.json. */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
await mkdir('assembly/build', { recursive: true });
const target = process.argv.includes('--debug') ? 'debug' : 'release';
const { error } = await asc.main(['assembly/index.ts', '--config', 'assembly/asconfig.json', '--target', target], {
  stdout: process.stdout,
  stderr: process.stderr,
});
if (error) {
  console.error(`build-wasm: ${error.message}`);
  process.exit(1);
}
