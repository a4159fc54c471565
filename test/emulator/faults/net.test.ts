/** Every network fault on every update path, in virtual time: what the device and its peer make of it. */
import { afterEach, describe, expect, test } from 'vitest';
import { DELAY_US, LOSS_GAP_US, REORDER_US } from '../../../emulator/faults/net.ts';
import { buildImage, createDevice, type Device, type DeviceOptions } from '../../../emulator/index.ts';
import {
  type DriveResult,
  deviceOptionsFor,
  driveUpdate,
  settle,
  sketchFor,
  type UpdatePath,
} from '../../../emulator/sweep/drive/index.ts';

const open: Device[] = [];
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

const SIZE = 30_000;
const MIDDLE = 12_345;
const paths = ['arduino-ota', 'web', 'http-update', 'stream'] as const;
const phaseOf = { 'arduino-ota': 'tcp', web: 'http', 'http-update': 'http', stream: 'tcp', serial: 'tcp' } as const;

const firmware = (path: UpdatePath, version: string): Uint8Array =>
  buildImage({ sketch: sketchFor(path, 'sketch'), version, size: SIZE, layout: '4m2m' });

async function started(path: UpdatePath, options: DeviceOptions = {}): Promise<Device> {
  const device = await createDevice({ ...deviceOptionsFor(path, 'sketch'), image: firmware(path, '1.0'), ...options });
  open.push(device);
  void device.powerOn();
  expect(await settle(device)).toEqual({ state: 'running' });
  return device;
}

const update = (device: Device, path: UpdatePath, version = '2.0'): Promise<DriveResult> =>
  driveUpdate(device, { path, target: 'sketch', image: firmware(path, version) });

const version = (device: Device): string | undefined => device.events.recent('app.start').at(-1)?.version;
const fired = (device: Device) => device.events.recent('fault.fired').map(({ spec, op }) => ({ spec, op }));

/** Device time from the invitation or request to `update.end`. */
const took = (device: Device): number =>
  device.events.recent('update.end').at(-1)!.atUs - device.events.recent('update.begin').at(-1)!.atUs;

async function undisturbed(path: UpdatePath): Promise<number> {
  const device = await started(path);
  expect(await update(device, path)).toMatchObject({ ok: true });
  return took(device);
}

describe('what TCP mends: the update is whole and only later', () => {
  test.each(
    paths.flatMap((path) =>
      (
        [
          ['net-loss', LOSS_GAP_US],
          ['net-delay', DELAY_US],
          ['net-reorder', 0],
        ] as const
      ).map(([kind, us]) => [kind, path, us] as const),
    ),
  )('%s on %s', async (kind, path, us) => {
    const spec = `${kind}@${phaseOf[path]}:${MIDDLE}`;
    const device = await started(path, { faults: [spec] });
    expect(await update(device, path)).toEqual({ ok: true, restarted: true });
    await settle(device);
    expect(version(device)).toBe('2.0');
    expect(fired(device)).toEqual([{ spec, op: MIDDLE }]);
    const longer = took(device) - (await undisturbed(path));
    expect(longer).toBeGreaterThanOrEqual(us - 100_000);
    expect(longer).toBeLessThanOrEqual(Math.max(us, REORDER_US) + 100_000);
  });
});

describe('what ends a connection: the old firmware goes on, and the next update works', () => {
  test.each(paths.flatMap((path) => (['net-close', 'net-reset'] as const).map((kind) => [kind, path] as const)))(
    '%s on %s',
    async (kind, path) => {
      const spec = `${kind}@${phaseOf[path]}:${MIDDLE}`;
      const device = await started(path, { faults: [spec] });
      const result = await update(device, path);
      expect(result).toMatchObject({ ok: false, restarted: false });
      expect(fired(device)).toEqual([{ spec, op: MIDDLE }]);
      await device.advance(10_000_000);
      expect(version(device)).toBe('1.0');
      expect(await update(device, path)).toMatchObject({ ok: true });
      await settle(device);
      expect(version(device)).toBe('2.0');
    },
  );

  test.each(paths)('net-stall on %s: nobody is told; at the latest a reset brings the service back', async (path) => {
    const device = await started(path, { faults: [`net-stall@${phaseOf[path]}:${MIDDLE}`] });
    const result = await update(device, path);
    expect(result).toMatchObject({ ok: false, restarted: false });
    expect(fired(device)).toHaveLength(1);
    await device.advance(70_000_000);
    expect(version(device)).toBe('1.0');
    if (path === 'arduino-ota' || path === 'web') {
      // These wait for data without a limit, and everything else waits with them.
      expect(device.events.recent('device.frozen')).toHaveLength(1);
      await device.reset('external');
    }
    expect(await update(device, path)).toMatchObject({ ok: true });
  });
});

test.each(paths)('net-stall at the first byte on %s: the peer gives up in the end', async (path) => {
  const device = await started(path, { faults: [`net-stall@${phaseOf[path]}:0`] });
  expect(await update(device, path)).toMatchObject({ ok: false, restarted: false });
  expect(fired(device)).toHaveLength(1);
});

