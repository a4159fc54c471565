/** What the live page makes of events, without a browser: its model, its words, its logs. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseFaults } from '../../../emulator/faults/spec.ts';
import { createDevice, type DeviceEventType } from '../../../emulator/index.ts';
import { driveUpdateOverSockets, image } from '../../support/control.ts';

// Browsers take these files as they are; they have no types of ours.
// biome-ignore lint/suspicious/noExplicitAny: as said
const load = (name: string): Promise<any> =>
  import(new URL(`../../../emulator/control/page/${name}`, import.meta.url).href);
const { Model, PHASES, faultAt } = await load('model.js');
const { describe: tell, faultWords, deathWords, CURES } = await load('words.js');
const { Ring } = await load('ring.js');
const { SerialText } = await load('serial-text.js');
const { WireLog } = await load('wire-log.js');
const { facts, nowOf, copying } = await load('now.js');

/** Every type there is: the compiler finds the forgotten one. */
const TYPES: Record<DeviceEventType, Record<string, unknown>> = {
  'device.ready': { addresses: { ota: { host: '127.0.0.1', port: 1 }, serial: { path: '/dev/pts/1' } } },
  'power.on': { cause: 'user' },
  'power.off': { cause: 'fault' },
  reset: { cause: 'external', rtcKept: true },
  straps: { gpio0: 1, gpio2: 1, gpio15: 0, latched: 3 },
  'rom.boot': { segments: 2, checksumOk: true },
  'eboot.start': { engine: 'model', version: 'master' },
  'eboot.command': { action: 1, source: 0x1b6000, destination: 0, size: 300_000 },
  'eboot.copy': { sector: 1, skipped: false },
  'eboot.end': { result: 0, uart: '' },
  'app.start': { md5: 'x', size: 5, sketch: 'blank', identity: 'known' },
  'app.crash': { reason: 'x', resets: 1 },
  'device.dead': { why: 'no-image', cure: 'serial' },
  'device.frozen': { where: 'ota', cure: 'reset' },
  'device.thawed': { where: 'ota' },
  'flash.erase': { address: 0x1000, length: 4096, area: 'app', stuckBits: 0, wear: 1 },
  'flash.program': { address: 0x1000, length: 256, area: 'app', stuckBits: 2, wear: 1, torn: 12 },
  'rtc.write': { offset: 0, length: 4 },
  'update.begin': { command: 'sketch', address: 0x1b6000, size: 300_000 },
  'update.progress': { written: 1, size: 2 },
  'update.end': { md5: 'x', size: 2 },
  'update.error': { code: 10, name: 'MAGIC_BYTE', message: 'x' },
  'ota.invite': { peer: 'p', command: 0, port: 1, size: 2, md5: 'x' },
  'ota.auth': { peer: 'p', ok: false },
  'ota.connect': { peer: 'p', ok: false },
  'ota.ack': { peer: 'p', bytes: 1, total: 2 },
  'ota.error': { peer: 'p', code: 1, name: 'x' },
  'ota.end': { peer: 'p', ok: true, reboot: true },
  'http.request': { peer: 'p', method: 'GET', path: '/' },
  'http.upload': { peer: 'p', field: 'f', filename: 'n', bytes: 1, state: 'aborted' },
  'http.response': { peer: 'p', status: 200, length: 1 },
  'httpupdate.request': { url: 'u', headers: {} },
  'httpupdate.response': { status: 500, headers: {} },
  'httpupdate.end': { result: 'failed', error: -1, message: 'm' },
  'loader.start': { dialect: 'rom' },
  'loader.command': { name: 'SYNC', status: 0 },
  'loader.end': {},
  'wire.in': { channel: 'udp', peer: 'p', length: 3, data: 'YWJj' },
  'wire.out': { channel: 'tcp', peer: 'p', length: 3, data: 'YWJj' },
  'serial.out': { text: 'x', uart: 0 },
  'serial.in': { text: 'x', uart: 0 },
  'serial.host': { peer: 'p', state: 'ignored' },
  'cpu.stop': { reason: 'breakpoint', pc: 0x40100000 },
  'fault.armed': { spec: 'power-cut@copy:17:inside', op: 17 },
  'fault.fired': { spec: 'erase-fail@0x2000', op: 0, address: 0x2000 },
  'sketch.log': { text: 'said' },
};

