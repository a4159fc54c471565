/** The request parser on arrays. Source of every rule: spec chapter 04 §2–§4. */
import { describe, expect, test } from 'vitest';
import { bytewise, drive } from '../support/http-parser.ts';

const line = (text: string) => drive([`${text}\r\n\r\n`]);

describe('request line (§2.2)', () => {
  test.each([
    ['GET /a HTTP/1.1', 'GET', '/a', 1],
    ['GET /a HTTP/1.0', 'GET', '/a', 0],
    ['GET /a HTTP/2.0', 'GET', '/a', 0],
    ['GET /a HTTP/1.9', 'GET', '/a', 9],
    ['GET /a HTTP/1.257', 'GET', '/a', 1],
    ['GET /a HTTP/1.-1', 'GET', '/a', 255],
    ['GET /a HTTP/1.99999999999', 'GET', '/a', 255],
    ['GET /a nonsense', 'GET', '/a', 0],
    ['GET /a ', 'GET', '/a', 0],
    ['GET  /a', 'GET', '', 0],
    ['get /a HTTP/1.1', 'GET', '/a', 1],
    ['FOO /a HTTP/1.1', 'GET', '/a', 1],
    ['TRACE /a HTTP/1.1', 'GET', '/a', 1],
    [' /a HTTP/1.1', 'GET', '/a', 1],
    ['HEAD /%61 HTTP/1.1', 'HEAD', '/%61', 1],
    ['OPTIONS * HTTP/1.1', 'OPTIONS', '*', 1],
    ['PUT /a HTTP/1.1', 'PUT', '/a', 1],
    ['PATCH /a HTTP/1.1', 'PATCH', '/a', 1],
    ['DELETE /a HTTP/1.1', 'DELETE', '/a', 1],
    ['POST /a HTTP/1.1', 'POST', '/a', 1],
    ['post /a HTTP/1.1', 'GET', '/a', 1],
  ])('%s', (text, method, path, version) => {
    const { result, request } = line(text);
    expect(result).toBe('continue');
    expect(request).toMatchObject({ method, path, version, keepAlive: version > 0 });
  });

  test.each(['GET /a', 'GET', '', 'GET/aHTTP/1.1'])('less than two spaces stop it: %j', (text) => {
    const { result, routed, unread } = line(text);
    expect([result, routed]).toEqual(['stop', false]);
    expect(unread).toBe('\r\n');
  });

  test('the query begins at the first question mark', () => {
    expect(line('GET /a?b=c?d HTTP/1.1').request).toMatchObject({ path: '/a', query: 'b=c?d' });
    expect(line('GET ? HTTP/1.1').request).toMatchObject({ path: '', query: '' });
  });

  test('the handler is chosen before headers are read', () => {
    expect(drive(['GET / HTTP/1.1\r\n'])).toMatchObject({ routed: true, ms: 10_000 });
  });

  test('any byte but space, CR and `?` may stand in a path', () => {
    const path = `/${String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i).filter((i) => ![13, 32, 63].includes(i)))}`;
    expect(line(`GET ${path} HTTP/1.1`).request.path).toBe(path);
  });
});

describe('reading lines (§2.1)', () => {
  test('a line ends at CR, and what stands before LF is lost', () => {
    const { request, result } = drive(['GET /a HTTP/1.1\rlost\nHost: x\r also lost\n\r\n']);
    expect([result, request.path, request.host]).toEqual(['continue', '/a', 'x']);
  });

  test('half a request line and then nothing: 5 s for the line, 5 s for its LF', () => {
    expect(drive(['GET /upd'])).toMatchObject({ result: 'stop', ms: 10_000 });
  });

  test('a request line, one header, and no empty line: answered after 10 s', () => {
    expect(drive(['GET / HTTP/1.1\r\nHost: a\r\n'])).toMatchObject({ result: 'continue', ms: 10_000 });
  });

  test('a closed connection does not shorten the waits', () => {
    expect(drive(['GET /upd'], { peer: 'gone' })).toMatchObject({ result: 'stop', ms: 10_000 });
  });

  test('LF only: the whole request is line 1, and its first two spaces count, after 20 s (row 16)', () => {
    const driven = drive(['GET /update HTTP/1.1\nHost: a\n\n']);
    expect(driven).toMatchObject({ result: 'continue', ms: 20_000, unread: '' });
    expect(driven.request).toMatchObject({ path: '/update', version: 1, keepAlive: true });
  });

  test('each byte may take 5 s, and no longer (row 15)', () => {
    const text = 'GET / HTTP/1.1\r\n\r\n';
    expect(drive(bytewise(text, 5000))).toMatchObject({ result: 'continue', ms: 5000 * (text.length - 1) + 5000 });
    expect(drive(bytewise(text, 5001)).result).toBe('stop');
  });

  test('invariant: where the pieces are cut changes nothing', () => {
    const text = 'POST /a?x=1 HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabcGET';
    const { files: _, ...whole } = drive([text]);
    for (let cut = 1; cut < text.length; cut++) {
      expect(drive([text.slice(0, cut), text.slice(cut)]), `cut at ${cut}`).toMatchObject(whole);
    }
    expect(drive(bytewise(text))).toMatchObject(whole);
    expect(whole).toMatchObject({ result: 'continue', ms: 0, unread: 'GET' });
  });
});

