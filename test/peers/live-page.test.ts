/**
 * The live page as a student meets it: Debian's chromium, driven through playwright-core, and a real device behind it. Every
 * control is used once, with what the device says of it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildImage, createDevice, type Device, type DeviceOptions } from '../../emulator/index.ts';
import { encodeRequest, SYNC_DATA } from '../../ota-services/rom-loader/packets.ts';
import { image } from '../support/control.ts';
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
  '--no-first-run',
  '--no-proxy-server',
];

let browser: Browser;
let folder: string;
let device: Device | undefined;
let complaints: string[] = [];
let foreign: string[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-page-'));
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
  // No mistake in the console, nothing fetched from elsewhere: in every test.
  expect(complaints).toEqual([]);
  expect(foreign).toEqual([]);
});

async function open(options: DeviceOptions = {}, on = true): Promise<{ page: Page; device: Device }> {
  const made = await createDevice({
    layout: '4m2m',
    image: image('1.0'),
    ota: { port: 0 },
    http: { port: 0 },
    control: { port: 0 },
    ...options,
  });
  device = made;
  if (on) await made.powerOn();
  const context = await browser.newContext({ viewport: { width: 1366, height: 768 }, colorScheme: 'dark' });
  const page = await context.newPage();
  complaints = [];
  foreign = [];
  const origin = `http://127.0.0.1:${made.address.control!.port}`;
  page.on('console', (message) => {
    // A refused request is told on the page, and by the browser here.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(origin)) foreign.push(request.url());
  });
  await page.goto(`${origin}/`);
  await says(page, '#status', on ? /running/ : /off/);
  return { page, device: made };
}

/** Waits until an element says something. */
const says = (page: Page, selector: string, words: RegExp): Promise<void> =>
  page.locator(selector).filter({ hasText: words }).first().waitFor();

const file = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};

const poll = <T>(look: () => T) => expect.poll(look, { timeout: 20_000 });

/** What the page's model holds. */
// biome-ignore lint/suspicious/noExplicitAny: the page is JavaScript
const model = <T>(page: Page, look: (model: any) => T): Promise<T> =>
  page.evaluate(`(${look.toString()})(window.vesp.model)`) as Promise<T>;

const startedVersion = (device: Device, version: string) =>
  device.next('app.start', { since: 0, where: (event) => event.version === version });

/** Ticks an entry of the menu "Stop when". */
async function stopWhen(page: Page, label: string): Promise<void> {
  await page.locator('#stops summary').click();
  await page.getByLabel(label).check();
  await page.locator('#stops summary').click();
  await says(page, '#stops summary.on', /Stop/);
}

async function upload(page: Page, version: string, button = 'Upload as a browser does', size = 300_000): Promise<void> {
  await page.locator('#file').setInputFiles(file(`firmware-${version}.bin`, image(version, size)));
  await page.getByRole('button', { name: button }).click();
}

