import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TYPE_A, TYPE_PTR, TYPE_SRV, TYPE_TXT } from '../../ota-services/mdns/constants.ts';
import { MESSAGE_LIMIT, parseMessage } from '../../ota-services/mdns/message.ts';
import { hostName, type Name, nameKey, reverseName, sameName } from '../../ota-services/mdns/names.ts';
import { encodeMessage, type OutgoingRecord } from '../../ota-services/mdns/records.ts';
import { Responder } from '../../ota-services/mdns/responder.ts';
import { goldenDatagram } from '../support/network.ts';

const HEADER = [0, 0, 0, 0];
/** A message of these counts and bytes. */
const message = (counts: readonly [number, number, number, number], ...body: number[]): Uint8Array =>
  Uint8Array.from([...HEADER, ...counts.flatMap((count) => [count >> 8, count & 0xff]), ...body]);
const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));

describe('names', () => {
  test('letter case of ASCII does not matter, of other bytes it does, and dots are no label ends', () => {
    expect(sameName(['ESP', 'local'], ['esp', 'LOCAL'])).toBe(true);
    expect(sameName(hostName('É'), hostName('é'))).toBe(false);
    expect(nameKey(['a.b'])).not.toBe(nameKey(['a', 'b']));
    expect(nameKey(['a', 'b'])).not.toBe(nameKey(['ab']));
  });

  test('a hostname becomes its UTF-8 bytes; a reverse name turns the octets round', () => {
    expect(hostName('Küche')).toEqual(['K\xc3\xbcche', 'local']);
    expect(reverseName('192.168.1.50')).toEqual(['50', '1', '168', '192', 'in-addr', 'arpa']);
  });
});

describe('encoding', () => {
  const host = { name: ['host', 'local'], shared: true };
  const a = (name: OutgoingRecord['name']): OutgoingRecord => ({
    name,
    data: { type: TYPE_A, address: '10.0.0.1' },
    ttl: 120,
    cacheFlush: true,
  });

  test('only the second of two shared names is a pointer, and it may differ in letter case', () => {
    const upper = { name: ['HOST', 'local'], shared: true };
    const bytes = encodeMessage({ response: true, answers: [a(host), a(upper)] });
    const first = [...ascii('\x04host\x05local\0'), 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 10, 0, 0, 1];
    const second = [0xc0, 12, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 10, 0, 0, 1];
    expect([...bytes.subarray(12)]).toEqual([...first, ...second]);
  });

  test('question names and names that are not shared are never targets nor pointers', () => {
    const bytes = encodeMessage({
      response: true,
      questions: [{ name: host.name, type: TYPE_A, class: 1 }],
      answers: [a({ ...host, shared: false }), a({ ...host, shared: false }), a(host)],
    });
    expect([...bytes].filter((byte) => byte >= 0xc0)).toEqual([]);
    expect(parseMessage(bytes)!.answers.map((record) => record.name)).toEqual([host.name, host.name, host.name]);
  });

  test('no suffix of a name is a target', () => {
    const bytes = encodeMessage({ response: true, answers: [a(host), a({ name: ['local'], shared: true })] });
    expect([...bytes].filter((byte) => byte >= 0xc0)).toEqual([]);
  });

  test('invariant: what is written reads back the same', () => {
    const label = fc.string({
      minLength: 1,
      maxLength: 63,
      unit: fc.nat(255).map((code) => String.fromCharCode(code)),
    });
    const recordName = fc.record({ name: fc.array(label, { maxLength: 3 }), shared: fc.boolean() });
    const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((octets) => octets.join('.'));
    const record = fc.record({
      name: recordName,
      data: fc.oneof(
        fc.record({ type: fc.constant(TYPE_A), address }),
        fc.record({ type: fc.constant(TYPE_PTR), target: recordName }),
        fc.record({ type: fc.constant(TYPE_SRV), port: fc.nat(65535), target: recordName, full: fc.boolean() }),
        fc.record({ type: fc.constant(TYPE_TXT), strings: fc.uint8Array({ maxLength: 300 }) }),
      ),
      ttl: fc.nat(0xffff_ffff),
      cacheFlush: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.nat(0xffff), fc.array(record, { maxLength: 12 }), (id, records) => {
        const bytes = encodeMessage({ id, response: true, answers: records as OutgoingRecord[] });
        fc.pre(bytes.length <= MESSAGE_LIMIT);
        const parsed = parseMessage(bytes)!;
        expect(parsed).toMatchObject({ id, response: true, opcode: 0 });
        expect(parsed.answers).toHaveLength(records.length);
        for (const [index, { name, data, ttl, cacheFlush }] of records.entries()) {
          const got = parsed.answers[index]!;
          expect(got).toMatchObject({ type: data.type, class: 1, ttl, cacheFlush });
          // A pointer leads to the spelling that was written first.
          expect(nameKey(got.name)).toBe(nameKey(name.name));
          if ('target' in data) expect(nameKey(got.target!)).toBe(nameKey(data.target.name));
          if ('port' in data) expect(got.port).toBe(data.port);
          if ('address' in data) expect(got.address).toBe(data.address);
          if ('strings' in data) expect(got.data).toEqual(data.strings);
        }
      }),
    );
  });
});

