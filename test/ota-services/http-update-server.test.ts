/** The update server with clients on the simulated network: spec chapter 04 §9–§12 and the rows of §26 about it. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { layoutByName } from '../../flash/layouts.ts';
import { UPDATE_PAGE } from '../../ota-services/http-update-server/page.ts';
import {
  BOUNDARY,
  fieldPart,
  filePart,
  formBody,
  get,
  HttpBench,
  type HttpBenchOptions,
  type HttpPeer,
  type Part,
  post,
  upload,
} from '../support/http-bench.ts';
import { imageByRule, latin1, toBytes } from '../support/transcript.ts';
import { faultAt } from '../support/updater.ts';

const SUCCESS_BODY = '<META http-equiv="refresh" content="15;URL=/">Update Success! Rebooting...';
const ANY_ORIGIN = 'Access-Control-Allow-Headers: *\r\nAccess-Control-Allow-Origin: *\r\n';
const NO_DATA = 'ERROR[13]: No data supplied\n';
const BAD_MAGIC = 'ERROR[10]: Magic byte is not 0xE9\n';
const NO_SPACE = 'ERROR[4]: Not Enough Space\n';

const FS_START = 0x200000;
const FS_END = 0x3fa000;
/** 300000 bytes in whole sectors. */
const SKETCH_END = 0x4a000;
/** The update server begins with everything that is free, less a sector, so every image is staged here. */
const STAGING = SKETCH_END + 0x1000;

const image = imageByRule(5000);
const badImage = imageByRule(5000, [0, 1, 3, 0x40]);
const quiet: HttpBenchOptions = { serialDebug: false };
const secured: HttpBenchOptions = { user: 'admin', password: 'admin', path: '/firmware' };
const RIGHT = 'Authorization: Basic YWRtaW46YWRtaW4=';

/** Everything so far went well: success page, pause, FIN, restart, and the copy is armed. */
async function expectSuccess(bench: HttpBench, peer: HttpPeer, size: number): Promise<void> {
  expect([peer.status, peer.body]).toEqual(['HTTP/1.1 200 OK', SUCCESS_BODY]);
  await bench.advance(500);
  expect(peer.ending).toBe('FIN');
  expect(bench.restartAtMs).toBeGreaterThan(peer.pieces[0]!.atMs + 99);
  expect(bench.command).toEqual({ source: STAGING, destination: 0, size });
}

/** 200 with the error, and the device goes on as before. */
async function expectError(bench: HttpBench, peer: HttpPeer, line: string): Promise<void> {
  expect([peer.status, peer.body]).toEqual(['HTTP/1.1 200 OK', `Update error: ${line}`]);
  expect(peer.head).toContain(
    `text/html\r\n${ANY_ORIGIN}Content-Length: ${14 + line.length}\r\nConnection: keep-alive\r\n`,
  );
  await bench.advance(3000);
  expect(bench.restartAtMs).toBeUndefined();
}

describe('the form (§9)', () => {
  test('what clients depend on', () => {
    expect(UPDATE_PAGE).toMatch(/^<!DOCTYPE html>\n<html lang="en">/);
    expect(UPDATE_PAGE).toContain('<meta charset="utf-8">');
    expect(UPDATE_PAGE).toContain('content="width=device-width,initial-scale=1"');
    const forms = [...UPDATE_PAGE.matchAll(/<form (.*?)>(.*?)<\/form>/gs)];
    expect(forms.map(([, attributes]) => attributes)).toEqual(
      Array(2).fill('method="POST" action="" enctype="multipart/form-data"'),
    );
    const inputs = forms.map(([, , content]) => [
      /^\s*<label>(.*?) </.exec(content!)?.[1],
      /type="file" name="(.*?)" accept="(.*?)"/.exec(content!)?.slice(1),
      /type="submit" value="(.*?)"/.exec(content!)?.[1],
    ]);
    expect(inputs).toEqual([
      ['Firmware:', ['firmware', '.bin,.bin.gz'], 'Update Firmware'],
      ['FileSystem:', ['filesystem', '.bin,.bin.gz'], 'Update FileSystem'],
    ]);
  });

  test('the ways of setup', async () => {
    for (const [texts, path, auth] of [
      [[], '/update', false],
      [['/up'], '/up', false],
      [['admin', 'admin'], '/update', true],
      [['/up', 'admin', 'admin'], '/up', true],
      [['/up', 'admin', ''], '/up', false],
      [['', 'admin'], '/update', false],
    ] as const) {
      const bench = new HttpBench({ updateServer: false });
      (bench.updateServer.setup as (...all: unknown[]) => void)(bench.server, ...texts);
      expect((await bench.ask(get(path))).status).toBe(auth ? 'HTTP/1.1 401 Unauthorized' : 'HTTP/1.1 200 OK');
    }
  });
});

