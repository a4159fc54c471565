/** The http-update sketches on a whole device: what they print, and that an update boots. Source: spec chapter 04 §24. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { buildImage, createDevice, type Device, signImage } from '../../emulator/index.ts';
import type { PeerConnection } from '../../emulator/network/simulated-peer.ts';
import { asctime } from '../../emulator/sketches/http-update.ts';
import type { SettingValue } from '../../flash/manifest.ts';
import { agreesToFragmentLength, clientHello } from '../../ota-services/http-update-client/mfln-probe.ts';
import { head, ok } from '../support/http-update-bench.ts';
import { latin1, toBytes } from '../support/transcript.ts';
import { testKeys } from '../support/updater.ts';

const SERVER = '192.168.1.8';
const URL_ = `http://${SERVER}:8000/fw.bin`;
const FS_URL = `http://${SERVER}:8000/fs.bin`;

const devices: Device[] = [];
const servers: Server[] = [];
afterEach(async () => {
  for (const device of devices.splice(0)) await device.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const image = (sketch: string, version: string, settings: Record<string, SettingValue> = {}): Uint8Array =>
  buildImage({ sketch, version, size: 60_000, settings });

const md5 = (data: Uint8Array): string => createHash('md5').update(data).digest('hex');

interface VirtualServer {
  /** Request lines, oldest first. */
  readonly requests: string[];
}

/** A server on the device's simulated network. */
function serve(device: Device, answer: (request: string, connection: PeerConnection) => string): VirtualServer {
  const requests: string[] = [];
  device.network.listenTcp(SERVER, 8000).onConnection((connection) => {
    let text = '';
    connection.onData((data) => {
      text += latin1(data);
      if (!text.endsWith('\r\n\r\n')) return;
      requests.push(text);
      connection.write(toBytes(answer(text, connection)));
    });
  });
  return { requests };
}

async function virtualDevice(first: Uint8Array, options: Parameters<typeof createDevice>[0] = {}): Promise<Device> {
  const device = await createDevice({ clock: 'virtual', image: first, mdns: false, ...options });
  devices.push(device);
  return device;
}

async function advanceUntil(device: Device, condition: () => boolean, what: string, limitMs = 60_000): Promise<void> {
  for (let ms = 0; !condition(); ms += 20) {
    if (ms > limitMs) throw new Error(`${what} did not happen; serial: ${device.serial.text()}`);
    await device.advance(20_000);
  }
}

/** Serial text of the application that runs now: without what ROM and eboot said. */
const printed = (device: Device): string =>
  device.serial
    .text()
    .split(/e:0\r?\n|ld\r?\n/)
    .at(-1)!;

async function start(device: Device): Promise<void> {
  const started = device.powerOn();
  let done = false;
  void started.then(() => {
    done = true;
  });
  await advanceUntil(device, () => done, 'setup()');
}

