/** Every path carries a whole update over, in virtual time, and says so when it does not. */
import { generateKeyPairSync } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import {
  buildImage,
  createDevice,
  type Device,
  type DeviceOptions,
  layoutByName,
  type SketchFactory,
  signImage,
} from '../../../emulator/index.ts';
import {
  type DriveOptions,
  deviceOptionsFor,
  driveUpdate,
  settle,
  sketchFor,
  type UpdatePath,
  type UpdateTarget,
} from '../../../emulator/sweep/drive/index.ts';
import { ESP8266HTTPUpdateServer } from '../../../ota-services/http-update-server/http-update-server.ts';
import { ESP8266WebServer } from '../../../ota-services/web-server/web-server.ts';
import { expectBytes } from '../../support/flash.ts';
import { pattern } from '../../support/network.ts';

const open: Device[] = [];
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

const FS_START = 0x200000;
const paths = ['arduino-ota', 'web', 'http-update', 'stream'] as const;
const targets = ['sketch', 'fs'] as const;
const cases = paths.flatMap((path) => targets.map((target) => [path, target] as const));

const firmware = (path: UpdatePath, target: UpdateTarget, version: string, size = 60_000): Uint8Array =>
  buildImage({ sketch: sketchFor(path, target), version, size, layout: '4m2m' });

async function started(path: UpdatePath, target: UpdateTarget, options: DeviceOptions = {}): Promise<Device> {
  const device = await createDevice({
    ...deviceOptionsFor(path, target),
    layout: '4m2m',
    image: firmware(path, target, '1.0'),
    ...options,
  });
  open.push(device);
  void device.powerOn();
  expect(await settle(device)).toEqual({ state: 'running' });
  return device;
}

const version = (device: Device): string | undefined => device.events.recent('app.start').at(-1)?.version;

/** An fs update over httpUpdate ends without a restart unless it is atomic. */
const restarts = (path: UpdatePath, target: UpdateTarget, atomic = false): boolean =>
  !(path === 'http-update' && target === 'fs' && !atomic);

async function drive(device: Device, path: UpdatePath, target: UpdateTarget, more: Partial<DriveOptions> = {}) {
  const image = target === 'fs' ? pattern(50_000) : firmware(path, target, '2.0');
  const result = await driveUpdate(device, { path, target, image, ...more });
  expect(await settle(device)).toBeDefined();
  return result;
}

describe('a whole update', () => {
  test.each(cases)('%s, %s', async (path, target) => {
    const device = await started(path, target);
    expect(await drive(device, path, target)).toEqual({ ok: true, restarted: restarts(path, target) });
    expect(device.state).toEqual({ state: 'running' });
    expect(version(device)).toBe(target === 'fs' ? '1.0' : '2.0');
    if (target === 'fs') expectBytes(device.flash.read(FS_START, 50_000), pattern(50_000));
  });

  test.each(cases)('%s, %s: twice, and the second one over the first', async (path, target) => {
    const device = await started(path, target);
    await drive(device, path, target);
    const image = target === 'fs' ? pattern(30_000).reverse() : firmware(path, target, '3.0', 80_000);
    expect(await drive(device, path, target, { image })).toMatchObject({ ok: true });
    if (target === 'fs') expectBytes(device.flash.read(FS_START, image.length), image);
    else expect(version(device)).toBe('3.0');
  });

  test.each(paths)('%s: a file system that is installed atomically, through staging', async (path) => {
    // The web updater reserves room for the whole region, however small the file: 2 MiB would not fit.
    const image = buildImage({ sketch: sketchFor(path, 'fs'), version: '1.0', size: 60_000, layout: '4m1m' });
    const device = await started(path, 'fs', { atomicFs: true, layout: '4m1m', image });
    expect(await drive(device, path, 'fs')).toEqual({ ok: true, restarted: true });
    expect(device.events.recent('update.begin').at(-1)?.address).toBeLessThan(layoutByName('4m1m').fsStart);
    expectBytes(device.flash.read(layoutByName('4m1m').fsStart, 50_000), pattern(50_000));
  });

  test.each(paths)('%s: a gzip image, which eboot unpacks', async (path) => {
    const device = await started(path, 'sketch');
    const image = gzipSync(firmware(path, 'sketch', '2.0'));
    expect(await drive(device, path, 'sketch', { image })).toEqual({ ok: true, restarted: true });
    expect(version(device)).toBe('2.0');
  });

  const keys = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });

  test.each(paths)('%s: a signed image is taken, an unsigned one is not', async (path) => {
    const device = await started(path, 'sketch', { publicKey: keys.publicKey });
    const plain = await driveUpdate(device, { path, target: 'sketch', image: firmware(path, 'sketch', '2.0') });
    expect(plain).toMatchObject({ ok: false, restarted: false });
    expect(plain.error).toMatch(/signature|signing/i);
    const image = signImage(firmware(path, 'sketch', '2.0'), keys.privateKey);
    expect(await drive(device, path, 'sketch', { image })).toEqual({ ok: true, restarted: true });
    expect(version(device)).toBe('2.0');
  });

  test.each(paths.flatMap((path) => [1, 7, 536, 5000, [1, 1460, 3]].map((chunk) => [path, chunk] as const)))(
    '%s in chunks of %s',
    async (path, chunk) => {
      const device = await started(path, 'sketch');
      const image = firmware(path, 'sketch', '2.0', 8192);
      expect(await drive(device, path, 'sketch', { image, chunk })).toMatchObject({ ok: true });
      expect(version(device)).toBe('2.0');
    },
  );

  test.each(paths)('%s: the same seed gives the same events at the same microseconds', async (path) => {
    const run = async (): Promise<string> => {
      const device = await started(path, 'sketch');
      await drive(device, path, 'sketch');
      return JSON.stringify(device.events.recent());
    };
    expect(await run()).toBe(await run());
  });
});