describe('credentials', () => {
  test('row 19: GET without them', async () => {
    const peer = await new HttpBench(secured).ask(get('/firmware'));
    expect(peer.text).toBe(
      'HTTP/1.1 401 Unauthorized\r\nContent-Type: text/html\r\nWWW-Authenticate: Basic realm="Login Required"\r\n' +
        'Content-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: timeout=2000\r\n\r\n',
    );
  });

  test.each([
    ['row 20: right', RIGHT, 200],
    ['row 21: no space after the colon', RIGHT.replace(': ', ':'), 401],
    ['row 23: a lower-case scheme', RIGHT.replace('Basic', 'basic'), 401],
    ['a lower-case name', RIGHT.toLowerCase().replace(/basic .*/, 'Basic YWRtaW46YWRtaW4='), 200],
    ['a wrong password', 'Authorization: Basic YWRtaW46d3Jvbmc=', 401],
  ])('%s', async (_row, header, status) => {
    expect((await new HttpBench(secured).ask(get('/firmware', header))).status).toContain(` ${status} `);
  });

  test.each([
    ['row 24', RIGHT],
    ['row 22: no space after the colon, which a POST does not mind', RIGHT.replace(': ', ':')],
  ])('%s: an upload with them', async (_row, header) => {
    const bench = new HttpBench(secured);
    const peer = await bench.ask(upload(image, 'image', { path: '/firmware', headers: [header] }));
    await expectSuccess(bench, peer, 5000);
  });

  test.each([
    ['without', []],
    ['with wrong', ['Authorization: Basic YWRtaW46d3Jvbmc=']],
  ])(
    'row 36, 56: an upload %s credentials is taken whole, then refused; the flash is untouched',
    async (_what, headers) => {
      const bench = new HttpBench(secured);
      const peer = await bench.connect();
      const request = upload(image, 'firmware', { path: '/firmware', headers });
      peer.write(request.slice(0, -1));
      await bench.advance(50);
      expect(peer.text).toBe('');
      peer.write(request.slice(-1));
      await peer.answered();
      expect(peer.text).toBe(
        `HTTP/1.1 401 Unauthorized\r\nContent-Type: text/html\r\n${ANY_ORIGIN}WWW-Authenticate: Basic realm="Login Required"\r\n` +
          'Content-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: timeout=2000\r\n\r\n',
      );
      expect([bench.flashEvents, bench.printed]).toEqual([[], 'Unauthenticated Update\n']);
    },
  );

  test('new credentials hold at once', async () => {
    const bench = new HttpBench(secured);
    bench.updateServer.updateCredentials('', '');
    expect((await bench.ask(get('/firmware'))).status).toContain('200');
  });
});

