/**
 * Programs that we did not write find the device on loopback: python3-zeroconf and Avahi. The responder runs on real
 * sockets, without the command line.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { WallClock } from '../../emulator/clock.ts';
import { Life } from '../../emulator/life.ts';
import { nodeNetwork } from '../../emulator/network/node-network.ts';
import { PowerLost } from '../../flash/ports.ts';
import { Mdns } from '../../ota-services/mdns/mdns.ts';
import type { Clock } from '../../ota-services/ports.ts';

const run = promisify(execFile);

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** @throws Error with the name of the Debian package when the program is missing */
function program(path: string, debianPackage: string): string {
  if (!existsSync(path)) throw new Error(`${path} is missing: install the Debian package ${debianPackage}`);
  return path;
}

/** A device that does nothing but `MDNS.update()`. */
function advertise(hostname: string, port: number, password: boolean): { end: () => void } {
  const wall = new WallClock('real');
  const life = new Life(wall);
  const millis = (): number => Math.floor(wall.nowUs() / 1000) >>> 0;
  const clock: Clock = { micros: () => wall.nowUs() >>> 0, millis, delay: async () => {}, yield: async () => {} };
  const network = nodeNetwork({ host: '127.0.0.1', emit: () => {} }).forDevice(life);
  const mdns = new Mdns({ clock, network }, { board: 'nodemcuv2', random: () => 0 });
  expect(mdns.begin(hostname)).toBe(true);
  expect(mdns.addArduinoService(port, password)).toBe(true);
  const timer = setInterval(() => void mdns.update().catch(() => {}), 10);
  cleanups.push(() => {
    clearInterval(timer);
    life.end(new PowerLost());
  });
  return { end: () => mdns.end() };
}

const ZEROCONF_SCRIPT = `
import json, sys, threading
try:
    from zeroconf import ServiceBrowser, Zeroconf
except ImportError:
    sys.exit('zeroconf is missing: install the Debian package python3-zeroconf')
wanted, what = sys.argv[1:3]
done = threading.Event()
seen = []
class Listener:
    def add_service(self, zc, kind, name):
        if name != wanted or seen: return
        info = zc.get_service_info(kind, name, 5000)
        seen.append(name)
        print(json.dumps({ 'name': info.name, 'server': info.server, 'port': info.port, 'priority': info.priority,
            'weight': info.weight, 'addresses': info.parsed_addresses(),
            'properties': { k.decode(): v.decode() for k, v in info.properties.items() } }), flush=True)
        if what == 'found': done.set()
    def remove_service(self, zc, kind, name):
        if name == wanted:
            print('removed', flush=True)
            done.set()
    def update_service(self, zc, kind, name): pass
zc = Zeroconf(interfaces=['127.0.0.1'])
ServiceBrowser(zc, '_arduino._tcp.local.', Listener())
ok = done.wait(30)
zc.close()
sys.exit(0 if ok else 'not ' + what + ' in 30 s')
`;

test('python3-zeroconf finds the service, with address, port and TXT records', async () => {
  // Not the first python3 on the path: only the system's own has Debian's packages.
  const python = program('/usr/bin/python3', 'python3');
  advertise('esp8266-peer01', 8266, true);
  const name = 'esp8266-peer01._arduino._tcp.local.';
  const { stdout } = await run(python, ['-c', ZEROCONF_SCRIPT, name, 'found']);
  expect(JSON.parse(stdout)).toEqual({
    name,
    server: 'esp8266-peer01.local.',
    port: 8266,
    priority: 0,
    weight: 0,
    addresses: ['127.0.0.1'],
    properties: { auth_upload: 'yes', board: 'nodemcuv2', ssh_upload: 'no', tcp_check: 'no' },
  });
});

test('python3-zeroconf hears the goodbye', async () => {
  const python = program('/usr/bin/python3', 'python3');
  const device = advertise('esp8266-peer02', 8267, false);
  const child = spawn(python, ['-c', ZEROCONF_SCRIPT, 'esp8266-peer02._arduino._tcp.local.', 'removed']);
  cleanups.push(() => void child.kill());
  const lines = linesOf(child);
  expect(await lines.next()).toContain('"port": 8267');
  device.end();
  expect(await lines.next()).toBe('removed');
  expect((await once(child, 'exit'))[0]).toBe(0);
});

