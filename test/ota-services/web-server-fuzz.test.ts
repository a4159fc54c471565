/**
 * Hostile clients: random requests, and recorded ones that were damaged. Whatever comes, the parser takes it within the
 * device's memory and time, and the server lives on. A failure prints the seed and path to run it again.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { get, HTTP_PORT, HttpBench, HttpPeer } from '../support/http-bench.ts';
import { type Driven, drive } from '../support/http-parser.ts';
import { imagesOf, textOf, transcripts } from '../support/transcript.ts';

const HEAP_BYTES = 4000;

/** What the peers of the recordings sent, without the middle of long images: that is where damage does nothing. */
const recordings = transcripts('http-').flatMap((transcript) => {
  const images = imagesOf(transcript);
  return transcript.events
    .filter(({ dir }) => dir === 'peer>device')
    .map((event) => textOf(event, images))
    .map((text) => (text.length < 1500 ? text : text.slice(0, 1000) + text.slice(-500)));
});

/** Pieces that mean something to the parser. */
const TOKENS = [
  '\r\n',
  '\r',
  '\n',
  '\r\n\r\n',
  ' ',
  ':',
  '=',
  '"',
  ';',
  '&',
  '%',
  '%zz',
  '--',
  '?',
  '+',
  '\0',
  '\xff',
  'GET / HTTP/1.1\r\n',
  'POST /update HTTP/1.1\r\n',
  'PUT ',
  'HTTP/1.9',
  'Content-Length: ',
  'Content-Length: 4294967295\r\n',
  'Content-Length: -1\r\n',
  'Content-Length: 12\r\n',
  'Content-Type: multipart/form-data; boundary=b\r\n',
  'Content-Type: application/x-www-form-urlencoded\r\n',
  '--b\r\n',
  '\r\n--b',
  '--b--\r\n',
  'Content-Disposition: form-data; name="f"\r\n',
  'Content-Disposition: form-data; name="f"; filename="x"\r\n',
  'Content-Type: a/b\r\n',
  'Connection: keep-alive\r\n',
  'Connection: close\r\n',
  'Expect: 100-continue\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Authorization: Digest username="a", realm="',
  'Authorization: Basic ',
  'a=1&b=2;',
  'x'.repeat(3000),
  'a&'.repeat(1500),
  'X: y\r\n'.repeat(400),
]; // prettier-ignore

/** A place as a part of the whole; fc.double prefers tiny numbers. */
const part = fc.nat(9999).map((n) => n / 9999);
const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => String.fromCharCode(...bytes));
const token = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...TOKENS) }, { weight: 1, arbitrary: noise });

/** One damage: at a place (as a part of the whole), so many bytes go and a token comes. */
const damage = fc.record({
  at: part,
  gone: fc.nat(30),
  put: fc.oneof(token, fc.constant('')),
});

const damaged = fc
  .tuple(fc.constantFrom(...recordings), fc.array(damage, { maxLength: 6 }), part, fc.boolean())
  .map(([text, damages, end, isWhole]) => {
    let result = text;
    for (const { at, gone, put } of damages) {
      const place = Math.floor(at * result.length);
      result = result.slice(0, place) + put + result.slice(place + gone);
    }
    return isWhole ? result : result.slice(0, Math.floor(end * result.length));
  });
const invented = fc.array(token, { maxLength: 25 }).map((tokens) => tokens.join(''));
const request = fc.oneof(damaged, invented);

/** Cuts a text at places given as parts of the whole. */
function pieces(text: string, cuts: readonly number[]): string[] {
  const places = [0, ...cuts.map((cut) => Math.floor(cut * text.length)).sort((a, b) => a - b), text.length];
  return places.slice(1).map((place, i) => text.slice(places[i], place));
}

function keptBytes({ request: { path, query, host, headers, args, plain } }: Driven): number {
  const texts = [path, query, host, ...headers, plain ?? '', ...args.flatMap(({ key, value }) => [key, value])];
  return texts.reduce((sum, text) => sum + text.length, 0);
}

describe('invariant: no request is too much for the parser', () => {
  test('10,000 of them, cut anywhere, from peers that stay or go', () => {
    const results = new Map<string, number>();
    fc.assert(
      fc.property(
        request,
        fc.array(part, { maxLength: 4 }),
        fc.constantFrom('silent' as const, 'gone' as const),
        (text, cuts, peer) => {
          const driven = drive(pieces(text, cuts), { peer, heapBytes: HEAP_BYTES, collect: ['Authorization', 'X'] });
          results.set(driven.result, (results.get(driven.result) ?? 0) + 1);
          expect(text.endsWith(driven.unread)).toBe(true);
          // Every text was kept once; a line that is being looked at never counts as kept.
          expect(keptBytes(driven)).toBeLessThanOrEqual(HEAP_BYTES);
          expect(driven.request.args.length).toBeLessThan(HEAP_BYTES / 24);
          // Only inside a form does the device wait for ever.
          if (driven.result === 'hung') expect(text).toMatch(/multipart\//);
          for (const { data, writes } of driven.files) {
            expect(data.length).toBeLessThanOrEqual(text.length);
            expect(writes.every((size) => size <= 2048)).toBe(true);
          }
        },
      ),
      { numRuns: 10_000 },
    );
    // The generator reaches every end.
    expect(Math.min(...['continue', 'stop', 'hung'].map((result) => results.get(result) ?? 0))).toBeGreaterThan(100);
  }, 60_000);

  test('1,000 of them give the same however they are cut', () => {
    fc.assert(
      fc.property(request, fc.array(part, { maxLength: 8 }), (text, cuts) => {
        expect(drive(pieces(text, cuts), { heapBytes: HEAP_BYTES })).toEqual(drive([text], { heapBytes: HEAP_BYTES }));
      }),
      { numRuns: 1000 },
    );
  }, 60_000);
});

describe('invariant: the server outlives every client', () => {
  test('200 hostile clients: a good one is served after them, or the thread is held as it should be, or the update is installed', async () => {
    const outcomes = { served: 0, held: 0, restarted: 0 };
    const ends = fc.constantFrom('stay' as const, 'fin' as const, 'rst' as const);
    await fc.assert(
      fc.asyncProperty(request, ends, async (text, end) => {
        const bench = new HttpBench({ serialDebug: false });
        const peer = new HttpPeer(bench, bench.network.connectTcp(HTTP_PORT));
        peer.write(text);
        await bench.advance(5);
        if (end === 'fin') peer.end();
        if (end === 'rst') peer.reset();
        await bench.advance(1000);
        const good = new HttpPeer(bench, bench.network.connectTcp(HTTP_PORT));
        good.write(get('/good'));
        // A line without an end costs 10 s, an answer to nobody too.
        for (let i = 0; i < 60 && good.text === '' && bench.restartAtMs === undefined; i++) await bench.advance(1000);
        if (bench.crash) throw bench.crash;
        if (good.body === 'Not found: /good') {
          outcomes.served++;
        } else if (bench.restartAtMs !== undefined) {
          // What was left of the recording was a good upload.
          expect(bench.eventsOf('update.end')).not.toHaveLength(0);
          outcomes.restarted++;
        } else {
          expect(bench.eventsOf('device.frozen')).not.toHaveLength(0);
          outcomes.held++;
        }
      }),
      { numRuns: 200 },
    );
    expect(outcomes.served).toBeGreaterThan(130);
  }, 60_000);
});
