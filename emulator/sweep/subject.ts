/**
 * What a sweep is about: a device with the old image, the file that updates it, and how it gets there. One place makes the
 * device, so that the reference run, a replay and a test start from the same chip.
 */
import { roundUpToSector } from '../../flash/geometry.ts';
import type { FlashLayout } from '../../flash/layouts.ts';
import { splitSignature } from '../../flash/signed-image.ts';
import { boardSetup } from '../board-setup.ts';
import { createDevice, type Device } from '../device.ts';
import { gunzip } from '../gzip.ts';
import type { DeviceOptions } from '../options.ts';
import {
  type DriveOptions,
  deviceOptionsFor,
  driveUpdate,
  settle,
  type UpdatePath,
  type UpdateTarget,
} from './drive/index.ts';
import { SweepInputError } from './errors.ts';

export interface Subject {
  readonly path: UpdatePath;
  readonly target: UpdateTarget;
  /** The firmware in flash before. */
  readonly firmware: Uint8Array;
  /** The file system in flash before; blank without it. */
  readonly fileSystem?: Uint8Array | undefined;
  /** The file that is sent. */
  readonly update: Uint8Array;
  readonly board?: string | undefined;
  readonly layout: string;
  readonly seed: number;
  readonly core?: string | undefined;
  readonly atomicFs: boolean;
  /** PEM: the firmware verifies signatures. */
  readonly publicKey?: string | undefined;
  readonly bootloader: 'model' | 'native';
  /** For planted defects: what the firmware does instead of its sketch, and what a device is given besides. */
  readonly device?: Partial<DeviceOptions> | undefined;
}

/** The flash layout of the sweep's device. @throws DeviceOptionError for unknown names */
export const layoutOf = ({ board, layout, core }: Subject): FlashLayout => boardSetup({ board, layout, core }).layout;

/** A device as the sweep's, off, with its flash as before the update. */
export async function subjectDevice(subject: Subject): Promise<Device> {
  const { path, target, firmware, fileSystem, board, layout, seed, core, atomicFs, publicKey, bootloader } = subject;
  const device = await createDevice({
    ...deviceOptionsFor(path, target),
    image: firmware,
    board,
    layout,
    seed,
    core,
    atomicFs,
    publicKey,
    bootloader,
    afterPowerCut: 'stay-off',
    ...subject.device,
  });
  if (fileSystem) {
    const { fsStart: start, fsEnd: end } = layoutOf(subject);
    if (fileSystem.length > end - start) {
      await device.close();
      throw new SweepInputError(
        `--from: the file system image has ${fileSystem.length} bytes; on layout ${layout} there is room for ${end - start}`,
      );
    }
    const area = new Uint8Array(roundUpToSector(fileSystem.length)).fill(0xff);
    area.set(fileSystem);
    device.flash.chip.load(start, area);
  }
  return device;
}

/** Plugs a device in and waits, in virtual time, for what comes of it. */
export async function start(device: Device): Promise<Device['state']> {
  const started = device.powerOn();
  started.catch(() => {}); // it rejects as `settle` does, which is looked at
  return await settle(device);
}

/** The file on its way, with whatever the path needs to make the device use it. */
export async function sendUpdate(device: Device, subject: Subject): Promise<{ ok: boolean; error?: string }> {
  const options: DriveOptions = { path: subject.path, target: subject.target, image: subject.update };
  const result = await driveUpdate(device, options);
  if (result.ok && !result.restarted) {
    // Nobody else restarts it.
    const restarted = device.reset('external');
    restarted.catch(() => {});
  }
  return result;
}

/** What the update shall leave behind: the file without its signature, unpacked. */
export function payloadOf(subject: Subject): Uint8Array {
  const { update, publicKey } = subject;
  const signed = publicKey === undefined ? undefined : splitSignature(update);
  const payload = signed?.payload ?? update;
  if (payload[0] !== 0x1f || payload[1] !== 0x8b) return payload;
  return gunzip(payload) ?? payload;
}
