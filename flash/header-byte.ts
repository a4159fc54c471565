/**
 * What bytes 2 and 3 of the image header at flash offset 0 mean: to the core, and to the SDK.
 * Source: spec chapter 01 §3; for the nibbles that the core does not decode, the start-up code of the SDK as
 * esp-open-rtos has it (`core/app_main.c`) and `enum flash_size_map` of the vendor's Non-OS SDK.
 */

const M = 0x100000;

const coreSizes: ReadonlyMap<number, number> = new Map([
  [0, M / 2],
  [1, M / 4],
  [2, M],
  [3, 2 * M],
  [4, 4 * M],
  [8, 8 * M],
  [9, 16 * M],
]);

const speeds: ReadonlyMap<number, number> = new Map([
  [0, 40_000_000],
  [1, 26_000_000],
  [2, 20_000_000],
  [0xf, 80_000_000],
]);

/** Mode that the core reports for a byte 2 it does not know. */
export const FLASH_MODE_UNKNOWN = 0xff;

/** `getFlashChipSize()`: bytes by the high nibble of byte 3, 0 for a nibble that the core does not know. */
export const coreSizeOfHeader = (byte3: number): number => coreSizes.get(byte3 >>> 4) ?? 0;

/** `getFlashChipSpeed()`: Hz by the low nibble of byte 3, else 0. */
export const speedOfHeader = (byte3: number): number => speeds.get(byte3 & 0xf) ?? 0;

/** `getFlashChipMode()`: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT, or {@link FLASH_MODE_UNKNOWN}. */
export const modeOfHeader = (byte2: number): number => (byte2 > 3 ? FLASH_MODE_UNKNOWN : byte2);

/**
 * The SDK's `chip_size` by byte 3. Assumed where the spec is silent: nibbles 5 (2 MiB) and 6 (4 MiB) are valid to the SDK,
 * as they differ in the slots of its own update scheme only, and any other unknown one means the smallest, 512 KiB.
 */
export function sdkSizeOfHeader(byte3: number): number {
  const nibble = byte3 >>> 4;
  if (nibble === 5) return 2 * M;
  if (nibble === 6) return 4 * M;
  return coreSizes.get(nibble) ?? M / 2;
}
