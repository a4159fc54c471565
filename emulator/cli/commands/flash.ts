/** `vesp flash info|read|write|map FILE`: looks into a chip file and changes it. Contract: design.md §4. */
import { closeSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { loadKernels } from '../../../assembly/host/load.ts';
import { areaOf } from '../../../flash/areas.ts';
import { CHIP_MAX_BYTES, CHIP_MIN_BYTES, SECTOR_BYTES } from '../../../flash/geometry.ts';
import { parseImage } from '../../../flash/image-format.ts';
import { formatFlashSize, layouts, resolveLayout } from '../../../flash/layouts.ts';
import { readManifest } from '../../../flash/manifest.ts';
import { FlashFile, FlashFileError } from '../../flash-file.ts';
import { UserError } from '../errors.ts';
import { parseCount } from '../numbers.ts';

const SECTORS_PER_LINE = 64;
const hex = (value: number): string => `0x${value.toString(16)}`;

export function registerFlashCommands(program: Command): void {
  const flash = program.command('flash').description('Look into a chip file made by `run --flash`, or change it.');

  flash
    .command('info')
    .argument('<file>', 'chip file: every byte of the chip')
    .description('Say what is on the chip: image, areas in use, blank sectors.')
    .option('--layout <name>', 'flash layout (that of the image, else the first one of that chip size)')
    .option('--json', 'one JSON object')
    .action((file: string, options: { layout?: string; json?: boolean }) => {
      const info = describe(readChip(file), options.layout);
      if (options.json) {
        console.log(JSON.stringify({ file, ...info }, null, 2));
        return;
      }
      console.log(
        `${file}: ${formatFlashSize(info.capacityBytes)} chip, ${info.sectors} sectors, layout ${info.layout}`,
      );
      console.log(`image at 0: ${info.image}`);
      for (const { area, sectors, used } of info.areas) {
        console.log(
          `  ${area.padEnd(8)} ${String(used).padStart(5)} of ${String(sectors).padStart(5)} sectors not blank`,
        );
      }
    });

  flash
    .command('read')
    .argument('<file>', 'chip file')
    .description('Write bytes of the chip to a file, or to stdout with `--out -`.')
    .option('--address <n>', 'byte offset, decimal or 0x…', '0')
    .option('--length <n>', 'how many bytes (to the end of the chip)')
    .requiredOption('--out <file>', 'where to write them')
    .action((file: string, options: { address: string; length?: string; out: string }) => {
      const chip = readChip(file);
      const address = parseCount('--address', options.address);
      const length = options.length === undefined ? chip.length - address : parseCount('--length', options.length);
      checkRange(file, chip.length, address, Math.max(length, 1));
      const bytes = chip.subarray(address, address + length);
      if (options.out === '-') process.stdout.write(bytes);
      else writeOutput(options.out, bytes);
    });

  flash
    .command('write')
    .argument('<file>', 'chip file; no device may be using it')
    .argument('<data>', 'file with the bytes')
    .description('Put bytes on the chip as esptool would: the sectors they touch are erased first.')
    .option('--address <n>', 'byte offset, a multiple of 4096', '0')
    .action((file: string, data: string, options: { address: string }) => {
      const bytes = readInput(data);
      const chip = readChip(file);
      const address = parseCount('--address', options.address);
      if (address % SECTOR_BYTES !== 0) {
        throw new UserError(
          `--address ${hex(address)}: sectors are erased whole, so it must be a multiple of ${hex(SECTOR_BYTES)}`,
        );
      }
      checkRange(file, chip.length, address, bytes.length);
      writeChip(file, chip.length, address, bytes);
      console.log(`${bytes.length} bytes written to ${file} at ${hex(address)}`);
    });

  flash
    .command('map')
    .argument('<file>', 'chip file')
    .description('Draw the chip, a character a sector: . blank, # in use, + partly 0xFF.')
    .option('--layout <name>', 'flash layout (that of the image, else the first one of that chip size)')
    .option('--json', 'one JSON object a sector')
    .action((file: string, options: { layout?: string; json?: boolean }) => {
      const chip = readChip(file);
      const layout = layoutFor(chip, options.layout);
      const states = sectorStates(chip);
      if (options.json) {
        console.log(
          JSON.stringify(
            states.map((state, sector) => ({
              address: sector * SECTOR_BYTES,
              area: areaOf(layout, sector * SECTOR_BYTES),
              state,
            })),
          ),
        );
        return;
      }
      for (let sector = 0; sector < states.length; sector += SECTORS_PER_LINE) {
        const line = states.slice(sector, sector + SECTORS_PER_LINE).map((state) => MARKS[state]);
        const address = sector * SECTOR_BYTES;
        console.log(`${hex(address).padStart(9)}  ${line.join('')}  ${areaOf(layout, address)}`);
      }
    });
}

type SectorState = 'blank' | 'partial' | 'full';
const MARKS: Record<SectorState, string> = { blank: '.', partial: '+', full: '#' };

function sectorStates(chip: Uint8Array): SectorState[] {
  return Array.from({ length: chip.length / SECTOR_BYTES }, (_, sector) => {
    const bytes = chip.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
    if (bytes.every((byte) => byte === 0xff)) return 'blank';
    return bytes.subarray(-16).every((byte) => byte === 0xff) ? 'partial' : 'full';
  });
}

function describe(chip: Uint8Array, layoutName: string | undefined) {
  const layout = layoutFor(chip, layoutName);
  const areas = new Map<string, { area: string; sectors: number; used: number }>();
  for (const [sector, state] of sectorStates(chip).entries()) {
    const area = areaOf(layout, sector * SECTOR_BYTES);
    const entry = areas.get(area) ?? { area, sectors: 0, used: 0 };
    entry.sectors++;
    if (state !== 'blank') entry.used++;
    areas.set(area, entry);
  }
  return {
    capacityBytes: chip.length,
    sectors: chip.length / SECTOR_BYTES,
    layout: layout.name,
    image: imageLine(chip),
    crc: hex(loadKernels().crc32(chip)),
    areas: [...areas.values()],
  };
}

/** The layout that the image on the chip was built for, if it says so. */
function manifestLayout(chip: Uint8Array): string | undefined {
  return readManifest(chip).manifest?.layout;
}

/** What the ROM and eboot would find. */
function imageLine(chip: Uint8Array): string {
  if (chip.subarray(0, SECTOR_BYTES).every((byte) => byte === 0xff)) return 'none, the boot sector is blank';
  const { sketchSize } = parseImage(chip);
  const report = parseImage(sketchSize === undefined ? chip : chip.subarray(0, sketchSize));
  const { manifest, kind, damage, eboot } = report;
  const what = manifest ? `${manifest.sketch.join(',')} version ${manifest.version}` : kind;
  const parts = [
    what,
    sketchSize === undefined ? '' : `${sketchSize} bytes`,
    eboot ? `eboot ${eboot.build}` : 'unknown boot sector',
  ];
  return parts.filter((part) => part !== '').join(', ') + (damage === undefined ? '' : `; damaged: ${damage}`);
}

function layoutFor(chip: Uint8Array, name: string | undefined) {
  const capacity = chip.length;
  try {
    const found =
      name ??
      manifestLayout(chip) ??
      layouts.find(({ chipSize, fsSize }) => chipSize === capacity && fsSize > 0)?.name ??
      'auto';
    return resolveLayout(found, capacity);
  } catch (error) {
    throw new UserError((error as Error).message);
  }
}

function readInput(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function writeOutput(path: string, bytes: Uint8Array): void {
  try {
    writeFileSync(path, bytes);
  } catch (error) {
    throw new UserError(`--out ${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

function readChip(path: string): Uint8Array {
  let size: number;
  try {
    size = statSync(path).size;
  } catch (error) {
    throw new UserError(
      `${path}: cannot be read (${(error as NodeJS.ErrnoException).code}); a chip file is made by run --flash`,
    );
  }
  if (size < CHIP_MIN_BYTES || size > CHIP_MAX_BYTES || !Number.isInteger(Math.log2(size))) {
    throw new UserError(
      `${path} holds ${size} bytes; a chip file holds every byte of the chip, 512 KiB to 16 MiB (for a firmware image use: image info)`,
    );
  }
  const descriptor = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      const count = readSync(descriptor, bytes, at, size - at, at);
      if (count === 0) throw new UserError(`${path} ended at byte ${at} while it was read`);
      at += count;
    }
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

function checkRange(file: string, capacity: number, address: number, length: number): void {
  if (address + length > capacity) {
    throw new UserError(
      `${file}: ${length} bytes at ${hex(address)} end at ${hex(address + length)}, past the chip's end ${hex(capacity)}`,
    );
  }
}

function writeChip(path: string, capacity: number, address: number, bytes: Uint8Array): void {
  const fail = (error: Error): never => {
    throw new UserError(error.message, 1);
  };
  try {
    const { file } = FlashFile.open(path, capacity, fail);
    try {
      for (let done = 0; done < bytes.length; done += SECTOR_BYTES) {
        const sector = new Uint8Array(SECTOR_BYTES).fill(0xff);
        sector.set(bytes.subarray(done, done + SECTOR_BYTES));
        file.write(address + done, sector);
      }
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof FlashFileError) throw new UserError(error.message);
    throw error;
  }
}