describe('the board', () => {
  test('what runs, where it listens; power plug, reset button and GPIO0 strap', async () => {
    const { page, device } = await open();
    await says(page, '#facts', new RegExp(`127.0.0.1:${device.address.ota!.port}`));
    await says(page, '#now', /Version 1\.0 runs/);
    expect(await page.title()).toContain('running 1.0');

    await page.getByRole('switch', { name: 'GPIO0' }).click();
    await says(page, '#gpio0 em', /low/);
    expect(device.straps.gpio0).toBe(0);
    await page.getByRole('button', { name: 'Reset button' }).click();
    await says(page, '#status', /serial loader/);
    await page.getByRole('switch', { name: 'GPIO0' }).click();
    await says(page, '#gpio0 em', /open/);
    await page.getByRole('button', { name: 'Reset button' }).click();
    await says(page, '#status', /running 1\.0/);

    // A serial host holds FLASH for its one reset: the strap is latched, and the pin is open again.
    const pressed = device.next('straps', { where: ({ latched }) => latched === 1 });
    device.serial.connect({ peer: 'flasher', lines: false, write() {} })!.receive(encodeRequest(0x08, SYNC_DATA));
    await pressed;
    await says(page, '#facts', /Boot mode1: serial loader/);
    await says(page, '#gpio0 em', /open/);
    // Somebody else moves the pin: the next reset shows it.
    device.straps.gpio0 = 0;
    await page.getByRole('button', { name: 'Reset button' }).click();
    await says(page, '#gpio0 em', /low/);
    device.straps.gpio0 = 1;
    await page.getByRole('button', { name: 'Reset button' }).click();
    await says(page, '#gpio0 em', /open/);
    await says(page, '#status', /running 1\.0/);

    await page.getByRole('switch', { name: 'Power plug' }).click();
    await says(page, '#status', /off/);
    await says(page, '#now', /No power: what is in flash stays, RTC memory is lost/);
    expect(device.isOn).toBe(false);
    expect(await page.getByRole('button', { name: 'Reset button' }).isDisabled()).toBe(true);
    await page.getByRole('switch', { name: 'Power plug' }).click();
    await says(page, '#status', /running/);
  });

  test('by keys alone', async () => {
    const { page, device } = await open();
    await page.keyboard.press('p');
    await says(page, '#status', /off/);
    await page.keyboard.press('p');
    await says(page, '#status', /running/);
    await page.keyboard.press('r');
    await device.next('reset', { since: 0, where: ({ cause }) => cause === 'external' });
    await page.keyboard.press('g');
    await says(page, '#gpio0 em', /low/);
    await page.keyboard.press(' ');
    await says(page, '#status', /paused/);
    expect(device.paused).toBe(true);
    await page.keyboard.press(' ');
    await says(page, '#pause', /Pause/);
    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'Keys' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: 'Keys' }).waitFor({ state: 'hidden' });
    await page.keyboard.press('t');
    await poll(() => page.evaluate('document.documentElement.dataset.theme')).toBe('light');
    // Every control is reached with Tab.
    const reached = new Set<string>();
    for (let i = 0; i < 45; i++) {
      await page.keyboard.press('Tab');
      reached.add(String(await page.evaluate('document.activeElement?.id || document.activeElement?.tagName')));
    }
    for (const id of [
      'pause',
      'speed',
      'power',
      'gpio0',
      'reset',
      'save',
      'flash-canvas',
      'mark',
      'tab-serial',
      'serial-input',
      'file',
      'timeline-canvas',
    ]) {
      expect([...reached]).toContain(id);
    }
  });

  test('a device that is off: the page is there, and plugs it in', async () => {
    const { page, device } = await open({}, false);
    await page.getByRole('switch', { name: 'Power plug' }).click();
    await says(page, '#status', /running 1\.0/);
    expect(device.isOn).toBe(true);
  });
});

