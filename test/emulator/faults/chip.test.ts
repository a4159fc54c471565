/** Faults of chip and power on every update path: what is left in the cells, and what becomes of the update. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { loadKernels } from '../../../assembly/host/load.ts';
import { chosenBits, chosenFraction } from '../../../emulator/faults/chance.ts';
import { ChipDamage } from '../../../emulator/faults/damage.ts';
import { FaultEngine } from '../../../emulator/faults/engine.ts';
import { buildImage, createDevice, type Device, type DeviceOptions } from '../../../emulator/index.ts';
import { SeededRandom } from '../../../emulator/random.ts';
import {
  deviceOptionsFor,
  driveUpdate,
  settle,
  sketchFor,
  type UpdatePath,
  type UpdateTarget,
} from '../../../emulator/sweep/drive/index.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../../flash/geometry.ts';
import { NorFlash } from '../../../flash/nor-flash.ts';
import { defaultPart } from '../../../flash/parts.ts';
import { PowerLost } from '../../../flash/ports.ts';
import { pattern } from '../../support/network.ts';

const open: Device[] = [];
afterEach(async () => {
  for (const device of open.splice(0)) await device.close();
});

const SIZE = 30_000;
const FS_START = 0x200000;
const paths = ['arduino-ota', 'web', 'http-update', 'stream'] as const;
const everywhere = paths.flatMap((path) => (['sketch', 'fs'] as const).map((target) => [path, target] as const));

const firmware = (path: UpdatePath, target: UpdateTarget, version: string): Uint8Array =>
  buildImage({ sketch: sketchFor(path, target), version, size: SIZE, layout: '4m2m' });

async function started(path: UpdatePath, target: UpdateTarget, options: DeviceOptions = {}): Promise<Device> {
  const device = await createDevice({
    ...deviceOptionsFor(path, target),
    layout: '4m2m',
    image: firmware(path, target, '1.0'),
    ...options,
  });
  open.push(device);
  void device.powerOn();
  expect(await settle(device)).toEqual({ state: 'running' });
  return device;
}

async function update(device: Device, path: UpdatePath, target: UpdateTarget) {
  const image = target === 'fs' ? pattern(SIZE) : firmware(path, target, '2.0');
  const result = await driveUpdate(device, { path, target, image });
  await settle(device);
  return { ...result, image };
}

const version = (device: Device): string | undefined => device.events.recent('app.start').at(-1)?.version;
const phaseOf = (target: UpdateTarget): string => (target === 'fs' ? 'fs' : 'staging');

describe('on every path', () => {
  test.each(everywhere)('%s, %s: erase-fail, program-fail, read-fail', async (path, target) => {
    for (const kind of ['erase-fail', 'program-fail']) {
      const device = await started(path, target, { faults: [`${kind}@${phaseOf(target)}:1`] });
      expect(await update(device, path, target)).toMatchObject({ ok: false, restarted: false });
      expect(device.events.recent('fault.fired')).toMatchObject([{ op: 1, address: expect.any(Number) }]);
      expect(version(device)).toBe('1.0');
      await device.advance(3_000_000);
      expect(await update(device, path, target)).toMatchObject({ ok: true });
    }
    // Where the update itself reads nothing back, the next start does.
    const device = await started(path, target);
    device.faults.arm('read-fail@any:0');
    await update(device, path, target);
    if (device.faults.armed) void device.reset('external');
    await settle(device);
    expect(device.events.recent('fault.fired')).toMatchObject([{ spec: 'read-fail@any:0' }]);
  });

  test.each(everywhere)('%s, %s: a write-drop goes unseen until the new image starts', async (path, target) => {
    const device = await started(path, target, { faults: [`write-drop@${phaseOf(target)}:20`] });
    const result = await update(device, path, target);
    const address = device.events.recent('fault.fired')[0]!.address!;
    const programmed = device.events.recent('flash.program').filter((event) => event.address === address);
    expect(programmed.filter(({ area }) => area === 'staging')).toEqual([]);
    // The Updater's MD5 is of what it meant to write, so the hole is found by the image's own CRC, after the copy.
    expect(result.ok).toBe(true);
    if (target === 'sketch') expect(device.events.recent('app.start').at(-1)?.identity).toBe('corrupt');
    if (target === 'fs') {
      const after = device.flash.read(FS_START, SIZE);
      expect(Buffer.compare(after, result.image)).not.toBe(0);
    }
  });

  test.each(everywhere)(
    '%s, %s: stuck-bits and worn-sector spoil some bits, and only in their page and sector',
    async (path, target) => {
      for (const [kind, unit] of [
        ['stuck-bits', PAGE_BYTES],
        ['worn-sector', SECTOR_BYTES],
      ] as const) {
        const device = await started(path, target, { faults: [`${kind}@${phaseOf(target)}:2`] });
        const { image } = await update(device, path, target);
        const address = device.events.recent('fault.fired')[0]!.address!;
        const start = device.events.recent('update.begin')[0]!.address;
        const cells = device.flash.read(start, image.length);
        const different = [...cells.keys()].filter((i) => cells[i] !== image[i]).map((i) => start + i);
        // The Updater keeps the first 16 bytes of a sketch back, and patches bytes 2 and 3.
        const spoilt = different.filter((at) => at >= start + 16);
        expect(spoilt.length).toBeGreaterThan(0);
        expect(spoilt.every((at) => at >= address && at < address + unit)).toBe(true);
        for (const at of spoilt) {
          const [is, wanted] = [cells[at - start]!, image[at - start]!];
          // Stuck at 1 where an erase had just been; worn cells stay 0.
          expect(kind === 'stuck-bits' ? is & wanted : is | wanted).toBe(wanted);
        }
      }
    },
  );

  test.each(everywhere)('%s, %s: a power cut before, inside and after an operation', async (path, target) => {
    for (const [point, done] of [
      ['before', 0],
      ['inside:0.5', 0.5],
      ['after', 1],
    ] as const) {
      const spec = `power-cut@${phaseOf(target)}:40:${point}`;
      const device = await started(path, target, { faults: [spec] });
      expect(await update(device, path, target)).toMatchObject({ ok: false, error: 'the device lost power' });
      const address = device.events.recent('fault.fired')[0]!.address!;
      const image = target === 'fs' ? pattern(SIZE) : firmware(path, target, '2.0');
      const start = device.events.recent('update.begin')[0]!.address;
      const page = device.flash.read(address, PAGE_BYTES);
      const wanted = image.subarray(address - start, address - start + PAGE_BYTES);
      expect(page.subarray(0, done * PAGE_BYTES)).toEqual(new Uint8Array(wanted.subarray(0, done * PAGE_BYTES)));
      expect(page.subarray(done * PAGE_BYTES).every((byte) => byte === 0xff)).toBe(true);
      void device.powerOn();
      await settle(device);
      expect(version(device)).toBe('1.0');
    }
  });

  test.each(paths)('%s: reset and brown-out in the copy; a brown-out flips bits of RTC memory', async (path) => {
    const reset = await started(path, 'sketch', { faults: ['reset@copy:17'] });
    expect(await update(reset, path, 'sketch')).toMatchObject({ ok: true });
    expect(version(reset)).toBe('2.0');

    const device = await started(path, 'sketch', { faults: ['brown-out@staging:17'] });
    device.rtc.restore(new Uint8Array(1024));
    await update(device, path, 'sketch');
    expect(device.events.recent('reset').at(-1)).toMatchObject({ cause: 'brown-out', rtcKept: true });
    expect(device.rtc.readUser(0, 512).some((byte) => byte !== 0)).toBe(true);
    expect(version(device)).toBe('1.0');
  });
});

describe('cells that are spoilt stay so', () => {
  function chip() {
    const store = loadKernels().createChip(0x80000);
    const flash: NorFlash = new NorFlash({
      part: defaultPart(0x80000),
      store,
      clock: { nowUs: () => 0, spend() {}, settle: () => undefined },
      emit() {},
    });
    const faults = new FaultEngine(
      () => 'app',
      new SeededRandom(3),
      () => {},
      (address, length) => flash.pageCells(address, length),
    );
    flash.faults = faults;
    return { flash, faults };
  }
  const zeros = new Uint8Array(PAGE_BYTES);
  const page = fc.uint8Array({ minLength: PAGE_BYTES, maxLength: PAGE_BYTES });

  test('invariant: a worn cell is 0 after every erase from then on, in that sector only', () => {
    const { flash, faults } = chip();
    faults.arm('worn-sector@0x3000');
    flash.eraseSector(3);
    const worn = flash.peek(0x3000, SECTOR_BYTES);
    expect(worn.some((byte) => byte !== 0xff)).toBe(true);
    for (let i = 0; i < 3; i++) {
      flash.programPage(0x3000, zeros);
      expect(flash.eraseSector(3).stuckBits).toBeGreaterThan(0);
      expect(flash.peek(0x3000, SECTOR_BYTES)).toEqual(worn);
      flash.eraseSector(4);
      expect(flash.peek(0x4000, SECTOR_BYTES).every((byte) => byte === 0xff)).toBe(true);
    }
    faults.damage.repair();
    flash.eraseSector(3);
    expect(flash.peek(0x3000, SECTOR_BYTES).every((byte) => byte === 0xff)).toBe(true);
  });

  test('invariant: a stuck cell holds what it held, through every program, erase and torn operation', () => {
    fc.assert(
      fc.property(
        page,
        fc.array(fc.oneof(page, fc.constant(undefined)), { maxLength: 6 }),
        fc.nat(999),
        (first, then, share) => {
          const { flash, faults } = chip();
          flash.programPage(0x3100, first);
          faults.arm('stuck-bits@0x3100');
          flash.programPage(0x3100, zeros);
          const held = flash.peek(0x3100, PAGE_BYTES);
          const mask = faults.damage.programMask(0x3100, PAGE_BYTES)!;
          expect(held).toEqual(first.map((byte, i) => byte & mask[i]!));
          faults.arm(`power-cut@app:3:inside:${share / 1000}+power-cut@app:0:after`);
          for (const data of then) {
            try {
              if (data) flash.programPage(0x3100, data);
              else flash.eraseSector(3);
            } catch (error) {
              expect(error).toBeInstanceOf(PowerLost);
            }
            const cells = flash.peek(0x3100, PAGE_BYTES);
            expect(cells.map((byte, i) => byte & mask[i]!)).toEqual(held);
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test('a mask of a program wraps inside its page, and an erase of sound sectors has none', () => {
    const damage = new ChipDamage();
    damage.stick(0x10fe, Uint8Array.of(1, 2, 4), Uint8Array.of(0, 0, 0));
    expect([...damage.programMask(0x10fe, 3)!]).toEqual([1, 2, 4]);
    expect([...damage.programMask(0x1000, 2)!]).toEqual([4, 0]);
    expect(damage.programMask(0x1100, 256)).toBeUndefined();
    expect(damage.eraseMask(0x2000, SECTOR_BYTES)).toBeUndefined();
    expect(damage.eraseMask(0x1000, SECTOR_BYTES)?.[0xfe]).toBe(1);
  });
});

describe('what the seed chooses', () => {
  test('depends on seed, fault and operation alone', () => {
    const random = () => new SeededRandom(5).stream('faults');
    const used = random();
    for (let i = 0; i < 10; i++) used.next32();
    expect(chosenFraction(used, 'x')).toBe(chosenFraction(random(), 'x'));
    expect(chosenBits(used, 'x', 256)).toEqual(chosenBits(random(), 'x', 256));
    expect(chosenBits(random(), 'x', 256)).not.toEqual(chosenBits(random(), 'y', 256));
    expect(chosenFraction(random(), 'x')).not.toBe(chosenFraction(new SeededRandom(6).stream('faults'), 'x'));
  });

  test('fractions lie between 0 and 1 and fill the range; masks hit at least one bit', () => {
    const random = new SeededRandom(1).stream('faults');
    const fractions = Array.from({ length: 400 }, (_, i) =>
      chosenFraction(random, `power-cut@copy:${i}:inside ${i * 4096}`),
    );
    for (let tenth = 0; tenth < 10; tenth++) {
      const inside = fractions.filter((fraction) => Math.floor(fraction * 10) === tenth);
      expect(inside.length).toBeGreaterThan(10);
    }
    for (const length of [1, 3, 16, 256, 4096]) {
      expect(chosenBits(random, 'm', length).some((byte) => byte !== 0)).toBe(true);
    }
  });
});
