/** What the Updater demands of an image's first bytes. Source: spec chapter 02 §7.3; sizes: chapter 01 §3. */
import type { EspFlash } from '../flash/esp-class.ts';
import { coreSizeOfHeader } from '../flash/header-byte.ts';
import type { UpdateError } from './updater-errors.ts';

export const IMAGE_MAGIC = 0xe9;
export const GZIP_MAGIC_0 = 0x1f;
export const GZIP_MAGIC_1 = 0x8b;

type HeaderFlash = Pick<EspFlash, 'flashRead' | 'flashMapSupport' | 'getFlashChipRealSize'>;

/**
 * `_verifyEnd` for a sketch: looks at what is really staged. Of a gzip only the two magic bytes are looked at, whatever
 * size its content asks for (Q13). An unknown size nibble fits every chip; an "autoflash" build does not ask.
 *
 * @param takesGzip as {@link ServiceEra} says
 */
export function findHeaderError(flash: HeaderFlash, start: number, takesGzip = true): UpdateError | undefined {
  const header = flash.flashRead(start, 4);
  if (!header) return { name: 'READ', code: 3, address: start };
  const [magic = 0, second = 0, , sizeAndSpeed = 0] = header;
  if (takesGzip && magic === GZIP_MAGIC_0 && second === GZIP_MAGIC_1) return undefined;
  if (magic !== IMAGE_MAGIC) return { name: 'MAGIC_BYTE', code: 10, found: magic };
  if (flash.flashMapSupport) return undefined;
  const wantedSize = coreSizeOfHeader(sizeAndSpeed);
  const realSize = flash.getFlashChipRealSize();
  return wantedSize > realSize ? { name: 'NEW_FLASH_CONFIG', code: 9, realSize, wantedSize } : undefined;
}
