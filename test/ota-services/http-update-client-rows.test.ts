/** The scenario rows of spec chapter 04 §26 for the device as a client, in virtual time. Stalls: the file beside. */
import { describe, expect, test } from 'vitest';
import { SECTOR_BYTES } from '../../flash/geometry.ts';
import {
  HTTP_UPDATE_FAILED,
  HTTP_UPDATE_NO_UPDATES,
  HTTP_UPDATE_OK,
} from '../../ota-services/http-update-client/http-update.ts';
import type { FollowRedirects } from '../../ota-services/http-update-client/redirect.ts';
import { ESP8266WebServer } from '../../ota-services/web-server/web-server.ts';
import {
  HttpUpdateBench,
  type HttpUpdateBenchOptions,
  head,
  ok,
  SERVER,
  SERVER_PORT,
  SERVER_URL,
} from '../support/http-update-bench.ts';
import { md5Hex } from '../support/ota-device.ts';
import { digest, imageByRule, latin1 } from '../support/transcript.ts';

const IMAGE = imageByRule(5000);
const IMAGE_MD5 = md5Hex(IMAGE);
const FREE_SPACE = 1_794_048;
const FS_BYTES = 0x1fa000;

/** `progress` lines for a transfer that comes in full buffers. */
function progressOf(size: number): string[] {
  const steps = [0, 0];
  for (let done = SECTOR_BYTES; done < size; done += SECTOR_BYTES) steps.push(done);
  return [...steps, size, size, size].map((done) => `progress ${done}/${size}`);
}

const lastError = (bench: HttpUpdateBench): [number, string] => [
  bench.httpUpdate.getLastError(),
  bench.httpUpdate.getLastErrorString(),
];

/** An update against a server that answers so. */
async function updateFrom(answer: Parameters<HttpUpdateBench['server']>[0], options?: HttpUpdateBenchOptions) {
  const bench = new HttpUpdateBench(options);
  const server = bench.server(answer);
  const result = await bench.update();
  return { bench, server, result };
}

