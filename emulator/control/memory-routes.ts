/** Routes that look into the chip and into RTC memory. */
import { COMMAND_BYTES, isValidCommand } from '../../eboot/command.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';
import { decodeEbootCommand } from '../eboot-command.ts';
import { badRequest } from './api-error.ts';
import type { ControlledDevice } from './ports.ts';
import type { Routes } from './routes.ts';
import type { SectorStates } from './sector-states.ts';
import type { Snapshots } from './snapshots.ts';
import { queryNumber } from './values.ts';

const BYTES = 'application/octet-stream';

export function memoryRoutes(device: ControlledDevice, sectors: SectorStates, snapshots: Snapshots<never>): Routes {
  return {
    '/api/flash': {
      GET: ({ query }) => {
        const { capacityBytes } = device.flash.chip;
        const address = queryNumber(query, 'address') ?? 0;
        const length = queryNumber(query, 'length') ?? Math.max(0, capacityBytes - address);
        if (address > capacityBytes || length > capacityBytes - address) {
          throw badRequest(`${length} bytes at ${address} are not inside the chip's ${capacityBytes}`, 'out-of-range');
        }
        const from = query.get('snapshot');
        const body =
          from === null
            ? device.flash.read(address, length)
            : (snapshots.get(from).snapshot as { flash: Uint8Array }).flash.slice(address, address + length);
        return { type: BYTES, body };
      },
    },
    '/api/flash/map': {
      GET: () => ({
        json: {
          layout: device.layout,
          capacityBytes: device.flash.chip.capacityBytes,
          sectorBytes: SECTOR_BYTES,
          pageBytes: PAGE_BYTES,
          sectors: sectors.all(),
        },
      }),
    },
    /** The 512 bytes of user memory, or with `?all=1` all 1024. */
    '/api/rtc': {
      GET: ({ query }) => ({
        type: BYTES,
        body: query.get('all') === '1' ? device.rtc.snapshot() : device.rtc.readUser(),
      }),
    },
    '/api/rtc/command': { GET: () => ({ json: commandOf(device) }) },
  };
}

/** The eboot command that would be carried out at the next start; null when there is none. */
export function commandOf(device: ControlledDevice): unknown {
  const record = decodeEbootCommand(device.rtc.readUser(0, COMMAND_BYTES));
  if (!isValidCommand(record)) return null;
  const [source, destination, size] = record.args;
  return { action: record.action, source, destination, size, args: record.args, magic: record.magic, crc: record.crc };
}
