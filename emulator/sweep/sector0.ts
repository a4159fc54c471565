/**
 * What follows from the boot sector alone: how the ROM likes it, and which bootloader is in it. A sweep asks that a million
 * times about a few contents, so the answers are kept by content number.
 */
import { type Era, eraOf } from '../../eboot/eras.ts';
import type { Ram } from '../../eboot/ram.ts';
import { type RomEnd, romBoot } from '../../eboot/rom.ts';
import { RomSpi } from '../../eboot/rom-spi.ts';
import { DEFAULT_SECOND_NUMBER } from '../../eboot/straps.ts';
import { type EbootIdentity, recogniseEboot } from '../../flash/eboot-sector.ts';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { BranchChip } from './branch-chip.ts';
import type { Contents } from './contents.ts';

interface Known {
  readonly roms: Map<number, RomEnd>;
  identity?: EbootIdentity | undefined;
  era?: Era;
}

export class BootSectors {
  private readonly known = new Map<number, Known>();
  private readonly fixedEra: Era | undefined;

  /** @param core the era that the device was told to be of, whatever its boot sector holds */
  constructor(
    private readonly contents: Contents,
    core: string | undefined,
  ) {
    this.fixedEra = core === undefined ? undefined : eraOf(core);
    contents.onForget((content) => void this.known.delete(content));
  }

  /** One pass of the ROM. With `ram` the image really gets there. */
  rom(chip: BranchChip, rstCause: number, strap: number, ram?: Ram): RomEnd {
    const known = this.of(chip);
    const key = rstCause * 16 + strap;
    const before = known.roms.get(key);
    if (before && !ram) return before;
    const spi = new RomSpi(chip);
    let end = 0;
    const { end: result } = romBoot({
      rstCause,
      strap,
      secondNumber: DEFAULT_SECOND_NUMBER,
      read: (address, target) => {
        end = Math.max(end, address + target.length);
        return spi.read(address, target.length, target) === 0;
      },
      ram,
    });
    // An image that leaves its sector depends on the next ones too.
    if (end <= SECTOR_BYTES) known.roms.set(key, result);
    return result;
  }

  era(chip: BranchChip): Era {
    if (this.fixedEra) return this.fixedEra;
    const known = this.of(chip);
    known.era ??= eraOf(this.identity(chip)?.build ?? 'master');
    return known.era;
  }

  identity(chip: BranchChip): EbootIdentity | undefined {
    const known = this.of(chip);
    if (!('identity' in known)) known.identity = recogniseEboot(this.contents.bytes(chip.table[0]!));
    return known.identity;
  }

  private of(chip: BranchChip): Known {
    const content = chip.table[0]!;
    let known = this.known.get(content);
    if (!known) {
      known = { roms: new Map() };
      this.known.set(content, known);
    }
    return known;
  }
}
