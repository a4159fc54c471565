/** Command numbers, error bytes and limits of the loader protocol. Source: spec chapter 05 §5, §7–§9. */

export const FLASH_BEGIN = 0x02;
export const FLASH_DATA = 0x03;
export const FLASH_END = 0x04;
export const MEM_BEGIN = 0x05;
export const MEM_END = 0x06;
export const MEM_DATA = 0x07;
export const SYNC = 0x08;
export const WRITE_REG = 0x09;
export const READ_REG = 0x0a;
// From here on the stub only.
export const SPI_SET_PARAMS = 0x0b;
export const SPI_ATTACH = 0x0d;
export const CHANGE_BAUDRATE = 0x0f;
export const FLASH_DEFL_BEGIN = 0x10;
export const FLASH_DEFL_DATA = 0x11;
export const FLASH_DEFL_END = 0x12;
export const SPI_FLASH_MD5 = 0x13;
/** Known to neither dialect of this chip; every newer host asks (§7.10). */
export const GET_SECURITY_INFO = 0x14;
export const ERASE_FLASH = 0xd0;
export const ERASE_REGION = 0xd1;
export const READ_FLASH = 0xd2;
export const RUN_USER_CODE = 0xd3;

const names: ReadonlyMap<number, string> = new Map(
  Object.entries({
    FLASH_BEGIN,
    FLASH_DATA,
    FLASH_END,
    MEM_BEGIN,
    MEM_END,
    MEM_DATA,
    SYNC,
    WRITE_REG,
    READ_REG,
    SPI_SET_PARAMS,
    SPI_ATTACH,
    CHANGE_BAUDRATE,
    FLASH_DEFL_BEGIN,
    FLASH_DEFL_DATA,
    FLASH_DEFL_END,
    SPI_FLASH_MD5,
    GET_SECURITY_INFO,
    ERASE_FLASH,
    ERASE_REGION,
    READ_FLASH,
    RUN_USER_CODE,
  }).map(([name, number]) => [number, name]),
);

/** What a command is called; a number without a name as `0x99`. */
export const commandName = (command: number): string =>
  names.get(command) ?? `0x${command.toString(16).padStart(2, '0')}`;

/** Error bytes of the ROM, which come with status 1. */
export const ROM_FAILED = 1;
export const ROM_INVALID_MESSAGE = 0x05;
export const ROM_FAILED_TO_ACT = 0x06;
export const ROM_CHECKSUM = 0x07;
export const ROM_FLASH_WRITE = 0x08;
export const ROM_RAM_SIZE = 0x0e;
export const ROM_RAM_ADDRESS = 0x0f;

/** Status bytes of the stub, which come with error byte 0. */
export const STUB_FAILED = 0x01; // the legacy stub, of whatever goes wrong inside some commands
export const STUB_BAD_LENGTH = 0xc0;
export const STUB_BAD_CHECKSUM = 0xc1;
export const STUB_BAD_BLOCK_SIZE = 0xc2;
export const STUB_INVALID_COMMAND = 0xc3;
export const STUB_FAILED_SPI = 0xc4;
export const STUB_NOT_IN_FLASH_MODE = 0xc6;
export const STUB_INFLATE = 0xc7;
export const STUB_NOT_ENOUGH_DATA = 0xc8;
export const STUB_TOO_MUCH_DATA = 0xc9;
export const STUB_NOT_IMPLEMENTED = 0xff;

/** Largest block of a *_DATA command. The ROM of hosts that know it gets 0x400 (RAM: 0x1800); esptool-js sends it this. */
export const BLOCK_LIMIT = 0x4000;
/** Length, sequence number and two words of 0 before the bytes of a *_DATA command. */
export const BLOCK_HEADER_BYTES = 16;
