/**
 * Debian's xtensa-lx106-elf-objdump (binutils-xtensa-lx106) as a second opinion on what is an instruction of the LX106 and
 * how its fields are read. Its tables are those of this very core, but it also decodes what the core does not execute:
 * the differences that are known and wanted are in `KNOWN`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { disassemble } from '../../assembly/host/lx106-disassemble.ts';
import { Dice } from '../assembly/lx106/random.ts';

const OBJDUMP = 'xtensa-lx106-elf-objdump';

/** What objdump makes of raw bytes: text by address. */
function objdump(bytes: Uint8Array, start: number): Map<number, string> {
  const folder = mkdtempSync(join(tmpdir(), 'objdump-'));
  const file = join(folder, 'code.bin');
  writeFileSync(file, bytes);
  let output: string;
  try {
    const options = ['-D', '-b', 'binary', '-m', 'xtensa', `--adjust-vma=0x${start.toString(16)}`, file];
    output = execFileSync(OBJDUMP, options, { encoding: 'latin1', maxBuffer: 1e9 });
  } catch (error) {
    throw new Error(`${OBJDUMP} is needed: apt-get install binutils-xtensa-lx106 (${error})`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const lines = output.matchAll(/^\s*([0-9a-f]+):\t([0-9a-f ]+)\t(.*)$/gm);
  return new Map(
    // L32R comes with the word it loads, in brackets.
    [...lines].map(([, address, , text]) => [
      Number.parseInt(address!, 16),
      text!
        .replace(/ \(.*\)$/, '')
        .replace(/\s+/, ' ')
        .trim(),
    ]),
  );
}

/** objdump writes what it cannot decode as `.byte`, or as `excw` without the bytes of one. */
const EXCW = '802000';
const isUnknown = (text: string, code: string) => text.startsWith('.byte') || (text === 'excw' && code !== EXCW);

/** What objdump says (a pattern), what we say, and why that is right. */
const KNOWN: readonly (readonly [objdump: RegExp, ours: RegExp, why: string])[] = [
  [/^ret(\.n)?$/, /^\.byte/, 'it ignores field s, which chapter 07 §2 fixes at 0'],
  [/^rfi \d+$/, /^\.byte/, 'levels without EPC and EPS'],
  [/^rfdo \d+$/, /^\.byte/, 'return from the on-chip debugger, which is not modelled'],
  [/^[wx]sr\.(176|208|prid|debugcause)/, /^\.byte/, 'read-only registers'],
  [/^rsr\.(176|208) (.*)/, /^rsr\.configid[01] /, 'it has no name for them'],
  [/^simcall/, /^\.byte/, 'a call to a simulator'],
  [/^(rer|wer)$/, /^(rer|wer) a\d+, a\d+$/, 'it shows no operands of external registers'],
  [/^(wsr|xsr|rsr)\.\S+/, /^\.byte/, 'special registers of options that chapter 07 §1 does not list'],
  [/^(\.byte|excw)/, /^xsr\.interrupt/, 'reads INTERRUPT and sets INTSET here'],
  [/^(\.byte|excw)/, /^(iitlb|idtlb)/, 'no effect with any field t'],
];

function compare(bytes: Uint8Array, start: number, addresses: Iterable<number>) {
  const theirs = objdump(bytes, start);
  let compared = 0;
  const different: string[] = [];
  for (const address of addresses) {
    const text = theirs.get(address);
    if (text === undefined) continue;
    compared++;
    const { length, mnemonic, operands } = disassemble(bytes.subarray(address - start), address);
    const ours = `${mnemonic} ${operands}`.trim();
    const code = Buffer.from(bytes.subarray(address - start, address - start + length)).toString('hex');
    if (ours === text || (mnemonic === '.byte' && isUnknown(text, code))) continue;
    if (KNOWN.some(([pattern, wanted]) => pattern.test(text) && wanted.test(ours))) continue;
    different.push(`${code} at 0x${address.toString(16)}: objdump "${text}", ours "${ours}"`);
  }
  return { compared, different };
}

/** Eight bytes with the instruction first, and then ones that bring objdump back in step. */
function slot(w: number): number[] {
  const op0 = w & 15;
  const nopN = [0x3d, 0xf0];
  const narrow = op0 >= 8 && op0 <= 13;
  return narrow
    ? [w & 255, (w >> 8) & 255, ...nopN, ...nopN, ...nopN]
    : [w & 255, (w >> 8) & 255, (w >> 16) & 255, ...nopN, 0xf0, 0x20, 0x00];
}

describe('xtensa-lx106-elf-objdump and we agree', () => {
  const dice = new Dice(20_240_607);
  const kinds: readonly (readonly [string, () => number])[] = [
    ['any bytes', () => dice.word() & 0xffffff],
    ['op0 0, all fields', () => dice.word() & 0xfffff0],
    [
      'op0 0, op1 0 with small fields',
      () => (dice.below(16) << 20) | (dice.below(8) << 12) | (dice.below(3) << 8) | (dice.below(16) << 4),
    ],
    ['special registers', () => (dice.pick([0x03, 0x13, 0x61]) << 16) | (dice.below(256) << 8) | (dice.below(16) << 4)],
    ['loads, stores, constants', () => (dice.word() & 0xfffff0) | 2],
    ['branches', () => (dice.word() & 0xfffff0) | dice.pick([5, 6, 7])],
    ['narrow', () => (dice.word() & 0xfff0) | (8 + dice.below(6))],
  ];
  test.each(kinds)('%s', (_, draw) => {
    const start = 0x40100000 + 4 * dice.below(1000) + dice.below(4);
    const bytes = Uint8Array.from(Array.from({ length: 8000 }, () => slot(draw())).flat());
    const { compared, different } = compare(
      bytes,
      start,
      Array.from({ length: 8000 }, (_, k) => start + 8 * k),
    );
    expect(different).toEqual([]);
    expect(compared).toBeGreaterThan(5000);
  });

  test('the flasher stub that esptool-js uploads, instruction by instruction', () => {
    const file = createRequire(import.meta.url).resolve('esptool-js/package.json');
    const stub = JSON.parse(readFileSync(join(file, '../lib/targets/stub_flasher/esp8266.json'), 'utf8')) as {
      text: string;
      text_start: number;
    };
    const bytes = Buffer.from(stub.text, 'base64');
    const addresses = Array.from(bytes, (_, offset) => stub.text_start + offset);
    const { compared, different } = compare(bytes, stub.text_start, addresses);
    expect(different).toEqual([]);
    expect(compared).toBeGreaterThan(3000);
  });
});
