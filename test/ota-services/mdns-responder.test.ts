import { describe, expect, test } from 'vitest';
import {
  MDNS_PORT,
  TYPE_A,
  TYPE_AAAA,
  TYPE_ANY,
  TYPE_PTR,
  TYPE_SRV,
  TYPE_TXT,
} from '../../ota-services/mdns/constants.ts';
import { type Message, parseMessage, type ResourceRecord } from '../../ota-services/mdns/message.ts';
import { encodeMessage, type OutgoingMessage, type OutgoingRecord } from '../../ota-services/mdns/records.ts';
import { type OutgoingDatagram, Responder, type ResponderOptions } from '../../ota-services/mdns/responder.ts';
import { goldenDatagram } from '../support/network.ts';

const HOST = 'esp8266-c0ffee.local';
const TYPE = '_arduino._tcp.local';
const INSTANCE = `esp8266-c0ffee.${TYPE}`;
const ENUMERATION = '_services._dns-sd._udp.local';
const REVERSE = '50.1.168.192.in-addr.arpa';
const PEER = { address: '192.168.1.10', port: MDNS_PORT };
const QU = 0x8001;

const ARDUINO = {
  service: 'arduino',
  protocol: 'tcp',
  port: 8266,
  txt: [
    ['tcp_check', 'no'],
    ['ssh_upload', 'no'],
    ['board', 'generic'],
    ['auth_upload', 'no'],
  ],
} as const;

function newResponder(options: Partial<ResponderOptions> = {}): Responder {
  const responder = new Responder({
    hostname: 'esp8266-c0ffee',
    address: '192.168.1.50',
    random: () => 100,
    ...options,
  });
  responder.addService(ARDUINO);
  return responder;
}

/** Everything sent while the sketch calls update() each millisecond. */
function run(responder: Responder, fromMs: number, toMs: number): { atMs: number; data: Uint8Array }[] {
  const sent: { atMs: number; data: Uint8Array }[] = [];
  for (let ms = fromMs; ms <= toMs; ms++) {
    for (const datagram of responder.update(ms >>> 0)) {
      expect(datagram.to).toBe('group');
      sent.push({ atMs: ms - fromMs, data: datagram.data });
    }
  }
  return sent;
}

/** A responder whose names are all ready. */
function ready(options: Partial<ResponderOptions> = {}): Responder {
  const responder = newResponder(options);
  run(responder, 0, 1000);
  return responder;
}

const dotted = (record: { name: readonly string[] }): string => record.name.join('.');
const TYPES: Record<number, string> = { 1: 'A', 12: 'PTR', 16: 'TXT', 28: 'AAAA', 33: 'SRV', 255: 'ANY' };

/** `TYPE name`, with `!` for the cache-flush bit. */
function listed(records: readonly ResourceRecord[]): string[] {
  return records.map((record) => `${TYPES[record.type]}${record.cacheFlush ? '!' : ''} ${dotted(record)}`);
}

type Ask = readonly [name: string, type: number, bits?: number];

function query(asks: readonly Ask[], rest: Partial<OutgoingMessage> = {}): Uint8Array {
  const questions = asks.map(([name, type, bits = 1]) => ({ name: name.split('.'), type, class: bits }));
  return encodeMessage({ response: false, questions, ...rest });
}

function ask(responder: Responder, asks: readonly Ask[], from = PEER, rest: Partial<OutgoingMessage> = {}) {
  return responder.receive(query(asks, rest), from);
}

/** What the one datagram says. */
function only(datagrams: readonly OutgoingDatagram[]): Message & { to: OutgoingDatagram['to'] } {
  expect(datagrams).toHaveLength(1);
  return { ...parseMessage(datagrams[0]!.data)!, to: datagrams[0]!.to };
}

function named(name: string): OutgoingRecord['name'] {
  return { name: name.split('.'), shared: false };
}