describe('the request', () => {
  test('row 61: lines 1 to 17 in order', async () => {
    const bench = new HttpUpdateBench();
    const server = bench.server(head(304));
    await bench.update(SERVER_URL, '1.0.0');
    expect(server.request().split('\r\n')).toEqual([
      'GET /fw.bin HTTP/1.0',
      'Host: 192.168.1.8:8000',
      'User-Agent: ESP8266-http-Update',
      'Connection: close',
      'x-ESP8266-Chip-ID: 12648430',
      'x-ESP8266-STA-MAC: 5C:CF:7F:C0:FF:EE',
      'x-ESP8266-AP-MAC: 5E:CF:7F:C0:FF:EE',
      `x-ESP8266-free-space: ${FREE_SPACE}`,
      'x-ESP8266-sketch-size: 300000',
      `x-ESP8266-sketch-md5: ${digest('md5', bench.chip.peek(0, 300_000))}`,
      'x-ESP8266-chip-size: 4194304',
      'x-ESP8266-sdk-version: 2.2.2-dev(38a443e)',
      'x-ESP8266-mode: sketch',
      'x-ESP8266-version: 1.0.0',
      'Content-Length: 0',
      '',
      '',
    ]);
    expect(bench.eventsOf('httpupdate.request')[0]).toMatchObject({
      url: SERVER_URL,
      headers: { 'x-ESP8266-mode': 'sketch', 'Content-Length': '0' },
    });
  });

  test.each([
    [8080, '192.168.1.8:8080'],
    [443, '192.168.1.8'],
    [80, '192.168.1.8'],
  ])('row 62: from port %i with a plain client', async (port, host) => {
    const bench = new HttpUpdateBench();
    const server = bench.server(head(304), { port });
    expect(await bench.update(`http://${SERVER}:${port}/x`)).toBe(HTTP_UPDATE_NO_UPDATES);
    expect(server.request()).toContain(`\r\nHost: ${host}\r\n`);
  });

  test('§15: the scheme https does not make a plain client speak TLS', async () => {
    const bench = new HttpUpdateBench();
    const server = bench.server(head(304), { port: 443 });
    expect(await bench.update(`https://${SERVER}/x`)).toBe(HTTP_UPDATE_NO_UPDATES);
    expect(server.request()).toMatch(/^GET \/x HTTP\/1\.0\r\n/);
  });

  test('row 91: user information in the URL', async () => {
    const bench = new HttpUpdateBench();
    const server = bench.server(head(304), { port: 80 });
    await bench.update(`http://u:p@${SERVER}/x`);
    expect(server.request()).toContain('\r\nAuthorization: Basic dTpw\r\nConnection: close\r\n');
  });

  test('§16: setAuthorization goes before the URL; base64 before both; half of a pair is none', async () => {
    const bench = new HttpUpdateBench();
    const server = bench.server(head(304));
    const url = SERVER_URL.replace('//', '//u:p@');
    bench.httpUpdate.setAuthorization('me', '');
    await bench.update(url);
    bench.httpUpdate.setAuthorization('me', 'pw');
    await bench.update(url);
    bench.httpUpdate.setAuthorization('YWJj\nZGVm\n');
    await bench.update(url);
    expect(server.requests.map(({ text }) => /Basic (.*)\r/.exec(text)?.[1])).toEqual(['dTpw', 'bWU6cHc=', 'YWJjZGVm']);
  });

  test('§15: DNS names, and a name that nobody knows', async () => {
    const bench = new HttpUpdateBench();
    bench.network.names.set('updates.local', SERVER);
    const server = bench.server(head(304));
    expect(await bench.update('http://Updates.local:8000/x')).toBe(HTTP_UPDATE_NO_UPDATES);
    expect(server.request()).toContain('\r\nHost: Updates.local:8000\r\n');
    expect(await bench.update('http://nowhere.local/x')).toBe(HTTP_UPDATE_FAILED);
    expect(bench.httpUpdate.getLastError()).toBe(-1);
    expect(bench.eventsOf('httpupdate.end').at(-1)).toMatchObject({
      error: -1,
      why: 'DNS: no address for "nowhere.local"',
    });
  });

  test('§16: headers of an own HTTPClient come before line 6, and a version given with it', async () => {
    const bench = new HttpUpdateBench();
    const server = bench.server(head(304));
    const http = bench.httpClient();
    http.begin(bench.plainClient(), SERVER_URL);
    http.addHeader('X-Token', 'ä');
    expect(await bench.finish(() => bench.httpUpdate.update(http, '7'))).toBe(HTTP_UPDATE_NO_UPDATES);
    expect(server.request()).toContain('\r\nConnection: close\r\nX-Token: \xc3\xa4\r\nx-ESP8266-Chip-ID: ');
    expect(server.request()).toContain('\r\nx-ESP8266-version: 7\r\nContent-Length: 0\r\n');
  });

  test.each([['ftp://192.168.1.8/x'], ['192.168.1.8/x'], ['']])(
    '§15: %j is no URL: −1 without a connection',
    async (url) => {
      const bench = new HttpUpdateBench();
      expect(await bench.update(url)).toBe(HTTP_UPDATE_FAILED);
      expect(lastError(bench)).toEqual([-1, 'HTTP error: connection failed']);
      expect(bench.events.map(({ type }) => type)).toEqual(['httpupdate.end']);
    },
  );
});

