/** Random machine states and code for comparing cores, from a seed: fast-check draws the seed, and a failure prints it. */
import type { Lx106 } from '../../../assembly/host/lx106.ts';
import { vectors } from './vectors.ts';

/** xorshift32: quick, and the same everywhere. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) | 1;
  }

  word(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

const codes = vectors().flatMap(([mnemonic, cases]) =>
  cases.map(({ i }) => ({ mnemonic, bytes: Uint8Array.from(i.match(/../g)!, (byte) => Number.parseInt(byte, 16)) })),
);
const mnemonics = [...new Set(codes.map(({ mnemonic }) => mnemonic))];
const codesOf = new Map(mnemonics.map((mnemonic) => [mnemonic, codes.filter((code) => code.mnemonic === mnemonic)]));

/** Every mnemonic alike, with some bits changed now and then; or else any three bytes. */
export function randomCode(dice: Dice): Uint8Array {
  if (dice.below(4) === 0) return Uint8Array.of(dice.word(), dice.word(), dice.word());
  const code = dice.pick(codesOf.get(dice.pick(mnemonics))!).bytes.slice();
  for (let flips = dice.below(4); flips > 1; flips--) code[dice.below(code.length)]! ^= 1 << dice.below(8);
  return code;
}

/** Ordinary code: what compilers emit most, so that the core's pairs of instructions are met in every combination. */
const ORDINARY = (
  'l32i.n l32i.n s32i.n s32i.n addi addi.n add.n l8ui slli srli ssr srl l32i sub mov.n bnez.n l16ui bgez or add beq srai ' +
  'bnone ssl sll movi.n'
).split(' ');

export function ordinaryCode(dice: Dice): Uint8Array {
  return codeOf(dice, dice.pick(ORDINARY));
}

/** An instruction by mnemonic; `mov` is the wide one. */
export function codeOf(dice: Dice, mnemonic: string): Uint8Array {
  if (mnemonic !== 'mov') return dice.pick(codesOf.get(mnemonic)!).bytes;
  const from = dice.below(16);
  return Uint8Array.of(from << 4, (dice.below(16) << 4) | from, 0x20);
}

const INTERESTING = [
  0, 1, 2, 31, 32, 33, 0x7f, 0x80, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
];
const EDGES = [
  0x00000000, 0x1ffffffc, 0x20000000, 0x3fefffff, 0x3ff00000, 0x3ff1fffc, 0x3ff20000, 0x3ffe7ffc, 0x3ffe8000,
  0x3ffffffc, 0x3fffffff, 0x40000000, 0x4000fffc, 0x40010000, 0x400ffffc, 0x40100000, 0x4010fffc, 0x40110000,
  0x40200000, 0x60000000, 0x600013fc, 0x60001400, 0xfffffffc,
];

export function randomWord(dice: Dice): number {
  switch (dice.below(6)) {
    case 0:
      return dice.pick(INTERESTING);
    case 1:
      return (dice.pick(EDGES) + dice.below(16) - 8) >>> 0;
    case 2:
      return 0x3ffe8000 + (dice.below(0x18000) & ~3);
    case 3:
      return 0x40100000 + dice.below(0x10000);
    case 4:
      return dice.below(64);
    default:
      return dice.word();
  }
}

const SPECIAL = (
  'sar litbase ibreakenable ibreaka0 dbreaka0 dbreakc0 ddr epc1 epc2 epc3 depc eps2 eps3 excsave1 excsave2 excsave3 ' +
  'intenable ps vecbase exccause debugcause ccount prid icount icountlevel excvaddr ccompare0 interrupt'
).split(' ');

/** The same random registers and special registers in every core; RAM and pc are left alone. */
export function randomState(dice: Dice, cores: readonly Lx106[]): void {
  const registers = Array.from({ length: 16 }, () => randomWord(dice));
  const special = SPECIAL.map((name) => [name, randomWord(dice)] as const);
  const ps = dice.pick([0x20, 0x20, 0x20, 0x00, 0x30, 0x2f, 0x21, 0x22, 0x3f]);
  const interrupts = dice.below(4) === 0;
  for (const core of cores) {
    core.registers.set(registers);
    for (const [name, value] of special) core.special.set(name, value);
    core.special.set('ps', ps);
    core.special.set('sar', special[0]![1] % 33);
    if (!interrupts) core.special.set('interrupt', 0);
  }
}

/** Everything that can be seen of a core but RAM. */
export function seen(core: Lx106): Record<string, unknown> {
  return {
    pc: core.pc.toString(16),
    registers: [...core.registers].map((value) => value.toString(16)),
    ...Object.fromEntries([...SPECIAL, 'configid0', 'configid1'].map((name) => [name, core.special.get(name)])),
    steps: core.steps,
  };
}

/** RAM as one buffer. */
export function ram(core: Lx106): Buffer {
  const { dram, iram } = core.snapshot();
  return Buffer.concat([dram, iram]);
}

/** Devices that answer from the address and remember what they were told, so that two cores see the same. */
export function recordingDevices() {
  const log: string[] = [];
  return {
    log,
    load(address: number, size: number): number {
      log.push(`load ${address.toString(16)} ${size}`);
      return (Math.imul(address, 2654435761) >>> 0) & (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff);
    },
    store(address: number, value: number, size: number): boolean {
      log.push(`store ${address.toString(16)} ${value.toString(16)} ${size}`);
      return true;
    },
  };
}
