/** Special registers of the LX106 by name. Spec chapter 07 §1. */

/** Number of each, as in RSR, WSR and XSR. */
export const SPECIAL_REGISTERS: ReadonlyMap<string, number> = new Map([
  ['sar', 3],
  ['litbase', 5],
  ['ibreakenable', 96],
  ['ddr', 104],
  ['ibreaka0', 128],
  ['dbreaka0', 144],
  ['dbreakc0', 160],
  ['configid0', 176],
  ['epc1', 177],
  ['epc2', 178],
  ['epc3', 179],
  ['depc', 192],
  ['eps2', 194],
  ['eps3', 195],
  ['configid1', 208],
  ['excsave1', 209],
  ['excsave2', 210],
  ['excsave3', 211],
  ['interrupt', 226],
  ['intclear', 227],
  ['intenable', 228],
  ['ps', 230],
  ['vecbase', 231],
  ['exccause', 232],
  ['debugcause', 233],
  ['ccount', 234],
  ['prid', 235],
  ['icount', 236],
  ['icountlevel', 237],
  ['excvaddr', 238],
  ['ccompare0', 240],
]);

/** The number of a special register; RangeError for other names. */
export function specialNumber(name: string): number {
  const number = SPECIAL_REGISTERS.get(name);
  if (number === undefined) {
    throw new RangeError(`no special register "${name}"; there are ${[...SPECIAL_REGISTERS.keys()].join(', ')}`);
  }
  return number;
}
