/** The fast check of an application against `parseImage`, and the dry loading against eboot's. */
import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { referenceKernels } from '../../../assembly/host/reference.ts';
import { eraOf } from '../../../eboot/eras.ts';
import { loadApp } from '../../../eboot/load-app.ts';
import { Ram } from '../../../eboot/ram.ts';
import { RomSpi } from '../../../eboot/rom-spi.ts';
import { dryLoad } from '../../../emulator/sweep/dry-load.ts';
import { SLOT_NEW, SLOT_OLD, SLOT_TRIAL } from '../../../emulator/sweep/slots.ts';
import type { World } from '../../../emulator/sweep/world.ts';
import { EspFlash } from '../../../flash/esp-class.ts';
import { parseImage } from '../../../flash/image-format.ts';
import { layoutByName } from '../../../flash/layouts.ts';
import { NorFlash } from '../../../flash/nor-flash.ts';
import { defaultPart } from '../../../flash/parts.ts';
import { SWEEP_LAYOUT, smallWorld } from '../../support/sweep.ts';

let world: World;
let coreWorlds: World[];

beforeAll(async () => {
  ({ world } = await smallWorld());
  coreWorlds = await Promise.all(['2.3.0', '2.7.4', '3.0.2'].map(async (core) => (await smallWorld(core)).world));
});

/** What becomes of a chip: sectors of the other image, bytes that changed. */
const change = fc.record({
  swapped: fc.array(fc.nat(9), { maxLength: 4 }),
  bytes: fc.array(fc.tuple(fc.nat(36_000), fc.nat(255)), { maxLength: 3 }),
  headers: fc.array(fc.tuple(fc.constantFrom(2, 3, 0x1002, 0x1003, 0, 1, 0x1001, 0x1000), fc.nat(255)), {
    maxLength: 3,
  }),
});

interface Change {
  readonly swapped: readonly number[];
  readonly bytes: readonly (readonly [at: number, value: number])[];
  readonly headers: readonly (readonly [at: number, value: number])[];
}

function applyChange(to: World, image: number, { swapped, bytes, headers }: Change): void {
  const chip = to.chip(SLOT_TRIAL);
  chip.become(to.chip(image));
  const other = to.chip(image === SLOT_OLD ? SLOT_NEW : SLOT_OLD);
  for (const sector of swapped) chip.table[sector] = other.table[sector]!;
  for (const [at, value] of [...bytes, ...headers]) {
    const sector = Math.floor(at / 4096);
    chip.table[sector] = to.contents.replace(chip.table[sector]!, at % 4096, Uint8Array.of(value));
  }
}

/** The bytes as a device reads them. */
function deviceOf(bytes: Uint8Array): EspFlash {
  const clock = { nowUs: () => 0, spend() {}, settle: () => undefined };
  const chip = new NorFlash({
    part: defaultPart(bytes.length),
    store: referenceKernels().createChip(bytes.length),
    clock,
    emit() {},
  });
  chip.load(0, bytes);
  const md5 = () => ({ update() {}, digest: () => new Uint8Array(16) });
  const esp = new EspFlash({ chip, clock, layout: layoutByName(SWEEP_LAYOUT), md5 });
  esp.sdkStart();
  return esp;
}

test('invariant: the fast check of an application says what parseImage says, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.nat(3), fc.constantFrom(SLOT_OLD, SLOT_NEW), change, (which, image, changes) => {
      const of = [world, ...coreWorlds][which]!;
      of.contents.open();
      applyChange(of, image, changes);
      const chip = of.chip(SLOT_TRIAL);
      const bytes = chip.peek(0, chip.capacityBytes);
      const size = deviceOf(bytes).getSketchSize();
      expect(of.parts.app.sketchSize(chip)).toBe(size);
      const { damage } = parseImage(bytes.subarray(0, Math.min(size, bytes.length)));
      expect(of.parts.app.isDamaged(chip)).toBe(damage !== undefined);
      of.contents.close();
    }),
    { numRuns: 60 },
  );
});

test('whole images of each era are whole, and header bytes 2 and 3 are no damage', () => {
  for (const of of [world, ...coreWorlds]) {
    for (const image of [SLOT_OLD, SLOT_NEW]) {
      of.contents.open();
      applyChange(of, image, { swapped: [], bytes: [], headers: [] });
      expect(of.parts.app.isDamaged(of.chip(SLOT_TRIAL))).toBe(false);
      applyChange(of, image, { swapped: [], bytes: [], headers: [[2, 0]] });
      expect(of.parts.app.isDamaged(of.chip(SLOT_TRIAL))).toBe(false);
      applyChange(of, image, { swapped: [], bytes: [[20_000, 0x11]], headers: [] });
      expect(of.parts.app.isDamaged(of.chip(SLOT_TRIAL))).toBe(true);
      of.contents.close();
    }
  }
});

test('invariant: loading without RAM ends where eboot ends', () => {
  const segment = fc.record({
    address: fc.oneof(
      fc.constantFrom(0x40201010, 0x40100000, 0x3ffe8000, 0x3fffe000, 0x40108000, 0x4010c000, 0xffffffff, 0x60000700),
      fc.nat(0xffffffff),
    ),
    length: fc.oneof(fc.nat(200), fc.constantFrom(0, 0xffffffff, 0x3ffff0, 0x7fffffff, 0x12000)),
  });
  fc.assert(
    fc.property(
      fc.constantFrom('master', '2.7.4', '2.3.0'),
      fc.nat(255),
      fc.array(segment, { maxLength: 5 }),
      (core, count, segments) => {
        const era = eraOf(core);
        const chip = world.chip(SLOT_TRIAL);
        world.contents.open();
        chip.become(world.chip(SLOT_OLD));
        const header = new Uint8Array(8 + 8 * segments.length).fill(0xe9);
        const words = new DataView(header.buffer);
        header[1] = Math.min(count, segments.length + 2);
        words.setUint32(4, 0x40100004, true);
        segments.forEach(({ address, length }, i) => {
          words.setUint32(8 + 8 * i, address, true);
          words.setUint32(12 + 8 * i, length, true);
        });
        chip.table[1] = world.contents.replace(chip.table[1]!, 0, header);
        const dry = dryLoad(chip, era, 0);
        const spi = new RomSpi(chip);
        const requests = loadApp({ era, ram: new Ram(), spend() {} }, 0);
        let step = requests.next();
        while (!step.done) {
          const request = step.value;
          step = requests.next(request.op === 'read' ? spi.read(request.address, request.length, request.target) : 0);
        }
        const real = step.value;
        world.contents.close();
        // It may say that it cannot tell, but not something else.
        if (!dry) return;
        expect(dry.result).toBe(real.result);
        if (dry.result === 'jump' && real.result === 'jump') expect(dry.entry).toBe(real.entry);
        if (dry.result === 'failed' && real.result === 'failed') expect(dry.code).toBe(real.code);
      },
    ),
    { numRuns: 300 },
  );
});

test('an ordinary application is loaded without RAM', () => {
  for (const core of ['master', '3.0.2', '2.7.4', '2.3.0']) {
    expect(dryLoad(world.chip(SLOT_OLD), eraOf(core), 0)).toMatchObject({ result: 'jump' });
  }
});