describe('good uploads', () => {
  test.each([
    ['row 24: image', 'image'],
    ['row 25: firmware', 'firmware'],
    ['any other name', 'x'],
    ['a name that only looks like the file system', 'Filesystem'],
  ])('%s', async (_row, field) => {
    const bench = new HttpBench();
    const peer = await bench.ask(upload(image, field));
    expect(peer.head).toBe(
      `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n${ANY_ORIGIN}Content-Length: 74\r\n` +
        'Connection: keep-alive\r\nKeep-Alive: timeout=2000\r\n\r\n',
    );
    await expectSuccess(bench, peer, 5000);
    expect(latin1(bench.chip.peek(STAGING, 5000))).toBe(latin1(image));
    expect(bench.fileSystemsClosed).toBe(0);
    expect(bench.eventsOf('update.begin')).toEqual([
      { type: 'update.begin', command: 'sketch', address: STAGING, size: FS_START - STAGING, atMs: expect.any(Number) },
    ]);
  });

  test('row 54: what the serial line tells', async () => {
    for (const [size, dots] of [
      [5000, 3],
      [8192, 4],
      [8193, 5],
    ] as const) {
      const bench = new HttpBench();
      await bench.ask(upload(imageByRule(size)));
      expect(bench.printed).toBe(`Update: fw.bin\n${'.'.repeat(dots)}Update Success: ${size}\nRebooting...\n`);
    }
    const silent = new HttpBench(quiet);
    await silent.ask(upload(image));
    expect(silent.printed).toBe('');
  });

  test('row 26: a file system goes in place, and the device restarts', async () => {
    const bench = new HttpBench();
    const data = imageByRule(9000, null);
    const peer = await bench.ask(upload(data, 'filesystem'));
    expect(peer.body).toBe(SUCCESS_BODY);
    await bench.advance(500);
    expect(bench.restartAtMs).toBeDefined();
    expect(bench.command).toBeUndefined();
    expect(latin1(bench.chip.peek(FS_START, 9000))).toBe(latin1(data));
    expect(bench.fileSystemsClosed).toBe(1);
    expect(bench.eventsOf('update.begin')).toMatchObject([
      { command: 'fs', address: FS_START, size: FS_END - FS_START },
    ]);
  });

  test('row 27: Expect: 100-continue is not answered; the body may come 1 s later', async () => {
    const bench = new HttpBench();
    const request = upload(image, 'image', { headers: ['Expect: 100-continue'] });
    const cut = request.indexOf('\r\n\r\n') + 4;
    const peer = await bench.connect();
    peer.write(request.slice(0, cut));
    await bench.advance(1000);
    expect(peer.text).toBe('');
    peer.write(request.slice(cut));
    await peer.answered();
    await expectSuccess(bench, peer, 5000);
  });

  test('row 29: gzip', async () => {
    const packed = new Uint8Array(gzipSync(toBytes(Array.from({ length: 4000 }, (_, i) => `${i * 7919}`).join(''))));
    expect(packed.length).toBeGreaterThan(4096);
    const bench = new HttpBench();
    await expectSuccess(bench, await bench.ask(upload(packed)), packed.length);
  });

  test('row 31: 4097 bytes', async () => {
    const bench = new HttpBench();
    await expectSuccess(bench, await bench.ask(upload(imageByRule(4097))), 4097);
    const written = bench.flashEvents.filter(({ type }) => type === 'flash.program');
    expect(written.reduce((sum, { length }) => sum + length, 0)).toBe(4100);
  });

  test('row 44: a boundary in quotes', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(
      upload(image, 'firmware', { contentType: `multipart/form-data; boundary="${BOUNDARY}"` }),
    );
    await expectSuccess(bench, peer, 5000);
  });

  test.each<[string, Part[]]>([
    ['before', [fieldPart('note', 'hi'), filePart(image)]],
    ['after', [filePart(image), fieldPart('note', 'hi')]],
  ])('row 50: a text field %s the file is an argument', async (_where, parts) => {
    const bench = new HttpBench();
    const peer = await bench.ask(post(formBody(parts)));
    expect(bench.server.arg('note')).toBe('hi');
    await expectSuccess(bench, peer, 5000);
  });

  test('row 49: a body that ends without CRLF is answered 10 s late', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(upload(image).slice(0, -2));
    expect(peer.pieces[0]!.atMs).toBeGreaterThan(10_000);
    await expectSuccess(bench, peer, 5000);
  });

  test('where the image is staged depends on the running sketch, not on its own size', async () => {
    for (const sketchBytes of [299_008 + 16, 303_104, 303_104 + 16]) {
      const bench = new HttpBench({ sketchBytes });
      await bench.ask(upload(imageByRule(4097)));
      expect(bench.command!.source).toBe(Math.ceil(sketchBytes / 4096) * 4096 + 0x1000);
    }
  });
});

