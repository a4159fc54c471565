import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { WallClock } from '../../emulator/clock.ts';
import { Life } from '../../emulator/life.ts';
import { nodeNetwork } from '../../emulator/network/node-network.ts';
import { PowerLost } from '../../flash/ports.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type { Network, TcpConnection } from '../../ota-services/ports.ts';
import { pattern } from '../support/network.ts';

const HOST = '127.0.0.1';
const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);
const turn = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Everything opened by a test, shut again after it. */
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean();
});

function newLife(host = HOST): { life: Life; device: Network; events: WireEvent[] } {
  const events: WireEvent[] = [];
  const life = new Life(new WallClock('fast'));
  cleanups.push(() => life.end(new PowerLost()));
  return { life, device: nodeNetwork({ host, emit: (event) => void events.push(event) }).forDevice(life), events };
}

/** A server of the outside world; `next` gives its connections. */
async function peerServer(): Promise<{ server: Server; port: number; next: () => Promise<Socket> }> {
  const server = createServer({ allowHalfOpen: true });
  const sockets: Socket[] = [];
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    cleanups.push(() => socket.destroy());
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  cleanups.push(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    server,
    port: address.port,
    next: async () => {
      while (sockets.length === 0) await turn();
      return sockets.shift()!;
    },
  };
}

