/** `Mdns` on the simulated network: rows 57, 58 and 62–67 of spec chapter 03 §14. */
import { describe, expect, test } from 'vitest';
import { Life } from '../../emulator/life.ts';
import type { PeerUdpSocket } from '../../emulator/network/simulated-peer.ts';
import { type Interruption, PowerLost } from '../../flash/ports.ts';
import { MDNS_GROUP, MDNS_PORT, TYPE_A, TYPE_PTR } from '../../ota-services/mdns/constants.ts';
import { Mdns } from '../../ota-services/mdns/mdns.ts';
import { parseMessage } from '../../ota-services/mdns/message.ts';
import { encodeMessage } from '../../ota-services/mdns/records.ts';
import type { Clock, Network } from '../../ota-services/ports.ts';
import { drive, goldenDatagram, type SimulatedLab, simulatedLab } from '../support/network.ts';

const GROUP = { address: MDNS_GROUP, port: MDNS_PORT };
const TYPE = ['_arduino', '_tcp', 'local'];

/** The sketch's clock: `millis()` counts from the start of the life. */
function sketchClock({ clock }: SimulatedLab): Clock {
  const start = clock.nowUs();
  const millis = (): number => Math.floor((clock.nowUs() - start) / 1000) >>> 0;
  return { micros: () => (clock.nowUs() - start) >>> 0, millis, delay: async () => {}, yield: async () => {} };
}

function newMdns(lab: SimulatedLab, network: Network = lab.device): Mdns {
  return new Mdns({ clock: sketchClock(lab), network }, { random: () => 100 });
}

/** A listener in the group, and `loop()`: calls update() every millisecond for so long. */
function newLab() {
  const lab = simulatedLab();
  const peer = lab.network.udp('192.168.1.10', MDNS_PORT, { group: MDNS_GROUP });
  const loop = async (mdns: Mdns, ms: number): Promise<void> => {
    for (let i = 0; i < ms; i++) {
      await drive(lab.clock, mdns.update());
    }
  };
  return { ...lab, peer, loop };
}

function begun(lab: SimulatedLab): Mdns {
  const mdns = newMdns(lab);
  expect(mdns.begin('esp8266-c0ffee')).toBe(true);
  expect(mdns.addArduinoService(8266, false)).toBe(true);
  return mdns;
}

const query = (name: readonly string[], type: number, id = 0): Uint8Array =>
  encodeMessage({ id, response: false, questions: [{ name, type, class: 1 }] });

/** What came since the last call. */
function taken(peer: PeerUdpSocket): Uint8Array[] {
  return peer.received.splice(0).map((datagram) => datagram.data);
}

const isResponse = (data: Uint8Array): boolean => parseMessage(data)!.response;

test('row 57: without begin nothing is joined and nothing sent', async () => {
  const { peer, loop, events, ...lab } = newLab();
  const mdns = newMdns({ ...lab, events });
  expect(mdns.addArduinoService(8266, false)).toBe(false);
  peer.send(query(TYPE, TYPE_PTR), GROUP);
  await loop(mdns, 3000);
  mdns.end();
  mdns.restart();
  expect(mdns.removeService('arduino', 'tcp')).toBe(false);
  await lab.clock.advance(10_000);
  expect([taken(peer), events]).toEqual([[], []]);
});

test('row 58: end says goodbye, to the byte, and answers no more', async () => {
  const lab = newLab();
  const mdns = begun(lab);
  await lab.loop(mdns, 1500);
  taken(lab.peer);
  mdns.end();
  await lab.clock.advance(1000);
  const [goodbye, ...more] = taken(lab.peer);
  expect(more).toEqual([]);
  const { answers } = parseMessage(goodbye!)!;
  expect(answers.map((record) => record.ttl)).toEqual([0, 0, 0, 0, 0, 0]);
  lab.peer.send(query(TYPE, TYPE_PTR), GROUP);
  await lab.loop(mdns, 3000);
  expect(taken(lab.peer)).toEqual([]);
});

