/** Every route of the control API (design.md §6), over real sockets. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { createDevice, type DeviceOptions } from '../../../emulator/index.ts';
import { type Controlled, controlled, image, ask as plainAsk } from '../../support/control.ts';
import { expectBytes } from '../../support/flash.ts';

let at: Controlled | undefined;
afterEach(async () => {
  await at?.device.close();
  at = undefined;
});
async function start(options: DeviceOptions = {}, on = true): Promise<Controlled> {
  at = await controlled(options, on);
  return at;
}

describe('the device as a whole', () => {
  test('the address is that of device.address and of device.ready', async () => {
    const { device, port } = await start();
    expect(device.address.control).toEqual({ host: '127.0.0.1', port });
    expect(device.events.recent('device.ready')[0]?.addresses.control).toEqual({ host: '127.0.0.1', port });
  });

  test('GET /api/device tells what it is, where it listens and how it stands', async () => {
    const { device, ask } = await start();
    const answer = await ask('/api/device');
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.json).toMatchObject({
      board: 'nodemcuv2',
      layout: '4m2m',
      power: 'on',
      state: { state: 'running' },
      addresses: { ota: device.address.ota, http: device.address.http, control: device.address.control },
      straps: { gpio0: 1, gpio2: 1, gpio15: 0 },
      clock: { mode: 'fast', paused: false, speed: 1 },
      chip: { capacityBytes: 0x400000, sectors: 1024 },
      app: { type: 'app.start', version: '1.0' },
      lastReset: { cause: 'power-on' },
    });
  });

  test('the API is there before the device is powered on, and power is pulled and plugged through it', async () => {
    const { device, ask } = await start({}, false);
    expect((await ask('/api/device')).json).toMatchObject({ power: 'off', state: null, app: null });
    expect((await ask('/api/power', { body: { on: true } })).json).toMatchObject({ state: { state: 'running' } });
    // Asking for what is there already changes nothing.
    expect((await ask('/api/power', { body: { on: true } })).status).toBe(200);
    expect(device.events.recent('power.on')).toHaveLength(1);
    expect((await ask('/api/power', { body: { on: false } })).json).toMatchObject({ power: 'off', state: null });
    expect(device.isOn).toBe(false);
    expect((await ask('/api/power', { body: { on: false } })).status).toBe(200);
    expect(device.events.recent('power.off')).toHaveLength(1);
  });

  test.each(['external', 'software', 'software-watchdog', 'hardware-watchdog', 'brown-out'])(
    'POST /api/reset: %s',
    async (cause) => {
      const { device, ask } = await start();
      const answer = await ask('/api/reset', { body: { cause } });
      expect(answer.json).toMatchObject({ power: 'on', state: { state: 'running' }, lastReset: { cause } });
      expect(device.events.recent('reset').map((event) => event.cause)).toEqual(['power-on', cause]);
    },
  );

  test('a reset without a body is the button', async () => {
    const { ask } = await start();
    expect((await ask('/api/reset', { method: 'POST' })).json.lastReset.cause).toBe('external');
  });

  test('a device that is off cannot be reset: 409', async () => {
    const { ask } = await start({}, false);
    const answer = await ask('/api/reset', { body: { cause: 'external' } });
    expect(answer.status).toBe(409);
    expect(answer.json.error.code).toBe('device-off');
  });

  test('PUT /api/straps: GPIO0 low counts at the next hardware reset', async () => {
    const { ask } = await start();
    expect((await ask('/api/straps', { method: 'PUT', body: { gpio0: 0 } })).json).toMatchObject({ gpio0: 0 });
    expect((await ask('/api/device')).json.state).toEqual({ state: 'running' });
    expect((await ask('/api/reset', { body: { cause: 'external' } })).json.state).toEqual({ state: 'download' });
    await ask('/api/straps', { method: 'PUT', body: { gpio0: 1 } });
    expect((await ask('/api/reset', { body: { cause: 'external' } })).json.state).toEqual({ state: 'running' });
  });

  test('a port that is taken: the start is refused with the reason', async () => {
    const first = await controlled();
    try {
      const { ask } = await start({ ota: { port: first.device.address.ota!.port } }, false);
      const answer = await ask('/api/power', { body: { on: true } });
      expect(answer.status).toBe(500);
      expect(answer.json.error).toMatchObject({ code: 'cannot-start', message: expect.stringMatching(/in use|taken/) });
    } finally {
      await first.device.close();
    }
  });
});

describe('memory', () => {
  test('GET /api/flash gives the bytes of the chip; decimal and hex', async () => {
    const { device, ask } = await start();
    const answer = await ask('/api/flash?address=0x1000&length=64');
    expect(answer.headers['content-type']).toBe('application/octet-stream');
    expectBytes(answer.bytes, device.flash.read(0x1000, 64));
    expectBytes((await ask('/api/flash?address=4096&length=16')).bytes, device.flash.read(0x1000, 16));
    const whole = await ask('/api/flash');
    expect(whole.bytes.length).toBe(0x400000);
    expect(whole.bytes.equals(device.flash.read(0, 0x400000))).toBe(true);
    expect((await ask('/api/flash?address=0x400000')).bytes.length).toBe(0);
  });

  test.each([
    'address=0x400000&length=1',
    'address=0x3fffff&length=2',
    'length=99999999',
    'address=-1',
    'address=x',
    'length=1e3',
    'address=0x1ffffffff',
  ])('GET /api/flash?%s is refused', async (query) => {
    const { ask } = await start();
    const answer = await ask(`/api/flash?${query}`);
    expect(answer.status).toBe(400);
    expect(answer.json.error.message).toMatch(/chip|number/);
  });

  test('GET /api/flash/map: area, state, wear and CRC of every sector', async () => {
    const { device, ask } = await start();
    const { json } = await ask('/api/flash/map');
    expect(json).toMatchObject({ sectorBytes: 4096, capacityBytes: 0x400000 });
    expect(json.sectors).toHaveLength(1024);
    expect(json.sectors[0]).toEqual({
      area: 'eboot',
      state: 'programmed',
      wear: 0,
      crc: device.flash.chip.store.crc32(0, 4096),
    });
    expect(json.sectors[1]).toMatchObject({ area: 'app', state: 'programmed' });
    expect(json.sectors[0x200]).toMatchObject({ area: 'fs', state: 'erased' });
    expect(json.sectors[0x3fb]).toMatchObject({ area: 'eeprom' });
    expect(json.sectors[0x3ff]).toMatchObject({ area: 'wifi' });
  });

  test('the map follows what happens: new, torn, erased', async () => {
    const { device, ask } = await start();
    const { chip } = device.flash;
    const before = (await ask('/api/flash/map')).json.sectors;
    chip.programPage(0x300000, new Uint8Array(256));
    chip.eraseSector(0x301);
    device.faults.arm('power-cut@0x302000:inside:0.5');
    expect(() => chip.eraseSector(0x302)).toThrow();
    const after = (await ask('/api/flash/map')).json.sectors;
    expect(after[0x300]).toMatchObject({ state: 'new', wear: 0 });
    expect(after[0x301]).toMatchObject({ state: 'erased', wear: 1 });
    expect(after[0x302]).toMatchObject({ state: 'torn', wear: 1 });
    expect(after[0x300].crc).not.toBe(before[0x300].crc);
    expect(after[0x300].crc).toBe(chip.store.crc32(0x300000, 4096));
    chip.eraseSector(0x302);
    expect((await ask('/api/flash/map')).json.sectors[0x302]).toMatchObject({ state: 'erased', wear: 2 });
  });

  test('a sector whose cells stick is worn', async () => {
    const { device, ask } = await start();
    device.faults.arm('worn-sector@0x303000');
    device.flash.chip.eraseSector(0x303);
    expect((await ask('/api/flash/map')).json.sectors[0x303].state).toBe('worn');
  });

  test('GET /api/rtc gives user memory, /api/rtc/command what stands in it', async () => {
    const { device, ask } = await start();
    expectBytes((await ask('/api/rtc')).bytes, device.rtc.readUser());
    expectBytes((await ask('/api/rtc?all=1')).bytes, device.rtc.snapshot());
    expect((await ask('/api/rtc/command')).json).toBe(null);
  });

  test('the eboot command appears with the update and is gone after the copy', async () => {
    const { device, ask } = await start({ faults: ['power-cut@copy:0'] });
    const before = device.next('update.end').then(() => device.pause());
    const sent = ask('/api/upload', { body: image('2.0') });
    await before;
    expect((await ask('/api/rtc/command')).json).toMatchObject({
      action: 1,
      source: 0x200000 - 0x4a000,
      destination: 0,
      size: 300_000,
    });
    device.resume();
    await sent;
    await device.next('power.off', { since: 0 });
    // Without power RTC memory is noise.
    expect((await ask('/api/rtc/command')).json).toBe(null);
  });
});

describe('serial', () => {
  test('GET /api/serial is the text so far, POST types', async () => {
    const { device, ask } = await start();
    const answer = await ask('/api/serial');
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
    expect(answer.text).toContain('Ready\r\n');
    expect((await ask('/api/serial', { body: 'hello\n' })).json).toEqual({ bytes: 6 });
    expect(device.events.recent('serial.in')).toMatchObject([{ text: 'hello\n' }]);
    await ask('/api/serial', { body: new Uint8Array([0, 0xff, 0xc0]) });
    expect(device.events.recent('serial.in').at(-1)).toMatchObject({ text: '\u0000\u00ff\u00c0' });
  });
});

describe('faults', () => {
  test('as text and as the object of the library', async () => {
    const { device, ask } = await start();
    const first = await ask('/api/faults', { body: { spec: 'reset@copy:17+power-cut@copy:3:inside' } });
    expect(first.status).toBe(201);
    expect(first.json.armed).toEqual([{ spec: 'reset@copy:17' }, { spec: 'power-cut@copy:3:inside' }]);
    const at = { phase: 'copy', op: 17, point: 'inside', fraction: 0.5 };
    await ask('/api/faults', { body: { kind: 'power-cut', at } });
    await ask('/api/faults', { body: { kind: 'erase-fail', at: { address: 0x5000 } } });
    const { armed } = (await ask('/api/faults')).json;
    expect(armed.slice(2)).toEqual([{ spec: 'power-cut@copy:17:inside:0.5' }, { spec: 'erase-fail@0x5000' }]);
    expect((await ask('/api/faults', { method: 'DELETE' })).json.armed).toEqual([]);
    expect(device.faults.armed).toBe(false);
  });

  test('faults of the command line are listed, and those that fired', async () => {
    const { device, ask } = await start({ faults: ['erase-fail@0x300000'] });
    expect((await ask('/api/faults')).json).toEqual({ armed: [{ spec: 'erase-fail@0x300000' }], fired: [] });
    device.flash.chip.eraseSector(0x300);
    expect((await ask('/api/faults')).json).toEqual({
      armed: [],
      fired: [{ spec: 'erase-fail@0x300000', op: 0, address: 0x300000 }],
    });
  });

  test.each([
    {},
    { spec: 'nonsense' },
    { spec: 'power-cut@copy' },
    { spec: 7 },
    { kind: 'power-cut' },
    { kind: 'power-cut', at: {} },
    { kind: 'power-cut', at: { phase: 'copy', op: 1, address: 4096 } },
    { kind: 'power-cut', at: { phase: 'copy', op: -1 } },
    { kind: 'power-cut', at: { phase: 'copy', op: 1.5 } },
    { kind: 'erase-fail', at: { phase: 'copy', op: 1, point: 'inside' } },
    { kind: 'power-cut', at: { phase: 'copy', op: { toString: 1 } } },
  ])('refused: %j', async (body) => {
    const { device, ask } = await start();
    const answer = await ask('/api/faults', { body });
    expect(answer.status).toBe(400);
    expect(answer.json.error.code).toBe('bad-fault');
    expect(device.faults.armed).toBe(false);
  });

  test('how many wait is bounded', async () => {
    const { ask } = await start();
    const spec = Array.from({ length: 64 }, (_, op) => `reset@copy:${op}`).join('+');
    expect((await ask('/api/faults', { body: { spec } })).status).toBe(201);
    expect((await ask('/api/faults', { body: { spec: 'reset@copy:1' } })).json.error.code).toBe('too-many-faults');
  });
});

describe('the CPU', () => {
  test.each([
    ['GET', '/api/cpu'],
    ['POST', '/api/cpu/step'],
    ['GET', '/api/cpu/breakpoints'],
  ])('%s %s without one: 409', async (method, path) => {
    const { ask } = await start();
    const answer = await ask(path, { method });
    expect(answer.status).toBe(409);
    expect(answer.json.error).toMatchObject({ code: 'no-cpu', message: expect.stringContaining('no native CPU runs') });
  });

  test('with one: registers, steps while paused, breakpoints', async () => {
    const { device, ask } = await start();
    const cpu = {
      pc: 0x4010f000,
      registers: Uint32Array.from({ length: 16 }, (_, i) => i),
      special: () => ({ sar: 4 }),
      steps: 12,
      breakpoints: new Set<number>(),
      step: (count: number) => ({ reason: 'step', steps: count }),
    };
    device.cpu = cpu;
    expect((await ask('/api/cpu')).json).toMatchObject({ pc: 0x4010f000, special: { sar: 4 }, steps: 12 });
    expect((await ask('/api/cpu/step', { body: {} })).json.error.code).toBe('not-paused');
    device.pause();
    expect((await ask('/api/cpu/step', { body: { count: 3 } })).json).toMatchObject({ reason: 'step', steps: 3 });
    cpu.step = () => {
      throw new Error('a step is under way');
    };
    expect((await ask('/api/cpu/step', { body: {} })).json.error.code).toBe('busy');
    const put = (body: unknown) => ask('/api/cpu/breakpoints', { method: 'PUT', body });
    expect((await put({ breakpoints: [0x40100004] })).json).toEqual({ breakpoints: [0x40100004] });
    expect([...cpu.breakpoints]).toEqual([0x40100004]);
    expect((await put({ breakpoints: 'x' })).status).toBe(400);
    expect((await put({ breakpoints: [-1] })).status).toBe(400);
    expect((await put({ breakpoints: Array(65).fill(0) })).status).toBe(400);
    expect([...cpu.breakpoints]).toEqual([0x40100004]);
  });
});

describe('images', () => {
  test('POST /api/inspect is `image info --json`', async () => {
    const { ask } = await start();
    const bytes = image('2.0');
    const { json } = await ask('/api/inspect', { body: bytes });
    expect(json).toMatchObject({
      kind: 'firmware',
      size: bytes.length,
      md5: createHash('md5').update(bytes).digest('hex'),
      manifest: { version: '2.0' },
      problems: [],
    });
    expect(json.fit.length).toBeGreaterThan(10);
    const packed = await ask('/api/inspect', { body: gzipSync(bytes) });
    expect(packed.json).toMatchObject({ kind: 'gzip', contents: { kind: 'firmware' } });
    expect((await ask('/api/inspect', { body: Buffer.from('hello') })).json.problems.length).toBeGreaterThan(0);
    expect((await ask('/api/inspect', { method: 'POST' })).json.error.code).toBe('empty');
  });

  test.each(['arduino-ota', 'web'])('POST /api/upload?via=%s really uploads', async (via) => {
    const { device, ask } = await start();
    const next = image('2.0');
    const answer = await ask(`/api/upload?via=${via}&target=sketch`, { body: next });
    expect(answer.json).toMatchObject({ ok: true, via, target: 'sketch', bytes: next.length });
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
    expectBytes(device.flash.read(0, next.length), next);
    const kind = via === 'web' ? 'http.upload' : 'ota.end';
    expect(device.events.recent(kind).length).toBeGreaterThan(0);
  });

  test.each(['arduino-ota', 'web'])('a file system via %s', async (via) => {
    const { device, ask } = await start();
    const content = new Uint8Array(20_000).fill(0x5a);
    expect((await ask(`/api/upload?via=${via}&target=fs`, { body: content })).json).toMatchObject({ ok: true });
    await device.next('app.start', { since: device.events.recent('app.start')[0]!.seq + 1 });
    expectBytes(device.flash.read(0x200000, content.length), content);
  });

  test('credentials: the known ones by themselves, wrong ones as given', async () => {
    const { device, ask } = await start({
      ota: { port: 0, password: 'geheim' },
      http: { port: 0, user: 'admin', password: 'secret' },
    });
    const wrong = { 'X-Device-User': 'admin', 'X-Device-Password': 'wrong' };
    const overOta = await ask('/api/upload', { body: image('2.0'), headers: wrong });
    expect(overOta.status).toBe(502);
    expect(overOta.json.error).toMatchObject({ code: 'auth-failed', message: 'Authentication Failed' });
    const overWeb = await ask('/api/upload?via=web', { body: image('2.0'), headers: wrong });
    expect(overWeb.json.error.code).toBe('auth-failed');
    expect(device.events.recent('update.begin')).toHaveLength(0);
    expect((await ask('/api/upload?via=web', { body: image('2.0') })).status).toBe(200);
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
    expect((await ask('/api/upload?password=geheim', { body: image('3.0') })).status).toBe(200);
    await device.next('app.start', { since: 0, where: ({ version }) => version === '3.0' });
    // No answer and no event shows a password.
    expect(JSON.stringify(device.events.recent())).not.toContain('geheim');
  });

  test('what the device refuses is told in its own words', async () => {
    const { ask } = await start();
    const rubbish = new Uint8Array(20_000).fill(1);
    const overOta = await ask('/api/upload', { body: rubbish });
    expect(overOta.status).toBe(502);
    expect(overOta.json.error.code).toBe('device-error');
    const overWeb = await ask('/api/upload?via=web', { body: rubbish });
    expect(overWeb.json.error).toEqual({
      code: 'device-error',
      message: 'Update error: ERROR[10]: Magic byte is not 0xE9',
    });
  });

  test.each([
    ['/api/upload?via=pigeon', 400, 'bad-request'],
    ['/api/upload?target=moon', 400, 'bad-request'],
    ['/api/upload', 409, 'no-service'],
    ['/api/upload?via=web', 409, 'no-service'],
  ])('%s on a device that is off: %i %s', async (path, status, code) => {
    const { ask } = await start({}, false);
    const answer = await ask(path, { body: image('2.0') });
    expect(answer.status).toBe(status);
    expect(answer.json.error.code).toBe(code);
  });

  test('behind TLS', async () => {
    const { device, ask } = await start({
      image: undefined,
      sketch: 'secure-web-updater',
      https: { port: 0 },
    });
    expect((await ask('/api/upload?via=web', { body: image('2.0') })).json).toMatchObject({ ok: true });
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
  });
});

describe('snapshots', () => {
  test('taken, listed, gone back to, compared with, deleted', async () => {
    const { device, ask } = await start();
    const made = await ask('/api/snapshots', { body: { name: 'before' } });
    expect(made.status).toBe(201);
    const { id } = made.json;
    const before = device.flash.read(0, 0x400000);
    await ask('/api/upload', { body: image('2.0') });
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
    const old = await ask(`/api/flash?address=0x1000&length=256&snapshot=${id}`);
    expectBytes(old.bytes, before.subarray(0x1000, 0x1100));
    const { json } = await ask('/api/snapshots');
    expect(json.snapshots.map((one: { name: string }) => one.name)).toEqual([
      'before',
      'before the update',
      'before eboot copies',
    ]);

    expect((await ask(`/api/snapshots/${id}/restore`, { method: 'POST' })).json).toMatchObject({ id, power: 'held' });
    expect(device.isHeld).toBe(true);
    expect(Buffer.from(device.flash.read(0, 0x400000)).equals(before)).toBe(true);
    const running = await ask('/api/reset', { body: { cause: 'external' } });
    expect(running.json).toMatchObject({ power: 'on', app: { version: '1.0' } });
    expect((await ask(`/api/snapshots/${id}`, { method: 'DELETE' })).status).toBe(200);
    expect((await ask(`/api/snapshots/${id}/restore`, { method: 'POST' })).status).toBe(404);
  });

  test('the one before eboot copies: going back lets it copy again', async () => {
    const { device, ask } = await start();
    await ask('/api/upload', { body: image('2.0') });
    await device.next('app.start', { since: 0, where: ({ version }) => version === '2.0' });
    const copies = device.events.recent('eboot.copy').length;
    const answer = await ask('/api/snapshots/before-copy/restore', { body: { start: true } });
    expect(answer.json).toMatchObject({ power: 'on', automatic: true });
    expect(device.events.recent('eboot.copy')).toHaveLength(copies * 2);
    expect((await ask('/api/device')).json.app.version).toBe('2.0');
  });

  test('their number is bounded', async () => {
    const { ask } = await start({ layout: '1m', image: undefined });
    for (let count = 0; count < 16; count++) expect((await ask('/api/snapshots', { method: 'POST' })).status).toBe(201);
    const answer = await ask('/api/snapshots', { method: 'POST' });
    expect(answer.status).toBe(409);
    expect(answer.json.error.code).toBe('too-many-snapshots');
  });
});

describe('answers', () => {
  test('unknown paths 404, wrong methods 405 with Allow, HEAD as GET', async () => {
    const { ask } = await start();
    for (const path of ['/api/nothing', '/api', '/../etc/passwd', '/api/snapshots/s1/x', '/package.json']) {
      const answer = await ask(path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(answer.json.error.code).toBe('not-found');
    }
    const wrong = await ask('/api/power');
    expect(wrong.status).toBe(405);
    expect(wrong.headers.allow).toBe('POST');
    expect(wrong.json.error.code).toBe('method-not-allowed');
    expect((await ask('/api/device', { method: 'DELETE' })).headers.allow).toBe('GET, HEAD');
    expect((await ask('/api/flash', { method: 'OPTIONS' })).status).toBe(405);
    for (const path of ['/', '/api/device', '/api/flash', '/api/events']) {
      const head = await ask(path, { method: 'HEAD' });
      expect([path, head.status, head.bytes.length]).toEqual([path, 200, 0]);
    }
  });

  test.each([
    ['/api/power', {}],
    ['/api/power', { on: 'yes' }],
    ['/api/power', { on: 1 }],
    ['/api/reset', { cause: 'power-on' }],
    ['/api/reset', { cause: ['external'] }],
    ['/api/clock', { paused: 1 }],
    ['/api/clock', { speed: 0 }],
    ['/api/clock', { speed: 1e9 }],
    ['/api/clock', { speed: '1' }],
    ['/api/snapshots', { name: 5 }],
    ['/api/power', '[true]'],
    ['/api/power', 'null'],
    ['/api/power', '{"on":true'],
    ['/api/power', '"on"'],
  ])('%s with %j: 400, and nothing happened', async (path, body) => {
    const { device, ask } = await start();
    const before = device.events.nextSeq;
    const answer = await ask(path as string, { body });
    expect(answer.status).toBe(400);
    expect(answer.json.error).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    expect(device.events.nextSeq).toBe(before);
  });

  test.each([{}, { gpio0: 2 }, { gpio0: true }, { gpio1: 0 }])('straps %j: 400', async (body) => {
    const { device, ask } = await start();
    expect((await ask('/api/straps', { method: 'PUT', body })).status).toBe(400);
    expect(device.straps.gpio0).toBe(1);
  });

  test('without the option there is no server, and closing the device closes it', async () => {
    const { device, port } = await start();
    await device.close();
    await expect(plainAsk(port, '/api/device')).rejects.toThrow('ECONNREFUSED');
    await using without = await createDevice({ image: image('1.0') });
    expect(without.address.control).toBe(undefined);
  });
});
