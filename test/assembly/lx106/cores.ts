/** For `describe.each`: what the chapter says holds for the WASM core and for its oracle. */
import { expect } from 'vitest';
import type { Lx106, Lx106Options } from '../../../assembly/host/lx106.ts';
import { referenceLx106 } from '../../../assembly/host/lx106-reference.ts';
import { createLx106Sync } from '../../../eboot/lx106.ts';

export const implementations = [
  ['WASM', createLx106Sync],
  ['TypeScript', referenceLx106],
] as const satisfies readonly (readonly [string, (options?: Lx106Options) => Lx106])[];

/** Where tests put code, and data. */
export const CODE = 0x40100100;
export const DATA = 0x3ffe8000;

/** A core as an application finds it, about to execute `code`. */
export function load(cpu: Lx106, code: Uint8Array, at = CODE): Lx106 {
  cpu.reset();
  cpu.special.set('ps', 0x20);
  cpu.special.set('vecbase', 0x40000000);
  cpu.writeBytes(at, code);
  cpu.pc = at;
  return cpu;
}

export function expectSpecial(cpu: Lx106, expected: Record<string, number>): void {
  expect(Object.fromEntries(Object.keys(expected).map((name) => [name, cpu.special.get(name)]))).toEqual(expected);
}
