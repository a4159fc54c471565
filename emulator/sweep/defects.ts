/**
 * Devices with known bugs: a sweep or a property test that does not find each of them is itself broken. And a design that
 * must come through: {@link soundDesign}. Source: design.md §8; docs/fault-model.md §7.
 */
import { crc32 } from 'node:zlib';
import { ACTION_COPY_RAW, COMMAND_BYTES, decodeCommand, isValidCommand } from '../../eboot/command.ts';
import type { EbootRequest, Requests } from '../../eboot/machine.ts';
import { type EbootEnd, type EbootOptions, eboot } from '../../eboot/model.ts';
import { PAGE_BYTES, roundUpToSector, SECTOR_BYTES } from '../../flash/geometry.ts';
import type { FlashLayout } from '../../flash/layouts.ts';
import type { NorFlash } from '../../flash/nor-flash.ts';
import type { EbootCommandPort } from '../../ota-services/ports.ts';
import { U_FLASH } from '../../ota-services/update-area.ts';
import type { UpdaterOptions, UpdaterPorts } from '../../ota-services/update-state.ts';
import { Updater } from '../../ota-services/updater.ts';
import type { Alterations } from '../alterations.ts';

/** A bug, and how it comes to light. */
export interface Defect {
  /** In one line. */
  readonly what: string;
  /** What breaks, and where to look: the phase whose cuts or resets show it, or the invariant. */
  readonly shows: string;
  readonly alter: Alterations;
}

type Answer = Parameters<Requests<EbootEnd>['next']>[0];

/** The bootloader with some of its requests left undone; it believes that they were carried out. */
function* without(options: EbootOptions, leftOut: (request: EbootRequest) => boolean): Requests<EbootEnd> {
  const inner = eboot(options);
  let step = inner.next();
  while (!step.done) {
    const answer: Answer = leftOut(step.value) ? 0 : yield step.value;
    step = inner.next(answer);
  }
  return step.value;
}

class NoMd5Updater extends Updater {
  override setMD5(text: string): boolean {
    super.setMD5(text);
    this.targetMd5 = '';
    return text.length === 32;
  }
}

/** Leaves the last sector of the staging area as it is. */
class LastSectorUpdater extends Updater {
  private last = -1;

  constructor(ports: UpdaterPorts, options: UpdaterOptions) {
    super(
      {
        ...ports,
        flash: Object.create(ports.flash, {
          eraseSectorNow: {
            value: (sector: number) => sector === this.last || ports.flash.eraseSectorNow(sector),
          },
        }),
      },
      options,
    );
  }

  override async begin(size: number, command?: number, ledPin?: number, ledOn?: number): Promise<boolean> {
    const begun = await super.begin(size, command, ledPin, ledOn);
    this.last = begun ? Math.floor((this.startAddress + this.total - 1) / SECTOR_BYTES) : -1;
    return begun;
  }
}

/** Stages a sketch from the sector of the running one's end on, so that it writes over it. */
class StagesIntoSketchUpdater extends Updater {
  override async begin(size: number, command: number = U_FLASH, ledPin?: number, ledOn?: number): Promise<boolean> {
    if (!(await super.begin(size, command, ledPin, ledOn))) return false;
    if (command !== U_FLASH) return true;
    const sketchSectors = Math.ceil(this.ports.flash.getSketchSize() / SECTOR_BYTES);
    this.startAddress = (sketchSectors - 1) * SECTOR_BYTES;
    this.currentAddress = this.startAddress;
    this.hashedTo = this.startAddress;
    return true;
  }
}

/** Writes the eboot command when the update begins, not when it has proved whole. */
class EarlyCommandUpdater extends Updater {
  override async begin(size: number, command: number = U_FLASH, ledPin?: number, ledOn?: number): Promise<boolean> {
    if (!(await super.begin(size, command, ledPin, ledOn))) return false;
    if (command === U_FLASH) this.ports.command.writeCopy(this.startAddress, 0, this.total);
    return true;
  }
}

const updater = (make: new (ports: UpdaterPorts, options: UpdaterOptions) => Updater): Alterations => ({
  updater: (ports, options) => new make(ports, options),
});

export const DEFECTS = {
  'command-cleared-first': {
    what: 'the bootloader clears the command before it copies, as eboot did up to 2.6.2',
    shows: 'a reset in the copy leaves a mixture that nobody completes: bricks in phase copy, where master goes on',
    alter: { bootloader: (options) => eboot({ ...options, era: { ...options.era, clears: 'before' } }) },
  },
  'command-never-cleared': {
    what: 'the bootloader never clears the command (stale RTC memory)',
    shows: 'every reset copies again, and once staging holds part of the next image, that is what is copied',
    alter: { bootloader: (options) => without(options, ({ op }) => op === 'rtc') },
  },
  'command-written-first': {
    what: 'the Updater writes the command at the beginning of the update',
    shows: 'a reset in staging copies an image that is not there yet: bricks in phase staging',
    alter: updater(EarlyCommandUpdater),
  },
  'md5-skipped': {
    what: 'the Updater accepts any MD5',
    shows: 'an image with a wrong MD5 is installed',
    alter: updater(NoMd5Updater),
  },
  'last-sector-not-erased': {
    what: 'the Updater does not erase the last sector of the staging area',
    shows: 'over an earlier image the end is a mixture: the new application is corrupt, without any fault',
    alter: updater(LastSectorUpdater),
  },
  'destination-not-erased': {
    what: 'the bootloader does not erase sector 3 of the application',
    shows: 'old and new are ANDed there: the new application is corrupt, without any fault',
    alter: {
      bootloader: (options) =>
        without(options, (request) => request.op === 'erase' && request.address === 3 * SECTOR_BYTES),
    },
  },
  'staging-over-sketch': {
    what: 'the Updater stages over the last sector of the running sketch',
    shows: 'a cut or reset in staging leaves no whole image: bricks in phase staging',
    alter: updater(StagesIntoSketchUpdater),
  },
  'last-sector-not-copied': {
    what: 'the bootloader forgets the last sector of the image',
    shows: 'the end of the application is the old one: corrupt, without any fault',
    alter: { bootloader: (options) => without(options, isLastSector(options)) },
  },
} as const satisfies Record<string, Defect>;

