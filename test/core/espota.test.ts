/**
 * The uploader of the Arduino core itself, tools/espota.py, against the command line of dist/. Needs ARDUINO_CORE_DIR,
 * python3 and a build (`npm run build`). Source: spec chapter 03 §11.1, rows 32 and 59 to 61 of §14.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildImage } from '../../flash/image-build.ts';
import { coreFile } from '../support/core-checkout.ts';
import { digest, imageByRule, type Transcript, transcripts } from '../support/transcript.ts';

const CLI = fileURLToPath(new URL('../../dist/emulator/vesp/main.js', import.meta.url));
/** So many uploads in a row must not hang once. */
const ROUNDS = Number(process.env['ESPOTA_ROUNDS'] ?? 5);
/** espota.py never ends by itself when it misses its result. */
const TOOL_LIMIT_MS = 30_000;
/** What the default layout 4m2m allows: just below 1 MiB. */
const LARGEST_SKETCH_BYTES = 1_044_464;

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let folder: string;
const running = new Set<ChildProcess>();

beforeAll(() => {
  coreFile('tools/espota.py');
  if (!existsSync(CLI)) throw new Error(`${CLI} is missing: npm run build`);
});
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-espota-'));
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(command: string, args: readonly string[]): { child: ChildProcess; finished: Promise<Finished> } {
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const finished = once(child, 'close').then(([code]) => {
    running.delete(child);
    return { code: code as number | null, stdout, stderr };
  });
  return { child, finished };
}

/** As the Arduino IDE runs it, with Python's isolation flag; on a port that is free, as its random choice may not be. */
async function espota(...args: readonly string[]): Promise<Finished> {
  const port = args.includes('-P') ? [] : ['-P', String(await freePort())];
  const { child, finished } = start('python3', ['-I', coreFile('tools/espota.py'), ...port, ...args]);
  const limit = setTimeout(() => child.kill('SIGKILL'), TOOL_LIMIT_MS);
  return finished.finally(() => clearTimeout(limit));
}

/** Starts a device and reads its `ready` line. */
async function device(
  ...args: readonly string[]
): Promise<{ port: number; child: ChildProcess; finished: Promise<Finished> }> {
  const { child, finished } = start(process.execPath, [CLI, 'run', '--ota-port', '0', '--timeout', '60', ...args]);
  let seen = '';
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout!.on('data', (data) => {
      seen += data;
      const found = /^ready .*\bota=127\.0\.0\.1:(\d+)/m.exec(seen);
      if (found) resolve(Number(found[1]));
    });
    void finished.then(({ code, stderr }) => reject(new Error(`the device ended with ${code}: ${stderr}`)));
  });
  return { port, child, finished };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Without the times, the DEBUG line and the ports, which are of the moment. */
