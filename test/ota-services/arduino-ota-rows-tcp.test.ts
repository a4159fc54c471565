/** Rows of the scenario table, spec chapter 03 §14, about the connection: data, acknowledgements, ends; and §6.3, §7. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DeviceReset } from '../../emulator/device-reset.ts';
import type { FlashFaults } from '../../flash/nor-flash.ts';
import { imageByRule, md5Hex, OtaBench, type OtaBenchOptions, type SimUploader } from '../support/ota-bench.ts';

const FS_START = 0x200000;
const sketch3640 = imageByRule(3640);

async function started(options: OtaBenchOptions = {}): Promise<OtaBench> {
  const bench = new OtaBench(options);
  await bench.advance(5);
  return bench;
}

async function runs(uploader: SimUploader, bench: OtaBench, limitMs = 10_000): Promise<void> {
  uploader.invite();
  await bench.until(() => bench.restart !== undefined, 'the restart', limitMs);
}

async function fails(uploader: SimUploader, bench: OtaBench, limitMs = 10_000): Promise<void> {
  uploader.invite();
  await bench.until(() => bench.lines.includes('Error[4]'), 'Error[4]', limitMs);
  await bench.advance(200);
}

const acks = (bench: OtaBench): number[] => bench.eventsOf('ota.ack').map(({ bytes }) => bytes);

/** Operations of a kind from number `from` on (and up to `to`) fail. */
function failing(kind: 'erase' | 'program', from: number, to = Number.POSITIVE_INFINITY): FlashFaults {
  let count = 0;
  return {
    decide(operation) {
      if (operation.kind !== kind) return undefined;
      const index = count++;
      return index >= from && index <= to ? { do: 'fail' } : undefined;
    },
  };
}

