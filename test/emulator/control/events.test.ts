/** The event stream over HTTP: order, resumption, many readers, and readers that do not read. */
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { EventStream } from '../../../emulator/control/event-stream.ts';
import { startControl } from '../../../emulator/control/server.ts';
import { EventLog } from '../../../emulator/events.ts';
import { createDevice, type Device } from '../../../emulator/index.ts';
import { type Controlled, controlled, EventReader, image, rawConnection } from '../../support/control.ts';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});
function kept<T extends { close(): unknown }>(one: T): T {
  opened.push(one);
  return one;
}
async function start(): Promise<Controlled> {
  const at = await controlled();
  kept(at.device);
  return at;
}
const read = async (port: number, headers = {}, path = '/api/events'): Promise<EventReader> =>
  kept(await EventReader.open(port, headers, path));

const seqs = (reader: EventReader): number[] => reader.events.map(({ seq }) => seq);

describe('a reader', () => {
  test('gets every event from now on, as it stands in the contract, with its seq as id', async () => {
    const { device, port, ask } = await start();
    const from = device.events.nextSeq;
    const reader = await read(port);
    await ask('/api/upload', { body: image('2.0') });
    await device.next('app.start', { since: from, where: ({ version }) => version === '2.0' });
    await device.powerOff();
    const last = device.events.nextSeq - 1;
    await reader.until(({ events }) => events.at(-1)?.seq === last);
    expect(reader.all[0]).toMatchObject({ event: 'hello', data: { next: from } });
    expect(reader.events).toEqual(JSON.parse(JSON.stringify(device.events.since(from, 1e6))));
    expect(reader.events.length).toBeGreaterThan(2000);
    const sent = reader.all.filter(({ event }) => event === 'message');
    expect(sent.every(({ id, data }) => id === String(data.seq))).toBe(true);
  });

  test('Last-Event-ID goes on behind it, ?after too, and -1 is from the beginning', async () => {
    const { device, port } = await start();
    const all = device.events.since(0, 1e6).map(({ seq }) => seq);
    const whole = await read(port, {}, '/api/events?after=-1');
    await whole.until(({ events }) => events.length === all.length);
    expect(seqs(whole)).toEqual(all);
    const tail = await read(port, { 'Last-Event-ID': String(all.at(-4)) });
    await tail.until(({ events }) => events.length === 3);
    expect(seqs(tail)).toEqual(all.slice(-3));
    const query = await read(port, {}, `/api/events?after=${all.at(-3)}`);
    await query.until(({ events }) => events.length === 2);
    expect(query.all.filter(({ event }) => event === 'gap')).toEqual([]);
  });

  test.each(['x', '-2', '1e3', '99999999999999999999'])('a Last-Event-ID of %s counts as none', async (id) => {
    const { device, port } = await start();
    const reader = await read(port, { 'Last-Event-ID': id });
    device.pause();
    device.serial.write('marker');
    await reader.until(({ events }) => events.length > 0);
    expect(reader.events[0]).toMatchObject({ type: 'serial.in', text: 'marker' });
  });

  test('a gap is told: what the log no longer keeps', () => {
    const log = new EventLog(() => 0, undefined, 100);
    const sent: string[] = [];
    const response = {
      writeHead() {},
      once() {},
      on() {},
      destroy() {},
      write: (text: string) => sent.push(text) > 0,
    };
    for (let i = 0; i < 5000; i++) log.emit({ type: 'sketch.log', text: String(i) });
    const stream = new EventStream(log, 'run-1');
    stream.add(response as never, { after: 9, run: undefined });
    return expect
      .poll(() => sent.join(''))
      .toContain(
        `event: gap\ndata: ${JSON.stringify({ from: 10, to: log.oldestSeq - 1, dropped: log.oldestSeq - 10 })}`,
      );
  });

  test('one that comes back after the program was started again begins anew, and is told so', async () => {
    const { device, port } = await start();
    for (const [headers, path] of [
      [{ 'Last-Event-ID': '5000000' }, '/api/events'],
      [{ 'Last-Event-ID': '2' }, '/api/events?run=another'],
    ] as const) {
      const reader = await read(port, headers, path);
      await reader.until(({ events }) => events.length === device.events.nextSeq);
      expect(reader.all[1]).toMatchObject({ event: 'gap', data: { restarted: true } });
      expect(seqs(reader)[0]).toBe(0);
    }
    const run = (await read(port)).all[0]?.data.run ?? '';
    const again = await read(port, { 'Last-Event-ID': '2' }, `/api/events?run=${run}`);
    await again.until(({ events }) => events.length > 0);
    expect(seqs(again)[0]).toBe(3);
  });
});

