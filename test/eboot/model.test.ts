/** The model as a device drives it: page by page on a NOR chip, with events, pauses and faults. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { referenceKernels } from '../../assembly/host/reference.ts';
import { bootOnce } from '../../eboot/boot-once.ts';
import { encodeCommand, writeCommand } from '../../eboot/command.ts';
import { eraOf } from '../../eboot/eras.ts';
import type { BootEvent } from '../../eboot/events.ts';
import { driveRequests } from '../../eboot/machine.ts';
import { fetchFault } from '../../eboot/memory-map.ts';
import { type EbootEnd, eboot } from '../../eboot/model.ts';
import { Ram } from '../../eboot/ram.ts';
import { RomSpi } from '../../eboot/rom-spi.ts';
import { RtcMemory } from '../../eboot/rtc-memory.ts';
import type { FlashFaults } from '../../flash/nor-flash.ts';
import { PowerLost } from '../../flash/ports.ts';
import { expectBytes, makeChip, type TestChip } from '../support/flash.ts';
import { build } from '../support/golden-flash.ts';

const { crc32 } = referenceKernels();
const STAGING = 0x40000;

function image(seed: number, size: number): Uint8Array {
  const bytes = build({ type: 'mix', seed, size });
  bytes.set(Uint8Array.of(0xe9, 0, 2, 0x40, 4, 1, 0x10, 0x40), 0x1000);
  return bytes;
}

interface Bench extends TestChip {
  rtc: RtcMemory;
  told: BootEvent[];
  uart: () => string;
  pauses: () => number;
  start(core?: string): Promise<EbootEnd>;
}

/** A chip with an update in its staging area and the command for it. */
function makeBench(staged: Uint8Array, faults?: FlashFaults): Bench {
  const made = makeChip({ capacity: 0x100000, ...(faults ? { faults } : {}) });
  made.chip.load(0, image(1, 0x3000));
  made.chip.load(STAGING, staged);
  const told: BootEvent[] = [];
  const emit = (event: BootEvent): void => void told.push(event);
  const rtc = new RtcMemory({ noise: (target) => void target.fill(0), emit });
  writeCommand(rtc, { action: 1, args: [STAGING, 0, staged.length] }, crc32);
  told.length = 0;
  const ram = new Ram(0x5c);
  let uart = '';
  let pauses = 0;
  return {
    ...made,
    rtc,
    told,
    uart: () => uart,
    pauses: () => pauses,
    start: (core = 'master') => {
      const transmit = (text: string): void => {
        uart += text;
      };
      const host = { emit, transmit };
      const requests = eboot({ era: eraOf(core), crc32, ram, readCommand: () => rtc.readUser(0, 128), host });
      const settle = (): Promise<void> | undefined => (++pauses % 2 ? Promise.resolve() : undefined);
      return driveRequests(requests, { spi: new RomSpi(made.chip), rtc, settle });
    },
  };
}