describe('bad uploads are answered 200', () => {
  test.each<[string, Uint8Array, string, string]>([
    ['row 28, 55: a wrong first byte', badImage, BAD_MAGIC, '...'],
    ['a gzip in name only', imageByRule(5000, [0x1f, 0, 3, 0x40]), BAD_MAGIC, '...'],
    ['row 30: 4096 bytes', imageByRule(4096), NO_DATA, '..'],
    ['1 byte', imageByRule(1), NO_DATA, '.'],
    ['row 32: an empty file', imageByRule(0), NO_DATA, '.'],
    [
      'row 35: for a larger flash',
      imageByRule(5000, [0xe9, 1, 3, 0x90]),
      'ERROR[9]: new Flash config wrong, real size: 4194304\n',
      '...',
    ],
  ])('%s', async (_row, data, line, dots) => {
    const bench = new HttpBench();
    await expectError(bench, await bench.ask(upload(data)), line);
    expect(bench.printed).toBe(`Update: fw.bin\n${dots}${line}`);
    expect(bench.command).toBeUndefined();
    expect(bench.held).toBe(0);
  });

  test('row 33: larger than the space: taken whole; what fits is written', async () => {
    const layout = { ...layoutByName('4m2m'), fsStart: STAGING + 0x2000 };
    const bench = new HttpBench({ layout });
    await expectError(bench, await bench.ask(upload(imageByRule(20_000))), NO_SPACE);
    expect(bench.flashEvents.filter(({ type }) => type === 'flash.erase').map(({ address }) => address)).toEqual([
      STAGING,
      STAGING + 0x1000,
    ]);
    expect(bench.printed).toBe(`Update: fw.bin\n.....${NO_SPACE}`);
  });

  test.each([
    ['exactly 0x1000 bytes free: size 0', 0x1000, 'ERROR[5]: Bad Size Given\n'],
    ['less: the subtraction wraps', 0, NO_SPACE],
  ])('%s', async (_what, free, line) => {
    const bench = new HttpBench({ layout: { ...layoutByName('4m2m'), fsStart: SKETCH_END + free } });
    await expectError(bench, await bench.ask(upload(image)), line);
    expect(bench.printed).toBe(`Update: fw.bin\n${line}`);
    expect(bench.flashEvents).toEqual([]);
  });

  test('row 34: a file system where there is none: the error is printed at the start and at the first write', async () => {
    const layout = { ...layoutByName('4m2m'), fsStart: FS_END };
    const bench = new HttpBench({ layout });
    const line = 'ERROR[5]: Bad Size Given\n';
    await expectError(bench, await bench.ask(upload(image, 'filesystem')), line);
    expect(bench.printed).toBe(`Update: fw.bin\n${line}.${line}`);
  });

  test('row 48: filename before name is firmware', async () => {
    const head = 'Content-Disposition: form-data; filename="x.bin"; name="filesystem"\r\nContent-Type: a/b\r\n\r\n';
    const bench = new HttpBench();
    await expectSuccess(bench, await bench.ask(post(formBody([{ head, data: latin1(image) }]))), 5000);
    expect(bench.printed).toContain('Update: filesystem\n');
  });

  test('row 47: a further part header becomes the beginning of the image', async () => {
    const { head, data } = filePart(image);
    const parts = [{ head: head.replace(/\r\n$/, 'Content-Transfer-Encoding: binary\r\n\r\n'), data }];
    const bench = new HttpBench();
    await expectError(bench, await bench.ask(post(formBody(parts))), BAD_MAGIC);
  });

  test('an error, then a good upload on the same connection', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(upload(badImage));
    peer.write(upload(image));
    await peer.answered(2);
    await expectSuccess(bench, peer, 5000);
  });

  test.each<[string, string]>([
    [
      'row 45: a parameter before the boundary',
      upload(image, 'firmware', { contentType: `multipart/form-data; charset=utf-8; boundary=${BOUNDARY}` }),
    ],
    ['row 46: a line before the first boundary', post(`\r\n${formBody([filePart(image)])}`)],
    [
      'row 51: a chunked body',
      post(`1438\r\n${formBody([filePart(image)])}\r\n0\r\n\r\n`, { headers: ['Transfer-Encoding: chunked'] }),
    ],
  ])('%s: RST without an answer', async (_row, request) => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.write(request);
    await peer.ended(1000);
    expect([peer.text, peer.ending, bench.printed]).toEqual(['', 'RST', '']);
  });

  test('row 53: PUT is taken whole and not found', async () => {
    const bench = new HttpBench();
    const peer = await bench.ask(upload(image, 'firmware', { method: 'PUT' }));
    expect([peer.status, peer.body, bench.printed]).toEqual(['HTTP/1.1 404 Not Found', 'Not found: /update', '']);
  });
});

