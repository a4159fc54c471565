import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../emulator/clock.ts';
import { Life } from '../../emulator/life.ts';
import { type Packet, SimulatedNetwork } from '../../emulator/network/simulated-network.ts';
import { PowerLost } from '../../flash/ports.ts';
import type { TcpConnection } from '../../ota-services/ports.ts';
import { drive, pattern, simulatedLab } from '../support/network.ts';

const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

/** The device as TCP client, its peer, and everything around. */
async function connected(options: Parameters<typeof simulatedLab>[0] = {}) {
  const lab = simulatedLab(options);
  const listener = lab.network.listenTcp('192.168.1.10', 4000);
  const connection = (await drive(lab.clock, lab.device.connectTcp(listener.local, 5000)))!;
  await lab.clock.advance(2000);
  return { ...lab, listener, connection, peer: listener.accept()! };
}

function readAll(connection: TcpConnection): Uint8Array {
  return connection.read(connection.available());
}

describe('UDP', () => {
  test('a datagram takes the latency of its direction, and the answer leaves from the bound port', async () => {
    const { clock, network, device, life } = simulatedLab({ latencyUs: { toDevice: 300, toPeer: 700 } });
    const socket = await device.bindUdp(8266);
    const seen: [string, number][] = [];
    socket.onDatagram((data, from) => {
      seen.push([text(data), clock.nowUs()]);
      socket.send(new TextEncoder().encode('OK'), from);
    });
    const peer = network.udp('192.168.1.10', 5000);
    peer.send('hello', 8266);
    let woken = false;
    void life.idle(10_000_000).then(() => {
      woken = true;
    });
    await clock.advance(999);
    expect(seen).toEqual([['hello', 300]]);
    expect(woken).toBe(true);
    expect(peer.received).toHaveLength(0);
    await clock.advance(1);
    expect(peer.received).toMatchObject([{ from: { address: '192.168.1.50', port: 8266 }, atUs: 1000 }]);
    expect(text(peer.received[0]!.data)).toBe('OK');
  });

  test('datagrams to nobody are lost: closed port, other address, device between two lives', async () => {
    const { clock, network, device, life } = simulatedLab();
    const socket = await device.bindUdp(8266);
    let count = 0;
    socket.onDatagram(() => void count++);
    const peer = network.udp();
    peer.send('x', 8267);
    peer.send('x', { address: '192.168.1.99', port: 8266 });
    socket.send(pattern(3), { address: '192.168.1.99', port: 1 });
    life.end(new PowerLost());
    peer.send('x', 8266);
    await clock.advance(10_000);
    expect(count).toBe(0);
  });

  test('a port is bound once, and free again after close; port 0 chooses', async () => {
    const { device } = simulatedLab();
    const socket = await device.bindUdp(8266);
    await expect(device.bindUdp(8266)).rejects.toThrow('192.168.1.50:8266 is in use');
    socket.close();
    await device.bindUdp(8266);
    const [a, b] = [await device.bindUdp(0), await device.bindUdp(0)];
    expect(a.local.port).not.toBe(b.local.port);
  });

  test('multicast reaches every member of the group and port, and the device is no echo to itself', async () => {
    const { clock, network, device, events } = simulatedLab();
    const member = network.udp('192.168.1.10', 5353, { group: '224.0.0.251' });
    const other = network.udp('192.168.1.11', 5354, { group: '224.0.0.251' });
    const mine = await device.joinMulticast('224.0.0.251', 5353);
    const heard: string[] = [];
    mine.onDatagram((data, from) => heard.push(`${text(data)} ${from.address}`));
    mine.send(new TextEncoder().encode('announce'), { address: '224.0.0.251', port: 5353 });
    member.send('query', { address: '224.0.0.251', port: 5353 });
    other.send('direct', { address: '192.168.1.50', port: 5353 });
    await clock.advance(1000);
    expect(member.received.map((one) => text(one.data))).toEqual(['announce']);
    expect(other.received).toEqual([]);
    expect(heard).toEqual(['query 192.168.1.10', 'direct 192.168.1.11']);
    expect(new Set(events.map((event) => event.channel))).toEqual(new Set(['mdns']));
  });
});