describe('headers (§2.3)', () => {
  const collect = ['Authorization', 'X-One'];
  const headers = (method: string, ...lines: string[]) =>
    drive([`${method} / HTTP/1.1\r\n${lines.map((one) => `${one}\r\n`).join('')}\r\n`], { collect }).request.headers;

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('%s trims values', (method) => {
    expect(headers(method, 'X-One: \t a b \t', 'Authorization:Basic x')).toEqual(['Basic x', 'a b']);
  });

  test.each(['GET', 'HEAD', 'OPTIONS', 'FOO'])('%s takes one character off and trims nothing', (method) => {
    expect(headers(method, 'X-One:  a b ', 'Authorization:Basic x')).toEqual(['asic x', ' a b ']);
    expect(headers(method, 'X-One:')).toEqual(['', '']);
  });

  test('names have no case, the last of a name wins, others are not kept', () => {
    expect(headers('GET', 'x-oNE: 1', 'X-Two: 2', 'X-ONE: 3')).toEqual(['', '3']);
  });

  test('a line without a colon ends the headers, and what follows is body', () => {
    const driven = drive(['POST / HTTP/1.1\r\nContent-Length: 5\r\nno colon here\r\nX: y\r\n\r\n']);
    expect(driven).toMatchObject({ result: 'continue', unread: '\n\r\n' });
    expect(driven.request.plain).toBe('X: y\r');
  });

  test.each([
    ['keep-alive', true],
    ['Keep-Alive', true],
    ['close', false],
    ['keep-alive, Upgrade', false],
    ['', false],
  ])('Connection: %s', (value, keepAlive) => {
    for (const version of ['1.0', '1.1']) {
      const { request } = drive([`POST / HTTP/${version}\r\nConnection: ${value}\r\n\r\n`]);
      expect(request.keepAlive).toBe(keepAlive);
    }
  });

  test('the last Connection wins', () => {
    expect(drive(['GET / HTTP/1.1\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n']).request.keepAlive).toBe(
      true,
    );
    expect(drive(['GET / HTTP/1.1\r\nConnection:keep-alive\r\n\r\n']).request.keepAlive).toBe(false);
  });

  test('Host is kept, Expect and Transfer-Encoding mean nothing', () => {
    const driven = drive([
      'POST / HTTP/1.1\r\nHost: h:80\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n',
    ]);
    expect(driven).toMatchObject({ result: 'continue', unread: '1\r\na\r\n0\r\n\r\n', ms: 0 });
    expect(driven.request.host).toBe('h:80');
  });

  test('a GET leaves its body unread: it will be the next request', () => {
    expect(drive(['GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody']).unread).toBe('body');
  });
});

