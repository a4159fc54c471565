/** Our uploader, against our device and against scripted ones that misbehave. Source: spec chapter 03 §11.1. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { registerUploadCommand } from '../../emulator/cli/commands/upload.ts';
import { type UploadOptions, type UploadResult, uploadOverOta } from '../../emulator/uploader.ts';
import { md5Hex } from '../support/ota-device.ts';
import { LiveOta } from '../support/ota-live.ts';
import { imageByRule, latin1 } from '../support/transcript.ts';

const image = imageByRule(5000);
const SHORT = { answer: 300, auth: 300, connect: 300, ack: 300, result: 300 };

function uploadTo(port: number, options: Partial<UploadOptions> = {}): Promise<UploadResult> {
  return uploadOverOta({ host: '127.0.0.1', port, file: image, ...options });
}

describe.concurrent('with the emulated device', () => {
  test.each([
    ['sketch', undefined],
    ['sketch', 'secret'],
    ['fs', undefined],
    ['fs', 'secret'],
  ] as const)('%s, password %s', async (command, password) => {
    const device = await LiveOta.start({
      setup: (ota) => {
        if (password !== undefined) ota.setPassword(password);
      },
    });
    const progress: number[] = [];
    const stages: string[] = [];
    const result = await uploadTo(device.port, {
      command,
      ...(password === undefined ? {} : { password }),
      onProgress: (sent) => progress.push(sent),
      onStage: (stage) => stages.push(stage),
    });
    await device.stopped;
    expect(result).toEqual({ ok: true });
    expect(progress).toEqual([0, 1460, 2920, 4380, 5000]);
    expect(stages).toEqual([
      'inviting',
      ...(password === undefined ? [] : ['authenticating']),
      'waiting-for-device',
      'uploading',
      'waiting-for-result',
    ]);
    expect(device.restart).toBe('restart');
    expect(device.lines[0]).toBe(`Start cmd=${command === 'fs' ? 100 : 0}`);
    expect(device.eventsOf('ota.ack').map(({ bytes }) => bytes)).toEqual([1460, 1460, 1460, 620]);
  });

  test.each<[string, Partial<UploadOptions>, string, string]>([
    ['a wrong password', { password: 'guess' }, 'auth-failed', 'Authentication Failed'],
    ['no password', {}, 'auth-failed', 'Authentication Failed'],
    [
      'an image too large',
      { password: 'x', file: imageByRule(1_800_000) },
      'bad-answer',
      'Bad Answer: ERR: ERROR[4]: Not Enough Space',
    ],
    [
      'an empty image',
      { password: 'x', file: new Uint8Array(0) },
      'bad-answer',
      'Bad Answer: ERR: ERROR[5]: Bad Size Given',
    ],
    [
      'no image',
      { password: 'x', file: imageByRule(5000, [0, 1, 3, 0x40]) },
      'device-error',
      'ERROR[10]: Magic byte is not 0xE9',
    ],
  ])('%s', async (_what, options, reason, message) => {
    const device = await LiveOta.start({ setup: (ota) => ota.setPassword('x') });
    expect(await uploadTo(device.port, options)).toMatchObject({ ok: false, reason, message });
    await device.powerOff();
    expect(device.restart).toBeUndefined();
  });

  test('a flash that fails in the middle is told in the device’s words', async () => {
    let left = 20;
    const device = await LiveOta.start({
      faults: { decide: ({ kind }) => (kind === 'program' && left-- <= 0 ? { do: 'fail' } : undefined) },
    });
    expect(await uploadTo(device.port, { file: imageByRule(14_600) })).toEqual({
      ok: false,
      reason: 'device-error',
      message: 'ERROR[1]: Flash Write Failed',
      sent: 7300,
    });
    await device.powerOff();
  });
});

/** A device that follows a script: how it answers datagrams, and what it does with its connection. */
async function scripted(
  answers: readonly string[],
  onConnection?: (socket: Socket) => void,
): Promise<{ port: number; heard: string[]; close(): void }> {
  const udp = createSocket('udp4').bind(0, '127.0.0.1');
  await once(udp, 'listening');
  const heard: string[] = [];
  const sockets: Socket[] = [];
  udp.on('message', (data, from) => {
    const answer = answers[heard.length];
    heard.push(latin1(data));
    if (answer === undefined) return;
    udp.send(answer, from.port, from.address);
    if (answer !== 'OK' || !onConnection) return;
    const socket = connect(Number(heard[0]!.split(' ')[1]), '127.0.0.1', () => onConnection(socket));
    sockets.push(socket.on('error', () => {}));
  });
  return {
    port: udp.address().port,
    heard,
    close() {
      udp.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Acknowledges `count` chunks, then does something else. */
const acknowledging =
  (count: number, then: (socket: Socket) => void) =>
  (socket: Socket): void => {
    let seen = 0;
    socket.on('data', (data) => {
      if (seen++ < count) socket.write(String(data.length));
      else then(socket);
    });
  };

describe.concurrent('with devices that misbehave', () => {
  test('the datagrams are those of espota.py (§15.1)', async () => {
    const device = await scripted(['AUTH fcea920f7412b5da7be0cf42b8c93759', 'Authentication Failed']);
    await uploadTo(device.port, { file: image, fileName: 'fw.bin', password: 'admin', command: 'fs', hostPort: 0 });
    expect(device.heard[0]).toMatch(new RegExp(`^100 \\d+ 5000 ${md5Hex(image)}\n$`));
    const cnonce = md5Hex(`fw.bin5000${md5Hex(image)}127.0.0.1`);
    const response = md5Hex(`21232f297a57a5a743894a0e4a801fc3:fcea920f7412b5da7be0cf42b8c93759:${cnonce}`);
    expect(device.heard[1]).toBe(`200 ${cnonce} ${response}\n`);
    device.close();
  });

  test.each<[string, readonly string[], ((socket: Socket) => void) | undefined, string, string]>([
    ['silence', [], undefined, 'no-answer', 'No Answer'],
    ['nonsense', ['huh?'], undefined, 'bad-answer', 'Bad Answer: huh?'],
    ['silence after the challenge', ['AUTH x'], undefined, 'no-auth-answer', 'No Answer to our Authentication'],
    [
      'refusal after the right answer',
      ['AUTH x', 'ERR: ERROR[5]: Bad Size Given\n'],
      undefined,
      'bad-answer',
      'Bad Answer: ERR: ERROR[5]: Bad Size Given',
    ],
    ['no connection', ['OK'], undefined, 'no-connection', 'No response from device'],
    ['a connection that ends at once', ['OK'], (socket) => void socket.end(), 'upload-error', 'Error Uploading'],
    [
      'a connection that is reset',
      ['OK'],
      acknowledging(2, (socket) => socket.resetAndDestroy()),
      'upload-error',
      'Error Uploading',
    ],
    ['no more acknowledgements', ['OK'], acknowledging(2, () => {}), 'upload-error', 'Error Uploading'],
    ['no result', ['OK'], acknowledging(9, () => {}), 'no-result', 'No Result!'],
    [
      'an end instead of a result',
      ['OK'],
      acknowledging(3, (socket) => void socket.end('620')),
      'no-result',
      'No Result!',
    ],
    [
      'an error text in pieces',
      ['OK'],
      acknowledging(3, (socket) => inPieces(socket, ['620ERR', 'OR[7]: MD5 ver', 'ification failed\n'])),
      'device-error',
      'ERROR[7]: MD5 verification failed',
    ],
    [
      'an error text without an end',
      ['OK'],
      acknowledging(3, (socket) => void socket.end('620ERROR[7]')),
      'device-error',
      'ERROR[7]',
    ],
    ['an endless flood of digits', ['OK'], (socket) => flood(socket), 'no-result', 'No Result!'],
  ])('%s', async (_what, answers, onConnection, reason, message) => {
    const device = await scripted(answers, onConnection);
    expect(await uploadTo(device.port, { timeouts: SHORT })).toMatchObject({ ok: false, reason, message });
    device.close();
  });

  test('an OK that comes with the last acknowledgement is not lost', async () => {
    const device = await scripted(
      ['OK'],
      acknowledging(3, (socket) => void socket.end('620OK')),
    );
    expect(await uploadTo(device.port, { timeouts: SHORT })).toEqual({ ok: true });
    device.close();
  });

  test('nobody there is heard at once', async () => {
    const free = createSocket('udp4').bind(0, '127.0.0.1');
    await once(free, 'listening');
    const { port } = free.address();
    await new Promise<void>((resolve) => void free.close(resolve));
    const start = performance.now();
    expect(await uploadTo(port)).toMatchObject({ ok: false, reason: 'no-answer', message: 'No Answer' });
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test('a port to listen on that is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const device = await scripted([]);
    expect(await uploadTo(device.port, { hostPort: port })).toMatchObject({ ok: false, reason: 'listen-failed' });
    taken.close();
    device.close();
  });

  test('a name that nobody knows', async () => {
    const result = await uploadOverOta({ host: 'no-such-device.invalid', file: image });
    expect(result).toMatchObject({ ok: false, reason: 'unknown-host' });
  });

  test('a signal ends the upload at any stage', async () => {
    for (const [answers, onConnection] of [[[]], [['OK']], [['OK'], acknowledging(2, () => {})]] as const) {
      const device = await scripted(answers, onConnection);
      const stop = new AbortController();
      const result = uploadTo(device.port, { signal: stop.signal });
      setTimeout(() => stop.abort(), 50);
      expect(await result).toMatchObject({ ok: false, reason: 'aborted' });
      device.close();
    }
  });

  test('a port that is none is the caller’s mistake', async () => {
    await expect(uploadTo(0)).rejects.toThrow(RangeError);
    await expect(uploadTo(8266, { hostPort: 65536 })).rejects.toThrow(RangeError);
  });
});

function inPieces(socket: Socket, pieces: readonly string[]): void {
  for (const [index, piece] of pieces.entries()) setTimeout(() => socket.write(piece), index * 30);
}

function flood(socket: Socket): void {
  socket.resume();
  const timer = setInterval(() => socket.write('1'.repeat(10_000)), 1);
  socket.on('close', () => clearInterval(timer));
}

describe('the command', () => {
  let folder = '';
  let stderr = '';
  let stdout = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'upload-'));
    writeFileSync(join(folder, 'fw.bin'), image);
    [stderr, stdout] = ['', ''];
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      stderr += String(text);
      return true;
    });
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      stdout += String(text);
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true });
  });

  async function run(...args: string[]): Promise<void> {
    const program = new Command().exitOverride();
    registerUploadCommand(program);
    await program.parseAsync(['upload', ...args], { from: 'user' });
  }

  test('uploads, tells the progress in lines, and says so', async () => {
    const device = await LiveOta.start({ setup: (ota) => ota.setPassword('x') });
    await run('--port', `127.0.0.1:${device.port}`, join(folder, 'fw.bin'), '--password', 'x');
    await device.stopped;
    expect(stdout).toBe('Uploaded fw.bin (5000 bytes): the device answered OK and restarts\n');
    expect(stderr).toContain('Uploading 0%\nUploading 29%\n');
    expect(stderr).toContain('Uploading 100%\n');
    expect(stderr).not.toContain('\r');
    expect(device.restart).toBe('restart');
  });

  test('draws a bar on a terminal', async () => {
    const wasTerminal = process.stderr.isTTY;
    process.stderr.isTTY = true;
    const device = await LiveOta.start();
    await run('--port', `127.0.0.1:${device.port}`, join(folder, 'fw.bin'), '--fs');
    process.stderr.isTTY = wasTerminal;
    await device.stopped;
    expect(stderr).toContain(`\rUploading [${'='.repeat(12)}${' '.repeat(28)}] 29% `);
    expect(stderr).toContain(`\rUploading [${'='.repeat(40)}] 100% \n`);
    expect(device.lines[0]).toBe('Start cmd=100');
  });

  test('row 61: a signed file next to the image is uploaded instead', async () => {
    const signed = imageByRule(6000);
    writeFileSync(join(folder, 'fw.bin.signed'), signed);
    const device = await LiveOta.start();
    await run('--port', `127.0.0.1:${device.port}`, join(folder, 'fw.bin'));
    await device.stopped;
    expect(stderr).toContain(`Detected Signed Update. ${join(folder, 'fw.bin.signed')} will be uploaded instead.\n`);
    expect(device.eventsOf('ota.invite')).toMatchObject([{ size: 6000, md5: md5Hex(signed) }]);
  });

  test('a refusal is the device’s: exit code 1, with the reason and what to look at', async () => {
    const device = await LiveOta.start({ setup: (ota) => ota.setPassword('x') });
    await expect(run('--port', `127.0.0.1:${device.port}`, join(folder, 'fw.bin'))).rejects.toMatchObject({
      name: 'UserError',
      exitCode: 1,
      message: 'Authentication Failed: the device wants a password (--password)',
    });
    await device.powerOff();
    expect(stderr + stdout).not.toContain('Uploaded');
  });

  test.each<[string, (folder: string) => string[], RegExp]>([
    ['no such file', (at) => ['--port', '127.0.0.1', join(at, 'none.bin')], /none\.bin: no such file/],
    ['a folder', (at) => ['--port', '127.0.0.1', at], /is a folder/],
    ['an address that is none', (at) => ['--port', 'a b', join(at, 'fw.bin')], /HOST or HOST:PORT/],
    ['a port that is none', (at) => ['--port', '127.0.0.1:99999', join(at, 'fw.bin')], /HOST or HOST:PORT/],
  ])('%s is a mistake of the user: exit code 2', async (_what, args, message) => {
    await expect(run(...args(folder))).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(message) });
  });

  test('an empty file is, too', async () => {
    writeFileSync(join(folder, 'empty.bin'), '');
    await expect(run('--port', '127.0.0.1', join(folder, 'empty.bin'))).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(/is empty/),
    });
  });
});