describe('TCP, connecting', () => {
  test('the device is refused at once, or waits for nobody until its timeout', async () => {
    const { clock, network, device } = simulatedLab();
    network.addHost('192.168.1.10');
    expect(await drive(clock, device.connectTcp({ address: '192.168.1.10', port: 1 }, 5000))).toBeUndefined();
    expect(clock.nowUs()).toBeLessThan(3000);
    const before = clock.nowUs();
    expect(await drive(clock, device.connectTcp({ address: '192.168.1.77', port: 1 }, 5000))).toBeUndefined();
    expect(clock.nowUs() - before).toBeGreaterThanOrEqual(5_000_000);
    expect(clock.nowUs() - before).toBeLessThan(5_010_000);
  });

  test('a peer is refused where nobody listens, and otherwise waits in the accept queue', async () => {
    const { clock, network, device } = simulatedLab();
    const refused = network.connectTcp(80);
    const listener = await device.listenTcp(8080);
    const peer = network.connectTcp(8080, { from: '192.168.1.33', localPort: 777 });
    peer.write('GET');
    await clock.advance(5000);
    expect(refused.state).toBe('refused');
    expect(peer.history).toEqual([
      { state: 'connecting', atUs: 0 },
      { state: 'open', atUs: 1000 },
    ]);
    const connection = listener.accept()!;
    expect(connection.remote).toEqual({ address: '192.168.1.33', port: 777 });
    expect(text(readAll(connection))).toBe('GET');
    expect(listener.accept()).toBeUndefined();
  });

  test('the sixth waiting connection gets in when the device has taken one', async () => {
    const { clock, network, device } = simulatedLab();
    const listener = await device.listenTcp(80);
    const peers = Array.from({ length: 6 }, () => network.connectTcp(80));
    await clock.advance(10_000);
    expect(peers.map((peer) => peer.state)).toEqual([...Array(5).fill('open'), 'connecting']);
    listener.accept();
    await clock.advance(2_000_000);
    expect(peers[5]!.state).toBe('open');
  });

  test('closing the listener resets those who wait and refuses those who come', async () => {
    const { clock, network, device } = simulatedLab();
    const listener = await device.listenTcp(80);
    const waiting = network.connectTcp(80);
    await clock.advance(5000);
    listener.close();
    const late = network.connectTcp(80);
    await clock.advance(5000);
    expect([waiting.state, late.state]).toEqual(['reset', 'refused']);
  });
});

