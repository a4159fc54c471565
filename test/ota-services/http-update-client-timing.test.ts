/** Servers that are slow, fall silent or go away: what the device does, and when. Spec chapter 04 §17, §20, §21; 02 §6.4. */
import { describe, expect, test } from 'vitest';
import { HttpUpdateBench, head, ok, SERVER_URL, type ServedRequest } from '../support/http-update-bench.ts';
import { imageByRule, latin1 } from '../support/transcript.ts';

const IMAGE = imageByRule(5000);
/** One way of the link, and the steps in which the test looks. */
const NOISE_MS = 2;

async function attempt(answer: (request: ServedRequest) => void, clientTimeoutMs?: number) {
  const bench = new HttpUpdateBench(clientTimeoutMs === undefined ? {} : { clientTimeoutMs });
  const server = bench.server(answer);
  const startedAtMs = bench.nowMs;
  await bench.finish(() => bench.httpUpdate.update(SERVER_URL), 300_000);
  return { bench, server, ms: bench.nowMs - startedAtMs, error: bench.httpUpdate.getLastError() };
}

const near = (actual: number, expected: number): void => {
  expect(actual).toBeGreaterThanOrEqual(expected - NOISE_MS);
  expect(actual).toBeLessThanOrEqual(expected + NOISE_MS);
};

describe('before the end of the head', () => {
  test('row 74: the server accepts and sends nothing: −11 after 8 s', async () => {
    const { bench, ms, error, server } = await attempt(() => {});
    expect(error).toBe(-11);
    expect(bench.httpUpdate.getLastErrorString()).toBe('HTTP error: read Timeout');
    near(ms, 8001);
    await bench.advance(10);
    expect(server.connections[0]!.state).toBe('device-ended');
  });

  test.each([
    ['FIN', (request: ServedRequest) => request.end()],
    ['RST', (request: ServedRequest) => request.connection.reset()],
  ])('row 75: closed by %s without a byte: −4 at once', async (_how, close) => {
    const { ms, error } = await attempt(close);
    expect(error).toBe(-4);
    near(ms, 0);
  });

  test('§19.1: closed without a byte, but not right after the request: −5', async () => {
    const { ms, error } = await attempt((request) => request.after(1000, () => request.end()));
    expect(error).toBe(-5);
    near(ms, 1000);
  });

  test('row 75: closed behind a complete line: −5 at once', async () => {
    const { ms, error } = await attempt((request) => request.end('HTTP/1.1 200 OK\r\n'));
    expect(error).toBe(-5);
    near(ms, 0);
  });

  test('row 75: closed inside a line: −5 after the timeout', async () => {
    const { ms, error } = await attempt((request) => request.end('HTTP/1.1 200 OK\r\nContent-Le'));
    expect(error).toBe(-5);
    near(ms, 8000);
  });

  test('silence inside a line: the line counts, then −11', async () => {
    const { ms, error } = await attempt((request) => request.send('HTTP/1.1 304 Not'), 2000);
    expect(error).toBe(-11);
    near(ms, 4001);
  });

  test('a line whose end never comes counts as one: here it ends the head', async () => {
    const { ms, error } = await attempt((request) => request.send('HTTP/1.1 404 Not Found\r\n\r'), 2000);
    expect(error).toBe(-102);
    near(ms, 2000);
  });

  test('a byte every 1.9 s is never too slow', async () => {
    const text = 'HTTP/1.1 403 x\r\n\r\n';
    const { ms, error } = await attempt((request) => {
      [...text].forEach((byte, i) => {
        request.after(1900 * i, () => request.send(byte));
      });
    }, 2000);
    expect(error).toBe(-103);
    near(ms, 1900 * (text.length - 1));
  });

  test('§15: nobody answers the SYN: −1 after the timeout', async () => {
    const bench = new HttpUpdateBench({ clientTimeoutMs: 3000 });
    await bench.finish(() => bench.httpUpdate.update(SERVER_URL));
    expect(bench.httpUpdate.getLastError()).toBe(-1);
    near(bench.nowMs, 3000);
  });
});

