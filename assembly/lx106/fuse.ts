/**
 * Pairs of instructions that one handler of `run.ts` executes: each saves going through the switch once. Chosen by
 * counting what follows what in eboot's inflate routine and in that of the flasher stub: one time in three and in five,
 * respectively, the next instruction comes for free.
 */
import { Op } from './ops';

/** The handler for `first` and then `second`; 0 when there is none. */
export function fuse(first: u8, second: u8): u8 {
  switch (first) {
    case Op.L32I_N:
      if (second == Op.L32I_N) return Op.L32I_N__L32I_N;
      if (second == Op.ADDI) return Op.L32I_N__ADDI;
      break;
    case Op.S32I_N:
      if (second == Op.S32I_N) return Op.S32I_N__S32I_N;
      break;
    case Op.ADDI_N:
      if (second == Op.S32I_N) return Op.ADDI_N__S32I_N;
      if (second == Op.ADD_N) return Op.ADDI_N__ADD_N;
      break;
    case Op.L8UI:
      if (second == Op.ADD_N) return Op.L8UI__ADD_N;
      break;
    case Op.SLLI:
      if (second == Op.ADD_N) return Op.SLLI__ADD_N;
      break;
    case Op.SRLI:
      if (second == Op.S32I_N) return Op.SRLI__S32I_N;
      break;
    case Op.SSR:
      if (second == Op.SRL) return Op.SSR__SRL;
      break;
    case Op.L32I:
      if (second == Op.SUB) return Op.L32I__SUB;
      break;
    case Op.MOV_N:
      if (second == Op.BNEZ_N) return Op.MOV_N__BNEZ_N;
      break;
    case Op.L16UI:
      if (second == Op.SLLI) return Op.L16UI__SLLI;
      break;
    case Op.SUB:
      if (second == Op.BGEZ) return Op.SUB__BGEZ;
      if (second == Op.BNONE) return Op.SUB__BNONE;
      break;
    case Op.MOV:
      if (second == Op.ADD) return Op.MOV__ADD;
      break;
    case Op.ADD_N:
      if (second == Op.BEQ) return Op.ADD_N__BEQ;
      break;
    case Op.SRAI:
      if (second == Op.SRAI) return Op.SRAI__SRAI;
      break;
    case Op.SSL:
      if (second == Op.SLL) return Op.SSL__SLL;
      break;
  }
  return 0;
}

/** The handler of the first instruction alone; other handlers are given back as they are. */
export function firstOf(handler: u8): u8 {
  switch (handler) {
    case Op.L32I_N__L32I_N:
    case Op.L32I_N__ADDI:
      return Op.L32I_N;
    case Op.S32I_N__S32I_N:
      return Op.S32I_N;
    case Op.ADDI_N__S32I_N:
    case Op.ADDI_N__ADD_N:
      return Op.ADDI_N;
    case Op.L8UI__ADD_N:
      return Op.L8UI;
    case Op.SLLI__ADD_N:
      return Op.SLLI;
    case Op.SRLI__S32I_N:
      return Op.SRLI;
    case Op.SSR__SRL:
      return Op.SSR;
    case Op.L32I__SUB:
      return Op.L32I;
    case Op.MOV_N__BNEZ_N:
      return Op.MOV_N;
    case Op.L16UI__SLLI:
      return Op.L16UI;
    case Op.SUB__BGEZ:
    case Op.SUB__BNONE:
      return Op.SUB;
    case Op.MOV__ADD:
      return Op.MOV;
    case Op.ADD_N__BEQ:
      return Op.ADD_N;
    case Op.SRAI__SRAI:
      return Op.SRAI;
    case Op.SSL__SLL:
      return Op.SSL;
  }
  return handler;
}