describe('a good update', () => {
  test('rows 1 and 2: OK, 100 ms, connection, acknowledgements, 1000 ms, OK, 1000 ms, FIN, End, restart', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640);
    await runs(uploader, bench);
    expect(uploader.replies).toEqual(['OK']);
    expect(uploader.connectedAtMs - uploader.udp[0]!.atMs).toBeGreaterThanOrEqual(100);
    expect(uploader.tcp.map(({ text }) => text)).toEqual(['1460', '1460', '720', 'OK']);
    const [, , last, ok] = uploader.tcp.map(({ atMs }) => atMs);
    expect(ok! - last!).toBeGreaterThanOrEqual(1000);
    expect(uploader.stateAtMs('device-ended')! - ok!).toBeGreaterThanOrEqual(1000);
    expect(bench.lines).toEqual([
      'Start cmd=0',
      'Progress 0/3640',
      'Progress 1460/3640',
      'Progress 2920/3640',
      'Progress 3640/3640',
      'End',
    ]);
    expect(bench.restart).toBe('restart');
    expect(bench.bootCommand).toEqual({ source: FS_START - 4096, destination: 0, size: 3640 });
    expect(bench.debug.slice(1)).toEqual(['Update Success\n', 'Rebooting...\n']);
    expect(bench.eventsOf('ota.end')).toMatchObject([{ ok: true, reboot: true }]);
  });

  test('row 17: a file system is written in place', async () => {
    const bench = await started();
    const image = imageByRule(9000, null);
    await runs(bench.uploader(image, { command: 100 }), bench);
    expect(bench.lines[0]).toBe('Start cmd=100');
    expect(md5Hex(bench.chip.peek(FS_START, 9000))).toBe(md5Hex(image));
    expect(bench.bootCommand).toBeUndefined();
  });

  test('row 18: a port of 65536 + P is P', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640);
    uploader.invite(uploader.invitation.replace(` ${uploader.port} `, ` ${65536 + uploader.port} `));
    await bench.until(() => bench.restart !== undefined, 'the restart');
  });

  test('row 37: an upper-case md5 is as good', async () => {
    const bench = await started();
    await runs(bench.uploader(sketch3640, { md5: md5Hex(sketch3640).toUpperCase() }), bench);
  });

  test('row 39: a gzip image succeeds', async () => {
    const bench = await started();
    await runs(bench.uploader(imageByRule(3640, [0x1f, 0x8b, 8, 0])), bench);
  });

  test('row 78: an image with another flash mode is staged with the running one, and its md5 still counts', async () => {
    const bench = await started();
    const image = imageByRule(3640, [0xe9, 1, 0, 0x40]);
    await runs(bench.uploader(image), bench);
    expect(Array.from(bench.chip.peek(FS_START - 4096, 4))).toEqual([0xe9, 1, 3, 0x40]);
  });

  test('row 56: after an image of 150 bytes the sketch is told (150, 150)', async () => {
    const bench = await started();
    await runs(bench.uploader(imageByRule(150)), bench);
    expect(bench.lines).toContain('Progress 150/150');
  });

  test.each([1, 4095, 4096, 4097, 8192])('an image of %i bytes is staged whole', async (length) => {
    const bench = await started();
    const image = imageByRule(length);
    await runs(bench.uploader(image), bench);
    expect(md5Hex(bench.chip.peek(bench.bootCommand!.source, length))).toBe(md5Hex(image));
    expect(acks(bench).reduce((sum, ack) => sum + ack, 0)).toBe(length);
  });

  test('row 46: everything at once: the sum of the acknowledgements is the size', async () => {
    const bench = await started();
    const image = imageByRule(20_000);
    const uploader = bench.uploader(image, { chunk: 0 });
    await runs(uploader, bench);
    expect(acks(bench).reduce((sum, ack) => sum + ack, 0)).toBe(20_000);
    expect(uploader.text).toBe(`${acks(bench).join('')}OK`);
  });

  test('§6.3: with a 536-byte MSS and a slow link, a chunk is acknowledged in pieces', async () => {
    const bench = await started({ network: { mss: 536, segmentGapUs: 2500 } });
    const allAcknowledged = (offset: number): boolean => acks(bench).reduce((sum, ack) => sum + ack, 0) === offset;
    await runs(bench.uploader(sketch3640, { beforeChunk: allAcknowledged }), bench);
    expect(acks(bench)).toEqual([536, 536, 388, 536, 536, 388, 536, 184]);
  });

  test('row 47: surplus bytes are not acknowledged; success; the connection ends with RST, long after OK', async () => {
    const bench = await started();
    const image = imageByRule(3740);
    const uploader = bench.uploader(image, { size: 3640, md5: md5Hex(image.subarray(0, 3640)), chunk: 0 });
    await runs(uploader, bench);
    expect(uploader.text).toBe(`${acks(bench).join('')}OK`);
    expect(acks(bench).reduce((sum, ack) => sum + ack, 0)).toBe(3640);
    expect(uploader.stateAtMs('reset')! - uploader.tcp.at(-1)!.atMs).toBeGreaterThanOrEqual(1000);
  });

  test('row 69: an update after a failed one works', async () => {
    const bench = await started();
    await fails(bench.uploader(sketch3640, { md5: 'f'.repeat(32) }), bench);
    await runs(bench.uploader(sketch3640), bench);
  });

  test('with little memory the buffer has 256 bytes, and the update is the same', async () => {
    const bench = await started({ freeHeap: 8192 });
    const image = imageByRule(5001);
    await runs(bench.uploader(image), bench);
    expect(md5Hex(bench.chip.peek(bench.bootCommand!.source, 5001))).toBe(md5Hex(image));
  });
});

