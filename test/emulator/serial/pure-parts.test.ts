/** The small pure parts of the serial port: finding requests, line noise, the outbox. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asHeardAt } from '../../../emulator/serial/line-noise.ts';
import { Outbox } from '../../../emulator/serial/outbox.ts';
import { RequestWatch } from '../../../emulator/serial/request-watch.ts';
import { encodeRequest, SYNC_DATA } from '../../../ota-services/rom-loader/packets.ts';

const SYNC = encodeRequest(0x08, SYNC_DATA);
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('a request in a stream', () => {
  test('invariant: a SYNC is found behind any text, wherever the stream is cut, and what follows is handed back', () => {
    const before = latin1('hello\r\n\xc0noise\xc0');
    const after = latin1('rest');
    const stream = Buffer.concat([before, SYNC, after]);
    for (let cut = 0; cut <= stream.length; cut++) {
      const watch = new RequestWatch();
      const first = watch.push(stream.subarray(0, cut));
      const found = first ?? watch.push(stream.subarray(cut));
      expect(found?.sync, `cut at ${cut}`).toBe(true);
      expect(found?.frame).toEqual(SYNC);
      const rest = first ? Buffer.concat([first.rest, stream.subarray(cut)]) : found?.rest;
      expect(Buffer.from(rest!).toString('latin1')).toBe('rest');
    }
  });

  test('invariant: text without C0 holds no request and keeps nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
        expect(new RequestWatch().push(latin1(text))).toBeUndefined();
      }),
    );
  });

  test('another request is one too, but no SYNC; a response is none', () => {
    const watch = new RequestWatch();
    expect(watch.push(encodeRequest(0x0a, new Uint8Array(4)))?.sync).toBe(false);
    expect(watch.push(latin1('\xc0\x01\x08\x02\x00\x00\x00\x00\x00\x00\x00\xc0'))).toBeUndefined();
  });
});

describe('a line at the wrong rate', () => {
  test('the right rate, and one that is off by a little, is read as it was sent', () => {
    const bytes = latin1('ets Jan  8 2013');
    expect(asHeardAt(bytes, 74_880, 74_880)).toEqual(bytes);
    expect(asHeardAt(bytes, 115_200, 113_500)).toEqual(bytes);
  });

  test('the sampling itself is sound: at the same rate it would give the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        // A bit more than the tolerance off: a sampled frame drifts by less than half a bit.
        expect([...asHeardAt(bytes, 100_000, 104_000)]).toEqual([...bytes]);
      }),
    );
  });

  test('the banner at 115200 is garbage, and always the same', () => {
    const banner = latin1('\r\n ets Jan  8 2013,rst cause:1, boot mode:(3,7)\r\n\r\n');
    const heard = Buffer.from(asHeardAt(banner, 74_880, 115_200));
    expect(heard.toString('latin1')).not.toMatch(/ets|rst|cause|boot/);
    expect(heard.length).toBeGreaterThan(10);
    expect(Buffer.from(asHeardAt(banner, 74_880, 115_200))).toEqual(heard);
  });

  test('invariant: whatever is sent, a receiver gets no more frames than fit on the line', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.integer({ min: 300, max: 4_000_000 }),
        fc.integer({ min: 300, max: 4_000_000 }),
        (bytes, sent, heard) => {
          const most = Math.ceil((bytes.length * 10 * heard) / sent / 9.5) + bytes.length + 1;
          expect(asHeardAt(bytes, sent, heard).length).toBeLessThanOrEqual(most);
        },
      ),
    );
  });
});

describe('the outbox of a slow host', () => {
  test('keeps the newest output, the order, and never more than its limit', () => {
    const box = new Outbox(10);
    for (const text of ['aaaa', 'bbbb', 'cccc']) box.push(latin1(text));
    expect(box.dropped).toBe(4);
    expect(Buffer.from(box.take()!).toString()).toBe('bbbbcccc');
    expect(box.take()).toBeUndefined();
  });

  test('a purge drops what was to be read, not what was asked for', () => {
    const box = new Outbox();
    box.push(latin1('old'));
    expect(box.answer(latin1('!'))).toBe(true);
    box.purge();
    box.push(latin1('new'));
    expect(Buffer.from(box.take()!).toString()).toBe('!new');
  });

  test('answers are never dropped; who asks without reading is told apart', () => {
    const box = new Outbox(10);
    box.answer(latin1('?'));
    box.push(new Uint8Array(100));
    expect(Buffer.from(box.take()!).toString()).toBe('?');
    let sound = true;
    for (let i = 0; i < 70_000 && sound; i++) sound = box.answer(latin1('?'));
    expect(sound).toBe(false);
  });
});
