/**
 * The HTML report of a sweep in a browser without a network: chart, flash map, sector diff, ids to copy; and nothing that comes
 * from outside is markup. The browser is also the XML parser for JUnit.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  formatJunit,
  gatherEvidence,
  powerCutSweep,
  replay,
  reportHtml,
  type SweepOptions,
  type SweepReport,
} from '../../emulator/index.ts';
import { program } from '../support/program.ts';
import { SWEEP_LAYOUT, sweepImage } from '../support/sweep.ts';

/** What somebody could call a file who wants to be executed. */
const ODD = `<img src=x onerror="document.title='owned'"> & 'a' </script><script>document.title='owned'</script>.bin`;

let browser: Browser;
let folder: string;
let report: SweepReport;
let page: Page;
const complaints: string[] = [];
const requests: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-report-'));
  const from = join(folder, ODD);
  // Every slash in the name makes a folder.
  mkdirSync(dirname(from), { recursive: true });
  const to = join(folder, 'new.bin');
  writeFileSync(from, sweepImage('basic-ota', '1.0', 32_000));
  writeFileSync(to, sweepImage('basic-ota', '2.0', 34_000));
  report = await powerCutSweep({
    from,
    to,
    layout: SWEEP_LAYOUT,
    fault: 'power-cut,reset',
    expect: ['phase=copy => old|new', 'fault=reset => old|new'],
  });
  browser = await chromium.launch({
    executablePath: program('/usr/bin/chromium', 'chromium'),
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
  });
  page = await open('report.html', reportHtml(report, await gatherEvidence(report)));
});

afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(name: string, text: string): Promise<Page> {
  const file = join(folder, name);
  writeFileSync(file, text);
  const context = await browser.newContext({ offline: true, viewport: { width: 1200, height: 900 } });
  const opened = await context.newPage();
  opened.on('console', (message) => complaints.push(message.text()));
  opened.on('pageerror', (error) => complaints.push(error.message));
  opened.on('request', (request) => requests.push(request.url()));
  await opened.goto(pathToFileURL(file).href);
  return opened;
}

