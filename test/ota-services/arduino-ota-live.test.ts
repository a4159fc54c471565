/** ArduinoOTA on real sockets, with `--time fast`, and uploaders that nobody here wrote. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readInvitation } from '../../ota-services/arduino-ota/invitation.ts';
import { md5Hex } from '../support/ota-device.ts';
import { LiveOta } from '../support/ota-live.ts';
import { imageByRule, latin1 } from '../support/transcript.ts';

/** npm esp-ota has no types. */
interface EspOta {
  setPassword(password: string | undefined): void;
  uploadFile(file: string, address: string, port: number, target: number): Promise<void>;
}
const EspOta = createRequire(import.meta.url)('esp-ota') as {
  new (bind?: string): EspOta;
  FLASH: number;
  SPIFFS: number;
};

const sketch = imageByRule(30_000);
const fileSystem = imageByRule(9000, null);
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ota-live-'));
  writeFileSync(join(folder, 'sketch.bin'), sketch);
  writeFileSync(join(folder, 'fs.bin'), fileSystem);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.concurrent('npm esp-ota uploads', () => {
  test.each([
    ['a sketch', 'sketch.bin', EspOta.FLASH, undefined],
    ['a sketch, with a password', 'sketch.bin', EspOta.FLASH, 'secret'],
    ['a file system', 'fs.bin', EspOta.SPIFFS, undefined],
    ['a file system, with a password', 'fs.bin', EspOta.SPIFFS, 'secret'],
  ])('%s', async (_what, file, target, password) => {
    const device = await LiveOta.start({
      setup: (ota) => {
        if (password !== undefined) ota.setPassword(password);
      },
    });
    const uploader = new EspOta('127.0.0.1');
    uploader.setPassword(password);
    await uploader.uploadFile(join(folder, file), '127.0.0.1', device.port, target);
    await device.stopped;
    expect(device.restart).toBe('restart');
    const image = target === EspOta.FLASH ? sketch : fileSystem;
    const at = target === EspOta.FLASH ? device.bootCommand!.source : 0x200000;
    expect(md5Hex(device.chip.peek(at, image.length))).toBe(md5Hex(image));
  });
});

/** Invites the device and hands over its connection. */
async function connectionOf(device: LiveOta, invitation: (port: number) => string): Promise<Socket> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const udp = createSocket('udp4');
  udp.send(invitation((server.address() as AddressInfo).port), device.port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  udp.close();
  server.close();
  return socket.on('error', () => {});
}

describe.concurrent('invariant: a fast device leaves uploaders the pauses that they need', () => {
  test('1000 ms between the last acknowledgement and OK, although nothing else takes time', async () => {
    const good = await LiveOta.start({ setup: (ota) => ota.setRebootOnSuccess(false) });
    const image = imageByRule(1000);
    const uploader = await connectionOf(good, (port) => `0 ${port} 1000 ${md5Hex(image)}`);
    const came: [string, number][] = [];
    uploader.on('data', (data) => came.push([latin1(data), performance.now()]));
    uploader.write(image);
    await once(uploader, 'end');
    const closed = performance.now();
    expect(came.map(([text]) => text)).toEqual(['1000', 'OK']);
    expect(came[1]![1] - came[0]![1]).toBeGreaterThan(950);
    // The second pause, between OK and the end, is the device's own.
    expect(closed - came[1]![1]).toBeLessThan(900);
    await good.powerOff();
  });

  test('row 77: an error text comes apart from the last acknowledgement; read late, both are one piece', async () => {
    const image = imageByRule(1000, [0xe9, 1, 3, 0x80]);
    for (const late of [false, true]) {
      const device = await LiveOta.start();
      const uploader = await connectionOf(device, (port) => `0 ${port} 1000 ${md5Hex(image)}`);
      const pieces: string[] = [];
      uploader.write(image);
      if (late) {
        await sleep(400);
        pieces.push(latin1(uploader.read()));
        uploader.resume();
      } else {
        uploader.on('data', (data) => pieces.push(latin1(data)));
      }
      await once(uploader, 'end');
      const error = 'ERROR[9]: new Flash config wrong, real size: 4194304\n';
      expect(pieces).toEqual(late ? [`1000${error}`] : ['1000', error]);
      await device.powerOff();
    }
  });

  test('surplus bytes: OK is there to be read before the connection is reset', async () => {
    const image = imageByRule(1000);
    const device = await LiveOta.start();
    const uploader = await connectionOf(device, (port) => `0 ${port} 1000 ${md5Hex(image)}`);
    uploader.pause();
    uploader.write(Buffer.concat([image, Buffer.alloc(100)]));
    await sleep(1300);
    let text = '';
    uploader.on('data', (data) => {
      text += latin1(data);
    });
    uploader.resume();
    await new Promise((resolve) => uploader.once('close', resolve));
    expect(text).toBe('1000OK');
    await device.stopped;
    expect(device.restart).toBe('restart');
  });
});

describe.concurrent('invariant: bad peers get what the device gives, and harm nobody', () => {
  test('garbage datagrams are not answered; the next uploader is', async () => {
    const device = await LiveOta.start();
    const udp = createSocket('udp4').bind(0, '127.0.0.1');
    await once(udp, 'listening');
    const replies: string[] = [];
    udp.on('message', (data) => replies.push(latin1(data)));
    let sent = 0;
    for (let i = 0; i < 300; i++) {
      const garbage = Uint8Array.from({ length: (i * 37) % 200 }, (_, at) => (at * 89 + i * 31) & 0xff);
      // A NUL in the right place makes an invitation of anything.
      if (readInvitation(garbage).kind === 'accepted') continue;
      udp.send(garbage, device.port, '127.0.0.1');
      // One by one, or the host's buffer overflows and loses some.
      while (device.eventsOf('wire.in').length <= sent) await sleep(1);
      sent++;
    }
    expect(sent).toBeGreaterThan(250);
    expect(replies).toEqual([]);
    udp.send(`0 1 99999999999 ${'0'.repeat(32)}`, device.port, '127.0.0.1');
    await once(udp, 'message');
    expect(replies).toEqual(['ERR: ERROR[4]: Not Enough Space\n']);
    udp.close();
    await device.powerOff();
    expect(device.crash).toBeUndefined();
  });

  test('a silent uploader freezes the sketch without keeping the host busy, until power goes off', async () => {
    const device = await LiveOta.start();
    const uploader = await connectionOf(device, (port) => `0 ${port} 1000 ${'0'.repeat(32)}`);
    await sleep(100);
    const before = device.events.length;
    await sleep(1500);
    expect(device.events).toHaveLength(before);
    await device.powerOff();
    expect(device.lines).toEqual(['Start cmd=0', 'Progress 0/1000']);
    uploader.destroy();
  });

  test('a flood is slowed down, taken whole, and acknowledged byte for byte', async () => {
    const image = imageByRule(500_000);
    const device = await LiveOta.start();
    const uploader = await connectionOf(device, (port) => `0 ${port} ${image.length} ${md5Hex(image)}`);
    let text = '';
    uploader.on('data', (data) => {
      text += latin1(data);
    });
    uploader.write(image);
    await once(uploader, 'close');
    await device.stopped;
    const acks = device.eventsOf('ota.ack').map(({ bytes }) => bytes);
    expect(text).toBe(`${acks.join('')}OK`);
    expect(acks.reduce((sum, ack) => sum + ack, 0)).toBe(image.length);
    expect(md5Hex(device.chip.peek(device.bootCommand!.source, image.length))).toBe(md5Hex(image));
  });
});
