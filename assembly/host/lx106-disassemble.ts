/**
 * LX106 instructions as text, for listings and traces. Mnemonics and operands as binutils writes them, so that a listing
 * can be compared with objdump's. Spec chapter 07 §2; what the LX106 does not have is shown as bytes.
 */
import { SPECIAL_REGISTERS } from './lx106-special.ts';

export interface Disassembled {
  /** In bytes: 2 or 3; fewer when the bytes end before. */
  readonly length: number;
  /** Such as `l32i.n`; `.byte` for what is no instruction of the LX106. */
  readonly mnemonic: string;
  /** Such as `a2, a3, 4`; empty when there are none. */
  readonly operands: string;
  /** Where a jump, call or branch leads, or what L32R loads: an address. */
  readonly target?: number;
}

/** Numbers from -255 to 255 in decimal, others in hexadecimal, as binutils does. */
const number = (value: number): string =>
  value > -256 && value < 256 ? `${value}` : `0x${(value >>> 0).toString(16)}`;
const hex = (address: number): string => `0x${(address >>> 0).toString(16)}`;
const signed = (value: number, bits: number): number => (value << (32 - bits)) >> (32 - bits);

const B4CONST = [-1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32, 64, 128, 256];
const B4CONSTU = [32768, 65536, ...B4CONST.slice(2)];

const SPECIAL_NAMES = new Map([...SPECIAL_REGISTERS].map(([name, at]) => [at, name]));

type Text = readonly [mnemonic: string, operands?: string, target?: number];

/** Fields of an instruction word, as in §2.1. */
class Fields {
  constructor(
    readonly w: number,
    readonly pc: number,
  ) {}
  get t() {
    return (this.w >> 4) & 15;
  }
  get s() {
    return (this.w >> 8) & 15;
  }
  get r() {
    return (this.w >> 12) & 15;
  }
  get op1() {
    return (this.w >> 16) & 15;
  }
  get op2() {
    return (this.w >> 20) & 15;
  }
  get n() {
    return (this.w >> 4) & 3;
  }
  get m() {
    return (this.w >> 6) & 3;
  }
  get imm8() {
    return (this.w >> 16) & 255;
  }
  get at() {
    return `a${this.t}`;
  }
  get as() {
    return `a${this.s}`;
  }
  get ar() {
    return `a${this.r}`;
  }
  /** Targets of branches, by the width of the offset. */
  near(bits: 8 | 12 | 18): number {
    return (this.pc + 4 + (signed(this.w, 24) >> (24 - bits))) >>> 0;
  }
}

const jump = (mnemonic: string, target: number, ...operands: string[]): Text => [
  mnemonic,
  [...operands, hex(target)].join(', '),
  target,
];

/**
 * One instruction from its first bytes; `pc` is its address.
 *
 * @example disassemble(Uint8Array.of(0x12, 0xc1, 0xd0), 0x4010f474) // { length: 3, mnemonic: 'addi', operands: 'a1, a1, -48' }
 */
export function disassemble(bytes: Uint8Array, pc: number): Disassembled {
  const op0 = (bytes[0] ?? 0) & 15;
  const length = op0 >= 8 && op0 <= 13 ? 2 : 3;
  const own = bytes.subarray(0, length);
  if (own.length === length) {
    const f = new Fields(own[0]! | (own[1]! << 8) | ((own[2] ?? 0) << 16), pc);
    const text = BY_OP0[op0]?.(f);
    if (text) {
      const [mnemonic, operands = '', target] = text;
      return { length, mnemonic, operands, ...(target === undefined ? {} : { target }) };
    }
  }
  return { length: own.length, mnemonic: '.byte', operands: [...own].map((byte) => hex(byte)).join(', ') };
}

/**
 * A line for each instruction, one after the other from the first byte on.
 *
 * @example listing(code, 0x4010f000) // '4010f474  12c1d0    addi     a1, a1, -48' and so on
 */
export function listing(bytes: Uint8Array, start: number): string[] {
  const lines: string[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const { length, mnemonic, operands } = disassemble(bytes.subarray(offset), start + offset);
    const code = Array.from(bytes.subarray(offset, offset + length), (byte) => byte.toString(16).padStart(2, '0'));
    lines.push(
      `${(start + offset).toString(16)}  ${code.join('').padEnd(8)}  ${mnemonic.padEnd(8)} ${operands}`.trimEnd(),
    );
    offset += length;
  }
  return lines;
}

type Decoder = (f: Fields) => Text | undefined;

