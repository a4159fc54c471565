/** The web updater as curl meets it, on real sockets. What the device answers is in spec chapter 04 §7–§12. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildImage, createDevice, type Device, type DeviceOptions, type SketchFactory } from '../../emulator/index.ts';
import { ESP8266WebServer } from '../../ota-services/web-server/web-server.ts';
import { startCli } from '../support/cli.ts';
import { curl, startCurl } from '../support/curl.ts';
import { expectBytes } from '../support/flash.ts';
import { foreignImage } from '../support/images.ts';
import { pattern } from '../support/network.ts';

const SUCCESS = '<META http-equiv="refresh" content="15;URL=/">Update Success! Rebooting...';
/** nodemcuv2 with 4m2m. */
const FS_START = 0x200000;

let folder: string;
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-curl-'));
});
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  rmSync(folder, { recursive: true, force: true });
});

const image = (version: string, size = 300_000): Uint8Array =>
  buildImage({ sketch: 'web-updater', version, size, layout: '4m2m' });

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function started(options: DeviceOptions = {}): Promise<{ device: Device; url: string }> {
  const device = await createDevice({
    image: image('1.0'),
    layout: '4m2m',
    ota: { port: 0 },
    ...options,
    http: { port: 0, ...options.http },
  });
  cleanups.push(() => device.close());
  expect(await device.powerOn()).toEqual({ state: 'running' });
  return { device, url: `http://127.0.0.1:${device.address.http?.port}/update` };
}

const versionOf = (device: Device): string | undefined => device.events.recent('app.start').at(-1)?.version;

/** The device restarts into `version`, and its web server is there again on the same port. */
async function expectRunning(device: Device, version: string): Promise<void> {
  await device.next('app.start', { since: 0, where: (event) => event.version === version });
  expect(await device.settled()).toEqual({ state: 'running' });
  expect(versionOf(device)).toBe(version);
}

describe('uploads', () => {
  test('firmware: the success page, then the device restarts into it, on the same port', async () => {
    const { device, url } = await started();
    const next = image('2.0');
    const result = await curl('-F', `firmware=@${file('new.bin', next)}`, '-w', '%{http_code}', url);
    expect(result).toEqual({ code: 0, stdout: `${SUCCESS}200`, stderr: '' });
    await expectRunning(device, '2.0');
    expectBytes(device.flash.read(0, next.length), next);
    expect((await curl('-w', '%{http_code}', '-o', '/dev/null', url)).stdout).toBe('200');
  });

  test('the field name of the upload hint, image=, and gzip', async () => {
    const { device, url } = await started();
    const path = file('new.bin.gz', gzipSync(image('2.0')));
    expect((await curl('-F', `image=@${path}`, url)).stdout).toBe(SUCCESS);
    await expectRunning(device, '2.0');
  });

  test('file system: its region holds the bytes, and the same firmware starts again', async () => {
    const { device, url } = await started();
    const content = pattern(200_000);
    const path = file('fs.bin', content);
    expect((await curl('-F', `filesystem=@${path}`, url)).stdout).toBe(SUCCESS);
    await device.next('app.start', { since: device.events.recent('app.start')[0]!.seq + 1 });
    expect(versionOf(device)).toBe('1.0');
    expectBytes(device.flash.read(FS_START, content.length), content);
  });

  test('a large file with Expect: 100-continue, which the device does not answer: curl sends it all the same', async () => {
    const { device, url } = await started();
    const content = pattern(1_500_000);
    const path = file('fs.bin', content);
    expect(statSync(path).size).toBeGreaterThan(1024 * 1024); // from there on curl asks by itself
    const result = await curl('-v', '-F', `filesystem=@${path}`, url);
    expect(result.stderr).toMatch(/^> Expect: 100-continue/m);
    expect(result.stderr).not.toMatch(/^< HTTP\/1.1 100/m);
    expect(result.stdout).toBe(SUCCESS);
    await device.next('app.start', { since: device.events.recent('app.start')[0]!.seq + 1 });
    expectBytes(device.flash.read(FS_START, content.length), content);
  });

  test('a file that is no firmware: 200 with the error of the Updater, and the device keeps running', async () => {
    const { device, url } = await started();
    const result = await curl('-F', `firmware=@${file('bad.bin', pattern(20_000))}`, '-w', '%{http_code}', url);
    expect(result.stdout).toBe('Update error: ERROR[10]: Magic byte is not 0xE9\n200');
    expect((await curl('-F', `firmware=@${file('new.bin', image('2.0'))}`, url)).stdout).toBe(SUCCESS);
    await expectRunning(device, '2.0');
  });

  test('an upload that is broken off leaves the firmware, and the next one works', async () => {
    const { device, url } = await started();
    const path = file('new.bin', image('2.0'));
    const broken = startCurl('--limit-rate', '50k', '-F', `firmware=@${path}`, url);
    await device.next('flash.program', { where: ({ area }) => area === 'staging', since: 0, timeoutMs: 30_000 });
    broken.child.kill('SIGKILL');
    const aborted = await device.next('http.upload', { where: ({ state }) => state === 'aborted', since: 0 });
    expect(aborted.bytes).toBeLessThan(300_000);
    await broken.finished;
    expect((await curl('-F', `firmware=@${path}`, url)).stdout).toBe(SUCCESS);
    await expectRunning(device, '2.0');
    expect(device.events.recent('app.start')).toHaveLength(2);
  });

  test('the command: an upload ends the run of --once with 0', async () => {
    const command = startCli(['run', '--ota-port', '0', '--http-port', '0', '--once', '--timeout', '60'], {
      cwd: folder,
    });
    cleanups.push(() => command.child.kill('SIGKILL'));
    const [, port] = await command.shows(/^ready .*http=127\.0\.0\.1:(\d+)/m);
    const path = file('new.bin', image('2.0'));
    expect((await curl('-F', `image=@${path}`, `http://127.0.0.1:${port}/update`)).stdout).toBe(SUCCESS);
    const { code, stdout } = await command.finished;
    expect(code).toBe(0);
    expect(stdout).toContain('application 2.0');
  });
});

