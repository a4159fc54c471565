/**
 * The 8-byte image header and the 8-byte segment header. Sources: spec chapter 01 §7.1 (tools/elf2bin.py), §3
 * (cores/esp8266/Esp.cpp); address windows: §6.1 and, for what eboot loads, §9.5.
 */

import { coreSizeOfHeader, speedOfHeader } from './header-byte.ts';

export const IMAGE_MAGIC = 0xe9;
/** The magic of Espressif's own two-slot images (`user1.bin`), which neither the ROM nor eboot start. */
export const IMAGE_MAGIC_V2 = 0xea;
export const IMAGE_HEADER_BYTES = 8;
export const SEGMENT_HEADER_BYTES = 8;
/** The checksum is the last byte of a row of this many bytes. */
export const IMAGE_ROW_BYTES = 16;
/** Start value of the XOR over all segment data. */
export const CHECKSUM_START = 0xef;

/** SPI read modes, by the value of header byte 2. */
export const flashModes = ['qio', 'qout', 'dio', 'dout'] as const;
export type FlashMode = (typeof flashModes)[number];

/** SPI clock rates an image can ask for, in MHz. */
export const flashFrequencies: readonly number[] = [40, 26, 20, 80];

/** Header byte 2 as a mode; undefined for a value above 3 (the core says "unknown", 0xFF). */
export const decodeMode = (byte: number): FlashMode | undefined => flashModes[byte];

/** SPI clock in MHz by the low nibble of header byte 3; 0 when the core does not know the nibble. */
export const decodeFreq = (sizeFreqByte: number): number => speedOfHeader(sizeFreqByte) / 1_000_000;

/** @throws RangeError for a mode that no header can name */
export function encodeMode(mode: string): number {
  const byte = (flashModes as readonly string[]).indexOf(mode);
  if (byte < 0) throw new RangeError(`flash mode ${mode}: want one of ${flashModes.join(', ')}`);
  return byte;
}

/**
 * Header byte 3.
 *
 * @param chipSize bytes
 * @param freqMHz 40, 26, 20 or 80
 * @throws RangeError for a size or rate that no header can name
 */
export function encodeSizeFreq(chipSize: number, freqMHz: number): number {
  const nibbles = Array.from({ length: 16 }, (_, nibble) => nibble);
  const size = nibbles.find((nibble) => coreSizeOfHeader(nibble << 4) === chipSize);
  const freq = nibbles.find((nibble) => decodeFreq(nibble) === freqMHz);
  if (!chipSize || size === undefined)
    throw new RangeError(`flash size ${chipSize}: want 256 KiB to 16 MiB, a power of two`);
  if (!freqMHz || freq === undefined)
    throw new RangeError(`flash frequency ${freqMHz} MHz: want ${flashFrequencies.join(', ')}`);
  return (size << 4) | freq;
}

export interface ImageHeader {
  /** Byte 0; 0xE9 in an image the ROM starts. */
  readonly magic: number;
  readonly segmentCount: number;
  readonly modeByte: number;
  readonly mode: FlashMode | 'unknown';
  readonly sizeFreqByte: number;
  /** Bytes; 0 when unknown. */
  readonly flashSize: number;
  /** MHz; 0 when unknown. */
  readonly freqMHz: number;
  /** CPU address the loader jumps to. */
  readonly entry: number;
}

/** 32 bits little-endian, unsigned; the caller sees to it that four bytes are there. */
export const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;

export function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >>> 8) & 0xff;
  bytes[at + 2] = (value >>> 16) & 0xff;
  bytes[at + 3] = value >>> 24;
}

/** Decodes 8 bytes at `at`; any bytes decode. */
export function decodeHeader(bytes: Uint8Array, at = 0): ImageHeader {
  const sizeFreqByte = bytes[at + 3]!;
  const modeByte = bytes[at + 2]!;
  return {
    magic: bytes[at]!,
    segmentCount: bytes[at + 1]!,
    modeByte,
    mode: decodeMode(modeByte) ?? 'unknown',
    sizeFreqByte,
    flashSize: coreSizeOfHeader(sizeFreqByte),
    freqMHz: decodeFreq(sizeFreqByte),
    entry: wordAt(bytes, at + 4),
  };
}

/** What lies at a segment's load address. */
export type SegmentKind = 'dram' | 'rom' | 'iram' | 'irom' | 'rtc' | 'other';

/** Kind by the start address alone, as eboot judges it (it does not look at the end). */
export function segmentKind(address: number): SegmentKind {
  if (address >= 0x3ffe8000 && address < 0x40000000) return 'dram';
  if (address >= 0x40000000 && address < 0x40010000) return 'rom';
  if (address >= 0x40100000 && address < 0x40110000) return 'iram';
  if (address >= 0x40200000 && address < 0x40300000) return 'irom';
  if (address >= 0x60001000 && address < 0x60001400) return 'rtc';
  return 'other';
}

/** Whether eboot copies a segment of an application to RAM; what it skips is executed in place or not at all. */
export const ebootLoads = (address: number): boolean =>
  address < 0x40000000 || (address >= 0x40100000 && address < 0x4010c000) || address >= 0x60000000;