describe('bodies (§3.2, §4)', () => {
  const post = (type: string, length: string, body: string, peer?: 'gone') =>
    drive(
      [`POST /p?q=1 HTTP/1.1\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n${body}`],
      peer && { peer },
    );
  const args = (driven: ReturnType<typeof post>) => driven.request.args.map(({ key, value }) => [key, value]);

  test.each(['text/plain', 'application/octet-stream', 'Application/x-www-form-urlencoded', 'Multipart/form-data', ''])(
    '%j is plain: the query is in the arguments, the body beside them',
    (type) => {
      const driven = post(type, '3', 'a=b');
      expect(args(driven)).toEqual([['q', '1']]);
      expect(driven.request.plain).toBe('a=b');
    },
  );

  test('urlencoded: query items, then body items, then the raw body', () => {
    const driven = post('application/x-www-form-urlencoded; charset=utf-8', '8', 'a=b&q=+2');
    expect(args(driven)).toEqual([
      ['q', '1'],
      ['a', 'b'],
      ['q', ' 2'],
    ]);
    expect(driven.request.plain).toBe('a=b&q=+2');
  });

  test('no Content-Length: nothing is read, and there is no raw body', () => {
    const driven = post('text/plain', '', 'abc');
    expect(driven).toMatchObject({ result: 'continue', unread: 'abc', ms: 0 });
    expect(driven.request.plain).toBeUndefined();
  });

  test('fewer bytes than announced stop it after 5 s (row 52), at once when the peer is gone', () => {
    expect(post('application/x-www-form-urlencoded', '9', 'a=b')).toMatchObject({ result: 'stop', ms: 5000 });
    expect(post('application/x-www-form-urlencoded', '9', 'a=b', 'gone')).toMatchObject({ result: 'stop', ms: 0 });
  });

  test('more than announced stay for the next request', () => {
    expect(post('text/plain', '2', 'abGET')).toMatchObject({ result: 'continue', unread: 'GET' });
  });

  test.each([
    ['2x', 'ab'],
    [' +2', 'ab'],
    ['x2', undefined],
  ])('Content-Length is the number that the value begins with: %j', (length, plain) => {
    expect(post('text/plain', length, 'abc').request.plain).toBe(plain);
  });

  test('a negative length is a huge one', () => {
    expect(post('text/plain', '-1', 'abc')).toMatchObject({ result: 'stop', ms: 5000 });
  });
});

describe('memory: never more than the heap that the device has', () => {
  const heapBytes = 2000;

  test('an endless request line keeps what fits, and its path is empty when there is no room for a copy', () => {
    const driven = drive([`GET /${'a'.repeat(100_000)} HTTP/1.1\r\n\r\n`], { heapBytes });
    expect(driven.result).toBe('stop'); // the second space was lost
    const half = drive([`GET /${'a'.repeat(1500)} HTTP/1.1\r\n\r\n`], { heapBytes });
    expect(half).toMatchObject({ result: 'continue', request: { path: '', version: 1 } });
    const quarter = drive([`GET /${'a'.repeat(900)} HTTP/1.1\r\n\r\n`], { heapBytes });
    expect(quarter.request.path).toHaveLength(901);
  });

  test('a flood of headers costs nothing', () => {
    const flood = Array.from({ length: 20_000 }, (_, i) => `X-${i}: ${'v'.repeat(20)}\r\n`).join('');
    const driven = drive([`GET / HTTP/1.1\r\n${flood}X-One: 1\r\n\r\n`], { heapBytes, collect: ['X-One'] });
    expect(driven).toMatchObject({ result: 'continue', request: { headers: ['1'] }, unread: '' });
  });

  test('a repeated header does not pile up', () => {
    const flood = `Host: ${'h'.repeat(300)}\r\n`.repeat(500);
    const driven = drive([`GET / HTTP/1.1\r\n${flood}X-One: ${'1'.repeat(300)}\r\n\r\n`], {
      heapBytes,
      collect: ['X-One'],
    });
    expect(driven.request.headers[0]).toHaveLength(300);
  });

  test('a body that does not fit ends the request as soon as the heap is full', () => {
    const driven = drive([`POST / HTTP/1.1\r\nContent-Length: 5000\r\n\r\n${'b'.repeat(5000)}`], { heapBytes });
    expect(driven).toMatchObject({ result: 'stop', ms: 0 });
    expect(driven.unread.length).toBeGreaterThan(3000 - 100);
  });

  test('arguments are dropped where their table does not fit any more', () => {
    const driven = drive([`GET /?${'a;'.repeat(450)} HTTP/1.1\r\n\r\n`], { heapBytes });
    expect(driven.request.args.length).toBeGreaterThan(20);
    expect(driven.request.args.length * 24).toBeLessThan(heapBytes);
  });
});