const a = (name: string, address: string, ttl = 120): OutgoingRecord => ({
  name: named(name),
  data: { type: TYPE_A, address },
  ttl,
  cacheFlush: false,
});
const ptr = (name: string, target: string, ttl = 4500): OutgoingRecord => ({
  name: named(name),
  data: { type: TYPE_PTR, target: named(target) },
  ttl,
  cacheFlush: false,
});
const srv = (name: string, target: string, ttl = 4500, port = 8266): OutgoingRecord => ({
  name: named(name),
  data: { type: TYPE_SRV, port, target: named(target) },
  ttl,
  cacheFlush: false,
});
const txt = (name: string, strings: Uint8Array, ttl = 4500): OutgoingRecord => ({
  name: named(name),
  data: { type: TYPE_TXT, strings },
  ttl,
  cacheFlush: false,
});

describe('the bytes of chapter 03 §15.2', () => {
  const sent = run(newResponder(), 0, 2000);

  test.each([
    ['host-probe', 100],
    ['service-probe', 250],
    ['host-announcement', 1850],
    ['service-announcement', 2000],
  ])('%s at %i ms', (name, atMs) => {
    expect(sent.find((one) => one.atMs === atMs)?.data).toEqual(goldenDatagram(name));
  });

  test('ptr-reply', () => {
    const [reply] = ask(ready(), [[TYPE, TYPE_PTR]]);
    expect(reply).toEqual({ to: 'group', data: goldenDatagram('ptr-reply') });
  });

  test('goodbye: the records of both announcements, every TTL 0, in one datagram', () => {
    const goodbye = only(ready().close());
    const announced = [goldenDatagram('host-announcement'), goldenDatagram('service-announcement')].flatMap(
      (bytes) => parseMessage(bytes)!.answers,
    );
    expect(listed(goodbye.answers)).toEqual(listed(announced));
    expect(goodbye.answers.every((record) => record.ttl === 0)).toBe(true);
    expect(goodbye.additionals).toEqual([]);
    const host = goldenDatagram('host-announcement');
    host.set([0, 0, 0, 0], 38); // the TTLs
    host.set([0, 0, 0, 0], 79);
    host.set([0, 6], 6);
    const bytes = ready().close()[0]!.data;
    expect(bytes.subarray(0, host.length)).toEqual(host);
    // No second header, no second A, and the SRV target is a pointer now.
    expect(bytes.length).toBe(87 + 245 - 12 - 16 - 20);
  });
});