describe('answers without an image', () => {
  test('row 63: 304 leaves the last error', async () => {
    const { bench, result } = await updateFrom([head(404), head(304)]);
    expect(result).toBe(HTTP_UPDATE_FAILED);
    expect(await bench.update()).toBe(HTTP_UPDATE_NO_UPDATES);
    expect(lastError(bench)).toEqual([-102, 'File Not Found (404)']);
    expect(bench.called).toEqual(['error -102']);
    expect(bench.eventsOf('httpupdate.end').map((event) => event.result)).toEqual(['failed', 'no-updates']);
  });

  test.each([
    [404, -102, 'File Not Found (404)'],
    [403, -103, 'Forbidden (403)'],
    [401, -108, 'Unauthorized (401)'],
    [500, -104, 'Wrong HTTP Code'],
    [302, -104, 'Wrong HTTP Code'],
  ])('row 64: %i', async (status, code, text) => {
    const { bench, result, server } = await updateFrom(`${head(status, 'Location: /x')}<html>`);
    expect(result).toBe(HTTP_UPDATE_FAILED);
    expect(lastError(bench)).toEqual([code, text]);
    expect(bench.called).toEqual([`error ${code}`]);
    expect(bench.eventsOf('httpupdate.response')).toMatchObject([{ status, headers: { Location: '/x' } }]);
    await bench.advance(10);
    expect(server.connections[0]!.state).toBe('device-ended'); // FIN, though it left the body unread
  });

  test.each([
    ['row 65: no Content-Length', head(200) + latin1(IMAGE)],
    ['row 66: chunked only', `${head(200, 'Transfer-Encoding: chunked')}5\r\n`],
    ['Content-Length 0', head(200, 'Content-Length: 0')],
    ['a negative Content-Length', head(200, 'Content-Length: -5')],
  ])('%s: −101', async (_what, answer) => {
    const { bench } = await updateFrom(answer);
    expect(lastError(bench)).toEqual([-101, 'Server Did Not Report Size']);
    expect(bench.called).toEqual(['error -101']);
  });

  test('row 67: Transfer-Encoding: identity', async () => {
    const { bench } = await updateFrom(ok(IMAGE, 'Transfer-Encoding: identity'));
    expect(lastError(bench)).toEqual([-9, 'HTTP error: Transfer-Encoding not supported']);
  });

  test('row 68: larger than the free space: −100, nothing read, onStart not called', async () => {
    const { bench } = await updateFrom(head(200, `Content-Length: ${FREE_SPACE + 1}`));
    expect(lastError(bench)).toEqual([-100, 'Not Enough space']);
    expect(bench.called).toEqual(['error -100']);
  });

  test('§20 step 2: the free space itself passes, and so does all of the file system', async () => {
    const { bench } = await updateFrom((request) => request.end(head(200, `Content-Length: ${FREE_SPACE}`)));
    expect(bench.called).toEqual(['start', 'error -5']); // there was no body
    for (const [size, code] of [
      [FS_BYTES, -5],
      [FS_BYTES + 1, -100],
    ] as const) {
      const other = new HttpUpdateBench();
      other.server((request) => request.end(head(200, `Content-Length: ${size}`)));
      await other.finish(() => other.httpUpdate.updateFS(SERVER_URL));
      expect(other.httpUpdate.getLastError()).toBe(code);
    }
  });

  test('row 76: port closed', async () => {
    const bench = new HttpUpdateBench();
    bench.network.addHost(SERVER);
    expect(await bench.update()).toBe(HTTP_UPDATE_FAILED);
    expect(lastError(bench)).toEqual([-1, 'HTTP error: connection failed']);
    expect(bench.eventsOf('httpupdate.end')).toMatchObject([
      { result: 'failed', error: -1, why: expect.stringContaining('TCP') },
    ]);
  });

  test('row 77: HTTP/2', async () => {
    const { bench } = await updateFrom(ok(IMAGE).replace('HTTP/1.1', 'HTTP/2'));
    expect(lastError(bench)).toEqual([-7, 'HTTP error: no HTTP server']);
    expect(bench.eventsOf('httpupdate.response')).toMatchObject([{ status: 0 }]);
  });
});

