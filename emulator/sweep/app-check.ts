/**
 * Is the application in flash whole, by the rules of design.md §7? The same answer as `parseImage().damage` on the bytes
 * that the device looks at, an order of magnitude faster: the CRC is put together from those of the sectors. Whatever is
 * not as in an ordinary firmware goes to `parseImage` itself.
 */

import { ebootBuildFor } from '../../flash/eboot-sector.ts';
import { APP_START_OFFSET, SECTOR_BYTES } from '../../flash/geometry.ts';
import { sdkSizeOfHeader } from '../../flash/header-byte.ts';
import { EMBEDDED_IN_APP, EMBEDDED_IN_BOOT_SECTOR } from '../../flash/image-assemble.ts';
import { parseImage } from '../../flash/image-format.ts';
import {
  CHECKSUM_START,
  IMAGE_HEADER_BYTES,
  IMAGE_MAGIC,
  IMAGE_ROW_BYTES,
  SEGMENT_HEADER_BYTES,
} from '../../flash/image-header.ts';
import type { BranchChip } from './branch-chip.ts';
import type { Contents } from './contents.ts';
import type { BootSectors } from './sector0.ts';

const LONGEST_PLAUSIBLE = 0x110000;
const CRC_START = 0xffffffff;

interface Walk {
  /** All segments are inside the bytes. */
  readonly whole: boolean;
  /** Behind the checksum row. */
  readonly end: number;
}

export class AppCheck {
  /** Contents with 8 bytes at an offset taken as zero, by content * 8192 + offset: their CRC from 0. */
  private readonly zeroed = new Map<number, number>();
  private readonly xors = new Map<number, number>();

  constructor(
    private readonly contents: Contents,
    private readonly sectors: BootSectors,
  ) {
    contents.onForget((content) => {
      this.zeroed.delete(content * 2);
      this.zeroed.delete(content * 2 + 1);
      this.xors.delete(content);
    });
  }

  /** `getSketchSize()` of the application that starts now; 0 when a read fails. */
  sketchSize(chip: BranchChip): number {
    const limit = sdkSizeOfHeader(chip.byte(3));
    const readable = (at: number): boolean => (at + IMAGE_HEADER_BYTES) >>> 0 <= limit;
    let position = APP_START_OFFSET;
    if (!readable(position)) return 0;
    const count = chip.byte(position + 1);
    position += IMAGE_HEADER_BYTES;
    for (let i = 0; i < count; i++) {
      if (!readable(position)) return 0;
      position = (position + SEGMENT_HEADER_BYTES + chip.word(position + 4)) >>> 0;
    }
    return ((position + IMAGE_ROW_BYTES) & -IMAGE_ROW_BYTES) >>> 0;
  }

  /** Whether the application crashes instead of running. */
  isDamaged(chip: BranchChip): boolean {
    const size = Math.min(this.sketchSize(chip), chip.capacityBytes);
    return this.fast(chip, size) ?? parseImage(chip.peek(0, size)).damage !== undefined;
  }

  private fast(chip: BranchChip, size: number): boolean | undefined {
    if (size < APP_START_OFFSET + 2 * SECTOR_BYTES) return undefined;
    if (chip.byte(0) !== IMAGE_MAGIC || chip.byte(APP_START_OFFSET) !== IMAGE_MAGIC) return undefined;
    const walk = this.walk(chip, size);
    const complete = walk.whole && walk.end <= size;
    // Bytes behind the image may be a signature.
    if (complete && walk.end !== size) return undefined;
    const fits = (place: number): boolean => {
      const length = chip.word(place);
      return length === size || (complete && length === walk.end);
    };
    const place = this.embeddedAt(chip, fits);
    if (place !== undefined) return !this.crcFits(chip, place, size);
    if (!complete) return true;
    return chip.byte(walk.end - 1) !== this.checksum(chip);
  }

  private walk(chip: BranchChip, size: number): Walk {
    const count = chip.byte(APP_START_OFFSET + 1);
    let position = APP_START_OFFSET + IMAGE_HEADER_BYTES;
    let whole = true;
    for (let i = 0; i < count && whole; i++) {
      if (position + SEGMENT_HEADER_BYTES > size) {
        whole = false;
        break;
      }
      const length = chip.word(position + 4);
      position += SEGMENT_HEADER_BYTES;
      whole = length <= size - position;
      position = whole ? position + length : size;
    }
    return { whole, end: (position & -IMAGE_ROW_BYTES) + IMAGE_ROW_BYTES };
  }