describe('requests without a file (§12 item 2)', () => {
  const noFile = post(formBody([fieldPart('a', 'b')]));

  test.each([
    ['row 37: a form with a field only', noFile],
    ['row 96: a body that is no form', post(latin1(image), { contentType: 'application/octet-stream' })],
    ['row 96: no body', 'POST /update HTTP/1.1\r\nHost: a\r\n\r\n'],
  ])('%s right after boot is refused, though no credentials are set', async (_row, request) => {
    const peer = await new HttpBench().ask(request);
    expect([peer.status, peer.head.includes(ANY_ORIGIN)]).toEqual(['HTTP/1.1 401 Unauthorized', true]);
  });

  test('row 38: after a failed upload anybody sees its error again', async () => {
    const bench = new HttpBench(secured);
    await bench.ask(upload(badImage, 'firmware', { path: '/firmware', headers: [RIGHT] }));
    const peer = await bench.ask(post(formBody([fieldPart('a', 'b')]), { path: '/firmware' }));
    await expectError(bench, peer, BAD_MAGIC);
  });

  test('… and nothing after an upload that was refused', async () => {
    const bench = new HttpBench(secured);
    await bench.ask(upload(image, 'firmware', { path: '/firmware' }));
    expect((await bench.ask(post('', { path: '/firmware', contentType: '' }))).status).toContain('401');
  });

  async function afterAbort(bytes: number): Promise<{ bench: HttpBench; peer: HttpPeer }> {
    const bench = new HttpBench();
    const request = upload(imageByRule(20_000));
    const aborted = await bench.connect();
    aborted.write(request.slice(0, request.indexOf(latin1(imageByRule(20_000))) + bytes));
    await bench.advance(300);
    aborted.end();
    await bench.advance(10);
    expect(bench.printed).toMatch(/Update was aborted\r\n$/);
    return { bench, peer: await bench.ask(noFile) };
  }

  test.each([0, 100, 2049, 4097, 5682, 6144])(
    'row 39a: after an abort at %i bytes: an error without text',
    async (bytes) => {
      const { bench, peer } = await afterAbort(bytes);
      await expectError(bench, peer, '');
      expect(peer.head).toContain('Content-Length: 14\r\n');
    },
  );

  test.each([6145, 6200])(
    'row 39: after an abort at %i bytes: success, and a restart into the old sketch',
    async (bytes) => {
      const { bench, peer } = await afterAbort(bytes);
      expect(peer.body).toBe(SUCCESS_BODY);
      await bench.advance(500);
      expect([bench.restartAtMs !== undefined, bench.command]).toEqual([true, undefined]);
    },
  );
});

