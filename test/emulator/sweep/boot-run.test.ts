/** Starts of a branch of the chip, each verdict by a state that was made for it. */
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand } from '../../../eboot/command.ts';
import type { BootRun } from '../../../emulator/sweep/boot-run.ts';
import type { BranchChip } from '../../../emulator/sweep/branch-chip.ts';
import type { RtcImage } from '../../../emulator/sweep/rtc-image.ts';
import { SLOT_NEW, SLOT_OLD, SLOT_TRIAL } from '../../../emulator/sweep/slots.ts';
import { Trunk } from '../../../emulator/sweep/trunk.ts';
import type { World } from '../../../emulator/sweep/world.ts';
import { smallWorld } from '../../support/sweep.ts';

let world: World;

beforeAll(async () => {
  ({ world } = await smallWorld());
});

function fresh(image: number, change: (chip: BranchChip) => void = () => {}): { run: BootRun; rtc: RtcImage } {
  const chip = world.chip(SLOT_TRIAL);
  chip.become(world.chip(image));
  change(chip);
  const rtc = world.rtc();
  rtc.load(world.reference.rtc);
  return { run: world.boot(chip, rtc), rtc };
}

function command(rtc: RtcImage, source: number, destination: number, size: number): void {
  const bytes = encodeCommand({ action: 1, args: [source, destination, size] }, world.parts.crc32);
  const words = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) rtc.storeUser(at, words.getUint32(at, true));
}

const erase =
  (...sectors: number[]) =>
  (chip: BranchChip): void => {
    for (const sector of sectors) chip.eraseSector(sector);
  };

describe('verdicts', () => {
  const judge = (image: number, change?: (chip: BranchChip) => void) => {
    const { run } = fresh(image, change);
    return world.judge.judge(run, 'power-on');
  };

  test('old, new', () => {
    expect(judge(SLOT_OLD).verdict).toBe('old');
    expect(judge(SLOT_NEW).verdict).toBe('new');
  });

  test('bytes behind the image in its last sector are nobody’s', () => {
    expect(
      judge(SLOT_OLD, (chip) => {
        chip.table[7] = world.contents.program(chip.table[7]!, 4000, Uint8Array.of(0));
      }).verdict,
    ).toBe('old');
  });

  test.each([
    ['sector 0 is erased', erase(0), 'finds no image'],
    [
      'sector 0 is torn',
      (chip: BranchChip): void => {
        chip.table[0] = world.contents.partial(chip.table[0]!, 3);
      },
      'its checksum wrong',
    ],
    ['the application is torn', erase(4), 'crashes at every start'],
    [
      'the application is a mixture',
      (chip: BranchChip): void => {
        chip.table[5] = world.chip(SLOT_NEW).table[5]!;
      },
      'crashes at every start',
    ],
    ['the application is not there', erase(1, 2, 3, 4, 5, 6, 7), 'jumps into an application that is not there'],
  ])('brick: %s', (_, change, why) => {
    const { verdict, reason } = judge(SLOT_OLD, change);
    expect(verdict).toBe('brick');
    expect(reason).toContain(why);
  });

  test('fs-lost: a sector of the file system changed', () => {
    const sector = world.reference.fsStart / 4096;
    expect(
      judge(SLOT_NEW, (chip) => {
        chip.table[sector] = world.contents.program(chip.table[sector]!, 0, Uint8Array.of(0));
      }).verdict,
    ).toBe('fs-lost');
  });

  test('corrupt: changed where neither CRC nor checksum looks, in header bytes 2 and 3 of another image', () => {
    // Header byte 3 at 0x1000 too: then the CRC fits once byte 3 at 0 is taken for it.
    const { run } = fresh(SLOT_OLD, (chip) => {
      chip.table[0] = world.contents.replace(chip.table[0]!, 3, Uint8Array.of(0x21));
    });
    expect(world.judge.judge(run, 'power-on').verdict).toBe('corrupt');
  });

  test('stuck: eboot refuses a command and leaves the ROM hanging, and an external reset starts the old image', () => {
    const { run, rtc } = fresh(SLOT_OLD);
    command(rtc, 0x80001, 0, 4096);
    expect(world.judge.judge(run, 'external')).toEqual({
      verdict: 'stuck',
      reason: 'eboot gave up with code 1 and left the ROM hanging; an external reset starts the old image',
    });
  });
});

describe('invariant: step by step or at once, a start comes to the same', () => {
  test.each([
    ['nothing to do', () => {}],
    ['a copy', (rtc: RtcImage) => command(rtc, 0x10000, 0, 30_000)],
    ['a copy over its own source', (rtc: RtcImage) => command(rtc, 0x3000, 0, 30_000)],
    ['a copy backwards', (rtc: RtcImage) => command(rtc, 0, 0x10000, 30_000)],
    ['of no bytes', (rtc: RtcImage) => command(rtc, 0x10000, 0, 0)],
    ['onto itself', (rtc: RtcImage) => command(rtc, 0x10000, 0x10000, 9000)],
    ['from beyond the chip', (rtc: RtcImage) => command(rtc, 0x3ff000, 0, 9000)],
  ])('%s', (_, prepare) => {
    const ends = [false, true].map((stepwise) => {
      const { run, rtc } = fresh(SLOT_OLD);
      prepare(rtc);
      world.contents.open();
      let operations = 0;
      let settled: unknown;
      if (stepwise) {
        const steps = run.steps('external');
        let step = steps.next();
        while (!step.done) {
          operations++;
          step = steps.next();
        }
        settled = step.value;
      } else settled = run.finish('external');
      const flash = Buffer.from(run.chip.peek(0, run.chip.capacityBytes));
      world.contents.close();
      return { operations, settled, flash, rtc: Buffer.from(rtc.bytes) };
    });
    expect(ends[0]!.settled).toEqual(ends[1]!.settled);
    expect(Buffer.compare(ends[0]!.flash, ends[1]!.flash)).toBe(0);
    expect(Buffer.compare(ends[0]!.rtc, ends[1]!.rtc)).toBe(0);
  });
});

test('invariant: the recorded operations lead from the chip before the update to the chip after it', () => {
  const trunk = new Trunk(world);
  trunk.advanceTo(world.operations.length);
  const after = trunk.chip.peek(0, trunk.chip.capacityBytes);
  expect(Buffer.compare(after, world.reference.after)).toBe(0);
  expect(() => trunk.advanceTo(0)).toThrow(RangeError);
  trunk.rewind();
  expect(Buffer.compare(trunk.chip.peek(0, trunk.chip.capacityBytes), world.reference.before)).toBe(0);
});
