/**
 * Loops that cannot end by themselves: a state that comes back exactly, with nothing done in between that reaches outside.
 * A bootloader ends in one after its reset (a jump to itself); a flasher stub waits in one for its host. Source: spec
 * chapter 07 §7.
 */
import type { Lx106 } from '../../assembly/host/lx106.ts';

/** No longer loop is looked for. */
const LONGEST = 1000;
/** How often registers may come back while memory still changes. */
const TRIES = 4;
/** What else decides how code goes on; CCOUNT, which always changes, is read by no loop that this finds. */
const SPECIAL = ['sar', 'ps', 'intenable', 'interrupt', 'excsave1', 'epc1', 'vecbase'];

/**
 * True when the core is in such a loop. It has executed some more instructions then, none that was a trap.
 *
 * @param activity counts what reaches outside: device stores, received bytes that were read
 */
export function goesRound(cpu: Lx106, activity: () => number): boolean {
  const before = cpu.snapshot();
  const { pc } = cpu;
  const registers = cpu.registers.slice();
  const special = SPECIAL.map((name) => cpu.special.get(name));
  const active = activity();
  let tries = 0;
  for (let count = 0; count < LONGEST && tries < TRIES; count++) {
    if (readsCycles(cpu)) return false;
    const { steps } = cpu;
    if (cpu.step() !== undefined) {
      // An exception or a WAITI is the business of whoever runs the core.
      cpu.restore(before);
      return false;
    }
    if (cpu.steps === steps || activity() !== active) return false;
    if (cpu.pc !== pc || !cpu.registers.every((value, index) => value === registers[index])) continue;
    tries++;
    const after = cpu.snapshot();
    const same = equal(before.dram, after.dram) && equal(before.iram, after.iram);
    if (same && SPECIAL.every((name, index) => cpu.special.get(name) === special[index])) return true;
  }
  return false;
}

/** The coming instruction is RSR.CCOUNT: a loop with it waits for time to pass. */
function readsCycles(cpu: Lx106): boolean {
  const { pc } = cpu;
  if (pc < 0x40100000 || pc > 0x4010fffd) return false;
  return cpu.readByte(pc + 2) === 0x03 && cpu.readByte(pc + 1) === 234 && (cpu.readByte(pc) & 15) === 0;
}

function equal(left: Uint8Array, right: Uint8Array): boolean {
  const words = (bytes: Uint8Array): Uint32Array => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const a = words(left);
  const b = words(right);
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
