/** The whole device in virtual time, with a peer on the simulated network. */
import { afterEach, describe, expect, test } from 'vitest';
import { buildImage, createDevice, type Device, type DeviceOptions, type SketchFactory } from '../../emulator/index.ts';
import { expectBytes } from '../support/flash.ts';
import { uploadVirtually } from '../support/virtual-uploader.ts';

const open: Device[] = [];
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

const image = (version: string, options: Partial<Parameters<typeof buildImage>[0]> = {}): Uint8Array =>
  buildImage({ sketch: 'basic-ota', version, size: 100_000, layout: '4m2m', ...options });

async function device(options: DeviceOptions = {}): Promise<Device> {
  const made = await createDevice({ clock: 'virtual', image: image('1.0'), ...options });
  open.push(made);
  return made;
}

const running = (version: string, from: Device): boolean =>
  from.events.recent('app.start').at(-1)?.version === version && from.state?.state === 'running';

describe('power and resets', () => {
  test('power-on runs the ROM, eboot and the sketch, and prints what a real board prints', async () => {
    const board = await device();
    expect(await board.powerOn()).toEqual({ state: 'running' });
    expect(board.serial.text()).toBe(
      '\r\n ets Jan  8 2013,rst cause:1, boot mode:(3,7)\r\n\r\n' +
        'load 0x4010f000, len 3408, room 16 \r\ntail 0\r\nchksum 0xa2\r\n' +
        'load 0x3fff20b8, len 40, room 8 \r\ntail 0\r\nchksum 0xa7\r\ncsum 0xa7\r\n' +
        'v000186a0\r\n~ld\r\n' +
        'Booting\r\nReady\r\nIP address: 192.168.1.50\r\n',
    );
    expect(board.address.ota).toEqual({ host: '192.168.1.50', port: 8266 });
  });

  test('the order of a start in the event stream', async () => {
    const board = await device();
    await board.powerOn();
    const types = board.events.recent().map(({ type }) => type);
    const order = ['power.on', 'reset', 'straps', 'rom.boot', 'eboot.start', 'eboot.end', 'app.start', 'device.ready'];
    expect(types.filter((type) => order.includes(type))).toEqual(order);
    expect(board.events.recent('app.start')[0]).toMatchObject({
      version: '1.0',
      size: 100_000,
      sketch: 'basic-ota',
      crcOk: true,
      identity: 'known',
    });
  });

  test('seq counts without a gap, and device time never goes back', async () => {
    const board = await device();
    await board.powerOn();
    await uploadVirtually(board, image('2.0'));
    await board.advance(3_000_000);
    const events = board.events.recent();
    expect(events.length).toBeGreaterThan(500);
    events.forEach((event, index) => {
      expect(event.seq).toBe(index);
      expect(Number.isInteger(event.atUs)).toBe(true);
      if (index > 0) expect(event.atUs).toBeGreaterThanOrEqual(events[index - 1]!.atUs);
    });
  });

  test('the same seed gives the same run, another seed another one', async () => {
    const run = async (seed: number): Promise<string> => {
      const board = await device({ seed, ota: { password: 'x' } });
      await board.powerOn();
      await uploadVirtually(board, image('2.0'), { password: 'x' });
      await board.advance(3_000_000);
      return JSON.stringify([board.events.recent(), [...board.rtc.snapshot()]]);
    };
    const first = await run(7);
    expect(await run(7)).toBe(first);
    expect(await run(8)).not.toBe(first);
  });

  test('RTC memory survives a reset and not a power cycle', async () => {
    const board = await device();
    await board.powerOn();
    board.rtc.writeUserWord(200, 0x12345678);
    await board.reset('external');
    expect(board.rtc.readUserWord(200)).toBe(0x12345678);
    await board.powerOff();
    await board.powerOn();
    expect(board.rtc.readUserWord(200)).not.toBe(0x12345678);
  });

  test.each([
    ['external', 'External System', 2],
    ['software', 'Software/System restart', 1],
    ['exception', 'Exception', 1],
    ['hardware-watchdog', 'Hardware Watchdog', 4],
  ] as const)(
    'after a reset by %s the sketch is told "%s", and the banner shows cause %i',
    async (cause, text, banner) => {
      let told = '';
      const sketch: SketchFactory = ({ ESP }) => ({
        setup() {
          told = ESP.getResetReason();
        },
      });
      const board = await device({ image: foreign(), sketch });
      await board.powerOn();
      expect(told).toBe('Power On');
      await board.reset(cause);
      expect(told).toBe(text);
      expect(board.serial.text()).toContain(`rst cause:${banner}, boot mode:(3,7)`);
    },
  );

  test('GPIO0 held low is latched by the next external reset only, and by the one after it is let go', async () => {
    const board = await device();
    await board.powerOn();
    board.straps.gpio0 = 0;
    expect(await board.reset('software')).toEqual({ state: 'running' });
    expect(await board.reset('external')).toEqual({ state: 'download' });
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toEqual({ state: 'running' });
  });

  test('a blank chip is dead with "no-image", and the cure is a serial upload', async () => {
    const board = await device({ boot: 'download', image: undefined as never });
    expect(await board.powerOn()).toEqual({ state: 'download' });
    board.straps.gpio0 = 1;
    expect(await board.reset('external')).toMatchObject({ state: 'dead', why: 'no-image', cure: 'serial' });
    expect(board.serial.text()).toMatch(/ets_main\.c/);
  });

  test('a boot sector with a wrong checksum is dead with "bad-checksum"', async () => {
    const broken = image('1.0');
    broken[200]! ^= 1;
    const board = await device({ image: broken });
    expect(await board.powerOn()).toMatchObject({ state: 'dead', why: 'bad-checksum' });
    expect(board.serial.text()).toContain('csum err');
  });

  test('a damaged application crashes with a post-mortem, five times, and then counts as a crash loop', async () => {
    const broken = image('1.0');
    broken[0x9000]! ^= 1;
    const board = await device({ image: broken });
    expect(await board.powerOn()).toMatchObject({ state: 'dead', why: 'crash-loop', cure: 'serial' });
    expect(board.events.recent('app.crash')).toHaveLength(5);
    expect(board.events.recent('app.start')[0]).toMatchObject({ identity: 'corrupt', crcOk: false });
    expect(board.serial.text()).toContain('Exception (0):');
  });

  test('patched header bytes are no damage: mode and size of the boot header may differ from the CRC', async () => {
    const patched = image('1.0');
    patched[2] = 3;
    const board = await device({ image: patched });
    expect(await board.powerOn()).toEqual({ state: 'running' });
    expect(board.events.recent('app.start')[0]).toMatchObject({ crcOk: false, identity: 'known' });
  });

  test('a snapshot brings back flash, wear and RTC memory; a reset goes on from there', async () => {
    const board = await device();
    await board.powerOn();
    await uploadVirtually(board, image('2.0'), { until: () => board.events.recent('update.end').length > 0 });
    const save = board.snapshot();
    await board.advance(5_000_000);
    expect(running('2.0', board)).toBe(true);
    await board.restore(save);
    const restored = board.snapshot();
    expectBytes(restored.flash, save.flash);
    expect(restored.rtc).toEqual(save.rtc);
    expect(restored.wear).toEqual(save.wear);
    await board.reset('external');
    expect(running('2.0', board)).toBe(true);
    await board.restore(save);
    await board.powerOn();
    expect(running('1.0', board)).toBe(true);
  });

  test('a restored device is held in reset until somebody powers or resets it, and only once', async () => {
    const board = await device();
    await board.powerOn();
    board.rtc.writeUserWord(200, 0x12345678);
    const save = board.snapshot();
    await board.restore(save);
    await board.powerOn();
    expect(board.rtc.readUserWord(200)).not.toBe(0x12345678);
    expect(await board.reset('external')).toEqual({ state: 'running' });
    await board.restore(save);
    await board.powerOff();
    await expect(board.reset('external')).rejects.toThrow(/power it on first/);
  });

  test.each([
    [{ ota: { port: 99_999 } }, /ota\.port: wants a whole number from 0 to 65535; got 99999/],
    [{ clock: 'warp' as never }, /clock: wants fast, real, virtual/],
    [{ seed: 1.5 }, /seed/],
    [{ freeHeap: -1 }, /freeHeap/],
    [{ core: '9.9' }, /core "9\.9"/],
    [{ host: 'localhost' }, /host: wants a dotted IPv4 address/],
    [{ publicKey: 'junk' }, /publicKey: wants the text of a PEM file/],
    [{ board: 'nodemcu3' }, /unknown board/],
    [{ image: Uint8Array.of(0x7f) }, /no ESP8266 firmware/],
  ])('an option that cannot be (%o) is refused before anything is made', async (options, message) => {
    const refused = createDevice({ clock: 'virtual', ...options });
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.toHaveProperty('name', 'DeviceOptionError');
  });

  test('a reader of the events that throws harms neither the device nor the other readers', async () => {
    const board = await device();
    const errors: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => errors.push(error));
    let seen = 0;
    board.events.subscribe((event) => {
      if (event.type === 'rom.boot') throw new Error('reader bug');
    });
    board.events.subscribe(() => seen++);
    expect(await board.powerOn()).toEqual({ state: 'running' });
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(errors).toHaveLength(1);
    expect(seen).toBe(board.events.recent().length);
  });

  test('a sketch given as a function runs without an image, too', async () => {
    let setups = 0;
    const sketch: SketchFactory = ({ Serial }) => ({
      setup() {
        setups++;
        Serial.println('mine');
      },
    });
    const board = await createDevice({ clock: 'virtual', sketch });
    open.push(board);
    expect(await board.powerOn()).toEqual({ state: 'running' });
    expect(setups).toBe(1);
    expect(board.serial.text()).toContain('mine\r\n');
  });

  test('a thousand power cycles leave no timer, no waiting promise and no growing log behind', async () => {
    const board = await device({ image: image('1.0', { size: 16_384 }) });
    const cycle = async (): Promise<void> => {
      await board.powerOn();
      await board.advance(20_000);
      await board.powerOff();
    };
    for (let i = 0; i < 100; i++) await cycle();
    globalThis.gc?.();
    const before = process.memoryUsage();
    const resources = process.getActiveResourcesInfo().length;
    for (let i = 0; i < 900; i++) await cycle();
    globalThis.gc?.();
    const after = process.memoryUsage();
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(resources + 1);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(8 << 20);
    expect(board.events.recent().length).toBeLessThanOrEqual(2 * 65_536);
  }, 60_000);

  test('a sketch that throws crashes like firmware, and the device goes on to the next start', async () => {
    let starts = 0;
    const sketch: SketchFactory = () => ({
      setup() {
        if (++starts === 1) throw new Error('null pointer');
      },
    });
    const board = await device({ image: foreign(), sketch });
    expect(await board.powerOn()).toEqual({ state: 'running' });
    expect(starts).toBe(2);
    expect(board.events.recent('app.crash')[0]?.reason).toContain('null pointer');
  });
});