describe('probing and announcing (§13.3)', () => {
  const kind = (data: Uint8Array): string => {
    const message = parseMessage(data)!;
    const first = message.response ? message.answers[0]! : message.questions[0]!;
    return `${message.response ? 'announce' : 'probe'} ${dotted(first)}`;
  };

  test.each([0, 1, 100, 249])('row 63: the timetable, with a first wait of %i ms', (r) => {
    const asked: number[] = [];
    const random = (below: number): number => {
      asked.push(below);
      return r;
    };
    const sent = run(newResponder({ random }), 5000, 5000 + 20_000);
    const times = (what: string): number[] => sent.filter((one) => kind(one.data) === what).map((one) => one.atMs);
    const eight = Array.from({ length: 8 }, (_, i) => i * 1000);
    expect(times(`probe ${HOST}`)).toEqual([r, r + 250, r + 500]);
    expect(times(`probe ${INSTANCE}`)).toEqual([250, 500, 750]);
    expect(times(`announce ${HOST}`)).toEqual(eight.map((ms) => r + 1750 + ms));
    expect(times(`announce ${ENUMERATION}`)).toEqual(eight.map((ms) => 2000 + ms));
    expect(sent).toHaveLength(22);
    expect(asked).toEqual([250]);
  });

  test('nothing moves without update(); a late step shifts those after it', () => {
    const responder = newResponder();
    run(responder, 0, 100); // the first host probe
    const sent = [10_000, 10_001, 10_250, 10_251, 10_499].map((ms) =>
      responder.update(ms).map(({ data }) => kind(data)),
    );
    expect(sent).toEqual([[`probe ${HOST}`, `probe ${INSTANCE}`], [], [`probe ${HOST}`, `probe ${INSTANCE}`], [], []]);
  });

  test('the millisecond counter may wrap meanwhile', () => {
    expect(run(newResponder(), 2 ** 32 - 600, 2 ** 32 + 10_000).map((one) => one.atMs)).toEqual(
      run(newResponder(), 0, 10_600).map((one) => one.atMs),
    );
  });

  test('probe sections: host with A as authority; service with PTR, SRV, then TXT, A; nothing flushes', () => {
    const [host, service] = ['host-probe', 'service-probe'].map((name) => parseMessage(goldenDatagram(name))!);
    expect([host!.id, host!.response, host!.questions[0]!.unicast]).toEqual([0, false, true]);
    expect(listed(host!.authorities)).toEqual([`A ${HOST}`]);
    expect(listed(service!.authorities)).toEqual([`PTR ${TYPE}`, `SRV ${INSTANCE}`]);
    expect(listed(service!.additionals)).toEqual([`TXT ${INSTANCE}`, `A ${HOST}`]);
  });

  test('row 63: no answer before a name is ready, each name on its own', () => {
    const responder = newResponder();
    const answers = (): number[] =>
      [ask(responder, [[HOST, TYPE_A]]), ask(responder, [[TYPE, TYPE_PTR]])].map((list) => list.length);
    expect(answers()).toEqual([0, 0]);
    run(responder, 0, 849);
    expect(answers()).toEqual([0, 0]);
    run(responder, 850, 999);
    expect(answers()).toEqual([1, 0]);
    run(responder, 1000, 1000);
    expect(answers()).toEqual([1, 1]);
  });

  test('a service that is added later probes from then on', () => {
    const responder = ready();
    responder.addService({ service: 'http', protocol: 'tcp', port: 80, instance: 'esp8266-c0ffee' });
    const probes = run(responder, 20_000, 21_000).filter((one) => kind(one.data).includes('_http'));
    expect(probes.map((one) => one.atMs)).toEqual([250, 500, 750]);
  });

  test('restart: all names from the beginning, silent meanwhile (§13.4)', () => {
    const responder = ready();
    responder.restart();
    expect(ask(responder, [[HOST, TYPE_A]])).toEqual([]);
    expect(run(responder, 5000, 25_000)).toHaveLength(22);
    expect(ask(responder, [[HOST, TYPE_A]])).toHaveLength(1);
  });

  test('results are told: the host first', () => {
    const told: string[] = [];
    const responder = newResponder({ onHostProbeResult: (name, ok) => told.push(`${name} ${ok}`) });
    responder.addService({
      service: 'http',
      protocol: 'tcp',
      port: 80,
      instance: 'web',
      onProbeResult: (name, ok) => told.push(`${name} ${ok}`),
    });
    run(responder, 0, 1000);
    expect(told).toEqual(['esp8266-c0ffee true', 'web true']);
  });
});