  /** Where length and CRC are, as `findEmbedded` decides. */
  private embeddedAt(chip: BranchChip, fits: (place: number) => boolean): number | undefined {
    if (fits(EMBEDDED_IN_APP)) return EMBEDDED_IN_APP;
    if (fits(EMBEDDED_IN_BOOT_SECTOR)) return EMBEDDED_IN_BOOT_SECTOR;
    const eboot = this.sectors.identity(chip);
    if (eboot) return ebootBuildFor(eboot.build).embeddedAt;
    return [EMBEDDED_IN_APP, EMBEDDED_IN_BOOT_SECTOR].find((place) => {
      const length = chip.word(place);
      return length % IMAGE_ROW_BYTES === 0 && length > EMBEDDED_IN_APP + 8 && length <= LONGEST_PLAUSIBLE;
    });
  }

  private crcFits(chip: BranchChip, place: number, size: number): boolean {
    const length = chip.word(place);
    if (length > size || length < EMBEDDED_IN_APP + 8) return false;
    const given = chip.word(place + 4);
    if (this.crc(chip, place, length) === given) return true;
    const mode = chip.byte(APP_START_OFFSET + 2);
    const sizeFreq = chip.byte(APP_START_OFFSET + 3);
    if (chip.byte(2) === mode && chip.byte(3) === sizeFreq) return false;
    // The Updater or esptool may have patched the header: judge it with the bytes of the other one.
    const { table } = chip;
    const real = table[0]!;
    this.contents.open();
    table[0] = this.contents.replace(real, 2, Uint8Array.of(mode, sizeFreq));
    const fits = this.crc(chip, place, length) === given;
    table[0] = real;
    this.contents.close();
    return fits;
  }

  /** The CRC over `length` bytes from 0, with the 8 at `place` taken as zero. */
  private crc(chip: BranchChip, place: number, length: number): number {
    const { tables, slot, table } = chip;
    const whole = Math.floor(length / SECTOR_BYTES);
    const special = Math.floor(place / SECTOR_BYTES);
    if (special >= whole) return this.slowCrc(chip, place, length);
    let crc = tables.crc(slot, 0, special, CRC_START);
    crc = tables.crc(slot, special, 1, crc) ^ this.contents.crcOf(table[special]!);
    crc = (crc ^ this.zeroedCrc(table[special]!, place % SECTOR_BYTES)) >>> 0;
    crc = tables.crc(slot, special + 1, whole - special - 1, crc);
    const rest = length - whole * SECTOR_BYTES;
    if (rest === 0) return crc;
    return this.contents.crc32(this.contents.bytes(table[whole]!).subarray(0, rest), crc);
  }

  private slowCrc(chip: BranchChip, place: number, length: number): number {
    const bytes = chip.peek(0, length);
    bytes.fill(0, place, place + 8);
    return this.contents.crc32(bytes, CRC_START);
  }

  private zeroedCrc(content: number, offset: number): number {
    const key = content * 2 + (offset === EMBEDDED_IN_APP % SECTOR_BYTES ? 0 : 1);
    const known = this.zeroed.get(key);
    if (known !== undefined) return known;
    const bytes = this.contents.bytes(content).slice();
    bytes.fill(0, offset, offset + 8);
    const crc = this.contents.crc32(bytes, 0);
    this.zeroed.set(key, crc);
    return crc;
  }

  /** XOR over the data of all segments, of an application that is there to its end. */
  private checksum(chip: BranchChip): number {
    let checksum: number = CHECKSUM_START;
    let position = APP_START_OFFSET + IMAGE_HEADER_BYTES;
    for (let left = chip.byte(APP_START_OFFSET + 1); left > 0; left--) {
      const length = chip.word(position + 4);
      position += SEGMENT_HEADER_BYTES;
      checksum ^= this.xorRange(chip, position, position + length);
      position += length;
    }
    return checksum;
  }

  private xorRange(chip: BranchChip, start: number, end: number): number {
    let xor = 0;
    for (let at = start; at < end; ) {
      const offset = at % SECTOR_BYTES;
      const count = Math.min(SECTOR_BYTES - offset, end - at);
      const content = chip.table[(at - offset) / SECTOR_BYTES]!;
      if (count === SECTOR_BYTES) xor ^= this.sectorXor(content);
      else xor ^= xorOf(this.contents.bytes(content), offset, offset + count);
      at += count;
    }
    return xor;
  }

  private sectorXor(content: number): number {
    let xor = this.xors.get(content);
    if (xor === undefined) {
      xor = xorOf(this.contents.bytes(content), 0, SECTOR_BYTES);
      this.xors.set(content, xor);
    }
    return xor;
  }
}

function xorOf(bytes: Uint8Array, start: number, end: number): number {
  let xor = 0;
  for (let i = start; i < end; i++) xor ^= bytes[i]!;
  return xor;
}