describe('an image', () => {
  test('rows 84 and 86: restart after onEnd; progress of 10000 bytes', async () => {
    const image = imageByRule(10_000);
    const { bench, result, server } = await updateFrom(ok(image, `x-MD5: ${md5Hex(image).toUpperCase()}`));
    expect(result).toBeUndefined();
    expect(bench.restart).toBe('restart');
    expect(bench.called).toEqual([
      'start',
      ...[0, 0, 4096, 8192, 10_000, 10_000, 10_000].map((done) => `progress ${done}/10000`),
      'end',
    ]);
    expect(bench.bootCommand).toEqual({ source: 0x1fd000, destination: 0, size: 10_000 });
    expect(bench.chip.peek(0x1fd000, 10_000)).toEqual(image);
    expect(bench.eventsOf('httpupdate.end')).toMatchObject([{ result: 'ok' }]);
    expect(server.connections[0]!.state).toBe('device-ended'); // closed before onEnd and the restart
  });

  test('row 85: rebootOnUpdate(false)', async () => {
    const bench = new HttpUpdateBench();
    bench.server(ok(IMAGE));
    bench.httpUpdate.rebootOnUpdate(false);
    expect(await bench.update()).toBe(HTTP_UPDATE_OK);
    expect(bench.restart).toBeUndefined();
    expect(bench.bootCommand).toMatchObject({ size: 5000 });
    expect(lastError(bench)).toEqual([0, '']);
  });

  test('row 83: a file system does not restart the device', async () => {
    const bench = new HttpUpdateBench();
    const image = imageByRule(9000, null);
    const server = bench.server(ok(image));
    expect(await bench.finish(() => bench.httpUpdate.updateFS(SERVER_URL, '3'))).toBe(HTTP_UPDATE_OK);
    expect(bench.restart).toBeUndefined();
    expect(bench.bootCommand).toBeUndefined();
    expect(bench.chip.peek(0x200000, 9000)).toEqual(image);
    expect(bench.called).toEqual(['start', ...progressOf(9000), 'end']);
    expect(server.request()).toContain('\r\nx-ESP8266-mode: spiffs\r\nx-ESP8266-version: 3\r\n');
  });

  test('§20 step 11: in an ATOMIC_FS_UPDATE build it does', async () => {
    const bench = new HttpUpdateBench({ updater: { atomicFs: true } });
    bench.server(ok(imageByRule(9000, null)));
    await bench.finish(() => bench.httpUpdate.updateFS(SERVER_URL));
    expect(bench.restart).toBe('restart');
    expect(bench.bootCommand).toMatchObject({ destination: 0x200000, size: 9000 });
  });

  test.each([
    ['row 69: first byte 0x00', [0, 1, 3, 0x40], -106, 'Verify Bin Header Failed'],
    ['HTML', [0x3c, 0x68, 0x74, 0x6d], -106, 'Verify Bin Header Failed'],
    ['row 70: for 16 MiB', [0xe9, 1, 3, 0x90], -107, 'New Binary Does Not Fit Flash Size'],
  ])('%s', async (_what, header, code, text) => {
    const { bench } = await updateFrom(ok(imageByRule(5000, header)));
    expect(lastError(bench)).toEqual([code, text]);
    expect(bench.called).toEqual(['start', `error ${code}`]);
    expect(bench.flashEvents).toEqual([]);
  });

  test('§20: chunks with a Content-Length are taken for the image: −106, or garbage in the file system', async () => {
    const body = Uint8Array.from(`5\r\nabcde\r\n0\r\n\r\n`, (c) => c.charCodeAt(0));
    const { bench } = await updateFrom(ok(body, 'Transfer-Encoding: chunked'));
    expect(bench.httpUpdate.getLastError()).toBe(-106);
    const other = new HttpUpdateBench();
    other.server(ok(body, 'Transfer-Encoding: chunked'));
    expect(await other.finish(() => other.httpUpdate.updateFS(SERVER_URL))).toBe(HTTP_UPDATE_OK);
    expect(other.chip.peek(0x200000, body.length)).toEqual(body);
  });

  test('row 71: wrong x-MD5', async () => {
    const wrong = '7694F4a66316e53c8cdd9d9954bd611d';
    const { bench } = await updateFrom(ok(IMAGE, `x-MD5: ${wrong}`));
    const text = `Update error: ERROR[7]: MD5 verification failed: expected: ${wrong}, calculated: ${IMAGE_MD5}`;
    expect(lastError(bench)).toEqual([7, text]);
    expect(bench.called).toEqual(['start', ...progressOf(5000), 'error 7']);
    expect(bench.bootCommand).toBeUndefined();
  });

  test.each([
    ['31 characters', [`x-MD5: ${IMAGE_MD5.slice(1)}`]],
    ['sent twice', [`x-MD5: ${IMAGE_MD5}`, `x-MD5: ${IMAGE_MD5}`]],
  ])('row 72: x-MD5 of %s: −105, then 15, then it works', async (_what, headers) => {
    const { bench } = await updateFrom([ok(IMAGE, ...headers), ok(IMAGE)]);
    expect(lastError(bench)).toEqual([-105, 'Wrong MD5']);
    expect(bench.updater.isRunning()).toBe(true);
    expect(await bench.update()).toBe(HTTP_UPDATE_FAILED);
    expect(lastError(bench)).toEqual([15, 'Update error: ERROR[15]: Update already running']);
    expect(await bench.update()).toBeUndefined();
    expect(bench.restart).toBe('restart');
    expect(bench.called).toEqual([
      ...['start', 'progress 0/5000', 'error -105'],
      ...['start', 'error 15'],
      ...['start', ...progressOf(5000), 'end'],
    ]);
  });

  test('row 73: setMD5sum right, x-MD5 wrong', async () => {
    const bench = new HttpUpdateBench();
    bench.server(ok(IMAGE, 'x-MD5: 7694f4a66316e53c8cdd9d9954bd611d'));
    bench.httpUpdate.setMD5sum(IMAGE_MD5);
    expect(await bench.update()).toBeUndefined();
    expect(bench.restart).toBe('restart');
  });

  test('setMD5sum of a wrong length: −105, whatever the server says', async () => {
    const bench = new HttpUpdateBench();
    bench.server(ok(IMAGE, `x-MD5: ${IMAGE_MD5}`));
    bench.httpUpdate.setMD5sum('abc');
    await bench.update();
    expect(bench.httpUpdate.getLastError()).toBe(-105);
  });

  test('row 97: a body longer than announced', async () => {
    const { bench } = await updateFrom(`${ok(IMAGE, `x-MD5: ${IMAGE_MD5}`)}${'Z'.repeat(1000)}`);
    expect(bench.restart).toBe('restart');
    expect(bench.chip.peek(0x1fe000, 5000)).toEqual(IMAGE);
  });

  test('row 98: complete body and FIN at once', async () => {
    const { bench } = await updateFrom((request) => request.end(ok(IMAGE)));
    expect(bench.restart).toBe('restart');
  });

  test('row 99: four bytes are an image, three are none', async () => {
    const four = await updateFrom(ok(imageByRule(4)));
    expect(four.bench.restart).toBe('restart');
    expect(four.bench.called).toEqual(['start', ...[0, 0, 4, 4, 4].map((done) => `progress ${done}/4`), 'end']);
    const three = await updateFrom(ok(imageByRule(3)), { clientTimeoutMs: 2000 });
    expect(three.bench.called).toEqual(['start', 'error -106']);
    const [start, error] = three.bench.callbacks.map(({ atMs }) => atMs) as [number, number];
    expect(Math.round(error - start)).toBe(2100); // the pause, and the timeout
  });

  test.each([
    ['row 100: an erase fails', 'erase', 2, 'Flash Erase Failed'],
    ['row 100: a program fails', 'program', 1, 'Flash Write Failed'],
  ])('%s', async (_what, kind, code, text) => {
    let operations = 0;
    const { bench } = await updateFrom(ok(imageByRule(12_000)), {
      faults: { decide: (operation) => (operation.kind === kind && operations++ > 0 ? { do: 'fail' } : undefined) },
    });
    expect(lastError(bench)).toEqual([code, `Update error: ERROR[${code}]: ${text}`]);
    const steps = kind === 'erase' ? [0, 0, 4096] : [0, 0];
    expect(bench.called).toEqual(['start', ...steps.map((done) => `progress ${done}/12000`), `error ${code}`]);
  });

  test('row 101: mode byte 5, right x-MD5', async () => {
    const image = imageByRule(5000, [0xe9, 1, 5, 0x40]);
    const { bench } = await updateFrom(ok(image, `x-MD5: ${md5Hex(image)}`));
    expect(bench.httpUpdate.getLastError()).toBe(7);
  });

  test('row 102: 1F 00: full transfer, then 10', async () => {
    const { bench } = await updateFrom(ok(imageByRule(5000, [0x1f, 0, 3, 0x40])));
    expect(lastError(bench)).toEqual([10, 'Update error: ERROR[10]: Magic byte is not 0xE9']);
    expect(bench.called).toEqual(['start', ...progressOf(5000), 'error 10']);
  });

  test('§19: a last error of the Updater shows what the Updater says now', async () => {
    const { bench } = await updateFrom(ok(imageByRule(5000, [0x1f, 0, 3, 0x40])));
    await bench.finish(() => bench.updater.begin(0));
    expect(lastError(bench)).toEqual([10, 'Update error: ERROR[5]: Bad Size Given']);
  });

  test('§20 [HW]: with the fault on, one to three bytes in the segment of the head are −106', async () => {
    for (const together of [0, 1, 3, 4]) {
      const bench = new HttpUpdateBench();
      const answer = ok(IMAGE);
      const headLength = answer.length - IMAGE.length;
      bench.server((request) => {
        request.send(answer.slice(0, headLength + together));
        request.after(5, () => request.send(answer.slice(headLength + together)));
      });
      bench.httpUpdate.peekFirstSegmentOnly = true;
      await bench.update();
      expect([together, bench.restart]).toEqual([together, together === 0 || together === 4 ? 'restart' : undefined]);
      if (bench.restart === undefined) expect(bench.httpUpdate.getLastError()).toBe(-106);
    }
  });

  test('setLedPin: an output, lit while it waits for bytes, dark at the end', async () => {
    const bench = new HttpUpdateBench();
    bench.server(ok(IMAGE));
    bench.httpUpdate.setLedPin(2, 0);
    await bench.update();
    expect(bench.pins.slice(0, 3)).toEqual(['2=1', '2 output', '2=0']);
    expect(bench.pins.at(-1)).toBe('2=1');
  });
});