describe('conflicts (§13.3, row 64)', () => {
  /** What is sent and answered after this datagram arrived at 400 ms, between the probes. */
  function conflict(
    datagram: Uint8Array,
    options: Partial<ResponderOptions> = {},
  ): { host: boolean; service: boolean } {
    const responder = newResponder(options);
    run(responder, 0, 400);
    expect(responder.receive(datagram, PEER)).toEqual([]);
    const sent = run(responder, 401, 30_000).map((one) => parseMessage(one.data)!);
    const about = (name: string): boolean =>
      sent.some((one) => one.response && listed(one.answers).join().includes(name));
    const answered = [ask(responder, [[HOST, TYPE_A]]).length === 1, ask(responder, [[TYPE, TYPE_PTR]]).length === 1];
    expect(answered).toEqual([about(REVERSE), about(INSTANCE)]);
    return { host: about(REVERSE), service: about(INSTANCE) };
  }
  const response = (...answers: OutgoingRecord[]): Uint8Array => encodeMessage({ response: true, answers });
  const rival = (...authorities: OutgoingRecord[]): Uint8Array =>
    query([[dotted(authorities[0]!.name), TYPE_ANY, QU]], { authorities });
  const aaaa: OutgoingRecord = {
    ...txt(HOST, new Uint8Array(16)),
    data: { type: TYPE_TXT, strings: new Uint8Array(16) },
  };
  /** The same record with another type. */
  const asAaaa = (bytes: Uint8Array): Uint8Array => {
    const at = bytes.lastIndexOf(TYPE_TXT, bytes.length - 17 - 4);
    const copy = bytes.slice();
    copy[at] = TYPE_AAAA;
    return copy;
  };

  const NONE = { host: false, service: false };
  const BOTH = { host: true, service: true };
  const HOST_ONLY = { host: true, service: false };

  test('a response with our host name silences host and services for good', () => {
    expect(conflict(response(a(HOST, '192.168.1.77')))).toEqual(NONE);
    expect(conflict(response(a(HOST.toUpperCase(), '192.168.1.77')))).toEqual(NONE);
    const sixes = asAaaa(response(aaaa));
    expect(listed(parseMessage(sixes)!.answers)).toEqual([`AAAA ${HOST}`]);
    expect(conflict(sixes)).toEqual(NONE);
    expect(conflict(encodeMessage({ response: true, additionals: [a(HOST, '192.168.1.77')] }))).toEqual(NONE);
  });

  test('a response with our instance silences that service only', () => {
    expect(conflict(response(srv(INSTANCE, 'other.local')))).toEqual(HOST_ONLY);
    expect(conflict(response(txt(INSTANCE, new Uint8Array(0))))).toEqual(HOST_ONLY);
  });

  test('other names, and other types of our names, are no conflict', () => {
    expect(
      conflict(response(a('other.local', '192.168.1.77'), ptr(TYPE, INSTANCE), txt(HOST, new Uint8Array(1)))),
    ).toEqual(BOTH);
  });

  test.each([
    ['192.168.1.51', NONE],
    ['192.168.1.49', BOTH],
    ['192.168.1.50', BOTH], // our own echo
    ['1.0.0.51', NONE], // the last octet counts most
    ['255.255.255.49', BOTH],
    ['192.168.2.50', NONE],
    ['193.168.0.50', BOTH],
  ])('a rival that probes with address %s', (address, outcome) => {
    expect(conflict(rival(a(HOST, address)))).toEqual(outcome);
  });

  test.each([
    ['zzz-longer-than-ours.local', HOST_ONLY],
    ['esp8266-c0fffe.local', HOST_ONLY],
    ['esp8266-c0ffed.local', BOTH],
    ['a.local', BOTH],
    [HOST, BOTH],
    [HOST.toUpperCase(), BOTH],
  ])('a rival that probes for our instance on %s', (target, outcome) => {
    expect(conflict(rival(srv(INSTANCE, target)))).toEqual(outcome);
  });

  test('once a name is ready nobody takes it', () => {
    const responder = ready();
    responder.receive(response(a(HOST, '192.168.1.77'), srv(INSTANCE, 'other.local')), PEER);
    responder.receive(rival(a(HOST, '192.168.1.77')), PEER);
    expect(ask(responder, [[HOST, TYPE_A]])).toHaveLength(1);
    expect(ask(responder, [[TYPE, TYPE_PTR]])).toHaveLength(1);
  });

  test('the callbacks are told, and a restart tries again', () => {
    const told: string[] = [];
    const responder = newResponder({ onHostProbeResult: (name, ok) => told.push(`${name} ${ok}`) });
    run(responder, 0, 400);
    responder.receive(response(a(HOST, '192.168.1.77')), PEER);
    expect(told).toEqual(['esp8266-c0ffee false']);
    expect(run(responder, 401, 3000)).toEqual([]);
    expect(responder.close()).toEqual([]);
    expect(responder.setHostname('other')).toBe(true);
    run(responder, 3001, 5000);
    expect(told).toEqual(['esp8266-c0ffee false', 'other true']);
    expect(listed(only(ask(responder, [[TYPE, TYPE_PTR]])).additionals)).toEqual([
      `SRV! other.${TYPE}`,
      `TXT! other.${TYPE}`,
      'A! other.local',
    ]);
  });
});

