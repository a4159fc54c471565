/** What a dead device says would revive it does revive it, and what it says would not, does not. */
import { afterEach, expect, test } from 'vitest';
import { buildImage, createDevice, type Device } from '../../emulator/index.ts';
import { deviceOptionsFor, driveUpdate, settle } from '../../emulator/sweep/drive/index.ts';

let device: Device | undefined;
afterEach(async () => {
  await device?.close();
  device = undefined;
});

const image = (version: string, size: number): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size, layout: '4m2m' });

async function cutDuringCopy(op: number): Promise<Device> {
  device = await createDevice({
    ...deviceOptionsFor('arduino-ota', 'sketch'),
    image: image('1.0', 300_000),
    faults: [`power-cut@copy:${op}:inside`],
  });
  const on = device.powerOn();
  await settle(device);
  await on;
  await driveUpdate(device, { path: 'arduino-ota', target: 'sketch', image: image('2.0', 310_000) });
  await settle(device);
  const again = device.powerOn();
  await settle(device);
  await again;
  return device;
}

// A cut in the sector that holds the segments' headers leaves an application that eboot cannot load.
test.each([1, 3, 700, 1100])('after a power cut at copy:%i no reset helps, and the device says so', async (op) => {
  const dead = await cutDuringCopy(op);
  expect(dead.state).toMatchObject({ state: 'dead', cure: 'serial' });
  for (const how of ['reset', 'power'] as const) {
    if (how === 'power') await dead.powerOff();
    const start = how === 'reset' ? dead.reset('external') : dead.powerOn();
    await settle(dead);
    await start;
    expect(dead.state).toMatchObject({ state: 'dead', cure: 'serial' });
  }
});

test('after an atomic file system update eboot loads the file system and hangs; a reset helps, and the device says so', async () => {
  device = await createDevice({
    ...deviceOptionsFor('arduino-ota', 'fs'),
    image: image('1.0', 40_000),
    atomicFs: true,
  });
  await device.powerOn();
  const fs = new Uint8Array(8000).fill(0x5a);
  expect(await driveUpdate(device, { path: 'arduino-ota', target: 'fs', image: fs })).toMatchObject({ ok: true });
  expect(await settle(device)).toMatchObject({ state: 'dead', cure: 'external' });
  expect(await device.reset('external')).toEqual({ state: 'running' });
});
