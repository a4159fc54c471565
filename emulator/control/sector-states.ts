/** What each sector of the chip looks like and has been through, for the map. Follows the events of the chip. */
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { NorFlash } from '../../flash/nor-flash.ts';
import type { DeviceEvent } from '../events.ts';

/** Sorted by what matters most when several hold. */
export type SectorState =
  /** A loss of power struck in the middle of an operation, and nothing has erased the sector since. */
  | 'torn'
  /** Its last erase left bits that stay 0, or it was erased more often than the part is made for. */
  | 'worn'
  /** All 0xFF. */
  | 'erased'
  /** Programmed since the last update began. */
  | 'new'
  | 'programmed';

export interface SectorInfo {
  readonly area: string;
  readonly state: SectorState;
  /** Erases since the chip was made. */
  readonly wear: number;
  /** CRC-32/MPEG-2 of the 4096 bytes. */
  readonly crc: number;
}

const TORN = 1;
const STUCK = 2;
const NEW = 4;
/** The stored CRC and blankness are those of the bytes now. */
const KNOWN = 8;
const BLANK = 16;

export class SectorStates {
  private readonly marks: Uint8Array;
  private readonly crcs: Uint32Array;

  constructor(private readonly chip: NorFlash) {
    this.marks = new Uint8Array(chip.sectorCount);
    this.crcs = new Uint32Array(chip.sectorCount);
  }

  see(event: DeviceEvent): void {
    switch (event.type) {
      case 'flash.erase':
      case 'flash.program': {
        const first = Math.floor(event.address / SECTOR_BYTES);
        const last = Math.floor((event.address + event.length - 1) / SECTOR_BYTES);
        const whole = event.type === 'flash.erase' && event.torn === undefined;
        const told = NEW | (event.torn === undefined ? 0 : TORN) | (event.stuckBits > 0 ? STUCK : 0);
        for (let sector = first; sector <= last; sector++) {
          const index = sector % this.marks.length;
          this.marks[index] = told | (whole ? 0 : this.marks[index]! & ~(KNOWN | BLANK));
        }
        break;
      }
      case 'update.begin':
        for (let sector = 0; sector < this.marks.length; sector++) this.marks[sector]! &= ~NEW;
        break;
      default:
    }
  }

  /** Forgets everything: the chip's contents were put there from outside. */
  clear(): void {
    this.marks.fill(0);
  }

  all(): SectorInfo[] {
    return Array.from(this.marks, (_, sector) => this.at(sector));
  }

  private at(sector: number): SectorInfo {
    const { chip } = this;
    const address = sector * SECTOR_BYTES;
    if ((this.marks[sector]! & KNOWN) === 0) this.look(sector, address);
    const wear = chip.wear(sector);
    return { area: chip.areaOf(address), state: this.stateOf(sector, wear), wear, crc: this.crcs[sector]! };
  }

  /** Whoever asks again and again must not keep the device's only thread busy with sums. */
  private look(sector: number, address: number): void {
    const { store } = this.chip;
    this.crcs[sector] = store.crc32(address, SECTOR_BYTES);
    this.marks[sector]! |= KNOWN | (store.isBlank(address, SECTOR_BYTES) ? BLANK : 0);
  }

  private stateOf(sector: number, wear: number): SectorState {
    const mark = this.marks[sector]!;
    if (mark & TORN) return 'torn';
    if (mark & STUCK || wear > this.chip.part.enduranceCycles) return 'worn';
    if (mark & BLANK) return 'erased';
    return mark & NEW ? 'new' : 'programmed';
  }
}
