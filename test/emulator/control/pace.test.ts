/** Pause, step and speed: through the control API, and on the clock itself. */
import { afterEach, describe, expect, test } from 'vitest';
import { WallClock } from '../../../emulator/clock.ts';
import { createDevice, type Device, type DeviceEventType, type DeviceOptions } from '../../../emulator/index.ts';
import { type Controlled, controlled, image } from '../../support/control.ts';
import { expectBytes } from '../../support/flash.ts';

let open: Device | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});
async function start(options: DeviceOptions = {}): Promise<Controlled> {
  const at = await controlled(options);
  open = at.device;
  return at;
}

/** Pauses the device at the very moment of an event. */
function stopAt(device: Device, type: DeviceEventType): Promise<void> {
  return new Promise((resolve) => {
    const end = device.events.subscribe((event) => {
      if (event.type !== type) return;
      device.pause();
      end();
      resolve();
    });
  });
}

const operations = (device: Device): number =>
  device.events.recent().filter(({ type }) => type === 'flash.erase' || type === 'flash.program').length;
const someTurns = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 60));

describe('while paused', () => {
  test('the device stands still in the middle of an update, step by step does one operation, and goes on to the end', async () => {
    const { device, ask } = await start();
    const next = image('2.0', 40_000);
    const stopped = stopAt(device, 'update.begin');
    const sent = ask('/api/upload', { body: next });
    await stopped;
    await someTurns();
    const before = operations(device);
    const atUs = device.nowUs;
    await someTurns();
    expect(operations(device)).toBe(before);
    expect((await ask('/api/clock')).json).toEqual({ mode: 'fast', paused: true, speed: 1, atUs, pauseOn: [] });
    for (let count = 1; count <= 40; count++) {
      const { json } = await ask('/api/step', { method: 'POST' });
      expect(json).toMatchObject({ performed: true, event: { type: expect.stringMatching(/^flash\./) } });
      expect(operations(device)).toBe(before + count);
    }
    expect(device.nowUs).toBeGreaterThan(atUs);
    await ask('/api/clock', { body: { paused: false } });
    expect((await sent).json).toMatchObject({ ok: true });
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
    expectBytes(device.flash.read(0, next.length), next);
  });

  test('eboot copies step by step, up to the new application', async () => {
    const { device, ask } = await start();
    const next = image('2.0', 20_000);
    const stopped = stopAt(device, 'eboot.command');
    await ask('/api/upload', { body: next });
    await stopped;
    await someTurns();
    const from = device.events.nextSeq;
    const before = operations(device);
    // Four sectors, each an erase and sixteen pages; eboot itself in sector 0 is the same and skipped.
    const steps = 4 * 17;
    for (let count = 1; count <= steps; count++) {
      expect((await ask('/api/step', { method: 'POST' })).json.performed).toBe(true);
      expect(operations(device)).toBe(before + count);
      if (count === 17) expect((await ask('/api/flash/map')).json.sectors[1].state).toBe('new');
    }
    // Nothing more to do for eboot but to clear the command and to jump.
    const last = await ask('/api/step', { body: { timeoutMs: 200 } });
    expect(last.json).toMatchObject({ performed: false, event: null });
    await device.next('app.start', { since: from, where: ({ version }) => version === '2.0' });
  });

  test('a reset and a power cut strike; the start that follows stands still too', async () => {
    const { device, ask } = await start();
    const stopped = stopAt(device, 'eboot.command');
    await ask('/api/upload', { body: image('2.0') });
    await stopped;
    const answer = await ask('/api/reset', { body: { cause: 'external' } });
    expect(answer.json).toMatchObject({ power: 'on', state: null, lastReset: { cause: 'external' } });
    expect((await ask('/api/power', { body: { on: false } })).json.power).toBe('off');
    expect((await ask('/api/clock')).json.paused).toBe(true);
    expect((await ask('/api/power', { body: { on: true } })).json).toMatchObject({ power: 'on' });
    await ask('/api/clock', { body: { paused: false } });
    // Power was cut before the first operation of the copy: the old application is whole, the command is lost.
    expect(await device.settled()).toEqual({ state: 'running' });
    expect((await ask('/api/device')).json.app.version).toBe('1.0');
  });

  test('pauseOn stops at the moment of an event, as often as it comes, until it is cleared', async () => {
    const { device, ask } = await start();
    const answer = await ask('/api/clock', { body: { pauseOn: ['eboot.start', 'update.begin'] } });
    expect(answer.json).toMatchObject({ paused: false, pauseOn: ['eboot.start', 'update.begin'] });
    const sent = ask('/api/upload', { body: image('2.0') });
    await device.next('update.begin');
    expect(device.paused).toBe(true);
    const stopped = device.next('eboot.start');
    device.resume();
    await stopped;
    expect(device.paused).toBe(true);
    expect(device.events.recent('eboot.copy').every(({ skipped }) => skipped)).toBe(true);
    await ask('/api/clock', { body: { pauseOn: [], paused: false } });
    expect((await sent).json.ok).toBe(true);
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
    for (const pauseOn of ['x', ['<b>'], Array(17).fill('reset'), [null, {}]]) {
      expect((await ask('/api/clock', { body: { pauseOn } })).status).toBe(400);
    }
  });

  test('an armed fault strikes at the step that reaches it', async () => {
    const { device, ask } = await start({ afterPowerCut: 'stay-off' });
    const stopped = stopAt(device, 'eboot.command');
    await ask('/api/upload', { body: image('2.0') });
    await stopped;
    await ask('/api/faults', { body: { spec: 'power-cut@copy:2:inside:0.5' } });
    for (let count = 0; count < 3; count++) await ask('/api/step', { method: 'POST' });
    await device.next('power.off', { since: 0 });
    expect((await ask('/api/flash/map')).json.sectors[1].state).toBe('torn');
    expect((await ask('/api/device')).json.power).toBe('off');
  });

  test('step on a device that is not paused: 409', async () => {
    const { device, ask } = await start();
    expect((await ask('/api/step', { method: 'POST' })).json.error.code).toBe('not-paused');
    await expect(device.step()).rejects.toThrow('pause()');
  });

  test('a device that is closed while paused is closed', async () => {
    const { device, ask } = await start();
    await ask('/api/clock', { body: { paused: true } });
    await device.close();
    expect(device.isOn).toBe(false);
  });

  test('virtual time: paused between two operations', async () => {
    await using device = await createDevice({
      layout: '4m2m',
      image: image('1.0'),
      clock: 'virtual',
      sketch: (core) => ({
        setup: async () => {
          for (let sector = 0x300; sector < 0x304; sector++) await core.ESP.flash.flashEraseSector(sector);
        },
      }),
      sketchFor: undefined,
    });
    device.pause();
    const on = device.powerOn();
    const before = operations(device);
    await device.advance(1_000_000);
    const stood = operations(device) - before;
    expect(stood).toBeLessThanOrEqual(1);
    device.resume();
    await device.advance(1_000_000);
    expect(await on).toEqual({ state: 'running' });
  });
});

