/** `flash_hal_*`: how the file systems reach the flash, with their error codes. Source: spec chapter 01 §2.3. */
import type { EspFlash } from './esp-class.ts';
import { SECTOR_BYTES } from './geometry.ts';

export const FLASH_HAL_OK = 0;
export const FLASH_HAL_READ_ERROR = -1;
export const FLASH_HAL_WRITE_ERROR = -2;
export const FLASH_HAL_ERASE_ERROR = -3;

/** Fills `target` from the flash; 0 or -1, and then `target` is as it was. */
export function flashHalRead(esp: EspFlash, address: number, target: Uint8Array): 0 | -1 {
  const bytes = esp.flashRead(address, target.length);
  if (!bytes) return FLASH_HAL_READ_ERROR;
  target.set(bytes);
  return FLASH_HAL_OK;
}

/** 0 or -2. No bytes at all are an error, as the byte overload says false. */
export async function flashHalWrite(esp: EspFlash, address: number, data: Uint8Array): Promise<0 | -2> {
  return (await esp.flashWrite(address, data)) ? FLASH_HAL_OK : FLASH_HAL_WRITE_ERROR;
}

/**
 * Erases whole sectors; 0, or -3 at the first one that fails.
 *
 * @throws RangeError where the core aborts the program: an address or a size that is no multiple of a sector
 */
export async function flashHalErase(esp: EspFlash, address: number, size: number): Promise<0 | -3> {
  if (address % SECTOR_BYTES !== 0 || size % SECTOR_BYTES !== 0) {
    throw new RangeError(
      `flash_hal_erase(0x${address.toString(16)}, ${size}): whole sectors only; the core aborts here`,
    );
  }
  for (let done = 0; done < size; done += SECTOR_BYTES) {
    if (!(await esp.flashEraseSector((address + done) / SECTOR_BYTES))) return FLASH_HAL_ERASE_ERROR;
  }
  return FLASH_HAL_OK;
}
