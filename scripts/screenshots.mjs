/**
 * Takes the pictures of the live page for the docs, docs/images/live-page*.png: a real device in the middle of an update, seen
 * by Debian's chromium. Run it after `npm run build`: `node scripts/screenshots.mjs`.
 */
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { buildImage, createDevice } from '../dist/emulator/index.js';

const folder = fileURLToPath(new URL('../docs/images/', import.meta.url));
const SIZE = { width: 1440, height: 900 };
const firmware = (version, size = 300_000) =>
  buildImage({ sketch: ['basic-ota', 'web-updater'], version, size, layout: '4m2m' });

mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-proxy-server'],
});
try {
  await picture('live-page', 'dark', copying);
  await picture('live-page-light', 'light', storing);
  await picture('live-page-dead', 'dark', dead);
} finally {
  await browser.close();
}

/** Half-way through eboot's copy, paused: source and destination on the map, the command in RTC memory. */
async function copying({ post, page, settled }) {
  await post('/api/clock', { pauseOn: ['eboot.command'] });
  await post('/api/upload', firmware('2.0'));
  await settled('eboot copies');
  await post('/api/clock', { pauseOn: ['eboot.copy'] });
  for (let sector = 0; sector < 33; sector++) {
    await post('/api/clock', { paused: false });
    await page.waitForTimeout(25);
  }
  for (let operations = 0; operations < 9; operations++) await post('/api/step', {});
  await page.locator('#tab-story').click();
}

/** The image is being stored while the old firmware runs. */
async function storing({ post, page, settled, device }) {
  await post('/api/clock', { speed: 0.2 });
  void post('/api/upload', firmware('2.0')).catch(() => {});
  await settled('updating');
  await page.locator('#tab-wire').click();
  await page.waitForTimeout(4000);
  device.pause();
}

/** A power cut in the middle of the copy: dead, why, and what revives it. */
async function dead({ post, page, settled }) {
  await post('/api/faults', { spec: 'power-cut@copy:600:inside:0.5' });
  await post('/api/upload', firmware('2.0'));
  await settled('dead');
  await page.locator('#tab-story').click();
}

async function picture(name, colorScheme, scene) {
  const device = await createDevice({
    layout: '4m2m',
    image: firmware('1.0', 280_000),
    ota: { port: 0 },
    http: { port: 0 },
    control: { port: 0 },
    afterPowerCut: 'power-on',
  });
  try {
    await device.powerOn();
    const origin = `http://127.0.0.1:${device.address.control.port}`;
    const page = await browser.newPage({ viewport: SIZE, colorScheme });
    await page.goto(origin);
    const settled = (words) => page.locator('#status').filter({ hasText: words }).waitFor();
    await settled('running 1.0');
    const post = async (path, body) => {
      const content = body instanceof Uint8Array ? body : JSON.stringify(body);
      const answer = await fetch(`${origin}${path}`, { method: 'POST', body: content });
      if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`);
      return answer.json();
    };
    await scene({ post, page, settled, device });
    // What glows fades, what was asked for arrives.
    await page.waitForTimeout(1200);
    await page.screenshot({ path: `${folder}${name}.png` });
    await page.close();
    console.log(`docs/images/${name}.png written`);
  } finally {
    await device.close();
  }
}
