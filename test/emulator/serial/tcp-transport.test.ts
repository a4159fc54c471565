/** The serial port on TCP: real sockets of this machine. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  createDevice,
  type Device,
  DeviceOptionError,
  type DeviceOptions,
  type HostPort,
  parseSerial,
  type SketchFactory,
} from '../../../emulator/index.ts';
import { checksum, encodeRequest, wordBytes } from '../../../ota-services/rom-loader/packets.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

async function device(options: DeviceOptions = {}): Promise<Device> {
  const made = await createDevice({
    ota: { port: 0 },
    http: { port: 0 },
    serial: { transport: 'tcp', port: 0 },
    ...options,
  });
  cleanUp.push(() => made.close());
  return made;
}

interface Monitor {
  readonly socket: Socket;
  text(): string;
}

async function monitor(board: Device): Promise<Monitor> {
  const { host, port } = board.address.serial as HostPort;
  const opened = board.next('serial.host', { where: ({ state }) => state === 'connected' });
  const socket = connect({ host, port });
  cleanUp.push(() => socket.destroy());
  let text = '';
  socket.setEncoding('latin1').on('data', (more: string) => {
    text += more;
  });
  socket.on('error', () => {});
  await once(socket, 'connect');
  await opened;
  return { socket, text: () => text };
}

/** Says what it hears, and after `flood` prints very much. */
const echo: SketchFactory = (core) => {
  const { Serial } = core;
  let heard = '';
  return {
    setup: () => Serial.println('hello'),
    async loop() {
      for (let byte = Serial.read(); byte >= 0; byte = Serial.read()) heard += String.fromCharCode(byte);
      if (!heard.endsWith('\n')) return;
      if (heard === 'flood\n') {
        for (let i = 0; i < 16_384; i++) {
          Serial.println(`${i}`.padEnd(1022, '.'));
          if (i % 64 === 0) await core.delay(1);
        }
        Serial.println('the end');
      } else Serial.print(`heard ${heard}`);
      heard = '';
    },
  };
};

describe('the serial port on TCP', () => {
  test('port 0 is chosen at once, told by device.ready, and kept over power cycles', async () => {
    const board = await device({ sketch: echo });
    const { host, port } = board.address.serial as HostPort;
    expect(host).toBe('127.0.0.1');
    expect(port).toBeGreaterThan(0);
    const ready = board.next('device.ready');
    await board.powerOn();
    expect((await ready).addresses.serial).toEqual({ host, port });
    await board.powerOff();
    await board.powerOn();
    expect(board.address.serial).toEqual({ host, port });
  });

  test('monitors may open it before the device has power; all of them hear everything, and may type', async () => {
    const board = await device({ sketch: echo });
    const monitors = [await monitor(board), await monitor(board), await monitor(board)];
    await board.powerOn();
    for (const { text } of monitors) await expect.poll(text).toMatch(/ets Jan {2}8 2013[\s\S]*hello\r\n$/);
    monitors[1]!.socket.write('you there\n');
    for (const { text } of monitors) await expect.poll(text).toContain('heard you there\n');
  });

  test('rfc2217 without any Telnet is a plain pipe but for 0xFF', async () => {
    const board = await device({ sketch: echo, serial: { transport: 'rfc2217', port: 0 } });
    const { text, socket } = await monitor(board);
    await board.powerOn();
    socket.write('a\xff\xffb\n', 'latin1');
    await expect.poll(text).toContain('heard a\xff\xffb\n'); // doubled on its way back
  });

  test('a burst of expensive commands leaves turns of the event loop to everybody else', async () => {
    const board = await device({ boot: 'download' });
    await board.powerOn();
    let sums = 0;
    board.events.subscribe((event) => {
      if (event.type === 'loader.command' && event.name === 'SPI_FLASH_MD5') sums++;
    });
    const host = board.serial.connect({ peer: 'host', lines: false, write() {} })!;
    const word = (value: number): Buffer => Buffer.from(wordBytes(value));
    const stub = Buffer.alloc(64);
    host.receive(encodeRequest(0x05, Buffer.concat([64, 1, 0x1800, 0x4010e000].map(word))));
    host.receive(encodeRequest(0x07, Buffer.concat([...[64, 0, 0, 0].map(word), stub]), checksum(stub)));
    const started = board.next('loader.start', { where: ({ dialect }) => dialect === 'stub' });
    host.receive(encodeRequest(0x06, Buffer.concat([0, 0x4010e004].map(word))));
    await started;
    for (let i = 0; i < 30; i++) host.receive(encodeRequest(0x13, Buffer.concat([0, 0x400000, 0, 0].map(word))));
    await new Promise((resolve) => setImmediate(resolve));
    expect(sums).toBeLessThan(30);
    await expect.poll(() => sums, { timeout: 20_000 }).toBe(30);
  });

  test('52: a host that opens and closes, or resets, leaves the device as it was', async () => {
    const board = await device({ sketch: echo });
    await board.powerOn();
    for (let i = 0; i < 5; i++) {
      const { socket } = await monitor(board);
      const gone = board.next('serial.host', { where: ({ state }) => state === 'gone' });
      if (i % 2) socket.resetAndDestroy();
      else socket.destroy();
      await gone;
    }
    expect(board.state).toEqual({ state: 'running' });
    const { text, socket } = await monitor(board);
    socket.write('still there\n');
    await expect.poll(text).toContain('heard still there\n');
  });

  test('a monitor that does not read holds nobody up, and gets the newest when it reads again', async () => {
    const board = await device({ sketch: echo });
    const [lazy, busy] = [await monitor(board), await monitor(board)];
    await board.powerOn();
    lazy.socket.pause();
    busy.socket.write('flood\n');
    await expect.poll(busy.text, { timeout: 20_000 }).toMatch(/the end\r\n$/);
    lazy.socket.resume();
    await expect.poll(lazy.text, { timeout: 20_000 }).toMatch(/the end\r\n$/);
    expect(busy.text().length).toBeGreaterThan(16_384 * 1024);
    expect(lazy.text().length).toBeLessThan(busy.text().length);
  });

  test('a host whose machine vanished is noticed by the system', async () => {
    const board = await device({ sketch: echo });
    const keepAlive = vi.spyOn(Socket.prototype, 'setKeepAlive');
    cleanUp.push(() => keepAlive.mockRestore());
    await monitor(board);
    expect(keepAlive).toHaveBeenCalledWith(true, expect.any(Number));
  });

  test('a device that closes ends its connections and frees the port', async () => {
    const board = await device({ sketch: echo });
    const { port } = board.address.serial as HostPort;
    const { socket } = await monitor(board);
    await board.powerOn();
    const closed = once(socket, 'close');
    await board.close();
    await closed;
    const next = await device({ sketch: echo, serial: { transport: 'tcp', port } });
    expect(next.address.serial).toMatchObject({ port });
  });
});