/** A port that answers nobody: its program sleeps and its backlog is full. Linux then ignores further SYNs. */
async function deafServer(): Promise<number> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
    const server = require('node:net').createServer();
    server.listen({ host: '${HOST}', port: 0, backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
    });`,
    { eval: true },
  );
  cleanups.push(() => void worker.terminate());
  const [port] = await once(worker, 'message');
  for (let i = 0; i < 4; i++) {
    const socket = createConnection({ host: HOST, port });
    socket.on('error', () => {});
    cleanups.push(() => socket.destroy());
  }
  await turn(50);
  return port;
}

/** The device connected to a peer's socket. */
async function pair() {
  const lab = newLife();
  const peer = await peerServer();
  const connection = (await lab.device.connectTcp({ address: HOST, port: peer.port }, 5000))!;
  return { ...lab, connection, socket: await peer.next() };
}

/** How the peer learns of the end: `end` for FIN, an error code for RST. */
function ending(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('end', () => resolve('end'));
    socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    socket.resume();
  });
}

async function until(connection: TcpConnection, count: number): Promise<void> {
  while (connection.available() < count) await connection.wait(5000);
}

describe('UDP', () => {
  test('answers come from the bound port, and both directions are told as events', async () => {
    const { life, device, events } = newLife();
    const socket = await device.bindUdp(0);
    socket.onDatagram((data, from) => socket.send(bytes(`echo ${data.length}`), from));
    const peer = createSocket('udp4');
    cleanups.push(() => peer.close());
    const idle = life.idle(60_000_000);
    const answer = once(peer, 'message');
    peer.send(pattern(300), socket.local.port, HOST);
    const [message, from] = await answer;
    await idle;
    expect(text(message)).toBe('echo 300');
    expect(from).toMatchObject({ address: HOST, port: socket.local.port });
    const shown = Buffer.from(pattern(256)).toString('base64');
    const name = `${HOST}:${peer.address().port}`;
    expect(events).toEqual([
      { type: 'wire.in', channel: 'udp', peer: name, length: 300, data: shown },
      { type: 'wire.out', channel: 'udp', peer: name, length: 8, data: Buffer.from('echo 300').toString('base64') },
    ]);
  });

  test('sending never throws, whoever is meant, also after closing', async () => {
    const { device } = newLife();
    const socket = await device.bindUdp(0);
    for (const to of [
      { address: HOST, port: 1 },
      { address: HOST, port: 0 },
      { address: '255.255.255.255', port: 9 },
      { address: '203.0.113.1', port: 9 },
    ]) {
      socket.send(pattern(10), to);
    }
    socket.send(new Uint8Array(70_000), { address: HOST, port: 9 });
    await turn(20);
    socket.close();
    socket.close();
    socket.send(pattern(10), { address: HOST, port: 9 });
  });

  test('a datagram that is sent and followed by close still leaves', async () => {
    const { device } = newLife();
    const peer = createSocket('udp4');
    cleanups.push(() => peer.close());
    peer.bind(0, HOST);
    await once(peer, 'listening');
    const heard = once(peer, 'message');
    const socket = await device.bindUdp(0);
    socket.send(bytes('goodbye'), { address: HOST, port: peer.address().port });
    socket.close();
    expect(text((await heard)[0])).toBe('goodbye');
  });

  test('a port in use, and an address that is not ours, are told in words', async () => {
    const { device } = newLife();
    const { local } = await device.bindUdp(0);
    await expect(device.bindUdp(local.port)).rejects.toThrow(
      `UDP port ${HOST}:${local.port} is in use: stop the program that has it, or choose another port (0 lets`,
    );
    await expect(newLife('203.0.113.77').device.bindUdp(0)).rejects.toThrow('203.0.113.77 is not an address of this');
    expect(() => nodeNetwork({ host: 'localhost', emit: () => {} })).toThrow(RangeError);
    await expect(device.bindUdp(65_536)).rejects.toThrow(RangeError);
  });

  test('multicast on loopback: two devices share the port and hear each other', async () => {
    const [a, b] = [newLife(), newLife()];
    const group = { address: '224.0.0.251', port: 5353 };
    const [first, second] = [
      await a.device.joinMulticast(group.address, group.port),
      await b.device.joinMulticast(group.address, group.port),
    ];
    // Other programs may talk on this group while we listen.
    const wanted = `test ${process.pid}`;
    const heard = new Promise<string>((resolve) => {
      second.onDatagram((data, from) => {
        if (text(data) === wanted) resolve(`${from.address}:${from.port}`);
      });
    });
    first.send(bytes(wanted), group);
    expect(await heard).toBe('127.0.0.1:5353');
    expect(b.events.some((event) => event.channel === 'mdns' && event.type === 'wire.in')).toBe(true);
  });
});

test('the station has the address and netmask of its interface', () => {
  expect(newLife().device).toMatchObject({ address: '127.0.0.1', netmask: '255.0.0.0' });
  const outward = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find((one) => one.family === 'IPv4' && !one.internal);
  const expected = outward ?? { address: '127.0.0.1', netmask: '255.0.0.0' };
  expect(newLife('0.0.0.0').device).toMatchObject({ address: expected.address, netmask: expected.netmask });
});

describe('TCP, connecting', () => {
  test('refused is undefined at once, no answer is undefined after the timeout', async () => {
    const { device } = newLife();
    const { server, port } = await peerServer();
    server.close();
    await once(server, 'close');
    expect(await device.connectTcp({ address: HOST, port }, 60_000)).toBeUndefined();
    const deaf = await deafServer();
    expect(await device.connectTcp({ address: HOST, port: deaf }, 50)).toBeUndefined();
  });

  test('the device connects from its own address', async () => {
    const { device } = newLife('127.0.0.5');
    const peer = await peerServer();
    const connection = (await device.connectTcp({ address: HOST, port: peer.port }, 5000))!;
    const socket = await peer.next();
    expect(socket.remoteAddress).toBe('127.0.0.5');
    expect(connection.local).toEqual({ address: '127.0.0.5', port: socket.remotePort });
    expect(connection.remote).toEqual({ address: HOST, port: peer.port });
  });

  test('more connections than the backlog wait their turn, with what they sent', async () => {
    const { life, device } = newLife();
    const listener = await device.listenTcp(0);
    const sockets = Array.from({ length: 8 }, (_, i) => {
      const socket = createConnection({ host: HOST, port: listener.local.port });
      socket.on('error', () => {});
      socket.write(`peer ${i}`);
      cleanups.push(() => socket.destroy());
      return socket;
    });
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const greetings: string[] = [];
    while (greetings.length < 8) {
      const connection = listener.accept();
      if (!connection) {
        await life.idle(1_000_000);
        continue;
      }
      await until(connection, 6);
      greetings.push(text(connection.read(100)));
      connection.close();
    }
    expect(greetings.sort()).toEqual(Array.from({ length: 8 }, (_, i) => `peer ${i}`));
    await expect(device.listenTcp(listener.local.port)).rejects.toThrow(
      `TCP port ${HOST}:${listener.local.port} is in`,
    );
    listener.close();
    await device.listenTcp(listener.local.port);
  });
});

describe('TCP, data', () => {
  test('invariant: the window bounds what is seen, and a flooding peer is held back', async () => {
    const { connection, socket, device } = await pair();
    expect(device.address).toBe(HOST);
    const flood = Buffer.alloc(32 * 1024 * 1024, 7);
    socket.write(flood);
    await until(connection, 2144);
    await turn(50);
    expect(connection.available()).toBe(2144);
    expect(socket.writableLength).toBeGreaterThan(0);
    let got = 0;
    while (got < flood.length) {
      expect(connection.available()).toBeLessThanOrEqual(2144);
      const piece = connection.read(10_000);
      got += piece.length;
      if (piece.length === 0) await connection.wait(1000);
    }
    expect(got).toBe(flood.length);
  });

  test('what is written arrives as written, and flush waits for it to leave', async () => {
    const { connection, socket } = await pair();
    const sent = pattern(200_000);
    const got: Buffer[] = [];
    socket.on('data', (data) => got.push(data));
    const scratch = sent.slice();
    expect(connection.write(scratch)).toBe(true);
    scratch.fill(0);
    await connection.flush(5000);
    connection.close();
    await once(socket, 'end');
    expect(Buffer.compare(Buffer.concat(got), sent)).toBe(0);
    await connection.flush(5000);
  });

  test('flush gives up on a peer that does not read', async () => {
    const { connection } = await pair();
    connection.write(new Uint8Array(32 * 1024 * 1024));
    await connection.flush(30);
    expect(connection.connected()).toBe(true);
    connection.abort();
  });

  test('wait ends at its limit when nothing comes', async () => {
    const { connection } = await pair();
    await connection.wait(20);
    expect(connection.available()).toBe(0);
  });
});

test('reading ahead: more than the window, taken as if it had been read, and the FIN waits as long', async () => {
  const { connection, socket } = await pair();
  socket.end(pattern(5000));
  await until(connection, 2144);
  await turn(30);
  const ahead = connection.peekAhead!();
  expect(ahead).toEqual(pattern(5000));
  expect(connection.available()).toBe(2144);
  connection.skip!(2000);
  expect(connection.read(1)).toEqual(ahead.slice(2000, 2001));
  expect([connection.available(), connection.connected()]).toEqual([2144, true]);
  connection.skip!(1000);
  expect([connection.available(), connection.connected()]).toEqual([1999, false]);
  expect(connection.peekAhead!()).toEqual(ahead.slice(3001));
  connection.skip!(1999);
  expect(connection.peekAhead!()).toHaveLength(0);
});

describe('TCP, the end', () => {
  test('FIN with nothing unread: RST at once', async () => {
    const { connection, socket } = await pair();
    const ended = ending(socket);
    socket.end();
    expect(await ended).toBe('ECONNRESET');
    expect(connection.connected()).toBe(false);
    expect(connection.write(bytes('x'))).toBe(false);
  });

  test('FIN behind unread data: readable, not writable, then an orderly end', async () => {
    const { connection, socket } = await pair();
    const ended = ending(socket);
    socket.end('last words');
    await until(connection, 10);
    while (connection.connected()) await connection.wait(1000);
    expect(connection.available()).toBe(10);
    expect(connection.write(bytes('x'))).toBe(false);
    expect(text(connection.peek(4))).toBe('last');
    expect(text(connection.read(100))).toBe('last words');
    connection.close();
    expect(await ended).toBe('end');
    expect(socket.bytesRead).toBe(0);
  });

  test('a FIN behind more than the window is not seen before the rest is', async () => {
    const { connection, socket } = await pair();
    socket.end(pattern(5000));
    await until(connection, 2144);
    await turn(30);
    expect(connection.connected()).toBe(true);
    const got: number[] = [];
    while (got.length < 5000) {
      got.push(...connection.read(1000));
      if (connection.available() === 0 && got.length < 5000) await connection.wait(1000);
    }
    expect(Uint8Array.from(got)).toEqual(pattern(5000));
    while (connection.connected()) await connection.wait(1000);
  });

  test('close with unread bytes is RST, without them FIN; abort is RST', async () => {
    const first = await pair();
    first.socket.write('unread');
    await until(first.connection, 6);
    first.connection.close();
    expect(await ending(first.socket)).toBe('ECONNRESET');
    const second = await pair();
    second.connection.write(bytes('OK'));
    second.connection.close();
    second.connection.close();
    expect(second.connection.connected()).toBe(false);
    expect(await ending(second.socket)).toBe('end');
    expect(second.socket.bytesRead).toBe(2);
    const third = await pair();
    third.connection.abort();
    expect(await ending(third.socket)).toBe('ECONNRESET');
    expect(third.connection.available()).toBe(0);
  });

  test('RST from the peer ends the connection and leaves what arrived', async () => {
    const { connection, socket } = await pair();
    socket.write('rest');
    await until(connection, 4);
    socket.resetAndDestroy();
    while (connection.connected()) await connection.wait(1000);
    expect(connection.write(bytes('x'))).toBe(false);
    expect(text(connection.read(10))).toBe('rest');
    connection.close();
    connection.abort();
  });
});

describe('the end of a life', () => {
  test('invariant: peers get RST, and every port rejects or throws the interruption', async () => {
    const { life, device, connection, socket } = await pair();
    const udp = await device.bindUdp(0);
    const listener = await device.listenTcp(0);
    const opening = [
      connection.wait(60_000),
      device.bindUdp(0),
      device.listenTcp(0),
      device.joinMulticast('224.0.0.251', 5353),
      device.connectTcp({ address: HOST, port: listener.local.port }, 60_000),
    ];
    const outcomes = Promise.allSettled(opening);
    const ended = ending(socket);
    const lost = new PowerLost();
    life.end(lost);
    expect(await ended).toBe('ECONNRESET');
    expect(await outcomes).toEqual(opening.map(() => ({ status: 'rejected', reason: lost })));
    for (const call of [
      () => device.bindUdp(0),
      () => device.joinMulticast('224.0.0.251', 5353),
      () => device.connectTcp({ address: HOST, port: 1 }, 1),
      () => device.listenTcp(0),
      async () => connection.wait(1),
      async () => connection.flush(1),
      async () => connection.available(),
      async () => connection.read(1),
      async () => connection.peek(1),
      async () => connection.connected(),
      async () => connection.write(bytes('x')),
      async () => listener.accept(),
      async () => udp.send(bytes('x'), { address: HOST, port: 1 }),
    ]) {
      await expect(call()).rejects.toBe(lost);
    }
    for (const one of [connection, udp, listener]) one.close();
    connection.abort();
  });

  test('1,000 lives with sockets of every kind leave nothing open', async () => {
    const peer = await peerServer();
    peer.server.on('connection', (socket) => socket.resume().on('end', () => socket.destroy()));
    const network = nodeNetwork({ host: HOST, emit: () => {} });
    const clock = new WallClock('fast');
    const before = process.getActiveResourcesInfo().length;
    for (let i = 0; i < 1000; i++) {
      const life = new Life(clock);
      const device = network.forDevice(life);
      const udp = await device.bindUdp(0);
      udp.send(bytes('x'), udp.local);
      const listener = await device.listenTcp(0);
      if (i % 4 === 0) await device.joinMulticast('224.0.0.251', 5353);
      const connection = await device.connectTcp(
        { address: HOST, port: i % 2 ? peer.port : listener.local.port },
        5000,
      );
      connection!.write(bytes('x'));
      const waits = [connection!.wait(60_000), connection!.flush(60_000)];
      // Some lives end while something is still being opened.
      if (i % 3 === 0) waits.push(device.bindUdp(0).then(), device.listenTcp(0).then());
      if (i % 3 === 1) waits.push(device.connectTcp({ address: HOST, port: peer.port }, 5000).then());
      const outcomes = Promise.allSettled(waits as Promise<unknown>[]);
      life.end(new PowerLost());
      await outcomes;
    }
    let left = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 100 && left > before; i++) {
      await turn(20);
      left = process.getActiveResourcesInfo().filter((name) => name !== 'Timeout').length;
    }
    expect(left).toBeLessThanOrEqual(before);
  });
});