describe('many readers', () => {
  test('all get the same; one too many is refused until another leaves', async () => {
    const { device, port, ask } = await start();
    const readers = await Promise.all(Array.from({ length: 32 }, () => read(port)));
    expect((await ask('/api/events')).json.error.code).toBe('too-many-readers');
    const from = device.events.nextSeq;
    await ask('/api/reset', { body: { cause: 'external' } });
    await device.settled();
    device.pause();
    const last = device.events.nextSeq - 1;
    for (const reader of readers) {
      await reader.until(({ events }) => events.at(-1)?.seq === last);
      expect(seqs(reader).filter((seq) => seq >= from)).toEqual(
        Array.from({ length: last - from + 1 }, (_, i) => from + i),
      );
    }
    readers[0]!.close();
    let status = 503;
    for (let tries = 0; tries < 100 && status !== 200; tries++) status = (await read(port)).status;
    expect(status).toBe(200);
  });
});

describe('readers that do not read', () => {
  /** Asks for the events and then reads nothing at all. */
  async function deaf(port: number): Promise<Socket> {
    const socket = await rawConnection(port);
    socket.removeAllListeners('error');
    socket.on('error', () => {});
    socket.pause();
    socket.write(`GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    return kept(Object.assign(socket, { close: () => socket.destroy() }));
  }

  /** A device that keeps few events, so that a gap comes soon. */
  async function withControl(stalledMs: number, readers = 32): Promise<{ device: Device; port: number }> {
    const device = kept(
      await createDevice({ image: image('1.0'), layout: '4m2m', ota: { port: 0 }, http: { port: 0 } }),
    );
    const control = kept(await startControl(device, { port: 0, limits: { stalledMs, readers } }));
    await device.powerOn();
    return { device, port: control.address.port };
  }

  const tell = (device: Device, count: number): void => {
    for (let i = 0; i < count; i++) device.events.emit({ type: 'sketch.log', text: 'x'.repeat(1000) });
  };

  test('their memory is bounded: however much happens, no more is turned into text than the socket takes', async () => {
    const { device, port } = await withControl(60_000);
    const sockets = await Promise.all(Array.from({ length: 8 }, () => deaf(port)));
    let texts = 0;
    const poll = async (): Promise<void> => {
      for (let i = 0; i < 20; i++) {
        // Each of these would be 20 MB for each reader.
        tell(device, 2000);
        await new Promise((resolve) => setTimeout(resolve, 15));
      }
    };
    const text = 'x'.repeat(1000);
    const counted = { type: 'sketch.log', text, toJSON: () => ({ type: 'sketch.log', text, count: ++texts }) };
    device.events.emit(counted as never);
    await poll();
    for (let i = 0; i < 500; i++) device.events.emit(counted as never);
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Blocked long ago, nobody asked for the last 500.
    expect(texts).toBeLessThanOrEqual(sockets.length);
    expect(device.isOn).toBe(true);
  });

  test('one that stops for a while is told of the gap and goes on; one that stops for good is dropped', async () => {
    const { device, port } = await withControl(60_000);
    const socket = await deaf(port);
    // More than the socket and the log take together.
    for (let i = 0; i < 30; i++) {
      tell(device, 6000);
      await new Promise((resolve) => setTimeout(resolve, 12));
    }
    const last = device.events.nextSeq - 1;
    let text = '';
    let gap = '';
    const done = new Promise<void>((resolve) => {
      socket.setEncoding('latin1').on('data', (piece: string) => {
        text = text.slice(-2000) + piece;
        gap ||= /event: gap\ndata: (\{.*\})/.exec(text)?.[1] ?? '';
        if (text.includes(`"seq":${last},`)) resolve();
      });
    });
    socket.resume();
    await done;
    const { from, to, dropped } = JSON.parse(gap);
    expect(dropped).toBe(to - from + 1);
    expect(dropped).toBeGreaterThan(1000);
    expect(device.isOn).toBe(true);
  });

  test('dropped after the time for stalled readers; their places are free again', async () => {
    const { device, port } = await withControl(50, 2);
    await deaf(port);
    await deaf(port);
    let reader: EventReader | undefined;
    // Enough that neither the sockets nor the system take more.
    while (reader?.status !== 200) {
      tell(device, 2000);
      await new Promise((resolve) => setTimeout(resolve, 12));
      reader = await read(port);
    }
    expect(device.isOn).toBe(true);
  });
});

test('the device serves an update while readers come, go and stall', async () => {
  const { device, port, ask } = await start();
  let over = false;
  const coming = (async () => {
    while (!over) (await EventReader.open(port, {}, '/api/events?after=-1')).close();
  })();
  const from = device.events.nextSeq;
  expect((await ask('/api/upload?via=web', { body: image('2.0', 600_000) })).json).toMatchObject({ ok: true });
  await device.next('app.start', { since: from, where: ({ version }) => version === '2.0' });
  over = true;
  await coming;
  expect(device.state).toEqual({ state: 'running' });
});
