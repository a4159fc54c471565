/** The files of the live page. Their list is fixed when the server starts: no path of a request reaches the file system. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Asset {
  readonly type: string;
  readonly body: Uint8Array;
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Next to this file's folder in the source tree, in dist/, and seen from the bundled command line. */
const FOLDER = new URL('../control/page/', import.meta.url);

let loaded: ReadonlyMap<string, Asset> | undefined;

/** By path, `/` being the page itself. Read once. */
export function pageAssets(): ReadonlyMap<string, Asset> {
  loaded ??= readAssets(fileURLToPath(FOLDER));
  return loaded;
}

function readAssets(folder: string): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const type = TYPES[name.slice(name.lastIndexOf('.') + 1)];
    if (type === undefined) continue;
    const path = name.replaceAll('\\', '/');
    assets.set(path === 'index.html' ? '/' : `/${path}`, { type, body: readFileSync(`${folder}${name}`) });
  }
  return assets;
}
