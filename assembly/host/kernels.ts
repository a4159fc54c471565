/**
 * The kernels as the rest of the project sees them. One {@link Kernels} is one WASM instance with its own linear memory;
 * a device has one. Everything takes and returns plain numbers and byte arrays; offsets into linear memory stay inside.
 */

/** A streaming MD5 whose state (RFC 1321: 4 words, 64-bit count, 64-byte block) lives in linear memory. */
export interface Md5Stream {
  /** Starts over. */
  reset(): this;
  /** Adds bytes, of any length. */
  update(data: Uint8Array): this;
  /** Adds bytes of the chip without copying them out. */
  updateFromChip(chip: SectorStore, address: number, length: number): this;
  /** Finishes; 16 bytes. Call {@link Md5Stream.reset} before using the stream again. */
  digest(): Uint8Array;
  /** Gives the state's slot back. A device makes a handful of streams; a sweep frees what it makes. */
  free(): void;
}

/**
 * The bytes of one NOR chip, sector by sector, copy-on-write: `fork` starts a branch in under a microsecond, `drop`
 * throws it away, `commit` makes it the parent's content. Addresses are byte offsets from the start of the chip.
 * Every method throws RangeError for a range outside the chip. Branches nest.
 */
export interface SectorStore {
  readonly capacityBytes: number;
  /** How many forks are open. */
  readonly depth: number;
  /** Copies `target.length` bytes from `address` into `target`. */
  readInto(address: number, target: Uint8Array): void;
  /** A fresh copy of `length` bytes. */
  read(address: number, length: number): Uint8Array;
  /**
   * NOR program: `cell = cell AND data`, over any range (page rules are the caller's).
   * @returns how many bits were asked to go 0 -> 1 and stayed 0
   */
  program(address: number, data: Uint8Array): number;
  /** Sets one sector to 0xFF. */
  eraseSector(sector: number): void;
  /** What erasing sector `to` and programming the bytes of sector `from` into it leaves; both are sector indexes. */
  copySector(from: number, to: number): void;
  /** Sets bytes to whatever is given, as no chip can: images at start, torn states, bit rot. */
  overwrite(address: number, data: Uint8Array): void;
  /** True when every byte of the range is 0xFF. */
  isBlank(address: number, length: number): boolean;
  /** True when the range holds exactly `data`. */
  equals(address: number, data: Uint8Array): boolean;
  /** CRC-32/MPEG-2 over a range, continuing from `crc`. */
  crc32(address: number, length: number, crc?: number): number;
  /** Opens a branch; returns the new depth. */
  fork(): number;
  /** Forgets everything since the last {@link SectorStore.fork}. Throws when none is open. */
  drop(): void;
  /** Keeps everything since the last {@link SectorStore.fork}. Throws when none is open. */
  commit(): void;
  /** Sectors that differ (or may differ: were written) between this branch and its parent. */
  touchedSectors(): number[];
}

export interface Kernels {
  /** CRC-32/MPEG-2: polynomial 0x04C11DB7, initial value 0xFFFFFFFF, no reflection, no final XOR. Unsigned result. */
  crc32(data: Uint8Array, crc?: number): number;
  md5(): Md5Stream;
  /** MD5 of up to four independent inputs at once, one per SIMD lane; each 16 bytes, in order. */
  md5x4(inputs: readonly Uint8Array[]): Uint8Array[];
  /** Makes the chip's bytes, all 0xFF. One chip per instance; throws when there is one already. */
  createChip(capacityBytes: number): SectorStore;
}
