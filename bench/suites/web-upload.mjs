/**
 * A 1 MiB upload through curl to the web updater, against a bare Node server that discards the body and answers the same
 * page. Each is a process of its own, and the time is curl's, from its start to its end; the restart that follows on the
 * device is waited for, but not counted.
 *
 * From 1 MiB on curl asks with `Expect: 100-continue` and waits a second for an answer that the device, as the real one,
 * does not give. The first row, the one that counts, tells curl not to ask. In the others it asks: the bare server keeps
 * silent as well, and then answers at once, as Node does by itself; so that last row is what fidelity costs.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const IMAGE_BYTES = 1024 * 1024;
/** Two such images fit side by side. */
const LAYOUT = '4m1m';
const ROUNDS = 61;
const ROUNDS_WITH_EXPECT = 5;
/** Uploads that do not count: a process that has just started compiles its code meanwhile. */
const WARM_UP = 20;
const CURL = '/usr/bin/curl';
const SUCCESS = '<META http-equiv="refresh" content="15;URL=/">Update Success! Rebooting...';
const READY_WITHIN_MS = 10_000;

const BARE_SERVER = `
const server = require('node:http').createServer((request, response) => {
  request.resume().on('end', () => response.end(${JSON.stringify(SUCCESS)}));
});
if (process.argv[1] === 'silent') {
  server.on('checkContinue', (request, response) => server.emit('request', request, response));
}
server.listen(0, '127.0.0.1', () => console.log('http=127.0.0.1:' + server.address().port));
`;

export async function* rows(load) {
  if (!existsSync(CURL)) throw new Error(`${CURL} is missing: install the Debian package curl`);
  const { buildImage } = await load('emulator/index.js');
  const main = load.path('emulator/vesp/main.js');
  const folder = mkdtempSync(join(tmpdir(), 'vesp-bench-'));
  const servers = [];
  try {
    const path = join(folder, 'new.bin');
    writeFileSync(path, buildImage({ sketch: 'web-updater', version: '2.0', size: IMAGE_BYTES, layout: LAYOUT }));
    const device = await startServer([main, 'run', '--sketch', 'web-updater', '--layout', LAYOUT, '--http-port', '0']);
    servers.push(device);
    const silent = await startServer(['-e', BARE_SERVER, 'silent']);
    servers.push(silent);
    const talking = await startServer(['-e', BARE_SERVER, 'talking']);
    servers.push(talking);
    for (const [name, rounds, warmUp, args, bare] of [
      ['web upload 1 MiB, --time fast', ROUNDS, WARM_UP, ['-H', 'Expect:'], silent],
      ['curl waits 1 s for 100, both silent', ROUNDS_WITH_EXPECT, 0, [], silent],
      ['curl waits 1 s, the server answers 100', ROUNDS_WITH_EXPECT, 0, [], talking],
    ]) {
      yield await compareUploads({ name, rounds, warmUp, path, args, device, bare });
    }
  } finally {
    for (const { child } of servers) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Interleaved, in changing order; the ratio is the median of the rounds. */
async function compareUploads({ name, rounds, warmUp, path, args, device, bare }) {
  const ratios = [];
  const ours = [];
  for (let round = -warmUp; round < rounds; round++) {
    const times = {};
    const order = round % 2 === 0 ? ['device', 'bare'] : ['bare', 'device'];
    for (const who of order) {
      const { url } = who === 'device' ? device : bare;
      if (who === 'device') await isServing(url);
      times[who] = await upload(url, path, args);
      if (who === 'device') await isServing(url);
    }
    if (round < 0) continue;
    ratios.push(times.bare / times.device);
    ours.push(times.device);
  }
  const ascending = (a, b) => a - b;
  ratios.sort(ascending);
  ours.sort(ascending);
  return {
    name,
    versus: 'Node server that discards it',
    ratio: ratios[ratios.length >> 1],
    low: ratios[1],
    high: ratios.at(-2),
    unit: 'times faster',
    nanoseconds: ours[ours.length >> 1],
  };
}

/** Nanoseconds that curl ran. */
function upload(url, path, args) {
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const child = spawn(CURL, ['-q', '-sS', '--noproxy', '*', '-m', '60', ...args, '-F', `image=@${path}`, url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let answer = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    child.once('close', (code) => {
      const nanoseconds = Number(process.hrtime.bigint() - start);
      if (code === 0 && answer === SUCCESS) resolve(nanoseconds);
      else reject(new Error(`curl ended with ${code}: ${answer}`));
    });
  });
}

/** The device has restarted, and nobody is connected to it any more. */
async function isServing(url) {
  const until = Date.now() + READY_WITHIN_MS;
  for (;;) {
    await pause(100);
    const answer = await fetch(url, { headers: { connection: 'close' } }).catch(() => undefined);
    await answer?.arrayBuffer();
    if (answer?.ok) return;
    if (Date.now() > until) throw new Error(`${url} does not answer`);
  }
}

function startServer(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      const ready = /http=127\.0\.0\.1:(\d+)/.exec(output);
      if (ready) resolve({ child, url: `http://127.0.0.1:${ready[1]}/update` });
    });
    child.once('exit', () => reject(new Error(`ended before it was ready:\n${output}`)));
  });
}
