/** The command line as a user meets it: options, exit codes, the ready line, events, files. Contract: design.md §4. */
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildImage, uploadOverOta } from '../../emulator/index.ts';
import { cli, type Started, startCli } from '../support/cli.ts';
import { expectBytes } from '../support/flash.ts';

let folder: string;
let started: Started[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-cli-'));
});
afterEach(async () => {
  for (const { child, finished } of started) {
    child.kill('SIGKILL');
    await finished;
  }
  started = [];
  rmSync(folder, { recursive: true, force: true });
});

function run(...args: string[]): Started {
  const device = startCli(['run', '--ota-port', '0', '--http-port', '0', ...args], { cwd: folder });
  started.push(device);
  return device;
}

async function otaPort(device: Started): Promise<number> {
  return Number((await device.shows(/^ready ota=127\.0\.0\.1:(\d+)/m))[1]);
}

const image = (version: string, size = 64_000): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size, layout: '4m2m' });

describe.concurrent('wrong usage ends with 2 and says what, where and what to do', () => {
  test.each([
    ['run --board nodemcu3', /unknown board "nodemcu3"; did you mean nodemcu/],
    ['run --layout 4m9m', /unknown layout "4m9m"; did you mean/],
    ['run --layout 16m', /linker script is not shipped/],
    ['run --flash-size 3M', /one of 512K, 1M, 2M, 4M, 8M, 16M; got "3M"/],
    ['run --sketch blinky', /unknown sketch "blinky"/],
    ['run --core 9.9', /core "9.9"/],
    ['run --bootloader native', /boot sector of this image .* holds no LX106 code; give the \.bin of a real firmware/],
    ['run --timeout 3000000', /at most 2147483 seconds/],
    ['run --core 9.9.9', /core "9.9.9"/],
    ['run --public-key README.md', /PEM file with a public key/],
    ['run --fault power-cat@copy:1', /no kind of fault/],
    ['run --until app.started', /no event "app.started"/],
    ['run --ota-port 70000', /ports go from 0 to 65535/],
    ['run --timeout soon', /wants seconds/],
    ['run --seed x', /wants a whole number/],
    ['run --host localhost', /dotted IPv4 address/],
    ['run --password a --password-hash b', /exclude each other/],
    ['run missing.bin', /image missing\.bin: there is no such file/],
    ['run --public-key missing.pem', /missing\.pem: cannot be read/],
    ['run --cert cert.pem', /--cert and --key belong together/],
    ['run --cert missing.pem --key missing.pem', /--cert missing\.pem: cannot be read/],
    ['run --https-port 70000', /ports go from 0 to 65535/],
    ['run --time slow', /Allowed choices are fast, real/],
    ['run --nonsense', /unknown option '--nonsense'/],
    ['fly', /unknown command 'fly'/],
    ['flash info missing.bin', /missing\.bin: cannot be read/],
    ['image info missing.bin', /missing\.bin/],
    ['upload --port 127.0.0.1 missing.bin', /missing\.bin/],
  ])('%s', async (line, message) => {
    const { code, stdout, stderr } = await cli(line.split(' '));
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});

describe('a first image that cannot be', () => {
  test('a gzip image as the first image is refused with an explanation', async () => {
    const path = join(folder, 'new.bin.gz');
    writeFileSync(path, Uint8Array.of(0x1f, 0x8b, 8, 0));
    const { code, stderr } = await cli(['run', path]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/gzip.*Unpack it first/s);
  });

  test('firmware of another chip, or no firmware at all, is refused', async () => {
    const path = join(folder, 'notes.txt');
    writeFileSync(path, 'hello');
    const { code, stderr } = await cli(['run', path]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/no ESP8266 firmware: it begins with 0x68/);
  });
});

describe('help', () => {
  test.each(
    [['--help'], ['run', '--help'], ['image', '--help'], ['flash', '--help'], ['upload', '--help']].map((a) => [a]),
  )('%j ends with 0 and fits a terminal', async (args) => {
    const { code, stdout } = await cli(args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: vesp/);
  });

  test('boards and layouts list all of them', async () => {
    const boards = JSON.parse((await cli(['boards', '--json'])).stdout);
    const layouts = JSON.parse((await cli(['layouts', '--json'])).stdout);
    expect([boards.length, layouts.length]).toEqual([39, 27]);
    expect((await cli(['boards'])).stdout.split('\n')).toHaveLength(39 + 2);
  });
});

describe('run', () => {
  test('prints the ready line once, serves, and ends with 0 on Ctrl-C', async () => {
    const device = run();
    await otaPort(device);
    device.child.kill('SIGINT');
    const { code, stdout } = await device.finished;
    expect(code).toBe(0);
    expect(stdout.match(/^ready/gm)).toHaveLength(1);
    expect(stdout).toContain('-- power off');
  });

  test('--once with a password and a flash file: ends 0, and the file holds the image from offset 0', async () => {
    const next = image('2.0');
    const device = run('--flash', 'x.bin', '--password', '123', '--once', '--timeout', '60');
    const port = await otaPort(device);
    expect((await uploadOverOta({ host: '127.0.0.1', port, file: next, password: 'wrong' })).ok).toBe(false);
    expect(await uploadOverOta({ host: '127.0.0.1', port, file: next, password: '123' })).toEqual({ ok: true });
    const { code, stdout } = await device.finished;
    expect(code).toBe(0);
    expect(stdout).toMatch(/@cp:B?0\nld\n|@cp:B0\n/);
    expect(stdout).toContain('application 2.0');
    expectBytes(readFileSync(join(folder, 'x.bin')).subarray(0, next.length), next);
    expect(readdirSync(folder)).toEqual(['x.bin']);
  });

  test('a chip file keeps what was uploaded: the next run starts the new version', async () => {
    const device = run('--flash', 'x.bin', '--once', '--timeout', '60');
    await uploadOverOta({ host: '127.0.0.1', port: await otaPort(device), file: image('2.0') });
    expect((await device.finished).code).toBe(0);
    const again = run('--flash', 'x.bin', '--until', 'app.start=2.0', '--timeout', '30');
    expect((await again.finished).code).toBe(0);
    const info = await cli(['flash', 'info', 'x.bin', '--json'], { cwd: folder });
    expect(JSON.parse(info.stdout)).toMatchObject({ capacityBytes: 0x400000, layout: expect.any(String) });
    expect(info.stdout).toContain('basic-ota version 2.0');
  });

  test('--once ends with 1 when the update that began failed, and says why', async () => {
    const bad = image('2.0');
    bad[0] = 0x00;
    const device = run('--once', '--timeout', '60');
    const result = await uploadOverOta({ host: '127.0.0.1', port: await otaPort(device), file: bad });
    expect(result.ok).toBe(false);
    const { code, stderr } = await device.finished;
    expect(code).toBe(1);
    expect(stderr).toMatch(/the update failed: .*Magic byte/);
  });

  test('--once ends with 1 when a web upload failed, and the browser is told', async () => {
    const device = run('--once', '--timeout', '60');
    const [, at] = await device.shows(/^ready .*http=(\S+)/m);
    const bad = image('2.0');
    bad[0] = 0x00;
    const form = new FormData();
    form.append('firmware', new Blob([Buffer.from(bad)]), 'bad.bin');
    const answer = await fetch(`http://${at}/update`, { method: 'POST', body: form });
    expect(await answer.text()).toMatch(/Magic byte/);
    const { code, stderr } = await device.finished;
    expect(code).toBe(1);
    expect(stderr).toMatch(/the update failed: Magic byte/);
  });

  test('--once ends with 1 when eboot bricks it: power cut in the copy', async () => {
    const device = run('--once', '--timeout', '60', '--fault', 'power-cut@copy:30:inside');
    await uploadOverOta({ host: '127.0.0.1', port: await otaPort(device), file: image('2.0') });
    const { code, stdout } = await device.finished;
    expect(code).toBe(1);
    expect(stdout).toContain('fault fired: power-cut@copy:30:inside');
  });

  test('--timeout ends with 42', async () => {
    const { code, stderr } = await run('--once', '--timeout', '0.5').finished;
    expect(code).toBe(42);
    expect(stderr).toMatch(/no update was booted within 0.5 s/);
  });

  test('--events - puts nothing but events on stdout, each a line of JSON, without the password', async () => {
    const device = run('--events', '-', '--password', 'geheim', '--until', 'device.ready', '--timeout', '30');
    const { code, stdout, stderr } = await device.finished;
    expect(code).toBe(0);
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    events.forEach((event, index) => {
      expect(event.seq).toBe(index);
    });
    expect(events.map(({ type }) => type)).toContain('app.start');
    expect(stderr).toContain('Booting');
    expect(stdout + stderr).not.toContain('geheim');
  });

  test('--events FILE writes them to the file, beside the log', async () => {
    const device = run('--events', 'events.jsonl', '--until', 'app.start=factory', '--timeout', '30');
    expect((await device.finished).code).toBe(0);
    const lines = readFileSync(join(folder, 'events.jsonl'), 'utf8').trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).type)).toContain('app.start');
  });

  test('a port in use ends with 1 and names it', async () => {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const { port } = socket.address();
    const device = startCli(['run', '--ota-port', String(port), '--http-port', '0', '--timeout', '20'], {
      cwd: folder,
    });
    started.push(device);
    const { code, stderr } = await device.finished;
    socket.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`127.0.0.1:${port}`);
    expect(stderr).toContain('in use');
  });

  test('a second device on the same chip file ends with 2; after kill -9 the file is free and whole', async () => {
    const first = run('--flash', 'x.bin');
    await otaPort(first);
    const second = await run('--flash', 'x.bin').finished;
    expect(second.code).toBe(2);
    expect(second.stderr).toContain(`process id ${first.child.pid}`);
    first.child.kill('SIGKILL');
    await first.finished;
    const third = run('--flash', 'x.bin', '--until', 'device.ready', '--timeout', '30');
    expect((await third.finished).code).toBe(0);
  });

  test('a chip file of the wrong size ends with 2 and is left alone', async () => {
    writeFileSync(join(folder, 'x.bin'), new Uint8Array(0x100000));
    const { code, stderr } = await run('--flash', 'x.bin').finished;
    expect(code).toBe(2);
    expect(stderr).toMatch(/holds 1048576 bytes.*4194304/s);
    expect(readFileSync(join(folder, 'x.bin')).length).toBe(0x100000);
  });

  test('a device without any socket keeps running until somebody ends it', async () => {
    const device = run('--boot', 'download');
    await device.shows(/^ready/m);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(device.child.exitCode).toBeNull();
    device.child.kill('SIGINT');
    expect((await device.finished).code).toBe(0);
  });

  test('an uploader that starts together with the device finds it, as in the CI recipe of the README', async () => {
    const device = run('--flash', 'ci.bin', '--until', 'device.ready', '--timeout', '30');
    const port = await otaPort(device);
    await device.finished;
    const again = startCli(['run', '--ota-port', String(port), '--http-port', '0', '--once', '--timeout', '60'], {
      cwd: folder,
    });
    started.push(again);
    writeFileSync(join(folder, 'new.bin'), image('2.0'));
    const upload = await cli(['upload', '--port', `127.0.0.1:${port}`, 'new.bin'], { cwd: folder });
    expect(upload.code).toBe(0);
    expect((await again.finished).code).toBe(0);
  });

  test('a chip file reached through a link is locked all the same', async () => {
    const first = run('--flash', 'x.bin');
    await otaPort(first);
    symlinkSync('x.bin', join(folder, 'link.bin'));
    expect((await run('--flash', 'link.bin').finished).code).toBe(2);
  });

  test('a full disk under --events is told once, and the device goes on', async () => {
    if (!existsSync('/dev/full')) return; // Linux only
    const device = run('--events', '/dev/full', '--until', 'device.ready', '--timeout', '30');
    const { code, stdout, stderr } = await device.finished;
    expect(code).toBe(1);
    expect(stderr.match(/no more can be written/g)).toHaveLength(1);
    expect(stdout).toContain('Booting');
  });

  test('a dead chip still prints the ready line, and --until sees why it is dead', async () => {
    writeFileSync(join(folder, 'x.bin'), new Uint8Array(0x400000).fill(0xff));
    const device = run('--flash', 'x.bin', '--until', 'device.dead=no-image', '--timeout', '30');
    const { code, stdout } = await device.finished;
    expect(code).toBe(0);
    expect(stdout).toMatch(/the device is dead \(no-image\)/);
  });

  test('kill -9 at any moment of an upload leaves a chip whose sectors are all old, blank, half-programmed or new', async () => {
    const next = image('2.0');
    for (const afterMs of [0, 40, 80]) {
      const path = `kill-${afterMs}.bin`;
      const device = run('--flash', path);
      const port = await otaPort(device);
      const upload = uploadOverOta({ host: '127.0.0.1', port, file: next });
      await device.shows(/Progress: /);
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      device.child.kill('SIGKILL');
      await Promise.all([device.finished, upload]);
      const chip = readFileSync(join(folder, path));
      expect(chip.length).toBe(0x400000);
      const start = 0x200000 - Math.ceil(next.length / 4096) * 4096;
      const staged = chip.subarray(start, 0x200000);
      // Everything up to some page is the new image, everything behind it is blank.
      let programmed = staged.length;
      while (programmed > 0 && staged[programmed - 1] === 0xff) programmed--;
      expectBytes(
        staged.subarray(0, Math.min(programmed, next.length)),
        next.subarray(0, Math.min(programmed, next.length)),
      );
      const again = run('--flash', path, '--until', 'app.start=factory', '--timeout', '30');
      expect((await again.finished).code).toBe(0);
    }
  });
});

describe('flash', () => {
  test('write, read, map: the bytes and the sectors around them', async () => {
    writeFileSync(join(folder, 'x.bin'), new Uint8Array(0x80000).fill(0xff));
    writeFileSync(join(folder, 'data'), 'hello');
    expect((await cli(['flash', 'write', 'x.bin', 'data', '--address', '0x7000'], { cwd: folder })).code).toBe(0);
    const read = await cli(['flash', 'read', 'x.bin', '--address', '0x7000', '--length', '6', '--out', 'out'], {
      cwd: folder,
    });
    expect(read.code).toBe(0);
    expect([...readFileSync(join(folder, 'out'))]).toEqual([...Buffer.from('hello'), 0xff]);
    const map = await cli(['flash', 'map', 'x.bin'], { cwd: folder });
    expect(map.stdout).toMatch(/^ {6}0x0 {2}\.{7}\+\.{56}/);
    for (const args of [
      ['write', 'x.bin', 'data', '--address', '100'],
      ['write', 'x.bin', 'data', '--address', '0x80000'],
      ['read', 'x.bin', '--address', '0x7fffc', '--length', '8', '--out', 'out'],
    ]) {
      expect((await cli(['flash', ...args], { cwd: folder })).code).toBe(2);
    }
  });
});
