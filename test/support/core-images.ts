/** Real bootloaders, for the opt-in checks of `test/core`: that of the core checkout, and those of images given to it. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { recogniseEboot } from '../../flash/eboot-sector.ts';
import { encodeImage } from '../../flash/image-assemble.ts';
import { coreFile } from './core-checkout.ts';
import { readElf } from './elf.ts';

export interface RealEboot {
  readonly name: string;
  /** A boot image: the first sector of the file. */
  readonly image: Uint8Array;
  /** What it is recognised as. */
  readonly build: string;
}

/** `bootloaders/eboot/eboot.elf` of the checkout. */
export const coreEboot = (): RealEboot => ebootOfElf('eboot.elf', coreFile('bootloaders/eboot/eboot.elf'));

/** The bootloaders of the files in ESP8266_IMAGES, one of each build; files without a known one are left out. */
export function imageEboots(): RealEboot[] {
  const files = (process.env['ESP8266_IMAGES'] ?? '').split(':').filter((file) => file !== '');
  const found = new Map<string, RealEboot>();
  for (const file of files) {
    const eboot = file.endsWith('.elf') ? ebootOfElf(basename(file), file) : ebootOfImage(file);
    if (eboot && !found.has(eboot.build)) found.set(eboot.build, eboot);
  }
  return [...found.values()];
}

/** The boot sector that elf2bin.py makes of a linked eboot. */
function ebootOfElf(name: string, file: string): RealEboot {
  const elf = readElf(readFileSync(file));
  const sector = new Uint8Array(4096).fill(0xaa);
  // Builds before 3.0.0 have their constants in .text.
  const segments = ['.text', '.rodata'].filter((section) => elf.has(section)).map((section) => elf.section(section));
  sector.set(encodeImage({ mode: 'dio', flashSize: 0x400000, freqMHz: 40, entry: elf.entry, segments }));
  return named(name, sector);
}

function ebootOfImage(file: string): RealEboot | undefined {
  const sector = new Uint8Array(readFileSync(file).subarray(0, 4096));
  return recogniseEboot(sector)?.synthetic === false ? named(basename(file), sector) : undefined;
}

function named(name: string, image: Uint8Array): RealEboot {
  const known = recogniseEboot(image);
  if (!known) throw new Error(`${name}: no known eboot`);
  return { name, image, build: known.exact ? known.build : `${known.build}, changed` };
}