describe('the HTML report', () => {
  test('says in its headline what came out', async () => {
    expect(await page.title()).toBe(`${report.points} cuts of a sketch update: ${report.verdicts.brick} brick`);
    expect(await page.locator('h1').innerText()).toBe(await page.title());
    expect(await page.locator('#expectations').innerText()).toMatch(
      /phase=copy => old\|new: broken \d+ times[\s\S]*fault=reset => old\|new: holds/,
    );
  });

  test('the chart has a lane for each fault, phase and point, and bricks only in the copy under a power cut', async () => {
    const strips = page.locator('svg.strip');
    expect(await strips.evaluateAll((all) => all.map((one) => one.getAttribute('aria-label')))).toEqual(
      ['power-cut', 'reset'].flatMap((fault) =>
        ['staging', 'command', 'copy', 'clear'].map((phase) => `${fault} in ${phase}`),
      ),
    );
    const withBricks = await strips.evaluateAll((all) =>
      all.filter((one) => one.querySelector('rect.brick')).map((one) => one.getAttribute('aria-label')),
    );
    expect(withBricks).toEqual(['power-cut in copy']);
  });

  test('a place in the chart tells the id of its first cut', async () => {
    await page.locator('svg.strip[aria-label="power-cut in copy"] rect.brick').first().click();
    const id = await page.locator('#picked code').innerText();
    expect(report.results.find((result) => result.id === id)?.verdict).toBe('brick');
  });

  test('each class of brick has a reason in words, a flash map with the cut in it, and a sector diff', async () => {
    const classes = page.locator('.class');
    const reasons = new Set(report.results.filter(({ verdict }) => verdict === 'brick').map(({ reason }) => reason));
    expect(await classes.count()).toBe(reasons.size);
    for (const one of await classes.all()) {
      expect(await one.innerText()).toMatch(/RTC memory only, which a loss of power wipes/);
      expect(await one.locator('svg.map rect.cut').count()).toBe(1);
      expect(await one.locator('table.diff tbody tr').count()).toBe(8);
      expect(await one.locator('table.diff b').count()).toBeGreaterThan(0);
    }
    // In the middle of the copy some of it is new, some old, and the new image lies in the staging area.
    const states = await page
      .locator('svg.map')
      .evaluateAll((maps) =>
        maps.map((map) => ['new', 'old', 'staged'].filter((state) => map.querySelector(`rect.s-${state}`)).join()),
      );
    expect(states).toContain('new,old,staged');
  });

  test('an id is copied by its button, and replays', async () => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    const button = page.locator('.class [data-copy]').last();
    await button.click();
    await expect.poll(() => button.innerText()).toBe('copied');
    const id = await page.evaluate<string>('navigator.clipboard.readText()');
    expect(id).toBe(await button.getAttribute('data-copy'));
    const result = await replay(id, report);
    expect(result).toMatchObject({ verdict: 'brick', same: true });
  });

  test('names of files are text, not markup', async () => {
    expect(await page.locator('#definition').innerText()).toContain(ODD);
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('script').count()).toBe(1);
    expect(await page.title()).not.toBe('owned');
  });

  test('on a dark screen it is dark, on paper it is light and has no buttons', async () => {
    const background = (): Promise<string> => page.evaluate('getComputedStyle(document.body).backgroundColor');
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await background()).toBe('rgb(17, 24, 31)');
    await page.emulateMedia({ colorScheme: 'dark', media: 'print' });
    expect(await background()).toBe('rgb(255, 255, 255)');
    expect(await page.locator('button').first().isVisible()).toBe(false);
    await page.emulateMedia({ colorScheme: 'light', media: 'screen' });
  });

  test('nothing is loaded, nothing complains, and the page stays small', async () => {
    expect(requests.filter((url) => !url.startsWith('file:'))).toEqual([]);
    expect(complaints).toEqual([]);
    expect((await page.content()).length).toBeLessThan(100_000);
  });

  const others: Record<string, SweepOptions> = {
    'a sweep without bricks': { fault: 'reset', points: ['before'] },
    'an update that resets kill, as it is copied over its staging area': {
      path: 'web',
      from: sweepImage('web-updater', '1.0', 32_000),
      to: sweepImage('web-updater', '2.0', 60_000),
      fault: 'reset',
      points: ['before'],
    },
    'pairs of faults': { depth: 2, fault: 'reset+power-cut', points: ['before'] },
  };
  test.each(Object.entries(others))('%s', async (name, options) => {
    const images = {
      from: sweepImage('basic-ota', '1.0', 20_000),
      to: sweepImage('basic-ota', '2.0', 20_000),
      ...options,
    };
    const other = await powerCutSweep({ ...images, layout: SWEEP_LAYOUT });
    const evidence = await gatherEvidence(other, { images: { ...images, firmware: undefined } });
    const shown = await open(`${name}.html`, reportHtml(other, evidence));
    const text = await shown.locator('body').innerText();
    if (name.startsWith('a sweep')) {
      expect(await shown.title()).toMatch(/^None of \d+ cuts .* harms this sketch update$/);
      expect(await shown.locator('.class').count()).toBe(0);
    } else if (name.startsWith('an update')) {
      expect(text).toMatch(/the new image reaches into its own staging area at 0x9000 by 6 sectors/);
    } else {
      expect(text).toContain('Pairs of faults and random schedules have no chart');
      expect(await shown.locator('svg.map').count()).toBeGreaterThan(0);
    }
    expect(complaints).toEqual([]);
  });

  test('without the images it says why there are no maps', async () => {
    const moved = { ...report, files: { from: '/nowhere/<b>old</b>.bin' } };
    const why = await gatherEvidence(moved).catch((error: Error) => error.message);
    const shown = await open('moved.html', reportHtml(moved, why as string));
    expect(await shown.locator('.note').innerText()).toBe(
      'No flash maps: --from /nowhere/<b>old</b>.bin: cannot be read.',
    );
    expect(await shown.locator('svg.map').count()).toBe(0);
    expect(await shown.locator('svg.strip').count()).toBe(8);
  });
});

describe('JUnit', () => {
  // Runs in the browser, so it is text here.
  const parse = (xml: string): Promise<{ error: string | undefined; names: string[]; failures: string[] }> =>
    page.evaluate(`(() => {
      const parsed = new DOMParser().parseFromString(${JSON.stringify(xml)}, 'application/xml');
      const all = (name, attribute) => [...parsed.querySelectorAll(name)].map((one) => one.getAttribute(attribute));
      const error = parsed.querySelector('parsererror')?.textContent;
      return { error, names: all('testcase', 'name'), failures: all('failure', 'message') };
    })()`);

  test('a test case for each expectation and each verdict with its reason', async () => {
    const { error, names, failures } = await parse(formatJunit(report));
    expect(error).toBeUndefined();
    expect(names.slice(0, 4)).toEqual([
      'phase=copy => old|new',
      'fault=reset => old|new',
      'verdict old',
      'verdict new',
    ]);
    expect(names.slice(4).every((name) => name.startsWith('verdict brick: '))).toBe(true);
    expect(failures).toEqual([expect.stringMatching(/^\d+ of \d+ points break it$/)]);
  });

  test('is well-formed whatever the texts are', async () => {
    const text = `${ODD} ]]> \u0000\u0007\u001b[1m \ufffe \ud800 é 😀 "\n\t`;
    const odd: SweepReport = {
      ...report,
      definition: { ...report.definition, layout: text },
      expectations: [{ rule: text, checked: 1, violations: 1, ids: [text] }],
      results: report.results.map((result) => ({ ...result, reason: text })),
    };
    const { error, names } = await parse(formatJunit(odd));
    expect(error).toBeUndefined();
    expect(names[0]).toBe(`${ODD} ]]> \ufffd\ufffd\ufffd[1m \ufffd \ufffd é 😀 "\n\t`);
  });
});
