/**
 * As much of LittleFS 2 as a mount looks at: the pair of metadata blocks at the start of the region, with small files inside.
 * A freshly made image has one valid block of the two. Source: the format's public SPEC.md; only what is used here.
 */
import { crc32 } from 'node:zlib';

const TYPE_CREATE = 0x401;
const TYPE_SUPERBLOCK = 0x0ff;
const TYPE_FILE = 0x001;
const TYPE_INLINE = 0x201;
const TYPE_CRC = 0x500;
const NO_ID = 0x3ff;
const MAGIC = 'littlefs';
const VERSION = 0x0002_0000;
/** Largest name, file and attribute, as the core configures them. */
const LIMITS = [32, 0x7fff_ffff, 1022] as const;
/** Entries of one block: a bound for damaged ones. */
const MAX_ENTRIES = 256;

export interface FsGeometry {
  /** Bytes of the region, and of an erase block in it. */
  readonly size: number;
  readonly block: number;
}

/** LittleFS does not invert its CRC at the end, as others do. */
const crcOf = (bytes: Uint8Array): number => ~crc32(bytes) >>> 0;

/** An image of the whole region that holds these files (name and text, each below a block). */
export function makeLittleFs({ size, block }: FsGeometry, files: Readonly<Record<string, string>>): Uint8Array {
  const image = new Uint8Array(size).fill(0xff);
  const view = new DataView(image.buffer);
  view.setUint32(0, 1, true); // revision
  let at = 4;
  let previous = 0xffff_ffff;
  const entry = (type: number, id: number, data: Uint8Array, length = data.length): void => {
    const tag = ((type << 20) | (id << 10) | length) >>> 0;
    view.setUint32(at, (tag ^ previous) >>> 0);
    previous = tag;
    image.set(data, at + 4);
    at += 4 + data.length;
  };
  const superblock = new Uint8Array(24);
  for (const [index, word] of [VERSION, block, size / block, ...LIMITS].entries()) {
    new DataView(superblock.buffer).setUint32(index * 4, word, true);
  }
  entry(TYPE_CREATE, 0, new Uint8Array(0));
  entry(TYPE_SUPERBLOCK, 0, Buffer.from(MAGIC));
  entry(TYPE_INLINE, 0, superblock);
  for (const [index, [name, text]] of Object.entries(files).sort().entries()) {
    entry(TYPE_CREATE, index + 1, new Uint8Array(0));
    entry(TYPE_FILE, index + 1, Buffer.from(name));
    entry(TYPE_INLINE, index + 1, Buffer.from(text));
  }
  entry(TYPE_CRC, NO_ID, new Uint8Array(0), 4);
  view.setUint32(at, crcOf(image.subarray(0, at)), true);
  return image;
}

/** The files of a region, or why it cannot be mounted. @param pair its first two blocks */
export function mountLittleFs(pair: Uint8Array, block: number): ReadonlyMap<string, string> | string {
  let why = 'no superblock';
  for (const start of [0, block]) {
    const found = readBlock(pair.subarray(start, start + block));
    if (typeof found !== 'string') return found;
    if (found !== 'nothing') why = found;
  }
  return why;
}

function readBlock(bytes: Uint8Array): ReadonlyMap<string, string> | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = (from: number, length: number): string => Buffer.from(bytes.subarray(from, from + length)).toString();
  const names = new Map<number, string>();
  const files = new Map<string, string>();
  let at = 4;
  let previous = 0xffff_ffff;
  for (let count = 0; count < MAX_ENTRIES && at + 8 <= bytes.length; count++) {
    const tag = (view.getUint32(at) ^ previous) >>> 0;
    const [type, id, length] = [(tag >>> 20) & 0x7ff, (tag >>> 10) & 0x3ff, tag & 0x3ff];
    if (tag >>> 31 === 1) break;
    previous = tag;
    at += 4;
    if (type >> 8 === TYPE_CRC >> 8) {
      if (view.getUint32(at, true) !== crcOf(bytes.subarray(0, at))) return 'the checksum of its first block is wrong';
      return names.get(0) === MAGIC ? files : 'no superblock';
    }
    if (type === TYPE_SUPERBLOCK || type === TYPE_FILE) names.set(id, text(at, length));
    if (type === TYPE_INLINE && id > 0) files.set(names.get(id) ?? '', text(at, length));
    at += length;
  }
  return 'nothing';
}