describe('decoding', () => {
  test('flags, classes and the unicast bit are told apart', () => {
    const query = message([1, 0, 0, 0], ...ascii('\x01x\0'), 0, 255, 0x80, 1);
    expect(parseMessage(query)).toMatchObject({
      response: false,
      questions: [{ name: ['x'], type: 255, class: 1, unicast: true }],
    });
    query[2] = 0x7f;
    expect(parseMessage(query)).toMatchObject({ response: false, opcode: 15 });
    query[2] = 0x84;
    expect(parseMessage(query)).toMatchObject({ response: true, opcode: 0 });
  });

  const malformed: [string, Uint8Array][] = [
    ['nothing', new Uint8Array(0)],
    ['half a header', new Uint8Array(11)],
    ['longer than any mDNS message', new Uint8Array(MESSAGE_LIMIT + 1)],
    ['a count without entries', message([1, 0, 0, 0])],
    ['65535 questions in no bytes', message([0xffff, 0xffff, 0xffff, 0xffff])],
    ['a name without an end', message([1, 0, 0, 0], 3, ...ascii('ab'))],
    ['a question without a class', message([1, 0, 0, 0], 0, 0, 1)],
    ['a pointer to itself', message([1, 0, 0, 0], 0xc0, 12, 0, 1, 0, 1)],
    ['a pointer forward', message([1, 0, 0, 0], 0xc0, 20, 0, 1, 0, 1, 0, 0, 0, 0)],
    ['two pointers at each other', message([1, 0, 0, 0], 0xc0, 14, 0xc0, 12, 0, 1, 0, 1)],
    ['a pointer into the header', message([1, 0, 0, 0], 0xc0, 4, 0, 1, 0, 1)],
    ['a loop through a label', message([1, 0, 0, 0], 1, 97, 0xc0, 12, 0, 1, 0, 1)],
    ['half a pointer', message([1, 0, 0, 0], 0xc0)],
    ['a label of 64', message([1, 0, 0, 0], 64, ...new Array(64).fill(97), 0, 0, 1, 0, 1)],
    [
      'a name of 256',
      message([1, 0, 0, 0], ...new Array(4).fill([63, ...new Array(63).fill(97)]).flat(), 0, 0, 1, 0, 1),
    ],
    ['a record that ends behind the message', message([0, 1, 0, 0], 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 5, 1, 2, 3, 4)],
    ['a PTR name that ends behind its record', message([0, 1, 0, 0], 0, 0, 12, 0, 1, 0, 0, 0, 1, 0, 1, 1, 97, 0)],
  ];
  test.each(malformed)('%s is no message', (_what, bytes) => {
    expect(parseMessage(bytes)).toBeUndefined();
  });

  test('a name of 255 bytes and a chain of pointers back are fine', () => {
    const labels: Name = [...new Array(3).fill('a'.repeat(63)), 'a'.repeat(61)];
    const long = encodeMessage({ response: false, questions: [{ name: labels, type: 1, class: 1 }] });
    expect(parseMessage(long)!.questions[0]!.name).toEqual(labels);
    const chain = message([3, 0, 0, 0], ...ascii('\x01a\0'), 0, 1, 0, 1, 0xc0, 12, 0, 1, 0, 1, 0xc0, 19, 0, 1, 0, 1);
    expect(parseMessage(chain)!.questions.map((question) => question.name)).toEqual([['a'], ['a'], ['a']]);
  });

  test('odd records are kept as bytes: an A of 3, an SRV of 6, an unknown type', () => {
    for (const [type, length] of [
      [1, 3],
      [33, 6],
      [99, 7],
    ] as const) {
      const bytes = message([0, 1, 0, 0], 0, 0, type, 0, 1, 0, 0, 0, 1, 0, length, ...new Array(length).fill(1));
      const [record] = parseMessage(bytes)!.answers;
      expect(record).toMatchObject({ type, data: new Uint8Array(length).fill(1) });
      expect(record).not.toHaveProperty('address');
      expect(record).not.toHaveProperty('target');
    }
  });
});

describe('any datagram', () => {
  const responder = (): Responder => {
    const made = new Responder({ hostname: 'esp8266-c0ffee', address: '192.168.1.50', random: () => 0 });
    made.addService({ service: 'arduino', protocol: 'tcp', port: 8266 });
    for (let ms = 0; ms <= 500; ms += 250) made.update(ms);
    return made;
  };
  const from = { address: '192.168.1.10', port: 5353 };

  test('invariant: random bytes never throw, probing or ready', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 600 }),
        fc.boolean(),
        fc.constantFrom(5353, 1234),
        (bytes, ready, port) => {
          const made = responder();
          if (ready) for (let ms = 750; ms <= 1000; ms += 250) made.update(ms);
          made.receive(bytes, { ...from, port });
        },
      ),
      { numRuns: 500 },
    );
  });

  test('invariant: damaged real datagrams never throw', () => {
    const names = ['host-probe', 'service-probe', 'host-announcement', 'service-announcement', 'ptr-reply'];
    const damage = fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { minLength: 1, maxLength: 8 });
    const made = responder();
    fc.assert(
      fc.property(fc.constantFrom(...names), damage, fc.nat(300), (name, changes, cut) => {
        const bytes = goldenDatagram(name).slice(0, Math.max(cut, 12));
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        made.receive(bytes, from);
      }),
      { numRuns: 500 },
    );
  });

  test.each([127, 128, 2000])('invariant: the work is bounded, with a chain of %i pointers', (chain) => {
    // A chain of pointers, each to the one before, and then questions that all start at its end.
    const body: number[] = ascii('\x01a\0').concat(0, 1, 0, 1);
    let end = 12;
    let count = 1;
    for (; body.length + 6 < MESSAGE_LIMIT - 12; count++) {
      const at = 12 + body.length;
      body.push(0xc0 | (end >> 8), end & 0xff, 0, 1, 0, 1);
      if (count < chain) end = at;
    }
    const bytes = message([count, 0, 0, 0], ...body);
    let reads = 0;
    const counted = new Proxy(bytes, {
      get(target, key) {
        if (typeof key === 'string' && /^\d+$/.test(key)) reads++;
        const value = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const parsed = parseMessage(counted);
    expect(parsed === undefined).toBe(chain > 127);
    expect(reads).toBeLessThan(count * 300);
  });
});