describe('no connection', () => {
  test('row 19: refused: Error[2], Error[4], nothing on the wire, and the next invitation works', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640).refuse().invite();
    await bench.advance(200);
    expect(uploader.replies).toEqual(['OK']);
    expect(bench.lines).toEqual(['Start cmd=0', 'Progress 0/3640', 'Error[2]', 'Error[4]']);
    expect(bench.debug.slice(1)).toEqual(['Connect Failed\n', 'ERROR[13]: No data supplied\n']);
    expect(bench.eventsOf('ota.connect')).toMatchObject([{ ok: false }]);
    expect(bench.eventsOf('ota.end')).toMatchObject([{ ok: false, reboot: false }]);
    await runs(bench.uploader(sketch3640), bench);
  });

  test('row 20: no answer: both errors 5 s after the attempt', async () => {
    const bench = await started();
    bench.network.link = ({ protocol }) => (protocol === 'tcp' ? 'drop' : 'pass');
    bench.uploader(sketch3640).invite();
    await bench.until(() => bench.lines.includes('Error[4]'), 'Error[4]');
    const [start, , connect, end] = bench.serial.map(({ atMs }) => atMs);
    expect(bench.lines.slice(2)).toEqual(['Error[2]', 'Error[4]']);
    expect(connect! - start!).toBeCloseTo(5000, 0);
    expect(end! - connect!).toBeLessThan(1);
  });

  test('port 0 is nobody', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640);
    uploader.invite(uploader.invitation.replace(` ${uploader.port} `, ' 0 '));
    await bench.advance(200);
    expect(bench.lines.slice(2)).toEqual(['Error[2]', 'Error[4]']);
  });

  test('row 55: a callback that crashes the device at (0, size): OK was sent, no connection is made', async () => {
    const bench = await started({
      setup: (ota, { life }) =>
        ota.onProgress(() => {
          const crash = new DeviceReset('exception');
          life.end(crash);
          throw crash;
        }),
    });
    const uploader = bench.uploader(imageByRule(50)).invite();
    await bench.advance(2000);
    expect(uploader.replies).toEqual(['OK']);
    expect(uploader.connection).toBeUndefined();
    expect(bench.life.ended).toMatchObject({ cause: 'exception' });
    expect(bench.eventsOf('ota.end')).toEqual([]);
  });
});

describe('a refused image: all is acknowledged, then the error, FIN at once, and the old sketch goes on', () => {
  const header9 = imageByRule(3640, [0xe9, 1, 3, 0x80]);
  test.each<[string, Uint8Array, { md5?: string }, string]>([
    [
      'row 36: wrong md5',
      sketch3640,
      { md5: '9dd4e461268c8034f5c8564e155c67a6' },
      `ERROR[7]: MD5 verification failed: expected: 9dd4e461268c8034f5c8564e155c67a6, calculated: ${md5Hex(sketch3640)}\n`,
    ],
    [
      'row 74: md5 that is not hex, bytes above 127 included',
      sketch3640,
      { md5: `\xff\x80${'?'.repeat(30)}` },
      `ERROR[7]: MD5 verification failed: expected: \xff\x80${'?'.repeat(30)}, calculated: ${md5Hex(sketch3640)}\n`,
    ],
    ['row 38: wrong magic', imageByRule(3640, [0, 1, 3, 0x40]), {}, 'ERROR[10]: Magic byte is not 0xE9\n'],
    ['row 40: larger flash than the chip', header9, {}, 'ERROR[9]: new Flash config wrong, real size: 4194304\n'],
  ])('%s', async (_row, image, options, error) => {
    const bench = await started();
    const uploader = bench.uploader(image, options);
    await fails(uploader, bench);
    expect(uploader.text).toBe(`14601460720${error}`);
    expect(bench.lines.slice(-2)).toEqual(['Progress 3640/3640', 'Error[4]']);
    expect(bench.debug.slice(1)).toEqual([error]);
    expect(uploader.stateAtMs('device-ended')! - uploader.tcp.at(-1)!.atMs).toBeLessThan(1);
    expect([bench.restart, bench.bootCommand]).toEqual([undefined, undefined]);
    expect(bench.eventsOf('ota.end')).toMatchObject([{ ok: false, reboot: false }]);
  });

  test('§11.1: the error text does not come with the last acknowledgement, and hardly later', async () => {
    const bench = await started();
    const uploader = bench.uploader(header9);
    await fails(uploader, bench);
    const [ack, error] = uploader.tcp.slice(-2).map(({ atMs }) => atMs);
    expect(error! - ack!).toBeGreaterThanOrEqual(20);
    expect(error! - ack!).toBeLessThan(100);
  });

  test('row 68: with a verifier an unsigned image is refused, and the md5 is not looked at', async () => {
    const bench = await started({
      setup: (_ota, { updater }) =>
        updater.installSignature({
          length: 256,
          hash: () => ({ update: () => {}, digest: () => new Uint8Array(32) }),
          verify: () => true,
        }),
    });
    const uploader = bench.uploader(sketch3640, { md5: 'f'.repeat(32) });
    await fails(uploader, bench);
    expect(uploader.text).toBe('14601460720ERROR[12]: Signature verification failed\n');
  });
});

