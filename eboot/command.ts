/**
 * The eboot command: 128 bytes at the start of RTC user memory that tell the bootloader what to do.
 * Source: spec chapter 01 §9.2, vectors in §12.
 */

export const COMMAND_BYTES = 128;
export const COMMAND_WORDS = COMMAND_BYTES / 4;
export const COMMAND_MAGIC = 0xeb001000;
/** The low 12 bits of the magic word are ignored when it is read. */
export const COMMAND_MAGIC_MASK = 0xfffff000;
export const ACTION_COPY_RAW = 1;
export const ACTION_LOAD_APP = 0xffffffff;
export const ARGUMENT_COUNT = 29;
/** Index of the CRC word; the CRC covers what lies before it. */
export const CRC_WORD = 31;
const CRC_OFFSET = CRC_WORD * 4;

/** CRC-32/MPEG-2 (`Kernels.crc32`): polynomial 0x04C11DB7, initial value 0xFFFFFFFF, unsigned result. */
export type Crc32 = (data: Uint8Array) => number;

export interface EbootCommand {
  /** 1 copy raw, 0xFFFFFFFF load app. */
  readonly action: number;
  /** Up to 29 words. Copy: source, destination, size in bytes. Load app: flash base. Missing ones are 0. */
  readonly args: readonly number[];
}

/** The command record in RTC memory as it is, valid or not. */
export interface CommandRecord {
  readonly magic: number;
  readonly action: number;
  /** All 29 argument words. */
  readonly args: readonly number[];
  readonly crc: number;
  /** The masked magic is right. */
  readonly magicOk: boolean;
  /** The stored CRC is that of the bytes before it. */
  readonly crcOk: boolean;
}

/**
 * The 128 bytes of a command.
 *
 * @throws RangeError for more than 29 arguments
 * @example encodeCommand({ action: ACTION_COPY_RAW, args: [0x1ac000, 0, 342704] }, kernels.crc32)
 */
export function encodeCommand(command: EbootCommand, crc32: Crc32): Uint8Array {
  if (command.args.length > ARGUMENT_COUNT) {
    throw new RangeError(`${command.args.length} arguments: an eboot command holds ${ARGUMENT_COUNT}`);
  }
  const bytes = new Uint8Array(COMMAND_BYTES);
  const words = new DataView(bytes.buffer);
  words.setUint32(0, COMMAND_MAGIC, true);
  words.setUint32(4, command.action, true);
  command.args.forEach((argument, index) => {
    words.setUint32(8 + 4 * index, argument, true);
  });
  words.setUint32(CRC_OFFSET, crc32(bytes.subarray(0, CRC_OFFSET)), true);
  return bytes;
}

/** Reads a record out of RTC user memory (at least its first 128 bytes). Any content is allowed. */
export function decodeCommand(user: Uint8Array, crc32: Crc32): CommandRecord {
  if (user.length < COMMAND_BYTES) throw new RangeError(`${user.length} bytes: an eboot command has ${COMMAND_BYTES}`);
  const words = new DataView(user.buffer, user.byteOffset, COMMAND_BYTES);
  const magic = words.getUint32(0, true);
  const crc = words.getUint32(CRC_OFFSET, true);
  return {
    magic,
    action: words.getUint32(4, true),
    args: Array.from({ length: ARGUMENT_COUNT }, (_, index) => words.getUint32(8 + 4 * index, true)),
    crc,
    magicOk: (magic & COMMAND_MAGIC_MASK) >>> 0 === COMMAND_MAGIC,
    crcOk: crc === crc32(user.subarray(0, CRC_OFFSET)) >>> 0,
  };
}

/**
 * Whether a bootloader acts on this record: magic and CRC must be right. Builds before 2.7.0 meant to check the magic as
 * well, but only its lowest bit counts there: it must be 0.
 *
 * @param magicChecked {@link Era.magicChecked}
 */
export function isValidCommand(record: CommandRecord, magicChecked = true): boolean {
  return record.crcOk && (magicChecked ? record.magicOk : (record.magic & 1) === 0);
}

const ARGUMENT_NAMES = ['source', 'destination', 'size'];

/**
 * What writing `value` at byte `offset` of user memory means for the command, for the event `rtc.write`; undefined
 * beyond the record.
 */
export function meaningOf(offset: number, value: number): string | undefined {
  const word = offset >> 2;
  if (word >= COMMAND_WORDS) return undefined;
  if (word === 0) return value === 0 ? 'eboot command: magic cleared' : 'eboot command: magic';
  if (word === 1) return 'eboot command: action';
  if (word === CRC_WORD) return value === 0 ? 'eboot command: CRC cleared' : 'eboot command: CRC';
  const name = ARGUMENT_NAMES[word - 2];
  return `eboot command: argument ${word - 2}${name ? ` (${name})` : ''}`;
}

/** The word store that a command lives in: {@link RtcMemory}, or an array in tests. */
export interface CommandStore {
  /** Stores one 32-bit word at byte `offset` (a multiple of 4) of user memory. */
  writeUserWord(offset: number, value: number): void;
}

/** Stores all 32 words, word 0 first, as the core does. */
export function writeCommand(store: CommandStore, command: EbootCommand, crc32: Crc32): void {
  const words = new DataView(encodeCommand(command, crc32).buffer);
  for (let offset = 0; offset < COMMAND_BYTES; offset += 4) store.writeUserWord(offset, words.getUint32(offset, true));
}

/** Zeroes word 0, then word 31; action and arguments stay readable. */
export function clearCommand(store: CommandStore): void {
  store.writeUserWord(0, 0);
  store.writeUserWord(CRC_OFFSET, 0);
}

/** The command as the core's Updater writes it; has the shape of `EbootCommandPort` in ota-services/ports.ts. */
export function commandPort(
  store: CommandStore,
  crc32: Crc32,
): { writeCopy(source: number, destination: number, size: number): void; clear(): void } {
  return {
    writeCopy: (source, destination, size) =>
      writeCommand(store, { action: ACTION_COPY_RAW, args: [source, destination, size] }, crc32),
    clear: () => clearCommand(store),
  };
}