describe('http-update', () => {
  const settings = { 'update-url': URL_, 'current-version': '1', 'update-interval': 5 };

  test('fetches a new version and boots it; callbacks as in the example', async () => {
    const next = image('blank', '2');
    const device = await virtualDevice(image('http-update', '1', settings));
    const server = serve(device, () => ok(next, `x-MD5: ${md5(next)}`));
    await start(device);
    await advanceUntil(device, () => device.events.recent('app.start').at(-1)?.version === '2', 'the new version');
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]).toContain('\r\nx-ESP8266-mode: sketch\r\nx-ESP8266-version: 1\r\n');
    const text = device.serial.text();
    const steps = [0, 0, ...Array.from({ length: 14 }, (_, i) => (i + 1) * 4096), 60_000, 60_000, 60_000];
    expect(text).toContain(
      '\r\nCALLBACK:  HTTP update process started\r\n' +
        steps.map((done) => `CALLBACK:  HTTP update process at ${done} of 60000 bytes...\n`).join('') +
        'CALLBACK:  HTTP update process finished\r\n',
    );
    expect(text).not.toContain('HTTP_UPDATE_OK');
    expect(device.events.recent('httpupdate.end')).toMatchObject([{ result: 'ok' }]);
  });

  test('prints errors and "no updates", and asks again after the interval', async () => {
    const device = await virtualDevice(image('http-update', '1', settings));
    const answers = [head(404), head(304)];
    const server = serve(device, () => answers.shift() ?? head(304));
    await start(device);
    await device.advance(4_900_000);
    expect(server.requests).toHaveLength(1);
    await device.advance(5_000_000);
    expect(server.requests).toHaveLength(2);
    expect(printed(device)).toBe(
      '\r\nCALLBACK:  HTTP update fatal error code -102\n' +
        'HTTP_UPDATE_FAILD Error (-102): File Not Found (404)\nHTTP_UPDATE_NO_UPDATES\r\n',
    );
  });

  test('without an interval it asks again and again, without an address never', async () => {
    const eager = await virtualDevice(image('http-update', '1', { 'update-url': URL_ }));
    const server = serve(eager, () => head(304));
    await start(eager);
    await eager.advance(500_000);
    expect(server.requests.length).toBeGreaterThan(20);
    const silent = await virtualDevice(image('http-update', '1'));
    await start(silent);
    await silent.advance(500_000);
    expect(printed(silent)).toBe('\r\n');
    expect(silent.events.recent('sketch.log')).toMatchObject([{ text: expect.stringContaining('--update-url') }]);
  });

  test('its timeout is 2 s; followRedirects and md5 are settings', async () => {
    const device = await virtualDevice(
      image('http-update', '1', { ...settings, 'follow-redirects': 'strict', md5: '0'.repeat(32) }),
    );
    const next = image('blank', '2');
    const server = serve(device, (request) => (request.startsWith('GET /fw') ? head(302, 'Location: /x') : ok(next)));
    await start(device);
    await device.advance(4_000_000);
    expect(server.requests).toHaveLength(2);
    expect(printed(device)).toContain('HTTP_UPDATE_FAILD Error (7): Update error: ERROR[7]: MD5 verification failed');
    const mute = await virtualDevice(image('http-update', '1', settings));
    serve(mute, () => '');
    await start(mute);
    await mute.advance(2_100_000);
    expect(printed(mute)).toContain('HTTP_UPDATE_FAILD Error (-11): HTTP error: read Timeout\n');
  });

  test('row 90: shares the thread with the web updater, whose idle client is closed by an update', async () => {
    const device = await virtualDevice(
      buildImage({ sketch: ['web-updater', 'http-update'], version: '1', size: 60_000, settings }),
    );
    const next = image('blank', '2');
    let answer = head(304);
    serve(device, () => answer);
    await start(device);
    const { port } = device.address.http!;
    await device.advance(1_000_000); // the first attempt is over
    answer = ok(next);
    await device.advance(3_500_000);
    const client = device.network.connectTcp(port);
    client.write('GET /update HTTP/1.1\r\n\r\n');
    await advanceUntil(device, () => client.readText().includes('200 OK'), 'the form');
    expect(client.state).toBe('open');
    await advanceUntil(device, () => device.events.recent('update.progress').length > 0, 'the update');
    expect(['device-ended', 'closed']).toContain(client.state);
  });
});

test('http-update-fs: the file system first, the sketch only if that went well', async () => {
  const settings = { 'update-url': URL_, 'update-fs-url': FS_URL, 'update-interval': 30 };
  const next = image('blank', '2');
  const fs = new Uint8Array(9000).fill(0x5a);
  const device = await virtualDevice(image('http-update-fs', '1', settings));
  let fsAnswer = head(500);
  const server = serve(device, (request) => (request.includes('mode: spiffs') ? fsAnswer : ok(next)));
  await start(device);
  await device.advance(5_000_000);
  expect(printed(device)).toBe(
    '\r\n\r\n\r\n[SETUP] WAIT 4...\n[SETUP] WAIT 3...\n[SETUP] WAIT 2...\n[SETUP] WAIT 1...\nUpdate LittleFS...\r\n',
  );
  fsAnswer = ok(fs);
  await advanceUntil(device, () => device.events.recent('app.start').at(-1)?.version === '2', 'the new version');
  expect(server.requests.map((request) => request.split(' ')[1])).toEqual(['/fs.bin', '/fs.bin', '/fw.bin']);
  expect(device.flash.read(0x200000, 9000)).toEqual(fs);
  expect(device.serial.text()).toContain('Update LittleFS...\r\nUpdate sketch...\r\n');
});