describe('credentials', () => {
  test('arduino-ota: the password opens, another one does not, and the device goes on', async () => {
    const device = await started('arduino-ota', 'sketch', { ota: { password: 'geheim' } });
    expect(await drive(device, 'arduino-ota', 'sketch', { password: 'falsch' })).toEqual({
      ok: false,
      error: 'Authentication Failed',
      restarted: false,
    });
    expect(await drive(device, 'arduino-ota', 'sketch', { password: 'geheim' })).toMatchObject({ ok: true });
  });

  test('web: Basic opens, none or a wrong one does not', async () => {
    const device = await started('web', 'sketch', { http: { user: 'admin', password: 'geheim' } });
    expect((await drive(device, 'web', 'sketch')).error).toMatch(/401/);
    const wrong = { user: 'admin', password: 'falsch' };
    expect((await drive(device, 'web', 'sketch', { credentials: wrong })).error).toMatch(/401/);
    const right = { user: 'admin', password: 'geheim' };
    expect(await drive(device, 'web', 'sketch', { credentials: right })).toMatchObject({ ok: true });
  });

  test('web: the core asks for Basic, so a client that insists on Digest is told', async () => {
    const device = await started('web', 'sketch', { http: { user: 'admin', password: 'geheim' } });
    const credentials = { user: 'admin', password: 'geheim', scheme: 'digest' } as const;
    expect((await drive(device, 'web', 'sketch', { credentials })).error).toMatch(/no Digest.*Basic realm/);
  });

  test('web: a Digest challenge is answered', async () => {
    const sketch: SketchFactory = ({ ports, settings, Update, ESP, clock, listening }) => {
      const server = new ESP8266WebServer(ports, settings.httpPort);
      const updater = new ESP8266HTTPUpdateServer({
        update: Update,
        flash: ESP.flash,
        clock,
        system: ports.system,
        print() {},
      });
      return {
        async setup() {
          // Before the updater's own form, which would ask for Basic.
          server.on('/update', 'GET', () => server.requestAuthentication('DIGEST', 'lamps'));
          updater.setup(server, '/update', 'admin', 'geheim');
          await server.begin();
          if (server.local) listening('http', { host: server.local.address, port: server.local.port });
        },
        loop: () => server.handleClient(),
      };
    };
    const device = await started('web', 'sketch', { image: undefined, sketch });
    const digest = (password: string) => ({ user: 'admin', password, scheme: 'digest' }) as const;
    expect((await drive(device, 'web', 'sketch', { credentials: digest('falsch') })).error).toMatch(/401/);
    expect(await drive(device, 'web', 'sketch', { credentials: digest('geheim') })).toMatchObject({ ok: true });
    expect(version(device)).toBe('2.0');
  });
});

describe('what goes wrong is a value, in bounded time', () => {
  test.each(paths)('%s: firmware without that service', async (path) => {
    const device = await started(path, 'sketch', {
      image: buildImage({ sketch: 'blank', version: '1.0', size: 20_000, layout: '4m2m' }),
    });
    const { ok, error } = await drive(device, path, 'sketch');
    expect(ok).toBe(false);
    expect(error).toMatch(/the running firmware/);
  });

  test.each(cases)('%s, %s: a file that the device does not want', async (path, target) => {
    const device = await started(path, target);
    const image = target === 'fs' ? pattern(3_000_000) : pattern(20_000);
    const result = await drive(device, path, target, { image });
    expect(result).toMatchObject({ ok: false, restarted: false });
    expect(result.error).toBeTruthy();
    expect(device.state).toEqual({ state: 'running' });
  });

  test.each(['arduino-ota', 'http-update', 'stream'] as const)('%s: a wrong MD5', async (path) => {
    const device = await started(path, 'sketch');
    expect((await drive(device, path, 'sketch', { md5: '0'.repeat(32) })).error).toMatch(/MD5/);
  });

  test.each(cases)('%s, %s: the power goes, a reset comes, in the middle', async (path, target) => {
    const phase = target === 'fs' ? 'fs' : 'staging';
    const cut = await started(path, target, { faults: [`power-cut@${phase}:20`] });
    expect(await drive(cut, path, target)).toEqual({ ok: false, error: 'the device lost power', restarted: false });
    const reset = await started(path, target, { faults: [`reset@${phase}:20`] });
    expect(await drive(reset, path, target)).toEqual({
      ok: false,
      error: 'the device was reset (external)',
      restarted: false,
    });
    expect(reset.state).toEqual({ state: 'running' });
    expect(await drive(reset, path, target)).toMatchObject({ ok: true });
  });

  test('an update that takes longer than the limit is given up', async () => {
    const device = await started('arduino-ota', 'sketch');
    const result = await driveUpdate(device, {
      path: 'arduino-ota',
      target: 'sketch',
      image: firmware('arduino-ota', 'sketch', '2.0'),
      limitUs: 100_000,
    });
    expect(result).toEqual({ ok: false, error: 'the update did not end in time', restarted: false });
  });

  test('chunks that cannot be are refused', async () => {
    const device = await started('stream', 'sketch');
    const image = firmware('stream', 'sketch', '2.0');
    for (const chunk of [0, -1, 1.5, []]) {
      await expect(driveUpdate(device, { path: 'stream', target: 'sketch', image, chunk })).rejects.toThrow(RangeError);
    }
  });
});