describe('words', () => {
  test.each(Object.entries(TYPES))('%s is told in words', (type, fields) => {
    const { text, tone } = tell({ seq: 0, atUs: 0, type, ...fields });
    expect(text).not.toBe(type);
    expect(text).not.toMatch(/undefined|NaN|\[object/);
    expect(['quiet', 'plain', 'good', 'warn', 'bad']).toContain(tone);
  });

  test('an unknown event of a later version is its type, no mistake', () => {
    expect(tell({ type: 'moon.rise' }).text).toBe('moon.rise');
  });

  test('every death has a reason and every cure an instruction', () => {
    for (const why of ['no-image', 'bad-checksum', 'crash-loop', 'rom-hang']) {
      expect(deathWords({ why, message: 'it hangs' })).toMatch(/^[A-Z].*\.$/);
    }
    expect(Object.keys(CURES)).toEqual(['external', 'power', 'serial']);
  });

  test('faults as sentences; what is none stays', () => {
    expect(faultWords('power-cut@copy:17:inside:0.5')).toBe(
      'pull the plug while eboot copies, in the middle of operation 17',
    );
    expect(faultWords('erase-fail@0x5000')).toBe('an erase fails at the next operation on sector 5');
    expect(faultWords('net-loss@udp:3')).toBe('net-loss on UDP, at operation 3');
    expect(faultWords('<b>')).toBe('<b>');
  });

  test('invariant: what the page plans from an operation is a fault of the grammar, at that operation', () => {
    const phase = fc.nat(PHASES.length - 1);
    const kind = fc.constantFrom('power-cut', 'reset', 'brown-out');
    fc.assert(
      fc.property(
        phase,
        fc.nat(99_999),
        kind,
        fc.constantFrom('before', 'inside', 'after'),
        (index, op, name, point) => {
          const where = name === 'power-cut' ? point : 'before';
          const [fault] = parseFaults(faultAt({ phase: index, op }, name, where, 0.5));
          expect(fault).toMatchObject({ kind: name, at: { phase: PHASES[index], op } });
          expect(fault?.at.point ?? 'before').toBe(where);
        },
      ),
    );
  });
});

describe('the model', () => {
  test('follows a real update: its operations are those that the fault grammar counts', async () => {
    await using device = await createDevice({
      layout: '4m2m',
      image: image('1.0'),
      ota: { port: 0 },
      http: { port: 0 },
    });
    const model = new Model();
    const stages = new Set<string>();
    const see = (event: unknown): void => {
      model.apply(event, 0);
      stages.add(nowOf(model).station);
      expect(nowOf(model).text).not.toMatch(/undefined|NaN/);
    };
    device.events.subscribe(see);
    const arrows: unknown[] = [];
    device.events.subscribe((event) => {
      if (event.type === 'flash.erase' && copying(model)) arrows.push({ ...copying(model), at: event.address / 4096 });
    });
    await device.powerOn();
    await driveUpdateOverSockets(device, image('2.0', 20_000));
    expect(model.app.version).toBe('2.0');
    expect([...stages].sort()).toEqual(['app', 'eboot', 'restart', 'rom', 'update']);
    const count = (phase: string) => {
      let found = 0;
      for (let i = 0; i < model.operations.length; i++) {
        const operation = model.operations.at(i);
        if (PHASES[operation.phase] !== phase) continue;
        expect(operation.op).toBe(found);
        found++;
      }
      return found;
    };
    // 20,000 bytes: five sectors stored; four copied, as eboot itself is the same; the command's 32 words, its clearing's 2.
    expect(count('staging')).toBe(5 + 79);
    expect(count('copy')).toBe(4 * 17);
    expect(count('command')).toBe(32);
    expect(count('clear')).toBe(2);
    // The arrow points to the sector that is being written.
    expect(arrows.length).toBe(4);
    for (const { to, at } of arrows as { to: number; at: number }[]) expect(to).toBe(at);
  });

  test('a latch tells what counted at that moment, not how the pins are: those are asked for', () => {
    const model = new Model();
    // DTR of a serial host, or FLASH held for this one reset.
    model.apply({ seq: 0, atUs: 0, type: 'straps', gpio0: 0, gpio2: 1, gpio15: 0, latched: 1 }, 0);
    expect(model.straps).toEqual({ gpio0: 1, gpio2: 1, gpio15: 0 });
    expect(model.latched).toBe(1);
    expect(model.takeChanges()).toContain('strapsStale');
    expect(facts(model)).toContainEqual(['Boot mode', '1: serial loader']);
  });

  test('sector states follow the operations', () => {
    const model = new Model();
    const sector = { area: 'app', state: 'programmed', wear: 0, crc: 1 };
    model.setMap({ capacityBytes: 8 * 4096, sectors: Array(8).fill(sector) });
    const event = (type: string, address: number, more = {}) =>
      model.apply({ seq: 0, atUs: 0, type, address, length: 256, area: 'staging', stuckBits: 0, wear: 3, ...more }, 5);
    event('flash.erase', 0x1000, { length: 4096 });
    event('flash.program', 0x2000);
    event('flash.program', 0x3000, { torn: 100 });
    event('flash.program', 0x3100);
    event('flash.erase', 0x4000, { length: 4096, stuckBits: 3 });
    event('flash.erase', 0x5000, { length: 8192 });
    expect([...model.state]).toEqual([1, 0, 2, 3, 4, 0, 0, 1]);
    expect([...model.wear]).toEqual([0, 3, 3, 3, 3, 3, 3, 0]);
    expect([...model.area.slice(0, 2)]).toEqual([1, 2]);
    expect(model.cursor).toBe(6);
  });

  test('invariant: any events in any order keep it bounded and never break it', () => {
    const entries = Object.entries(TYPES);
    fc.assert(
      fc.property(fc.array(fc.nat(entries.length - 1), { maxLength: 400 }), (picks) => {
        const model = new Model();
        model.setMap({
          capacityBytes: 4096 * 4,
          sectors: Array(4).fill({ area: 'app', state: 'erased', wear: 0, crc: 0 }),
        });
        picks.forEach((pick, seq) => {
          const [type, fields] = entries[pick]!;
          model.apply({ seq, atUs: seq, type, ...fields }, seq);
          expect(nowOf(model).text).not.toMatch(/undefined|NaN/);
        });
        expect(model.received).toBe(picks.length);
        expect(model.events.length).toBe(Math.min(picks.length, 20_000));
      }),
      { numRuns: 100 },
    );
  });
});

describe('logs', () => {
  test('invariant: a ring holds the last entries, in order, and counts the rest', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.nat(), { maxLength: 100 }), (limit, items) => {
        const ring = new Ring(limit);
        for (const item of items) ring.push(item);
        const kept = Array.from({ length: ring.length }, (_, i) => ring.at(i));
        expect(kept).toEqual(items.slice(-limit));
        expect(ring.dropped).toBe(items.length - kept.length);
        expect(ring.last).toBe(items.at(-1));
      }),
    );
  });

  test('invariant: serial text is the same however it was cut into pieces; CR goes back in the line', () => {
    const text = 'Progress: 5%\rProgress: 50%\rProgress: 100%\r\nEnd\n\nx\r\ny';
    const whole = new SerialText(100);
    whole.write('Progress: 5%\rProgress: 50%\rProgress: 100%\nEnd\n\nx\ny');
    const lines = Array.from({ length: whole.length }, (_, i) => whole.at(i));
    expect(lines).toEqual(['Progress: 100%', 'End', '', 'x', 'y']);
    for (let cut = 0; cut <= text.length; cut++) {
      const serial = new SerialText(100);
      serial.write(text.slice(0, cut));
      serial.write(text.slice(cut));
      expect(Array.from({ length: serial.length }, (_, i) => serial.at(i))).toEqual(lines);
    }
  });

  test('serial text without an end stays bounded, and bytes of another baud rate are dots', () => {
    const serial = new SerialText(10);
    for (let i = 0; i < 1000; i++) serial.write('x'.repeat(100));
    expect(serial.at(0).length).toBe(2000);
    const noise = new SerialText(10);
    noise.write('\u0000\u0001a\u0090');
    expect(noise.at(0)).toBe('··a·');
  });

  test('the wire log gathers runs of data into one line, and shows text as text', () => {
    const log = new WireLog(100);
    const wire = (type: string, text: string, channel = 'tcp') =>
      log.add({
        seq: 0,
        atUs: 0,
        type,
        channel,
        peer: 'p',
        length: text.length,
        data: Buffer.from(text, 'latin1').toString('base64'),
      });
    wire('wire.in', '0 48266 300000 abc\n', 'udp');
    wire('wire.out', 'OK', 'udp');
    for (let i = 0; i < 50; i++) {
      wire('wire.in', '\u00e9\u0001\u0002\u0003');
      wire('wire.out', '4');
      log.add({ type: 'ota.ack', seq: 0, atUs: 0, peer: 'p', bytes: 4, total: 4 * i });
    }
    const lines = Array.from({ length: log.length }, (_, i) => log.lines.at(i).text);
    expect(lines).toEqual([
      '0 48266 300000 abc',
      'OK',
      '200 bytes in 50 pieces',
      '50 bytes in 50 pieces',
      'the device acknowledges: 196 bytes so far',
    ]);
  });
});
