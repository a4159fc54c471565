/** What a bootloader did is remembered; nothing may ever depend on whether it was. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Requests } from '../../../eboot/machine.ts';
import { DRAM_BASE, RTC_BASE, RTC_USER_OFFSET } from '../../../eboot/memory-map.ts';
import type { EbootEnd } from '../../../eboot/model.ts';
import { Ram } from '../../../eboot/ram.ts';
import type { ResetCause } from '../../../eboot/reset-cause.ts';
import type { Bootloader } from '../../../emulator/sweep/boot-run.ts';
import { Engine } from '../../../emulator/sweep/engine.ts';
import { nativeBootloader } from '../../../emulator/sweep/native.ts';
import type { Plan } from '../../../emulator/sweep/plan.ts';
import { Recall } from '../../../emulator/sweep/recall.ts';
import { runReference } from '../../../emulator/sweep/reference.ts';
import type { Reference } from '../../../emulator/sweep/reference-data.ts';
import { formatSchedule } from '../../../emulator/sweep/schedule.ts';
import { SLOT_OLD, SLOT_TRIAL } from '../../../emulator/sweep/slots.ts';
import { Trunk } from '../../../emulator/sweep/trunk.ts';
import { World } from '../../../emulator/sweep/world.ts';
import { EMBEDDED_IN_APP, embedLengthAndCrc } from '../../../flash/image-assemble.ts';
import { miniEboot } from '../../support/mini-eboot.ts';
import { subjectOf, sweepImage } from '../../support/sweep.ts';

const FLASH_ID = 0x1640ef;
const SECTOR_BYTES = 4096;

/** With code of our own in the boot sector. */
function firmware(version: string, size: number): Uint8Array {
  const image = sweepImage('basic-ota', version, size);
  const [mode, chip] = [image[2]!, image[3]!];
  image.set(miniEboot());
  image.set([mode, chip], 2);
  embedLengthAndCrc(image, EMBEDDED_IN_APP);
  return image;
}

let reference: Reference;
beforeAll(async () => {
  const [old, update] = [firmware('1.0', 20_000), firmware('2.0', 22_000)];
  reference = await runReference(subjectOf({ firmware: old, update, bootloader: 'native' }));
});

/** @param limitBytes undefined: nothing is remembered */
function worldOf(
  bootloader: Bootloader,
  limitBytes: number | undefined,
): World & { readonly recall: Recall | undefined } {
  const world = new World(reference, bootloader);
  const recall = limitBytes === undefined ? undefined : new Recall(world.contents, world.rtc(), limitBytes);
  return Object.assign(world, { parts: { ...world.parts, recall }, recall });
}

describe('invariant: a sweep of executed code comes to the same', () => {
  const plan: Plan = {
    kinds: ['power-cut', 'reset', 'brown-out'],
    points: ['before', 'inside', 'after'],
    depth: 1,
    secondKinds: [],
    retry: false,
  };

  function sweep(limitBytes: number | undefined, some: Partial<Plan> = {}, every = 1) {
    const world = worldOf(nativeBootloader(FLASH_ID), limitBytes);
    const engine = new Engine(world, { ...plan, ...some });
    const found: string[] = [];
    const { size } = world.contents;
    for (let boundary = 0; boundary < engine.boundaries; boundary += every) {
      engine.visit(boundary, {
        point: (cuts, { verdict, reason }) => found.push(`${formatSchedule(cuts)} ${verdict} ${reason}`),
        trials: () => {},
      });
    }
    return { found, counts: world.recall?.counts, contents: world.contents.size - size };
  }

  test('with everything remembered, and with room for next to nothing', () => {
    const plain = sweep(undefined);
    expect(plain.found.length).toBeGreaterThan(1000);
    expect(new Set(plain.found.map((line) => line.split(' ')[1])).size).toBeGreaterThan(2);
    const all = sweep(64 * 1024 * 1024);
    expect(all.found).toEqual(plain.found);
    expect(all.counts!.recalled).toBeGreaterThan(all.counts!.runs * 0.5);
    const little = sweep(500_000);
    expect(little.found).toEqual(plain.found);
    expect(little.counts!.recalled).toBeGreaterThan(0);
    expect(little.counts!.recalled).toBeLessThan(all.counts!.recalled);
    expect(little.contents, 'contents that nobody wants any more').toBeLessThan(60);
  });

  test('two cuts', () => {
    const two: Partial<Plan> = { depth: 2, kinds: ['reset'], secondKinds: ['power-cut', 'reset'], points: ['before'] };
    expect(sweep(64 * 1024 * 1024, two, 23).found).toEqual(sweep(undefined, two, 23).found);
  });
});

describe('RAM in the middle of an executed copy', () => {
  const bank = (ram: Ram | undefined): string => Buffer.from(ram!.dram).toString('latin1') + ram!.iram.join();

  test.each([64 * 1024 * 1024, undefined])(
    'is the same after going back, and holds the sector that is about to be programmed (limit %s)',
    (limitBytes) => {
      const world = worldOf(nativeBootloader(FLASH_ID), limitBytes);
      const trunk = new Trunk(world);
      const first = world.operations.find('copy', 0);
      const boundaries = Array.from({ length: 60 }, (_, i) => first + 1 + i);
      const walk = () =>
        boundaries.map((boundary) => {
          trunk.advanceTo(boundary);
          return [bank(trunk.ramBefore), bank(trunk.ramAfter)];
        });
      const there = walk();
      trunk.rewind();
      for (const boundary of boundaries) {
        trunk.advanceTo(boundary);
        const next = world.operations.at(boundary);
        // It is read before it is erased.
        const { data } = next.kind === 'erase' ? world.operations.at(boundary + 1) : next;
        expect(Buffer.from(trunk.ramBefore!.dram).includes(Buffer.from(data)), `before operation ${boundary}`).toBe(
          true,
        );
      }
      trunk.rewind();
      expect(walk().every(([before, after], i) => before === there[i]![0] && after === there[i]![1])).toBe(true);
    },
  );
});

