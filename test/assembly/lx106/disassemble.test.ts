/** The disassembler: text as binutils has it, and the same opinion as the core on what is an instruction. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { disassemble, listing } from '../../../assembly/host/lx106-disassemble.ts';
import { createLx106Sync } from '../../../eboot/lx106.ts';
import { program } from './code.ts';
import { vectors } from './vectors.ts';

const EXAMPLES: readonly (readonly [code: string, text: string, pc?: number])[] = [
  // Checked with xtensa-lx106-elf-objdump of binutils 2.40.
  ['12c1d0', 'addi a1, a1, -48'],
  ['92a120', 'movi a9, 0x120'],
  ['0b64', 'addi.n a6, a4, -1'],
  ['7cf2', 'movi.n a2, -1'],
  ['32dd2b', 'addmi a3, a13, 0x2b00'],
  ['31d5ff', 'l32r a3, 0x4010d58c', 0x4010d637],
  ['4506ff', 'call0 0x4010c68c', 0x4010d626],
  ['b68ce2', 'bltui a12, 8, 0x4010d9a4', 0x4010d9be],
  ['8c12', 'beqz.n a2, 0x4010d694', 0x4010d68f],
  ['602074', 'extui a2, a6, 0, 8'],
  ['70f104', 'extui a15, a7, 1, 1'],
  ['e06211', 'slli a6, a2, 2'],
  ['e0e841', 'srli a14, a14, 8'],
  ['77f52d', 'bbsi a5, 23, 0x40100031'],
  ['e6014d', 'bgei a1, -1, 0x40100051'],
  ['f61510', 'bgeui a5, 0x10000, 0x40100014'],
  ['30e603', 'rsr.ps a3'],
  ['30e213', 'wsr.intset a3'],
  ['000000', 'ill'],
  ['0df0', 'ret.n'],
  ['2df4', 'break.n 4'],
  ['f04200', 'break 2, 15'],
  ['76830a', '.byte 0x76, 0x83, 0xa'],
];

test.each(EXAMPLES.map(([code, text, pc]) => [code, text, pc ?? 0x40100000] as const))('%s is %s', (code, text, pc) => {
  const { length, mnemonic, operands } = disassemble(Buffer.from(code, 'hex'), pc);
  expect(`${mnemonic} ${operands}`.trim()).toBe(text);
  expect(length).toBe(code.length / 2);
});

test('every golden vector has its mnemonic', () => {
  for (const [name, cases] of vectors()) {
    for (const vector of cases) {
      const bytes = Buffer.from(vector.i, 'hex');
      const { length, mnemonic } = disassemble(bytes, vector.p);
      expect(length).toBe(bytes.length);
      if (name === 'absent') expect(mnemonic).toBe('.byte');
      else expect(mnemonic.replace(/^([rwx]sr)\..*/, name), vector.i).toBe(name);
    }
  }
});

test('invariant: `.byte` is what the core refuses as illegal, and nothing else is', () => {
  const cpu = createLx106Sync();
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 3, maxLength: 3 }), (bytes) => {
      cpu.reset();
      cpu.writeBytes(0x40100000, bytes);
      cpu.pc = 0x40100000;
      const stop = cpu.step();
      const illegal = stop !== undefined && 'exception' in stop && stop.exception === 0;
      const { mnemonic } = disassemble(bytes, 0x40100000);
      expect(['.byte', 'ill', 'ill.n'].includes(mnemonic)).toBe(illegal);
    }),
    { numRuns: 5000 },
  );
});

test('a listing: address, bytes, mnemonic, operands; what is cut off at the end is bytes', () => {
  const code = program([0x12, 0xc1, 0xd0], [0x0d, 0xf0], [0x0e, 0, 0], [0x0c]);
  expect(listing(code, 0x4010f000)).toEqual([
    '4010f000  12c1d0    addi     a1, a1, -48',
    '4010f003  0df0      ret.n',
    '4010f005  0e0000    .byte    0xe, 0x0, 0x0',
    '4010f008  0c        .byte    0xc',
  ]);
});