describe('an update', () => {
  test('inspected, uploaded as the Arduino IDE does, and told in plain words', async () => {
    const { page, device } = await open();
    await page.locator('#file').setInputFiles(file('blink.bin', image('2.0')));
    await says(page, '#file-report', /version 2\.0/);
    await says(page, '#file-report', /by ArduinoOTA: yes/);
    await page.getByRole('button', { name: 'Upload as the Arduino IDE does' }).click();
    await startedVersion(device, '2.0');
    await says(page, '#toast', /the device answered "OK"/);
    await says(page, '#status', /running 2\.0/);
    await page.getByRole('tab', { name: 'Wires' }).click();
    for (const words of [
      /fetch a sketch of 300,000 bytes from my port/,
      /300,000 bytes in \d+ pieces/,
      /acknowledges: 300,000/,
      /ArduinoOTA is done/,
    ]) {
      await says(page, '#log .line', words);
    }
    await page.getByRole('tab', { name: 'Story' }).click();
    await says(page, '#log .line', /eboot finds a command: copy 300,000 bytes/);
    await page.getByRole('tab', { name: 'Serial' }).click();
    await says(page, '#log .line', /HTTPUpdateServer ready/);
    // The states of the map are those of the server.
    const map = await page.evaluate(`fetch('/api/flash/map').then((answer) => answer.json())`);
    await page.waitForFunction(
      // biome-ignore lint/suspicious/noExplicitAny: runs in the page
      (sectors: any) => {
        // biome-ignore lint/suspicious/noExplicitAny: runs in the page
        const { model, states } = (globalThis as any).vesp;
        return sectors.every(
          // biome-ignore lint/suspicious/noExplicitAny: runs in the page
          (sector: any, i: number) =>
            states[model.state[i]] === sector.state && model.wear[i] === sector.wear && model.crc[i] === sector.crc,
        );
      },
      (map as { sectors: unknown }).sectors,
    );
  });

  test('a file dropped on the page is inspected; one that is no firmware is said to be none, and refused', async () => {
    const { page } = await open();
    const transfer = await page.evaluateHandle(`(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(20000).fill(1)], 'notes.bin'));
      return transfer;
    })()`);
    await page.dispatchEvent('body', 'dragenter', { dataTransfer: transfer });
    await says(page, '#drop-cover', /Let go/);
    await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
    await says(page, '#file-report', /no ESP8266 firmware/);
    await page.getByRole('button', { name: 'Upload as a browser does' }).click();
    await says(page, '#toast', /failed: Update error: ERROR\[10\]: Magic byte is not 0xE9/);
    await says(page, '#now', /Magic byte/);
  });

  test('eboot, operation by operation: its phase in words, the command in RTC memory appearing and vanishing', async () => {
    const { page, device } = await open();
    await stopWhen(page, 'eboot is about to copy');
    await says(page, '#rtc-command', /no eboot command/);
    await upload(page, '2.0', 'Upload as the Arduino IDE does', 20_000);
    await says(page, '#status', /paused · eboot copies/);
    await says(page, '#rtc-command', /eboot command: copy 20,000 bytes, 0x1FB000 → 0x000000/);
    await says(page, '#now', /from 0x1FB000 \(the staging area of the last update\) to 0x000000/);
    await page.screenshot({ path: join(folder, 'copy.png') });
    const operations = () => model(page, ({ operations }) => operations.total as number);
    const before = await operations();
    for (let count = 1; count <= 3; count++) {
      await page.getByRole('button', { name: 'Step' }).click();
      await says(page, '#toast', count === 1 ? /erase/ : /program/);
      await poll(operations).toBe(before + count);
    }
    await page.keyboard.press('s');
    await poll(operations).toBe(before + 4);
    await page.locator('#speed').selectOption('0.05');
    await poll(() => device.speed).toBe(0.05);
    await page.getByRole('button', { name: 'Go on' }).click();
    await poll(operations).toBeGreaterThan(before + 6);
    await page.locator('#speed').selectOption('1');
    await startedVersion(device, '2.0');
    await says(page, '#rtc-command', /no eboot command/);
    await says(page, '#status', /running 2\.0/);
  });
});

