/**
 * The device as a client of servers that others wrote, and of `serve`: the command, on real sockets. What it asks and how it
 * takes the answers is in spec chapter 04 §16–§21.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildImage } from '../../emulator/index.ts';
import { cli, type Finished, startCli } from '../support/cli.ts';
import { curl } from '../support/curl.ts';
import { expectBytes } from '../support/flash.ts';
import { pattern } from '../support/network.ts';
import { accepts, freePort, startPeerServer } from '../support/peer-server.ts';
import { program } from '../support/program.ts';

/** Of the device with seed 1. */
const MAC = '5C:CF:7F:C0:FF:EE';
/** nodemcuv2 with 4m2m. */
const FS_START = 0x200000;
const UPDATE_PHP = fileURLToPath(new URL('update.php', import.meta.url));

const image = (version: string): Uint8Array =>
  buildImage({ sketch: 'http-update', version, size: 300_000, layout: '4m2m' });
const next = image('2.0');
const fileSystem = pattern(200_000);

let folder: string;
/** What the servers serve. */
let root: string;
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-servers-'));
  root = join(folder, 'www');
  mkdirSync(root);
  writeFileSync(join(folder, 'old.bin'), image('1.0'));
  writeFileSync(join(root, 'lamp-2.0.bin'), next);
  writeFileSync(join(root, 'lamp-7.fs.bin'), fileSystem);
  // A server that was started as root serves as somebody else.
  for (const path of [folder, root]) chmodSync(path, 0o755);
});
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a device with version 1.0 and waits until the command ends. */
const run = (...args: string[]): Promise<Finished> =>
  cli(['run', 'old.bin', '--flash', 'chip.bin', '--timeout', '60', ...args], { cwd: folder });

const chip = (address: number, length: number): Uint8Array =>
  readFileSync(join(folder, 'chip.bin')).subarray(address, address + length);

async function expectUpdated(...args: string[]): Promise<Finished> {
  const result = await run('--once', ...args);
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout).toContain('application 2.0');
  expectBytes(chip(0, next.length), next);
  return result;
}

describe("PHP's server with a script in the manner of the documentation", () => {
  async function php(table: Record<string, unknown> = { [MAC]: { version: '2.0', file: 'lamp-2.0.bin' } }) {
    writeFileSync(join(root, 'table.json'), JSON.stringify(table));
    const port = await freePort();
    const args = ['-n', '-S', `127.0.0.1:${port}`, '-t', root, UPDATE_PHP];
    const server = await startPeerServer(program('/usr/bin/php', 'php-cli'), args, () => accepts(port));
    cleanups.push(() => server.stop());
    return `http://127.0.0.1:${port}/`;
  }

  test('200 with x-MD5: the new version is installed and runs', async () => {
    const url = await php();
    await expectUpdated('--update-url', url, '--current-version', '1.0', '--events', 'events.jsonl');
    const events = readFileSync(join(folder, 'events.jsonl'), 'utf8').trim().split('\n');
    const answer = events.map((line) => JSON.parse(line)).find(({ type }) => type === 'httpupdate.response');
    const md5 = createHash('md5').update(next).digest('hex');
    expect(answer).toMatchObject({ status: 200, headers: { 'x-MD5': md5 } });
  });

  test('304: nothing is written', async () => {
    const url = await php();
    const args = ['--update-url', url, '--current-version', '2.0', '--until', 'httpupdate.end=no-updates'];
    const { code, stdout } = await run(...args);
    expect(code).toBe(0);
    expect(stdout).toContain('the server answers 304');
    expectBytes(chip(0, 300_000), image('1.0'));
  });

  test('403: for what is no device, and for a device whose headers a redirect lost', async () => {
    const url = await php();
    expect((await curl('-w', '%{http_code}', url)).stdout).toBe('only for the ESP8266 updater\n403');
    expect((await curl('-A', 'ESP8266-http-Update', url)).stdout).toBe('x-ESP8266-sta-mac is missing\n');
    const args = ['--update-url', `${url}moved`, '--follow-redirects', 'force', '--until', 'httpupdate.end=failed'];
    const { code, stdout } = await run(...args);
    expect(code).toBe(0);
    expect(stdout).toContain('httpUpdate failed, error -103: Forbidden (403)');
    expectBytes(chip(0, 300_000), image('1.0'));
  });

  test('404 for a device it does not know; a redirect is not followed unasked', async () => {
    const url = await php({});
    const unknown = await run('--update-url', url, '--until', 'httpupdate.end=failed');
    expect(unknown.stdout).toContain('httpUpdate failed, error -102: File Not Found (404)');
    const moved = await run('--update-url', `${url}moved`, '--until', 'httpupdate.end=failed');
    expect(moved.stdout).toContain('the server answers 302');
    expect(moved.stdout).toContain('httpUpdate failed, error -104: Wrong HTTP Code');
  });
});