describe('on a chip', () => {
  test('a sector is one erase and sixteen programs, each with a chance to pause before', async () => {
    const bench = makeBench(image(2, 0x3000));
    const end = await bench.start();
    expect(end).toEqual({ outcome: 'boot', entry: 0x40100104, sp: 0x3ffffff0, base: 0 });
    expect(bench.events.map((event) => event.type)).toEqual(
      [0, 1, 2].flatMap(() => ['flash.erase', ...new Array(16).fill('flash.program')]),
    );
    expect(bench.pauses()).toBe(3 * 17 + 2);
  });

  test.each(['raw', 'gzip'])('%s: the same bytes and the same words as on plain arrays', async (kind) => {
    const plain = image(3, 0x5123);
    const staged = kind === 'gzip' ? gzipSync(plain) : plain;
    const bench = makeBench(staged);
    const flash = bench.chip.peek(0, 0x100000);
    const rtcUser = bench.rtc.readUser();
    const end = await bench.start();
    const run = await bootOnce({ flash, rtcUser, ram: 0x5c });
    expect(end).toMatchObject({ outcome: run.outcome, entry: run.entry, sp: run.sp });
    expect(bench.uart()).toBe(run.uart);
    expectBytes(bench.chip.peek(0, 0x100000), flash);
    expectBytes(bench.rtc.readUser(), rtcUser);
  });

  test('events: what was read in the command, each sector, the cleared words, the end', async () => {
    const bench = makeBench(image(1, 0x2000)); // sector 0 and 1 as they are: 0 is skipped
    await bench.start();
    expect(bench.told).toEqual([
      { type: 'eboot.start', engine: 'model', version: 'master' },
      { type: 'eboot.command', action: 1, source: STAGING, destination: 0, size: 0x2000 },
      { type: 'eboot.copy', sector: 0, skipped: true },
      { type: 'eboot.copy', sector: 1, skipped: false },
      { type: 'rtc.write', offset: 0, length: 4, meaning: 'eboot command: magic cleared' },
      { type: 'rtc.write', offset: 124, length: 4, meaning: 'eboot command: CRC cleared' },
      { type: 'eboot.end', result: 0, uart: bench.uart() },
    ]);
    expect(bench.uart()).toMatch(/^v[0-9a-f]{8}\r\n@cp:B0\r\nld\r\n$/);
    bench.told.length = 0;
    await bench.start('2.7.4');
    expect(bench.told.map((event) => event.type)).toEqual(['eboot.start', 'eboot.end']);
  });

  test.each([
    ['erase', 0x1000, '@cp:2'],
    ['program', 0x1200, '@cp:4'],
    ['read', STAGING + 0x1000, '@cp:3'],
    ['read', 0, '@cp:4'],
  ])('a chip that fails to %s at %i: %s, command cleared, reset', async (kind, address, text) => {
    const bench = makeBench(image(2, 0x3000), {
      decide: (operation) =>
        operation.kind === kind && operation.address === address && operation.length > 8 ? { do: 'fail' } : undefined,
    });
    expect(await bench.start()).toEqual({ outcome: 'reset', code: Number(text.at(-1)) });
    expect(bench.uart()).toContain(`${text}\r\n`);
    expect(bench.rtc.readUserWord(0)).toBe(0);
    expect(bench.told.at(-1)).toMatchObject({ type: 'eboot.end', result: Number(text.at(-1)) });
  });

  test('a failing read of the v word prints nothing', async () => {
    const bench = makeBench(image(2, 0x3000), {
      decide: (operation) => (operation.kind === 'read' && operation.address === 0x1010 ? { do: 'fail' } : undefined),
    });
    await bench.start();
    expect(bench.uart()).toBe('@cp:0\r\nld\r\n');
  });

  test('a loss of power passes through, from a page and from an RTC word, and the next start heals', async () => {
    const plain = image(2, 0x3000);
    const cut = new PowerLost('fault');
    let programs = 0;
    const bench = makeBench(plain, {
      decide: (operation) =>
        operation.kind === 'program' && ++programs === 20 ? { do: 'tear', bits: 77, with: cut } : undefined,
    });
    await expect(bench.start()).rejects.toBe(cut);
    bench.rtc.gate = {
      after: () => {
        throw cut;
      },
    };
    await expect(bench.start()).rejects.toBe(cut);
    expectBytes(bench.chip.peek(0, plain.length), plain);
    expect([bench.rtc.readUserWord(0), bench.rtc.readUserWord(124) !== 0]).toEqual([0, true]);
    bench.rtc.gate = undefined;
    expect(await bench.start()).toMatchObject({ outcome: 'boot' });
    expect(bench.uart().endsWith('~ld\r\n')).toBe(true);
  });

  test('chips above 4 MiB: staging up there is out of reach, code 3', async () => {
    const { chip } = makeChip({ capacity: 0x800000 });
    const rtc = encodeCommand({ action: 1, args: [0x500000, 0, 4096] }, crc32);
    const machine = { spi: new RomSpi(chip), rtc: { store: () => undefined }, settle: () => undefined };
    const end = await driveRequests(
      eboot({ era: eraOf('master'), crc32, ram: new Ram(), readCommand: () => rtc }),
      machine,
    );
    expect(end).toEqual({ outcome: 'reset', code: 3 });
  });
});

test('RAM keeps what a run left, and the next run begins with it', async () => {
  // Output of an earlier start shows in a stream that ends early.
  const ram = new Ram(0);
  const short = build({
    type: 'gzipbits',
    isize: 4096,
    fields: [
      ['l', 1, 1],
      ['l', 1, 2],
      ['f', 65],
      ['f', 256],
    ],
  });
  const first = image(4, 0x1000 + 0x1000);
  const { chip } = makeChip({ capacity: 0x100000 });
  chip.load(STAGING, first);
  chip.load(0x60000, short);
  const run = (source: number, size: number): Promise<EbootEnd> => {
    const command = encodeCommand({ action: 1, args: [source, 0x10000, size] }, crc32);
    const machine = { spi: new RomSpi(chip), rtc: { store: () => undefined }, settle: () => undefined };
    return driveRequests(eboot({ era: eraOf('master'), crc32, ram, readCommand: () => command }), machine);
  };
  await run(STAGING, first.length);
  await run(0x60000, short.length);
  const sector = chip.peek(0x10000, 4096);
  expect(sector[0]).toBe(65);
  expectBytes(sector.subarray(1), first.subarray(0x1001));
  const saved = ram.snapshot();
  ram.fill((target) => void target.fill(9));
  ram.restore(saved);
  expect(ram.view(0x3fffea10, 1)[0]).toBe(65);
  expect(() => ram.view(0x3fffffff, 2)).toThrow(RangeError);
});

test.each([
  [0x40100000, undefined],
  [0xffffffff, 2],
  [0x3ffe8000, 2],
  [0x00000000, 20],
])('fetching at %i: cause %s', (address, cause) => {
  expect(fetchFault(address)).toBe(cause);
});