describe('speed', () => {
  test('a slowed device shows its operations for longer and comes to the same end', async () => {
    const { device, ask } = await start();
    expect((await ask('/api/clock', { body: { speed: 0.5 } })).json.speed).toBe(0.5);
    const next = image('2.0', 20_000);
    const sent = ask('/api/upload', { body: next });
    await device.next('flash.erase');
    // From slow to full speed in the middle: what was being waited for ends at once.
    await ask('/api/clock', { body: { speed: 1 } });
    expect((await sent).json).toMatchObject({ ok: true });
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
    expectBytes(device.flash.read(0, next.length), next);
  });

  test('invariant: device time never goes back, whatever the pace', async () => {
    for (const mode of ['fast', 'real'] as const) {
      const clock = new WallClock(mode);
      let last = 0;
      const look = (): void => {
        const now = clock.nowUs();
        expect(Number.isInteger(now)).toBe(true);
        expect(now).toBeGreaterThanOrEqual(last);
        last = now;
      };
      for (const pace of [1, 0.25, 'pause', 'resume', 4, 'pause', 0.5, 'resume', 1] as const) {
        if (pace === 'pause') clock.pace.pause();
        else if (pace === 'resume') clock.pace.resume();
        else clock.pace.speed = pace;
        look();
        clock.spend(500);
        if (!clock.pace.paused) await clock.settle();
        look();
      }
    }
  });

  test('time stands still while paused, alarms with it; a pace change keeps their order', async () => {
    for (const mode of ['fast', 'real'] as const) {
      const clock = new WallClock(mode);
      const rung: string[] = [];
      clock.pace.pause();
      const start = clock.nowUs();
      clock.alarm(1000, 'peer', () => rung.push('first'));
      clock.alarm(1000, 'peer', () => rung.push('second'));
      clock.alarm(0, 'device', () => rung.push('device'));
      clock.alarm(500, 'peer', () => rung.push('never')).cancel();
      await someTurns();
      expect(rung).toEqual([]);
      expect(clock.nowUs()).toBe(start);
      clock.pace.resume();
      clock.pace.speed = 2;
      await expect.poll(() => rung.length).toBe(3);
      expect(rung.filter((name) => name !== 'device')).toEqual(['first', 'second']);
    }
  });

  test('with `real` a speed shortens the wait for the chip', async () => {
    const clock = new WallClock('real');
    clock.pace.speed = 1000;
    clock.spend(60_000_000); // a minute
    const before = performance.now();
    await clock.settle();
    expect(clock.nowUs()).toBeGreaterThanOrEqual(60_000_000);
    expect(performance.now() - before).toBeLessThan(60_000);
  });

  test.each([0, -1, 1e6, Number.NaN, Number.POSITIVE_INFINITY])('a speed of %d is refused', async (speed) => {
    await using device = await createDevice({ image: image('1.0') });
    expect(() => {
      device.speed = speed;
    }).toThrow(RangeError);
    expect(device.speed).toBe(1);
  });
});
