/** Servers that lie, stall, chunk, redirect in circles, or send anything at all: the device survives each of 10,000. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { HttpUpdateEvent } from '../../ota-services/events.ts';
import { ESP8266HTTPUpdate } from '../../ota-services/http-update-client/http-update.ts';
import type { Network, TcpConnection } from '../../ota-services/ports.ts';
import { latin1 } from '../support/transcript.ts';
import { concat, makeRig, type PlayedClock, sketchBytes } from '../support/updater.ts';

const ANSWERS = 10_000;
const WINDOW_BYTES = 2144;
/** Two timeouts in the head, one for the first bytes, and at worst one a read, then 60 s of silence: the body's limit is its size. */
const LONGEST_MS = 600_000;
/** Every code of §19. */
const CODES = [0, -1, -2, -4, -5, -7, -9, -11, -100, -101, -102, -103, -104, -105, -106, -107, -108];
const UPDATER_CODES = [4, 5, 6, 7, 9, 10, 13, 15];

type Ending = 'silence' | 'fin' | 'rst';
interface Script {
  /** What arrives, each so many milliseconds after the device began to wait for it. */
  readonly pieces: readonly { readonly text: string; readonly afterMs: number }[];
  readonly ending: Ending;
}

/** A connection in memory. Time passes only while the device waits. */
class ScriptedConnection implements TcpConnection {
  readonly local = { address: '192.168.1.50', port: 1 };
  readonly remote = { address: '192.168.1.8', port: 80 };
  private incoming: Uint8Array = new Uint8Array(0);
  private readonly script: { text: string; afterMs: number }[];
  private ended = false;
  closed = false;

  constructor(
    private readonly clock: PlayedClock,
    script: Script,
    private readonly ending: Ending = script.ending,
  ) {
    this.script = script.pieces.map((piece) => ({ ...piece }));
  }

  available(): number {
    return Math.min(WINDOW_BYTES, this.incoming.length);
  }
  peek(max: number): Uint8Array {
    return this.incoming.subarray(0, Math.min(max, this.available()));
  }
  read(max: number): Uint8Array {
    const data = this.peek(max);
    this.incoming = this.incoming.subarray(data.length);
    return data;
  }
  connected(): boolean {
    return !this.closed && !this.ended;
  }
  write(): boolean {
    return this.connected();
  }
  async wait(ms: number): Promise<void> {
    const next = this.script[0];
    if (!next) {
      if (this.ending !== 'silence' && !this.ended) this.ended = true;
      else this.clock.pass(ms);
      return;
    }
    const passes = Math.min(ms, next.afterMs);
    next.afterMs -= passes;
    this.clock.pass(passes);
    if (next.afterMs > 0) return;
    this.script.shift();
    this.incoming = concat(this.incoming, Buffer.from(next.text, 'latin1'));
  }
  async flush(): Promise<void> {}
  close(): void {
    this.closed = true;
    this.incoming = new Uint8Array(0);
  }
  abort(): void {
    this.close();
  }
}

const IMAGES = [3, 4, 100, 4096, 5000].map((size) => latin1(sketchBytes(size)));
const integer = (most: number) => fc.integer({ min: -2, max: most }).map(String);

const headerLine = fc.oneof(
  { weight: 4, arbitrary: integer(6000).map((size) => `Content-Length: ${size}`) },
  { weight: 2, arbitrary: fc.constantFrom(...IMAGES).map((image) => `Content-Length: ${image.length}`) },
  fc.constantFrom('Content-Length: 99999999999', 'Content-Length: x', 'Content-Length:', 'Content-Length: 0x10'),
  fc.constantFrom('Transfer-Encoding: chunked', 'Transfer-Encoding: gzip', 'Transfer-Encoding: '),
  fc.constantFrom(`x-MD5: ${'0'.repeat(32)}`, `x-MD5: ${'z'.repeat(31)}`, 'x-MD5:', 'x-MD5: a\0b'),
  fc
    .constantFrom('/', '/a', 'http://192.168.1.8/', 'https://x/', '//', 'http:', 'http://[::1]/', '\xff')
    .map((to) => `Location: ${to}`),
  fc.string({ unit: 'binary-ascii', maxLength: 40 }),
  fc.nat(20_000).map((length) => `X-Long: ${'l'.repeat(length)}`),
);
const statusLine = fc.oneof(
  { weight: 6, arbitrary: fc.constant('HTTP/1.1 200 OK') },
  fc.constantFrom(301, 302, 304, 307, 401, 403, 404, 500, 100, 0, -1).map((status) => `HTTP/1.0 ${status} x`),
  fc.constantFrom('HTTP/2 200', 'HTTP/1.', 'HTTP/1.1', 'SSH-2.0-OpenSSH', '<html>', ''),
);
const body = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...IMAGES) },
  fc.constant('<!DOCTYPE html><html><body>It works</body></html>'),
  fc.constantFrom(...IMAGES).map((image) => `${image.length.toString(16)}\r\n${image}\r\n0\r\n\r\n`),
  fc.string({ unit: 'binary', maxLength: 60 }).map((text) => latin1(new TextEncoder().encode(text))),
  fc.constant(''),
);
const wellFormed = fc
  .tuple(statusLine, fc.array(headerLine, { maxLength: 6 }), fc.constantFrom('\r\n', '\n'), body)
  .map(([first, headers, end, rest]) => `${[first, ...headers, '', ''].join(end)}${rest}`);
