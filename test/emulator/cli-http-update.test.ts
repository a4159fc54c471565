/** The options of `run` for the http-update sketches, and how `--once` follows them. Contract: design.md §4. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OnceWatch } from '../../emulator/cli/until.ts';
import { createDevice, type DeviceEvent, DeviceOptionError } from '../../emulator/index.ts';
import { cli } from '../support/cli.ts';

const begin = (command: 'sketch' | 'fs'): DeviceEvent => ({ type: 'update.begin', command, address: 0, size: 9 });
const received: DeviceEvent = { type: 'update.end', md5: '0'.repeat(32), size: 9 };
const fetched: DeviceEvent = { type: 'httpupdate.end', result: 'ok' };

describe('--once', () => {
  test('a file system that httpUpdate fetched is in use at once', () => {
    const watch = new OnceWatch();
    expect([begin('fs'), received, fetched].map((event) => watch.see(event))).toEqual([
      undefined,
      undefined,
      { ok: true },
    ]);
  });

  test('a sketch has to be copied and started first, and so has a file system of an ATOMIC_FS_UPDATE build', () => {
    for (const [command, atomicFs] of [
      ['sketch', false],
      ['fs', true],
    ] as const) {
      const watch = new OnceWatch({ atomicFs });
      for (const event of [begin(command), received, fetched]) expect(watch.see(event)).toBeUndefined();
    }
  });

  test('a download that broke off failed; an answer without an image began nothing', () => {
    const failed: DeviceEvent = { type: 'httpupdate.end', result: 'failed', error: -11, message: 'read Timeout' };
    expect(new OnceWatch().see(failed)).toBeUndefined();
    expect(new OnceWatch().see({ type: 'httpupdate.end', result: 'no-updates' })).toBeUndefined();
    const watch = new OnceWatch();
    watch.see(begin('fs'));
    expect(watch.see(failed)).toEqual({ ok: false, why: 'read Timeout' });
  });
});

describe('the library checks what it is given, and names the option', () => {
  test.each([
    [{ url: 'ftp://server/' }, /^update-url "ftp:\/\/server\/": wants http:\/\/ or https:\/\//],
    [{ url: 'http://' }, /^update-url .*with a host/],
    [{ url: 'http://a/b c' }, /^update-url .*%XX/],
    [{ fsUrl: 'lamps' }, /^update-fs-url "lamps"/],
    [{ intervalS: -1 }, /^update-interval -1: wants seconds/],
    [{ intervalS: Number.NaN }, /^update-interval NaN: wants seconds/],
    [{ currentVersion: 'a\r\nb' }, /^current-version "a\\r\\nb": .*one line/],
    [{ md5: '123' }, /^md5 "123": wants the 32 hex digits/],
    [{ fingerprint: 'AB:CD' }, /^fingerprint "AB:CD": wants the 40 hex digits/],
    [{ ca: 'nothing' }, /^ca: no certificate in it/],
    [
      { ca: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----' },
      /^ca: certificate 1 of 1 cannot be read; is it whole\?/,
    ],
    [{ fingerprint: '0'.repeat(40), insecure: true }, /exclude each other/],
  ])('%j', async (update, message) => {
    const failure = await createDevice({ clock: 'virtual', update }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DeviceOptionError);
    expect((failure as Error).message).toMatch(message);
  });
});

describe('the command', () => {
  let folder: string;
  let server: Server | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vesp-cli-update-'));
  });
  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    [['--update-url', '192.168.1.8'], /update-url "192\.168\.1\.8": wants http/],
    [['--update-interval', 'often'], /--update-interval "often": wants seconds/],
    [['--follow-redirects', 'always'], /Allowed choices are disabled, strict, force/],
    [['--ca', 'missing.pem'], /--ca missing\.pem: cannot be read/],
    [['--ca', 'empty.pem'], /ca: no certificate in it/],
  ])('%j ends with 2', async (args, message) => {
    writeFileSync(join(folder, 'empty.pem'), '');
    const { code, stderr } = await cli(['run', ...args], { cwd: folder });
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('its options reach the request; between two attempts it rests, also in fast time', async () => {
    const requests: { url: string | undefined; version: unknown }[] = [];
    server = createServer((request, response) => {
      requests.push({ url: request.url, version: request.headers['x-esp8266-version'] });
      response.writeHead(304).end();
    });
    await new Promise<void>((resolve) => void server?.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const args = ['--update-url', `http://127.0.0.1:${port}/lamps`, '--current-version', 'v 7', '--timeout', '3'];
    // The signed example rests by a delay of its own, which fast time skips.
    for (const sketch of ['http-update', 'http-update-signed']) {
      const { code } = await cli(['run', '--sketch', sketch, ...args], { cwd: folder });
      expect(code).toBe(42);
    }
    expect(requests).toEqual([
      { url: '/lamps', version: 'v 7' },
      { url: '/lamps', version: 'v 7' },
    ]);
  });
});
