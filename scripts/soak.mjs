/**
 * `npm run test:soak [-- COUNT]`: so many uploads in a row (200) to one `vesp run`, with the uploader of npm `esp-ota`. Every
 * one must end, and its version must start. Prints how long they took.
 */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { buildImage } from '../dist/emulator/index.js';

const count = Number(process.argv[2] ?? 200);
const EspOTA = createRequire(import.meta.url)('esp-ota');
const main = fileURLToPath(new URL('../dist/emulator/vesp/main.js', import.meta.url));
/** No upload takes this long unless it hangs. */
const HANG_MS = 30_000;

const device = spawn(process.execPath, [main, 'run', '--ota-port', '0', '--http-port', '0'], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
let log = '';
device.stdout.setEncoding('utf8').on('data', (text) => {
  log = (log + text).slice(-20_000);
});
const shows = async (pattern, what) => {
  const limit = Date.now() + HANG_MS;
  for (;;) {
    const match = pattern.exec(log);
    if (match) return match;
    if (Date.now() > limit)
      throw new Error(`${what}: not within ${HANG_MS / 1000} s; the device last said\n${log.slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

const times = [];
try {
  const port = Number((await shows(/^ready ota=127\.0\.0\.1:(\d+)/m, 'start'))[1]);
  for (let version = 1; version <= count; version++) {
    const image = buildImage({ sketch: 'basic-ota', version: `v${version}`, size: 40_000, layout: '4m2m' });
    const startedAt = performance.now();
    const hang = new Promise((_, reject) =>
      setTimeout(() => reject(new Error(`upload ${version} hangs`)), HANG_MS).unref(),
    );
    await Promise.race([new EspOTA().uploadBuffer(Buffer.from(image), '127.0.0.1', port, EspOTA.FLASH), hang]);
    await shows(new RegExp(`application v${version}:[^]*IP address`), `version ${version}`);
    times.push(performance.now() - startedAt);
    if (version % 20 === 0) console.log(`${version} uploads`);
  }
  times.sort((a, b) => a - b);
  console.log(
    `${count} uploads, none hung; median ${times[count >> 1].toFixed(0)} ms, slowest ${times.at(-1).toFixed(0)} ms (1000 ms of each is the pause before OK)`,
  );
} finally {
  device.kill();
}
