/** The web updater behind TLS, as curl and openssl meet it. Source: spec chapter 04 §13, §14. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildImage, createDevice, type Device, type DeviceOptions } from '../../emulator/index.ts';
import { startCli } from '../support/cli.ts';
import { curl } from '../support/curl.ts';
import { expectBytes } from '../support/flash.ts';
import { program } from '../support/program.ts';

const SUCCESS = '<META http-equiv="refresh" content="15;URL=/">Update Success! Rebooting...';
const LOGIN = ['-u', 'admin:admin'];
const run = promisify(execFile);

let folder: string;
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-tls-'));
});
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  rmSync(folder, { recursive: true, force: true });
});

const image = (version: string): Uint8Array =>
  buildImage({ sketch: 'secure-web-updater', version, size: 300_000, layout: '4m2m' });

function file(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

async function started(options: DeviceOptions = {}): Promise<{ device: Device; port: number; url: string }> {
  const device = await createDevice({ image: image('1.0'), layout: '4m2m', https: { port: 0 }, ...options });
  cleanups.push(() => device.close());
  expect(await device.powerOn()).toEqual({ state: 'running' });
  const { port } = device.address.https!;
  return { device, port, url: `https://127.0.0.1:${port}/firmware` };
}

/** What `openssl` prints, on stdout and stderr, and how it ended. */
async function openssl(...args: string[]): Promise<{ code: number; output: string }> {
  const done = run(program('/usr/bin/openssl', 'openssl'), args, { timeout: 20_000 });
  done.child.stdin?.end();
  return done.then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      output: error.stdout + error.stderr,
    }),
  );
}

