/** A flasher on the serial port that speaks to the ROM's loader, and leaves it without a reset. Source: spec chapter 05 §7, §14. */
import { FLASH_BEGIN, FLASH_DATA, FLASH_END, SYNC } from '../../ota-services/rom-loader/commands.ts';
import { checksum, encodeRequest, SYNC_DATA, wordBytes } from '../../ota-services/rom-loader/packets.ts';
import { SlipDecoder } from '../../ota-services/rom-loader/slip.ts';
import type { Device } from '../device.ts';
import type { Stage } from './scenario.ts';

const BLOCK = 0x400;
const LONGEST_REPLY = 64;
/** Leave the loader and run what is in flash. */
const RUN_USER_CODE = 1;
const STATUS_OFFSET = 8;

/** `esptool write_flash 0 FILE` with `--after soft_reset`: the chip stays in the state in which the straps were latched. */
export async function flashWithoutReset(stage: Stage, device: Device, image: Uint8Array): Promise<void> {
  const replies: Uint8Array[] = [];
  const decoder = new SlipDecoder(LONGEST_REPLY, (payload) => replies.push(payload));
  const port = device.serial.connect({ peer: 'flasher', lines: false, write: (bytes) => decoder.push(bytes) });
  const ask = async (command: number, data: Uint8Array, sum = 0): Promise<void> => {
    replies.length = 0;
    port?.receive(encodeRequest(command, data, sum));
    await stage.until(device, 'reply of the loader', () => replies.some((reply) => reply[1] === command));
    stage.require(replies.find((reply) => reply[1] === command)?.[STATUS_OFFSET] === 0, `command ${command} succeeds`);
  };
  const words = (...values: number[]): Buffer => Buffer.concat(values.map(wordBytes));
  const blocks = Math.ceil(image.length / BLOCK);
  await ask(SYNC, SYNC_DATA);
  await ask(FLASH_BEGIN, words(image.length, blocks, BLOCK, 0));
  for (let block = 0; block < blocks; block++) {
    const data = Buffer.alloc(BLOCK, 0xff);
    data.set(image.subarray(block * BLOCK, (block + 1) * BLOCK));
    await ask(FLASH_DATA, Buffer.concat([words(BLOCK, block, 0, 0), data]), checksum(data));
  }
  await ask(FLASH_END, words(RUN_USER_CODE));
  port?.close();
  await stage.until(device, 'start', () => device.state?.state === 'running');
}
