/**
 * Whole updates in virtual time, without sockets: one peer for each way in which an image reaches a device. Used by sweeps,
 * by the fast-check kit and by tests.
 */
import type { Device } from '../../device.ts';
import type { PowerState } from '../../power.ts';
import { arduinoOta } from './arduino-ota.ts';
import { Drive, type Peer } from './drive.ts';
import { httpUpdate } from './http-update.ts';
import type { DriveOptions, DriveResult, UpdatePath } from './options.ts';
import { serial } from './serial.ts';
import { stream } from './stream.ts';
import { web } from './web.ts';

export {
  type DriveOptions,
  type DriveResult,
  deviceOptionsFor,
  SERVER_URL,
  sketchFor,
  UPDATE_PATHS,
  type UpdatePath,
  type UpdateTarget,
} from './options.ts';

const PEERS: Record<UpdatePath, (drive: Drive) => Peer> = {
  'arduino-ota': arduinoOta,
  web,
  'http-update': httpUpdate,
  stream,
  serial,
};
/** A sketch that greets for long needs some seconds; a crash loop ends by itself. */
const SETTLE_LIMIT_US = 120_000_000;
const SETTLE_STEP_US = 50_000;

/**
 * Carries out one update of a running device with a virtual clock, up to the restart that puts the image to use, or to the
 * failure. Bounded in device time, so it always returns. The bootloader goes on by itself after a restart: wait for
 * {@link settle}.
 *
 * @returns what became of it; everything that a device, a fault or a network does is a value
 * @throws RangeError for options that cannot be; Error on a device with another clock
 * @example
 * const device = await createDevice({ ...deviceOptionsFor('web', 'sketch'), image: old });
 * await device.powerOn();
 * const { ok } = await driveUpdate(device, { path: 'web', target: 'sketch', image: next });
 * await settle(device);
 */
export async function driveUpdate(device: Device, options: DriveOptions): Promise<DriveResult> {
  const peer = PEERS[options.path];
  if (!peer) throw new RangeError(`path "${options.path}": one of ${Object.keys(PEERS).join(', ')}`);
  return await new Drive(device, options).run(peer);
}

/**
 * Moves virtual time until the start under way came to something.
 *
 * @returns what it came to; undefined when nothing did within two minutes of device time
 */
export async function settle(device: Device, limitUs = SETTLE_LIMIT_US): Promise<PowerState | undefined> {
  for (let spent = 0; device.state === undefined && spent < limitUs; spent += SETTLE_STEP_US) {
    await device.going();
    await device.advance(SETTLE_STEP_US);
  }
  return device.state;
}
