/** TLS 1.2 and DNS on this machine's sockets. Source: spec chapter 04 §15, §23. */
import { readFileSync } from 'node:fs';
import {
  type AddressInfo,
  createConnection,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net';
import { createServer, type TlsOptions as ServerOptions, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import { WallClock } from '../../emulator/clock.ts';
import { Life } from '../../emulator/life.ts';
import { nodeNetwork } from '../../emulator/network/node-network.ts';
import { PowerLost } from '../../flash/ports.ts';
import { WiFiClientSecure } from '../../ota-services/http-update-client/wifi-client.ts';
import type { Clock, Network, TcpConnection, TlsTrust } from '../../ota-services/ports.ts';
import { pattern } from '../support/network.ts';

const pem = (name: string): string => readFileSync(new URL(`../golden/tls/${name}`, import.meta.url), 'utf8');
const CA = pem('ca.pem');
/** SHA-1 of `server.pem`. */
const FINGERPRINT = '25:69:0D:DE:DD:D9:C7:9A:4F:93:7E:7C:4F:FF:76:9D:1B:28:8D:A1';
const WINDOW_BYTES = 2144;

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanUp.splice(0)) clean();
});

interface Lab {
  readonly life: Life;
  readonly network: Network;
  /** Connections that the server has secured. */
  readonly secured: TLSSocket[];
  readonly port: number;
}

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

function device(): { life: Life; network: Network } {
  const life = new Life(new WallClock('fast'));
  cleanUp.push(() => life.end(new PowerLost()));
  return { life, network: nodeNetwork({ host: '127.0.0.1', emit: () => {} }).forDevice(life) };
}

async function lab(options: ServerOptions = {}): Promise<Lab> {
  const secured: TLSSocket[] = [];
  const server = createServer({ cert: pem('server.pem'), key: pem('server.key'), ...options });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    secured.push(socket);
  });
  server.on('tlsClientError', () => {});
  return { ...device(), secured, port: await listening(server) };
}

const connect = async (
  { network, port }: Pick<Lab, 'network' | 'port'>,
  trust: TlsTrust,
  host = 'updates.test',
): Promise<TcpConnection | string> => {
  const result = await network.connectTls!({ address: '127.0.0.1', port }, { host, trust }, 2000);
  return 'error' in result ? result.error : result;
};

async function secure(at: Lab): Promise<{ connection: TcpConnection; peer: TLSSocket }> {
  const connection = await connect(at, { insecure: true });
  if (typeof connection === 'string') throw new Error(connection);
  await expect.poll(() => at.secured.length).toBe(1);
  return { connection, peer: at.secured[0]! };
}

