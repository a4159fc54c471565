/** The web server with clients on the simulated network: spec chapter 04 §1, §6–§8 and the rows of §26 about them. */
import { describe, expect, test } from 'vitest';
import { UPDATE_PAGE } from '../../ota-services/http-update-server/page.ts';
import { get, HttpBench, post, upload } from '../support/http-bench.ts';
import { imageByRule } from '../support/transcript.ts';

const KEEP = 'Connection: keep-alive\r\nKeep-Alive: timeout=2000\r\n';
const pageHead = (connection: string, version = 1) =>
  `HTTP/1.${version} 200 OK\r\nContent-Type: text/html\r\nContent-Length: ${UPDATE_PAGE.length}\r\n${connection}\r\n`;

/** Milliseconds that the sketch's loop and the link may add. */
const SLACK_MS = 5;

describe('answers', () => {
  test('row 1: GET /update HTTP/1.1', async () => {
    const peer = await new HttpBench().ask(get());
    expect(peer.text).toBe(pageHead(KEEP) + UPDATE_PAGE);
  });

  test('row 2: HTTP/1.0 is answered in kind, and closed only after 2 s', async () => {
    const peer = await new HttpBench().ask('GET /update HTTP/1.0\r\n\r\n');
    expect(peer.head).toBe(pageHead('Connection: close\r\n', 0));
    const answeredAt = peer.pieces.at(-1)!.atMs;
    await peer.ended();
    expect(peer.ending).toBe('FIN');
    expect(peer.endedAtMs! - answeredAt).toBeGreaterThan(2000);
    expect(peer.endedAtMs! - answeredAt).toBeLessThan(2000 + SLACK_MS);
  });

  test('row 2: … or at once when the client closes, and the next is served then', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask('GET /update HTTP/1.0\r\n\r\n');
    peer.end();
    await bench.advance(SLACK_MS);
    expect(peer.ending).toBe('RST');
    const startedAt = bench.nowMs;
    await bench.ask(get());
    expect(bench.nowMs - startedAt).toBeLessThan(10);
  });

  test.each([
    ['row 3', 'GET /update HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', pageHead(KEEP, 0)],
    ['row 4', get('/update', 'Connection: close'), pageHead('Connection: close\r\n')],
    ['row 8', get('/update?x=1'), pageHead(KEEP)],
    ['row 9', get().replace('GET', 'FOO'), pageHead(KEEP)],
  ])('%s', async (_row, request, head) => {
    expect((await new HttpBench().ask(request)).head).toBe(head);
  });

  test('row 5: HEAD /update is not found, with the length of a body that does not come', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.write(get().replace('GET', 'HEAD'));
    await bench.advance(100);
    expect(peer.text).toBe(`HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 18\r\n${KEEP}\r\n`);
  });

  test.each([
    ['row 6', get('/'), 'Not found: /'],
    ['row 7', get('/%75pdate'), 'Not found: /%75pdate'],
    ['case', get('/Update'), 'Not found: /Update'],
    ['without the query', get('/a?b'), 'Not found: /a'],
    ['any bytes', get('/\x80\xff\xc3\xbc'), 'Not found: /\x80\xff\xc3\xbc'],
    ['row 53: PUT', upload(imageByRule(5000), 'firmware', { method: 'PUT' }), 'Not found: /update'],
  ])('%s is not found', async (_row, request, body) => {
    const peer = await new HttpBench().ask(request);
    expect([peer.status, peer.body]).toEqual(['HTTP/1.1 404 Not Found', body]);
  });

  test('row 10: OPTIONS /update', async () => {
    const peer = await new HttpBench({ user: 'admin', password: 'admin' }).ask(get().replace('GET', 'OPTIONS'));
    expect(peer.text).toBe(
      'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nAccess-Control-Allow-Headers: *\r\n' +
        `Access-Control-Allow-Origin: *\r\nContent-Length: 1\r\n${KEEP}\r\ny`,
    );
  });

  test('row 11: no version: closed without a byte, with RST as the second CRLF is unread', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.write('GET /update\r\n\r\n');
    await peer.ended(100);
    expect([peer.text, peer.ending]).toEqual(['', 'RST']);
  });

  test('… with FIN when all was read', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.write('GET /update\r\n');
    await peer.ended(100);
    expect([peer.text, peer.ending]).toEqual(['', 'FIN']);
  });

  test('the header block and the body are a write each', async () => {
    const bench = new HttpBench();
    await bench.ask(get('/'));
    expect(bench.eventsOf('wire.out').map(({ length }) => length)).toEqual([121, 12]);
  });
});

