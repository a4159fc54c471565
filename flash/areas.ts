/** What an address of the chip is for. Source: design.md §5; spec chapter 01 §4. */
import type { Area } from './events.ts';
import { APP_START_OFFSET, SECTOR_BYTES } from './geometry.ts';
import { CODE_START_OFFSET, EEPROM_BYTES, type FlashLayout, RFCAL_BYTES, WIFI_BYTES } from './layouts.ts';

/** Chip offsets; `end` is the first byte behind. */
export interface AddressRange {
  readonly start: number;
  readonly end: number;
}

/** Where the largest sketch of a serial upload ends: the application's area when no image tells its own size. */
export const largestAppEnd = (layout: FlashLayout): number =>
  Math.min(layout.sketchMax + CODE_START_OFFSET, layout.fsStart);

/**
 * The area of an address. Fixed areas go first, so a file system that is updated in place stays `fs`; then the staging
 * area, which may reach over the application when an update leaves it no room beside it.
 *
 * @param address chip offset in bytes
 * @param staging range of the last `update.begin`, if any
 * @param appEnd end of the application in flash; the largest one of the layout unless given
 */
export function areaOf(
  layout: FlashLayout,
  address: number,
  staging?: AddressRange,
  appEnd: number = largestAppEnd(layout),
): Area {
  if (address < SECTOR_BYTES) return 'eboot';
  if (address >= layout.eepromStart) {
    if (address < layout.eepromStart + EEPROM_BYTES) return 'eeprom';
    if (address < layout.rfcalStart + RFCAL_BYTES) return 'rfcal';
    return address < layout.wifiStart + WIFI_BYTES ? 'wifi' : 'gap'; // a chip larger than the layout
  }
  if (address >= layout.fsStart && address < layout.fsEnd) return 'fs';
  if (staging && address >= staging.start && address < staging.end) return 'staging';
  return address >= APP_START_OFFSET && address < appEnd ? 'app' : 'gap';
}
