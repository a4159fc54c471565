/** SDK calls and `ESP` flash access, call by call. Spec chapter 01 §2.1, §2.3. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EspFlash } from '../../flash/esp-class.ts';
import { flashHalErase, flashHalRead, flashHalWrite } from '../../flash/flash-hal.ts';
import { partById } from '../../flash/parts.ts';
import { PowerLost } from '../../flash/ports.ts';
import { expectBytes, headerFor, makeEsp, TestClock } from '../support/flash.ts';

const M = 0x100000;
const PUYA = partById(0x146085);

/** `W(1000,4)` and so on, as the spec writes traces; erases as `E(sector)`. */
const text = (calls: readonly (readonly [string, number, number])[]): string =>
  calls
    .map(([kind, address, length]) =>
      kind === 'erase'
        ? `E(${(address / 4096).toString(16)})`
        : `${kind === 'read' ? 'R' : 'W'}(${address.toString(16)},${length})`,
    )
    .join(' ');

const filled = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + 1) & 0xff);
const pages = (start: number, count: number): string =>
  Array.from({ length: count }, (_, i) => `W(${(start + i * 256).toString(16)},256)`).join(' ');
const puyaPages = (start: number, count: number): string =>
  Array.from(
    { length: count },
    (_, i) => `R(${(start + i * 256).toString(16)},256) W(${(start + i * 256).toString(16)},256)`,
  ).join(' ');