describe('one client at a time (§1.2)', () => {
  test('row 12: a client that sends nothing is closed after 5 s', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    const startedAt = bench.nowMs;
    await peer.ended();
    expect([peer.ending, peer.text]).toEqual(['FIN', '']);
    expect(peer.endedAtMs! - startedAt).toBeGreaterThan(5000);
    expect(peer.endedAtMs! - startedAt).toBeLessThan(5000 + SLACK_MS);
  });

  test('row 13: … 30 ms after it was picked up when another one has sent something', async () => {
    const bench = new HttpBench();
    const silent = await bench.connect();
    const startedAt = bench.nowMs;
    const second = await bench.ask(get());
    expect(silent.ending).toBe('FIN');
    expect(silent.endedAtMs! - startedAt).toBeGreaterThan(30);
    expect(silent.endedAtMs! - startedAt).toBeLessThan(40);
    expect(second.status).toBe('HTTP/1.1 200 OK');
  });

  test('… but not for one who waits and is silent too', async () => {
    const bench = new HttpBench();
    const silent = await bench.connect();
    await bench.connect();
    await bench.advance(4900);
    expect(silent.ending).toBeUndefined();
  });

  test('… and at once when five are waiting', async () => {
    const bench = new HttpBench();
    const peers = [];
    for (let i = 0; i < 6; i++) peers.push(await bench.connect());
    await bench.advance(50);
    expect(peers[0]!.ending).toBe('FIN');
    expect(peers[1]!.ending).toBeUndefined();
  });

  test.each([
    ['which has sent its request', get('/b')],
    ['which has sent nothing', ''],
  ])('row 14: a second client %s ends the keeping of the first', async (_what, text) => {
    const bench = new HttpBench();
    const first = await bench.connect();
    const second = await bench.connect();
    second.write(text);
    first.write(get('/a'));
    await first.answered();
    expect(first.head).toContain('Connection: close\r\n\r\n');
    await first.ended(20);
    expect(first.ending).toBe('FIN');
    second.write(text === '' ? get('/b') : '');
    await second.answered();
    expect(second.body).toBe('Not found: /b');
    expect(second.head).toContain(KEEP);
  });

  test('a client that comes in the linger time ends it', async () => {
    const bench = new HttpBench();
    const first = await bench.ask(get());
    await bench.advance(500);
    const second = await bench.ask(get());
    expect([first.ending, second.status]).toEqual(['FIN', 'HTTP/1.1 200 OK']);
    expect(first.endedAtMs!).toBeLessThan(second.pieces[0]!.atMs);
  });

  test('row 15: a request byte by byte, 1 s apart, is served; another client waits', async () => {
    const bench = new HttpBench();
    const slow = await bench.connect();
    slow.write('G');
    await bench.advance(10);
    const other = await bench.connect();
    other.write(get('/b'));
    for (const byte of get('/a').slice(1)) {
      expect(other.text).toBe('');
      await bench.advance(1000);
      slow.write(byte);
    }
    await slow.answered();
    await other.answered();
    expect([slow.body, other.body]).toEqual(['Not found: /a', 'Not found: /b']);
  });

  test('row 16: LF only: answered after 20 s', async () => {
    const bench = new HttpBench();
    const startedAt = bench.nowMs;
    const peer = await bench.ask('GET /update HTTP/1.1\nHost: a\n\n', 30_000);
    expect(peer.status).toBe('HTTP/1.1 200 OK');
    expect(bench.nowMs - startedAt).toBeGreaterThan(20_000);
    expect(bench.nowMs - startedAt).toBeLessThan(20_020);
  });

  test('row 17: a second request within 2 s is served on the same connection', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(get('/a'));
    await bench.advance(1990);
    peer.write(get('/b'));
    await peer.answered(2);
    expect(peer.answers.map(({ body }) => body)).toEqual(['Not found: /a', 'Not found: /b']);
  });

  test('row 17: … also after an answer that said close', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(get('/a', 'Connection: close'));
    await bench.advance(500);
    peer.write(get('/b', 'Connection: close'));
    await peer.answered(2);
    expect(peer.body).toBe('Not found: /b');
  });

  test('row 18: 2 s after an answer the server closes', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(get());
    const answeredAt = peer.pieces.at(-1)!.atMs;
    await peer.ended();
    expect(peer.ending).toBe('FIN');
    expect(peer.endedAtMs! - answeredAt).toBeGreaterThan(2000);
    expect(peer.endedAtMs! - answeredAt).toBeLessThan(2000 + SLACK_MS);
  });

  test('two requests in one segment are served in turn', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(get('/a') + get('/b') + get('/c'));
    await peer.answered(3);
    expect(peer.answers.map(({ body }) => body)).toEqual(['Not found: /a', 'Not found: /b', 'Not found: /c']);
  });

  test('the body of a GET is taken for the next request, which ends the connection', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(`${get('/a', 'Content-Length: 4')}body\r\n\r\n`);
    await peer.ended(50);
    expect([peer.answers.length, peer.ending]).toEqual([1, 'RST']);
  });

  test('a connection that ended before it was picked up is forgotten', async () => {
    const bench = new HttpBench();
    const first = await bench.ask(get());
    const gone = await bench.connect();
    gone.reset();
    const third = await bench.ask(get('/c'));
    expect([first.ending, third.body]).toEqual(['FIN', 'Not found: /c']);
  });
});