const mutated = fc
  .tuple(
    wellFormed,
    fc.array(fc.tuple(fc.nat(300), fc.nat(20), fc.string({ unit: 'binary-ascii', maxLength: 8 })), { maxLength: 4 }),
  )
  .map(([text, edits]) => edits.reduce((now, [at, gone, put]) => now.slice(0, at) + put + now.slice(at + gone), text));
const random = fc.uint8Array({ maxLength: 500 }).map((bytes) => latin1(bytes));

const script: fc.Arbitrary<Script> = fc
  .tuple(
    fc.oneof({ weight: 3, arbitrary: wellFormed }, { weight: 2, arbitrary: mutated }, random),
    fc.array(fc.tuple(fc.nat(400), fc.constantFrom(0, 1, 1, 300, 1100)), { maxLength: 5 }),
    fc.constantFrom<Ending>('silence', 'fin', 'rst'),
  )
  .map(([text, cuts, ending]) => {
    const pieces = [];
    let from = 0;
    for (const [length, afterMs] of cuts) {
      pieces.push({ text: text.slice(from, from + length), afterMs });
      from += length;
    }
    return { pieces: [...pieces, { text: text.slice(from), afterMs: 0 }], ending };
  });

test(`invariant: ${ANSWERS} answers end in a documented result, in bounded time, with the connection closed`, async () => {
  const rig = makeRig();
  const connections: ScriptedConnection[] = [];
  let script_: Script = { pieces: [], ending: 'fin' };
  const network = {
    address: '192.168.1.50',
    connectTcp: async () => {
      const connection = new ScriptedConnection(rig.clock, script_);
      connections.push(connection);
      return connection;
    },
  } as unknown as Network;
  const events: HttpUpdateEvent[] = [];
  const httpUpdate = new ESP8266HTTPUpdate(
    {
      clock: rig.clock,
      network,
      system: rig.system,
      emit: (event) => void events.push(event),
      flash: rig.esp,
      updater: rig.update,
    },
    1000,
  );
  httpUpdate.rebootOnUpdate(false);
  httpUpdate.setFollowRedirects(1);
  const seen = new Map<number | string, number>();
  const count = (what: number | string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);

  await fc.assert(
    fc.asyncProperty(script, fc.boolean(), async (answer, fs) => {
      script_ = answer;
      connections.length = 0;
      events.length = 0;
      const startedAt = rig.clock.millis();
      const wasRunning = rig.update.isRunning();
      const result = await (fs ? httpUpdate.updateFS('http://192.168.1.8/') : httpUpdate.update('http://192.168.1.8/'));
      const error = httpUpdate.getLastError();
      // After −105 the Updater stays running until the next begin; everything else has given its buffer back.
      const left = result === 0 && error === -105;
      const began = left || result === 2 || (result === 0 && error > 0);
      const running = rig.update.isRunning();
      expect({
        result: [0, 1, 2].includes(result),
        error: CODES.includes(error) || UPDATER_CODES.includes(error),
        connections: connections.length <= 11 && connections.every(({ closed }) => closed),
        time: (rig.clock.millis() - startedAt) >>> 0 < LONGEST_MS,
        ends: events.filter(({ type }) => type === 'httpupdate.end').length,
        eventSize: JSON.stringify(events).length < 11 * 40_000,
        running,
        held: rig.system.held,
      }).toEqual({
        ...{ result: true, error: true, connections: true, time: true, ends: 1, eventSize: true },
        running: began ? left : wasRunning,
        held: running ? 4096 : 0,
      });
      count(result === 0 ? error : `result ${result}`);
    }),
    { numRuns: ANSWERS },
  );
  // The checker itself: with such answers the device comes to nearly everything that it can come to.
  for (const what of [-4, -5, -7, -9, -11, -100, -101, -102, -103, -104, -105, -106, 6, 15, 'result 1', 'result 2']) {
    expect(seen.get(what) ?? 0, `answers that end in ${what}: ${JSON.stringify([...seen])}`).toBeGreaterThan(0);
  }
}, 120_000);