describe('credentials', () => {
  const http = { user: 'admin', password: 'geheim', path: '/firmware' };
  const at = (url: string): string => url.replace('/update', '/firmware');

  test('Basic: the form and an upload, with the right ones', async () => {
    const { device, url } = await started({ http });
    expect((await curl('-u', 'admin:geheim', '-w', '%{http_code}', '-o', '/dev/null', at(url))).stdout).toBe('200');
    const path = file('new.bin', image('2.0'));
    expect((await curl('-u', 'admin:geheim', '-F', `image=@${path}`, at(url))).stdout).toBe(SUCCESS);
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
  });

  test.each([[[]], [['-u', 'admin:wrong']], [['-u', 'admin:']]])(
    'wrong ones (%j): 401 after the whole file was sent, and nothing changes',
    async (login) => {
      const { device, url } = await started({ http });
      const before = device.flash.read(0, device.flash.chip.capacityBytes);
      const path = file('new.bin', image('2.0'));
      const result = await curl('-i', ...login, '-w', '%{size_upload}', '-F', `image=@${path}`, at(url));
      expect(result.stdout).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
      expect(result.stdout).toContain('\r\nWWW-Authenticate: Basic realm="Login Required"\r\n');
      expect(Number(/\d+$/.exec(result.stdout)?.[0])).toBeGreaterThan(300_000);
      expect((await curl(...login, '-w', '%{http_code}', at(url))).stdout).toBe('401');
      expectBytes(device.flash.read(0, before.length), before);
      expect(JSON.stringify(device.events.recent('sketch.log'))).not.toContain('geheim');
    },
  );

  test('the update server offers Basic alone: --digest stays outside', async () => {
    const { url } = await started({ http });
    const result = await curl('--digest', '-u', 'admin:geheim', '-w', '%{http_code}', at(url));
    expect(result.stdout).toBe('401');
  });

  test('Digest on a route of a sketch: the right password passes, a wrong one does not', async () => {
    const digest: SketchFactory = ({ ports, listening }) => {
      const server = new ESP8266WebServer(ports, 0);
      server.on('/', () =>
        server.authenticate('admin', 'geheim')
          ? server.send(200, 'text/plain', 'inside')
          : server.requestAuthentication('DIGEST', 'here', 'outside'),
      );
      return {
        async setup() {
          await server.begin();
          listening('http', { host: '127.0.0.1', port: server.local!.port });
        },
        loop: () => server.handleClient(),
      };
    };
    const device = await createDevice({ image: foreignImage(), sketch: digest });
    cleanups.push(() => device.close());
    await device.powerOn();
    const url = `http://127.0.0.1:${device.address.http?.port}/`;
    const inside = await curl('-v', '--digest', '-u', 'admin:geheim', url);
    expect(inside.stderr).toMatch(/^> Authorization: Digest username="admin", *realm="here"/m);
    expect(inside.stdout).toMatch(/inside$/);
    expect((await curl('--anyauth', '-u', 'admin:geheim', url)).stdout).toMatch(/inside$/);
    expect((await curl('--digest', '-u', 'admin:wrong', '-w', '%{http_code}', url)).stdout).toMatch(/outside401$/);
  });
});

describe('connections and methods', () => {
  test('keep-alive: two forms over one connection', async () => {
    const { url } = await started();
    const format = ['-w', '%{http_code} %{num_connects}\n', '-o', '/dev/null'];
    expect((await curl(...format, url, '--next', ...format, url)).stdout).toBe('200 1\n200 0\n');
  });

  test('a failed upload and a good one over one connection', async () => {
    const { device, url } = await started();
    const [bad, good] = [file('bad.bin', pattern(20_000)), file('new.bin', image('2.0'))];
    const counted = ['-w', '|%{num_connects}|'];
    const result = await curl(
      ...counted,
      '-F',
      `image=@${bad}`,
      url,
      '--next',
      ...counted,
      '-F',
      `image=@${good}`,
      url,
    );
    expect(result.stdout).toBe(`Update error: ERROR[10]: Magic byte is not 0xE9\n|1|${SUCCESS}|0|`);
    await expectRunning(device, '2.0');
  });

  test('GET: the form, with the names that uploads need', async () => {
    const { url } = await started();
    const { stdout } = await curl('-i', url);
    expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\nContent-Type: text\/html\r\n/);
    expect(stdout).toMatch(/enctype="multipart\/form-data".*name="firmware".*name="filesystem"/s);
  });

  test('OPTIONS: allowed from anywhere; HEAD: not found', async () => {
    const { url } = await started();
    const options = await curl('-i', '-X', 'OPTIONS', url);
    expect(options.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(options.stdout).toContain('\r\nAccess-Control-Allow-Headers: *\r\nAccess-Control-Allow-Origin: *\r\n');
    expect(options.stdout).toMatch(/\r\n\r\ny$/);
    expect((await curl('-I', url)).stdout).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/);
    expect((await curl('-X', 'DELETE', url)).stdout).toBe('Not found: /update');
  });

  test('while one upload runs, another client waits for its turn, and gets it', async () => {
    const { url } = await started();
    const slow = startCurl('--limit-rate', '200k', '-F', `image=@${file('bad.bin', pattern(200_000))}`, url);
    const form = await curl('-w', '%{http_code}', '-o', '/dev/null', url);
    expect(form.stdout).toBe('200');
    expect((await slow.finished).stdout).toMatch(/ERROR\[10\]/);
  });
});
