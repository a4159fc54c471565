/**
 * A 1 MiB image fetched by ESPhttpUpdate into the emulated flash with `--time fast`, against `curl -o /dev/null` from the
 * same server, a process of its own. Ours is the call of `update()` on a device that is running, its MD5 check included, the
 * restart not; curl's is the command as it is started, and in the second row only its transfer (`time_total`).
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const IMAGE_BYTES = 1024 * 1024;
/** Two such images fit side by side. */
const LAYOUT = '4m1m';
const ROUNDS = 21;
/** Downloads that do not count: code is compiled meanwhile. */
const WARM_UP = 8;
const CURL = '/usr/bin/curl';

const STATIC_SERVER = `
const body = require('node:fs').readFileSync(process.argv[1]);
const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': body.length, 'x-MD5': process.argv[2] };
const server = require('node:http').createServer((request, response) => response.writeHead(200, headers).end(body));
server.listen(0, '127.0.0.1', () => console.log('http=127.0.0.1:' + server.address().port));
`;

export async function* rows(load) {
  if (!existsSync(CURL)) throw new Error(`${CURL} is missing: install the Debian package curl`);
  const { buildImage, createDevice } = await load('emulator/index.js');
  const folder = mkdtempSync(join(tmpdir(), 'vesp-bench-'));
  const cleanups = [() => rmSync(folder, { recursive: true, force: true })];
  try {
    const image = buildImage({ sketch: 'blank', version: '2.0', size: IMAGE_BYTES, layout: LAYOUT });
    const path = join(folder, 'new.bin');
    writeFileSync(path, image);
    const server = await startServer(['-e', STATIC_SERVER, path, createHash('md5').update(image).digest('hex')]);
    cleanups.push(() => server.child.kill('SIGKILL'));
    const client = updateClient(server.url);
    const device = await createDevice({ layout: LAYOUT, sketch: client.sketch });
    cleanups.push(() => device.close());
    await device.powerOn();
    const ours = [];
    const command = [];
    const transfer = [];
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      let own;
      let curl;
      if (round % 2 === 0) {
        own = await client.update();
        curl = await download(server.url);
      } else {
        curl = await download(server.url);
        own = await client.update();
      }
      if (round < 0) continue;
      ours.push(own);
      command.push(curl.command / own);
      transfer.push(curl.transfer / own);
    }
    yield row('httpUpdate 1 MiB, --time fast', 'curl -o /dev/null', command, ours);
    yield row('the same, without the start of curl', "curl's time_total", transfer, ours);
  } finally {
    for (const clean of cleanups.reverse()) await clean();
  }
}

/** The ratio is the median of the rounds. */
function row(name, versus, ratios, times) {
  const ascending = (a, b) => a - b;
  ratios.sort(ascending);
  return {
    name,
    versus,
    ratio: ratios[ratios.length >> 1],
    low: ratios[1],
    high: ratios.at(-2),
    unit: 'times faster',
    nanoseconds: times.toSorted(ascending)[times.length >> 1],
  };
}

/** A sketch that updates when it is told to, and stays. */
function updateClient(url) {
  let order;
  const sketch = ({ ESPhttpUpdate }) => ({
    setup() {
      ESPhttpUpdate.rebootOnUpdate(false);
    },
    async loop() {
      if (!order) return;
      const { resolve, reject } = order;
      order = undefined;
      const start = process.hrtime.bigint();
      const result = await ESPhttpUpdate.update(url, '1.0');
      const nanoseconds = Number(process.hrtime.bigint() - start);
      if (ESPhttpUpdate.getLastError() === 0) resolve(nanoseconds);
      else reject(new Error(`update() returned ${result}: ${ESPhttpUpdate.getLastErrorString()}`));
    },
  });
  const update = () =>
    new Promise((resolve, reject) => {
      order = { resolve, reject };
    });
  return { sketch, update };
}

/** Nanoseconds of the command and of its transfer. */
function download(url) {
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const args = [
      '-q',
      '-sS',
      '--noproxy',
      '*',
      '-m',
      '60',
      '-o',
      '/dev/null',
      '-w',
      '%{size_download} %{time_total}',
      url,
    ];
    const child = spawn(CURL, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let answer = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    child.once('close', (code) => {
      const command = Number(process.hrtime.bigint() - start);
      const [bytes, seconds] = answer.split(' ').map(Number);
      if (code === 0 && bytes === IMAGE_BYTES) resolve({ command, transfer: seconds * 1e9 });
      else reject(new Error(`curl ended with ${code}: ${answer}`));
    });
  });
}

function startServer(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      const ready = /http=127\.0\.0\.1:(\d+)/.exec(output);
      if (ready) resolve({ child, url: `http://127.0.0.1:${ready[1]}/new.bin` });
    });
    child.once('exit', () => reject(new Error(`ended before it was ready:\n${output}`)));
  });
}
