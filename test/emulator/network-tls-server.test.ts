/** The TLS server of the device on loopback: when the handshake is made, its limits, and what remains of a life. */
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WallClock } from '../../emulator/clock.ts';
import { createDevice } from '../../emulator/index.ts';
import { Life } from '../../emulator/life.ts';
import { nodeNetwork } from '../../emulator/network/node-network.ts';
import { selfSigned } from '../../emulator/self-signed.ts';
import { PowerLost } from '../../flash/ports.ts';
import type { ServiceEvent, WireEvent } from '../../ota-services/events.ts';
import type { Network, TcpConnection, TlsListener } from '../../ota-services/ports.ts';
import { ESP8266WebServerSecure } from '../../ota-services/web-server/web-server-secure.ts';
import { nodeMd5 } from '../support/flash.ts';
import { pattern } from '../support/network.ts';

const IDENTITY = selfSigned({ names: ['localhost', '127.0.0.1'], now: new Date() });
/** A handshake on loopback takes a few milliseconds. */
const PLENTY_MS = 10_000;

let life: Life;
let network: Network;
let events: WireEvent[];
const peers: Socket[] = [];
beforeEach(() => {
  life = new Life(new WallClock('fast'));
  events = [];
  network = nodeNetwork({ host: '127.0.0.1', emit: (event) => void events.push(event) }).forDevice(life);
});
afterEach(() => {
  for (const peer of peers.splice(0)) peer.destroy();
  life.end(new PowerLost());
});

const listen = (): Promise<TlsListener> => network.listenTls!(0, IDENTITY);

function plainPeer({ local }: TlsListener): Socket {
  const socket = connectPlain(local.port, local.address).on('error', () => {});
  peers.push(socket);
  return socket;
}

function tlsPeer({ local }: TlsListener): TLSSocket {
  const socket = connect({ port: local.port, host: local.address, ca: IDENTITY.cert, servername: 'localhost' });
  socket.on('error', () => {});
  peers.push(socket);
  return socket;
}

