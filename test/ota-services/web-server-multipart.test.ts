/** The form parser on arrays. Source of every rule: spec chapter 04 §5. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BOUNDARY, fieldPart, filePart, formBody, type Part, post } from '../support/http-bench.ts';
import { type Arrival, bytewise, type DriveOptions, drive } from '../support/http-parser.ts';
import { imageByRule, latin1, toBytes } from '../support/transcript.ts';

const form = (parts: readonly Part[]): string => post(formBody(parts));
/** A request whose body is exactly this. */
const raw = (body: string, options: DriveOptions = {}) => drive([post(body)], options);
const args = (driven: ReturnType<typeof drive>) => driven.request.args.map(({ key, value }) => [key, value]);
const d = `--${BOUNDARY}`;

describe('boundary (§5.1)', () => {
  const withType = (contentType: string, boundary: string) =>
    drive([
      post(`--${boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--${boundary}--\r\n`, {
        contentType,
      }),
    ]);

  test.each([
    ['multipart/form-data; boundary=xyz', 'xyz'],
    ['multipart/form-data; boundary="xyz"', 'xyz'],
    ['multipart/form-data; boundary="x"y"z', 'xyz'],
    ['multipart/form-data; boundary=a=b', 'a=b'],
    ['multipart/anything=xyz', 'xyz'],
    ['multipart/none', 'multipart/none'],
    ['multipart/form-data; charset=utf-8; boundary=xyz', 'utf-8; boundary=xyz'],
    ['multipart/form-data; boundary=xyz; charset=utf-8', 'xyz; charset=utf-8'],
  ])('%s', (contentType, boundary) => {
    const driven = withType(contentType, boundary);
    expect(driven.result).toBe('continue');
    expect(args(driven)).toEqual([['a', 'b']]);
  });

  test('another parameter spoils it (row 45)', () => {
    const driven = withType('multipart/form-data; charset=utf-8; boundary=xyz', 'xyz');
    expect(driven).toMatchObject({ result: 'stop', ms: 0 });
    expect(driven.unread).not.toBe('');
  });
});

describe('start (§5.2)', () => {
  const body = formBody([fieldPart('a', 'b')]);

  test.each(['\r\n', 'preamble\r\n', ' ', '1438\r\n'])(
    '%j before the first boundary is not tolerated (row 46)',
    (before) => {
      expect(raw(before + body).result).toBe('stop');
    },
  );

  test('a boundary line with something behind it is another line', () => {
    expect(raw(body.replace('\r\n', ' \r\n')).result).toBe('stop');
  });

  test.each([
    [14_500, 'continue', 14_500],
    [15_700, 'stop', 15_700],
  ])('a body that comes after %i ms', (afterMs, result, ms) => {
    const request = post(body);
    const cut = request.length - body.length;
    const pieces: Arrival[] = [{ text: request.slice(0, cut) }, { text: request.slice(cut), afterMs }];
    expect(drive(pieces)).toMatchObject({ result, ms });
  });

  test('a body that never comes: three times 5 s for the line, once for its LF', () => {
    const request = post(body);
    expect(drive([request.slice(0, -body.length)])).toMatchObject({ result: 'stop', ms: 20_000 });
  });

  test('Content-Length does not end a form', () => {
    expect(drive([post('') + body])).toMatchObject({ result: 'continue', unread: '' });
  });
});

describe('part headers (§5.3)', () => {
  const part = (head: string, data = 'data') => raw(`${d}\r\n${head}${data}\r\n${d}--\r\n`);

  test.each<[string, string, string]>([
    ['name="a"', 'a', ''],
    ['name=a', '', ''],
    ['name=abc', 'b', ''],
    ['name=""', '', ''],
    ['name="a', '', ''],
  ])('Content-Disposition: form-data; %s is a field', (names, key) => {
    const driven = part(`Content-Disposition: form-data; ${names}\r\n\r\n`);
    expect(args(driven)).toEqual([[key, 'data']]);
    expect(driven.files).toEqual([]);
  });

  test.each([
    ['name="f"; filename="x.bin"', 'f', 'x.bin'],
    ['name="f"; filename=""', 'f', ''],
    ['name="f"; filename="a=b"', 'f', 'a=b'],
    ['name="f"; filename="a"b"', 'f', 'a"b'],
    ['filename="x"; name="filesystem"', 'x', 'filesystem'],
    ['name=f; filename=x.bin', '; filename=x.bin', '.bi'],
    ['name="a=b"', 'a=b', ''],
    ['name="f"; filename=x', 'f', 'x'],
  ])('Content-Disposition: form-data; %s is a file', (names, name, filename) => {
    const { files, result } = part(`Content-Disposition: form-data; ${names}\r\n\r\n`);
    expect(result).toBe('continue');
    expect(files).toMatchObject([{ name, filename, type: 'text/plain', data: 'data', total: 4 }]);
  });

  test.each([
    ['Content-Type: text/html\r\n\r\n', 'text/html', 'data'],
    ['content-type:x/y\r\n\r\n', '/y', 'data'],
    ['CONTENT-TYPE: a\r\nX: y\r\n', 'a', 'data'],
    ['X-Other: y\r\n', 'text/plain', 'data'],
    ['Content-Type: a\r\nContent-Transfer-Encoding: binary\r\n\r\n', 'a', '\r\ndata'],
    ['Content-Length: 4\r\n\r\n', 'text/plain', '\r\ndata'],
    ['Content-Length: 4\r\nContent-Type: a\r\n\r\n', 'text/plain', 'Content-Type: a\r\n\r\ndata'],
  ])('after the disposition: %j (row 47)', (lines, type, data) => {
    const { files } = part(`Content-Disposition: form-data; name="f"; filename="x"\r\n${lines}`);
    expect(files).toMatchObject([{ type, data }]);
  });

  test('lines before the disposition are skipped, and its case does not matter', () => {
    const driven = part('X: y\r\n\r\nContent-Disposition\r\ncontent-DISPOSITION: form-data; name="a"\r\n\r\n');
    expect(args(driven)).toEqual([['a', 'data']]);
  });

  test('a file called blob takes its name from the query', () => {
    const body = formBody([filePart(toBytes('x'), 'f', 'blob')]);
    expect(drive([post(body, { path: '/u?filename=real.bin' })]).files).toMatchObject([{ filename: 'real.bin' }]);
    expect(drive([post(body)]).files).toMatchObject([{ filename: 'blob' }]);
    const field = formBody([fieldPart('filename', 'no.bin'), filePart(toBytes('x'), 'f', 'blob')]);
    expect(drive([post(field)]).files).toMatchObject([{ filename: 'blob' }]);
  });
});

