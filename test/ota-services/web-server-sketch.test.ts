/** What a sketch does with the web server: routes, arguments, answers, credentials. Spec chapter 04 §3, §6–§8. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { PowerLost } from '../../flash/ports.ts';
import {
  CONTENT_LENGTH_UNKNOWN,
  type ESP8266WebServer,
  UPLOAD_FILE_WRITE,
} from '../../ota-services/web-server/web-server.ts';
import { fieldPart, filePart, formBody, get, HttpBench, post } from '../support/http-bench.ts';
import { imageByRule, latin1, toBytes } from '../support/transcript.ts';

const bench = (setup: (server: ESP8266WebServer) => void) => new HttpBench({ updateServer: false, setup });
const utf8 = (body: string): string => Buffer.from(body, 'latin1').toString('utf8');
/** A server whose only route answers with what `look` makes of the request. */
const looking = (look: (server: ESP8266WebServer) => unknown, before: (server: ESP8266WebServer) => void = () => {}) =>
  bench((server) => {
    before(server);
    server.on('/', () => server.send(200, 'application/json', JSON.stringify(look(server))));
  });

describe('the request', () => {
  test('arguments by name and index, text in UTF-8, and the raw body beside them', async () => {
    const device = looking((server) => ({
      args: Array.from({ length: server.args() + 1 }, (_, i) => [server.argName(i), server.arg(i)]),
      a: server.arg('a'),
      missing: [server.arg('x'), server.arg(9), server.argName(9), server.hasArg('x')],
      plain: [server.arg('plain'), server.hasArg('plain')],
      uri: server.uri(),
      method: server.method(),
    }));
    const body = 'a=2&n=%C3%BC+%FF';
    const peer = await device.ask(post(body, { path: '/?a=1', contentType: 'application/x-www-form-urlencoded' }));
    expect(JSON.parse(utf8(peer.body))).toEqual({
      args: [
        ['a', '1'],
        ['a', '2'],
        ['n', 'ü \udcff'],
        ['plain', body],
      ],
      a: '1',
      missing: ['', '', '', false],
      plain: [body, true],
      uri: '/',
      method: 'POST',
    });
  });

  test('headers: two are always kept, others on demand; gone with the next request', async () => {
    const device = looking(
      (server) => [
        server.headers(),
        server.headerName(2),
        server.header('x-one'),
        server.header(2),
        server.hasHeader('X-ONE'),
        server.hostHeader(),
        server.header('User-Agent'),
      ],
      (server) => server.collectHeaders('X-One'),
    );
    const peer = await device.ask(get('/', 'X-One: 1', 'User-Agent: me'));
    expect(JSON.parse(utf8(peer.body))).toEqual([3, 'X-One', '1', '1', true, '127.0.0.1', '']);
    peer.write(get('/'));
    await peer.answered(2);
    expect(JSON.parse(utf8(peer.body))).toEqual([3, 'X-One', '', '', false, '127.0.0.1', '']);
  });

  test('an upload, told in events as it comes', async () => {
    const seen: unknown[] = [];
    const device = bench((server) =>
      server.on(
        '/up',
        'POST',
        () => server.send(200, 'text/plain', server.arg('note')),
        async () => {
          const { status, name, filename, type, totalSize, currentSize, contentLength } = server.upload();
          seen.push([
            status,
            name,
            filename,
            type,
            totalSize,
            status === 1 ? currentSize : undefined,
            contentLength,
            server.arg('q'),
          ]);
        },
      ),
    );
    const body = formBody([
      fieldPart('note', 'hi'),
      filePart(imageByRule(3000), 'file', 'ü.bin'.replace('ü', '\xc3\xbc')),
    ]);
    const peer = await device.ask(post(body, { path: '/up?q=1' }));
    expect(peer.body).toBe('hi');
    const about = ['file', 'ü.bin', 'application/octet-stream'];
    expect(seen).toEqual([
      [0, ...about, 0, undefined, body.length, '1'],
      [1, ...about, 0, 2048, body.length, '1'],
      [1, ...about, 2048, 952, body.length, '1'],
      [2, ...about, 3000, undefined, body.length, '1'],
    ]);
    const remote = expect.stringMatching(/^192\.168\.1\.10:\d+$/);
    expect(device.events.filter(({ type }) => type.startsWith('http.')).map(({ atMs: _, ...event }) => event)).toEqual([
      { type: 'http.request', peer: remote, method: 'POST', path: '/up' },
      { type: 'http.upload', peer: remote, field: 'file', filename: 'ü.bin', bytes: 0, state: 'start' },
      { type: 'http.upload', peer: remote, field: 'file', filename: 'ü.bin', bytes: 3000, state: 'end' },
      { type: 'http.response', peer: remote, status: 200, length: 2 },
    ]);
  });

  test('files on routes without an upload handler are thrown away; onFileUpload is for the routes after it', async () => {
    let bytes = 0;
    const device = bench((server) => {
      server.on('/before', 'POST', () => server.send(200));
      server.onFileUpload(() => {
        if (server.upload().status === UPLOAD_FILE_WRITE) bytes += server.upload().currentSize;
      });
      server.on('/after', 'POST', () => server.send(200));
      server.on('/get', 'GET', () => server.send(200));
    });
    const body = formBody([filePart(imageByRule(3000))]);
    for (const path of ['/before', '/get', '/nowhere']) await device.ask(post(body, { path }));
    expect(bytes).toBe(0);
    await device.ask(post(body, { path: '/after' }));
    expect(bytes).toBe(3000);
  });
});