describe('faults and what comes of them', () => {
  test('pull the plug here: back to before the copy, torn, dead, why and what revives it, and back again', async () => {
    const { page, device } = await open({ afterPowerCut: 'power-on' });
    await upload(page, '2.0');
    await startedVersion(device, '2.0');
    await says(page, '#status', /running 2\.0/);
    const box = (await page.locator('#timeline-canvas').boundingBox())!;
    await page.mouse.click(box.x + box.width * 0.8, box.y + box.height / 2);
    await says(page, '#timeline-words', /copy:\d+ \(while eboot copies\)/);
    await page.getByRole('button', { name: 'Pull the plug here' }).click();
    await says(page, '#fault-spec', /^power-cut@copy:\d+:inside:0\.5$/);
    await page.getByRole('button', { name: 'Go back to before the copy and strike' }).click();
    await says(page, '#banner', /The application in flash is damaged: it crashes at every start/);
    await says(page, '#banner', /Only a serial upload helps/);
    await says(page, '#status', /dead/);
    expect(device.state).toMatchObject({ state: 'dead', cure: 'serial' });
    expect(device.events.recent('fault.fired')).toHaveLength(1);
    await poll(() => model(page, ({ state }) => [...state].filter((one) => one === 3).length)).toBe(1);
    await page.getByRole('button', { name: 'Go back to a snapshot' }).click();
    await says(page, '#status', /running/);
    expect(await page.locator('#banner').isHidden()).toBe(true);
  });

  test('a sector from near, and a fault armed there by a click', async () => {
    const { page, device } = await open();
    await page.locator('#flash-canvas').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    await says(page, '#flash-words', /Sector 1 at 0x001000: the running application/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Sector 1 at 0x001000' }).waitFor();
    const first = Buffer.from(device.flash.read(0x1000, 8)).toString('hex').replace(/../g, '$& ').trim();
    await says(page, '.dump div', new RegExp(`^001000 +${first}`));
    await page.keyboard.press('ArrowRight');
    await says(page, '.dump div', /^001100/);
    await page.getByRole('button', { name: 'Next sector' }).click();
    await page.getByRole('heading', { name: 'Sector 2 at 0x002000' }).waitFor();
    await page.getByRole('button', { name: 'Arm a fault at this sector' }).click();
    await page.locator('#fault-kind').selectOption('erase-fail');
    await says(page, '#fault-spec', /^erase-fail@0x2000$/);
    await page.locator('#fault-arm').click();
    await page.getByRole('button', { name: 'Close' }).click();
    await says(page, '#faults', /an erase fails at the next operation on sector 2/);
    expect(device.faults.armed).toBe(true);
    await page.getByRole('button', { name: 'Disarm' }).click();
    await says(page, '#faults', /none armed/);
    expect(device.faults.armed).toBe(false);
    // By the pointer: the cell below it.
    const cell = await page.evaluate(`(() => {
      const { map } = window.vesp;
      const { x, y, wide, high } = map.placeOf(0x200);
      return { x: x + wide / 2, y: y + high / 2 };
    })()`);
    await page.locator('#flash-canvas').click({ position: cell as { x: number; y: number } });
    await page.getByRole('heading', { name: 'Sector 512 at 0x200000' }).waitFor();
  });

  test('changes since a marked moment, down to the byte; wear; snapshots to go back to', async () => {
    const { page, device } = await open();
    await page.getByRole('button', { name: 'Mark this moment' }).click();
    await says(page, '#legend', /changed since the mark: 0 sectors/);
    const was = device.flash.read(0x2000, 1)[0]!;
    await upload(page, '2.0');
    await startedVersion(device, '2.0');
    await says(page, '#legend', /changed since the mark: [1-9]\d* sectors/);
    await page.locator('#flash-canvas').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await says(page, '#sector-dialog', /[1-9][\d,]* bytes changed since the mark/);
    const title = await page.locator('.dump .changed').first().getAttribute('title');
    expect(title).toBe(`was ${was.toString(16).padStart(2, '0')}`);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Wear' }).click();
    await says(page, '#legend', /most often: \d+ times/);
    await page.getByRole('button', { name: 'Save' }).click();
    await says(page, '#snapshots', /by hand, 2\.0/);
    await page.getByRole('button', { name: 'Go back to marked moment' }).click();
    await says(page, '#status', /running 1\.0/);
    await page.getByRole('button', { name: 'Delete by hand, 2.0' }).click();
    await poll(() => page.locator('#snapshots').innerText()).not.toContain('by hand');
  });
});

describe('the logs', () => {
  test('the serial monitor: what the device prints, what is typed to it', async () => {
    const { page, device } = await open({
      sketch: (core) => ({
        setup: () => core.Serial.println('say something'),
        loop() {
          while (core.Serial.available() > 0) core.Serial.print(String.fromCharCode(core.Serial.read()).toUpperCase());
        },
      }),
      image: undefined,
    });
    await says(page, '#log .line', /say something/);
    await page.getByLabel('Serial input').fill('hello');
    await page.keyboard.press('Enter');
    await says(page, '#log .line', /HELLO/);
    expect(device.serial.text()).toContain('HELLO\n');
  });

  test('nothing that a device says becomes markup', async () => {
    const version = '<img src=x onerror=alert(1)>';
    const { page } = await open({
      image: buildImage({ sketch: ['basic-ota'], version, size: 100_000, layout: '4m2m' }),
      sketchFor: undefined,
    });
    await page.getByRole('tab', { name: 'Story' }).click();
    await says(page, '#log .line', /<img src=x/);
    await page.locator('#file').setInputFiles(file('<b>x.bin', image('2.0')));
    await says(page, '#file-report', /version 2\.0/);
    expect(await page.locator('img').count()).toBe(0);
  });

  test('a page left open: the log is bounded, says what it dropped, and draws only what is in sight', async () => {
    const { page, device } = await open();
    await page.getByRole('tab', { name: 'All events' }).click();
    const before = device.events.nextSeq;
    for (let i = 0; i < 40_000; i++) {
      device.events.emit({ type: 'sketch.log', text: `line ${i}` });
      if (i % 2000 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await poll(() => model(page, ({ lastSeq }) => lastSeq as number)).toBeGreaterThanOrEqual(before + 39_999);
    await says(page, '#log-foot', /[\d,]+ older lines dropped here/);
    await says(page, '#log .line', /line 39999/);
    expect(await model(page, ({ events }) => events.length as number)).toBe(20_000);
    expect(await page.locator('#log .line').count()).toBeLessThan(100);
    const heap = await model(page, ({ story }) => story.length as number);
    expect(heap).toBe(4000);
  });

  test('the program ends and comes back: the page says so, and shows the new device', async () => {
    const { page, device: first } = await open();
    const { port } = first.address.control!;
    await first.close();
    await says(page, '#banner', /Not connected/);
    device = await createDevice({
      layout: '4m2m',
      image: image('3.0'),
      ota: { port: 0 },
      http: { port: 0 },
      control: { port },
    });
    await device.powerOn();
    await says(page, '#status', /running 3\.0/);
    expect(await page.locator('#banner').isHidden()).toBe(true);
  });
});

test('smooth and complete while a MiB is written at full speed', async () => {
  const { page, device } = await open();
  await page.evaluate(`(() => {
    window.gaps = [];
    let last = performance.now();
    const look = (now) => { window.gaps.push(now - last); last = now; requestAnimationFrame(look); };
    requestAnimationFrame(look);
    Object.assign(window.vesp.frames, { count: 0, busyMs: 0, longestMs: 0, over: 0 });
  })()`);
  const from = await model(page, ({ received, lastSeq }) => ({
    received: received as number,
    lastSeq: lastSeq as number,
  }));
  const content = Uint8Array.from({ length: 1024 * 1024 }, (_, i) => (i * 7919) >> 3);
  await page.locator('#file').setInputFiles(file('site.fs.bin', content));
  await says(page, '#file-report', /no ESP8266 firmware|What/);
  await page.getByRole('button', { name: 'Upload as a browser does' }).click();
  await device.next('app.start', { timeoutMs: 60_000 });
  await device.settled();
  device.pause();
  const last = device.events.nextSeq - 1;
  await poll(() => model(page, ({ lastSeq }) => lastSeq as number)).toBe(last);
  // None lost: as many as there are numbers between the first and the last.
  expect(await model(page, ({ received }) => received as number)).toBe(from.received + last - from.lastSeq);
  expect(last - from.lastSeq).toBeGreaterThan(4000);
  const frames = (await page.evaluate('({ ...window.vesp.frames, gaps: window.gaps })')) as {
    count: number;
    over: number;
    gaps: number[];
  };
  // Of the frames in which the page itself worked, few took longer than one sixtieth of a second allows.
  expect(frames.count).toBeGreaterThan(10);
  expect(frames.over / frames.count).toBeLessThan(0.1);
});
