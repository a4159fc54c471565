/** Our image format against the core's own bootloader, bootloaders/eboot/eboot.elf. Needs ARDUINO_CORE_DIR. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { recogniseEboot } from '../../flash/eboot-sector.ts';
import { encodeImage } from '../../flash/image-assemble.ts';
import type { FlashMode } from '../../flash/image-header.ts';
import { coreFile } from '../support/core-checkout.ts';
import { readElf } from '../support/elf.ts';

const headers: [mode: FlashMode, flashSize: number, md5: string][] = [
  ['dio', 0x400000, '2cee5b99b9195c93c0ecc3d66faa2c06'],
  ['dout', 0x100000, '262dd080fd266dd14e00dc1c7a2cb5a6'],
];

/** MD5 sums: spec chapter 01 §9.1, made by tools/elf2bin.py. */
test.each(headers)(
  '%s: the boot sector made of eboot.elf is that of elf2bin.py, and is recognised',
  (mode, flashSize, md5) => {
    const elf = readElf(readFileSync(coreFile('bootloaders/eboot/eboot.elf')));
    const segments = [elf.section('.text'), elf.section('.rodata')];
    const sector = new Uint8Array(4096).fill(0xaa);
    sector.set(encodeImage({ mode, flashSize, freqMHz: 40, entry: elf.entry, segments }));
    expect(createHash('md5').update(sector).digest('hex')).toBe(md5);
    expect(recogniseEboot(sector)).toMatchObject({ build: 'master', synthetic: false, exact: true });
  },
);
