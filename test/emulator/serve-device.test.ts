/** An emulated device updates itself from `serve`, over real sockets. Sources: spec chapter 04 §16–§25; design.md §4. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WallClock } from '../../emulator/clock.ts';
import { buildImage, createUpdateServer, type ServedRequest, type UpdateServer } from '../../emulator/index.ts';
import { Life } from '../../emulator/life.ts';
import { nodeNetwork } from '../../emulator/network/node-network.ts';
import { selfSigned } from '../../emulator/self-signed.ts';
import { Interruption, PowerLost } from '../../flash/ports.ts';
import {
  ESP8266HTTPUpdate,
  HTTP_UPDATE_FAILED,
  HTTP_UPDATE_NO_UPDATES,
  HTTP_UPDATE_OK,
} from '../../ota-services/http-update-client/http-update.ts';
import { WiFiClient, WiFiClientSecure } from '../../ota-services/http-update-client/wifi-client.ts';
import { OtaDevice } from '../support/ota-device.ts';

class HttpDevice extends OtaDevice {
  readonly httpUpdate: ESP8266HTTPUpdate;

  constructor() {
    const clock = new WallClock('fast');
    const life = new Life(clock);
    super(clock, life, nodeNetwork({ host: '127.0.0.1', emit: () => {} }).forDevice(life), { chipTakesTime: false });
    const { ports } = this;
    this.httpUpdate = new ESP8266HTTPUpdate({ ...ports, flash: this.esp, updater: this.updater });
  }

  /** What the call returns, or `restart` when the device restarted instead. */
  async outcome<T>(call: () => Promise<T>): Promise<T | 'restart'> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof Interruption && this.restart === 'restart') return 'restart';
      throw error;
    }
  }
}

const IMAGE = buildImage({ sketch: 'basic-ota', version: '2.0', size: 60_000, layout: '4m2m' });

let dir: string;
let device: HttpDevice;
let server: UpdateServer | undefined;
const log: ServedRequest[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'vesp-serve-device-'));
  mkdirSync(join(dir, 'lamps'));
  writeFileSync(join(dir, 'lamps', 'lamp-2.0.bin'), IMAGE);
  device = new HttpDevice();
  log.length = 0;
});
afterEach(async () => {
  device.life.end(new PowerLost());
  await server?.close();
  rmSync(dir, { recursive: true, force: true });
});

const serve = async (tls?: { cert: string; key: string }): Promise<UpdateServer> => {
  server = await createUpdateServer({ dir, port: 0, onRequest: (entry) => log.push(entry), ...(tls ? { tls } : {}) });
  return server;
};

test('it stages the highest version and restarts; the server knows which device got what', async () => {
  const { url } = await serve();
  expect(await device.outcome(() => device.httpUpdate.update(`${url}/lamps`, '1.0'))).toBe('restart');
  const { source = 0, size } = device.bootCommand ?? {};
  expect(size).toBe(IMAGE.length);
  const staged = device.chip.peek(source, IMAGE.length);
  staged[2] = IMAGE[2]!; // the Updater gives it the chip's flash mode
  expect(Buffer.from(staged).equals(IMAGE)).toBe(true);
  while (log.length < 1) await new Promise((resolve) => setImmediate(resolve));
  expect(log).toMatchObject([
    { status: 200, version: '2.0', size: IMAGE.length, sent: IMAGE.length, device: { version: '1.0', mode: 'sketch' } },
  ]);
  expect(log[0]?.device?.mac).toMatch(/:C0:FF:EE$/);
});

test('it has nothing to do with that version, or with that image on the chip in its own flash mode', async () => {
  const { url } = await serve();
  expect(await device.outcome(() => device.httpUpdate.update(`${url}/lamps`, '2.0'))).toBe(HTTP_UPDATE_NO_UPDATES);
  const installed = IMAGE.slice();
  installed[2] = 3;
  device.chip.load(0, installed);
  device.esp.sdkStart();
  expect(await device.outcome(() => device.httpUpdate.update(`${url}/lamps`))).toBe(HTTP_UPDATE_NO_UPDATES);
});

test('it asks for the version, hears of refusals, and updates its file system', async () => {
  const { url, address } = await serve();
  const ask = (path: string) =>
    device.httpUpdate.getAvailableVersion(new WiFiClient(device.ports), '127.0.0.1', address.port, path);
  expect(await ask('/lamps')).toEqual({ result: HTTP_UPDATE_OK, version: '2.0' });
  expect(await ask('/nothing')).toEqual({ result: HTTP_UPDATE_FAILED, version: '' });
  expect(device.httpUpdate.getLastError()).toBe(-102);
  const files = new Uint8Array(8192).fill(0x5a);
  writeFileSync(join(dir, 'lamps', 'lamp-1.0.fs.bin'), files);
  expect(await device.outcome(() => device.httpUpdate.updateFS(`${url}/lamps`))).toBe(HTTP_UPDATE_OK);
  expect(Buffer.from(device.chip.peek(device.esp.layout.fsStart, files.length)).equals(files)).toBe(true);
});

test('over TLS, trusting the certificate by its fingerprint', async () => {
  const { url, fingerprint } = await serve(selfSigned({ names: ['127.0.0.1'], now: new Date() }));
  const client = new WiFiClientSecure(device.ports);
  client.setFingerprint(fingerprint!);
  expect(await device.outcome(() => device.httpUpdate.update(client, `${url}/lamps`, '2.0'))).toBe(
    HTTP_UPDATE_NO_UPDATES,
  );
});