const BY_OP0: readonly (Decoder | undefined)[] = [
  qrst,
  (f) => {
    const target = (((f.pc + 3) & ~3) + ((0xffff0000 | (f.w >> 8)) << 2)) >>> 0;
    return jump('l32r', target, f.at);
  },
  lsai,
  undefined,
  undefined,
  (f) => (f.n ? undefined : jump('call0', ((f.pc & ~3) + 4 + ((signed(f.w, 24) >> 6) << 2)) >>> 0)),
  si,
  (f) => {
    const name = COMPARES[f.r]!;
    const bit = f.t | ((f.r & 1) << 4);
    return jump(name, f.near(8), f.as, name.endsWith('i') ? `${bit}` : f.at);
  },
  (f) => ['l32i.n', `${f.at}, ${f.as}, ${4 * f.r}`],
  (f) => ['s32i.n', `${f.at}, ${f.as}, ${4 * f.r}`],
  (f) => ['add.n', `${f.ar}, ${f.as}, ${f.at}`],
  (f) => ['addi.n', `${f.ar}, ${f.as}, ${f.t || -1}`],
  (f) => {
    const imm7 = f.r | ((f.t & 7) << 4);
    if (!(f.w & 0x80)) return ['movi.n', `${f.as}, ${imm7 >= 96 ? imm7 - 128 : imm7}`];
    return jump(f.w & 0x40 ? 'bnez.n' : 'beqz.n', (f.pc + 4 + (imm7 & 63)) >>> 0, f.as);
  },
  (f) => {
    if (f.r === 0) return ['mov.n', `${f.at}, ${f.as}`];
    if (f.r !== 15) return undefined;
    if (f.t === 2) return ['break.n', `${f.s}`];
    return f.s === 0 ? NARROW_PLAIN[f.t] : undefined;
  },
];

const COMPARES = 'bnone beq blt bltu ball bbc bbci bbci bany bne bge bgeu bnall bbs bbsi bbsi'.split(' ');

const NARROW_PLAIN: Readonly<Record<number, Text>> = { 0: ['ret.n'], 3: ['nop.n'], 6: ['ill.n'] };

/** op0 2 by r: mnemonic and the factor of the offset. */
const ACCESSES: Readonly<Record<number, readonly [string, number]>> = {
  0: ['l8ui', 1],
  1: ['l16ui', 2],
  2: ['l32i', 4],
  4: ['s8i', 1],
  5: ['s16i', 2],
  6: ['s32i', 4],
  9: ['l16si', 2],
};

function lsai(f: Fields): Text | undefined {
  const access = ACCESSES[f.r];
  if (access) return [access[0], `${f.at}, ${f.as}, ${number(access[1] * f.imm8)}`];
  switch (f.r) {
    case 10:
      return ['movi', `${f.at}, ${number(signed((f.s << 8) | f.imm8, 12))}`];
    case 12:
      return ['addi', `${f.at}, ${f.as}, ${number(signed(f.imm8, 8))}`];
    case 13:
      return ['addmi', `${f.at}, ${f.as}, ${number(signed(f.imm8, 8) << 8)}`];
    default:
      return undefined;
  }
}

function si(f: Fields): Text | undefined {
  switch (f.n) {
    case 0:
      return jump('j', f.near(18));
    case 1:
      return jump(['beqz', 'bnez', 'bltz', 'bgez'][f.m]!, f.near(12), f.as);
    case 2:
      return jump(['beqi', 'bnei', 'blti', 'bgei'][f.m]!, f.near(8), f.as, number(B4CONST[f.r]!));
    default:
      return f.m < 2 ? undefined : jump(f.m === 2 ? 'bltui' : 'bgeui', f.near(8), f.as, number(B4CONSTU[f.r]!));
  }
}

function qrst(f: Fields): Text | undefined {
  const three = `${f.ar}, ${f.as}, ${f.at}`;
  switch (f.op1) {
    case 0:
      return rst0(f, three);
    case 1:
      return rst1(f, three);
    case 2:
      return f.op2 === 8 ? ['mull', three] : undefined;
    case 3: {
      if (f.op2 >= 8 && f.op2 < 12) return [['moveqz', 'movnez', 'movltz', 'movgez'][f.op2 - 8]!, three];
      return f.op2 === 0 ? special('rsr', f) : f.op2 === 1 ? special('wsr', f) : undefined;
    }
    case 4:
    case 5:
      return ['extui', `${f.ar}, ${f.at}, ${f.s | ((f.op1 & 1) << 4)}, ${f.op2 + 1}`];
    default:
      return undefined;
  }
}

const READ_ONLY = ['configid0', 'configid1', 'debugcause', 'prid'];