describe('curl', () => {
  test('-k: an upload, the success page, then the new version on the same port with the same certificate', async () => {
    const { device, port, url } = await started();
    const next = image('2.0');
    const path = file('new.bin', next);
    const before = await openssl('s_client', '-connect', `127.0.0.1:${port}`, '-showcerts');
    const result = await curl('-k', ...LOGIN, '-F', `firmware=@${path}`, '-w', '%{http_code}', url);
    expect(result).toEqual({ code: 0, stdout: `${SUCCESS}200`, stderr: '' });
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
    expect(await device.settled()).toEqual({ state: 'running' });
    expectBytes(device.flash.read(0, next.length), next);
    expect(device.address.https?.port).toBe(port);
    const after = await openssl('s_client', '-connect', `127.0.0.1:${port}`, '-showcerts');
    const certificate = /-----BEGIN CERTIFICATE[\s\S]*?END CERTIFICATE-----/;
    expect(before.output).toMatch(certificate);
    expect(certificate.exec(after.output)?.[0]).toBe(certificate.exec(before.output)?.[0]);
    expect(device.serial.text()).toContain(
      'BearSSLUpdateServer ready!\nOpen https://esp8266-webupdate.local/firmware in your browser and login with ' +
        "username 'admin' and password 'admin'\n",
    );
  });

  test('without -k it does not trust the certificate; with it as an authority it does, by name too', async () => {
    const { port, url } = await started({ flashFile: join(folder, 'x.bin') });
    expect((await curl(...LOGIN, url)).code).toBe(60);
    const ca = ['--cacert', join(folder, 'x.bin.tls.pem')];
    expect((await curl(...LOGIN, ...ca, '-o', '/dev/null', '-w', '%{http_code}', url)).stdout).toBe('200');
    const named = `https://esp8266-webupdate.local:${port}/firmware`;
    const resolve = ['--resolve', `esp8266-webupdate.local:${port}:127.0.0.1`];
    const answer = await curl(...LOGIN, ...ca, ...resolve, '-o', '/dev/null', '-w', '%{http_code}', named);
    expect(answer.stdout).toBe('200');
  });

  test('credentials of the example, or those that were set; none of these in the log', async () => {
    const { device, url } = await started({ http: { user: 'me', password: 'geheim' } });
    const status = ['-o', '/dev/null', '-w', '%{http_code}'];
    expect((await curl('-k', ...LOGIN, ...status, url)).stdout).toBe('401');
    expect((await curl('-k', ...status, url)).stdout).toBe('401');
    expect((await curl('-k', '-u', 'me:geheim', ...status, url)).stdout).toBe('200');
    expect(device.serial.text()).not.toContain('geheim');
  });

  test('keep-alive: two requests inside one TLS connection', async () => {
    const { url } = await started();
    const format = ['-k', ...LOGIN, '-o', '/dev/null', '-w', '%{http_code} %{num_connects}\n'];
    expect((await curl(...format, url, '--next', ...format, url)).stdout).toBe('200 1\n200 0\n');
  });

  test('plain HTTP on the TLS port: refused, and the next client is served', async () => {
    const { url } = await started();
    expect((await curl(url.replace('https', 'http'))).code).not.toBe(0);
    expect((await curl('-k', ...LOGIN, '-o', '/dev/null', '-w', '%{http_code}', url)).stdout).toBe('200');
  });

  test('a client that never speaks holds the sketch until it goes, as the handshake is waited for', async () => {
    const { port, url } = await started();
    const silent = connect(port, '127.0.0.1');
    cleanups.push(() => silent.destroy());
    await new Promise((resolve) => silent.once('connect', resolve));
    const blocked = curl('-k', ...LOGIN, '-m', '1', url);
    expect((await blocked).code).toBe(28);
    silent.destroy();
    expect((await curl('-k', ...LOGIN, '-o', '/dev/null', '-w', '%{http_code}', url)).stdout).toBe('200');
  });

  test('the command: --cert and --key, the ready line, and --once', async () => {
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    const subject = ['-subj', '/CN=device.test', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert];
    expect((await openssl(...made, ...subject)).code).toBe(0);
    const ports = ['--ota-port', '0', '--http-port', '0', '--https-port', '0'];
    const command = startCli(
      ['run', '--sketch', 'secure-web-updater', ...ports, '--cert', cert, '--key', key, '--once', '--timeout', '60'],
      { cwd: folder },
    );
    cleanups.push(() => command.child.kill('SIGKILL'));
    const [, port] = await command.shows(/^ready https=127\.0\.0\.1:(\d+)$/m);
    const path = file('new.bin', image('2.0'));
    const url = `https://127.0.0.1:${port}/firmware`;
    expect((await curl('--cacert', cert, ...LOGIN, '-F', `image=@${path}`, url)).stdout).toBe(SUCCESS);
    expect((await command.finished).code).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['cert.pem', 'key.pem', 'new.bin']);
  });
});

describe('openssl', () => {
  test('x509 reads the certificate', async () => {
    await started({ flashFile: join(folder, 'x.bin') });
    const { code, output } = await openssl('x509', '-in', join(folder, 'x.bin.tls.pem'), '-noout', '-text');
    expect(code).toBe(0);
    expect(output).toMatch(/Version: 3/);
    expect(output).toMatch(/Signature Algorithm: ecdsa-with-SHA256/);
    expect(output).toMatch(/Public-Key: \(256 bit\)/);
    expect(output).toMatch(/DNS:esp8266-webupdate\.local, DNS:localhost, IP Address:127\.0\.0\.1/);
    const verified = await openssl('verify', '-CAfile', join(folder, 'x.bin.tls.pem'), join(folder, 'x.bin.tls.pem'));
    expect(verified).toEqual({ code: 0, output: `${join(folder, 'x.bin.tls.pem')}: OK\n` });
  });

  test('s_client: TLS 1.2, and nothing newer', async () => {
    const { port } = await started();
    const connectTo = ['s_client', '-connect', `127.0.0.1:${port}`];
    expect((await openssl(...connectTo)).output).toMatch(/^ *Protocol *: TLSv1\.2$/m);
    const newer = await openssl(...connectTo, '-tls1_3');
    expect(newer.output).toMatch(/alert protocol version|wrong version|unsupported protocol/);
    expect(newer.code).not.toBe(0);
  });
});
