/** An uploader that nobody here wrote: npm `esp-ota` (MIT), on real sockets, against the device. */

import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { buildImage, createDevice, type Device } from '../../emulator/index.ts';
import { expectBytes } from '../support/flash.ts';

interface EspOta {
  setPassword(password: string): void;
  uploadFile(path: string, address: string, port: number, target: number): Promise<void>;
}
const EspOTA = createRequire(import.meta.url)('esp-ota') as (new () => EspOta) & { FLASH: number; SPIFFS: number };

const folder = mkdtempSync(join(tmpdir(), 'vesp-esp-ota-'));
let device: Device | undefined;
afterEach(async () => {
  await device?.close();
  device = undefined;
});

async function upload(bytes: Uint8Array, target: number, password?: string): Promise<void> {
  const path = join(folder, 'upload.bin');
  writeFileSync(path, bytes);
  const uploader = new EspOTA();
  if (password !== undefined) uploader.setPassword(password);
  await uploader.uploadFile(path, '127.0.0.1', device!.address.ota!.port, target);
}

const image = (version: string, settings = {}): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size: 150_000, layout: '4m2m', settings });

describe.each([undefined, 'secret'])('esp-ota, password %s', (password) => {
  test('uploads a sketch, and the next one to what that became', async () => {
    device = await createDevice({
      ota: { port: 0, ...(password === undefined ? {} : { password }) },
      http: { port: 0 },
    });
    await device.powerOn();
    for (const version of ['2.0', '3.0']) {
      const started = device.next('app.start', { where: (event) => event.version === version });
      await upload(image(version), EspOTA.FLASH, password);
      await started;
      await device.settled();
    }
    expectBytes(device.flash.read(0, 150_000), image('3.0'));
  });

  test('uploads a file system', async () => {
    device = await createDevice({
      ota: { port: 0, ...(password === undefined ? {} : { password }) },
      http: { port: 0 },
    });
    await device.powerOn();
    const bytes = new Uint8Array(20_000).map((_, i) => i * 3);
    const started = device.next('app.start');
    await upload(bytes, EspOTA.SPIFFS, password);
    await started;
    expectBytes(device.flash.read(0x200000, bytes.length), bytes);
  });
});

test('a port that the system chose, and lent to another program meanwhile, is waited for', async () => {
  device = await createDevice({ ota: { port: 0 }, http: { port: 0 }, image: image('1.0') });
  await device.powerOn();
  const { port } = device.address.ota!;
  await device.powerOff();
  const other = createSocket('udp4');
  await new Promise<void>((resolve) => other.bind(port, '127.0.0.1', resolve));
  const started = device.powerOn();
  setTimeout(() => other.close(), 300);
  expect(await started).toEqual({ state: 'running' });
  expect(device.address.ota!.port).toBe(port);
});

test('twenty uploads in a row: none hangs, and the port stays the same', async () => {
  device = await createDevice({ ota: { port: 0 }, http: { port: 0 }, image: image('0') });
  await device.powerOn();
  const { port } = device.address.ota!;
  for (let version = 1; version <= 20; version++) {
    const started = device.next('app.start', { where: (event) => event.version === String(version) });
    await upload(
      buildImage({ sketch: 'basic-ota', version: String(version), size: 20_000, layout: '4m2m' }),
      EspOTA.FLASH,
    );
    await started;
    await device.settled();
    expect(device.address.ota!.port).toBe(port);
  }
  rmSync(folder, { recursive: true, force: true });
}, 60_000);