test('row 62: ten seconds after the boot, a PTR query gets the one answer of §15.2', async () => {
  const lab = newLab();
  const mdns = begun(lab);
  await lab.loop(mdns, 10_000);
  const sent = taken(lab.peer);
  expect(sent).toHaveLength(22);
  for (const name of ['host-probe', 'service-probe', 'host-announcement', 'service-announcement']) {
    expect(sent, name).toContainEqual(goldenDatagram(name));
  }
  lab.peer.send(query(TYPE, TYPE_PTR), GROUP);
  await lab.clock.advance(1000);
  expect(taken(lab.peer)).toEqual([goldenDatagram('ptr-reply')]);
});

test('row 63: three and three probes in the first second, and no answers', async () => {
  const lab = newLab();
  const mdns = begun(lab);
  for (let i = 0; i < 9; i++) {
    lab.peer.send(query(TYPE, TYPE_PTR), GROUP);
    await lab.loop(mdns, 100);
  }
  const sent = taken(lab.peer);
  expect(sent).toHaveLength(6);
  expect(sent.some(isResponse)).toBe(false);
});

test('row 64: a name conflict while probing, and the device stays silent until it is restarted', async () => {
  const lab = newLab();
  const mdns = begun(lab);
  await lab.loop(mdns, 400);
  const theirs = goldenDatagram('host-announcement');
  theirs[37 + 4] = 51; // any response with this name will do
  lab.peer.send(theirs, GROUP);
  await lab.loop(mdns, 200);
  taken(lab.peer);
  await lab.loop(mdns, 10_000);
  lab.peer.send(query(TYPE, TYPE_PTR), GROUP);
  await lab.clock.advance(1000);
  mdns.end();
  await lab.clock.advance(1000);
  expect(taken(lab.peer)).toEqual([]);
  mdns.begin('esp8266-c0ffee');
  await lab.loop(mdns, 2000);
  expect(taken(lab.peer).filter(isResponse)).not.toEqual([]);
});

test('row 65: a query from another port is answered there, with its id', async () => {
  const lab = newLab();
  const mdns = begun(lab);
  await lab.loop(mdns, 1200);
  taken(lab.peer);
  const dig = lab.network.udp('192.168.1.11', 40_000);
  dig.send(query(['esp8266-c0ffee', 'local'], TYPE_A, 0xbeef), GROUP);
  await lab.clock.advance(1000);
  expect(taken(lab.peer)).toEqual([]);
  const [reply] = taken(dig);
  expect(parseMessage(reply!)).toMatchObject({
    id: 0xbeef,
    questions: [{ type: TYPE_A }],
    answers: [{ address: '192.168.1.50', cacheFlush: false, ttl: 120 }],
  });
});

test('row 66: while the sketch is blocked queries are answered, but nothing is announced', async () => {
  const lab = newLab();
  const mdns = begun(lab);
  await lab.loop(mdns, 1200);
  taken(lab.peer);
  for (let second = 0; second < 5; second++) {
    lab.peer.send(query(TYPE, TYPE_PTR), GROUP);
    await lab.clock.advance(1_000_000);
  }
  expect(taken(lab.peer)).toEqual(new Array(5).fill(goldenDatagram('ptr-reply')));
});

test('row 67: a restart of the device says no goodbye; after it probing begins again', async () => {
  const lab = newLab();
  const mdns = begun(lab);
  await lab.loop(mdns, 3000);
  taken(lab.peer);
  const reset: Interruption = new PowerLost();
  lab.life.end(reset);
  await expect(mdns.update()).rejects.toBe(reset);
  lab.peer.send(query(TYPE, TYPE_PTR), GROUP);
  await lab.clock.advance(2_000_000);
  expect(taken(lab.peer)).toEqual([]);
  const life = new Life(lab.clock);
  const again = newMdns(lab, lab.network.forDevice(life));
  again.begin('esp8266-c0ffee');
  again.addArduinoService(8266, false);
  await lab.loop(again, 1000);
  const sent = taken(lab.peer);
  expect(sent).toHaveLength(6);
  expect(sent[0]).toEqual(goldenDatagram('host-probe'));
  life.end(reset);
});