describe('what cannot be', () => {
  test('a port in use is told, and nothing stays open', async () => {
    const taken = createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    cleanUp.push(() => taken.close());
    const { port } = taken.address() as { port: number };
    await expect(createDevice({ serial: { transport: 'tcp', port } })).rejects.toThrow(
      `serial: TCP port ${port} on 127.0.0.1 is in use`,
    );
  });

  test.each<[NonNullable<DeviceOptions['serial']>, DeviceOptions, RegExp]>([
    [{ transport: 'usb' as never }, {}, /serial\.transport: wants tcp, rfc2217, pty/],
    [{ transport: 'tcp', port: 70_000 }, {}, /serial\.port/],
    [{ download: 'always' as never }, {}, /serial\.download: wants manual, on-sync/],
    [{ wiring: 'crossed' as never }, {}, /serial\.wiring/],
    [{ transport: 'tcp' }, { clock: 'virtual' }, /virtual clock opens no sockets/],
  ])('%j is refused', async (serial, options, message) => {
    await expect(createDevice({ ...options, serial })).rejects.toThrow(message);
  });

  test('the text of --serial', () => {
    expect(parseSerial('tcp:3333')).toEqual({ transport: 'tcp', port: 3333 });
    expect(parseSerial('rfc2217:0')).toEqual({ transport: 'rfc2217', port: 0 });
    expect(parseSerial('pty')).toEqual({ transport: 'pty' });
    for (const text of ['', 'tcp', 'tcp:', 'tcp:99999', 'udp:1', 'pty:1', 'TCP:1', 'tcp:-1', 'tcp:1x']) {
      expect(() => parseSerial(text), text).toThrow(DeviceOptionError);
    }
  });

  test('pty with a socat that fails says why, and nothing is left that keeps the process or the disk busy', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vesp-socat-'));
    cleanUp.push(() => rmSync(folder, { recursive: true, force: true }));
    const program = (name: string, text: string): void =>
      writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    program('socat', 'echo "no terminals left" >&2; exit 1');
    const { PATH, TMPDIR } = process.env;
    const scratch = join(folder, 'tmp');
    mkdirSync(scratch);
    process.env['PATH'] = `${folder}:${PATH}`;
    process.env['TMPDIR'] = scratch;
    const listening = (): number => process.getActiveResourcesInfo().filter((kind) => kind.startsWith('Pipe')).length;
    const before = listening();
    try {
      await expect(createDevice({ serial: { transport: 'pty' } })).rejects.toThrow(
        /serial pty: socat made no terminal: no terminals left/,
      );
    } finally {
      process.env['PATH'] = PATH;
      if (TMPDIR === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = TMPDIR;
    }
    await expect.poll(listening).toBe(before);
    expect(readdirSync(scratch)).toEqual([]);
  });

  test('pty without socat names the package', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '/nowhere';
    try {
      await expect(createDevice({ serial: { transport: 'pty' } })).rejects.toThrow(/install the Debian package socat/);
    } finally {
      process.env['PATH'] = path;
    }
  });
});
