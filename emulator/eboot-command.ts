/** The eboot command for users of the library: with the CRC filled in and checked. Source: spec chapter 01 §9.2. */
import { type CommandRecord, decodeCommand, type EbootCommand, encodeCommand } from '../eboot/command.ts';
import { crc32 } from '../flash/image-assemble.ts';

/**
 * The 128 bytes of a command, for the start of RTC user memory.
 *
 * @throws RangeError for more than 29 arguments
 * @example rtcUser.set(encodeEbootCommand({ action: 1, args: [0x1ac000, 0, 342704] }));
 */
export const encodeEbootCommand = (command: EbootCommand): Uint8Array => encodeCommand(command, crc32);

/**
 * The command in the first 128 bytes of RTC user memory, valid or not.
 *
 * @example decodeEbootCommand(device.rtc.readUser(0, 128)).crcOk
 */
export const decodeEbootCommand = (user: Uint8Array): CommandRecord => decodeCommand(user, crc32);
