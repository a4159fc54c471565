/** The checks that every implementation of `SectorStore` makes on what it is given. */

/** Smallest erase. Spec chapter 01 §1; `flash/geometry.ts` has it too, which this folder may not import. */
export const SECTOR_BYTES = 0x1000;
/** Branches that may be open at once. */
export const MAX_DEPTH = 1024;
/** Largest chip: one that 24-bit addresses reach. */
export const MAX_CAPACITY_BYTES = 0x1000000;

/** Throws RangeError unless `[address, address + length)` lies inside the chip. */
export function checkRange(what: string, address: number, length: number, capacityBytes: number): void {
  if (address >= 0 && length >= 0 && address + length <= capacityBytes) {
    if (Number.isInteger(address) && Number.isInteger(length)) return;
  }
  throw new RangeError(`${what}: ${length} bytes at ${address} are not inside a chip of ${capacityBytes} bytes`);
}

/** Throws RangeError unless the chip has that sector. */
export function checkSector(what: string, sector: number, capacityBytes: number): void {
  const count = capacityBytes / SECTOR_BYTES;
  if (Number.isInteger(sector) && sector >= 0 && sector < count) return;
  throw new RangeError(`${what}(${sector}): the chip has ${count} sectors`);
}

/** Throws RangeError unless a chip can have that size. */
export function checkCapacity(capacityBytes: number): void {
  const whole = Number.isInteger(capacityBytes) && capacityBytes % SECTOR_BYTES === 0;
  if (whole && capacityBytes >= SECTOR_BYTES && capacityBytes <= MAX_CAPACITY_BYTES) return;
  throw new RangeError(
    `createChip(${capacityBytes}): wanted whole sectors, ${SECTOR_BYTES} to ${MAX_CAPACITY_BYTES} bytes`,
  );
}
