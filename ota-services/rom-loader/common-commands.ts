/** Commands that both dialects carry out alike; `undefined` for data of the wrong length. Source: spec chapter 05 §7, §8.3. */
import type { ChipClock } from '../../flash/ports.ts';
import { type Outcome, SUCCESS } from './outcome.ts';
import { word } from './packets.ts';
import type { RamUpload } from './ram-upload.ts';
import type { Registers } from './registers.ts';

/** Hosts read this many replies to a SYNC. */
export const SYNC_REPLIES = 8;
/** Address, value, mask, delay. */
const WRITE_GROUP_BYTES = 16;
/** Longest delay of one WRITE_REG, all groups together. Hosts ask for microseconds. */
const DELAY_LIMIT_US = 1_000_000;

export function readRegister(registers: Registers, data: Uint8Array): Outcome | undefined {
  return data.length === 4 ? { ...SUCCESS, value: registers.read(word(data, 0)) } : undefined;
}

/** Applies groups of address, value, mask and delay in order. The delay, microseconds up to a second, is device time. */
export function writeRegisters(registers: Registers, clock: ChipClock, data: Uint8Array): Outcome | undefined {
  if (data.length === 0 || data.length % WRITE_GROUP_BYTES !== 0) return undefined;
  let delayUs = 0;
  for (let at = 0; at < data.length; at += WRITE_GROUP_BYTES) {
    registers.write(word(data, at), word(data, at + 4), word(data, at + 8));
    delayUs += word(data, at + 12);
  }
  clock.spend(Math.min(delayUs, DELAY_LIMIT_US));
  return SUCCESS;
}

/** Flag 0 jumps to the entry, anything else stays in the loader. */
export function memEnd(upload: RamUpload, data: Uint8Array): Outcome | undefined {
  if (data.length !== 8) return undefined;
  const entry = word(data, 4);
  const stub = upload.isStub(entry);
  upload.end();
  if (word(data, 0) !== 0) return SUCCESS;
  return { ...SUCCESS, next: stub ? { do: 'stub', entry } : { do: 'run-ram', entry } };
}
