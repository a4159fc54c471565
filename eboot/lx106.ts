/** The LX106 core alone, as the package exports it under `./lx106`. Spec chapter 07. */
import type { Lx106, Lx106Options } from '../assembly/host/lx106.ts';
import { wasmLx106 } from '../assembly/host/lx106-wasm.ts';

export type { Lx106, Lx106Devices, Lx106Options, Lx106State, StopReason } from '../assembly/host/lx106.ts';
export { type Disassembled, disassemble, listing } from '../assembly/host/lx106-disassemble.ts';

/**
 * A core, ready at once.
 *
 * @example
 * const cpu = createLx106Sync();
 * cpu.writeBytes(0x40100000, Uint8Array.of(0x0c, 0x72)); // movi.n a2, 7
 * cpu.pc = 0x40100000;
 * cpu.step();
 * cpu.registers[2]; // 7
 */
export function createLx106Sync(options: Lx106Options = {}): Lx106 {
  return wasmLx106(options);
}

/** As {@link createLx106Sync}; a promise, so that loading the module may become asynchronous. */
export async function createLx106(options: Lx106Options = {}): Promise<Lx106> {
  return createLx106Sync(options);
}
