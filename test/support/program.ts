/** Programs of Debian's packages that tests drive. */
import { existsSync } from 'node:fs';

/** @throws Error with the name of the Debian package when the program is missing */
export function program(path: string, debianPackage: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing: install the Debian package ${debianPackage}`);
  return path;
}
