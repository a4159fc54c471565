/**
 * How the core tells of a fatal exception: the post-mortem text, then a reset with reason `Exception`.
 * Source: the core's public documentation ("My ESP crashes"); spec chapter 03 §12.1. The registers are ours: nothing
 * executes here, so epc1 is the application's entry and the stack dump is left out.
 */

const CUT_LINE = '--------------- CUT HERE FOR EXCEPTION DECODER ---------------';
const hex8 = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;

/** EXCCAUSE values and their names. Source: Xtensa ISA; spec chapter 07 §3. */
export const EXCEPTIONS: Readonly<Record<number, string>> = {
  0: 'IllegalInstruction',
  2: 'InstructionFetchError',
  3: 'LoadStoreError',
  6: 'IntegerDivideByZero',
  9: 'LoadStoreAlignment',
  28: 'LoadProhibited',
  29: 'StoreProhibited',
};

/** The text on the serial line. */
export function postMortem(cause: number, epc1: number, excvaddr = 0): string {
  return [
    '',
    CUT_LINE,
    '',
    `Exception (${cause}):`,
    `epc1=${hex8(epc1)} epc2=${hex8(0)} epc3=${hex8(0)} excvaddr=${hex8(excvaddr)} depc=${hex8(0)}`,
    '',
    '>>>stack>>>',
    '<<<stack<<<',
    '',
    CUT_LINE,
    '',
  ].join('\r\n');
}