describe('flash faults', () => {
  test.each([
    ['row 49: programming', 'program', 20, 'ERROR[1]: Flash Write Failed\n'],
    ['row 50: erasing', 'erase', 1, 'ERROR[2]: Flash Erase Failed\n'],
  ] as const)(
    '%s fails in the second sector: the chunk that fills it gets no digits',
    async (_row, kind, from, error) => {
      const bench = await started({ faults: failing(kind, from), chipTakesTime: false });
      const uploader = bench.uploader(imageByRule(10_000));
      await fails(uploader, bench);
      expect(uploader.text).toBe(`${'1460'.repeat(5)}${error}`);
      expect(bench.lines.slice(-2)).toEqual(['Progress 7300/10000', 'Error[4]']);
      // The uploader has read all acknowledgements, or it would not have sent the sixth chunk: nothing to keep apart.
      const [ack, text] = uploader.tcp.slice(-2).map(({ atMs }) => atMs);
      expect(text! - ack!).toBeLessThan(20);
    },
  );

  test('row 75: the sector completed by the last byte fails: the last acknowledgement, then the error', async () => {
    const bench = await started({ faults: failing('erase', 1) });
    const uploader = bench.uploader(imageByRule(5000));
    await fails(uploader, bench);
    expect(uploader.text).toBe('146014601460620ERROR[2]: Flash Erase Failed\n');
    expect(bench.lines.slice(-2)).toEqual(['Progress 5000/5000', 'Error[4]']);
  });
});

