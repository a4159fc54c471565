/**
 * Debian's gdb-multiarch on `gdb: { port }`. It knows no Xtensa; see emulator/gdb/registers.ts for what it is told instead.
 * Registers, memory, breakpoints, step, continue and the listing by `monitor dis` work; its own disassembly does not.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { ROM_FUNCTIONS as rom } from '../../eboot/native/rom-entries.ts';
import { buildImage, createDevice, type Device } from '../../emulator/index.ts';
import { EMBEDDED_IN_APP, embedLengthAndCrc } from '../../flash/image-assemble.ts';
import { assemble } from '../support/assembler.ts';
import { program } from '../support/program.ts';

const run = promisify(execFile);
const GDB = program('/usr/bin/gdb-multiarch', 'gdb-multiarch');

let device: Device | undefined;
afterEach(async () => {
  await device?.close();
  device = undefined;
});

async function start(): Promise<number> {
  const image = buildImage({ sketch: 'blank', version: '1.0', size: 40_000, layout: '4m2m' });
  image.set(
    assemble((a) => {
      a.addi(1, 1, -16).set(12, 0x11).call(rom.ets_putc, 0x21).set(12, 0x22).set(3, 0x3ffe8000).set(4, 0x12345678);
      a.s32i(4, 3, 0).label('here').addi(12, 12, 1).label('x').j('x');
    }),
  );
  embedLengthAndCrc(image, EMBEDDED_IN_APP);
  device = await createDevice({ image, sketch: 'blank', gdb: { port: 0 }, ota: { port: 0 }, http: { port: 0 } });
  void device.powerOn();
  return device.address.gdb!.port;
}

test('registers, memory, step, break, continue, listing', async () => {
  const port = await start();
  const commands = [
    'set pagination off',
    `target remote 127.0.0.1:${port}`,
    'printf "entry %x sp %x\\n", $pc, $sp',
    'stepi',
    'printf "a1 %x\\n", $sp',
    'stepi',
    'printf "a12 %x ps %x\\n", $a12, $ps',
    'break *($pc + 9 + 12)',
    'continue',
    'printf "word %x at %x\\n", *(unsigned *) 0x3ffe8000, $pc',
    'set $a12 = 0x41',
    'set *(unsigned *) 0x3ffe8004 = 0xcafe',
    'stepi',
    'printf "a12 %x\\n", $a12',
    'monitor dis 0x4010f00c 2',
    'x/2xw 0x3ffe8000',
    'detach',
  ];
  const { stdout, stderr } = await run(GDB, [
    '-nx',
    '-ex',
    'set remotetimeout 10',
    '-batch',
    ...commands.flatMap((command) => ['-ex', command]),
  ]);
  const said = stdout + stderr;
  expect(said).toMatch(/entry 4010f0[01][0-9a-f] sp 3ffffff0/);
  expect(said).toContain('a1 3fffffe0');
  expect(said).toContain('a12 11 ps 20');
  expect(said).toMatch(/word 12345678 at 4010f0[23][0-9a-f]/);
  expect(said).toContain('a12 42');
  expect(said).toMatch(/addi {2,}a1, a1, -16/);
  expect(said).toMatch(/0x12345678\s+0x0000cafe/);
  // The debugger has gone: the program goes on into its endless loop.
  await expect.poll(() => device?.state, { timeout: 20_000 }).toMatchObject({ state: 'dead', why: 'rom-hang' });
  expect(device!.serial.text().endsWith('!')).toBe(true);
});