describe('redirects', () => {
  const follow = async (
    answer: Parameters<HttpUpdateBench['server']>[0],
    url = SERVER_URL,
    mode: FollowRedirects = 1,
  ) => {
    const bench = new HttpUpdateBench();
    const server = bench.server(answer);
    bench.httpUpdate.setFollowRedirects(mode);
    const result = await bench.update(url);
    return { bench, server, result };
  };

  test('row 79: a new connection, without any x-ESP8266 header, but with the credentials', async () => {
    const { bench, server } = await follow(
      [`${head(302, 'Location: /new', 'Content-Length: 4')}gone`, ok(IMAGE)],
      SERVER_URL.replace('//', '//u:p@'),
    );
    expect(server.connections).toHaveLength(2);
    expect(server.request(1)).toBe(
      'GET /new HTTP/1.0\r\nHost: 192.168.1.8:8000\r\nUser-Agent: ESP8266-http-Update\r\n' +
        'Authorization: Basic dTpw\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
    );
    expect(bench.restart).toBe('restart');
    expect(server.connections[0]!.state).not.toBe('open'); // closed before the second was opened
    expect(bench.eventsOf('httpupdate.request').map(({ url }) => url)).toEqual([
      SERVER_URL,
      `http://${SERVER}:${SERVER_PORT}/new`,
    ]);
  });

  test('to another host, the credentials go along', async () => {
    const bench = new HttpUpdateBench();
    bench.server(head(307, 'Location: http://192.168.1.9/new'));
    const other = bench.server(head(304), { address: '192.168.1.9', port: 80 });
    bench.httpUpdate.setFollowRedirects(2);
    bench.httpUpdate.setAuthorization('u', 'p');
    expect(await bench.update()).toBe(HTTP_UPDATE_NO_UPDATES);
    expect(other.request()).toContain('\r\nHost: 192.168.1.9\r\n');
    expect(other.request()).toContain('\r\nAuthorization: Basic dTpw\r\n');
  });

  test('row 80: from http to https', async () => {
    const { bench, server } = await follow(head(302, `Location: https://${SERVER}:8000/new`));
    expect(lastError(bench)).toEqual([-104, 'Wrong HTTP Code']);
    expect(server.requests).toHaveLength(1);
  });

  test('row 81: 308', async () => {
    const { bench, server } = await follow(head(308, 'Location: /new'), SERVER_URL, 2);
    expect(bench.httpUpdate.getLastError()).toBe(-104);
    expect(server.requests).toHaveLength(1);
  });

  test('row 82: in a circle: 10 are followed', async () => {
    const { bench, server } = await follow(head(302, 'Location: /fw.bin'));
    expect(bench.httpUpdate.getLastError()).toBe(-104);
    expect(server.requests).toHaveLength(11);
  });

  test('to a port where nobody listens', async () => {
    const { bench } = await follow(head(301, `Location: http://${SERVER}:1/x`));
    expect(bench.httpUpdate.getLastError()).toBe(-1);
  });
});

