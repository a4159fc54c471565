/** The bootloader that is really in flash, executed, for a branch of the chip. */
import { createLx106Sync } from '../../eboot/lx106.ts';
import { RTC_BASE } from '../../eboot/memory-map.ts';
import { executedEboot, fetchRam } from '../../eboot/native/native-eboot.ts';
import { CpuSocket } from '../../eboot/native/native-machine.ts';
import { DEFAULT_SECOND_NUMBER, gpiRegister } from '../../eboot/straps.ts';
import type { Bootloader } from './boot-run.ts';

/**
 * A core serves one start at a time, and in a sweep several are under way: the update itself, a recovery that is walked,
 * and the trials beside them. Each start takes a core that is free.
 *
 * @param flashId JEDEC id of the chip, as the bootloader may ask for it
 */
export function nativeBootloader(flashId: number): Bootloader {
  const free: CpuSocket[] = [];
  return function* executed(options, { chip, rtc, entry, start, live }) {
    const socket = free.pop() ?? new CpuSocket(createLx106Sync);
    try {
      return yield* executedEboot(options, {
        socket,
        entry,
        peek: (address, length) => chip.peek(address, length),
        capacityBytes: chip.capacityBytes,
        loadRtc: (address) => rtc.load32(address - RTC_BASE),
        flashId,
        gpio: gpiRegister(start.strap, DEFAULT_SECOND_NUMBER),
        watchdogRunning: start.watchdogRunning,
        onMachine: () => live?.(() => fetchRam(socket.cpu, options.ram)),
      });
    } finally {
      free.push(socket);
    }
  };
}