/** `once` would reject for the reset that came before. */
async function gone(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

async function accepted(listener: TlsListener): Promise<TcpConnection> {
  for (;;) {
    const connection = listener.accept();
    if (connection) return connection;
    await pause(1);
  }
}

async function read(connection: TcpConnection, length: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (let got = 0; got < length; ) {
    if (connection.available() === 0) await connection.wait(PLENTY_MS);
    const piece = connection.read(length - got);
    pieces.push(piece);
    got += piece.length;
  }
  return Buffer.concat(pieces);
}

describe('the handshake', () => {
  test('is made when the server turns to the connection, not before; then plain bytes go both ways', async () => {
    const listener = await listen();
    const peer = tlsPeer(listener);
    const waiting = await accepted(listener);
    await waiting.wait(PLENTY_MS); // the client's hello
    expect(waiting.available()).toBeGreaterThan(100);
    expect(peer.authorized).toBe(false);
    const connection = await listener.secure(waiting, PLENTY_MS);
    if (!peer.authorized) await once(peer, 'secureConnect');
    expect([peer.authorized, peer.getProtocol()]).toEqual([true, 'TLSv1.2']);
    const sent = pattern(100_000);
    peer.write(sent);
    expect(Buffer.compare(await read(connection!, sent.length), sent)).toBe(0);
    connection!.write(Buffer.from('answer'));
    expect(String((await once(peer, 'data'))[0])).toBe('answer');
    expect(connection!.remote.port).toBe(peer.localPort);
    // The events show plain bytes alone, and all of them.
    const bytes = (type: string): number => events.filter((e) => e.type === type).reduce((sum, e) => sum + e.length, 0);
    expect([bytes('wire.in'), bytes('wire.out')]).toEqual([sent.length, 6]);
  });

  test('invariant: the device never sees more than its window, and a peer that floods is slowed', async () => {
    const listener = await listen();
    const peer = tlsPeer(listener);
    const connection = (await listener.secure(await accepted(listener), PLENTY_MS))!;
    const flood = Buffer.alloc(16 << 20);
    let sent = false;
    peer.write(flood, () => {
      sent = true;
    });
    for (let i = 0; i < 20; i++) {
      await connection.wait(20);
      expect(connection.available()).toBeLessThanOrEqual(2144);
    }
    expect(sent).toBe(false);
  });

  test.each([
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['half a hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc'],
    ['more than the window holds', 'x'.repeat(5000)],
  ])('with a peer that speaks something else (%s) there is none, and it is sent away', async (_what, text) => {
    const listener = await listen();
    const peer = plainPeer(listener);
    peer.end(text, 'latin1');
    expect(await listener.secure(await accepted(listener), PLENTY_MS)).toBeUndefined();
    await gone(peer);
  });

  test('has a limit', async () => {
    const listener = await listen();
    const peer = plainPeer(listener);
    const waiting = await accepted(listener);
    expect(await listener.secure(waiting, 20)).toBeUndefined();
    await gone(peer);
    expect(waiting.connected()).toBe(false);
  });

  test('a peer that went while it waited is nobody', async () => {
    const listener = await listen();
    const peer = plainPeer(listener);
    const waiting = await accepted(listener);
    peer.resetAndDestroy();
    while (waiting.connected()) await waiting.wait(PLENTY_MS);
    expect(await listener.secure(waiting, PLENTY_MS)).toBeUndefined();
  });

  test('ends with the life, and the peer is sent away', async () => {
    const listener = await listen();
    const peer = plainPeer(listener);
    const handshake = listener.secure(await accepted(listener), PLENTY_MS);
    const cut = new PowerLost();
    life.end(cut);
    await expect(handshake).rejects.toBe(cut);
    await gone(peer);
  });

  test('the end of a life closes what is inside TLS', async () => {
    const listener = await listen();
    const peer = tlsPeer(listener);
    await listener.secure(await accepted(listener), PLENTY_MS);
    life.end(new PowerLost());
    await gone(peer);
  });
});

describe('the web server behind TLS', () => {
  const ports = () => ({
    clock: { micros: () => 0, millis: () => performance.now() >>> 0, delay: () => pause(1), yield: async () => {} },
    network,
    system: { freeHeap: () => 30_000, allocate: () => true, release: () => {} },
    md5: nodeMd5,
    emit: (_event: ServiceEvent) => {},
    random32: () => 0,
  });

  test('without a key it listens and turns to nobody', async () => {
    const server = new ESP8266WebServerSecure(ports(), 0);
    server.on('/', () => server.send(200, 'text/plain', 'x'));
    await server.begin();
    const peer = connectPlain(server.local!.port, '127.0.0.1').on('error', () => {});
    peers.push(peer);
    peer.write('GET / HTTP/1.1\r\n\r\n');
    await once(peer, 'connect');
    for (let i = 0; i < 20; i++) {
      await server.handleClient();
      await pause(1);
    }
    expect(() => server.client()).toThrow(/there is nobody/);
    expect(peer.bytesRead).toBe(0);
    server.close();
  });

  test('a network without TLS is told', async () => {
    const { listenTcp } = network;
    const server = new ESP8266WebServerSecure({ ...ports(), network: { listenTcp: listenTcp.bind(network) } }, 0);
    server.getServer().setRSACert(IDENTITY.cert, IDENTITY.key);
    await expect(server.begin()).rejects.toThrow(/no TLS/);
  });

  test('on the virtual clock the sketch says so, and the device runs', async () => {
    const device = await createDevice({ clock: 'virtual', sketch: 'secure-web-updater' });
    expect(await device.powerOn()).toEqual({ state: 'running' });
    expect(device.events.recent('sketch.log').map(({ text }) => text)).toEqual([
      'secure-web-updater: the simulated network has no TLS, so nothing listens; use --time fast or real',
    ]);
    expect(device.address.https).toBeUndefined();
    await device.close();
  });
});