describe('answering (§13.5)', () => {
  test.each<[string, Ask[], string[], string[]]>([
    ['host A', [[HOST, TYPE_A]], [`A! ${HOST}`], []],
    ['host ANY', [[HOST, TYPE_ANY]], [`A! ${HOST}`], []],
    ['reverse PTR', [[REVERSE, TYPE_PTR]], [`PTR! ${REVERSE}`], []],
    ['reverse ANY', [[REVERSE, TYPE_ANY]], [`PTR! ${REVERSE}`], []],
    ['enumeration PTR', [[ENUMERATION, TYPE_PTR]], [`PTR ${ENUMERATION}`], []],
    ['enumeration ANY', [[ENUMERATION, TYPE_ANY]], [`PTR ${ENUMERATION}`], []],
    ['type PTR', [[TYPE, TYPE_PTR]], [`PTR ${TYPE}`], [`SRV! ${INSTANCE}`, `TXT! ${INSTANCE}`, `A! ${HOST}`]],
    ['type ANY', [[TYPE, TYPE_ANY]], [`PTR ${TYPE}`], [`SRV! ${INSTANCE}`, `TXT! ${INSTANCE}`, `A! ${HOST}`]],
    ['instance SRV', [[INSTANCE, TYPE_SRV]], [`SRV! ${INSTANCE}`], [`A! ${HOST}`]],
    ['instance TXT', [[INSTANCE, TYPE_TXT]], [`TXT! ${INSTANCE}`], []],
    ['instance ANY', [[INSTANCE, TYPE_ANY]], [`SRV! ${INSTANCE}`, `TXT! ${INSTANCE}`], [`A! ${HOST}`]],
    ['class ANY', [[HOST, TYPE_A, 255]], [`A! ${HOST}`], []],
    ['another letter case', [[HOST.toUpperCase(), TYPE_A]], [`A! ${HOST}`], []],
    [
      'several: the order is fixed, nothing comes twice',
      [
        [INSTANCE, TYPE_TXT],
        [TYPE, TYPE_PTR],
        [ENUMERATION, TYPE_PTR],
        [REVERSE, TYPE_PTR],
        [HOST, TYPE_A],
        [HOST, TYPE_A],
      ],
      [`A! ${HOST}`, `PTR! ${REVERSE}`, `PTR ${ENUMERATION}`, `PTR ${TYPE}`, `TXT! ${INSTANCE}`],
      [`SRV! ${INSTANCE}`],
    ],
  ])('%s', (_what, asks, answers, additionals) => {
    const reply = only(ask(ready(), asks));
    expect(reply).toMatchObject({ to: 'group', id: 0, response: true, opcode: 0, questions: [], authorities: [] });
    expect(listed(reply.answers)).toEqual(answers);
    expect(listed(reply.additionals)).toEqual(additionals);
    for (const record of [...reply.answers, ...reply.additionals]) {
      const ofHost = [HOST, REVERSE].includes(dotted(record));
      expect(record.ttl, dotted(record)).toBe(ofHost ? 120 : 4500);
    }
  });

  test.each<[string, Ask[]]>([
    ['host AAAA', [[HOST, TYPE_AAAA]]],
    ['host TXT', [[HOST, TYPE_TXT]]],
    ['another host', [['other.local', TYPE_A]]],
    ['a name below ours', [[`x.${HOST}`, TYPE_A]]],
    ['another address', [['51.1.168.192.in-addr.arpa', TYPE_PTR]]],
    ['another service', [['_http._tcp.local', TYPE_PTR]]],
    ['another class', [[HOST, TYPE_A, 3]]],
    ['instance A', [[INSTANCE, TYPE_A]]],
    ['no question', []],
  ])('%s: no reply', (_what, asks) => {
    expect(ask(ready(), asks)).toEqual([]);
  });

  test('an opcode other than 0: no reply; a response: neither', () => {
    const bytes = query([[HOST, TYPE_A]]);
    for (const flags of [0x08, 0x78, 0x80, 0x84]) {
      bytes[2] = flags;
      expect(ready().receive(bytes, PEER)).toEqual([]);
    }
  });

  test('values: address, targets, port, and the TXT strings in reversed order', () => {
    const reply = only(
      ask(ready(), [
        [INSTANCE, TYPE_ANY],
        [HOST, TYPE_A],
        [REVERSE, TYPE_PTR],
      ]),
    );
    const [address, reverse, service, strings] = reply.answers;
    expect(address).toMatchObject({ address: '192.168.1.50' });
    expect(reverse!.target!.join('.')).toBe(HOST);
    expect(service).toMatchObject({ port: 8266, data: expect.anything() });
    expect(service!.target!.join('.')).toBe(HOST);
    expect(Buffer.from(strings!.data).toString()).toBe(
      '\x0eauth_upload=no\x0dboard=generic\x0dssh_upload=no\x0ctcp_check=no',
    );
  });

  test('several services: the newest first, the address once; a service without TXT has RDLENGTH 0', () => {
    const responder = newResponder();
    responder.addService({ service: 'http', protocol: 'tcp', port: 80, instance: 'esp8266-c0ffee' });
    run(responder, 0, 1000);
    const web = 'esp8266-c0ffee._http._tcp.local';
    const reply = only(
      ask(responder, [
        [TYPE, TYPE_PTR],
        ['_http._tcp.local', TYPE_PTR],
      ]),
    );
    expect(listed(reply.answers)).toEqual(['PTR _http._tcp.local', `PTR ${TYPE}`]);
    expect(listed(reply.additionals)).toEqual([
      `SRV! ${web}`,
      `TXT! ${web}`,
      `SRV! ${INSTANCE}`,
      `TXT! ${INSTANCE}`,
      `A! ${HOST}`,
    ]);
    expect(reply.additionals[1]!.data).toHaveLength(0);
    const types = only(ask(responder, [[ENUMERATION, TYPE_PTR]])).answers.map((record) => record.target!.join('.'));
    expect(types).toEqual(['_http._tcp.local', TYPE]);
  });

  describe('unicast', () => {
    test('a question with the unicast bit: all goes to the asker, nothing flushes, no id and no question', () => {
      const reply = only(
        ask(
          ready(),
          [
            [HOST, TYPE_A, QU],
            [INSTANCE, TYPE_SRV],
          ],
          PEER,
          { id: 77 },
        ),
      );
      expect(reply).toMatchObject({ to: PEER, id: 0, questions: [] });
      expect(listed(reply.answers)).toEqual([`A ${HOST}`, `SRV ${INSTANCE}`]);
    });

    test('row 65: from another port, one question: id and question come back, TTLs stay', () => {
      const from = { address: '192.168.1.10', port: 40_000 };
      const reply = only(ask(ready(), [[TYPE, TYPE_PTR, QU]], from, { id: 0x1234 }));
      expect(reply).toMatchObject({ to: from, id: 0x1234 });
      expect(reply.questions).toEqual([{ name: TYPE.split('.'), type: TYPE_PTR, class: 1, unicast: false }]);
      expect(listed(reply.answers)).toEqual([`PTR ${TYPE}`]);
      expect(listed(reply.additionals)).toEqual([`SRV ${INSTANCE}`, `TXT ${INSTANCE}`, `A ${HOST}`]);
      expect(reply.answers[0]!.ttl).toBe(4500);
    });

    test('row 65: an SRV target in a legacy answer is never a pointer', () => {
      const from = { address: '192.168.1.10', port: 40_000 };
      const responder = newResponder();
      responder.addService({ service: 'arduino', protocol: 'tcp', port: 8267, instance: 'second' });
      run(responder, 0, 1000);
      const full = Buffer.from(`\x0eesp8266-c0ffee\x05local\0`);
      const count = (bytes: Uint8Array): number =>
        Buffer.from(bytes).toString('latin1').split(full.toString('latin1')).length - 1;
      expect(count(ask(responder, [[TYPE, TYPE_PTR]], from)[0]!.data)).toBe(2);
      expect(count(ask(responder, [[TYPE, TYPE_PTR]])[0]!.data)).toBe(1);
    });

    test('legacy from another subnet: no reply; two questions from there are no legacy query', () => {
      const far = { address: '192.168.2.10', port: 40_000 };
      expect(ask(ready(), [[HOST, TYPE_A]], far)).toEqual([]);
      expect(ask(ready({ netmask: '255.255.0.0' }), [[HOST, TYPE_A]], far)).toHaveLength(1);
      expect(ask(ready(), [[HOST, TYPE_A, QU]], { ...far, port: MDNS_PORT })).toHaveLength(1);
      const two: Ask[] = [
        [HOST, TYPE_A],
        [TYPE, TYPE_PTR],
      ];
      const reply = only(ask(ready(), two, far, { id: 9 }));
      expect(reply).toMatchObject({ to: far, id: 0, questions: [] });
      expect(listed(reply.answers)).toEqual([`A ${HOST}`, `PTR ${TYPE}`]);
    });
  });

  describe('known answers', () => {
    const strings = parseMessage(goldenDatagram('ptr-reply'))!.additionals[1]!.data;
    test.each<[string, Ask, OutgoingRecord, boolean]>([
      ['A, 60 s', [HOST, TYPE_A], a(HOST, '192.168.1.50', 60), true],
      ['A, 59 s', [HOST, TYPE_A], a(HOST, '192.168.1.50', 59), false],
      ['A of another address', [HOST, TYPE_A], a(HOST, '192.168.1.51'), false],
      ['reverse PTR, 60 s', [REVERSE, TYPE_PTR], ptr(REVERSE, HOST, 60), true],
      ['reverse PTR to another host', [REVERSE, TYPE_PTR], ptr(REVERSE, 'other.local'), false],
      ['enumeration, 2250 s', [ENUMERATION, TYPE_PTR], ptr(ENUMERATION, TYPE, 2250), true],
      ['enumeration, 2249 s', [ENUMERATION, TYPE_PTR], ptr(ENUMERATION, TYPE, 2249), false],
      ['PTR, 2250 s', [TYPE, TYPE_PTR], ptr(TYPE, INSTANCE, 2250), true],
      ['PTR, 2249 s', [TYPE, TYPE_PTR], ptr(TYPE, INSTANCE, 2249), false],
      ['PTR in another letter case', [TYPE, TYPE_PTR], ptr(TYPE.toUpperCase(), INSTANCE.toUpperCase()), true],
      ['PTR to another instance', [TYPE, TYPE_PTR], ptr(TYPE, `other.${TYPE}`), false],
      ['SRV, 2250 s', [INSTANCE, TYPE_SRV], srv(INSTANCE, HOST, 2250), true],
      ['SRV, 2249 s', [INSTANCE, TYPE_SRV], srv(INSTANCE, HOST, 2249), false],
      ['SRV with another port', [INSTANCE, TYPE_SRV], srv(INSTANCE, HOST, 4500, 8267), false],
      ['SRV with another target', [INSTANCE, TYPE_SRV], srv(INSTANCE, 'other.local'), false],
      ['TXT, 2250 s', [INSTANCE, TYPE_TXT], txt(INSTANCE, strings, 2250), true],
      ['TXT with other strings', [INSTANCE, TYPE_TXT], txt(INSTANCE, strings.slice(1)), false],
    ])('%s', (_what, question, known, suppressed) => {
      expect(ask(ready(), [question], PEER, { answers: [known] })).toHaveLength(suppressed ? 0 : 1);
    });

    test('only what is known is left out', () => {
      const reply = only(
        ask(
          ready(),
          [
            [TYPE, TYPE_PTR],
            [HOST, TYPE_A],
          ],
          PEER,
          { answers: [ptr(TYPE, INSTANCE)] },
        ),
      );
      expect(listed(reply.answers)).toEqual([`A! ${HOST}`]);
      expect(reply.additionals).toEqual([]);
    });
  });
});

