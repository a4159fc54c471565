/**
 * Compiles AssemblyScript to WASM with the options of assembly/asconfig.json: assembly/index.ts to
 * assembly/build/kernels.wasm, and assembly/lx106/index.ts to assembly/build/lx106.wasm.
 */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
await mkdir('assembly/build', { recursive: true });
const target = process.argv.includes('--debug') ? 'debug' : 'release';
const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice('--only='.length);

/** Module by entry file; later options win over those of the configuration. */
const modules = {
  kernels: ['assembly/index.ts'],
  lx106: ['assembly/lx106/index.ts', '--outFile', 'assembly/build/lx106.wasm'],
};
for (const [name, what] of Object.entries(modules)) {
  if (only && only !== name) continue;
  const { error } = await asc.main([...what, '--config', 'assembly/asconfig.json', '--target', target], {
    stdout: process.stdout,
    stderr: process.stderr,
  });
  if (error) {
    console.error(`build-wasm: ${name}: ${error.message}`);
    process.exit(1);
  }
}
