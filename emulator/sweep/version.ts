/** The version of this program, as its package.json has it. */
import { existsSync, readFileSync } from 'node:fs';

const NAME = 'esp8266-ota-emulator';
/** From emulator/sweep, and from dist/emulator/sweep or the bundle beside it. */
const PLACES = ['../../package.json', '../../../package.json'];

let known: string | undefined;

export function programVersion(): string {
  known ??= PLACES.map(versionAt).find((version) => version !== undefined) ?? 'unknown';
  return known;
}

function versionAt(place: string): string | undefined {
  const url = new URL(place, import.meta.url);
  if (!existsSync(url)) return undefined;
  const { name, version } = JSON.parse(readFileSync(url, 'utf8')) as { name?: string; version?: string };
  return name === NAME ? version : undefined;
}