describe('an uploader that goes away', () => {
  test.each([
    ['row 41', 4096, 'ERROR[13]: No data supplied\n', 0],
    ['row 42', 4097, 'ERROR[0]: No Error\n', 1],
  ])('%s: it closes after %i bytes: Error[4], and only the debug port tells %j', async (_row, count, error, erases) => {
    const bench = await started();
    const uploader = bench.uploader(imageByRule(10_000), { beforeChunk: () => false });
    uploader.invite();
    await bench.until(() => uploader.connection !== undefined, 'the connection');
    uploader.push(count);
    await bench.advance(100);
    uploader.connection!.end();
    await bench.until(() => bench.lines.includes('Error[4]'), 'Error[4]');
    expect(uploader.text).toMatch(/^\d+$/);
    expect(bench.debug.at(-1)).toBe(error);
    expect(bench.flashEvents.filter(({ type }) => type === 'flash.erase')).toHaveLength(erases);
    const programmed = bench.flashEvents.filter(({ type }) => type === 'flash.program');
    expect(programmed.reduce((sum, { length }) => sum + length, 0)).toBe(erases * 4096);
  });

  test('row 43: silence freezes the device; said after 10 s; the end of the connection thaws it', async () => {
    const bench = await started();
    const uploader = bench.uploader(imageByRule(10_000), { beforeChunk: (offset) => offset < 1460 });
    uploader.invite();
    await bench.until(() => uploader.text === '1460', 'the acknowledgement');
    const since = bench.nowMs;
    await bench.advance(9900);
    expect(bench.eventsOf('device.frozen')).toEqual([]);
    await bench.advance(200);
    expect(bench.eventsOf('device.frozen')).toMatchObject([{ where: 'ota', cure: expect.stringMatching(/reset/) }]);
    await bench.advance(120_000 - (bench.nowMs - since));
    expect(bench.lines).toEqual(['Start cmd=0', 'Progress 0/10000', 'Progress 1460/10000']);
    expect(bench.eventsOf('device.frozen')).toHaveLength(1);
    expect(bench.eventsOf('device.thawed')).toEqual([]);
    const ended = bench.nowMs;
    uploader.connection!.end();
    await bench.until(() => bench.lines.includes('Error[4]'), 'Error[4]');
    expect(bench.nowMs - ended).toBeLessThanOrEqual(1001);
    expect(uploader.stateAtMs('reset')! - ended).toBeLessThan(1);
    expect(bench.eventsOf('device.thawed')).toMatchObject([{ where: 'ota' }]);
    await runs(bench.uploader(sketch3640), bench);
  });

  test('row 43: bytes after a long silence thaw the device too, and the update goes on', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640, { beforeChunk: (offset) => offset !== 1460 });
    uploader.invite();
    await bench.until(() => uploader.text === '1460', 'the acknowledgement');
    await bench.advance(12_000);
    uploader.push(1460);
    await bench.until(() => bench.restart !== undefined, 'the restart');
    const types = bench.events.map(({ type }) => type).filter((type) => type.startsWith('device.'));
    expect(types).toEqual(['device.frozen', 'device.thawed']);
  });

  test('row 43: a reset of the frozen device thaws it', async () => {
    const bench = await started();
    bench.uploader(sketch3640, { beforeChunk: () => false }).invite();
    await bench.advance(15_000);
    expect(bench.eventsOf('device.frozen')).toHaveLength(1);
    bench.life.end(new DeviceReset('external'));
    await bench.advance(10);
    expect(bench.eventsOf('device.thawed')).toHaveLength(1);
    expect(bench.crash).toBeUndefined();
  });

  test('row 48: FIN with the last byte: the update succeeds and the device restarts, but no more is said', async () => {
    const bench = await started({ network: { windowBytes: 8000 } });
    const uploader = bench.uploader(sketch3640, { beforeChunk: () => false });
    uploader.invite();
    await bench.until(() => uploader.connection !== undefined, 'the connection');
    uploader.connection!.end(sketch3640);
    await bench.until(() => bench.restart !== undefined, 'the restart');
    expect(uploader.text).toBe('');
    expect(bench.lines.slice(-2)).toEqual(['Progress 3640/3640', 'End']);
    const [progress, end] = bench.serial.slice(-2).map(({ atMs }) => atMs);
    expect(end! - progress!).toBeGreaterThanOrEqual(2000);
  });

  test('row 76: it accepts and closes at once: RST, Error[4] about 1 s later, and the next update works', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640, {
      beforeChunk: (_offset, { connection }) => {
        connection!.end();
        return false;
      },
    });
    uploader.invite();
    await bench.until(() => bench.lines.includes('Error[4]'), 'Error[4]');
    expect(uploader.stateAtMs('reset')! - uploader.connectedAtMs).toBeLessThan(1);
    expect(bench.nowMs - uploader.connectedAtMs).toBeCloseTo(1000, -1);
    await runs(bench.uploader(sketch3640), bench);
  });

  test('§7.3: FIN before the next wait has begun: Error[4] immediately', async () => {
    const bench = await started({
      setup: (ota, { life }) => ota.onProgress((done) => (done > 0 ? life.sleep(5000, 'device') : undefined)),
    });
    const uploader = bench.uploader(imageByRule(10_000), {
      beforeChunk: (offset, { connection }) => {
        if (offset > 0) connection!.end();
        return offset === 0;
      },
    });
    uploader.invite();
    await bench.until(() => bench.lines.includes('Error[4]'), 'Error[4]');
    expect(bench.nowMs - uploader.tcp[0]!.atMs).toBeLessThan(7);
  });

  test('§7.3: RST ends the update as FIN does', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640, { beforeChunk: (offset) => offset === 0 });
    uploader.invite();
    await bench.until(() => uploader.text === '1460', 'the acknowledgement');
    uploader.connection!.reset();
    await bench.until(() => bench.lines.includes('Error[4]'), 'Error[4]', 1100);
    await runs(bench.uploader(sketch3640), bench);
  });
});

