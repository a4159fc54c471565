// Tests of your own updates: npx vitest run --root examples/vitest
import { buildImage, driveUpdate, uploadOverOta } from 'esp8266-ota-emulator';
import { test as base, expect } from 'esp8266-ota-emulator/vitest';
import { describe } from 'vitest';

const image = (version, settings = {}) =>
  buildImage({ sketch: 'basic-ota', version, size: 60_000, layout: '4m2m', settings });

const test = base.extend({ deviceOptions: { image: image('1.0'), layout: '4m2m' } });

describe('over real sockets', () => {
  test('a new version is installed and runs', async ({ device }) => {
    const next = image('2.0');
    await uploadOverOta({ host: '127.0.0.1', port: device.address.ota.port, file: next });
    await expect(device).toBoot('2.0');
    expect(device).toHoldImage(next);
  });

  test('an update can set a password, and then wants it', async ({ device }) => {
    const { port } = device.address.ota;
    await uploadOverOta({ host: '127.0.0.1', port, file: image('2.0', { password: 'geheim' }) });
    await expect(device).toBoot('2.0');
    const file = image('3.0');
    expect(await uploadOverOta({ host: '127.0.0.1', port, file })).toMatchObject({ ok: false, reason: 'auth-failed' });
    expect(await uploadOverOta({ host: '127.0.0.1', port, file, password: 'geheim' })).toEqual({ ok: true });
  });
});

// No sockets and no waiting: the update is carried out in virtual time.
describe('when the power fails', () => {
  const cases = [
    ['power-cut@staging:20', '1.0'],
    ['power-cut@command:31', '1.0'],
    ['reset@copy:20', '2.0'],
  ];
  for (const [fault, version] of cases) {
    test(`${fault}: version ${version} runs`, async ({ makeDevice }) => {
      const device = await makeDevice({ clock: 'virtual', faults: [fault], afterPowerCut: 'power-on' });
      await device.powerOn();
      await driveUpdate(device, { path: 'arduino-ota', target: 'sketch', image: image('2.0') });
      expect(device).toHaveEvent('fault.fired', { spec: fault });
      await expect(device).toBoot(version);
    });
  }
});