function normalized(text: string): string {
  return (
    text
      .replace(/^\d\d:\d\d:\d\d (?=\[)/gm, '')
      .replace(/^\[DEBUG\].*\n/gm, '')
      .replace(/(Starting on [\d.]+):\d+/, '$1:PORT')
      // How many chunks go to the dead connection before the tool notices depends on the host.
      .replace(/^(Uploading)\.+\n(?=\[ERROR\]: Error Uploading)/m, '$1...\n')
  );
}

function write(name: string, bytes: Uint8Array): string {
  writeFileSync(join(folder, name), bytes);
  return name;
}

function sketch(version: string, size: number, settings: Record<string, string> = {}): Uint8Array {
  return buildImage({ sketch: 'basic-ota', version, size, settings });
}

describe('invariant: the tool prints and returns what it did with the recorded device', () => {
  /** What brings our device into the state of the recorded one. */
  function settingsOf({ device: settings }: Transcript): string[] {
    const fails = settings['flash_page_write_fails_after'];
    return [
      ...(settings['ota_password'] === undefined ? [] : ['--password', String(settings['ota_password'])]),
      ...(fails === undefined ? [] : ['--fault', `program-fail@staging:${fails}`]),
    ];
  }

  /** The recorded arguments, with ports of now; a wrong port stays wrong. */
  function argsFor(transcript: Transcript, port: number, unusedPort: number, hostPort: number): string[] {
    const args = [...transcript.espota!.args];
    const at = args.indexOf('-p') + 1;
    args[at] = String(args[at] === String(transcript.device['ota_udp_port']) ? port : unusedPort);
    args[args.indexOf('-P') + 1] = String(hostPort);
    return args;
  }

  test.each(transcripts('espota-').map((transcript) => [transcript.name, transcript] as const))(
    '%s',
    async (_name, transcript) => {
      const { name, length, md5 } = transcript.file!;
      const image = imageByRule(length);
      expect(digest('md5', image)).toBe(md5);
      write(name, image);
      const { port } = await device(...settingsOf(transcript));
      const result = await espota(...argsFor(transcript, port, await freePort(), await freePort()));
      expect(normalized(result.stderr)).toBe(normalized(transcript.espota!.stderr.replaceAll('\\n', '\n')));
      expect({ code: result.code, stdout: result.stdout }).toEqual({ code: transcript.espota!.exit, stdout: '' });
    },
  );
});

describe('an upload, from the tool to the new sketch', () => {
  test('row 60: almost 1 MiB with a password; the device ends 0 and the flash file holds the image from offset 0', async () => {
    const image = sketch('2.0', LARGEST_SKETCH_BYTES);
    const file = write('new.bin', image);
    const { port, finished } = await device('--flash', 'chip.bin', '--password', '123', '--once');
    const tool = await espota('-i', '127.0.0.1', '-p', String(port), '--auth=123', '-f', file);
    expect(tool).toMatchObject({ code: 0, stdout: '' });
    expect(tool.stderr).toBe(`Authenticating...OK\nUploading${'.'.repeat(Math.ceil(image.length / 1460))}\n`);
    const { code, stdout } = await finished;
    expect(code).toBe(0);
    expect(stdout).toContain('@cp:');
    const flash = readFileSync(join(folder, 'chip.bin'));
    // The Updater puts the running sketch's flash mode into the header: byte 2 alone may differ.
    const installed = Buffer.from(flash.subarray(0, image.length));
    installed[2] = image[2]!;
    expect(digest('sha256', installed)).toBe(digest('sha256', image));
  });

  test('row 59: a wrong password: the tool ends 1, and the device does not count the attempt', async () => {
    const { port, finished } = await device('--password', 'right', '--once');
    const file = write('new.bin', sketch('2.0', 300_000));
    const wrong = await espota('-i', '127.0.0.1', '-p', String(port), '--auth=wrong', '-f', file);
    expect(wrong).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Authenticating\.\.\.FAIL\n.*Authentication Failed\n$/),
    });
    const right = await espota('-i', '127.0.0.1', '-p', String(port), '--auth=right', '-f', file);
    expect(right).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Authenticating\.\.\.OK\n/) });
    expect((await finished).code).toBe(0);
  });

  test('row 32: with the empty password set, the tool without -a passes', async () => {
    const { port, finished } = await device('--password', '', '--once');
    const tool = await espota('-i', '127.0.0.1', '-p', String(port), '-f', write('new.bin', sketch('2.0', 300_000)));
    expect(tool).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Authenticating\.\.\.OK\n/) });
    expect((await finished).code).toBe(0);
  });

  test('row 61: the signed file next to the image is uploaded', async () => {
    const signed = Buffer.concat([sketch('2.0', 300_000), Buffer.alloc(260)]);
    const file = write('plain.bin', sketch('1.0', 300_000));
    write('plain.bin.signed', signed);
    const { port, finished } = await device('--once', '--events', 'events.jsonl');
    const tool = await espota('-i', '127.0.0.1', '-p', String(port), '-f', file);
    expect(tool).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('Detected Signed Update. plain.bin.signed will be uploaded instead.\n'),
    });
    expect((await finished).code).toBe(0);
    const invite = eventsIn('events.jsonl').find(({ type }) => type === 'ota.invite');
    expect(invite).toMatchObject({ size: signed.length, md5: digest('md5', signed) });
  });

  test('as PlatformIO runs it, and a file system', async () => {
    const { port, finished } = await device('--once');
    const file = write('fs.bin', imageByRule(100_000, null));
    const tool = await espota('--debug', '--progress', '-i', '127.0.0.1', `--port=${port}`, '-s', '-f', file);
    expect(tool.code).toBe(0);
    expect(tool.stderr).toContain('100% Done...');
    expect(tool.stderr).toContain('[INFO]: Result: OK');
    expect((await finished).code).toBe(0);
  });

  test.each([
    ['an image for a larger flash', [0xe9, 1, 3, 0x80], 'ERROR[9]: new Flash config wrong, real size: 4194304'],
    ['no image', [0x00, 1, 3, 0x40], 'ERROR[10]: Magic byte is not 0xE9'],
  ])(
    '§11.1 and row 77: %s: the error is read apart from the last acknowledgement, so the tool tells it and ends',
    async (_what, header, error) => {
      const { port, finished } = await device('--once');
      const file = write('bad.bin', imageByRule(5000, header));
      const tool = await espota('-i', '127.0.0.1', '-p', String(port), '-f', file);
      expect(tool.code).toBe(1);
      expect(tool.stderr).toContain(`[ERROR]: ${error}\n`);
      expect((await finished).code).toBe(1);
    },
  );
});

test(`invariant: ${ROUNDS} uploads in a row, each of a new sketch, and none hangs`, {
  timeout: ROUNDS * TOOL_LIMIT_MS,
}, async () => {
  const { port, child, finished } = await device('--timeout', String(ROUNDS * 30), '--events', 'rounds.jsonl');
  for (let round = 1; round <= ROUNDS; round++) {
    const file = write('round.bin', sketch(`1.${round}`, 280_000 + 16 * round));
    const tool = await espota('-i', '127.0.0.1', '-p', String(port), '-f', file);
    expect(tool, `round ${round}`).toMatchObject({ code: 0 });
    const booted = (): boolean => {
      const events = eventsIn('rounds.jsonl');
      const at = events.findIndex(({ type, version }) => type === 'app.start' && version === `1.${round}`);
      return (
        at >= 0 && events.slice(at).some(({ type, text }) => type === 'serial.out' && String(text).includes('Ready'))
      );
    };
    while (!booted()) await sleep(20);
  }
  child.kill('SIGINT');
  expect((await finished).code).toBe(0);
});

/** The last line may still be on its way. */
function eventsIn(name: string): Record<string, unknown>[] {
  const lines = readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}