/** Special registers go into the mnemonic: `rsr.sar`. */
function special(mnemonic: 'rsr' | 'wsr' | 'xsr', f: Fields): Text | undefined {
  const name = SPECIAL_NAMES.get((f.w >> 8) & 255);
  if (name === undefined || (mnemonic !== 'wsr' && name === 'intclear')) return undefined;
  if (mnemonic !== 'rsr' && READ_ONLY.includes(name)) return undefined;
  return [`${mnemonic}.${mnemonic === 'wsr' && name === 'interrupt' ? 'intset' : name}`, f.at];
}

const ARITHMETIC = ['add', 'addx2', 'addx4', 'addx8', 'sub', 'subx2', 'subx4', 'subx8'];
/** op2 5 by r: access to the region attributes; true: two registers. */
const REGIONS: Readonly<Record<number, readonly [string, boolean]>> = {
  3: ['ritlb0', true],
  4: ['iitlb', false],
  5: ['pitlb', true],
  6: ['witlb', true],
  7: ['ritlb1', true],
  11: ['rdtlb0', true],
  12: ['idtlb', false],
  13: ['pdtlb', true],
  14: ['wdtlb', true],
  15: ['rdtlb1', true],
};

function rst0(f: Fields, three: string): Text | undefined {
  switch (f.op2) {
    case 0:
      return st0(f);
    case 1:
      return ['and', three];
    case 2:
      return ['or', three];
    case 3:
      return ['xor', three];
    case 4:
      return st1(f);
    case 5: {
      const region = REGIONS[f.r];
      return region && [region[0], region[1] ? `${f.at}, ${f.as}` : f.as];
    }
    case 6:
      return f.s > 1 ? undefined : [f.s ? 'abs' : 'neg', `${f.ar}, ${f.at}`];
    case 7:
      return undefined;
    default:
      return [ARITHMETIC[f.op2 - 8]!, three];
  }
}

const SYNC: Readonly<Record<number, string>> = {
  0: 'isync',
  1: 'rsync',
  2: 'esync',
  3: 'dsync',
  8: 'excw',
  12: 'memw',
  13: 'extw',
  15: 'nop',
};

function st0(f: Fields): Text | undefined {
  switch (f.r) {
    case 0:
      if (f.t === 0 && f.s === 0) return ['ill'];
      if (f.t === 8 && f.s === 0) return ['ret'];
      return f.t === 10 ? ['jx', f.as] : f.t === 12 ? ['callx0', f.as] : undefined;
    case 2: {
      const name = SYNC[f.t];
      return f.s === 0 && name ? [name] : undefined;
    }
    case 3:
      if (f.t === 0 && (f.s === 0 || f.s === 2)) return [f.s ? 'rfde' : 'rfe'];
      return f.t === 1 && (f.s === 2 || f.s === 3) ? ['rfi', `${f.s}`] : undefined;
    case 4:
      return ['break', `${f.s}, ${f.t}`];
    case 5:
      return f.s === 0 && f.t === 0 ? ['syscall'] : undefined;
    case 6:
      return ['rsil', `${f.at}, ${f.s}`];
    case 7:
      return f.t === 0 ? ['waiti', `${f.s}`] : undefined;
    default:
      return undefined;
  }
}

function st1(f: Fields): Text | undefined {
  switch (f.r) {
    case 0:
    case 1:
    case 2:
    case 3:
      return f.t === 0 ? [['ssr', 'ssl', 'ssa8l', 'ssa8b'][f.r]!, f.as] : undefined;
    case 4:
      return f.t < 2 ? ['ssai', `${f.s | (f.t << 4)}`] : undefined;
    case 6:
      return ['rer', `${f.at}, ${f.as}`];
    case 7:
      return ['wer', `${f.at}, ${f.as}`];
    case 14:
      return ['nsa', `${f.at}, ${f.as}`];
    case 15:
      return ['nsau', `${f.at}, ${f.as}`];
    default:
      return undefined;
  }
}

function rst1(f: Fields, three: string): Text | undefined {
  switch (f.op2) {
    case 0:
    case 1:
      return ['slli', `${f.ar}, ${f.as}, ${32 - (((f.op2 & 1) << 4) | f.t)}`];
    case 2:
    case 3:
      return ['srai', `${f.ar}, ${f.at}, ${((f.op2 & 1) << 4) | f.s}`];
    case 4:
      return ['srli', `${f.ar}, ${f.at}, ${f.s}`];
    case 6:
      return special('xsr', f);
    case 8:
      return ['src', three];
    case 9:
      return f.s === 0 ? ['srl', `${f.ar}, ${f.at}`] : undefined;
    case 10:
      return f.t === 0 ? ['sll', `${f.ar}, ${f.as}`] : undefined;
    case 11:
      return f.s === 0 ? ['sra', `${f.ar}, ${f.at}`] : undefined;
    case 12:
      return ['mul16u', three];
    case 13:
      return ['mul16s', three];
    default:
      return undefined;
  }
}