describe('flashWrite', () => {
  type Row = [call: 'bytes' | 'words', address: number, size: number, pointer: number, trace: string, ok?: boolean];
  const titled = (row: Row): [string, Row] => {
    const [call, address, size, pointer, trace] = row;
    return [`${call} overload, 0x${address.toString(16)}, ${size} bytes, pointer ${pointer}: ${trace}`, row];
  };
  const rows: Row[] = [
    // The worked traces of §2.3.
    ['bytes', 0x89000, 4096, 0, `${pages(0x89000, 16)} W(8a000,0)`],
    [
      'bytes',
      0xea000,
      1234,
      0,
      'W(ea000,256) W(ea100,0) W(ea100,256) W(ea200,0) W(ea200,256) W(ea300,0) W(ea300,256) W(ea400,0) R(ea4d0,4) W(ea400,212)',
    ],
    ['bytes', 0x1001, 10, 0, 'R(1000,4) W(1000,4) R(1008,4) W(1004,8)'],
    ['words', 0x10f0, 256, 0, 'W(10f0,16) W(1100,240)'],
    ['words', 0x10f0, 16, 0, 'W(10f0,16) W(1100,0)'],
    ['bytes', 0x1000, 0, 0, '', false],
    // The table of the page-break path.
    ['words', 0x1000, 0, 0, 'W(1000,0)'],
    ['words', 0x1000, 4, 0, 'W(1000,4)'],
    ['words', 0x1000, 252, 0, 'W(1000,252)'],
    ['words', 0x1000, 256, 0, 'W(1000,256) W(1100,0)'],
    ['words', 0x1000, 260, 0, 'W(1000,256) W(1100,4)'],
    ['words', 0x10fc, 4, 0, 'W(10fc,4) W(1100,0)'],
    ['words', 0x1080, 640, 0, 'W(1080,128) W(1100,256) W(1200,256) W(1300,0)'],
    // The unaligned routine.
    ['bytes', 0x1003, 1, 0, 'R(1000,4) W(1000,4)'],
    ['bytes', 0x1002, 1, 0, 'R(1000,4) W(1000,4)'],
    ['bytes', 0x1003, 9, 0, 'R(1000,4) W(1000,4) W(1004,8)'],
    ['bytes', 0x1000, 3, 0, 'R(1000,4) W(1000,4)'],
    ['bytes', 0x10fd, 3, 0, 'R(10fc,4) W(10fc,4)'],
    ['bytes', 0x10ff, 257, 0, 'R(10fc,4) W(10fc,4) W(1100,256) W(1200,0)'],
    ['bytes', 0x1000, 512, 1, 'W(1000,256) W(1100,0) W(1100,256) W(1200,0)'],
    ['bytes', 0x1080, 512, 2, 'W(1080,128) W(1100,128) W(1180,128) W(1200,128)'],
    // At the end of a chip of 1 MiB: the empty write behind it is in range, the word that pads is too.
    ['bytes', 0xfff00, 256, 0, 'W(fff00,256) W(100000,0)'],
    ['bytes', 0xffffd, 3, 0, 'R(ffffc,4) W(ffffc,4)'],
    ['bytes', 0xffffc, 8, 0, 'W(ffffc,4) W(100000,4)', false],
    ['bytes', 0x100000, 4, 0, 'W(100000,4)', false],
    ['bytes', 0x100001, 4, 0, 'R(100000,4)', false],
    ['bytes', 0xffffe, 3, 0, 'R(ffffc,4) W(ffffc,4) R(100000,4)', false],
    ['bytes', 0x100000, 1, 0, 'R(100000,4)', false],
  ];
  test.each(rows.map(titled))('%s', async (_, [call, address, size, pointer, trace, ok = true]) => {
    const { esp, chip, calls } = makeEsp({ capacity: M });
    const data = filled(size);
    const result =
      call === 'bytes' ? await esp.flashWrite(address, data, pointer) : await esp.flashWriteWords(address, data);
    expect(text(calls)).toBe(trace);
    expect(result).toBe(ok);
    if (ok) expectBytes(chip.peek(address, size), data);
  });

  const puyaRows: Row[] = [
    ['bytes', 0x89000, 4096, 0, puyaPages(0x89000, 16)],
    ['words', 0x10f0, 256, 0, 'R(10f0,256) W(10f0,256)'],
    ['words', 0x10f0, 300, 0, 'R(10f0,256) W(10f0,256) R(11f0,44) W(11f0,44)'],
    ['words', 0x1000, 0, 0, ''],
    ['words', 0x1000, 6, 0, '', false],
    ['bytes', 0x1000, 0, 0, '', false],
    ['bytes', 0x1001, 10, 0, 'R(1000,4) W(1000,4) R(1008,4) R(1004,8) W(1004,8)'],
    ['bytes', 0xffffc, 8, 0, 'R(ffffc,8)', false],
    ['bytes', 0xfff00, 256, 0, 'R(fff00,256) W(fff00,256)'],
  ];
  test.each(puyaRows.map(titled))('PUYA: %s', async (_, [call, address, size, pointer, trace, ok = true]) => {
    const { esp, chip, calls } = makeEsp({ part: PUYA });
    const data = filled(size);
    const result =
      call === 'bytes' ? await esp.flashWrite(address, data, pointer) : await esp.flashWriteWords(address, data);
    expect([text(calls), result]).toEqual([trace, ok]);
    if (ok) expectBytes(chip.peek(address, size), data);
  });

  test('PUYA: what reaches the chip was ANDed with its cells, so no bit is asked to rise', async () => {
    const { esp, chip, events } = makeEsp({ part: PUYA });
    chip.load(0x1000, filled(600));
    const before = chip.peek(0x1001, 600);
    const data = filled(600).reverse();
    expect(await esp.flashWrite(0x1001, data)).toBe(true);
    expectBytes(
      chip.peek(0x1001, 600),
      data.map((byte, i) => byte & before[i]!),
    );
    expect(events.map(({ stuckBits }) => stuckBits)).toEqual(events.map(() => 0));
  });

  test('a null pointer fails without touching the flash', async () => {
    const plain = makeEsp({ capacity: M });
    expect(await plain.esp.flashWrite(0x1000, null)).toBe(false);
    expect(plain.calls).toEqual([]);
    expect(await plain.esp.flashWriteWords(0x1000, null)).toBe(false);
    expect(await plain.esp.spiFlashWrite(0x1000, null)).toBe(1);
    expect(plain.esp.spiFlashRead(0x1000, null)).toBe(1);
    expect(await makeEsp({ part: PUYA }).esp.flashWriteWords(0x1000, null)).toBe(false);
    expect(plain.events).toEqual([]);
  });

  test.each([
    ['read', 0, 'R(1000,4)'],
    ['program', 0, 'R(1000,4) W(1000,4)'],
    ['program', 1, 'R(1000,4) W(1000,4) W(1004,252)'],
    ['program', 2, 'R(1000,4) W(1000,4) W(1004,252) W(1100,4)'],
    ['read', 1, 'R(1000,4) W(1000,4) W(1004,252) W(1100,4) R(1110,4)'],
    ['program', 3, 'R(1000,4) W(1000,4) W(1004,252) W(1100,4) R(1110,4) W(1104,16)'],
  ] as const)('an unaligned write stops where %s %i fails: %s', async (kind, nth, trace) => {
    let seen = 0;
    const { esp, calls, chip } = makeEsp({ capacity: M });
    chip.faults = { decide: (operation) => (operation.kind === kind && seen++ === nth ? { do: 'fail' } : undefined) };
    expect(await esp.flashWrite(0x1003, filled(270))).toBe(false);
    expect(text(calls)).toBe(trace);
  });

  test('the first page that fails ends the sequence: pages before it are programmed', async () => {
    let seen = 0;
    const { esp, calls, chip } = makeEsp({ capacity: M });
    chip.faults = { decide: ({ kind }) => (kind === 'program' && seen++ === 2 ? { do: 'fail' } : undefined) };
    expect(await esp.flashWrite(0x1000, filled(4096))).toBe(false);
    expect(text(calls)).toBe('W(1000,256) W(1100,256) W(1200,256)');
    expectBytes(chip.peek(0x1000, 512), filled(512));
    expect(chip.store.isBlank(0x1200, 4096)).toBe(true);
  });

  /** The operations that the chapter's tables prescribe for a byte overload, on a part that is not PUYA. */
  function prescribed(address: number, size: number, pointer: number): string {
    const out: [string, number, number][] = [];
    const words = (at: number, length: number) => {
      const room = 256 - (at % 256);
      if (length < room) out.push(['write', at, length]);
      else {
        out.push(['write', at, room]);
        const full = Math.floor((length - room) / 256);
        for (let page = 0; page < full; page++) out.push(['write', at + room + page * 256, 256]);
        out.push(['write', at + room + full * 256, (length - room) % 256]);
      }
    };
    if (size === 0) return '';
    if (address % 4 === 0 && size % 4 === 0 && pointer % 4 === 0) words(address, size);
    else {
      let done = 0;
      if (address % 4 !== 0) {
        out.push(['read', address - (address % 4), 4], ['write', address - (address % 4), 4]);
        done = Math.min(4 - (address % 4), size);
      }
      while (done < size) {
        const length = Math.min(size - done, 256);
        const padded = Math.ceil(length / 4) * 4;
        if (padded !== length) out.push(['read', address + done + padded - 4, 4]);
        words(address + done, padded);
        done += length;
      }
    }
    return text(out);
  }

  test('invariant: any write leaves exactly the ANDed bytes, by the prescribed operations, none across a page', async () => {
    const writes = fc.record({
      address: fc.integer({ min: 0x1000, max: 0x1200 }),
      old: fc.uint8Array({ minLength: 0xc00, maxLength: 0xc00 }),
      data: fc.uint8Array({ maxLength: 900 }),
      pointer: fc.nat(3),
      puya: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(writes, async ({ address, old, data, pointer, puya }) => {
        const { esp, chip, calls, events } = makeEsp(puya ? { part: PUYA } : { capacity: M });
        chip.load(0xe00, old);
        const expected = chip.peek(0, 0x2000);
        for (const [i, byte] of data.entries()) expected[address + i]! &= byte;
        expect(await esp.flashWrite(address, data, pointer)).toBe(data.length > 0);
        expectBytes(chip.peek(0, 0x2000), expected);
        if (!puya) expect(text(calls)).toBe(prescribed(address, data.length, pointer));
        for (const event of events) expect((event.address % 256) + event.length).toBeLessThanOrEqual(256);
        const programs = calls.filter(([kind, , length]) => kind === 'write' && length > 0);
        if (!puya) expect(events.map((event) => event.address)).toEqual(programs.map(([, at]) => at));
      }),
    );
  });
});

describe('flashRead', () => {
  test.each<[string, number, number, number, string, boolean?]>([
    ['whole words', 0x1000, 16, 0, 'R(1000,16)'],
    ['an unaligned address', 0x1003, 8, 0, 'R(1003,8)'],
    ['odd bytes', 0x1000, 10, 0, 'R(1000,8) R(1008,4)'],
    ['less than a word', 0x1000, 3, 0, 'R(1000,0) R(1000,4)'],
    ['nothing', 0x1000, 0, 0, 'R(1000,0)'],
    ['an unaligned pointer', 0x1000, 200, 1, 'R(1000,64) R(1040,64) R(1080,64) R(10c0,8)'],
    ['an unaligned pointer and odd bytes', 0x1000, 66, 3, 'R(1000,64) R(1040,4)'],
    ['an unaligned pointer, less than a word', 0x1000, 2, 1, 'R(1000,4)'],
    ['the last word', 0xffffc, 4, 0, 'R(ffffc,4)'],
    ['the last word and nothing behind it', 0xffff8, 7, 0, 'R(ffff8,4) R(ffffc,4)'],
    ['odd bytes at the very end: the extra word reaches past it', 0xffffa, 6, 0, 'R(ffffa,4) R(ffffe,4)', false],
    ['a word behind the end', 0xffffd, 4, 0, 'R(ffffd,4)', false],
    ['nothing, behind the end', 0x100001, 0, 0, 'R(100001,0)', false],
  ])('%s', (_, address, length, pointer, trace, ok = true) => {
    const { esp, chip, calls } = makeEsp({ capacity: M });
    chip.load(0x1000, filled(256));
    const bytes = esp.flashRead(address, length, pointer);
    expect(text(calls)).toBe(trace);
    if (ok) expectBytes(bytes!, chip.peek(address, length));
    else expect(bytes).toBeUndefined();
  });

  test('the word overload reads once, and refuses an odd length or pointer without asking the SDK', () => {
    const { esp, calls } = makeEsp({ capacity: M });
    expect(esp.flashReadWords(0x1001, 8)).toEqual(new Uint8Array(8).fill(0xff));
    expect(esp.flashReadWords(0x1000, 6)).toBeUndefined();
    expect(esp.flashReadWords(0x1000, 8, 2)).toBeUndefined();
    expect(esp.flashReadWords(M, 4)).toBeUndefined();
    expect(text(calls)).toBe('R(1001,8) R(100000,4)');
  });

  test.each([0, 1])('read %i fails: undefined', (nth) => {
    let seen = 0;
    const { esp, chip } = makeEsp({ capacity: M });
    chip.faults = { decide: () => (seen++ === nth ? { do: 'fail' } : undefined) };
    expect(esp.flashRead(0x1000, 6)).toBeUndefined();
  });
});

describe('the SDK', () => {
  test('a sector number is 16 bits: a larger one is truncated, and erases what is left of it', async () => {
    const { esp, chip, calls } = makeEsp({ capacity: M });
    chip.load(0x5000, Uint8Array.of(0));
    expect(await esp.spiFlashEraseSector(0x10005)).toBe(0);
    expect([chip.wear(5), chip.peek(0x5000, 1)[0], text(calls)]).toEqual([1, 0xff, 'E(5)']);
  });

  test.each([
    [0xff, 0],
    [0x100, 1],
    [0xffff, 1],
    [0x1ffff, 1],
  ])('erasing sector %i of 1 MiB answers %i', async (sector, result) => {
    const { esp, events } = makeEsp({ capacity: M });
    expect(await esp.spiFlashEraseSector(sector)).toBe(result);
    expect(await esp.flashEraseSector(sector)).toBe(result === 0);
    expect(events).toHaveLength(result === 0 ? 2 : 0);
  });

  test('an image header that says 1 MiB ends a 4 MiB chip there, until the application starts with another', async () => {
    const { esp, chip, events } = makeEsp({ capacity: 4 * M, image: headerFor(M) });
    expect(esp.sdkChipSize).toBe(M);
    expect(await esp.flashEraseSector(0x100)).toBe(false);
    expect(await esp.flashWrite(M, filled(4))).toBe(false);
    expect(esp.flashRead(M, 4)).toBeUndefined();
    expect(events).toEqual([]);
    chip.load(0, headerFor(4 * M));
    expect(await esp.flashEraseSector(0x100)).toBe(false);
    esp.sdkStart();
    expect(await esp.flashEraseSector(0x100)).toBe(true);
  });

  test('a header that says more than the chip has: addresses wrap on the bus', async () => {
    const { esp, chip } = makeEsp({ capacity: M, image: headerFor(4 * M) });
    expect(await esp.flashWrite(0x301000, filled(256))).toBe(true);
    expectBytes(chip.peek(0x1000, 256), filled(256));
    expectBytes(esp.flashRead(0x201000, 256)!, filled(256));
  });

  test('any write is split at page ends, and the range check wraps at 32 bits as C does', async () => {
    const { esp, events } = makeEsp({ capacity: M });
    expect(await esp.spiFlashWrite(0x1080, filled(600))).toBe(0);
    expect(events.map(({ address, length }) => [address, length])).toEqual([
      [0x1080, 128],
      [0x1100, 256],
      [0x1200, 216],
    ]);
    expect(await esp.spiFlashWrite(0xfffffffc, new Uint8Array(4))).toBe(0);
    expect(events.at(-1)).toMatchObject({ address: 0xffffc });
    expect(await esp.spiFlashWrite(0xfffffff0, new Uint8Array(4))).toBe(1);
    expect(await esp.spiFlashWrite(M, new Uint8Array(0))).toBe(0);
    expect(await esp.spiFlashWrite(M + 1, new Uint8Array(0))).toBe(1);
    expect(esp.spiFlashRead(M, new Uint8Array(0))).toBe(0);
    expect(esp.spiFlashRead(M + 1, new Uint8Array(0))).toBe(1);
  });

  test('a chip that fails is ERR, with and without a pause', async () => {
    for (const pause of [false, true]) {
      const { esp, chip } = makeEsp({ capacity: M, clock: pause ? new PausingClock() : new TestClock() });
      chip.faults = { decide: () => ({ do: 'fail' }) };
      expect(await esp.spiFlashWrite(0x1000, filled(600))).toBe(1);
      expect(await esp.spiFlashEraseSector(1)).toBe(1);
      expect(esp.spiFlashRead(0x1000, new Uint8Array(4))).toBe(1);
    }
  });
});

/** Makes everybody wait after each operation, as a real or a paused clock does. */
class PausingClock extends TestClock {
  pauses = 0;
  /** At which pause the device stops. */
  stopAt = Number.POSITIVE_INFINITY;
  readonly cut = new PowerLost('user');
  override settle(): Promise<void> {
    return Promise.resolve().then(() => {
      if (this.pauses++ === this.stopAt) throw this.cut;
    });
  }
}

describe('pauses', () => {
  const jobs: [string, number, (esp: EspFlash) => Promise<unknown>][] = [
    ['an aligned write', 16, (esp) => esp.flashWrite(0x2000, filled(4096))],
    ['an unaligned write', 8, (esp) => esp.flashWrite(0x2001, filled(900))],
    ['a plain SDK write', 3, (esp) => esp.spiFlashWrite(0x2080, filled(600))],
    ['an erase', 1, (esp) => esp.flashEraseSector(2)],
    ['an erased configuration', 4, (esp) => esp.eraseConfig()],
  ];
  test.each(jobs)('%s pauses after each of its %i chip operations, with the same outcome', async (_, count, job) => {
    const paused = makeEsp({ capacity: M, clock: new PausingClock() });
    const plain = makeEsp({ capacity: M });
    expect(await job(paused.esp)).toEqual(await job(plain.esp));
    expect(paused.events).toEqual(plain.events);
    expect([paused.events.length, (paused.clock as PausingClock).pauses]).toEqual([count, count]);
    expectBytes(paused.chip.peek(0, 0x4000), plain.chip.peek(0, 0x4000));
  });

  test.each(jobs)('%s ends at once when the device stops in any pause', async (_, count, job) => {
    for (let stopAt = 0; stopAt < count; stopAt++) {
      const clock = new PausingClock();
      clock.stopAt = stopAt;
      const { esp, events } = makeEsp({ capacity: M, clock });
      await expect(job(esp)).rejects.toBe(clock.cut);
      expect(events).toHaveLength(stopAt + 1);
    }
  });

  test('a fault that stops the machine passes through every kind of access', async () => {
    const cut = new PowerLost('fault');
    for (const part of [partById(0x1440ef), PUYA]) {
      const { esp, chip } = makeEsp({ part });
      chip.faults = {
        decide: ({ kind }) => (kind === 'read' ? undefined : { do: 'stop', point: 'before', with: cut }),
      };
      await expect(esp.flashWrite(0x1000, filled(8))).rejects.toBe(cut);
      await expect(esp.flashWrite(0x1001, filled(8))).rejects.toBe(cut);
      await expect(esp.flashEraseSector(1)).rejects.toBe(cut);
      chip.faults = { decide: () => ({ do: 'stop', point: 'before', with: cut }) };
      expect(() => esp.flashRead(0x1000, 4)).toThrow(cut);
      expect(() => esp.getSketchMD5()).toThrow(cut);
    }
  });
});

describe('flash_hal', () => {
  test('answers 0, -1, -2, -3, and aborts on parts of sectors', async () => {
    const { esp, chip, calls } = makeEsp({ capacity: M });
    const target = new Uint8Array(6);
    expect(await flashHalWrite(esp, 0x2000, filled(6))).toBe(0);
    expect(flashHalRead(esp, 0x2000, target)).toBe(0);
    expectBytes(target, filled(6));
    expect(await flashHalErase(esp, 0x2000, 0x2000)).toBe(0);
    expect([chip.wear(2), chip.wear(3)]).toEqual([1, 1]);
    expect(await flashHalWrite(esp, 0x2000, new Uint8Array(0))).toBe(-2);
    expect(await flashHalWrite(esp, M, filled(4))).toBe(-2);
    expect(flashHalRead(esp, M, target)).toBe(-1);
    expectBytes(target, filled(6));
    expect(await flashHalErase(esp, 0xff000, 0x3000)).toBe(-3);
    expect(text(calls).endsWith('E(ff) E(100)')).toBe(true);
    await expect(flashHalErase(esp, 0x2001, 0x1000)).rejects.toThrow(/whole sectors only/);
    await expect(flashHalErase(esp, 0x2000, 0x800)).rejects.toThrow(/whole sectors only/);
  });
});
