/**
 * Draws docs/images/session.svg, the README's picture: the terminal of a real session. It starts a device, builds a new
 * version, uploads it, and writes down what both programs printed. Run it after `npm run build`: `node scripts/picture.mjs`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'dist', 'emulator', 'vesp', 'main.js');
const folder = mkdtempSync(join(tmpdir(), 'vesp-picture-'));
const vesp = (...args) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: 'utf8' });
  if (status !== 0) throw new Error(`vesp ${args.join(' ')} ended with ${status}: ${stderr}`);
  return stdout;
};

const device = spawn(
  process.execPath,
  [
    main,
    'run',
    '--ota-port',
    '0',
    '--http-port',
    '0',
    '--sketch',
    'basic-ota',
    '--password',
    '123',
    '--once',
    '--timeout',
    '60',
  ],
  { cwd: folder },
);
let log = '';
let ready;
const listening = new Promise((resolve) => {
  ready = resolve;
});
device.stdout.setEncoding('utf8').on('data', (text) => {
  log += text;
  const found = /^ready ota=(\S+)/m.exec(log);
  if (found) ready(found[1]);
});
device.stderr.setEncoding('utf8').on('data', (text) => {
  log += text;
});
const ended = new Promise((resolve) => device.once('exit', resolve));

try {
  const address = await listening;
  vesp(
    'image',
    'build',
    '--out',
    'blink-2.0.bin',
    '--sketch',
    'basic-ota',
    '--version',
    '2.0',
    '--size',
    '300000',
    '--layout',
    '4m2m',
    '--set',
    'password=123',
  );
  vesp('upload', '--port', address, '--password', '123', 'blink-2.0.bin');
  const status = await ended;
  if (status !== 0) throw new Error(`the device ended with ${status}:\n${log}`);
  const port = address.split(':')[1];
  writeFileSync(join(root, 'docs', 'images', 'session.svg'), svg(lines(log.replaceAll(port, '8266'))));
  console.log('docs/images/session.svg written');
} finally {
  device.kill();
  rmSync(folder, { recursive: true, force: true });
}

/** The log with its progress shortened, as a terminal would have overwritten it. */
function lines(text) {
  const shown = [{ text: '$ vesp run --password 123 --once', style: 'prompt' }];
  let progress = 0;
  for (const line of text.trimEnd().split('\n')) {
    if (line === '') continue;
    if (/^Progress: /.test(line)) {
      const percent = Number(/\d+/.exec(line)[0]);
      if (percent > 0 && percent < 100) {
        if (progress++ > 0) continue;
        shown.push({ text: 'Progress: …', style: 'serial' });
        continue;
      }
    }
    shown.push({ text: line, style: styleOf(line) });
  }
  return shown;
}

function styleOf(line) {
  if (line.startsWith('ready')) return 'ready';
  if (line.startsWith('-- application')) return 'app';
  if (line.startsWith('-- update of') && line.endsWith('complete')) return 'ready';
  return line.startsWith('--') ? 'note' : 'serial';
}

function svg(shown) {
  const height = shown.length * 19 + 58;
  const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const rows = shown
    .map(
      ({ text, style }, i) =>
        `  <text x="20" y="${58 + i * 19}" class="${style}" xml:space="preserve">${escaped(text)}</text>`,
    )
    .join('\n');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 ${height}" role="img" aria-label="A terminal: the device boots, is updated over the air, and starts version 2.0">
  <style>
    text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
    .serial { fill: #d6deeb; } .note { fill: #7f8ea3; } .ready { fill: #7ed491; } .app { fill: #6fd3e0; } .prompt { fill: #f2f5fa; font-weight: bold; }
  </style>
  <rect width="1000" height="${height}" rx="8" fill="#131a24"/>
  <circle cx="22" cy="20" r="6" fill="#e0695f"/><circle cx="42" cy="20" r="6" fill="#e3b34d"/><circle cx="62" cy="20" r="6" fill="#67b168"/>
${rows}
</svg>
`;
}