export type DefectName = keyof typeof DEFECTS;

/** Erases and writes of the last sector of the copy that is commanded. */
function isLastSector(options: EbootOptions): (request: EbootRequest) => boolean {
  const command = decodeCommand(options.readCommand(), options.crc32);
  const [, destination = 0, size = 0] = command.args;
  const last = isValidCommand(command) ? Math.floor((destination + size - 1) / SECTOR_BYTES) : -1;
  return (request) =>
    (request.op === 'erase' || request.op === 'write') && Math.floor(request.address / SECTOR_BYTES) === last;
}

// A sound design.

/** The journal's first word. */
const JOURNAL_MAGIC = 0x4c4e524a;
/** Magic, source, destination, size, CRC-32 of those. */
const JOURNAL_WORDS = 5;
const JOURNAL_BYTES = 4 * JOURNAL_WORDS;
/** From here on one byte for each sector: not 0xFF any more when it is in place. */
const MARKS_OFFSET = PAGE_BYTES;

/**
 * A bootloader and an Updater that no loss of power and no reset harms, at any operation: the command stands in a sector of
 * flash, not in RTC memory, with a mark for each sector that is in place. A copy that was cut off goes on with the sector
 * after the last mark, whose source is whole, also where the image is copied over its own staging area. The boot sector is
 * never touched, as while it is erased the ROM finds nothing to start; so this bootloader cannot be updated over the air.
 *
 * @param layout of the device; the journal is in its EEPROM sector
 */
export function soundDesign({ eepromStart: journal }: FlashLayout): Alterations {
  return {
    bootloader: (options) => resumingCopy(options, journal),
    updater: (ports, options, chip) => new Updater({ ...ports, command: flashCommand(chip, journal) }, options),
  };
}

function flashCommand(chip: NorFlash, journal: number): EbootCommandPort {
  const eraseJournal = () => void chip.eraseSector(journal / SECTOR_BYTES);
  return {
    clear: eraseJournal,
    writeCopy(source, destination, size) {
      eraseJournal();
      const record = new Uint8Array(JOURNAL_BYTES);
      const words = new DataView(record.buffer);
      [JOURNAL_MAGIC, source, destination, size].forEach((word, i) => {
        words.setUint32(4 * i, word, true);
      });
      words.setUint32(JOURNAL_BYTES - 4, crc32(record.subarray(0, JOURNAL_BYTES - 4)), true);
      chip.programPage(journal, record);
    },
  };
}

function* resumingCopy(options: EbootOptions, journal: number): Requests<EbootEnd> {
  const content = new Uint8Array(SECTOR_BYTES);
  yield { op: 'read', address: journal, length: SECTOR_BYTES, target: content };
  const words = new DataView(content.buffer, 0, JOURNAL_BYTES);
  const [magic, source, destination, size, crc] = Array.from({ length: JOURNAL_WORDS }, (_, i) =>
    words.getUint32(4 * i, true),
  ) as [number, number, number, number, number];
  if (magic === JOURNAL_MAGIC && crc === crc32(content.subarray(0, JOURNAL_BYTES - 4))) {
    options.host?.emit?.({ type: 'eboot.command', action: ACTION_COPY_RAW, source, destination, size });
    const sectors = roundUpToSector(size) / SECTOR_BYTES;
    const sector = new Uint8Array(SECTOR_BYTES);
    for (let i = 0; i < sectors; i++) {
      const to = destination + i * SECTOR_BYTES;
      if (to === 0 || content[MARKS_OFFSET + i] !== 0xff) continue;
      const failed: number =
        (yield { op: 'read', address: source + i * SECTOR_BYTES, length: SECTOR_BYTES, target: sector }) ||
        (yield { op: 'erase', address: to, length: SECTOR_BYTES }) ||
        (yield { op: 'write', address: to, length: SECTOR_BYTES, data: sector }) ||
        (yield { op: 'write', address: journal + MARKS_OFFSET + (i & ~3), length: 4, data: mark(i & 3) });
      if (failed !== 0) return { outcome: 'reset', code: failed };
      options.host?.emit?.({ type: 'eboot.copy', sector: to / SECTOR_BYTES, skipped: false });
    }
    if (yield { op: 'erase', address: journal, length: SECTOR_BYTES }) return { outcome: 'reset', code: 1 };
  }
  return yield* eboot({ ...options, readCommand: () => new Uint8Array(COMMAND_BYTES) });
}

/** The ROM writes whole words: the byte of one sector becomes 0, the others stay. */
const mark = (index: number): Uint8Array => Uint8Array.from({ length: 4 }, (_, i) => (i === index ? 0 : 0xff));
