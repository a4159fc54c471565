/** The little of ELF that reading a linked firmware takes: entry and named sections of a 32-bit little-endian file. */
export interface Elf {
  readonly entry: number;
  has(name: string): boolean;
  /** @throws Error when there is none of that name */
  section(name: string): { address: number; data: Uint8Array };
}

export function readElf(bytes: Buffer): Elf {
  const table = bytes.readUInt32LE(0x20);
  const size = bytes.readUInt16LE(0x2e);
  const headers = Array.from({ length: bytes.readUInt16LE(0x30) }, (_, i) => bytes.subarray(table + i * size));
  const names = headers[bytes.readUInt16LE(0x32)]!.readUInt32LE(16);
  const find = (name: string): Buffer | undefined =>
    headers.find((candidate) => {
      const at = names + candidate.readUInt32LE(0);
      return bytes.toString('latin1', at, bytes.indexOf(0, at)) === name;
    });
  return {
    entry: bytes.readUInt32LE(0x18),
    has: (name) => find(name) !== undefined,
    section(name) {
      const header = find(name);
      if (!header) throw new Error(`the ELF file has no section ${name}`);
      const offset = header.readUInt32LE(16);
      return { address: header.readUInt32LE(12), data: bytes.subarray(offset, offset + header.readUInt32LE(20)) };
    },
  };
}