describe('clients that go away', () => {
  test.each([
    ['FIN', (peer: HttpPeer) => peer.end()],
    ['RST', (peer: HttpPeer) => peer.reset()],
  ])(
    'row 40, 57: %s in the middle of the file: no answer, cancelled, and the next upload works',
    async (_how, leave) => {
      const bench = new HttpBench();
      const peer = await bench.connect();
      peer.write(upload(imageByRule(20_000)).slice(0, 6000));
      await bench.advance(200);
      leave(peer);
      await bench.advance(10);
      expect([peer.text, bench.updater.isRunning(), bench.command]).toEqual(['', false, undefined]);
      expect(bench.printed).toBe('Update: fw.bin\n..Update was aborted\r\n');
      expect(bench.eventsOf('http.upload').at(-1)).toMatchObject({ state: 'aborted', bytes: expect.closeTo(5721, -3) });
      await expectSuccess(bench, await bench.ask(upload(image)), 5000);
    },
  );

  test('row 95: no final boundary, and the client closes', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.write(`${upload(image).split(`\r\n--${BOUNDARY}--`)[0]!}\r\n`);
    await bench.advance(300);
    peer.end();
    await peer.ended(10);
    expect([peer.text, peer.ending]).toEqual(['', 'RST']);
    expect(bench.printed).toBe('Update: fw.bin\n..Update was aborted\r\n');
  });

  test('row 41: a FIN before the final boundary is handled: no answer, no restart, but the copy is armed', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.end(upload(image));
    await peer.ended();
    await bench.advance(1000);
    expect([peer.text, peer.ending, bench.restartAtMs]).toEqual(['', 'RST', undefined]);
    expect(bench.command).toEqual({ source: STAGING, destination: 0, size: 5000 });
    expect(bench.printed).toBe('Update: fw.bin\n...Update Success: 5000\nRebooting...\nUpdate was aborted\r\n');
  });

  test('a FIN after the form was read: the answer is lost, the device restarts', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    peer.write(upload(image));
    await bench.until(() => bench.printed.includes('Rebooting'), 'the success');
    peer.end();
    await bench.advance(1000);
    expect([bench.restartAtMs !== undefined, bench.command?.size]).toEqual([true, 5000]);
  });

  test('row 42: a pause of 20 s in the middle of the file', async () => {
    const bench = new HttpBench();
    const peer = await bench.connect();
    const request = upload(image);
    peer.write(request.slice(0, 3000));
    await bench.advance(20_000);
    expect(peer.text).toBe('');
    peer.write(request.slice(3000));
    await peer.answered();
    await expectSuccess(bench, peer, 5000);
  });
});

describe('two files in one form (§12 item 5)', () => {
  const two = (first: Uint8Array, second: Uint8Array, fields = ['firmware', 'firmware']) =>
    post(formBody([filePart(first, fields[0]), filePart(second, fields[1])]));

  test('row 94: the first good, the second too short: an error, no restart, and the first is armed', async () => {
    const bench = new HttpBench();
    await expectError(bench, await bench.ask(two(image, imageByRule(3000))), NO_DATA);
    expect(bench.command).toEqual({ source: STAGING, destination: 0, size: 5000 });
    expect(bench.printed).toBe(`Update: fw.bin\n...Update Success: 5000\nRebooting...\nUpdate: fw.bin\n..${NO_DATA}`);
  });

  test('the first bad, the second good: success', async () => {
    const bench = new HttpBench();
    await expectSuccess(bench, await bench.ask(two(badImage, image)), 5000);
  });

  test('firmware and file system, as a form with both would send them', async () => {
    const bench = new HttpBench();
    await expectSuccess(bench, await bench.ask(two(image, imageByRule(9000, null), ['firmware', 'filesystem'])), 5000);
    expect(latin1(bench.chip.peek(FS_START, 9000))).toBe(latin1(imageByRule(9000, null)));
  });
});

describe('invariant: staged bytes, sizes and answers do not depend on how the request arrives', () => {
  test('any cuts, any segment size, any window', async () => {
    const arrival = fc.record({
      cuts: fc.array(fc.nat(5300), { maxLength: 6 }),
      mss: fc.constantFrom(100, 536, 1460),
      windowBytes: fc.constantFrom(536, 2144, 5840),
    });
    await fc.assert(
      fc.asyncProperty(arrival, async ({ cuts, mss, windowBytes }) => {
        const bench = new HttpBench({ network: { mss, windowBytes } });
        const peer = await bench.connect();
        const request = upload(image);
        const places = [0, ...cuts.map((cut) => cut % request.length).sort((a, b) => a - b), request.length];
        for (const [i, place] of places.slice(1).entries()) {
          peer.write(request.slice(places[i], place));
          await bench.advance(3);
        }
        await peer.answered();
        await expectSuccess(bench, peer, 5000);
        expect(latin1(bench.chip.peek(STAGING, 5000))).toBe(latin1(image));
        expect(bench.printed).toBe('Update: fw.bin\n...Update Success: 5000\nRebooting...\n');
      }),
      { numRuns: 25 },
    );
  });
});