describe('the wait of 1000 steps (§7.1)', () => {
  /** The second chunk reaches the device `ms` after the wait for it began. */
  async function secondChunkAfter(ms: number): Promise<{ bench: OtaBench; uploader: SimUploader }> {
    const latencyUs = 50;
    const bench = await started({ network: { latencyUs } });
    const uploader = bench.uploader(sketch3640, { beforeChunk: (offset) => offset !== 1460 });
    uploader.invite();
    await bench.until(() => bench.lines.includes('Progress 1460/3640'), 'the progress', 1000, 0.01);
    const began = bench.serial.at(-1)!.atMs;
    await bench.clock.advance((began + ms) * 1000 - latencyUs - bench.clock.nowUs());
    uploader.push(1460);
    await bench.until(() => bench.restart !== undefined, 'the restart');
    return { bench, uploader };
  }

  test.each([1, 500, 900, 998.5, 1000.5, 1500, 2500, 3400])('row 44: a pause of %f ms makes no error', async (ms) => {
    const { bench } = await secondChunkAfter(ms);
    expect(bench.lines.filter((line) => line.startsWith('Error'))).toEqual([]);
  });

  test('row 45: data in the 1000th millisecond: Error[3], and the transfer still completes', async () => {
    const { bench, uploader } = await secondChunkAfter(999.5);
    expect(bench.lines).toEqual([
      'Start cmd=0',
      'Progress 0/3640',
      'Progress 1460/3640',
      'Error[3]',
      'Progress 2920/3640',
      'Progress 3640/3640',
      'End',
    ]);
    expect(uploader.text).toBe('14601460720OK');
    expect(bench.debug).toContain('Receive Failed\n');
  });

  test('§5: after a false receive error an invitation is read, shows as total and command, and is lost', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640, { beforeChunk: (offset) => offset === 0 });
    uploader.invite();
    await bench.until(() => bench.lines.includes('Progress 1460/3640'), 'the progress', 1000, 0.01);
    const began = bench.serial.at(-1)!.atMs;
    await bench.clock.advance((began + 999.5) * 1000 - 50 - bench.clock.nowUs());
    uploader.push(1460);
    await bench.until(() => bench.lines.includes('Progress 2920/3640'), 'the progress');
    const second = bench.uploader(imageByRule(5000, null), { command: 100 }).invite();
    await bench.advance(2);
    uploader.push(1460);
    await bench.until(() => bench.restart !== undefined, 'the restart');
    expect(bench.lines).toContain('Progress 3640/5000');
    expect(bench.ota.getCommand()).toBe(100);
    expect(second.replies).toEqual([]);
    expect(bench.bootCommand?.size).toBe(3640);
  });
});

