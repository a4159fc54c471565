/** `wire.in` and `wire.out` name what crosses the wire (design.md §5), on the simulated network and on real sockets. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { buildImage, createDevice, type Device } from '../../emulator/index.ts';
import { deviceOptionsFor, driveUpdate, settle, sketchFor, type UpdatePath } from '../../emulator/sweep/drive/index.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
});

const channels = (device: Device): string[] => {
  const seen = [...device.events.recent('wire.in'), ...device.events.recent('wire.out')];
  return [...new Set(seen.map(({ channel }) => channel))].sort();
};

const expected: [UpdatePath, string[]][] = [
  ['arduino-ota', ['tcp', 'udp']],
  ['web', ['http']],
  ['http-update', ['http']],
  ['stream', ['tcp']],
];

test.each(expected)('an update by %s is seen on %j', async (path, wanted) => {
  const image = (version: string) =>
    buildImage({ sketch: sketchFor(path, 'sketch'), version, size: 40_000, layout: '4m2m' });
  const options = { ...deviceOptionsFor(path, 'sketch'), layout: '4m2m', image: image('1.0'), mdns: false };
  const device = await createDevice(options);
  cleanups.push(() => device.close());
  void device.powerOn();
  expect(await settle(device)).toEqual({ state: 'running' });
  expect((await driveUpdate(device, { path, target: 'sketch', image: image('2.0') })).ok).toBe(true);
  expect(channels(device)).toEqual(wanted);
});

test('real sockets: the web server and the update client speak http', async () => {
  const server = createServer((_request, response) => response.writeHead(304).end());
  cleanups.push(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const device = await createDevice({
    sketch: ['web-updater', 'http-update'],
    http: { port: 0 },
    update: { url: `http://127.0.0.1:${port}/` },
  });
  cleanups.push(() => device.close());
  await device.powerOn();
  await device.next('httpupdate.end', { since: 0 });
  const page = await fetch(`http://127.0.0.1:${device.address.http!.port}/update`);
  expect(await page.text()).toContain('<form');
  const peers = [...device.events.recent('wire.in'), ...device.events.recent('wire.out')];
  expect(channels(device)).toEqual(['http']);
  expect(new Set(peers.map(({ peer }) => peer)).size).toBe(2);
});