describe('trust', () => {
  test.each<[string, TlsTrust, string]>([
    ['an authority and the right name', { ca: CA }, 'updates.test'],
    ['an authority and the address in the certificate', { ca: CA }, '127.0.0.1'],
    ['the fingerprint, whatever the name', { fingerprint: fingerprintBytes(FINGERPRINT) }, 'other.test'],
    ['no check at all', { insecure: true }, 'other.test'],
  ])('%s', async (_what, trust, host) => {
    const at = await lab();
    const connection = await connect(at, trust, host);
    expect(typeof connection).toBe('object');
    await expect.poll(() => at.secured[0]?.getProtocol()).toBe('TLSv1.2');
    expect(at.secured[0]!.servername || '').toBe(host === '127.0.0.1' ? '' : host);
  });

  test.each<[string, TlsTrust, string, RegExp]>([
    ['another authority', { ca: pem('other-ca.pem') }, 'updates.test', /certificate/i],
    ['another name', { ca: CA }, 'other.test', /other\.test/],
    ['another address', { ca: CA }, '127.0.0.2', /127\.0\.0\.2/],
    ['another fingerprint', { fingerprint: new Uint8Array(20) }, 'updates.test', /SHA-1 is 25690DDE/],
    [
      'a PEM text that is none',
      { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' },
      'updates.test',
      /./,
    ],
  ])('%s is refused', async (_what, trust, host, error) => {
    const at = await lab();
    expect(await connect(at, trust, host)).toMatch(error);
  });

  test('a server that speaks only TLS 1.3 is refused', async () => {
    expect(await connect(await lab({ minVersion: 'TLSv1.3' }), { insecure: true })).toMatch(/version|handshake/i);
  });

  test('a port where nobody listens, a server that hangs up, and one that speaks something else', async () => {
    const { network } = device();
    const closed = createTcpServer();
    const port = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    expect(await connect({ network, port }, { insecure: true })).toMatch(/no TCP connection/);
    const hangsUp = await listening(createTcpServer((socket) => void socket.end()));
    expect(await connect({ network, port: hangsUp }, { insecure: true })).toMatch(/./);
    const talks = await listening(createTcpServer((socket) => void socket.write('SSH-2.0-OpenSSH\r\n')));
    expect(await connect({ network, port: talks }, { insecure: true })).toMatch(/./);
  });
});

describe('WiFiClientSecure', () => {
  const clock: Clock = { micros: () => 0, millis: () => 0, delay: async () => {}, yield: async () => {} };
  const client = (network: Network): WiFiClientSecure => new WiFiClientSecure({ clock, network });

  test('row 92: without a trust setting every connect fails', async () => {
    const at = await lab();
    const one = client(at.network);
    expect(await one.connect('127.0.0.1', at.port)).toBe(false);
    expect(one.failure).toMatch(/no trust/);
    expect(at.secured).toEqual([]);
  });

  test('the last setter counts', async () => {
    const at = await lab();
    const one = client(at.network);
    one.setInsecure();
    one.setTrustAnchors(pem('other-ca.pem'));
    expect(await one.connect('127.0.0.1', at.port)).toBe(false);
    expect(one.failure).toMatch(/^TLS: /);
    expect(one.setFingerprint(FINGERPRINT)).toBe(true);
    expect(await one.connect('127.0.0.1', at.port)).toBe(true);
    await one.stop();
  });

  test('fingerprints: 20 bytes, or 40 digits with spaces or colons between bytes', () => {
    const one = client(device().network);
    const plain = FINGERPRINT.replaceAll(':', '');
    for (const text of [
      FINGERPRINT,
      plain,
      plain.toLowerCase(),
      FINGERPRINT.replaceAll(':', ' '),
      ` ${FINGERPRINT} `,
    ]) {
      expect([text, one.setFingerprint(text)]).toEqual([text, true]);
    }
    for (const text of ['', plain.slice(2), `${plain}00`, `2:5${plain.slice(2)}`, plain.replace('2', 'g')]) {
      expect([text, one.setFingerprint(text)]).toEqual([text, false]);
    }
    expect(one.setFingerprint(new Uint8Array(20))).toBe(true);
    expect(one.setFingerprint(new Uint8Array(19))).toBe(false);
  });
});

describe('a connection inside TLS', () => {
  test('invariant: bytes arrive whole both ways, and no more than the window is ever available', async () => {
    const { connection, peer } = await secure(await lab());
    const sent = pattern(300_000);
    peer.end(sent);
    const parts: Uint8Array[] = [];
    let most = 0;
    while (connection.connected() || connection.available() > 0) {
      most = Math.max(most, connection.available());
      if (connection.available() > 0) parts.push(connection.read(1000));
      else await connection.wait(2000);
    }
    expect(Buffer.concat(parts).equals(sent)).toBe(true);
    expect(most).toBe(WINDOW_BYTES);
  });

  test('what the device writes arrives; its close ends the stream in order', async () => {
    const { connection, peer } = await secure(await lab());
    const heard: Buffer[] = [];
    let ended = false;
    let failed = false;
    peer.on('data', (data) => void heard.push(data));
    peer.on('end', () => {
      ended = true;
    });
    peer.on('error', () => {
      failed = true;
    });
    const sent = pattern(5000);
    expect(connection.write(sent)).toBe(true);
    await connection.flush(2000);
    connection.close();
    await expect.poll(() => ended).toBe(true);
    expect(Buffer.concat(heard).equals(sent)).toBe(true);
    expect(failed).toBe(false);
    expect(connection.connected()).toBe(false);
  });

  test('its close says farewell: the last record is an alert, so the stream is not a truncated one', async () => {
    const at = await lab();
    let sent = Buffer.alloc(0);
    let ended = false;
    const proxy = createTcpServer((socket) => {
      const onward = createConnection(at.port, '127.0.0.1');
      socket.on('data', (data) => {
        sent = Buffer.concat([sent, data]);
      });
      socket.on('end', () => {
        ended = true;
      });
      socket.pipe(onward).pipe(socket);
      onward.on('error', () => {});
    });
    const connection = await connect({ network: at.network, port: await listening(proxy) }, { insecure: true });
    if (typeof connection === 'string') throw new Error(connection);
    connection.close();
    await expect.poll(() => ended).toBe(true);
    const types: number[] = [];
    for (let offset = 0; offset < sent.length; offset += 5 + sent.readUInt16BE(offset + 3)) types.push(sent[offset]!);
    expect(types.at(-1)).toBe(21);
  });

  test.each([
    ['abort', (connection: TcpConnection, _life: Life) => connection.abort()],
    ['a reset of the device', (_connection: TcpConnection, life: Life) => life.end(new PowerLost())],
  ])('%s ends the TCP connection at once, without a TLS farewell', async (_what, end) => {
    const at = await lab();
    const { connection, peer } = await secure(at);
    peer.write(pattern(300_000)); // more than the device has read
    await connection.wait(2000);
    end(connection, at.life);
    peer.resume();
    await expect.poll(() => peer.destroyed).toBe(true);
  });

  test('a reset of the device ends a handshake that is under way', async () => {
    const { life, network } = device();
    const port = await listening(createTcpServer());
    const waiting = connect({ network, port }, { insecure: true });
    const outcome = waiting.then(String, (error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, 50));
    life.end(new PowerLost());
    expect(await outcome).toBeInstanceOf(PowerLost);
  });
});

describe('DNS', () => {
  test('localhost is known', async () => {
    expect(await device().network.resolve!('localhost', 5000)).toBe('127.0.0.1');
  });

  test('a name that does not exist, one that cannot, and one without an answer in time', async () => {
    const { network } = device();
    expect(await network.resolve!('no such name', 300)).toBeUndefined();
    expect(await network.resolve!('nowhere.invalid', 300)).toBeUndefined();
    expect(await network.resolve!('a\0b', 300)).toBeUndefined();
  });

  test('a reset of the device ends the waiting', async () => {
    const { life, network } = device();
    const answer = network.resolve!('nowhere.invalid', 60_000);
    const outcome = answer.then(String, (error: unknown) => error);
    life.end(new PowerLost());
    expect(await outcome).toBeInstanceOf(PowerLost);
  });
});

function fingerprintBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}
