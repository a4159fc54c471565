/** The export list of the LX106 module: verbs and memory locations, nothing else. */
export { CORE, CORE_BYTES, DRAM, END, IRAM, PC, REGISTERS, REPORTED, STEPS, TRANSFER, WAITING } from './layout';
export {
  changed,
  getSpecial,
  prepare,
  resetChip,
  resetZero,
  restoreIram,
  setBreakpoint,
  setLine,
  setSpecialFromHost,
} from './machine';
export { run, step } from './run';
