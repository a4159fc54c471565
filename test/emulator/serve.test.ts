/** The update server on a real tree and real sockets: as a library, as a command, against hostile requests. Source: design.md §4, §9. */
import { createHash } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  buildImage,
  createUpdateServer,
  type ServedRequest,
  type UpdateServer,
  type UpdateServerOptions,
} from '../../emulator/index.ts';
import { selfSigned } from '../../emulator/self-signed.ts';
import { MAX_IMAGE_BYTES } from '../../emulator/update-files.ts';
import { appendSignature } from '../../flash/signed-image.ts';
import { cli, type Started, startCli } from '../support/cli.ts';

const MAC = '5C:CF:7F:C0:FF:EE';
const SECRET = 'nobody may see this';

let base: string;
let dir: string;
let commands: Started[] = [];
let servers: UpdateServer[] = [];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'vesp-serve-'));
  dir = join(base, 'fw');
  mkdirSync(dir);
});
afterEach(async () => {
  for (const { child, finished } of commands) {
    child.kill('SIGKILL');
    await finished;
  }
  for (const server of servers) await server.close();
  commands = [];
  servers = [];
  rmSync(base, { recursive: true, force: true });
});

const md5 = (bytes: Uint8Array | string): string => createHash('md5').update(bytes).digest('hex');

function put(path: string, content: Uint8Array | string): void {
  mkdirSync(join(dir, path, '..'), { recursive: true });
  writeFileSync(join(dir, path), content);
}

/** What the chapter's worked example sends. */
const deviceHeaders = (more: Record<string, string | undefined> = {}): Record<string, string> => {
  const all: Record<string, string | undefined> = {
    'User-Agent': 'ESP8266-http-Update',
    'x-ESP8266-Chip-ID': '12648430',
    'x-ESP8266-STA-MAC': MAC,
    'x-ESP8266-AP-MAC': '5E:CF:7F:C0:FF:EE',
    'x-ESP8266-free-space': '1794048',
    'x-ESP8266-sketch-size': '301072',
    'x-ESP8266-sketch-md5': 'f'.repeat(32),
    'x-ESP8266-chip-size': '4194304',
    'x-ESP8266-sdk-version': '2.2.2-dev(38a443e)',
    'x-ESP8266-mode': 'sketch',
    ...more,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
};

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function ask(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { headers, method, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) }),
      );
    });
    request.on('error', reject).end();
  });
}

/** Bytes out, bytes back until the end of the connection. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let reply = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'));
    socket.setEncoding('latin1').on('data', (piece) => {
      reply += piece;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(reply));
  });
}

async function serve(options: Partial<UpdateServerOptions> = {}): Promise<{
  url: string;
  port: number;
  log: ServedRequest[];
  /** The next log entry that is not taken yet. */
  logged(): Promise<ServedRequest>;
}> {
  const log: ServedRequest[] = [];
  const server = await createUpdateServer({ dir, port: 0, onRequest: (request) => log.push(request), ...options });
  servers.push(server);
  let taken = 0;
  const logged = async (): Promise<ServedRequest> => {
    while (log.length <= taken) await new Promise((resolve) => setImmediate(resolve));
    return log[taken++]!;
  };
  return { url: server.url, port: server.address.port, log, logged };
}