describe('behind the head', () => {
  test('§20 step 4: closed right behind the head: −5, after onStart', async () => {
    const { bench, error } = await attempt((request) => request.end(head(200, 'Content-Length: 5000')));
    expect(error).toBe(-5);
    expect(bench.called).toEqual(['start', 'error -5']);
  });

  test('§20 step 6: 100 ms between the decision and the image', async () => {
    const { bench, ms } = await attempt((request) => request.send(ok(IMAGE)));
    expect(bench.restart).toBe('restart');
    expect(bench.called[1]).toBe('progress 0/5000');
    near(bench.callbacks[1]!.atMs - bench.callbacks[0]!.atMs, 100);
    near(ms, 102);
  });

  test('§20 step 7: the first bytes may come late, within the timeout', async () => {
    const late = async (ms: number) =>
      attempt((request) => {
        request.send(head(200, 'Content-Length: 5000'));
        request.after(ms, () => request.send(latin1(IMAGE)));
      }, 2000);
    expect((await late(2050)).bench.restart).toBe('restart');
    const { error, ms } = await late(2150);
    expect(error).toBe(-106);
    near(ms, 2100);
  });

  test.each([
    ['FIN', (request: ServedRequest) => request.end()],
    ['RST', (request: ServedRequest) => request.connection.reset()],
    ['silence', () => {}],
  ])('row 78 [REC]: 2000 of 5000 bytes and %s: error 6 at 61.5 s with a timeout of 1 s', async (_how, then) => {
    const { bench, ms, error } = await attempt((request) => {
      request.send(ok(IMAGE).slice(0, -3000));
      request.after(50, () => then(request));
    }, 1000);
    expect(error).toBe(6);
    expect(bench.httpUpdate.getLastErrorString()).toBe('Update error: ERROR[6]: Stream Read Timeout');
    near(ms, 61_500); // recorded: 61.6
    const times = bench.callbacks.filter(({ line }) => line === 'progress 0/5000').map(({ atMs }) => atMs);
    // The library, the Updater, the read that was cut short, and then every 1.1 s.
    near(times[2]! - times[1]!, 1000);
    for (let i = 3; i < times.length; i++) near(times[i]! - times[i - 1]!, 1100);
    expect(times).toHaveLength(57);
  });

  test('row 78: with the default timeout: 73 s, or 65 s when the last read was whole', async () => {
    const stopAfter = (bytes: number) =>
      attempt((request) => request.send(ok(imageByRule(10_000)).slice(0, bytes - 10_000)));
    near((await stopAfter(5000)).ms, 100 + 8000 + 64_700);
    near((await stopAfter(4096)).ms, 100 + 64_700);
  });

  test('after error 6 the next update works', async () => {
    const bench = new HttpUpdateBench({ clientTimeoutMs: 1000 });
    bench.server([ok(IMAGE).slice(0, -3000), ok(IMAGE)]);
    await bench.update();
    expect(bench.httpUpdate.getLastError()).toBe(6);
    expect(bench.updater.isRunning()).toBe(false);
    await bench.update();
    expect(bench.restart).toBe('restart');
  });

  test('a pause of 50 s in the body is survived', async () => {
    const answer = ok(IMAGE);
    const { bench } = await attempt((request) => {
      request.send(answer.slice(0, -500));
      request.after(50_000, () => request.send(answer.slice(-500)));
    });
    expect(bench.restart).toBe('restart');
  });

  test('invariant: the device takes no more than its window ahead of the flash', async () => {
    const bench = new HttpUpdateBench();
    const server = bench.server(ok(imageByRule(100_000)));
    bench.start(() => bench.httpUpdate.update(SERVER_URL));
    await bench.advance(50); // in its pause
    expect(100_000 - server.connections[0]!.pendingBytes).toBeLessThanOrEqual(2144);
    await bench.until(() => bench.restart !== undefined, 'the restart');
  });
});