/** Firmware that is not ours: the manifest is made unreadable, length and CRC are removed as in old cores. */
function foreign(): Uint8Array {
  const bytes = image('1.0', { core: '2.6.3' });
  const at = Buffer.from(bytes).indexOf('esp8266-ota-emulator manifest');
  const checksum = bytes.length - 1;
  for (const [offset, byte] of [[0, 0x58]] as const) {
    bytes[checksum]! ^= bytes[at + offset]! ^ byte;
    bytes[at + offset] = byte;
  }
  return bytes;
}

describe('an update over the air', () => {
  test('from the invitation to the new version: wire, flash, serial line and events agree', async () => {
    const board = await device();
    const next = image('2.0');
    await board.powerOn();
    const { udp, tcp } = await uploadVirtually(board, next);
    expect(udp).toEqual(['OK']);
    expect(tcp.replace(/OK$/, '')).toBe(`${'1460'.repeat(68)}720`);
    expect(tcp).toMatch(/OK$/);
    await board.advance(3_000_000);
    expect(running('2.0', board)).toBe(true);
    expectBytes(board.flash.read(0, next.length), next);
    expect(board.serial.text()).toContain('Start updating sketch\r\nProgress: 0%\rProgress: 1%\r');
    expect(board.serial.text()).toContain('Progress: 100%\r\nEnd\r\n');
    expect(board.serial.text()).toContain('rst cause:1, boot mode:(3,7)');
    expect(board.serial.text()).toContain('v000186a0\r\n@cp:B0\r\nld\r\nBooting');
    expect(board.events.recent('update.begin')).toMatchObject([
      { command: 'sketch', address: 0x1e7000, size: 100_000 },
    ]);
    expect(board.events.recent('eboot.command')).toMatchObject([{ source: 0x1e7000, destination: 0, size: 100_000 }]);
  });

  test('and once more, and the other way round', async () => {
    const board = await device();
    await board.powerOn();
    for (const version of ['2.0', '3.0', '1.0']) {
      await uploadVirtually(board, image(version));
      await board.advance(3_000_000);
      expect(running(version, board)).toBe(true);
    }
  });

  test('an update between core eras rewrites the boot sector', async () => {
    const board = await device();
    await board.powerOn();
    await uploadVirtually(board, image('2.0', { core: '2.7.4' }));
    await board.advance(3_000_000);
    expect(board.serial.text()).toContain('@cp:0\r\nld\r\n');
    expect(running('2.0', board)).toBe(true);
    await board.reset('external');
    expect(board.serial.text()).toContain('load 0x4010f000, len 3584, room 16 \r\n');
    expect(board.events.recent('eboot.start').at(-1)?.version).toBe('2.7.4');
  });

  test('a password is asked for, and a wrong one changes nothing', async () => {
    const board = await device({ ota: { password: 'secret' } });
    await board.powerOn();
    const wrong = await uploadVirtually(board, image('2.0'), { password: 'guess' });
    expect(wrong.udp[1]).toBe('Authentication Failed');
    expect(wrong.connected).toBe(false);
    expect(board.serial.text()).toContain('Error[0]: Auth Failed\r\n');
    await uploadVirtually(board, image('2.0'), { password: 'secret' });
    await board.advance(3_000_000);
    expect(running('2.0', board)).toBe(true);
    expect(JSON.stringify(board.events.recent())).not.toContain('secret');
  });

  test('an image can change the password, and one without OTA ends it', async () => {
    const board = await device();
    await board.powerOn();
    await uploadVirtually(board, image('2.0', { settings: { password: 'new' } }));
    await board.advance(3_000_000);
    expect((await uploadVirtually(board, image('3.0', { sketch: 'blank' }))).udp[1]).toBe('Authentication Failed');
    await uploadVirtually(board, image('3.0', { sketch: 'blank' }), { password: 'new' });
    await board.advance(3_000_000);
    expect(running('3.0', board)).toBe(true);
    expect(board.address).toEqual({});
  });

  test('a file system is written in place, and the sketch starts again', async () => {
    const board = await device();
    const data = new Uint8Array(8192).map((_, i) => i * 7);
    await board.powerOn();
    const { tcp } = await uploadVirtually(board, data, { command: 100 });
    expect(tcp).toMatch(/OK$/);
    expectBytes(board.flash.read(0x200000, data.length), data);
    await board.advance(3_000_000);
    expect(running('1.0', board)).toBe(true);
    expect(board.events.recent('eboot.command')).toEqual([]);
  });

  test('an atomic file system update goes through eboot, takes a watchdog period, and then the sketch runs', async () => {
    const board = await device({ atomicFs: true });
    const data = new Uint8Array(8192).fill(0xff);
    data.set([1, 2, 3, 4]);
    await board.powerOn();
    await uploadVirtually(board, data, { command: 100 });
    await board.advance(20_000_000);
    expectBytes(board.flash.read(0x200000, data.length), data);
    expect(board.serial.text()).toContain('@cp:0\r\nld\r\nFatal exception (2)');
    expect(board.serial.text()).toContain('rst cause:4, boot mode:(3,7)\r\n\r\nwdt reset\r\n');
    expect(running('1.0', board)).toBe(true);
  });

  test('50 bytes crash BasicOTA by a division by zero, after the UDP "OK" and before any TCP', async () => {
    const board = await device();
    await board.powerOn();
    const { udp, connected } = await uploadVirtually(board, new Uint8Array(50), {
      until: () => board.events.recent('app.crash').length > 0,
    });
    await board.advance(1_000_000);
    expect({ udp, connected }).toEqual({ udp: ['OK'], connected: false });
    expect(board.serial.text()).toContain('Exception (6):');
    expect(running('1.0', board)).toBe(true);
  });

  test('power lost between the upload and the restart loses the update, a reset does not', async () => {
    for (const [fate, version] of [
      ['power', '1.0'],
      ['reset', '2.0'],
    ]) {
      const board = await device();
      await board.powerOn();
      await uploadVirtually(board, image('2.0'), { until: () => board.events.recent('update.end').length > 0 });
      if (fate === 'reset') await board.reset('external');
      else {
        await board.powerOff();
        await board.powerOn();
      }
      expect(running(version!, board)).toBe(true);
    }
  });

  test.each([
    ['power-cut@staging:40', '1.0', 'running'],
    ['power-cut@staging:40:inside', '1.0', 'running'],
    ['power-cut@command:5', '1.0', 'running'],
    ['power-cut@copy:40:inside', undefined, 'dead'],
    ['reset@copy:40', '2.0', 'running'],
    ['power-cut@clear:0', '2.0', 'running'],
    ['power-cut@clear:1:after', '2.0', 'running'],
  ])('%s: then version %s, %s', async (spec, version, state) => {
    const board = await device({ faults: [spec], afterPowerCut: 'power-on' });
    await board.powerOn();
    await uploadVirtually(board, image('2.0'), { until: () => board.events.recent('fault.fired').length > 0 });
    await board.advance(5_000_000);
    expect(board.events.recent('fault.fired')).toHaveLength(1);
    expect(board.state?.state).toBe(state);
    if (version !== undefined) expect(running(version, board)).toBe(true);
    else expect(board.state).toMatchObject({ why: 'crash-loop' });
  });

  test('invariant: whether somebody looks at the chip changes nothing of what happens, nor when', async () => {
    const run = async (looks: boolean) => {
      const board = await device();
      let seen = 0;
      if (looks) board.events.subscribe(() => seen++, { chip: true });
      await board.powerOn();
      await uploadVirtually(board, image('2.0'), { until: () => board.events.recent('app.start').length > 1 });
      return { events: board.events.recent(), seen };
    };
    const [watched, alone] = [await run(true), await run(false)];
    expect(watched.seen).toBeGreaterThan(700);
    expect(JSON.stringify(alone.events)).toBe(JSON.stringify(watched.events));
  });

  test('after a power cut by a fault the device stays off until somebody plugs it in, unless told otherwise', async () => {
    const board = await device({ faults: ['power-cut@staging:3'] });
    await board.powerOn();
    await uploadVirtually(board, image('2.0'), { until: () => board.events.recent('power.off').length > 0 });
    expect(board.state).toEqual({ state: 'off', why: 'fault' });
    expect(await board.powerOn()).toEqual({ state: 'running' });
  });

  test('a silent uploader freezes the device, the events say so, and a reset revives it', async () => {
    const board = await device();
    await board.powerOn();
    const udp = board.network.udp();
    const listener = board.network.listenTcp();
    udp.send(`0 ${listener.local.port} 100000 ${'0'.repeat(32)}\n`, 8266);
    await board.advance(60_000_000);
    expect(board.events.recent('device.frozen')).toHaveLength(1);
    udp.send(`0 ${listener.local.port} 100000 ${'0'.repeat(32)}\n`, 8266);
    await board.advance(1_000_000);
    expect(udp.received).toHaveLength(1);
    expect(await board.reset('external')).toEqual({ state: 'running' });
    udp.close();
    listener.close();
    await uploadVirtually(board, image('2.0'));
    await board.advance(3_000_000);
    expect(running('2.0', board)).toBe(true);
  });
});