describe('field values (§5.4)', () => {
  test('lines are joined with LF, leading empty ones dropped', () => {
    expect(args(drive([form([fieldPart('a', '\r\n\r\none\r\n\r\ntwo\r\n')])]))).toEqual([['a', 'one\n\ntwo\n']]);
  });

  test('any line that begins like the boundary ends a value', () => {
    const body = `${d}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n${d}xyz\r\nContent-Disposition: form-data; name="b"\r\n\r\n2\r\n${d}--\r\n`;
    expect(args(raw(body))).toEqual([
      ['a', '1'],
      ['b', '2'],
    ]);
  });

  test('form items come before query items, at most 32 together', () => {
    const parts = Array.from({ length: 30 }, (_, i) => fieldPart(`f${i}`, `${i}`));
    const driven = drive([post(formBody(parts), { path: '/u?q0=a&q1=b&q2=c' })]);
    expect(args(driven)).toHaveLength(32);
    expect(args(driven).slice(29)).toEqual([
      ['f29', '29'],
      ['q0', 'a'],
      ['q1', 'b'],
    ]);
  });

  test('more than 32 fields: the device overruns its memory, we drop them', () => {
    const parts = Array.from({ length: 50 }, (_, i) => fieldPart(`f${i}`, `${i}`));
    const driven = drive([form(parts)]);
    expect(driven.result).toBe('continue');
    expect(args(driven)).toHaveLength(32);
  });
});

describe('file data (§5.5)', () => {
  test.each([0, 1, 2047, 2048, 2049, 4096, 4097, 10_000])('%i bytes come in pieces of 2048, at least one', (size) => {
    const data = imageByRule(size, null);
    const { files, result, unread } = drive([form([filePart(data)])]);
    expect([result, unread]).toEqual(['continue', '']);
    expect(files[0]!.data).toBe(latin1(data));
    expect(files[0]!.total).toBe(size);
    expect(files[0]!.writes).toHaveLength(size === 0 ? 1 : Math.ceil(size / 2048));
    expect(files[0]!.writes.slice(0, -1).every((one) => one === 2048)).toBe(true);
  });

  test.each([
    '\r\r\n',
    '\r',
    '\n',
    '\r\n-',
    '\r\n--',
    `\r\n--${BOUNDARY.slice(0, -1)}`,
    `\r\r\n--${BOUNDARY.slice(0, -1)}\r`,
  ])('what only looks like the boundary is data: %j', (data) => {
    for (const before of ['', 'x'.repeat(2047), 'x'.repeat(2048)]) {
      expect(drive([form([filePart(toBytes(before + data + data))])]).files[0]!.data).toBe(before + data + data);
    }
  });

  test('the boundary ends the file wherever it stands, and what follows is the next part', () => {
    const body = `${d}\r\n${filePart(toBytes('')).head}abc\r\n${d}garbage\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n${d}--\r\n`;
    const driven = raw(body);
    expect(driven.files).toMatchObject([{ data: 'abc' }]);
    expect(args(driven)).toEqual([['a', 'b']]);
  });

  test('several files, fields between them, all in order', () => {
    const parts = [
      filePart(toBytes('one'), 'a'),
      fieldPart('t', 'x'),
      filePart(toBytes('two'), 'b'),
      fieldPart('u', 'y'),
    ];
    const driven = drive([form(parts)]);
    expect(driven.files).toMatchObject([
      { name: 'a', data: 'one' },
      { name: 'b', data: 'two' },
    ]);
    expect(args(driven)).toEqual([
      ['t', 'x'],
      ['u', 'y'],
    ]);
  });

  test('a body that ends without CRLF costs 2 × 5 s (row 49)', () => {
    expect(raw(formBody([filePart(toBytes('abc'))]).slice(0, -2))).toMatchObject({ result: 'continue', ms: 10_000 });
  });

  test('a stalled file waits for ever, and goes on after any pause (row 42)', () => {
    const request = form([filePart(imageByRule(5000))]);
    expect(drive([request.slice(0, 3000)]).result).toBe('hung');
    const late: Arrival[] = [{ text: request.slice(0, 3000) }, { text: request.slice(3000), afterMs: 3_600_000 }];
    expect(drive(late)).toMatchObject({ result: 'continue', ms: 3_600_000 });
  });

  test('a peer that goes away in the middle aborts the file (row 40)', () => {
    const { result, files, ms } = drive([form([filePart(imageByRule(5000))]).slice(0, 3000)], { peer: 'gone' });
    expect([result, ms]).toEqual(['stop', 0]);
    expect(files).toMatchObject([{ writes: [2048], total: undefined, aborted: true }]);
  });

  test('a FIN that is there when the file ends aborts it after its end, and the rest stays unread (row 41)', () => {
    const { result, files, unread } = drive([form([filePart(imageByRule(5000))])], { peer: 'gone' });
    expect(result).toBe('stop');
    expect(files).toMatchObject([{ total: 5000, aborted: true }]);
    expect(unread).toBe('--\r\n');
  });
});