describe('invariant: pieces that have come together do what they do one by one', () => {
  const large = imageByRule(100_000);
  /** The whole story of one request, with a window of so many bytes. */
  async function story(
    windowBytes: number,
    options: HttpBenchOptions,
    request: string,
    end: 'fin' | 'rst' | undefined,
  ) {
    const bench = new HttpBench({ ...quiet, ...options, network: { windowBytes } });
    const pieces = vi.spyOn(bench.updater, 'writePieces');
    const peer = await bench.connect();
    peer.write(request);
    if (end === 'fin') peer.end();
    await bench.advance(end === 'rst' ? 40 : 2000);
    if (end === 'rst') peer.reset();
    await bench.advance(20_000);
    const flash = bench.flashEvents.map(({ type, address, length }) => `${type} ${address} ${length}`);
    const told = bench.events
      .filter(({ type }) => type.startsWith('update.') || type.startsWith('http.'))
      .map(({ atMs: _at, ...event }) => JSON.stringify(event).replace(/"peer":"[^"]*"/, ''));
    const uploads = told.filter((line) => !line.includes('update.progress') && !(end && line.includes('aborted')));
    const cells = latin1(bench.chip.peek(0, 0x400000));
    return {
      // How far an upload had come when it broke off depends on what was on its way.
      seen: { text: peer.text, uploads, commands: bench.commands, printed: bench.printed, crash: bench.crash },
      flash: end ? [] : flash,
      cells: end ? '' : cells,
      together: pieces.mock.calls.length,
    };
  }

  /** Faults count, so each run needs its own. */
  type Setting = () => HttpBenchOptions;
  const plain: Setting = () => ({});
  const refused: Setting = () => secured;

  test.each<[string, Setting, string, ('fin' | 'rst')?]>([
    ['a sketch', plain, upload(large)],
    ['a file system', plain, upload(large, 'filesystem')],
    ['not a sketch', plain, upload(imageByRule(100_000, [0, 1, 3, 0x40]))],
    ['without credentials', refused, upload(large, 'firmware', { path: '/firmware' })],
    ['an erase that fails', () => ({ faults: faultAt('erase', 9) }), upload(large)],
    ['a page that fails', () => ({ faults: faultAt('program', 77) }), upload(large)],
    ['more than there is room for', () => ({ sketchBytes: 2_000_000 }), upload(imageByRule(120_000))],
    ['a file system that nobody has', () => ({ layout: layoutByName('4m') }), upload(large, 'filesystem')],
    ['two files', plain, post(formBody([filePart(large), filePart(imageByRule(30_000), 'x')]))],
    ['a FIN behind it', plain, upload(large), 'fin'],
    ['a FIN inside', plain, upload(large).slice(0, 70_000), 'fin'],
    ['a RST inside', plain, upload(large).slice(0, 70_000), 'rst'],
  ])('%s', async (_what, setting, request, end) => {
    const wide = await story(0x10000, setting(), request, end);
    const narrow = await story(2144, setting(), request, end);
    expect(narrow.together).toBe(0);
    expect(wide.together > 0).toBe(setting !== refused);
    expect(wide.seen).toEqual(narrow.seen);
    expect(wide.flash).toEqual(narrow.flash);
    expect(wide.cells === narrow.cells, 'the chip').toBe(true);
  });

  test('with serial debug there is a dot for each piece, so they come one by one', async () => {
    const bench = new HttpBench({ network: { windowBytes: 0x10000 } });
    const pieces = vi.spyOn(bench.updater, 'writePieces');
    await bench.ask(upload(large));
    expect(pieces).not.toHaveBeenCalled();
    expect(bench.printed).toContain(`Update: fw.bin\n${'.'.repeat(Math.ceil(100_000 / 2048))}Update Success`);
  });
});
