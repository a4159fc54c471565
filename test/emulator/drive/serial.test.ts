/** The serial path: through the ROM and through the stub, into a device in any state. */
import { afterEach, describe, expect, test } from 'vitest';
import { buildImage, createDevice, type Device, type DeviceOptions } from '../../../emulator/index.ts';
import { type DriveOptions, deviceOptionsFor, driveUpdate, settle } from '../../../emulator/sweep/drive/index.ts';
import { layoutByName } from '../../../flash/layouts.ts';
import { expectBytes } from '../../support/flash.ts';
import { pattern } from '../../support/network.ts';

const open: Device[] = [];
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

const firmware = (version: string, size = 40_000): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size, layout: '4m2m' });

async function started(options: DeviceOptions = {}): Promise<Device> {
  const device = await createDevice({
    ...deviceOptionsFor('serial', 'sketch'),
    layout: '4m2m',
    image: firmware('1.0'),
    ...options,
  });
  open.push(device);
  await device.powerOn();
  return device;
}

const flash = async (device: Device, more: Partial<DriveOptions> = {}) => {
  const result = await driveUpdate(device, { path: 'serial', target: 'sketch', image: firmware('2.0'), ...more });
  await settle(device);
  return result;
};

describe.each(['rom', 'stub'] as const)('through the %s', (loader) => {
  test('a sketch', async () => {
    const device = await started();
    expect(await flash(device, { loader })).toEqual({ ok: true, restarted: true });
    expect(device.state).toEqual({ state: 'running' });
    expectBytes(device.flash.read(0, firmware('2.0').length), firmware('2.0'));
    expect(device.events.recent('app.start').at(-1)?.version).toBe('2.0');
    expect(device.events.recent('loader.start').length).toBeGreaterThan(0);
  });

  test('a file system, and the application stays', async () => {
    const device = await started();
    const image = pattern(50_000);
    expect(await flash(device, { loader, target: 'fs', image })).toMatchObject({ ok: true });
    expectBytes(device.flash.read(layoutByName('4m2m').fsStart, image.length), image);
    expect(device.events.recent('app.start').at(-1)?.version).toBe('1.0');
  });

  test('brings back a device that a torn copy had killed', async () => {
    const device = await started({ faults: ['power-cut@copy:20:inside'] });
    await driveUpdate(device, { path: 'arduino-ota', target: 'sketch', image: firmware('2.0') });
    await device.powerOn();
    expect(device.state).toMatchObject({ state: 'dead', cure: 'serial' });
    expect(await flash(device, { loader, image: firmware('3.0') })).toMatchObject({ ok: true });
    expect(device.events.recent('app.start').at(-1)?.version).toBe('3.0');
  });

  test('a blank chip gets its first firmware', async () => {
    const device = await started({ image: undefined, boot: 'download' });
    device.straps.gpio0 = 1;
    expect(await flash(device, { loader })).toMatchObject({ ok: true });
    expect(device.state).toEqual({ state: 'running' });
  });

  test('power that goes in the middle, and a chip that cannot be written, are told', async () => {
    const cut = await started({ faults: ['power-cut@serial:30:inside'] });
    expect(await flash(cut, { loader })).toEqual({ ok: false, error: 'the device lost power', restarted: false });
    await cut.powerOn();
    expect(cut.state).toMatchObject({ state: 'dead' });
    expect(await flash(cut, { loader })).toMatchObject({ ok: true });

    const broken = await started({ faults: ['program-fail@serial:10'] });
    expect((await flash(broken, { loader })).error).toMatch(/the loader answers/);
    const reset = await started({ faults: ['reset@serial:10'] });
    expect((await flash(reset, { loader })).error).toMatch(/does not answer/);
  });
});

test('a device that is off is told so', async () => {
  const device = await started();
  await device.powerOff();
  expect(await flash(device)).toMatchObject({ ok: false, error: 'the device is off' });
});