describe('the driver', () => {
  test('begin refuses names that fit in no label, and a second begin renames', async () => {
    const lab = newLab();
    const mdns = newMdns(lab);
    expect([mdns.begin(''), mdns.begin('h'.repeat(64))]).toEqual([false, false]);
    expect([mdns.begin('one'), mdns.addArduinoService(8266, true), mdns.begin('two')]).toEqual([true, true, true]);
    await lab.loop(mdns, 1000);
    const names = taken(lab.peer).map((data) => parseMessage(data)!.questions[0]!.name[0]);
    expect(new Set(names)).toEqual(new Set(['two']));
  });

  test('addService: the present hostname as instance, no TXT; the same again is refused', async () => {
    const lab = newLab();
    const mdns = begun(lab);
    expect(mdns.addService('http', 'tcp', 80)).toBe(true);
    expect(mdns.addService('http', 'tcp', 80)).toBe(false);
    mdns.begin('renamed');
    await lab.loop(mdns, 1100);
    taken(lab.peer);
    lab.peer.send(query(['_http', '_tcp', 'local'], TYPE_PTR), GROUP);
    await lab.clock.advance(1000);
    const reply = parseMessage(taken(lab.peer)[0]!)!;
    expect(reply.answers[0]!.target![0]).toBe('esp8266-c0ffee');
    expect(reply.additionals.map((record) => record.data.length)).toEqual([expect.any(Number), 0, 4]);
  });

  test('removeService says goodbye for it', async () => {
    const lab = newLab();
    const mdns = begun(lab);
    await lab.loop(mdns, 1100);
    taken(lab.peer);
    expect(mdns.removeService('arduino', 'tcp')).toBe(true);
    expect(mdns.removeService('arduino', 'tcp')).toBe(false);
    await lab.clock.advance(1000);
    expect(taken(lab.peer).map((data) => parseMessage(data)!.answers.map((record) => record.ttl))).toEqual([
      [0, 0, 0, 0],
    ]);
  });

  test('restart joins again and probes from the beginning', async () => {
    const lab = newLab();
    const mdns = begun(lab);
    await lab.loop(mdns, 1500);
    taken(lab.peer);
    mdns.restart();
    lab.peer.send(query(TYPE, TYPE_PTR), GROUP);
    await lab.loop(mdns, 1000);
    const sent = taken(lab.peer);
    expect(sent).toHaveLength(6);
    expect(sent.some(isResponse)).toBe(false);
  });

  test('end before the group is joined, begin after that: one socket, one voice', async () => {
    const lab = newLab();
    const mdns = begun(lab);
    mdns.end();
    mdns.begin('esp8266-c0ffee');
    mdns.restart();
    await lab.loop(mdns, 900);
    expect(taken(lab.peer)).toHaveLength(3);
    lab.peer.send(query(['esp8266-c0ffee', 'local'], TYPE_A), GROUP);
    await lab.clock.advance(1000);
    expect(taken(lab.peer)).toHaveLength(1);
  });

  test('a group that cannot be joined is told once, and the sketch goes on', async () => {
    const lab = newLab();
    const failures: string[] = [];
    const network: Network = {
      ...bound(lab.device),
      joinMulticast: () => Promise.reject(new Error('no such interface')),
    };
    const mdns = new Mdns(
      { clock: sketchClock(lab), network },
      { random: () => 0, onJoinFailed: (error) => failures.push(error.message) },
    );
    expect(mdns.begin('esp8266-c0ffee')).toBe(true);
    await lab.loop(mdns, 10);
    mdns.end();
    expect(failures).toEqual(['no such interface']);
  });

  test('a life that ends while the group is being joined ends the sketch, not the process', async () => {
    const lab = newLab();
    const reset = new PowerLost();
    let refuse = (_error: Error): void => {};
    const joining = new Promise<never>((_resolve, reject) => {
      refuse = reject;
    });
    const mdns = newMdns(lab, { ...bound(lab.device), joinMulticast: () => joining });
    mdns.begin('esp8266-c0ffee');
    refuse(reset);
    await expect(mdns.update()).rejects.toBe(reset);
  });
});

/** The methods of a network as own properties, so that a test can replace one. */
function bound(network: Network): Network {
  return {
    address: network.address,
    bindUdp: (port) => network.bindUdp(port),
    joinMulticast: (group, port) => network.joinMulticast(group, port),
    connectTcp: (to, timeoutMs) => network.connectTcp(to, timeoutMs),
    listenTcp: (port) => network.listenTcp(port),
  };
}
