/** What an entry of decoded instructions asks for: the numbers of the handlers in `run.ts`, without gaps. */
export namespace Op {
  /** Zero means that nothing is decoded here. */
  export const UNDECODED: u8 = 0;
  /** A breakpoint; and what `execute.ts` does. */
  export const BREAKPOINT: u8 = 1;
  export const COLD: u8 = 2;
  /** r <- s op t. */
  export const ADD: u8 = 3;
  export const ADD_N: u8 = 4;
  export const ADDX2: u8 = 5;
  export const ADDX4: u8 = 6;
  export const ADDX8: u8 = 7;
  export const SUB: u8 = 8;
  export const SUBX2: u8 = 9;
  export const SUBX4: u8 = 10;
  export const SUBX8: u8 = 11;
  export const AND: u8 = 12;
  export const OR: u8 = 13;
  export const XOR: u8 = 14;
  export const MULL: u8 = 15;
  export const MUL16U: u8 = 16;
  export const MUL16S: u8 = 17;
  export const SRC: u8 = 18;
  /** r <- op t, or op s. */
  export const NEG: u8 = 19;
  export const ABS: u8 = 20;
  export const SRL: u8 = 21;
  export const SRA: u8 = 22;
  export const SLL: u8 = 23;
  export const MOV: u8 = 24;
  export const MOV_N: u8 = 25;
  export const NSA: u8 = 26;
  export const NSAU: u8 = 27;
  /** r <- t or s shifted by the byte of s or t; EXTUI: the mask is the constant. */
  export const SLLI: u8 = 28;
  export const SRAI: u8 = 29;
  export const SRLI: u8 = 30;
  export const EXTUI: u8 = 31;
  /** SAR. */
  export const SSR: u8 = 32;
  export const SSL: u8 = 33;
  export const SSAI: u8 = 34;
  /** r <- constant; r <- word at the constant address; r <- s + constant. */
  export const MOVI: u8 = 35;
  export const MOVI_N: u8 = 36;
  export const L32R: u8 = 37;
  export const ADDI: u8 = 38;
  export const ADDI_N: u8 = 39;
  /** r <- s if t. */
  export const MOVEQZ: u8 = 40;
  export const MOVNEZ: u8 = 41;
  export const MOVLTZ: u8 = 42;
  export const MOVGEZ: u8 = 43;
  /** Nothing. */
  export const NOP: u8 = 44;
  export const NOP_N: u8 = 45;
  /** r <- memory at s + constant; memory at s + constant <- r. The constant is reckoned from the start of the DRAM. */
  export const L8UI: u8 = 46;
  export const L16UI: u8 = 47;
  export const L16SI: u8 = 48;
  export const L32I: u8 = 49;
  export const L32I_N: u8 = 50;
  export const S8I: u8 = 51;
  export const S16I: u8 = 52;
  export const S32I: u8 = 53;
  export const S32I_N: u8 = 54;
  /** Branches: s against t, to the entry at the constant. */
  export const BEQ: u8 = 55;
  export const BNE: u8 = 56;
  export const BLT: u8 = 57;
  export const BGE: u8 = 58;
  export const BLTU: u8 = 59;
  export const BGEU: u8 = 60;
  export const BANY: u8 = 61;
  export const BNONE: u8 = 62;
  export const BALL: u8 = 63;
  export const BNALL: u8 = 64;
  export const BBC: u8 = 65;
  export const BBS: u8 = 66;
  export const BBCI: u8 = 67;
  export const BBSI: u8 = 68;
  export const BEQZ: u8 = 69;
  export const BNEZ: u8 = 70;
  export const BLTZ: u8 = 71;
  export const BGEZ: u8 = 72;
  export const BEQZ_N: u8 = 73;
  export const BNEZ_N: u8 = 74;
  /** Jumps: to the entry at the constant, or to the address in s. */
  export const J: u8 = 75;
  export const CALL0: u8 = 76;
  export const JX: u8 = 77;
  export const CALLX0: u8 = 78;
  export const RET: u8 = 79;
  export const RET_N: u8 = 80;
  /** Two instructions in one entry, see `fuse.ts`. The second takes its operands from its own entry. */
  export const L32I_N__L32I_N: u8 = 81;
  export const S32I_N__S32I_N: u8 = 82;
  export const L32I_N__ADDI: u8 = 83;
  export const ADDI_N__S32I_N: u8 = 84;
  export const L8UI__ADD_N: u8 = 85;
  export const SLLI__ADD_N: u8 = 86;
  export const ADDI_N__ADD_N: u8 = 87;
  export const SRLI__S32I_N: u8 = 88;
  export const SSR__SRL: u8 = 89;
  export const L32I__SUB: u8 = 90;
  export const MOV_N__BNEZ_N: u8 = 91;
  export const L16UI__SLLI: u8 = 92;
  export const SUB__BGEZ: u8 = 93;
  export const MOV__ADD: u8 = 94;
  export const ADD_N__BEQ: u8 = 95;
  export const SRAI__SRAI: u8 = 96;
  export const SUB__BNONE: u8 = 97;
  export const SSL__SLL: u8 = 98;
}