describe('others meanwhile', () => {
  test('row 21: an invitation during a transfer is ignored, and not served later, even if the first one fails', async () => {
    const bench = await started();
    const uploader = bench.uploader(sketch3640, { md5: 'f'.repeat(32) });
    uploader.invite();
    await bench.until(() => uploader.tcp.length === 1, 'the first acknowledgement');
    const second = bench.uploader(imageByRule(5000), {}).invite();
    await bench.until(() => bench.lines.includes('Error[4]'), 'Error[4]');
    await bench.advance(2000);
    expect(second.replies).toEqual([]);
    expect(bench.lines.filter((line) => line.startsWith('Start'))).toHaveLength(1);
    expect(bench.lines).toContain('Progress 3640/3640');
  });

  test('invariant: power lost at any moment ends the run there, and nothing is said afterwards', async () => {
    for (const ms of [0.5, 30, 101, 102.5, 110, 700, 1200, 2210]) {
      const bench = await started();
      const uploader = bench.uploader(imageByRule(5000)).invite();
      await bench.advance(ms);
      bench.life.end(new DeviceReset('external'));
      const told = bench.events.length;
      const lines = [...bench.lines];
      await bench.advance(1); // what was in the air arrives
      const { text } = uploader;
      await bench.advance(5000);
      expect(bench.crash).toBeUndefined();
      expect(bench.lines).toEqual(lines);
      expect(bench.events.slice(told).filter(({ type }) => type !== 'device.thawed')).toEqual([]);
      expect(uploader.text).toBe(text);
    }
  });
});

describe('invariant: however an image is cut on its way, it is staged whole and acknowledged byte for byte', () => {
  test('cut in two at every byte', async () => {
    // Every place where something changes (the first byte, the header, the buffer's end, the last byte), and many others.
    const image = imageByRule(4400);
    const cuts = [1, 2, 3, 4, 5, 4094, 4095, 4096, 4097, 4098, 4396, 4399];
    for (let cut = 7; cut < image.length; cut += 97) cuts.push(cut);
    for (const cut of cuts) {
      const bench = new OtaBench({ chipTakesTime: false, network: { windowBytes: 8000, mss: 8000 } });
      await bench.advance(2);
      const uploader = bench.uploader(image, { beforeChunk: () => false });
      uploader.invite();
      await bench.until(() => uploader.connection !== undefined, 'the connection');
      uploader.push(cut);
      await bench.advance(5);
      uploader.push(image.length);
      await bench.until(() => bench.restart !== undefined, `the restart (cut ${cut})`, 5000, 50);
      expect(acks(bench), `cut ${cut}`).toEqual([cut, image.length - cut]);
      expect(md5Hex(bench.chip.peek(bench.bootCommand!.source, image.length)), `cut ${cut}`).toBe(md5Hex(image));
    }
  });

  test('every byte of a small image by itself', async () => {
    const bench = await started({ chipTakesTime: false });
    const image = imageByRule(300);
    await runs(bench.uploader(image, { chunk: 1 }), bench);
    expect(acks(bench)).toEqual(Array.from({ length: 300 }, () => 1));
  });

  test('any pieces with any pauses, any window and segment size', async () => {
    const piece = fc.record({ bytes: fc.integer({ min: 1, max: 3000 }), pauseMs: fc.integer({ min: 0, max: 40 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { minLength: 1, maxLength: 10 }),
        fc.constantFrom(256, 2144, 5840),
        fc.constantFrom(100, 536, 1460),
        fc.constantFrom(0, 1, 500, 1500),
        async (pieces, windowBytes, mss, segmentGapUs) => {
          const image = imageByRule(pieces.reduce((sum, { bytes }) => sum + bytes, 0));
          const bench = new OtaBench({ chipTakesTime: false, network: { windowBytes, mss, segmentGapUs } });
          await bench.advance(2);
          const uploader = bench.uploader(image, { beforeChunk: () => false });
          uploader.invite();
          await bench.until(() => uploader.connection !== undefined, 'the connection');
          for (const { bytes, pauseMs } of pieces) {
            uploader.push(bytes);
            await bench.advance(pauseMs);
          }
          await bench.until(() => bench.restart !== undefined, 'the restart', 30_000, 50);
          expect(acks(bench).reduce((sum, ack) => sum + ack, 0)).toBe(image.length);
          expect(uploader.text).toBe(`${acks(bench).join('')}OK`);
          expect(md5Hex(bench.chip.peek(bench.bootCommand!.source, image.length))).toBe(md5Hex(image));
        },
      ),
      { numRuns: 25 },
    );
  });
});
