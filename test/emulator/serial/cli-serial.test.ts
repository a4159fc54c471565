/** `vesp run --serial …` as a user starts it. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { encodeRequest, SYNC_DATA } from '../../../ota-services/rom-loader/packets.ts';
import { cli, startCli } from '../../support/cli.ts';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

describe('vesp run --serial', () => {
  test('the ready line has the port; a SYNC is answered; frames are not printed, what goes on is', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vesp-'));
    cleanUp.push(() => rmSync(folder, { recursive: true }));
    const events = join(folder, 'events.jsonl');
    const run = startCli(['run', '--boot', 'download', '--serial', 'tcp:0', '--events', events]);
    cleanUp.push(() => run.child.kill('SIGKILL'));
    const [, port] = await run.shows(/^ready serial=127\.0\.0\.1:(\d+)$/m);
    const socket = connect(Number(port), '127.0.0.1');
    const bytes: Buffer[] = [];
    socket.on('data', (more) => bytes.push(more));
    await once(socket, 'connect');
    socket.write(encodeRequest(0x08, SYNC_DATA));
    await expect.poll(() => Buffer.concat(bytes).length).toBe(8 * 12);
    await run.shows(/talks with the serial loader/);
    socket.destroy();
    await run.shows(/closed the serial port/);
    run.child.kill('SIGINT');
    const { code, stdout } = await run.finished;
    expect(code).toBe(0);
    expect(stdout).toContain('boot mode:(1,7)');
    expect(stdout).not.toMatch(/[^\x20-\x7e\r\n]/);
    const told = readFileSync(events, 'utf8').split('\n').filter(Boolean);
    const types = told.map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types).toEqual(expect.arrayContaining(['loader.start', 'serial.host', 'loader.command', 'serial.in']));
  });

  test.each([
    [['--serial', 'usb'], /serial "usb": wants tcp:PORT, rfc2217:PORT \(0 lets the system choose\) or pty/],
    [['--serial', 'tcp:70000'], /wants tcp:PORT/],
    [['--serial-download', 'manual'], /--serial-download wants --serial, which opens the serial port/],
    [['--serial-wiring', 'direct'], /--serial-wiring wants --serial/],
    [['--serial-baud-faithful'], /--serial-baud-faithful wants --serial/],
    [['--serial-reset-on-close'], /--serial-reset-on-close wants --serial/],
    [['--serial', 'tcp:0', '--serial-wiring', 'crossed'], /Allowed choices are cross-coupled, direct/],
    [['--serial', 'tcp:0', '--serial-download', 'never'], /Allowed choices are manual, on-sync/],
  ])('%j is wrong usage', async (args, message) => {
    const { code, stderr } = await cli(['run', ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/ at .*\.ts/);
  });

  test('--serial-wiring direct: RTS alone resets; --serial-reset-on-close: a host that leaves does', async () => {
    const run = startCli([
      ...['run', '--serial', 'rfc2217:0', '--serial-wiring', 'direct', '--serial-reset-on-close'],
      ...['--ota-port', '0', '--http-port', '0'],
    ]);
    cleanUp.push(() => run.child.kill('SIGKILL'));
    const [, port] = await run.shows(/^ready .*serial=127\.0\.0\.1:(\d+)/m);
    const socket = connect(Number(port), '127.0.0.1');
    await once(socket, 'connect');
    const control = (value: number): Buffer => Buffer.of(0xff, 0xfa, 0x2c, 5, value, 0xff, 0xf0);
    // DTR on, RTS on, RTS off: cross-coupled, nothing would happen; direct, it ends in the loader.
    socket.write(Buffer.concat([control(8), control(11), control(12)]));
    await run.shows(/rst cause:2, boot mode:\(1,7\)/);
    socket.destroy();
    await run.shows(/rst cause:2, boot mode:\(3,7\)/);
  });

  test('a port in use ends with 1 and says so', async () => {
    const taken = createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    cleanUp.push(() => taken.close());
    const { port } = taken.address() as { port: number };
    const { code, stderr } = await cli(['run', '--serial', `tcp:${port}`, '--ota-port', '0', '--http-port', '0']);
    expect(code).toBe(1);
    expect(stderr).toContain(`serial: TCP port ${port} on 127.0.0.1 is in use`);
  });

  test('--help explains pty and names the package', async () => {
    const { stdout } = await cli(['run', '--help']);
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain('made by the program socat of the Debian package of that name');
  });
});