describe('closing and half-closing (§1.2)', () => {
  test('row 93: a FIN with the request: no answer, 10 s blocked, FIN', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    const startedAt = bench.nowMs;
    peer.end(get());
    await bench.advance(100);
    const second = await bench.connect();
    second.write(get('/b'));
    await peer.ended();
    expect([peer.text, peer.ending]).toEqual(['', 'FIN']);
    expect(peer.endedAtMs! - startedAt).toBeGreaterThan(10_000);
    expect(peer.endedAtMs! - startedAt).toBeLessThan(10_000 + SLACK_MS);
    await second.answered();
    expect(second.pieces[0]!.atMs).toBeGreaterThan(peer.endedAtMs! - 1);
    expect(bench.eventsOf('http.request')).toHaveLength(2);
  });

  test('a FIN after the answer is answered with RST at once', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(get());
    peer.end();
    await bench.advance(1);
    expect(peer.ending).toBe('RST');
  });

  test('a RST in the middle of a request costs the waits for a line, no more', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.write('GET /up');
    await bench.advance(10);
    peer.reset();
    const second = await bench.connect();
    second.write(get('/b'));
    await second.answered();
    expect(bench.nowMs).toBeLessThan(10_100);
  });

  test('row 52: an urlencoded body that falls short: closed after 5 s, without a word', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    const startedAt = bench.nowMs;
    peer.write(post('a=b', { contentType: 'application/x-www-form-urlencoded' }).replace('Length: 3', 'Length: 30'));
    await peer.ended();
    expect([peer.text, peer.ending]).toEqual(['', 'FIN']);
    expect(peer.endedAtMs! - startedAt).toBeGreaterThan(5000);
    expect(peer.endedAtMs! - startedAt).toBeLessThan(5010);
  });

  test('a reader who takes nothing is given up after 5 s, and holds no memory', async () => {
    const bench = new HttpBench({
      setup: (server) => server.on('/big', () => server.send(200, 'text/plain', 'x'.repeat(1_000_000))),
    });
    const peer = await bench.connect();
    const sentBytes = () => bench.eventsOf('wire.out').reduce((sum, { length }) => sum + length, 0);
    // From the first bytes of the answer on nothing of the client comes through: neither data nor acknowledgements.
    bench.network.link = ({ direction }) => (direction === 'to-device' && sentBytes() > 0 ? 'drop' : 'pass');
    peer.write(get('/big'));
    await bench.advance(5100);
    expect(sentBytes()).toBeLessThan(4 * 1460);
    expect(bench.eventsOf('http.response')).toHaveLength(1);
    await bench.advance(2100);
    bench.network.link = undefined;
    const second = await bench.ask(get('/b'));
    expect(second.body).toBe('Not found: /b');
  });

  test('a large answer arrives whole', async () => {
    const text = Array.from({ length: 20_000 }, (_, i) => `${i}\n`).join('');
    const bench = new HttpBench({ setup: (server) => server.on('/big', () => server.send(200, 'text/plain', text)) });
    expect((await bench.ask(get('/big'))).body).toBe(text);
  });
});

describe('a thread that is held', () => {
  test('row 42: a stalled file freezes the device, which says so, until bytes come', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    const request = upload(imageByRule(20_000));
    peer.write(request.slice(0, 8000));
    await bench.advance(9000);
    expect(bench.eventsOf('device.frozen')).toHaveLength(0);
    await bench.advance(11_000);
    expect(bench.eventsOf('device.frozen')).toMatchObject([
      { where: 'http', cure: expect.stringContaining('end the client') },
    ]);
    const other = await bench.connect();
    other.write(get());
    await bench.advance(600_000);
    expect(other.text).toBe('');
    peer.write(request.slice(8000));
    await peer.answered();
    expect(peer.body).toContain('Update Success! Rebooting...');
    expect(bench.eventsOf('device.thawed')).toHaveLength(1);
  });

  test('row 43: a client that goes away inside part headers hangs the server for good', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.write(upload(imageByRule(5000)).slice(0, 200));
    await bench.advance(100);
    peer.end();
    const other = await bench.connect();
    other.write(get());
    await bench.advance(600_000);
    expect([peer.ending, other.text]).toEqual(['RST', '']);
    expect(bench.eventsOf('device.frozen')).toMatchObject([
      { where: 'http', cure: expect.stringContaining('reset the device') },
    ]);
  });
});