test('Avahi resolves the service and the host name', async () => {
  const environment = await avahi();
  advertise('esp8266-peer03', 8268, false);
  const browser = spawn(program('/usr/bin/avahi-browse', 'avahi-utils'), ['-rp', '_arduino._tcp'], {
    env: environment,
  });
  cleanups.push(() => void browser.kill());
  const lines = linesOf(browser);
  let line = '';
  while (!line.startsWith('=;lo;IPv4;esp8266-peer03;')) line = await lines.next();
  // Fields: event, interface, protocol, instance, type, domain, host, address, port, TXT.
  const [type, domain, host, address, port, txt] = line.split(';').slice(4);
  expect([type, domain, host, address, port]).toEqual([
    '_arduino._tcp',
    'local',
    'esp8266-peer03.local',
    '127.0.0.1',
    '8268',
  ]);
  expect(txt!.split(' ').sort()).toEqual([
    '"auth_upload=no"',
    '"board=nodemcuv2"',
    '"ssh_upload=no"',
    '"tcp_check=no"',
  ]);
  const resolve = program('/usr/bin/avahi-resolve', 'avahi-utils');
  const { stdout } = await run(resolve, ['-4', '-n', 'esp8266-peer03.local'], { env: environment });
  expect(stdout.trim()).toBe('esp8266-peer03.local\t127.0.0.1');
});

/** The environment in which Avahi's tools find a daemon: the system's, or one of our own on a bus of our own. */
async function avahi(): Promise<NodeJS.ProcessEnv> {
  const daemon = program('/usr/sbin/avahi-daemon', 'avahi-daemon');
  const check = await run(daemon, ['--check']).then(
    () => true,
    () => false,
  );
  if (check) return process.env;
  const folder = await mkdtemp(join(tmpdir(), 'avahi-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  const socket = `unix:path=${join(folder, 'bus')}`;
  await writeFile(
    join(folder, 'bus.conf'),
    `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
      "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig><type>system</type><listen>${socket}</listen><auth>EXTERNAL</auth><policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
    </policy></busconfig>`,
  );
  // Loopback alone: nothing of this test leaves the machine.
  const settings = '[server]\nuse-ipv4=yes\nuse-ipv6=no\nallow-interfaces=lo\n[publish]\ndisable-publishing=yes\n';
  await writeFile(join(folder, 'avahi.conf'), settings);
  const environment = { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: socket };
  const busConfig = `--config-file=${join(folder, 'bus.conf')}`;
  await background(program('/usr/bin/dbus-daemon', 'dbus-daemon'), ['--nofork', busConfig], environment, () =>
    existsSync(join(folder, 'bus')),
  );
  const flags = ['--no-drop-root', '--no-chroot', '--no-rlimits', '-f', join(folder, 'avahi.conf')];
  await background(daemon, flags, environment, (output) => output.includes('Server startup complete'));
  return environment;
}

/** Starts a program and waits until it is ready; it is ended with the test. */
async function background(
  path: string,
  flags: string[],
  env: NodeJS.ProcessEnv,
  ready: (output: string) => boolean,
): Promise<void> {
  const child = spawn(path, flags, { env });
  let output = '';
  let ended = false;
  const collect = (data: Buffer): void => {
    output += data.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  child.on('exit', () => {
    ended = true;
  });
  cleanups.push(async () => {
    if (ended) return;
    const exit = once(child, 'exit');
    child.kill();
    const hard = setTimeout(() => child.kill('SIGKILL'), 2000);
    await exit;
    clearTimeout(hard);
  });
  for (let i = 0; !ready(output); i++) {
    if (ended || i > 200) throw new Error(`${path} did not start:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The lines a program prints, one at a time; rejects with its errors when it ends instead. */
function linesOf(child: ChildProcess): { next: () => Promise<string> } {
  const lines: string[] = [];
  let rest = '';
  let errors = '';
  let ended = false;
  child.stdout!.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  child.stderr!.on('data', (data: Buffer) => {
    errors += data.toString();
  });
  child.on('close', () => {
    ended = true;
  });
  return {
    next: async () => {
      while (lines.length === 0) {
        if (ended) throw new Error(`the program ended: ${errors || 'it printed nothing more'}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return lines.shift()!;
    },
  };
}