describe('routes (§8)', () => {
  test('tried in order; method, path and filter must fit', async () => {
    let open = false;
    const device = bench((server) => {
      server.on('/a', () => server.send(200, '', 'filtered')).setFilter(() => open);
      server.on('/a', 'POST', () => server.send(200, '', 'post'));
      server.on('/a', () => server.send(200, '', 'any'));
      server.on('/a', 'GET', () => server.send(200, '', 'never'));
    });
    const answer = async (request: string) => (await device.ask(request)).body;
    expect([await answer(get('/a')), await answer(post('', { path: '/a', contentType: '' }))]).toEqual(['any', 'post']);
    open = true;
    expect(await answer(get('/a'))).toBe('filtered');
  });

  test('onNotFound takes everything else', async () => {
    const device = bench((server) => server.onNotFound(() => server.send(418, 'text/plain', server.uri())));
    const peer = await device.ask(get('/x'));
    expect([peer.status, peer.body]).toEqual(['HTTP/1.1 418 ', '/x']);
  });

  test('a handler that sends nothing sends nothing, and the connection lingers', async () => {
    const device = bench((server) => server.on('/', () => {}));
    const peer = await device.connect();
    peer.write(get('/'));
    await device.advance(1990);
    expect([peer.text, peer.ending]).toEqual(['', undefined]);
    await peer.ended(100);
    expect(peer.ending).toBe('FIN');
  });

  test('static files: suffix, index, packed twin, cache', async () => {
    const files = new Map(
      Object.entries({
        '/www/index.htm': 'home',
        '/www/s/index.html': 'sub',
        '/www/a.js.gz': 'packed',
        '/one.txt': '1',
      }),
    );
    const fs = { read: (path: string) => (files.has(path) ? toBytes(files.get(path)!) : undefined) };
    const device = bench((server) => {
      server.serveStatic('/one', fs, '/one.txt');
      server.serveStatic('/', fs, '/www/', 'max-age=9');
    });
    expect((await device.ask(get('/'))).text).toContain(
      'Content-Type: text/html\r\nCache-Control: max-age=9\r\nContent-Length: 4',
    );
    expect((await device.ask(get('/s/'))).body).toBe('sub');
    expect((await device.ask(get('/one'))).head).toContain('Content-Type: text/plain\r\nContent-Length');
    expect((await device.ask(get('/one/'))).body).toBe('Not found: /one/');
    expect((await device.ask(get('/a.js'))).head).toContain(
      'application/javascript\r\nContent-Encoding: gzip\r\nCache',
    );
    expect((await device.ask(get('/b.js'))).body).toBe('Not found: /b.js');
    expect((await device.ask(post('', { path: '/', contentType: '' }))).status).toContain('404');
    const head = await device.connect();
    head.write(get('/').replace('GET', 'HEAD'));
    await device.advance(50);
    expect(head.text).toMatch(/Content-Length: 4\r\n.*\r\n\r\n$/s);
  });
});

