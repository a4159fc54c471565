/**
 * Registers as debuggers number them.
 *
 * Numbers 0 to 21 are those of GDBs built for the LX106: a0 to a15, pc, sar, litbase, sr176, sr208, ps. Debian's
 * gdb-multiarch (13.1) has no Xtensa at all, so there is no built-in layout to meet. It gets a description that names an
 * architecture which it does have and which fits in what matters: words of 32 bits, little-endian, instructions at any
 * address, steps that the target takes. That is i386, with the LX106's registers as extra ones under their own names;
 * `$pc` and `$sp` are right (esp is a1, eip is pc), and i386's others read 0. What it cannot do is disassemble or unwind.
 */

/** Of the first 22 numbers: `aN`, `pc`, or the name of a special register. */
export const LX106_REGISTERS: readonly string[] = [
  ...Array.from({ length: 16 }, (_, index) => `a${index}`),
  ...['pc', 'sar', 'litbase', 'configid0', 'configid1', 'ps'],
];
/** Further ones, for the description only. */
const MORE = ['epc1', 'exccause', 'excvaddr', 'intenable', 'ccount'];
const OWN = [...LX106_REGISTERS, ...MORE];
const I386 = [
  'eax',
  'ecx',
  'edx',
  'ebx',
  'esp',
  'ebp',
  'esi',
  'edi',
  'eip',
  'eflags',
  'cs',
  'ss',
  'ds',
  'es',
  'fs',
  'gs',
];
const I387_STACK = Array.from({ length: 8 }, (_, index) => `st${index}`);
const I387 = ['fctrl', 'fstat', 'ftag', 'fiseg', 'fioff', 'foseg', 'fooff', 'fop'];

/** Register by number; 'zero' stands for what only the description needs. The floating point ones behind are never sent. */
export const REGISTER_NAMES: readonly string[] = [
  ...OWN,
  ...I386.map((name) => (name === 'esp' ? 'a1' : name === 'eip' ? 'pc' : 'zero')),
];

/** The answer to `qXfer:features:read:target.xml`. */
export function targetDescription(): string {
  let number = 0;
  const register = (name: string, type = 'int', bits = 32): string =>
    `<reg name="${name}" bitsize="${bits}" regnum="${number++}" type="${type}"/>`;
  const pointers: Record<string, string> = { esp: 'data_ptr', eip: 'code_ptr' };
  // `pc` is taken: GDB has it of itself, as another name of eip.
  const own = OWN.map((name) => register(name === 'pc' ? 'lx_pc' : name));
  const core = [
    ...I386.map((name) => register(name, pointers[name])),
    ...I387_STACK.map((name) => register(name, 'i387_ext', 80)),
    ...I387.map((name) => register(name)),
  ];
  return [
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">',
    '<architecture>i386</architecture>',
    `<feature name="org.gnu.gdb.i386.core">${core.join('')}</feature>`,
    `<feature name="org.esp8266.lx106">${own.join('')}</feature>`,
    '</target>',
  ].join('');
}
