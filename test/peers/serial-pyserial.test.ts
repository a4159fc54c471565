/** pyserial (Debian package python3-serial) on the serial port: raw TCP, RFC 2217 and a pseudo-terminal made by socat. */
import { execFile } from 'node:child_process';
import { closeSync, constants, existsSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import {
  buildImage,
  createDevice,
  type Device,
  type DeviceOptions,
  type HostPort,
  type SketchFactory,
} from '../../emulator/index.ts';
import { startCli } from '../support/cli.ts';
import { program } from '../support/program.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('./serial_peer.py', import.meta.url));
const ROM = { sync: new Array(8).fill(0x20120707), magic: 0xfff0c101 };

const open: Device[] = [];
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

async function device(options: DeviceOptions): Promise<Device> {
  const made = await createDevice({
    ota: { port: 0 },
    http: { port: 0 },
    image: buildImage({ sketch: 'basic-ota', version: '1.0', size: 60_000, layout: '4m2m' }),
    ...options,
  });
  open.push(made);
  await made.powerOn();
  return made;
}

interface Answer {
  readonly sync?: number[];
  readonly magic?: number;
  readonly text?: string;
}

async function pyserial(url: string, ...args: string[]): Promise<Answer> {
  program('/usr/lib/python3/dist-packages/serial/__init__.py', 'python3-serial');
  const { stdout } = await run(program('/usr/bin/python3', 'python3'), [script, url, ...args]);
  return JSON.parse(stdout) as Answer;
}

const url = (board: Device, scheme: string): string => {
  const { host, port } = board.address.serial as HostPort;
  return `${scheme}://${host}:${port}`;
};
const path = (board: Device): string => (board.address.serial as { path: string }).path;
const resets = (board: Device): number => board.events.recent('reset').length;

const echo: SketchFactory = ({ Serial }) => {
  let heard = '';
  return {
    loop() {
      for (let byte = Serial.read(); byte >= 0; byte = Serial.read()) heard += String.fromCharCode(byte);
      if (!heard.endsWith('\n')) return;
      Serial.print(`heard ${heard}`);
      heard = '';
    },
  };
};

/** Which link the path is now: it is made anew for each host, while the terminal behind it may get an old number. */
function linkOf(file: string): string {
  try {
    const { ino, ctimeMs } = lstatSync(file);
    return `${ino} ${ctimeMs}`;
  } catch {
    return ''; // between two
  }
}

/** Resolves when the terminal behind the path, which a host has opened, was replaced by a fresh one. */
async function movedOn(file: string, from: string): Promise<string> {
  let now = '';
  await expect
    .poll(
      () => {
        now = linkOf(file);
        return now !== '' && now !== from;
      },
      { timeout: 10_000 },
    )
    .toBe(true);
  return now;
}

describe('socket://', () => {
  test('the SYNC brings the loader, and a register is read', async () => {
    const board = await device({ serial: { transport: 'tcp', port: 0 } });
    expect(await pyserial(url(board, 'socket'), 'identify')).toEqual(ROM);
    expect(board.state).toEqual({ state: 'download' });
    expect(await pyserial(url(board, 'socket'), 'identify')).toEqual(ROM); // the next one is served
  });

  test('what is typed reaches the sketch', async () => {
    const board = await device({ image: undefined, sketch: echo, serial: { transport: 'tcp', port: 0 } });
    expect(await pyserial(url(board, 'socket'), 'type', 'hello')).toEqual({ text: 'heard hello\n' });
  });
});

describe('rfc2217://', () => {
  test('opening resets nothing; DTR and RTS bring the loader, and the pulse of RTS the sketch', async () => {
    const board = await device({ serial: { transport: 'rfc2217', port: 0 } });
    const { text, ...identity } = await pyserial(url(board, 'rfc2217'), 'session');
    expect(identity).toEqual(ROM);
    expect(text).toMatch(/rst cause:2, boot mode:\(3,7\)[\s\S]*Booting\r\nReady\r\n/);
    expect(board.events.recent('reset').map(({ cause }) => cause)).toEqual(['power-on', 'external', 'external']);
    expect(board.events.recent('straps').map(({ latched }) => latched)).toEqual([3, 1, 3]);
    expect(board.state).toEqual({ state: 'running' });
  });

  test('the lines reset even a blank chip that hangs in the ROM', async () => {
    const board = await device({ image: undefined, boot: 'download', serial: { transport: 'rfc2217', port: 0 } });
    board.straps.gpio0 = 1;
    await board.reset('external');
    expect(board.state).toMatchObject({ state: 'dead', why: 'no-image' });
    expect(await pyserial(url(board, 'rfc2217'), 'identify')).toEqual(ROM);
  });

  test('faithful rates: the banner is garbage at 115200, the sketch is not', async () => {
    const board = await device({ serial: { transport: 'rfc2217', port: 0, baudFaithful: true } });
    const { text } = await pyserial(url(board, 'rfc2217'), 'reset');
    expect(text).toContain('Booting\r\nReady\r\n');
    expect(text).not.toContain('ets Jan');
  });

  test('a monitor that only opens and types leaves the device running', async () => {
    const board = await device({ image: undefined, sketch: echo, serial: { transport: 'rfc2217', port: 0 } });
    expect(await pyserial(url(board, 'rfc2217'), 'type', 'a\xffb')).toEqual({ text: 'heard a\xffb\n' });
    expect(resets(board)).toBe(1);
  });
});

describe('pty', () => {
  test('one host after the other, two at once, and everything gone at the end', async () => {
    program('/usr/bin/socat', 'socat');
    const board = await device({ image: undefined, sketch: echo, serial: { transport: 'pty' } });
    const file = path(board);
    const first = linkOf(file);
    const terminal = readlinkSync(file);
    expect(terminal).toMatch(/^\/dev\/pts\//);
    expect(await pyserial(file, 'type', 'hello')).toEqual({ text: 'heard hello\n' });
    const second = await movedOn(file, first);
    // A second one while another has it open: each has a terminal of its own, and both hear everything.
    const connected = board.next('serial.host', { where: ({ state }) => state === 'connected' });
    const other = openSync(file, constants.O_RDWR | constants.O_NOCTTY);
    await connected;
    const third = await movedOn(file, second);
    expect(await pyserial(file, 'type', 'there')).toEqual({ text: 'heard there\n' });
    const heard = Buffer.alloc(100);
    expect(heard.toString('latin1', 0, readSync(other, heard))).toBe('heard there\n');
    closeSync(other);
    await movedOn(file, third);
    expect(await pyserial(file, 'identify')).toEqual(ROM);
    await board.close();
    expect(existsSync(file)).toBe(false);
    await expect.poll(() => existsSync(terminal)).toBe(false);
  });

  test('nothing of the terminal is echoed or translated', async () => {
    const board = await device({ image: undefined, sketch: echo, serial: { transport: 'pty' } });
    expect(await pyserial(path(board), 'type', 'a\r\x03\x11\x13\x1a\xff')).toEqual({
      text: 'heard a\r\x03\x11\x13\x1a\xff\n',
    });
  });

  test('the command prints the path; a kill -9 leaves no terminal behind, and its folder until the next one', async () => {
    const command = startCli(['run', '--serial', 'pty', '--ota-port', '0', '--http-port', '0']);
    const [, file] = await command.shows(/serial=(\S+)/);
    expect(await pyserial(file!, 'identify')).toEqual(ROM);
    const terminal = readlinkSync(file!);
    command.child.kill('SIGKILL');
    await command.finished;
    await expect.poll(() => existsSync(terminal), { timeout: 10_000 }).toBe(false);
    const living = path(await device({ image: undefined, sketch: echo, serial: { transport: 'pty' } }));
    expect(existsSync(dirname(file!))).toBe(false);
    await device({ image: undefined, sketch: echo, serial: { transport: 'pty' } });
    expect(existsSync(living)).toBe(true);
  });
});