describe('the response (§6)', () => {
  test('own headers in the order of the calls, those put first in reverse, behind Content-Type', async () => {
    const device = bench((server) =>
      server.on('/', async () => {
        server.sendHeader('A', '1');
        server.sendHeader('B', '2', true);
        server.sendHeader('C', '3');
        server.sendHeader('D', '4', true);
        await server.send(200, 'text/plain', 'ü');
      }),
    );
    const peer = await device.ask(get('/'));
    expect(peer.head).toContain('Content-Type: text/plain\r\nD: 4\r\nB: 2\r\nA: 1\r\nC: 3\r\nContent-Length: 2\r\n');
    expect(peer.body).toBe('\xc3\xbc');
    peer.write(get('/x'));
    await peer.answered(2);
    expect(peer.head).toContain('text/html\r\nContent-Length');
  });

  test('a body in chunks ends by itself; nothing needs to be awaited', async () => {
    const device = bench((server) =>
      server.on('/', () => {
        server.setContentLength(CONTENT_LENGTH_UNKNOWN);
        void server.send(200, 'text/plain');
        void server.sendContent('hello ');
        void server.sendContent('x'.repeat(20));
      }),
    );
    const peer = await device.connect();
    peer.write(get('/'));
    await device.advance(50);
    expect(peer.text.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe(
      `6\r\nhello \r\n14\r\n${'x'.repeat(20)}\r\n0\r\n\r\n`,
    );
    expect(peer.text).toContain('text/plain\r\nAccept-Ranges: none\r\nTransfer-Encoding: chunked\r\nConnection');
    const old = await device.connect();
    old.write('GET / HTTP/1.0\r\n\r\n');
    await device.advance(50);
    expect(old.text).toBe(
      `HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nhello ${'x'.repeat(20)}`,
    );
  });

  test('chunks ended by hand are not ended twice', async () => {
    const device = bench((server) =>
      server.on('/', async () => {
        if (!server.chunkedResponseModeStart(200, 'text/plain')) return;
        await server.sendContent(Uint8Array.of(65, 66));
        await server.chunkedResponseFinalize();
      }),
    );
    const peer = await device.connect();
    peer.write(get('/'));
    await device.advance(50);
    expect(peer.text.split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe('2\r\nAB\r\n0\r\n\r\n');
  });

  test('a length set by hand', async () => {
    const device = bench((server) =>
      server.on('/', async () => {
        server.setContentLength(6);
        await server.send(200, 'text/plain', 'abc');
        await server.sendContent('def');
      }),
    );
    expect((await device.ask(get('/'))).body).toBe('abcdef');
  });

  test('CORS adds a header to every answer', async () => {
    const device = bench((server) => server.enableCORS(true));
    expect((await device.ask(get('/x'))).head).toContain(
      'Content-Length: 13\r\nAccess-Control-Allow-Origin: *\r\nConnection',
    );
  });

  test('a redirect closes at once, unless it has content', async () => {
    const device = bench((server) => {
      server.on('/a', () => server.redirect('/b'));
      server.on('/c', () => server.redirect('/d', 'text'));
    });
    const peer = await device.connect();
    peer.write(get('/a'));
    await peer.ended(50);
    expect(peer.text).toBe(
      'HTTP/1.1 302 Found\r\nContent-Type: text/html\r\nLocation: /b\r\nCache-Control: no-cache, no-store, must-revalidate\r\n' +
        'Pragma: no-cache\r\nExpires: -1\r\nContent-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: timeout=2000\r\n\r\n',
    );
    expect(peer.ending).toBe('FIN');
    expect((await device.ask(get('/c'))).ending).toBeUndefined();
  });

  test('a handler may end the keeping of the connection', async () => {
    const device = bench((server) =>
      server.on('/', async () => {
        server.keepAlive(false);
        await server.send(200);
      }),
    );
    expect((await device.ask(get('/'))).head).toContain('Connection: close');
  });

  test('outside of a request there is nobody to answer', () => {
    const { server } = new HttpBench();
    expect(() => server.send(200)).toThrow('nobody to answer');
    expect(() => server.client()).toThrow('nobody');
    expect(() => server.upload()).toThrow('upload handler');
  });
});

describe('Digest through the server (§7)', () => {
  const md5 = (text: string) => createHash('md5').update(text).digest('hex');
  const answer = (challenge: string, nc: string, user = 'admin', password = 'secret', method = 'GET') => {
    const value = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(challenge)![1]!;
    const [realm, nonce, opaque] = [value('realm'), value('nonce'), value('opaque')];
    const h1 = md5(`${user}:${realm}:${password}`);
    const response = md5(`${h1}:${nonce}:${nc}:abc:auth:${md5(`${method}:/`)}`);
    return (
      `Authorization: Digest username="${user}", realm="${realm}", nonce="${nonce}", uri="/", qop=auth, nc=${nc}, ` +
      `cnonce="abc", response="${response}", opaque="${opaque}"`
    );
  };
  const device = () =>
    bench((server) =>
      server.on('/', () =>
        server.authenticate('admin', 'secret')
          ? server.send(200, '', 'in')
          : server.requestAuthentication('DIGEST', 'Here', 'out'),
      ),
    );
  const challengeOf = (head: string) => /^WWW-Authenticate: (.*)\r$/m.exec(head)![1]!;

  test('a challenge of 32 hex digits each, new at each 401; only the latest is good, and it stays good (row 60)', async () => {
    const one = device();
    const first = await one.ask(get('/'));
    expect([first.status, first.body]).toEqual(['HTTP/1.1 401 Unauthorized', 'out']);
    const challenge = challengeOf(first.head);
    expect(challenge).toMatch(/^Digest realm="Here", qop="auth", nonce="[0-9a-f]{32}", opaque="[0-9a-f]{32}"$/);
    for (let i = 0; i < 3; i++) expect((await one.ask(get('/', answer(challenge, '00000001')))).body).toBe('in');
    const second = await one.ask(get('/', answer(challenge, '00000001', 'admin', 'wrong')));
    expect(challengeOf(second.head)).not.toBe(challenge);
    expect((await one.ask(get('/', answer(challenge, '00000001')))).body).toBe('out');
  });

  test('Basic is accepted too', async () => {
    const value = Buffer.from('admin:secret').toString('base64');
    expect((await device().ask(get('/', `Authorization: Basic ${value}`))).body).toBe('in');
  });

  test('a stored hash does for a password', async () => {
    const one = bench((server) => {
      const h1 = server.credentialHash('admin', 'Here', 'secret');
      server.on('/', () =>
        server.authenticateDigest('admin', h1)
          ? server.send(200, '', 'in')
          : server.requestAuthentication('DIGEST', 'Here'),
      );
    });
    const { head } = await one.ask(get('/'));
    expect((await one.ask(get('/', answer(challengeOf(head), '1')))).body).toBe('in');
  });
});

describe('the server itself', () => {
  test('close and begin: the client is dropped, those who wait are reset, the port is free', async () => {
    const device = new HttpBench();
    const served = await device.ask(get());
    const waiting = await device.connect();
    device.server.close();
    await device.advance(10);
    expect([served.ending, waiting.ending]).toEqual(['FIN', 'RST']);
    expect(device.server.local).toBeUndefined();
    await device.server.begin();
    expect((await device.ask(get())).status).toBe('HTTP/1.1 200 OK');
  });

  test('begin rejects when the port is taken', async () => {
    const device = new HttpBench();
    await device.ask(get());
    await device.network.forDevice(device.life).listenTcp(81);
    await expect(device.server.begin(81)).rejects.toThrow('in use');
  });

  test('handleClient inside a handler does nothing', async () => {
    const device = bench((server) =>
      server.on('/', async () => {
        await server.handleClient();
        await server.send(200, '', 'once');
      }),
    );
    expect((await device.ask(get('/'))).body).toBe('once');
  });

  test('a handler that throws is the sketch’s crash', async () => {
    const device = bench((server) =>
      server.on('/', () => {
        throw new Error('a bug in the sketch');
      }),
    );
    const peer = await device.connect();
    peer.write(get('/'));
    await device.advance(50);
    expect(device.crash).toMatchObject({ message: 'a bug in the sketch' });
  });

  test('a power cut in the middle of an upload ends the thread, and nothing is sent any more', async () => {
    const device = new HttpBench();
    const peer = await device.connect();
    peer.write(post(formBody([filePart(imageByRule(20_000))])).slice(0, 8000));
    await device.advance(20);
    device.life.end(new PowerLost());
    await device.advance(60_000);
    expect([peer.text, device.crash, device.command]).toEqual(['', undefined, undefined]);
  });

  test('a power cut while an answer nobody awaits is being sent', async () => {
    const device = bench((server) =>
      server.on('/', async () => {
        void server.send(200, '', 'x'.repeat(100_000));
        await new Promise(() => {}); // the sketch waits for something else, for ever
      }),
    );
    const peer = await device.connect();
    peer.write(get('/'));
    await device.advance(1);
    device.life.end(new PowerLost());
    await device.advance(100);
    expect(latin1(toBytes(peer.text)).length).toBeLessThan(100_000);
  });
});