describe('getAvailableVersion', () => {
  const ask = async (answer: string) => {
    const bench = new HttpUpdateBench();
    const server = bench.server(answer);
    const available = await bench.finish(() =>
      bench.httpUpdate.getAvailableVersion(bench.plainClient(), SERVER, SERVER_PORT, '/v', '1.0'),
    );
    return { bench, server, available };
  };

  test('row 87: x-version', async () => {
    const { bench, server, available } = await ask(head(200, 'x-version: 1.2'));
    expect(available).toEqual({ result: HTTP_UPDATE_OK, version: '1.2' });
    expect(server.request()).toContain('\r\nx-ESP8266-mode: version\r\nx-ESP8266-version: 1.0\r\n');
    expect(bench.called).toEqual([]);
  });

  test.each([
    ['row 88: without x-version', head(200), -109, ''],
    ['row 89: 304', head(304, 'x-version: 2'), -104, 'Wrong HTTP Code'],
    ['401', head(401), -108, 'Unauthorized (401)'],
    ['403', head(403), -103, 'Forbidden (403)'],
    ['404', head(404), -102, 'File Not Found (404)'],
  ])('%s', async (_what, answer, code, text) => {
    const { bench, available } = await ask(answer);
    expect(available).toEqual({ result: HTTP_UPDATE_FAILED, version: '' });
    expect(lastError(bench)).toEqual([code, text]);
    expect(bench.called).toEqual([`error ${code}`]);
  });
});