test('http-update-fs: a failed sketch is told without a line end', async () => {
  const settings = { 'update-url': URL_, 'update-fs-url': FS_URL, 'update-interval': 30 };
  const device = await virtualDevice(image('http-update-fs', '1', settings));
  serve(device, (request) => (request.includes('mode: spiffs') ? ok(new Uint8Array(5000)) : head(403)));
  await start(device);
  await device.advance(5_000_000);
  expect(printed(device)).toMatch(/Update sketch\.\.\.\r\nHTTP_UPDATE_FAILED Error \(-103\): Forbidden \(403\)$/);
});

test('http-update-signed: takes only signed images, and rests 10 s', async () => {
  const keys = testKeys();
  const publicKey = keys.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const next = image('blank', '2');
  const device = await virtualDevice(image('http-update-signed', '1', { 'update-url': URL_, 'public-key': publicKey }));
  const answers = [ok(next), ok(signImage(next, privateKey))];
  const server = serve(device, () => answers.shift() ?? head(304));
  await start(device);
  await device.advance(9_000_000);
  expect(server.requests).toHaveLength(1);
  expect(printed(device)).toMatch(
    /WAIT 1\.\.\.\nHTTP_UPDATE_FAILED Error \(12\): Update error: ERROR\[12\]: Signature verification failed\n$/,
  );
  await advanceUntil(device, () => device.events.recent('app.start').at(-1)?.version === '2', 'the new version');
});

/** Real servers on this machine. */
async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const pem = (name: string): string => readFileSync(new URL(`../golden/tls/${name}`, import.meta.url), 'utf8');

describe('against servers on sockets', () => {
  async function realDevice(first: Uint8Array): Promise<Device> {
    const device = await createDevice({ image: first, mdns: false });
    devices.push(device);
    await device.powerOn();
    return device;
  }

  test("Node's http server: 1 MiB file system, then a sketch", async () => {
    const fs = new Uint8Array(0x100000).map((_, i) => (i * 7 + (i >> 8)) & 255);
    const next = image('blank', '2');
    const seen: IncomingMessage[] = [];
    const port = await listen(
      createHttpServer((request, response) => {
        seen.push(request);
        const body = request.url === '/fs.bin' ? fs : next;
        response.setHeader('Content-Length', body.length).setHeader('x-MD5', md5(body)).end(body);
      }),
    );
    const device = await realDevice(
      image('http-update-fs', '1', {
        'update-url': `http://localhost:${port}/fw.bin`,
        'update-fs-url': `http://127.0.0.1:${port}/fs.bin`,
      }),
    );
    await device.next('app.start', { where: ({ version }) => version === '2', timeoutMs: 20_000, since: 0 });
    expect(seen.map(({ httpVersion, url }) => [httpVersion, url])).toEqual([
      ['1.0', '/fs.bin'],
      ['1.0', '/fw.bin'],
    ]);
    expect(seen[1]!.headers).toMatchObject({ host: `localhost:${port}`, 'x-esp8266-mode': 'sketch' });
    expect(Buffer.from(device.flash.read(0x200000, fs.length)).equals(fs)).toBe(true);
  });

  test.each<[string, Record<string, SettingValue>, number]>([
    ['an authority', { ca: pem('ca.pem') }, 1],
    ['a fingerprint', { fingerprint: '25690DDEDDD9C79A4F937E7C4FFF769D1B288DA1' }, 0],
    ['no check', { insecure: true }, 0],
  ])('http-update-secure with %s', async (_what, trust, certificates) => {
    const next = image('blank', '2');
    const port = await listen(
      createHttpsServer({ cert: pem('server.pem'), key: pem('server.key') }, (_request, response) => {
        response.setHeader('Content-Length', next.length).end(next);
      }),
    );
    const url = `https://127.0.0.1:${port}/fw.bin`;
    const device = await realDevice(image('http-update-secure', '1', { 'update-url': url, ...trust }));
    await device.next('app.start', { where: ({ version }) => version === '2', timeoutMs: 20_000, since: 0 });
    expect(device.serial.text()).toMatch(
      new RegExp(
        `WAIT 1\\.\\.\\.\nNumber of CA certs read: ${certificates}\r\n` +
          'Waiting for NTP time sync: \\.\r\nCurrent time: [A-Z][a-z]{2} [A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d \\d{4}\n' +
          'MFLN supported: yes\n',
      ),
    );
    expect(device.events.recent('httpupdate.request')).toMatchObject([{ url }]);
  });

  test('http-update-secure: without trust, and with the wrong one', async () => {
    const port = await listen(createHttpsServer({ cert: pem('server.pem'), key: pem('server.key') }));
    const url = `https://127.0.0.1:${port}/fw.bin`;
    const settings = { 'update-url': url, 'update-interval': 60 };
    for (const [trust, why] of [
      [{}, /no trust/],
      [{ ca: pem('other-ca.pem') }, /certificate/],
    ] as const) {
      const device = await realDevice(image('http-update-secure', '1', { ...settings, ...trust }));
      const end = await device.next('httpupdate.end', { since: 0 });
      expect(end).toMatchObject({ result: 'failed', error: -1, why: expect.stringMatching(why) });
      await expect
        .poll(() => device.serial.text())
        .toContain('HTTP_UPDATE_FAILED Error (-1): HTTP error: connection failed\n');
      expect(device.serial.text().includes('No certs found. Did you run certs-from-mozill.py')).toBe(!('ca' in trust));
    }
  });
});