test('reads of ever other contents are forgotten before a sweep has no room for contents', () => {
  const reads: Bootloader = function* ({ ram }) {
    yield { op: 'read', address: 5 * SECTOR_BYTES, length: 64, target: ram.view(DRAM_BASE, 64) };
    ram.view(DRAM_BASE, 64).fill(0);
    return { outcome: 'reset', code: 1 };
  };
  const world = worldOf(reads, 4 * 1024 * 1024);
  const chip = world.chip(SLOT_TRIAL);
  for (let i = 0; i < 5000; i++) {
    world.contents.open();
    chip.become(world.chip(SLOT_OLD));
    chip.eraseSector(5);
    chip.programPage(5 * SECTOR_BYTES, Uint8Array.of(i & 0xff, i >> 8));
    const rtc = world.rtc();
    rtc.load(reference.rtc);
    world.boot(chip, rtc).finish('external');
    world.contents.close();
    expect(world.contents.size).toBeLessThan(3000);
  }
});

/** What a bootloader of random habits does; every word that it sees may change its mind. */
interface Habits {
  readonly deeds: readonly { readonly what: number; readonly where: number }[];
  readonly ends: number;
}

const COUNTER = DRAM_BASE + 0x100;

function* habitual({ deeds, ends }: Habits, { ram, readCommand }: Parameters<Bootloader>[0]): Requests<EbootEnd> {
  const counter = ram.view(COUNTER, 4);
  counter[0]!++;
  let mood = counter[0]! + readCommand()[0]!;
  const place = ram.view(DRAM_BASE + 0x2000, SECTOR_BYTES);
  for (const { what, where } of deeds) {
    const address = (where % 40) * SECTOR_BYTES;
    const length = (mood + what) % 3 === 0 ? SECTOR_BYTES : 64;
    switch ((what + mood) % 5) {
      case 0:
      case 1:
        yield { op: 'read', address: address + (where % 7) * 512, length, target: place.subarray(0, length) };
        mood += place[3]!;
        break;
      case 2:
        // Its own code stays.
        if (address > 0) yield { op: 'erase', address, length: SECTOR_BYTES };
        break;
      case 3:
        if (address > 0) yield { op: 'write', address, length, data: place.subarray(0, length) };
        break;
      default:
        yield { op: 'rtc', address: RTC_BASE + RTC_USER_OFFSET, length: 4, value: mood & 0xff };
    }
  }
  if ((ends + mood) % 4 === 0) return { outcome: 'reset', code: mood & 0xff };
  if ((ends + mood) % 4 === 1) return { outcome: 'hang', reason: 'loop', pc: 0 };
  return { outcome: 'boot', entry: 0x4010_0000, sp: 0x4000_0000, base: 0 };
}

test('invariant: flash, RTC memory, RAM and the end of any chain of starts are those of a device without memory', () => {
  const habits = fc.record({
    deeds: fc.array(fc.record({ what: fc.nat(20), where: fc.nat(200) }), { maxLength: 8 }),
    ends: fc.nat(7),
  });
  const start = fc.record({
    cause: fc.constantFrom<ResetCause[]>('power-on', 'external', 'software', 'hardware-watchdog', 'brown-out'),
    damaged: fc.nat(6),
    fill: fc.constantFrom(0xa5, 0x5a),
  });
  let recalled = 0;
  fc.assert(
    fc.property(habits, fc.array(start, { minLength: 2, maxLength: 8 }), (some, starts) => {
      const play = (limitBytes: number | undefined) => {
        const world = worldOf((options) => habitual(some, options), limitBytes);
        const seen = starts.map(({ cause, damaged, fill }) => {
          world.contents.open();
          const chip = world.chip(SLOT_TRIAL);
          chip.become(world.chip(SLOT_OLD));
          if (damaged > 0) chip.eraseSector(damaged);
          const rtc = world.rtc();
          rtc.load(reference.rtc);
          const run = world.boot(chip, rtc);
          run.ram = new Ram(fill);
          const settled = run.finish(cause);
          const bytes = Buffer.from(chip.peek(0, 41 * SECTOR_BYTES)).toString('latin1');
          const ram = run.ram;
          world.contents.close();
          const memory = [ram.dram, ram.iram, rtc.all()].map((bank) => Buffer.from(bank).toString('latin1'));
          return { settled, watchdog: run.resetState.watchdogRunning, bytes, memory };
        });
        recalled += world.recall?.counts.recalled ?? 0;
        return seen;
      };
      const plain = play(undefined);
      // Compared one by one: a difference in a megabyte of text takes the matcher minutes.
      for (const limitBytes of [64 * 1024 * 1024, 400_000]) {
        for (const [index, got] of play(limitBytes).entries()) {
          const wanted = plain[index]!;
          expect([got.settled, got.watchdog], `start ${index}`).toEqual([wanted.settled, wanted.watchdog]);
          expect(got.bytes === wanted.bytes, `flash after start ${index}`).toBe(true);
          for (const [bank, text] of got.memory.entries()) {
            expect(text === wanted.memory[bank], `${['DRAM', 'IRAM', 'RTC'][bank]} after start ${index}`).toBe(true);
          }
        }
      }
    }),
    { numRuns: 60 },
  );
  expect(recalled).toBeGreaterThan(60);
});
