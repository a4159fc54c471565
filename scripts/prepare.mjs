/**
 * `npm ci` runs this: it builds the WASM kernels and the JavaScript. Without the dev dependencies
 * (`npm ci --omit=dev`) there is no compiler, and a checkout keeps whatever `dist/` it already has.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const has = (name) => {
  try {
    require.resolve(`${name}/package.json`);
    return true;
  } catch {
    return false;
  }
};

if (!has('assemblyscript') || !has('typescript') || !has('rolldown')) {
  const built = existsSync(fileURLToPath(new URL('../dist/emulator/vesp/main.js', import.meta.url)));
  console.log(
    built
      ? 'prepare: no compilers installed (omit=dev); keeping the dist/ that is here'
      : 'prepare: no compilers installed (omit=dev) and no dist/ yet; run "npm ci" once to build it',
  );
} else {
  await import('./build-wasm.mjs');
  await import('./build-ts.mjs');
}