describe('dead connections (§5.6)', () => {
  test.each([
    ['before a part', `${d}\r\n`],
    ['in part headers (row 43)', `${d}\r\nContent-Dispo`],
    ['in a field value', `${d}\r\nContent-Disposition: form-data; name="a"\r\n\r\nval`],
  ])('%s the reading never ends', (_where, body) => {
    expect(raw(body, { peer: 'gone' }).result).toBe('hung');
    expect(raw(body).result).toBe('hung');
  });
});

describe('invariant: where the pieces are cut changes nothing', () => {
  const request = form([fieldPart('a', 'x\r\ny'), filePart(toBytes('\r\n--\r\n--b\r')), fieldPart('b', '')]);
  const whole = drive([request]);

  test('one cut, at every byte', () => {
    expect(whole.result).toBe('continue');
    for (let cut = 1; cut < request.length; cut++) {
      expect(drive([request.slice(0, cut), request.slice(cut)]), `cut at ${cut}`).toEqual(whole);
    }
  });

  test('a cut after every byte', () => expect(drive(bytewise(request))).toEqual(whole));

  test('any form, any cuts', () => {
    const text = fc.string({ unit: fc.constantFrom('\r', '\n', '-', 'x', 'b', '='), maxLength: 40 });
    const part = fc.oneof(
      text.map((value) => fieldPart('f', value)),
      text.map((value) => filePart(toBytes(value.repeat(3)))),
    );
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(2000), { maxLength: 8 }),
        (parts, cuts) => {
          const text = form(parts);
          const places = [0, ...cuts.map((cut) => cut % text.length).sort((a, b) => a - b), text.length];
          const pieces = places.slice(1).map((place, i) => text.slice(places[i], place));
          expect(drive(pieces)).toEqual(drive([text]));
        },
      ),
      { numRuns: 200 },
    );
  });
});

test('invariant: a handler that takes many pieces at once is given the same bytes, in pieces of the same size', () => {
  let together = 0;
  const bytes = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (i * seed + (i >> 8)) & 0xff);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(30_000), fc.integer({ min: 1, max: 13 })), { minLength: 1, maxLength: 2 }),
      fc.array(
        fc.oneof(
          fc.nat(60_000),
          fc.nat(40).map((piece) => piece * 2048),
        ),
        { maxLength: 5 },
      ),
      fc.constantFrom<('silent' | 'gone')[]>('silent', 'gone'),
      fc.nat(200),
      (files, cuts, peer, missing) => {
        const text = form(files.map(([length, seed]) => filePart(bytes(length, seed))));
        const sent = text.slice(0, text.length - missing);
        const places = [0, ...cuts.map((cut) => cut % sent.length).sort((a, b) => a - b), sent.length];
        const pieces = places.slice(1).map((place, i) => sent.slice(places[i], place));
        const many = drive(pieces, { takeMany: true, peer });
        for (const file of many.files) {
          together += file.together;
          file.together = 0;
        }
        expect(many).toEqual(drive(pieces, { peer }));
      },
    ),
    { numRuns: 100 },
  );
  expect(together).toBeGreaterThan(100);
});

test('memory: fields that do not fit are empty, and the form still ends', () => {
  const driven = drive([form([fieldPart('a', 'v'.repeat(5000)), fieldPart('b', 'w'), filePart(toBytes('data'))])], {
    heapBytes: 1500,
  });
  expect(driven.result).toBe('continue');
  expect(args(driven)[1]).toEqual(['b', 'w']);
  expect(args(driven)[0]![1]!.length).toBeLessThan(1500);
  expect(driven.files).toMatchObject([{ data: 'data' }]);
});