describe('services and their limits (§13.1, §13.2)', () => {
  test('leading underscores are added where they miss', () => {
    const responder = newResponder();
    expect(responder.addService({ service: '_http', protocol: '_tcp', port: 80 })).toBe(true);
    expect(responder.addService({ service: 'http', protocol: 'tcp', port: 8080 })).toBe(false);
    run(responder, 0, 1000);
    expect(ask(responder, [['_http._tcp.local', TYPE_PTR]])).toHaveLength(1);
  });

  test('an auto-named instance follows the hostname, a named one does not', () => {
    const responder = newResponder();
    responder.addService({ service: 'http', protocol: 'tcp', port: 80, instance: 'esp8266-c0ffee' });
    responder.setHostname('new');
    run(responder, 0, 1000);
    const target = (type: string): string => only(ask(responder, [[type, TYPE_PTR]])).answers[0]!.target![0]!;
    expect([target(TYPE), target('_http._tcp.local')]).toEqual(['new', 'esp8266-c0ffee']);
  });

  test.each([
    ['an empty service', { service: '' }, false],
    ['a service of 15', { service: 'a'.repeat(15) }, true],
    ['a service of 16', { service: 'a'.repeat(16) }, false],
    ['a protocol that is none', { protocol: 'sctp' }, false],
    ['udp', { protocol: '_udp' }, true],
    ['port 0', { port: 0 }, false],
    ['port 65536', { port: 65_536 }, false],
    ['an instance of 63', { instance: 'i'.repeat(63) }, true],
    ['an instance of 64', { instance: 'i'.repeat(64) }, false],
    ['an instance of 32 two-byte letters', { instance: 'é'.repeat(32) }, false],
    ['a TXT string of 255', { txt: [['k', 'v'.repeat(253)]] as const }, true],
    ['a TXT string of 256', { txt: [['k', 'v'.repeat(254)]] as const }, false],
    ['TXT of 1299', { txt: [...new Array(5).fill(['k', 'v'.repeat(253)]), ['k', 'v'.repeat(16)]] }, true],
    ['TXT of 1300', { txt: [...new Array(5).fill(['k', 'v'.repeat(253)]), ['k', 'v'.repeat(17)]] }, false],
    ['a TXT entry without a key', { txt: [['', 'v']] as const }, false],
  ])('%s', (_what, options, accepted) => {
    expect(newResponder().addService({ service: 'test', protocol: 'tcp', port: 1, ...options })).toBe(accepted);
  });

  test('hostnames have 1 to 63 bytes', () => {
    expect(() => newResponder({ hostname: '' })).toThrow(RangeError);
    expect(() => newResponder({ hostname: 'h'.repeat(64) })).toThrow('1 to 63 bytes');
    expect(newResponder({ hostname: 'h'.repeat(63) }).setHostname('')).toBe(false);
  });
});

