/** The `test` and the matchers of the subpath `./vitest`, on themselves. */
import { describe } from 'vitest';
import { buildImage, uploadOverOta } from '../../../emulator/index.ts';
import { driveUpdate } from '../../../emulator/sweep/drive/index.ts';
import { expect, test } from '../../../emulator/vitest.ts';

const image = (version: string): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size: 20_000, layout: '4m2m' });

describe('on real sockets', () => {
  const it = test.extend({ deviceOptions: { image: image('1.0'), sketch: 'basic-ota' } });

  it('the fixture is on, and an update is seen', async ({ device }) => {
    expect(device).toBeRunning();
    expect(device).toHaveBooted('1.0');
    expect(device).toHoldImage(image('1.0'));
    const next = image('2.0');
    expect(await uploadOverOta({ host: '127.0.0.1', port: device.address.ota!.port, file: next })).toEqual({
      ok: true,
    });
    await expect(device).toBoot('2.0');
    expect(device).toHoldImage(next);
    expect(device).toHaveEvent('update.begin', { command: 'sketch', size: next.length });
    expect(device).toHaveEvent('reset', { cause: 'software' });
    expect(device).toHavePrinted(/Progress: \d+%/);
  });

  it('devices of a test are its own', async ({ device, makeDevice }) => {
    const other = await makeDevice();
    expect(other).not.toBeRunning();
    await other.powerOn();
    expect(other.address.ota!.port).not.toBe(device.address.ota!.port);
  });
});

describe('in virtual time', () => {
  const it = test.extend({ deviceOptions: { clock: 'virtual', image: image('1.0') } });

  it('waits move the time', async ({ device }) => {
    await driveUpdate(device, { path: 'arduino-ota', target: 'sketch', image: image('2.0') });
    await expect(device).toBoot('2.0');
  });

  it('a torn copy is dead, for a reason', async ({ device }) => {
    device.faults.arm('power-cut@copy:20:inside');
    await driveUpdate(device, { path: 'arduino-ota', target: 'sketch', image: image('2.0') });
    await device.powerOn();
    expect(device).toBeDead();
    expect(device).toBeDead('crash-loop');
    expect(device).not.toBeDead('no-image');
    expect(device).not.toHaveBooted('2.0');
    expect(device).toHaveEvent('fault.fired', { spec: /copy:20/ });
  });

  it('a sketch with a long setup() settles too', async ({ makeDevice }) => {
    const device = await makeDevice({ image: undefined, sketch: 'http-update-fs' });
    void device.powerOn();
    await expect(device).toBoot('factory');
  });

  it('what does not hold is told with what was seen', async ({ device }) => {
    const message = (call: () => void): string => {
      try {
        call();
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    expect(message(() => expect(device).toHaveBooted('9.9'))).toMatch(
      /wanted version 9\.9; .* is 1\.0 \(known\).*running/,
    );
    expect(message(() => expect(device).toHaveEvent('update.begin'))).toMatch(
      /no event update\.begin; the last events are\n {2}\{/,
    );
    expect(message(() => expect(device).toHaveEvent('app.start', { version: '3' }))).toMatch(/those of that type are/);
    expect(message(() => expect(device).not.toHaveEvent('app.start'))).toMatch(/there is an event app\.start/);
    expect(message(() => expect(device).toBeDead('no-image'))).toMatch(/is running, wanted: no-image/);
    expect(message(() => expect(device).toHavePrinted('Hello'))).toMatch(/on the serial line: .*Booting/);
    const wrong = image('1.0');
    wrong[5000]! ^= 1;
    expect(message(() => expect(device).toHoldImage(wrong))).toMatch(/first at 0x1388: 0x.. instead of 0x../);
    expect(message(() => expect(42).toBeRunning())).toMatch(/wants a device/);
    await expect(expect(device).toBoot('9.9')).rejects.toThrow(/wanted version 9\.9/);
  });
});
