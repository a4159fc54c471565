/** The address space as loads and stores see it. Spec chapter 07 §4; the order of the checks is §3's. */
import { Cause } from './exceptions';
import { firstOf } from './fuse';
import {
  DRAM,
  DRAM_BYTES,
  DRAM_START,
  ENTRIES,
  ENTRY_BYTES,
  ENTRY_SHIFT,
  FAULT,
  HAS_DEVICES,
  IRAM,
  IRAM_BYTES,
  IRAM_START,
  REGION_0_END,
  ROM_BYTES,
  ROM_START,
} from './layout';

/** The host's devices: value, and whether the store was performed. */
// @ts-ignore: decorator
@external('env', 'deviceLoad')
declare function deviceLoad(address: u32, size: u32): u32;
// @ts-ignore: decorator
@external('env', 'deviceStore')
declare function deviceStore(address: u32, value: u32, size: u32): bool;

/** In `FAULT`: the access was served. */
export const SERVED: u32 = 0xff;

/** Device registers and RTC RAM. */
function isDevice(address: u32): bool {
  return address - 0x60000000 < 0x1400 || address - 0x3ff00000 < 0x20000;
}

/** Loads 1, 2 or 4 bytes, zero-extended; `FAULT` tells whether that went well. */
export function loadData(address: u32, size: u32): u32 {
  store<u32>(FAULT, SERVED);
  if (address & (size - 1)) {
    store<u32>(FAULT, Cause.ALIGNMENT);
    return 0;
  }
  let offset = address - DRAM_START;
  if (offset < DRAM_BYTES) {
    if (size == 4) return load<u32>(DRAM + offset);
    return size == 2 ? load<u16>(DRAM + offset) : load<u8>(DRAM + offset);
  }
  offset = address - IRAM_START;
  if (offset < IRAM_BYTES) {
    if (size == 4) return load<u32>(IRAM + offset);
    store<u32>(FAULT, Cause.LOAD_STORE_ERROR);
    return 0;
  }
  if (load<u32>(HAS_DEVICES) && address >= REGION_0_END) {
    if (isDevice(address)) return deviceLoad(address, size);
    if (address - ROM_START < ROM_BYTES) {
      if (size == 4) return deviceLoad(address, size);
      store<u32>(FAULT, Cause.LOAD_STORE_ERROR);
      return 0;
    }
  }
  store<u32>(FAULT, Cause.LOAD_PROHIBITED);
  return 0;
}

/** Stores 1, 2 or 4 bytes; false when a device refused. `FAULT` tells whether the address was good. */
export function storeData(address: u32, value: u32, size: u32): bool {
  store<u32>(FAULT, SERVED);
  if (address & (size - 1)) {
    store<u32>(FAULT, Cause.ALIGNMENT);
    return true;
  }
  let offset = address - DRAM_START;
  if (offset < DRAM_BYTES) {
    if (size == 4) store<u32>(DRAM + offset, value);
    else if (size == 2) store<u16>(DRAM + offset, value as u16);
    else store<u8>(DRAM + offset, value as u8);
    return true;
  }
  offset = address - IRAM_START;
  if (offset < IRAM_BYTES) {
    if (size == 4) {
      store<u32>(IRAM + offset, value);
      forget(offset, 4);
    } else {
      store<u32>(FAULT, Cause.LOAD_STORE_ERROR);
    }
    return true;
  }
  if (load<u32>(HAS_DEVICES) && address >= REGION_0_END) {
    if (isDevice(address)) {
      const bits = size == 4 ? value : size == 2 ? value & 0xffff : value & 0xff;
      return deviceStore(address, bits, size);
    }
    if (address - ROM_START < ROM_BYTES) {
      store<u32>(FAULT, Cause.LOAD_STORE_ERROR);
      return true;
    }
  }
  store<u32>(FAULT, Cause.STORE_PROHIBITED);
  return true;
}

/** Longest instruction. */
const LONGEST: u32 = 3;

/**
 * Forgets what was decoded from bytes of IRAM that have changed: instructions may begin up to two bytes before them. Where
 * such an instruction is the second of a pair, the pair is taken apart; its first stays.
 */
export function forget(offset: u32, length: u32): void {
  const first: u32 = offset < LONGEST - 1 ? 0 : offset - (LONGEST - 1);
  const before: u32 = first < LONGEST ? 0 : first - LONGEST;
  let at = ENTRIES + ((before as usize) << ENTRY_SHIFT);
  const from = ENTRIES + ((first as usize) << ENTRY_SHIFT);
  for (; at < from; at += ENTRY_BYTES) store<u8>(at, firstOf(load<u8>(at)));
  const end = ENTRIES + (((offset + length) as usize) << ENTRY_SHIFT);
  for (; at < end; at += ENTRY_BYTES) store<u64>(at, 0);
}