describe('goodbye (§13.7)', () => {
  test('none while the host is probing; only services that were ready', () => {
    const responder = newResponder();
    run(responder, 0, 849);
    expect(responder.close()).toEqual([]);
    run(responder, 850, 850);
    expect(listed(only(responder.close()).answers)).toEqual([`A! ${HOST}`, `PTR! ${REVERSE}`]);
  });

  test('removeService: a goodbye for that service alone, and then silence about it', () => {
    const responder = newResponder();
    responder.addService({ service: 'http', protocol: 'tcp', port: 80 });
    run(responder, 0, 1000);
    const goodbye = only(responder.removeService({ service: 'arduino', protocol: 'tcp' })!);
    expect(listed(goodbye.answers)).toEqual([
      `PTR ${ENUMERATION}`,
      `PTR ${TYPE}`,
      `SRV! ${INSTANCE}`,
      `TXT! ${INSTANCE}`,
    ]);
    expect(goodbye.answers.every((record) => record.ttl === 0)).toBe(true);
    expect(ask(responder, [[TYPE, TYPE_PTR]])).toEqual([]);
    expect(ask(responder, [['_http._tcp.local', TYPE_PTR]])).toHaveLength(1);
    expect(responder.removeService({ service: 'arduino', protocol: 'tcp' })).toBeUndefined();
  });

  test('removing a service that is still probing says nothing', () => {
    expect(newResponder().removeService({ service: 'arduino', protocol: 'tcp' })).toEqual([]);
  });
});