describe('the probe for small records', () => {
  test('a ClientHello that asks for them, with its lengths right', () => {
    const hello = clientHello('h.test', 1024);
    expect([...hello.subarray(0, 5)]).toEqual([22, 3, 3, (hello.length - 5) >> 8, (hello.length - 5) & 255]);
    expect(latin1(hello)).toContain('\0\0\0\x0b\0\x09\0\0\x06h.test');
    expect(latin1(hello)).toContain('\0\x01\0\x01\x02');
    expect(latin1(clientHello('1.2.3.4', 512))).not.toContain('1.2.3.4');
    expect(() => clientHello('h', 1000)).toThrow(RangeError);
  });

  const serverHello = (extensions: number[]): Uint8Array => {
    const body = [3, 3, ...new Array<number>(32).fill(7), 2, 1, 1, 0xc0, 0x2f, 0, 0, extensions.length, ...extensions];
    const message = [2, 0, 0, body.length, ...body];
    return Uint8Array.from([22, 3, 3, 0, message.length, ...message]);
  };

  test('an answer that agrees, one that does not, an alert, and anything at all', () => {
    const agrees = serverHello([0xff, 1, 0, 1, 0, 0, 1, 0, 1, 2]);
    expect(agreesToFragmentLength(agrees, 1024)).toBe(true);
    expect(agreesToFragmentLength(agrees, 512)).toBe(false);
    expect(agreesToFragmentLength(serverHello([0xff, 1, 0, 1, 0]), 1024)).toBe(false);
    expect(agreesToFragmentLength(Uint8Array.of(21, 3, 3, 0, 2, 2, 40), 1024)).toBe(false);
    expect(agreesToFragmentLength(toBytes('HTTP/1.1 400 Bad Request\r\n'), 1024)).toBe(false);
    for (let i = 0; i < agrees.length; i++) expect(agreesToFragmentLength(agrees.slice(0, i), 1024)).toBeUndefined();
  });
});

test('asctime: UTC, a day of one digit behind two spaces, LF', () => {
  expect(asctime(116_989_432)).toBe('Sun Sep 16 01:03:52 1973\n'); // the example of the C standard
  expect(asctime(0)).toBe('Thu Jan  1 00:00:00 1970\n');
});