describe('answers', () => {
  test('200: the highest version with length, MD5 and version, and a record of who got what', async () => {
    put('lamps/fw-1.9.bin', 'nine');
    put('lamps/fw-1.10.bin', 'the tenth');
    const { url, logged } = await serve();
    const reply = await ask(`${url}/lamps`, deviceHeaders({ 'x-ESP8266-version': '1.9' }));
    expect(reply).toMatchObject({
      status: 200,
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': '9',
        'x-md5': md5('the tenth'),
        'x-version': '1.10',
        connection: 'close',
      },
    });
    expect(reply.body.toString()).toBe('the tenth');
    expect(await logged()).toMatchObject({
      peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      method: 'GET',
      path: '/lamps',
      status: 200,
      device: { mac: MAC, version: '1.9', mode: 'sketch' },
      file: 'lamps/fw-1.10.bin',
      version: '1.10',
      size: 9,
      sent: 9,
    });
  });

  test('the request of the device as it is on the wire: HTTP/1.0 with Content-Length: 0', async () => {
    put('fw-2.0.bin', 'two');
    const { port } = await serve();
    const head = Object.entries(deviceHeaders({ 'x-ESP8266-version': '1.0' })).map(
      ([name, value]) => `${name}: ${value}`,
    );
    const text = ['GET / HTTP/1.0', `Host: 127.0.0.1:${port}`, ...head, 'Content-Length: 0', '', ''].join('\r\n');
    expect(await raw(port, text)).toMatch(/^HTTP\/1\.[01] 200 OK\r\n.*\r\nContent-Length: 3\r\n.*\r\n\r\ntwo$/s);
  });

  test.each([
    ['same version', { 'x-ESP8266-version': '2.0' }, 304],
    [
      'another version although the MD5 is the same',
      { 'x-ESP8266-version': '1.0', 'x-ESP8266-sketch-md5': md5('two') },
      200,
    ],
    ['no version, same MD5', { 'x-ESP8266-sketch-md5': md5('two') }, 304],
    ['no version, same MD5 in capitals', { 'x-ESP8266-sketch-md5': md5('two').toUpperCase() }, 304],
    ['no version, another MD5', {}, 200],
    ['no room', { 'x-ESP8266-free-space': '2' }, 500],
    ['just room enough', { 'x-ESP8266-free-space': '3' }, 200],
    ['nothing for that mode', { 'x-ESP8266-mode': 'spiffs' }, 404],
    ['an unknown mode', { 'x-ESP8266-mode': 'x' }, 404],
  ])('%s', async (_name, headers, status) => {
    put('fw-2.0.bin', 'two');
    const { url } = await serve();
    const reply = await ask(url, deviceHeaders(headers));
    expect(reply.status).toBe(status);
    if (status === 304) expect(reply.body).toHaveLength(0);
    if (status >= 400) expect(reply.headers['x-md5']).toBeUndefined();
  });

  test('403 without x-ESP8266-* headers, even where nothing is; 404 for a folder that is not there', async () => {
    put('fw-2.0.bin', 'two');
    const { url } = await serve();
    for (const path of ['/', '/nothing']) expect((await ask(url + path)).status).toBe(403);
    expect((await ask(`${url}/nothing`, deviceHeaders())).status).toBe(404);
  });

  test('mode spiffs gets the file system, which need not fit the space for sketches', async () => {
    put('fw-2.0.bin', 'two');
    put('fw-1.5.fs.bin', 'files');
    const { url } = await serve();
    const spiffs = deviceHeaders({ 'x-ESP8266-mode': 'spiffs', 'x-ESP8266-free-space': '1' });
    const reply = await ask(url, spiffs);
    expect([reply.status, reply.headers['x-version'], reply.body.toString()]).toEqual([200, '1.5', 'files']);
    expect((await ask(url, { ...spiffs, 'x-ESP8266-version': '1.5' })).status).toBe(304);
    expect((await ask(url, { ...spiffs, 'x-ESP8266-chip-size': '4' })).status).toBe(500);
  });

  test('mode version: the headers of a sketch without a body, and never 304', async () => {
    put('fw-2.0.bin', 'two');
    const { url } = await serve();
    const headers = { 'x-ESP8266-mode': 'version', 'x-ESP8266-version': '2.0', 'x-ESP8266-sketch-md5': md5('two') };
    const reply = await ask(url, deviceHeaders(headers));
    expect(reply).toMatchObject({ status: 200, headers: { 'x-version': '2.0', 'x-md5': md5('two') } });
    expect(reply.body).toHaveLength(0);
    expect((await ask(`${url}/x`, deviceHeaders(headers))).status).toBe(404);
  });

  test("a device's own folder goes first, whatever its case; without an image of that mode the shared one is next", async () => {
    put('lamps/fw-3.0.bin', 'for all');
    put('lamps/fw-3.0.fs.bin', 'files for all');
    put('lamps/5c-CF-7f-c0-FF-ee/fw-1.0.bin', 'for one');
    const { url } = await serve();
    const get = async (headers: Record<string, string>): Promise<string> =>
      (await ask(`${url}/lamps`, deviceHeaders(headers))).body.toString();
    expect(await get({})).toBe('for one');
    expect(await get({ 'x-ESP8266-STA-MAC': MAC.toLowerCase() })).toBe('for one');
    expect(await get({ 'x-ESP8266-STA-MAC': '5C:CF:7F:00:00:01' })).toBe('for all');
    expect(await get({ 'x-ESP8266-STA-MAC': '../lamps' })).toBe('for all');
    expect(await get({ 'x-ESP8266-mode': 'spiffs' })).toBe('files for all');
    expect((await ask(`${url}/lamps`, deviceHeaders({ 'x-ESP8266-version': '1.0' }))).status).toBe(304);
  });

  test('a path that names a file gets that file, with headers of a device or without', async () => {
    put('lamps/fw-1.0.bin', 'one');
    put('lamps/fw-2.0.bin', 'two');
    put('lamps/plain.bin', 'plain');
    const { url } = await serve();
    const plain = await ask(`${url}/lamps/plain.bin`);
    expect([plain.status, plain.body.toString(), plain.headers['x-md5']]).toEqual([200, 'plain', md5('plain')]);
    expect(plain.headers['x-version']).toBeUndefined();
    const one = await ask(`${url}/lamps/fw-1.0.bin`, deviceHeaders({ 'x-ESP8266-version': '2.0' }));
    expect([one.status, one.body.toString(), one.headers['x-version']]).toEqual([200, 'one', '1.0']);
    const same = deviceHeaders({ 'x-ESP8266-version': '2.0', 'x-ESP8266-sketch-md5': md5('plain') });
    expect((await ask(`${url}/lamps/plain.bin`, same)).status).toBe(304);
  });

  test('HEAD: the same headers, no body', async () => {
    put('fw-2.0.bin', 'two');
    const { url } = await serve();
    const head = await ask(url, deviceHeaders(), 'HEAD');
    const get = await ask(url, deviceHeaders());
    expect(head.body).toHaveLength(0);
    expect({ ...head.headers, date: '' }).toEqual({ ...get.headers, date: '' });
    expect((await ask(`${url}/x`, deviceHeaders(), 'HEAD')).status).toBe(404);
    expect((await ask(url, deviceHeaders({ 'x-ESP8266-version': '2.0' }), 'HEAD')).status).toBe(304);
  });

  test.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'])('405 for %s', async (method) => {
    put('fw-2.0.bin', 'two');
    const { url } = await serve();
    const reply = await ask(url, deviceHeaders(), method);
    expect([reply.status, reply.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  test('gzip and signed images are served as they are; the variant that fits is taken', async () => {
    const image = buildImage({ sketch: 'basic-ota', version: '2.0', size: 40_000, layout: '4m2m' });
    const packed = gzipSync(image);
    const signed = appendSignature(image, new Uint8Array(256).fill(7));
    put('gz/fw-2.0.bin.gz', packed);
    put('signed/fw-2.0.bin.signed', signed);
    put('both/fw-2.0.bin', image);
    put('both/fw-2.0.bin.gz', packed);
    const { url } = await serve();
    const bodyOf = async (path: string, space = '1794048'): Promise<Buffer> =>
      (await ask(url + path, deviceHeaders({ 'x-ESP8266-free-space': space }))).body;
    expect((await bodyOf('/gz')).equals(packed)).toBe(true);
    expect((await bodyOf('/signed')).equals(signed)).toBe(true);
    expect((await bodyOf('/both')).equals(image)).toBe(true);
    expect((await bodyOf('/both', String(image.length - 1))).equals(packed)).toBe(true);
  });

  test('304 by MD5 for what a chip holds of an image: unpacked, without signature, with the flash mode of the chip', async () => {
    const image = buildImage({ sketch: 'basic-ota', version: '2.0', size: 40_000, layout: '4m2m' });
    put('fw-2.0.bin', image);
    put('gz/fw-2.0.bin.gz', gzipSync(image));
    put('signed/fw-2.0.bin.signed', appendSignature(image, new Uint8Array(256).fill(7)));
    const patched = image.slice();
    patched[2] = image[2] === 3 ? 0 : 3;
    const foreign = image.slice();
    foreign[20]! ^= 1;
    const { url } = await serve();
    const ofSketch = async (path: string, sketch: Uint8Array): Promise<number> =>
      (await ask(url + path, deviceHeaders({ 'x-ESP8266-sketch-md5': md5(sketch) }))).status;
    for (const path of ['/', '/gz', '/signed']) {
      expect([await ofSketch(path, image), await ofSketch(path, patched), await ofSketch(path, foreign)]).toEqual([
        304, 304, 200,
      ]);
    }
  });

  test('an empty folder, a file larger than any chip, and a higher version that is a folder', async () => {
    put('big/fw-1.0.bin', '');
    writeFileSync(join(dir, 'big', 'fw-1.0.bin'), new Uint8Array(MAX_IMAGE_BYTES + 1));
    put('folder/fw-1.0.bin', 'one');
    put('folder/fw-9.0.bin/x', 'x');
    mkdirSync(join(dir, 'empty'));
    const { url } = await serve();
    expect((await ask(`${url}/empty`, deviceHeaders())).status).toBe(404);
    expect((await ask(`${url}/big`, deviceHeaders())).status).toBe(500);
    expect((await ask(`${url}/folder`, deviceHeaders())).body.toString()).toBe('one');
  });
});

describe('files that change while served', () => {
  test('a file replaced in place, with the size and the time of the old one: the new MD5 at the next request', async () => {
    put('fw-2.0.bin', 'first');
    const { url } = await serve();
    const at = statSync(join(dir, 'fw-2.0.bin')).mtime;
    expect((await ask(url, deviceHeaders())).headers['x-md5']).toBe(md5('first'));
    put('fw-2.0.bin', 'other');
    utimesSync(join(dir, 'fw-2.0.bin'), at, at);
    const reply = await ask(url, deviceHeaders());
    expect([reply.headers['x-md5'], reply.body.toString()]).toEqual([md5('other'), 'other']);
  });

  test('many quick changes of one size: MD5 and body are always of the same moment', async () => {
    const { url } = await serve();
    for (let round = 0; round < 100; round++) {
      const content = String(round).padStart(5, '0');
      put('fw-2.0.bin', content);
      const reply = await ask(url, deviceHeaders());
      expect([reply.body.toString(), reply.headers['x-md5']]).toEqual([content, md5(content)]);
    }
  });

  test('a version that comes, is renamed over, and goes; and the table tells so', async () => {
    put('fw-1.0.bin', 'one');
    const changes: string[] = [];
    const { url } = await serve({
      onChange: ({ come, gone }) => {
        for (const { file } of come) changes.push(`+${file}`);
        for (const { file } of gone) changes.push(`-${file}`);
      },
    });
    const version = async (): Promise<unknown> => (await ask(url, deviceHeaders())).headers['x-version'];
    expect(await version()).toBe('1.0');
    writeFileSync(join(base, 'next'), 'two');
    renameSync(join(base, 'next'), join(dir, 'fw-2.0.bin'));
    expect(await version()).toBe('2.0');
    while (!changes.includes('+fw-2.0.bin')) await new Promise((resolve) => setTimeout(resolve, 10));
    rmSync(join(dir, 'fw-2.0.bin'));
    expect(await version()).toBe('1.0');
    while (!changes.includes('-fw-2.0.bin')) await new Promise((resolve) => setTimeout(resolve, 10));
    expect((await servers[0]!.offers()).map(({ file }) => file)).toEqual(['fw-1.0.bin']);
  });
});

/** `dir` with doors of every kind, and secrets behind them. */
function trappedTree(): Map<string, string> {
  const inside = new Map([
    ['a/fw-1.0.bin', 'inside: a 1.0'],
    ['a/b/fw-2.0.bin', 'inside: b 2.0'],
    ['plain.bin', 'inside: plain'],
  ]);
  for (const [path, content] of inside) put(path, content);
  for (const path of ['.hidden/fw-9.0.bin', '.env', 'a/.fw-9.0.bin', 'a/.git/config']) put(path, SECRET);
  mkdirSync(join(base, 'fw-secret'));
  for (const path of ['secret.bin', 'fw-secret/fw-9.0.bin']) writeFileSync(join(base, path), SECRET);
  const link = (target: string, path: string): void => symlinkSync(target, join(dir, path));
  link(join(base, 'secret.bin'), 'out.bin');
  link('../secret.bin', 'out-9.0.bin');
  link('../../secret.bin', 'a/fw-9.0.bin');
  link(base, 'up');
  link('..', 'a/up');
  link('../fw-secret', 'sibling');
  link('/', 'root');
  link('.hidden', 'unhidden');
  link('.env', 'env.bin');
  link('loop', 'loop');
  link('missing', 'dangling-9.0.bin');
  link('a', 'alias');
  linkSync(join(dir, 'plain.bin'), join(dir, 'hard.bin'));
  return inside;
}

describe('nothing outside the folder is ever served', () => {
  test('links that lead out, to dot files, nowhere, or in circles do not exist; links inside do', async () => {
    trappedTree();
    const { url } = await serve();
    const gone = [
      'out.bin',
      'out-9.0.bin',
      'up/secret.bin',
      'up',
      'a/up/../secret.bin',
      'sibling/fw-9.0.bin',
      'sibling',
    ];
    gone.push('root/etc/hostname', 'unhidden/fw-9.0.bin', 'unhidden', 'env.bin', 'loop', 'dangling-9.0.bin', '.env');
    for (const path of gone) expect([path, (await ask(`${url}/${path}`, deviceHeaders())).status]).toEqual([path, 404]);
    expect((await ask(`${url}/a`, deviceHeaders())).body.toString()).toBe('inside: a 1.0');
    expect((await ask(`${url}/alias/b`, deviceHeaders())).body.toString()).toBe('inside: b 2.0');
    expect((await ask(`${url}/a/up/plain.bin`, deviceHeaders())).body.toString()).toBe('inside: plain');
    const offers = await servers[0]!.offers();
    expect(offers.map(({ folder, file }) => `${folder} ${file}`)).toEqual(['/a fw-1.0.bin', '/a/b fw-2.0.bin']);
  });

  test('a MAC folder that is a link out does not exist', async () => {
    trappedTree();
    symlinkSync(join(base, 'fw-secret'), join(dir, 'a', '5c-cf-7f-c0-ff-ee'));
    const { url } = await serve();
    expect((await ask(`${url}/a`, deviceHeaders())).body.toString()).toBe('inside: a 1.0');
  });

  test('invariant: whatever the target of the request, a body is a file inside or our own words', async () => {
    const inside = trappedTree();
    const { port } = await serve();
    const contents = [...inside.values()];
    const words = /^[\x20-\x7e]{1,120}\n$/;
    const piece = fc.constantFrom(
      ...[
        '/',
        '/',
        '/',
        '..',
        '.',
        '%2e%2e',
        '%2E.',
        '%2f',
        '%5c',
        '\\',
        '%00',
        '%c0%ae',
        '%252e',
        '//',
        '?',
        '#',
        ';',
      ],
      ...['a', 'b', 'up', 'root', 'alias', 'sibling', 'fw', 'loop', 'unhidden', '.hidden', 'fw-9.0.bin', 'fw-1.0.bin'],
      ...['secret.bin', 'plain.bin', 'out.bin', 'env.bin', 'etc/passwd', base, encodeURIComponent(base), 'http://x'],
    );
    const target = fc.oneof(
      fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`),
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
      fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 30 }),
    );
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(target, fc.boolean(), async (path, asDevice) => {
        const headers = asDevice ? 'x-ESP8266-mode: sketch\r\n' : '';
        const reply = await raw(port, `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
        expect(reply).not.toContain(SECRET);
        const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(reply)?.[1]);
        const body = reply.slice(reply.indexOf('\r\n\r\n') + 4);
        seen.add(String(status));
        if (status === 200) expect(contents).toContain(body);
        else if (body !== '') expect(body).toMatch(words);
        expect([200, 400, 403, 404]).toContain(status);
      }),
      { numRuns: 1500 },
    );
    expect(seen.size).toBeGreaterThanOrEqual(3);
  });

  test('a folder that becomes a link and a folder again, all the time: never the file behind the link', async () => {
    put('a/fw-1.0.bin', 'inside');
    mkdirSync(join(base, 'outside'));
    writeFileSync(join(base, 'outside', 'fw-1.0.bin'), SECRET);
    symlinkSync(join(base, 'outside'), join(base, 'trap'));
    const { url } = await serve();
    let flipping = true;
    const flip = (async () => {
      while (flipping) {
        renameSync(join(dir, 'a'), join(base, 'away'));
        renameSync(join(base, 'trap'), join(dir, 'a'));
        await new Promise((resolve) => setImmediate(resolve));
        renameSync(join(dir, 'a'), join(base, 'trap'));
        renameSync(join(base, 'away'), join(dir, 'a'));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const statuses = new Set<number>();
    for (let round = 0; round < 60; round++) {
      const replies = await Promise.all(['/a', '/a/fw-1.0.bin', '/a'].map((path) => ask(url + path, deviceHeaders())));
      for (const { status, body } of replies) {
        statuses.add(status);
        expect(body.toString()).not.toContain(SECRET);
        if (status === 200) expect(body.toString()).toBe('inside');
      }
    }
    flipping = false;
    await flip;
    for (const status of statuses) expect([200, 404, 503]).toContain(status);
  });
});

describe('hostile peers', () => {
  test.each([
    ['a header without end', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}`, '431'],
    ['an endless line', `GET /${'a'.repeat(20_000)}`, '431'],
    ['no HTTP', '\x16\x03\x01\x02\x00\x01hello\r\n\r\n', '400'],
    ['an unknown method', 'FOO / HTTP/1.1\r\nHost: x\r\n\r\n', '400'],
    ['a path that is none', 'GET fw.bin HTTP/1.1\r\nHost: x\r\n\r\n', '400'],
    ['a tunnel', 'CONNECT host:80 HTTP/1.1\r\nHost: x\r\n\r\n', '405'],
    ['two lengths', 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx', '400'],
    ['an upgrade', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', '403'],
  ])('%s: %s', async (_name, text, status) => {
    const { port, url } = await serve();
    expect(await raw(port, text)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect((await ask(url, deviceHeaders())).status).toBe(404);
  });

  test('pipelined requests: one is answered, and the connection closed', async () => {
    put('fw-1.0.bin', 'one');
    const { port } = await serve();
    const one = 'GET /fw-1.0.bin HTTP/1.1\r\nHost: x\r\n\r\n';
    expect((await raw(port, one + one)).match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  test('a peer that leaves in the middle is logged with what it got, and others are served', async () => {
    put('fw-1.0.bin', new Uint8Array(8_000_000));
    const { port, url, logged } = await serve();
    await new Promise<void>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.write('GET /fw-1.0.bin HTTP/1.1\r\nHost: x\r\n\r\n'));
      socket.once('data', () => socket.destroy());
      socket.once('close', () => resolve());
    });
    const { size = 0, sent = 0 } = await logged();
    expect(size).toBe(8_000_000);
    expect(sent).toBeLessThan(size);
    expect((await ask(`${url}/fw-1.0.bin`)).body).toHaveLength(8_000_000);
  });

  test('texts of a peer come to the log without control characters and cut', async () => {
    const { port, logged } = await serve();
    await raw(
      port,
      `GET /\x80\xff${'a'.repeat(500)} HTTP/1.1\r\nx-esp8266-version: \x1b[31m\xe9${'v'.repeat(200)}\r\n\r\n`,
    );
    const first = await logged();
    expect(JSON.stringify(first)).toMatch(/^[\x20-\x7e]*$/);
    await raw(port, `GET /ok%0a HTTP/1.1\r\nx-esp8266-version: caf\xe9${'v'.repeat(200)}\r\n\r\n`);
    const { path, device } = await logged();
    expect([path, device?.version]).toEqual(['/ok%0a', `caf?${'v'.repeat(60)}`]);
  });
});

describe('the command', () => {
  function start(...args: string[]): Started {
    const command = startCli(['serve', ...args], { cwd: base });
    commands.push(command);
    return command;
  }

  test('prints the table and the ready line, answers, logs, tells changes, and ends with 0 on Ctrl-C', async () => {
    const image = buildImage({ sketch: 'basic-ota', version: '2.0', size: 40_000, layout: '4m2m' });
    put('lamps/fw-1.0.bin', 'old');
    put('lamps/fw-2.0.bin.gz', gzipSync(image));
    put('lamps/fw-1.5.fs.bin', 'files');
    const command = start('fw', '--port', '0');
    const [, port] = await command.shows(/^ready http=127\.0\.0\.1:(\d+)$/m);
    const table = command.output();
    expect(table).toMatch(/^FOLDER +MODE +VERSION +SIZE +MD5 +PACKING +FILE$/m);
    expect(table).toMatch(
      new RegExp(`^/lamps +sketch +2\\.0 +\\d+ +${md5(gzipSync(image))} +gzip +fw-2\\.0\\.bin\\.gz`, 'm'),
    );
    expect(table).toMatch(new RegExp(`^/lamps +spiffs +1\\.5 +5 +${md5('files')} +- +fw-1\\.5\\.fs\\.bin$`, 'm'));
    const url = `http://127.0.0.1:${port}/lamps`;
    expect((await ask(url, deviceHeaders({ 'x-ESP8266-version': '1.0' }))).status).toBe(200);
    await command.shows(
      new RegExp(
        `${MAC} +127\\.0\\.0\\.1:\\d+ +200 +/lamps +1\\.0 -> 2\\.0 \\(lamps/fw-2\\.0\\.bin\\.gz, \\d+ bytes\\)`,
      ),
    );
    expect((await ask(url, deviceHeaders({ 'x-ESP8266-version': '2.0' }))).status).toBe(304);
    await command.shows(new RegExp(`${MAC} +127\\.0\\.0\\.1:\\d+ +304 +/lamps +2\\.0 is what it has`));
    expect((await ask(url)).status).toBe(403);
    await command.shows(/ - +127\.0\.0\.1:\d+ +403 +\/lamps +.*no x-ESP8266-\* headers/);
    put('lamps/fw-3.0.bin', image);
    await command.shows(/^changed: \/lamps offers sketch 3\.0 \(fw-3\.0\.bin, 40000 bytes/m);
    expect((await ask(url, deviceHeaders())).headers['x-md5']).toBe(md5(image));
    command.child.kill('SIGINT');
    expect(await command.finished).toMatchObject({ code: 0, stderr: '' });
  });

  test('--tls: a certificate made for the occasion, whose fingerprint is printed, or the one that is given', async () => {
    put('fw-2.0.bin', 'two');
    const fingerprintAt = (port: number): Promise<string> =>
      new Promise((resolve, reject) => {
        const options = { port, host: '127.0.0.1', rejectUnauthorized: false, headers: deviceHeaders(), agent: false };
        const request = httpsRequest(options, (response) => {
          const { fingerprint } = (response.socket as TLSSocket).getPeerCertificate();
          response.resume().on('end', () => resolve(`${response.statusCode} ${fingerprint}`));
        });
        request.on('error', reject).end();
      });
    const own = start('fw', '--port', '0', '--tls');
    const [, made] = await own.shows(/^certificate, SHA-1: ([0-9A-F:]{59})$/m);
    const [, port] = await own.shows(/^ready https=127\.0\.0\.1:(\d+)$/m);
    expect(await fingerprintAt(Number(port))).toBe(`200 ${made}`);

    const { cert, key } = selfSigned({ names: ['127.0.0.1'], now: new Date() });
    writeFileSync(join(base, 'cert.pem'), cert);
    writeFileSync(join(base, 'key.pem'), key);
    const given = start('fw', '--port', '0', '--cert', 'cert.pem', '--key', 'key.pem');
    const [, print] = await given.shows(/^certificate, SHA-1: ([0-9A-F:]{59})$/m);
    const [, second] = await given.shows(/^ready https=127\.0\.0\.1:(\d+)$/m);
    expect(await fingerprintAt(Number(second))).toBe(`200 ${print}`);
    expect(given.output()).not.toContain('PRIVATE KEY');
    // Not TLS at all: the server stays up.
    await raw(Number(second), 'GET / HTTP/1.1\r\n\r\n');
    expect(await fingerprintAt(Number(second))).toBe(`200 ${print}`);
  });

  test('a port that is taken ends with 1', async () => {
    const taken: Server = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', () => resolve()));
    const { port } = taken.address() as { port: number };
    const { code, stderr } = await cli(['serve', 'fw', '--port', String(port)], { cwd: base });
    taken.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: the port is in use`));
  });

  test.each([
    ['missing', [], /folder missing: there is no such folder/],
    ['key.pem', [], /folder key\.pem: is not a folder/],
    ['fw', ['--port', '70000'], /ports go from 0 to 65535/],
    ['fw', ['--cert', 'cert.pem'], /--cert and --key belong together/],
    ['fw', ['--cert', 'nothing.pem', '--key', 'key.pem'], /certificate nothing\.pem: there is no such file/],
    ['fw', ['--cert', 'junk.pem', '--key', 'key.pem'], /the certificate is no PEM certificate/],
    ['fw', ['--cert', 'cert.pem', '--key', 'junk.pem'], /the key is no PEM private key/],
    ['fw', ['--cert', 'cert.pem', '--key', 'other.pem'], /the key does not belong to the certificate/],
  ])('serve %s %j ends with 2', async (folder, args, message) => {
    const [one, two] = [0, 1].map(() => selfSigned({ names: ['x'], now: new Date() }));
    writeFileSync(join(base, 'cert.pem'), one!.cert);
    writeFileSync(join(base, 'key.pem'), one!.key);
    writeFileSync(join(base, 'other.pem'), two!.key);
    writeFileSync(join(base, 'junk.pem'), 'junk');
    const { code, stderr } = await cli(['serve', folder, ...args], { cwd: base });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect(code).toBe(2);
  });

  test('without a folder, and --help', async () => {
    expect((await cli(['serve'])).code).toBe(2);
    expect(await cli(['serve', '--help'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Usage: vesp serve/),
    });
  });
});
