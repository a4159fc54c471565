/**
 * SPI NOR parts found on ESP8266 modules: JEDEC id, capacity, timings. Source: spec chapter 01 §1 (timing), §3 (ids).
 *
 * Datasheet figures differ by revision; those here are the typical ones of the spec's timing table.
 */
import { CHIP_MAX_BYTES, CHIP_MIN_BYTES } from './geometry.ts';

/** What the chip is. Times are integer microseconds of one operation. */
export interface FlashPart {
  /** As printed on the package, e.g. `W25Q32`. */
  readonly name: string;
  /** As `spi_flash_get_id()` shows it: bits 0–7 vendor, 8–15 memory type, 16–23 capacity exponent. */
  readonly jedecId: number;
  readonly capacityBytes: number;
  /** One program operation, whatever its length up to a page. */
  readonly pageProgramUs: number;
  readonly sectorEraseUs: number;
  /** 64 KiB. */
  readonly blockEraseUs: number;
  readonly chipEraseUs: number;
  /** Reading 4096 bytes, overhead included. */
  readonly readUsPer4KiB: number;
  /** Erases that a sector is specified for. */
  readonly enduranceCycles: number;
}

/** Vendor byte of the PUYA parts, for which the core reads back and ANDs before it programs. Source: spec chapter 01 §2.3, §3. */
export const VENDOR_PUYA = 0x85;

/** Vendor bytes and the names that people know them by. Source: spec chapter 01 §3. */
export const vendors: ReadonlyMap<number, string> = new Map([
  [0xef, 'Winbond'],
  [0xc8, 'GigaDevice'],
  [VENDOR_PUYA, 'PUYA'],
  [0x20, 'XMC/ST'],
  [0xc2, 'Macronix'],
  [0xe0, 'BergMicro'],
  [0x1c, 'EON'],
  [0x9d, 'PMC'],
  [0xbf, 'SST'],
  [0x01, 'Spansion/AMD'],
]);

type Timing = Pick<
  FlashPart,
  'pageProgramUs' | 'sectorEraseUs' | 'blockEraseUs' | 'chipEraseUs' | 'readUsPer4KiB' | 'enduranceCycles'
>;

/** The spec's suggested model; its chip erase (10 s) is that of 4 MiB and grows with the capacity. */
const timingOf = (capacityBytes: number): Timing => ({
  pageProgramUs: 700,
  sectorEraseUs: 45_000,
  blockEraseUs: 150_000,
  chipEraseUs: Math.ceil((10_000_000 * capacityBytes) / 0x400000),
  readUsPer4KiB: 600,
  enduranceCycles: 100_000,
});

/** JEDEC id, name. `sizedByCore`: listed in `getFlashChipSizeByChipId()`, which answers 0 for all others. */
const table: readonly (readonly [jedecId: number, name: string, sizedByCore: boolean])[] = [
  [0x1740c8, 'GD25Q64B', true],
  [0x1640c8, 'GD25Q32B', true],
  [0x1540c8, 'GD25Q16B', true],
  [0x1440c8, 'GD25Q80', true],
  [0x1340c8, 'GD25Q40', true],
  [0x1240c8, 'GD25Q20', true],
  [0x1140c8, 'GD25Q10', true],
  [0x1040c8, 'GD25Q12', true],
  [0x1840ef, 'W25Q128', true],
  [0x1740ef, 'W25Q64', false], // missing from the core's table
  [0x1640ef, 'W25Q32', true],
  [0x1540ef, 'W25Q16', true],
  [0x1440ef, 'W25Q80', true],
  [0x1340ef, 'W25Q40', true],
  [0x1640e0, 'BG25Q32', true],
  [0x1540e0, 'BG25Q16', true],
  [0x1440e0, 'BG25Q80', true],
  [0x1340e0, 'BG25Q40', true],
  [0x164020, 'XM25QH32B', true],
];

/** Capacity that the id claims, in bytes: 2 to the power of bits 16–23, by the CPU's 32-bit shift. */
export const capacityOfId = (jedecId: number): number => (1 << ((jedecId >>> 16) & 0xff)) >>> 0;

/** Low byte of a JEDEC id. */
export const vendorOfId = (jedecId: number): number => jedecId & 0xff;

/** All parts whose id the spec names. */
export const parts: readonly FlashPart[] = table.map(([jedecId, name]) => ({
  name,
  jedecId,
  capacityBytes: capacityOfId(jedecId),
  ...timingOf(capacityOfId(jedecId)),
}));

const partsById = new Map(parts.map((part) => [part.jedecId, part]));
const sizedByCore = new Set(table.filter(([, , sized]) => sized).map(([jedecId]) => jedecId));

/** What `getFlashChipSizeByChipId()` answers for an id: bytes, or 0 for an id that the core does not list. */
export const coreSizeById = (jedecId: number): number => (sizedByCore.has(jedecId) ? capacityOfId(jedecId) : 0);

/**
 * The part with this id. An unknown id gets a generic part of the capacity that the id claims, named after its vendor.
 *
 * @param jedecId 24 bits, as `getFlashChipId()` shows it
 * @throws RangeError for an id that is not 24 bits, or claims a capacity no chip of this interface can have (over 16 MiB)
 * @example partById(0x1640ef).name // 'W25Q32'
 */
export function partById(jedecId: number): FlashPart {
  const known = partsById.get(jedecId);
  if (known) return known;
  if (!Number.isInteger(jedecId) || jedecId <= 0 || jedecId > 0xffffff) {
    throw new RangeError(`a JEDEC id has 24 bits, such as 0x1640ef; got ${jedecId}`);
  }
  const exponent = jedecId >>> 16;
  const capacityBytes = 2 ** exponent;
  if (capacityBytes > CHIP_MAX_BYTES) {
    throw new RangeError(
      `JEDEC id 0x${jedecId.toString(16)} claims 2^${exponent} bytes; a 24-bit address reaches ${CHIP_MAX_BYTES} (exponent 24)`,
    );
  }
  const vendor = vendors.get(vendorOfId(jedecId)) ?? 'generic';
  return { name: `${vendor} 0x${jedecId.toString(16)}`, jedecId, capacityBytes, ...timingOf(capacityBytes) };
}

/**
 * The Winbond part of a capacity: what most modules carry.
 *
 * @param capacityBytes a power of two from 512 KiB to 16 MiB
 * @throws RangeError for any other
 */
export function defaultPart(capacityBytes: number): FlashPart {
  const exponent = Math.log2(capacityBytes);
  if (!Number.isInteger(exponent) || capacityBytes < CHIP_MIN_BYTES || capacityBytes > CHIP_MAX_BYTES) {
    throw new RangeError(`a chip has 512 KiB to 16 MiB, a power of two; got ${capacityBytes} bytes`);
  }
  return partById((exponent << 16) | 0x40ef);
}