describe('net-refuse: the next connection is refused', () => {
  test('arduino-ota: the device cannot connect back', async () => {
    const device = await started('arduino-ota', { faults: ['net-refuse@tcp:0'] });
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: false, error: 'No response from device' });
    expect(device.events.recent('ota.connect').at(-1)?.ok).toBe(false);
    expect(fired(device)).toEqual([{ spec: 'net-refuse@tcp:0', op: 0 }]);
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: true });
  });

  test.each(['web', 'stream'] as const)('%s: the client is turned away, and the next one is not', async (path) => {
    const device = await started(path, { faults: [`net-refuse@${phaseOf[path]}:0`] });
    expect((await update(device, path)).error).toMatch(/connection ended/);
    expect(fired(device)).toHaveLength(1);
    expect(await update(device, path)).toMatchObject({ ok: true });
  });

  test('http-update: the server refuses; the device asks again and is served', async () => {
    const device = await started('http-update', { faults: ['net-refuse@http:0'] });
    expect(await update(device, 'http-update')).toMatchObject({ ok: true });
    expect(device.events.recent('httpupdate.end').map(({ result }) => result)).toEqual(['failed', 'ok']);
  });

  test('counts the bytes that were received before', async () => {
    const device = await started('stream', { faults: [`net-refuse@tcp:${SIZE}`] });
    expect(await update(device, 'stream')).toMatchObject({ ok: true });
    await settle(device);
    expect((await update(device, 'stream', '3.0')).ok).toBe(false);
    expect(await update(device, 'stream', '3.0')).toMatchObject({ ok: true });
  });
});

describe('datagrams', () => {
  test.each([
    ['net-loss', 'No Answer'],
    ['net-stall', 'No Answer'],
  ])('%s: the invitation never arrives', async (kind, error) => {
    const device = await started('arduino-ota', { faults: [`${kind}@udp:5`] });
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: false, error });
    expect(device.events.recent('ota.invite')).toHaveLength(0);
    await device.advance(10_000_000);
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: true });
  });

  test.each(['net-delay', 'net-reorder'])('%s: the invitation arrives later', async (kind) => {
    const device = await started('arduino-ota', { faults: [`${kind}@udp:0`] });
    const before = device.nowUs;
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: true });
    expect(device.events.recent('ota.invite')[0]!.atUs - before).toBeGreaterThanOrEqual(REORDER_US);
  });

  test('net-reorder: the second of two datagrams comes first', async () => {
    const device = await started('arduino-ota', { faults: ['net-reorder@udp:0'], ota: { password: 'x' } });
    const udp = device.network.udp();
    const invitation = (command: number) => `${command} 1234 1000 0123456789abcdef0123456789abcdef\n`;
    udp.send(invitation(0), 8266);
    udp.send(invitation(100), 8266);
    await device.advance(1_000_000);
    expect(device.events.recent('ota.invite').map(({ command }) => command)).toEqual([100]);
  });

  test('a lost answer to the password', async () => {
    const length = `0 49152 ${SIZE} ${'0'.repeat(32)}\n`.length;
    const device = await started('arduino-ota', { faults: [`net-loss@udp:${length}`], ota: { password: 'x' } });
    const lost = await driveUpdate(device, {
      path: 'arduino-ota',
      target: 'sketch',
      image: firmware('arduino-ota', '2.0'),
      password: 'x',
    });
    expect(lost).toMatchObject({ ok: false, error: 'No Answer to our Authentication' });
  });
});

describe('counting', () => {
  test('each byte of a TCP stream can be struck, also the first and the last', async () => {
    for (const op of [0, 1, SIZE - 1]) {
      const device = await started('arduino-ota', { faults: [`net-reset@tcp:${op}`] });
      expect((await update(device, 'arduino-ota')).ok).toBe(false);
      expect(fired(device)).toHaveLength(1);
    }
    const behind = await started('arduino-ota', { faults: [`net-reset@tcp:${SIZE}`] });
    expect((await update(behind, 'arduino-ota')).ok).toBe(true);
    expect(fired(behind)).toHaveLength(0);
  });

  test('a list strikes in its order, each entry from where the one before struck, with faults of the chip between', async () => {
    const device = await started('arduino-ota', {
      faults: ['net-delay@tcp:1000+net-delay@tcp:0+power-cut@staging:0+net-loss@tcp:0'],
    });
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: false, error: 'the device lost power' });
    expect(fired(device).map(({ spec }) => spec)).toEqual([
      'net-delay@tcp:1000',
      'net-delay@tcp:0',
      'power-cut@staging:0',
    ]);
    await device.powerOn();
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: true });
    expect(
      fired(device)
        .map(({ spec }) => spec)
        .at(-1),
    ).toBe('net-loss@tcp:0');
  });

  test('a phase counts its own bytes only', async () => {
    const device = await started('arduino-ota', { faults: ['net-reset@http:0'] });
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: true });
    expect(fired(device)).toEqual([]);
  });

  test('armed in the middle of a connection it waits for the next one; cleared it does nothing', async () => {
    const device = await started('arduino-ota');
    const stop = device.events.subscribe((event) => {
      if (event.type === 'ota.ack' && event.total === 2920)
        device.faults.arm({ kind: 'net-reset', at: { phase: 'tcp', op: 10 } });
    });
    expect(await update(device, 'arduino-ota')).toMatchObject({ ok: true });
    stop();
    await settle(device);
    expect((await update(device, 'arduino-ota', '3.0')).ok).toBe(false);
    await device.advance(10_000_000);
    device.faults.arm('net-reset@tcp:10');
    device.faults.clear();
    expect(await update(device, 'arduino-ota', '3.0')).toMatchObject({ ok: true });
  });

  test('the same faults give the same events at the same microseconds', async () => {
    const run = async (): Promise<string> => {
      const device = await started('web', { faults: ['net-loss@http:4000+net-reorder@http:100+net-delay@http:5'] });
      await update(device, 'web');
      await settle(device);
      return JSON.stringify(device.events.recent());
    };
    expect(await run()).toBe(await run());
  });
});