describe('the stream sketch', () => {
  const send = async (board: Device, bytes: Uint8Array, line: string): Promise<string> => {
    const connection = board.network.connectTcp(board.address.stream!.port);
    let answer = '';
    connection.onData((data) => {
      answer += Buffer.from(data).toString('latin1');
    });
    connection.write(line);
    connection.write(bytes);
    for (let i = 0; i < 400 && !answer.endsWith('\n'); i++) await board.advance(200_000);
    await board.advance(3_000_000);
    return answer;
  };
  const streaming = (version: string): Uint8Array => image(version, { sketch: 'stream-update' });

  test('takes an image from a TCP stream through Update.writeStream', async () => {
    const board = await device({ image: streaming('1.0') });
    await board.powerOn();
    expect(await send(board, streaming('2.0'), '100000\n')).toBe('OK\n');
    expect(running('2.0', board)).toBe(true);
  });

  test.each([
    ['a wrong MD5', `100000 ${'0'.repeat(32)}\n`, /^ERROR\[7\]: MD5 verification failed/],
    ['a size that does not fit', '9999999\n', /^ERROR\[4\]: Not Enough Space/],
    ['a first line that says nothing', 'hello\n', /^ERROR: the first line/],
  ])('%s is answered and changes nothing', async (_, line, answer) => {
    const board = await device({ image: streaming('1.0') });
    await board.powerOn();
    expect(await send(board, streaming('2.0'), line)).toMatch(answer);
    expect(running('1.0', board)).toBe(true);
  });
});