describe('TCP, data', () => {
  test('invariant: the window bounds what is available, and the rest waits at the peer', async () => {
    const { clock, connection, peer } = await connected();
    const sent = pattern(10_000);
    peer.write(sent);
    await clock.advance(100_000);
    expect(connection.available()).toBe(2144);
    expect(peer.pendingBytes).toBe(10_000 - 2144);
    const got: number[] = [];
    while (got.length < sent.length) {
      expect(connection.available()).toBeLessThanOrEqual(2144);
      got.push(...connection.read(700));
      await clock.advance(1000);
    }
    expect(Uint8Array.from(got)).toEqual(sent);
    expect(peer.pendingBytes).toBe(0);
  });

  test('segments are as large as the MSS, and spread when the link is busy with each', async () => {
    const { clock, connection, peer } = await connected({ mss: 536, segmentGapUs: 2000 });
    peer.write(pattern(1460));
    const seen: number[] = [];
    for (let i = 0; i < 10; i++) {
      await clock.advance(1000);
      if (connection.available() > 0) seen.push(readAll(connection).length);
    }
    expect(seen).toEqual([536, 536, 388]);
  });

  test('writes are not held back: each arrives as its own piece', async () => {
    const { clock, connection, peer } = await connected();
    const pieces: string[] = [];
    peer.onData((data) => pieces.push(text(data)));
    connection.write(new TextEncoder().encode('1460'));
    connection.write(new TextEncoder().encode('OK'));
    await clock.advance(500);
    expect(pieces).toEqual(['1460', 'OK']);
  });

  test('flush ends with the acknowledgement, or without progress after its limit', async () => {
    const { clock, network, connection } = await connected();
    connection.write(pattern(100));
    const before = clock.nowUs();
    await drive(clock, connection.flush(300));
    expect(clock.nowUs() - before).toBe(1000);
    network.link = (packet) => (packet.direction === 'to-peer' ? 'drop' : 'pass');
    connection.write(pattern(100));
    await drive(clock, connection.flush(300));
    expect(clock.nowUs() - before).toBe(301_000);
  });

  test('wait ends with the first byte, or after its limit', async () => {
    const { clock, connection, peer } = await connected();
    const before = clock.nowUs();
    await drive(clock, connection.wait(10));
    expect(clock.nowUs() - before).toBe(10_000);
    const wait = connection.wait(1000);
    peer.write('x');
    await drive(clock, wait);
    expect(clock.nowUs() - before).toBe(11_000);
    expect(text(connection.peek(5))).toBe('x');
    expect(connection.available()).toBe(1);
  });

  test('invariant: whatever the link loses, delays or reorders, both streams arrive whole and in order', async () => {
    const verdict = fc.oneof(
      { weight: 5, arbitrary: fc.constant('pass' as const) },
      fc.constant('drop' as const),
      fc.nat(5000).map((delayUs) => ({ delayUs })),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(verdict, { maxLength: 40 }),
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 50, max: 3000 }),
        async (verdicts, writes, readSize) => {
          const { clock, network, connection, peer } = await connected();
          let index = 0;
          network.link = () => verdicts[index++] ?? 'pass';
          const sent = pattern(writes.reduce((sum, size) => sum + size, 0));
          let offset = 0;
          for (const size of writes) {
            peer.write(sent.subarray(offset, offset + size));
            connection.write(sent.subarray(offset, offset + size));
            offset += size;
          }
          const got: number[] = [];
          for (let i = 0; i < 3000 && (got.length < sent.length || peer.receivedBytes < sent.length); i++) {
            got.push(...connection.read(readSize));
            await clock.advance(1_000_000);
          }
          expect(Uint8Array.from(got)).toEqual(sent);
          expect(peer.read()).toEqual(sent);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe('TCP, the end', () => {
  test('FIN with nothing unread: the device aborts at once', async () => {
    const { clock, connection, peer } = await connected();
    peer.end();
    expect(peer.state).toBe('we-ended');
    await clock.advance(1000);
    expect(connection.connected()).toBe(false);
    expect(peer.state).toBe('reset');
  });

  test('FIN together with data: readable, not writable; then closing is orderly', async () => {
    const { clock, connection, peer } = await connected();
    peer.end('last words');
    await clock.advance(1000);
    expect(connection.connected()).toBe(false);
    expect(connection.write(pattern(1))).toBe(false);
    expect(text(readAll(connection))).toBe('last words');
    connection.close();
    await clock.advance(1000);
    expect(peer.state).toBe('closed');
    expect(peer.receivedBytes).toBe(0);
  });

  test('close with unread bytes is RST, without them FIN after what is queued', async () => {
    const first = await connected();
    first.peer.write('unread');
    await first.clock.advance(1000);
    first.connection.close();
    await first.clock.advance(1000);
    expect(first.peer.state).toBe('reset');
    const second = await connected();
    second.connection.write(new TextEncoder().encode('OK'));
    second.connection.close();
    await second.clock.advance(1000);
    expect(second.peer.readText()).toBe('OK');
    expect(second.peer.state).toBe('device-ended');
    second.peer.end();
    await second.clock.advance(1000);
    expect(second.peer.state).toBe('closed');
    expect(second.connection.available()).toBe(0);
  });

  test('RST from the peer leaves what arrived readable', async () => {
    const { clock, connection, peer } = await connected();
    peer.write('rest');
    peer.reset();
    await clock.advance(1000);
    expect(connection.connected()).toBe(false);
    expect(connection.write(pattern(1))).toBe(false);
    expect(text(readAll(connection))).toBe('rest');
    expect(peer.state).toBe('aborted');
  });

  test('abort is RST at once', async () => {
    const { clock, connection, peer } = await connected();
    connection.abort();
    connection.abort();
    await clock.advance(500);
    expect(peer.state).toBe('reset');
  });
});

describe('the end of a life', () => {
  test('invariant: every port rejects or throws the interruption afterwards', async () => {
    const { clock, life, device, connection } = await connected();
    const socket = await device.bindUdp(0);
    const listener = await device.listenTcp(80);
    const waiting = [connection.wait(1000), device.connectTcp({ address: '10.0.0.1', port: 1 }, 5000)];
    const lost = new PowerLost();
    life.end(lost);
    for (const promise of waiting) await expect(promise).rejects.toBe(lost);
    for (const call of [
      () => device.bindUdp(0),
      () => device.joinMulticast('224.0.0.251', 5353),
      () => device.connectTcp({ address: '10.0.0.1', port: 1 }, 1),
      () => device.listenTcp(0),
      async () => connection.wait(1),
      async () => connection.flush(1),
      async () => connection.available(),
      async () => connection.read(1),
      async () => connection.peek(1),
      async () => connection.connected(),
      async () => connection.write(pattern(1)),
      async () => listener.accept(),
      async () => socket.send(pattern(1), { address: '10.0.0.1', port: 1 }),
    ]) {
      await expect(call()).rejects.toBe(lost);
    }
    for (const closing of [connection, socket, listener]) closing.close();
    await clock.advance(100_000_000);
  });

  test('a vanished device is silence, until its next life answers with RST', async () => {
    const { clock, network, life, peer } = await connected();
    life.end(new PowerLost());
    peer.write('are you there');
    await clock.advance(600_000);
    expect(peer.state).toBe('open');
    network.forDevice(new Life(clock));
    await clock.advance(1_000_000);
    expect(peer.state).toBe('reset');
  });

  test('a device that never returns is given up after the repetitions', async () => {
    const { clock, life, peer } = await connected();
    life.end(new PowerLost());
    peer.write('are you there');
    await clock.advance(3_600_000_000);
    expect(peer.state).toBe('timed-out');
  });

  test("onLifeEnd 'reset': peers hear it at once", async () => {
    const { clock, life, peer } = await connected({ onLifeEnd: 'reset' });
    life.end(new PowerLost());
    await clock.advance(500);
    expect(peer.state).toBe('reset');
  });

  test('two lives at once are a mistake', () => {
    const { clock, network, life, device } = simulatedLab();
    expect(network.forDevice(life)).toBe(device);
    expect(() => network.forDevice(new Life(clock))).toThrow('still holds the network');
  });
});

test('invariant: the same calls give the same packets at the same times', async () => {
  async function run(): Promise<string[]> {
    const clock = new VirtualClock();
    const network = new SimulatedNetwork({ clock });
    const packets: string[] = [];
    network.link = (packet: Packet) => {
      packets.push(`${clock.nowUs()} ${packet.direction} ${packet.protocol} ${JSON.stringify(packet.segment ?? {})}`);
      return 'pass';
    };
    const device = network.forDevice(new Life(clock));
    const listener = network.listenTcp();
    const connection = (await drive(clock, device.connectTcp(listener.local, 1000)))!;
    await clock.advance(1000);
    const peer = listener.accept()!;
    peer.end(pattern(5000));
    while (connection.connected() || connection.available() > 0) {
      readAll(connection);
      await clock.advance(300);
    }
    connection.close();
    await clock.advance(1000);
    return packets;
  }
  const [first, second] = [await run(), await run()];
  expect(first.length).toBeGreaterThan(10);
  expect(second).toEqual(first);
});
