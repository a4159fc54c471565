/** What strangers try: pages of other sites, bodies without end, garbage, floods. design.md §6, §9. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { refusal } from '../../../emulator/control/origin.ts';
import { type Answer, type Controlled, controlled, image, rawConnection, rawExchange } from '../../support/control.ts';

let at: Controlled;
beforeAll(async () => {
  at = await controlled();
});
afterAll(() => at.device.close());

const codeOf = ({ status, json }: Answer): [number, string] => [status, json.error.code];

describe('who may drive the device', () => {
  test.each([
    ['evil.example'],
    ['evil.example:PORT'],
    ['localhost.evil.example:PORT'],
    ['127.0.0.1.nip.io:PORT'],
    ['127.0.0.1:1'],
    ['127.0.0.1'],
    ['127.0.0.1:PORT0'],
    ['127.0.0.2:PORT'],
    ['0.0.0.0:PORT'],
    ['2130706433:PORT'],
    ['user@127.0.0.1:PORT'],
    ['[::ffff:7f00:1]:PORT'],
    [' '],
  ])('Host %j is foreign: a name that leads here does not make a page ours', async (host) => {
    const headers = { Host: host.replace('PORT', String(at.port)) };
    for (const path of ['/', '/api/device', '/api/events', '/nothing']) {
      expect(codeOf(await at.ask(path, { headers }))).toEqual([403, 'foreign']);
    }
  });

  test.each([['127.0.0.1'], ['localhost'], ['LocalHost'], ['[::1]']])('Host %s is ours', async (name) => {
    const answer = await at.ask('/api/device', { headers: { Host: `${name}:${at.port}` } });
    expect(answer.status).toBe(200);
  });

  test.each([
    'null',
    'http://evil.example',
    'https://127.0.0.1:PORT',
    'http://127.0.0.1',
    'http://127.0.0.1:1',
    'http://localhost:PORT', // another origin than that of Host
    'file://',
    '',
  ])('Origin %j is foreign', async (origin) => {
    const Origin = origin.replace('PORT', String(at.port));
    const before = at.device.events.nextSeq;
    const answer = await at.ask('/api/power', { body: { on: false }, headers: { Origin } });
    expect(codeOf(answer)).toEqual([403, 'foreign']);
    expect(codeOf(await at.ask('/api/events', { headers: { Origin } }))).toEqual([403, 'foreign']);
    expect(at.device.events.nextSeq).toBe(before);
  });

  test('its own page may', async () => {
    const headers = { Origin: `http://127.0.0.1:${at.port}`, 'Sec-Fetch-Site': 'same-origin' };
    expect((await at.ask('/api/device', { headers })).status).toBe(200);
    const local = { Origin: `http://localhost:${at.port}`, Host: `localhost:${at.port}` };
    expect((await at.ask('/api/straps', { method: 'PUT', body: { gpio0: 1 }, headers: local })).status).toBe(200);
  });

  test('an image or a script on a page of another site cannot fetch; a link to the page may be followed', async () => {
    for (const site of ['cross-site', 'same-site']) {
      const fetched = { 'Sec-Fetch-Site': site, 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' };
      expect(codeOf(await at.ask('/api/flash', { headers: fetched }))).toEqual([403, 'foreign']);
      const framed = { 'Sec-Fetch-Site': site, 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' };
      expect(codeOf(await at.ask('/', { headers: framed }))).toEqual([403, 'foreign']);
      const followed = { 'Sec-Fetch-Site': site, 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' };
      expect((await at.ask('/', { headers: followed })).status).toBe(200);
    }
  });

  test('no answer lets other origins read, and the page may load nothing from elsewhere', async () => {
    for (const path of ['/', '/api/device', '/nothing']) {
      const { headers } = await at.ask(path);
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(headers['content-security-policy']).not.toMatch(/unsafe|\*|https?:/);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['x-frame-options']).toBe('DENY');
    }
  });

  test('invariant: only the three names of loopback, with our port, are let in', () => {
    const port = 8267;
    const own = new Set(['127.0.0.1:8267', 'localhost:8267', '[::1]:8267']);
    const word = fc.constantFrom('127.0.0.1', 'localhost', '[::1]', ':', '8267', '.', 'evil', '@', ' ', '\t', '/', 'a');
    const host = fc.array(word, { maxLength: 5 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(host, (name) => {
        expect(refusal({ host: name }, port) === undefined).toBe(own.has(name.toLowerCase()));
        expect(refusal({ host: 'localhost:8267', origin: `http://${name}` }, port) === undefined).toBe(
          name === 'localhost:8267',
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe('bodies', () => {
  test.each([
    ['/api/power', 64 * 1024],
    ['/api/faults', 64 * 1024],
    ['/api/serial', 64 * 1024],
    ['/api/inspect', 0x400000 + 4096],
    ['/api/upload', 0x400000 + 4096],
  ])('%s takes %i bytes and not one more: 413, announced or not', async (path, limit) => {
    const tooMuch = Buffer.alloc(limit + 1, 0x20);
    expect(codeOf(await at.ask(path, { body: tooMuch }))).toEqual([413, 'too-large']);
    const chunked = await at.ask(path, {
      body: tooMuch,
      headers: { 'Transfer-Encoding': 'chunked' },
    });
    expect(codeOf(chunked)).toEqual([413, 'too-large']);
    const answer = await at.ask(path, { body: tooMuch.subarray(1) });
    expect(answer.status).not.toBe(413);
  });

  test('a huge body is refused when it is announced, before anything of it is sent', async () => {
    const head =
      `POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:${at.port}\r\nContent-Length: 9999999999\r\n` +
      'Expect: 100-continue\r\n\r\n';
    const answer = await rawExchange(at.port, head);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).not.toContain('100 Continue');
  });

  test('a client that keeps sending after 413 hears it, and is cut off', async () => {
    const socket = await rawConnection(at.port);
    socket.removeAllListeners('error');
    socket.on('error', () => {});
    let heard = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      heard += text;
    });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.write(`POST /api/serial HTTP/1.1\r\nHost: 127.0.0.1:${at.port}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    const piece = `8000\r\n${'x'.repeat(0x8000)}\r\n`;
    const flood = setInterval(() => socket.write(piece), 1);
    await closed;
    clearInterval(flood);
    expect(heard).toMatch(/^HTTP\/1\.1 413 /);
  });

  test('a body that is cut short does nothing', async () => {
    const socket = await rawConnection(at.port);
    const before = at.device.events.nextSeq;
    socket.write(`POST /api/power HTTP/1.1\r\nHost: 127.0.0.1:${at.port}\r\nContent-Length: 13\r\n\r\n{"on":`);
    socket.end();
    socket.resume();
    await new Promise<void>((resolve) => socket.once('close', () => resolve()));
    expect(at.device.events.nextSeq).toBe(before);
    expect((await at.ask('/api/device')).json.power).toBe('on');
  });

  test('images of the chip’s size are bounded together', async () => {
    const { port } = at;
    const sockets = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const socket = await rawConnection(port);
        socket.write(`POST /api/inspect HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 100000\r\n\r\nhalf`);
        return socket;
      }),
    );
    let answer = await at.ask('/api/inspect', { body: 'x' });
    for (let tries = 0; tries < 100 && answer.status !== 503; tries++)
      answer = await at.ask('/api/inspect', { body: 'x' });
    expect(codeOf(answer)).toEqual([503, 'busy']);
    for (const socket of sockets) socket.destroy();
    for (let tries = 0; tries < 100 && answer.status !== 200; tries++)
      answer = await at.ask('/api/inspect', { body: 'x' });
    expect(answer.status).toBe(200);
  });
});

describe('garbage', () => {
  test.each([
    ['no HTTP', 'hello\r\n\r\n'],
    [
      'an absolute target',
      'GET http://evil.example/api/device HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n',
    ],
    ['a target that names a host', 'GET //evil.example/ HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n'],
    ['a method that is none', 'FETCH /api/device HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no Host', 'GET /api/device HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['a tunnel', 'CONNECT evil.example:80 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n'],
    ['an upgrade', 'GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['headers without end', `GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`],
    [
      'two lengths',
      'POST /api/power HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}',
    ],
  ])('%s is refused with a status of 4xx', async (_name, text) => {
    const answer = await rawExchange(at.port, text.replaceAll('PORT', String(at.port)));
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  test('any bytes: the server answers or closes, and goes on', async () => {
    const start = fc.constantFrom('', 'GET ', 'POST /api/power HTTP/1.1\r\n', `GET /api/device HTTP/1.1\r\nHost: `);
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 200 }), async (head, tail) => {
        const socket = await rawConnection(at.port);
        socket.removeAllListeners('error');
        socket.on('error', () => {});
        socket.resume();
        socket.end(Buffer.concat([Buffer.from(head), tail]));
        await new Promise<void>((resolve) => socket.once('close', () => resolve()));
      }),
      { numRuns: 60 },
    );
    expect((await at.ask('/api/device')).json.power).toBe('on');
  });

  test('any JSON to any route: an answer with a status, and a device that still serves', async () => {
    const path = fc.constantFrom(
      '/api/straps',
      '/api/clock',
      '/api/step',
      '/api/snapshots',
      '/api/faults',
      '/api/cpu/step',
    );
    const method = fc.constantFrom('POST', 'PUT', 'DELETE', 'PATCH', 'GET');
    await fc.assert(
      fc.asyncProperty(path, method, fc.json({ maxDepth: 3 }), async (where, verb, body) => {
        const answer = await at.ask(where, { method: verb, body });
        expect([200, 201, 400, 405, 409]).toContain(answer.status);
        if (answer.status >= 400) expect(answer.json.error.message.length).toBeGreaterThan(0);
      }),
      { numRuns: 150 },
    );
    await at.ask('/api/clock', { body: { paused: false, speed: 1 } });
    await at.ask('/api/faults', { method: 'DELETE' });
  });
});

describe('a flood', () => {
  test('hundreds of requests at once, and connections that say nothing: the device is updated meanwhile', async () => {
    const { device, port, ask } = at;
    const silent = await Promise.all(Array.from({ length: 40 }, () => rawConnection(port)));
    const paths = ['/api/device', '/api/flash/map', '/api/rtc', '/api/flash?length=65536', '/api/nothing', '/'];
    let over = false;
    const statuses = new Set<number>();
    let answered = 0;
    const flood = Array.from({ length: 12 }, async (_, lane) => {
      for (let round = 0; !over; round++) {
        const answer = await ask(paths[(lane + round) % paths.length]!);
        statuses.add(answer.status);
        answered++;
      }
    });
    const since = device.events.nextSeq;
    const sent = await ask('/api/upload', { body: image('2.0') });
    expect(sent.json).toMatchObject({ ok: true });
    await device.next('app.start', { since, where: ({ version }) => version === '2.0' });
    over = true;
    await Promise.all(flood);
    expect([...statuses].sort()).toEqual([200, 404]);
    expect(answered).toBeGreaterThan(24);
    for (const socket of silent) socket.destroy();
  });

  test('more connections than there may be: the surplus is closed, the rest is served', async () => {
    const { port } = at;
    const sockets = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const socket = await rawConnection(port);
        socket.removeAllListeners('error');
        socket.on('error', () => {});
        return socket;
      }),
    );
    await Promise.race(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve).resume())));
    for (const socket of sockets) socket.destroy();
    let answer: Answer | undefined;
    for (let tries = 0; tries < 100 && !answer; tries++) answer = await at.ask('/api/device').catch(() => undefined);
    expect(answer?.status).toBe(200);
  });
});