/** The sketch, its file system, and what is not there, from a server that hands out files. */
async function expectStaticFiles(url: string): Promise<void> {
  await expectUpdated('--update-url', `${url}/lamp-2.0.bin`);
  rmSync(join(folder, 'chip.bin'));
  const fs = await cli(
    ['run', '--sketch', 'http-update-fs', '--flash', 'chip.bin', '--update-fs-url', `${url}/lamp-7.fs.bin`, '--once'],
    { cwd: folder },
  );
  expect(fs).toMatchObject({ code: 0, stderr: '' });
  expect(fs.stdout).toContain('Update LittleFS...');
  expectBytes(chip(FS_START, fileSystem.length), fileSystem);
  const missing = await run('--update-url', `${url}/none.bin`, '--until', 'httpupdate.end=failed');
  expect(missing.stdout).toContain('httpUpdate failed, error -102: File Not Found (404)');
}

test('nginx: static files', async () => {
  const port = await freePort();
  const path = (name: string): string => join(folder, name);
  writeFileSync(
    path('nginx.conf'),
    `daemon off; master_process off; worker_processes 1; pid ${path('nginx.pid')}; error_log stderr;
events { worker_connections 64; }
http {
  access_log off; sendfile on;
  client_body_temp_path ${path('body')}; proxy_temp_path ${path('proxy')}; fastcgi_temp_path ${path('fastcgi')};
  uwsgi_temp_path ${path('uwsgi')}; scgi_temp_path ${path('scgi')};
  server { listen 127.0.0.1:${port}; root ${root}; }
}
`,
  );
  const args = ['-p', folder, '-c', path('nginx.conf'), '-e', 'stderr'];
  const server = await startPeerServer(program('/usr/sbin/nginx', 'nginx-light'), args, () => accepts(port));
  cleanups.push(() => server.stop());
  await expectStaticFiles(`http://127.0.0.1:${port}`);
});

test('python3 -m http.server: static files', async () => {
  const args = ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', root];
  const up = /http:\/\/127\.0\.0\.1:(\d+)/;
  const server = await startPeerServer(program('/usr/bin/python3', 'python3'), args, (output) => up.test(output));
  cleanups.push(() => server.stop());
  await expectStaticFiles(`http://127.0.0.1:${up.exec(server.output())![1]}`);
});

test('serve: a file by its path; by the folder the highest version, and 304 to who has it', async () => {
  const server = startCli(['serve', root, '--port', '0']);
  cleanups.push(async () => {
    server.child.kill('SIGTERM');
    await server.finished;
  });
  const [, url] = await server.shows(/^ready http=(\S+)$/m);
  await expectStaticFiles(`http://${url}`);
  await expectUpdated('--update-url', `http://${url}/`, '--current-version', '1.0');
  const same = await run('--update-url', `http://${url}/`, '--current-version', '2.0', '--until', 'httpupdate.end');
  expect(same.stdout).toContain('httpUpdate: the server has nothing newer');
  expect(server.output()).toContain(`${MAC}  127.0.0.1:`);
});

test('serve --tls: http-update-secure trusts the fingerprint that serve prints, and no other', async () => {
  const server = startCli(['serve', root, '--port', '0', '--tls']);
  cleanups.push(async () => {
    server.child.kill('SIGTERM');
    await server.finished;
  });
  const [, port] = await server.shows(/^ready https=127\.0\.0\.1:(\d+)$/m);
  const [, fingerprint = ''] = await server.shows(/^certificate, SHA-1: (\S+)$/m);
  writeFileSync(
    join(folder, 'old.bin'),
    buildImage({ sketch: 'http-update-secure', version: '1.0', size: 300_000, layout: '4m2m' }),
  );
  const url = `https://127.0.0.1:${port}/`;
  const wrong = fingerprint.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
  const refused = await run('--update-url', url, '--fingerprint', wrong, '--until', 'httpupdate.end=failed');
  expect(refused.stdout).toContain('httpUpdate failed, error -1: HTTP error: connection failed');
  await expectUpdated('--update-url', url, '--fingerprint', fingerprint, '--current-version', '1.0');
  await expectUpdated('--update-url', url, '--insecure', '--current-version', '1.0');
});
