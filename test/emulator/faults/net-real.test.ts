/** Network faults on sockets of this machine: the same wrapper, with real uploaders and servers at the other end. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  buildImage,
  createDevice,
  createUpdateServer,
  type Device,
  type DeviceOptions,
  uploadOverOta,
} from '../../../emulator/index.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

const image = (sketch: string, version: string): Uint8Array =>
  buildImage({ sketch, version, size: 30_000, layout: '4m2m' });

async function started(sketch: string, options: DeviceOptions): Promise<Device> {
  const device = await createDevice({ image: image(sketch, '1.0'), ota: { port: 0 }, http: { port: 0 }, ...options });
  cleanups.push(() => device.close());
  expect(await device.powerOn()).toEqual({ state: 'running' });
  return device;
}

const upload = (device: Device) =>
  uploadOverOta({
    host: '127.0.0.1',
    port: device.address.ota!.port,
    file: image('basic-ota', '2.0'),
    timeouts: { answer: 1500, connect: 1500, ack: 3000 },
  });

const becomes = (device: Device, version: string) =>
  device.next('app.start', { since: 0, where: (event) => event.version === version });

describe('arduino-ota', () => {
  test.each(['net-loss@tcp:12345', 'net-delay@tcp:0', 'net-reorder@tcp:29999', 'net-delay@udp:0'])(
    '%s: the update is whole all the same',
    async (spec) => {
      const device = await started('basic-ota', { faults: [spec] });
      expect(await upload(device)).toEqual({ ok: true });
      await becomes(device, '2.0');
      expect(device.events.recent('fault.fired')).toHaveLength(1);
    },
  );

  test.each([
    ['net-close@tcp:12345', 'upload-error'],
    ['net-reset@tcp:12345', 'upload-error'],
    ['net-stall@tcp:12345', 'upload-error'],
    ['net-refuse@tcp:0', 'no-connection'],
    ['net-loss@udp:3', 'no-answer'],
    ['net-stall@udp:3', 'no-answer'],
  ])('%s: the uploader fails with %s, the old firmware stays, and after a reset it works', async (spec, reason) => {
    const device = await started('basic-ota', { faults: [spec] });
    expect(await upload(device)).toMatchObject({ ok: false, reason });
    expect(device.events.recent('fault.fired').map((event) => event.spec)).toEqual([spec]);
    expect(await device.reset('external')).toEqual({ state: 'running' });
    expect(await upload(device)).toEqual({ ok: true });
    await becomes(device, '2.0');
  });
});

describe('web', () => {
  const post = (device: Device): Promise<string> => {
    const form = new FormData();
    form.set('firmware', new Blob([image('web-updater', '2.0').slice()]), 'firmware.bin');
    const url = `http://127.0.0.1:${device.address.http!.port}/update`;
    return fetch(url, { method: 'POST', body: form }).then((response) => response.text());
  };

  test.each(['net-loss@http:12345', 'net-reorder@http:10'])('%s: the update is whole', async (spec) => {
    const device = await started('web-updater', { faults: [spec] });
    expect(await post(device)).toContain('Update Success');
    await becomes(device, '2.0');
    expect(device.events.recent('fault.fired')).toHaveLength(1);
  });

  test.each(['net-close@http:12345', 'net-reset@http:12345', 'net-refuse@http:0'])(
    '%s: the browser sees a broken connection, and the next upload works',
    async (spec) => {
      const device = await started('web-updater', { faults: [spec] });
      await expect(post(device)).rejects.toThrow();
      expect(device.events.recent('fault.fired')).toHaveLength(1);
      expect(await post(device)).toContain('Update Success');
      await becomes(device, '2.0');
    },
  );
});

test('http-update: an attempt that a fault ends is followed by one that works', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'vesp-net-'));
  cleanups.push(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, 'lamp-2.0.bin'), image('http-update', '2.0'));
  const server = await createUpdateServer({ dir, port: 0 });
  cleanups.push(() => server.close());
  const device = await started('http-update', {
    update: { url: `${server.url}/`, intervalS: 1 },
    faults: ['net-refuse@http:0+net-reset@http:5000'],
  });
  await becomes(device, '2.0');
  const ends = device.events.recent('httpupdate.end').map(({ result }) => result);
  expect(ends.slice(0, 3)).toEqual(['failed', 'failed', 'ok']);
  expect(device.events.recent('fault.fired')).toHaveLength(2);
});
