/** `vesp trace`: the listing of a boot. */
import { expect, test } from 'vitest';
import { referenceKernels } from '../../../assembly/host/reference.ts';
import { ACTION_COPY_RAW, encodeCommand } from '../../../eboot/command.ts';
import { ROM_FUNCTIONS as rom } from '../../../eboot/native/rom-entries.ts';
import { traceBoot } from '../../../emulator/trace.ts';
import { syntheticEboot } from '../../../flash/eboot-sector.ts';
import { type Assembler, assemble } from '../../support/assembler.ts';
import { miniEboot } from '../../support/mini-eboot.ts';

function trace(sector0: Uint8Array, options: Partial<Parameters<typeof traceBoot>[0]> = {}) {
  const flash = new Uint8Array(0x80000).fill(0xff);
  flash.set(sector0);
  const lines: string[] = [];
  const result = traceBoot({ flash, write: (line) => lines.push(line), ...options });
  return { lines, result };
}

const program = (write: (a: Assembler) => void): Uint8Array =>
  assemble((a) => {
    a.addi(1, 1, -16);
    write(a);
    a.call(rom.software_reset);
  });

test('instructions with what they change, ROM calls, flash operations, text, the end', () => {
  const { lines, result } = trace(program((a) => a.call(rom.SPIEraseSector, 5).call(rom.ets_putc, 0x21)));
  expect(lines).toEqual(
    [
      '4010f00c  12c1f0  addi    a1, a1, -16                a1=0x3fffffe0',
      '4010f00f  22a005  movi    a2, 5                      a2=5',
      '4010f012  81fbff  l32r    a8, 0x4010f000             a8=0x40004a00',
      '4010f015  c00800  callx0  a8                         a0=0x4010f018',
      '  rom   SPIEraseSector(5, 0, 0, 0)',
      '  flash erase 00005000',
      '4010f018  22a021  movi    a2, 33                     a2=0x21',
      '4010f01b  81faff  l32r    a8, 0x4010f004             a8=0x40002be8',
      '4010f01e  c00800  callx0  a8                         a0=0x4010f021',
      '  rom   ets_putc(0x21, 0, 0, 0)',
      '  uart  "!"',
      '4010f021  81f9ff  l32r    a8, 0x4010f008             a8=0x4000264c',
      '4010f024  c00800  callx0  a8                         a0=0x4010f027',
      '  rom   software_reset(0, 0, 0, 0)',
      'software reset, code 9 after 9 instructions',
    ].map((line) => expect.stringMatching(pattern(line))),
  );
  expect(result).toEqual({ outcome: 'reset', steps: 9, uart: '!' });
});

/** Columns may be set otherwise. */
const pattern = (line: string): RegExp =>
  new RegExp(`^${line.replace(/[()[\]+.?!]/g, '\\$&').replace(/ {2,}/g, ' +')}$`);

test('a limit, a place to begin, and none', () => {
  const instructions = (lines: string[]): string[] => lines.filter((line) => /^[0-9a-f]{8} {2}[0-9a-f]/.test(line));
  const source = program((a) => a.set(3, 7).set(4, 8).set(5, 9));
  expect(instructions(trace(source, { instructions: 2 }).lines)).toHaveLength(2);
  expect(instructions(trace(source, { instructions: 0 }).lines)).toHaveLength(0);
  const from = instructions(trace(source, { from: 0x4010f00d }).lines);
  expect(from[0]).toContain('movi    a5, 9');
  expect(from).toHaveLength(3);
});

test('an update that waits is copied, the chip changed in place', () => {
  const flash = new Uint8Array(0x80000).fill(0xff);
  flash.set(miniEboot());
  flash.fill(0x11, 0x40000, 0x42000);
  flash.set(miniEboot(), 0x40000);
  flash[0x41001] = 0; // segments
  const rtcUser = new Uint8Array(512);
  rtcUser.set(encodeCommand({ action: ACTION_COPY_RAW, args: [0x40000, 0, 0x2000] }, referenceKernels().crc32));
  const { lines, result } = trace(new Uint8Array(0), { flash, rtcUser, instructions: 5 });
  expect(result).toMatchObject({ outcome: 'boot', entry: 0x11111111 });
  expect(lines).toContain('  flash write 00001000, 4096 bytes');
  expect(lines).toContain('  rtc   60001200 = 0');
  expect(flash[0x1000]).toBe(0x11);
});

test('what has no code is refused', () => {
  expect(() => trace(syntheticEboot('master', 'dio', 0x400000, 40))).toThrow('without LX106 code');
  expect(() => trace(new Uint8Array(0))).toThrow('no image');
});