describe('beside the update', () => {
  test.each([
    [true, ['device-ended', 'closed']],
    [false, ['open']],
  ])('row 90: closeConnectionsOnUpdate(%s) and a client of the web server', async (close, states) => {
    const bench = new HttpUpdateBench();
    bench.server(ok(IMAGE));
    bench.httpUpdate.rebootOnUpdate(false);
    bench.httpUpdate.closeConnectionsOnUpdate(close);
    const server = new ESP8266WebServer({ ...bench.ports, random32: () => 4 }, 80);
    server.on('/', () => server.send(200, 'text/plain', 'hello'));
    await bench.finish(() => server.begin());
    const client = bench.network.connectTcp(80);
    await bench.until(() => client.state === 'open', 'the client');
    client.write('GET / HTTP/1.1\r\n\r\n');
    await bench.advance(5);
    await bench.finish(() => server.handleClient());
    await bench.advance(5);
    expect(client.readText()).toContain('hello');
    expect(client.state).toBe('open');
    const waiting = bench.network.connectTcp(80); // nobody has accepted it: no client of the device yet
    await bench.until(() => waiting.state === 'open', 'the second client');

    const whenStarted: string[] = [];
    bench.httpUpdate.onProgress(() => void whenStarted.push(client.state));
    expect(await bench.update()).toBe(HTTP_UPDATE_OK);
    expect(states).toContain(whenStarted[0]);
    expect(waiting.state).toBe('open');
  });

  test('row 92: a TLS client without a trust setting', async () => {
    const bench = new HttpUpdateBench();
    const server = bench.server(ok(IMAGE), { port: 443 });
    const client = bench.secureClient();
    expect(await bench.finish(() => bench.httpUpdate.update(client, `https://${SERVER}/x`))).toBe(HTTP_UPDATE_FAILED);
    expect(lastError(bench)).toEqual([-1, 'HTTP error: connection failed']);
    expect(server.connections).toEqual([]);
    expect(bench.eventsOf('httpupdate.end')).toMatchObject([{ why: expect.stringContaining('TLS: no trust') }]);
  });

  test('a reset in the middle ends the call with nothing left over', async () => {
    const bench = new HttpUpdateBench();
    bench.server((request) => request.send(ok(IMAGE).slice(0, 2000)));
    const attempt = bench.start(() => bench.httpUpdate.update(SERVER_URL));
    await bench.advance(500);
    expect(bench.updater.isRunning()).toBe(true);
    await bench.ports.system.restart().catch(() => {});
    await bench.advance(1);
    expect(attempt).toMatchObject({ result: undefined, endedAtMs: expect.any(Number) });
    expect(bench.eventsOf('httpupdate.end')).toEqual([]);
  });
});
