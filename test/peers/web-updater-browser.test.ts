/**
 * The web updater as a person meets it: Debian's chromium, driven through playwright-core, opens the form, picks a file and
 * sends it. The device is a real one on loopback.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { buildImage, createDevice, type Device, type DeviceOptions } from '../../emulator/index.ts';
import { expectBytes } from '../support/flash.ts';
import { pattern } from '../support/network.ts';
import { program } from '../support/program.ts';

const CHROMIUM = '/usr/bin/chromium';
/** No sandbox, as CI runs as root; and none of the browser's own traffic. */
const CHROMIUM_OPTIONS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-default-apps',
  '--no-first-run',
  '--no-proxy-server',
];
/** nodemcuv2 with 4m2m. */
const FS_START = 0x200000;

let browser: Browser;
let folder: string;
let device: Device | undefined;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-browser-'));
  browser = await chromium.launch({ executablePath: program(CHROMIUM, 'chromium'), args: CHROMIUM_OPTIONS });
});
afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await device?.close();
  device = undefined;
});

const image = (version: string): Uint8Array =>
  buildImage({ sketch: 'web-updater', version, size: 300_000, layout: '4m2m' });

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function started(http: DeviceOptions['http'] = {}): Promise<{ device: Device; url: string }> {
  device = await createDevice({ image: image('1.0'), layout: '4m2m', http: { port: 0, ...http } });
  await device.powerOn();
  return { device, url: `http://127.0.0.1:${device.address.http?.port}/update` };
}

async function openForm(
  url: string,
  login?: { username: string; password: string },
  options: { ignoreHTTPSErrors?: boolean } = {},
): Promise<Page> {
  const context = await browser.newContext({ ...options, ...(login ? { httpCredentials: login } : {}) });
  const page = await context.newPage();
  const response = await page.goto(url);
  expect(response?.status()).toBe(200);
  return page;
}

/** What the page says after the upload. */
async function send(page: Page, label: 'Firmware' | 'FileSystem', path: string): Promise<string> {
  await page.getByLabel(`${label}:`).setInputFiles(path);
  const answer = page.waitForResponse((response) => response.request().method() === 'POST');
  await page.getByRole('button', { name: `Update ${label}` }).click();
  expect((await answer).status()).toBe(200);
  await page.getByText(/^Update (Success|error)/).waitFor();
  return (await page.locator('body').innerText()).trim();
}

test('a person picks firmware and sends it: the page tells of success, the device restarts into the new version', async () => {
  const { device, url } = await started();
  const page = await openForm(url);
  expect(await page.getByLabel('Firmware:').getAttribute('accept')).toBe('.bin,.bin.gz');
  const next = image('2.0');
  expect(await send(page, 'Firmware', file('firmware.bin', next))).toBe('Update Success! Rebooting...');
  await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
  expect(await device.settled()).toEqual({ state: 'running' });
  expectBytes(device.flash.read(0, next.length), next);
  expect(device.events.recent('http.upload').at(-1)).toMatchObject({
    field: 'firmware',
    filename: 'firmware.bin',
    bytes: next.length,
    state: 'end',
  });
  // The browser finds the new version at the same address.
  expect((await page.goto(url))?.status()).toBe(200);
});

test('the same for a file system', async () => {
  const { device, url } = await started();
  const content = pattern(100_000);
  expect(await send(await openForm(url), 'FileSystem', file('fs.bin', content))).toBe('Update Success! Rebooting...');
  await device.next('app.start', { since: device.events.recent('app.start')[0]!.seq + 1 });
  expectBytes(device.flash.read(FS_START, content.length), content);
});

test("a file that is no firmware: the page shows the device's error, and the next try works", async () => {
  const { device, url } = await started();
  const page = await openForm(url);
  const error = await send(page, 'Firmware', file('notes.bin', pattern(50_000)));
  expect(error).toBe('Update error: ERROR[10]: Magic byte is not 0xE9');
  expect(device.events.recent('app.start')).toHaveLength(1);
  await page.goto(url);
  expect(await send(page, 'Firmware', file('firmware.bin', image('2.0')))).toBe('Update Success! Rebooting...');
  await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
});

test('sent without choosing a file: no data', async () => {
  const { device, url } = await started();
  const page = await openForm(url);
  await page.getByRole('button', { name: 'Update Firmware' }).click();
  await page.getByText('ERROR[13]: No data supplied').waitFor();
  expect(device.events.recent('app.start')).toHaveLength(1);
});

test('credentials: with wrong ones no form, with the right ones the whole way', async () => {
  const { device, url } = await started({ user: 'admin', password: 'geheim' });
  for (const login of [undefined, { username: 'admin', password: 'wrong' }]) {
    const context = await browser.newContext(login ? { httpCredentials: login } : {});
    const page = await context.newPage();
    // Chromium may call a 401 without a body a failure; the device's own events tell what it answered.
    await page.goto(url).catch(() => {});
    expect(await page.getByRole('button', { name: 'Update' }).count()).toBe(0);
  }
  const statuses = device.events.recent('http.response').map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([401]));
  const page = await openForm(url, { username: 'admin', password: 'geheim' });
  expect(await send(page, 'Firmware', file('firmware.bin', image('2.0')))).toBe('Update Success! Rebooting...');
  await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
});

test('over TLS: whoever accepts the certificate that the device made gets the same form and the same restart', async () => {
  const secure = (version: string): Uint8Array =>
    buildImage({ sketch: 'secure-web-updater', version, size: 300_000, layout: '4m2m' });
  device = await createDevice({
    image: secure('1.0'),
    layout: '4m2m',
    http: { user: 'admin', password: 'geheim' },
    https: { port: 0 },
  });
  await device.powerOn();
  const url = `https://127.0.0.1:${device.address.https?.port}/firmware`;
  const stranger = await (await browser.newContext()).newPage();
  await expect(stranger.goto(url)).rejects.toThrow('ERR_CERT_AUTHORITY_INVALID');
  const page = await openForm(url, { username: 'admin', password: 'geheim' }, { ignoreHTTPSErrors: true });
  expect(await send(page, 'Firmware', file('firmware.bin', secure('2.0')))).toBe('Update Success! Rebooting...');
  await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
});
