/**
 * The engine judges a branch of the chip by rules of its own, fast; a device is the truth. Whatever is cut, and wherever:
 * same verdict, same reason, same bytes in the whole flash.
 */
import { generateKeyPairSync } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { SeededRandom } from '../../../emulator/random.ts';
import { signImage } from '../../../emulator/signing.ts';
import { runOnDevice } from '../../../emulator/sweep/device-run.ts';
import { runReference } from '../../../emulator/sweep/reference.ts';
import { Retry } from '../../../emulator/sweep/retry.ts';
import { type Cut, formatSchedule } from '../../../emulator/sweep/schedule.ts';
import { ScheduleRunner } from '../../../emulator/sweep/schedule-run.ts';
import type { Subject } from '../../../emulator/sweep/subject.ts';
import { World } from '../../../emulator/sweep/world.ts';
import { smallSubject, subjectOf, sweepImage } from '../../support/sweep.ts';

const KINDS = ['power-cut', 'reset', 'brown-out'] as const;
/** Of each subject. `SWEEP_SAMPLES=200` looks longer. */
const SAMPLES = Number(process.env['SWEEP_SAMPLES'] ?? 5);

const keys = generateKeyPairSync('rsa', {
  modulusLength: 1024,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

const SUBJECTS: Record<string, () => Subject> = {
  'arduino-ota, equal sizes': () =>
    subjectOf({ firmware: sweepImage('basic-ota', '1.0', 40_000), update: sweepImage('basic-ota', '2.0', 40_000) }),
  'a larger image, another boot sector': () =>
    subjectOf({
      firmware: sweepImage('basic-ota', '1.0', 33_000, '3.0.2'),
      update: sweepImage('basic-ota', '2.0', 52_000),
    }),
  'a smaller one': () =>
    subjectOf({ firmware: sweepImage('basic-ota', '1.0', 60_000), update: sweepImage('basic-ota', '2.0', 30_000) }),
  'web: a larger image copied over its own staging area': () =>
    subjectOf({
      path: 'web',
      firmware: sweepImage('web-updater', '1.0', 32_768),
      update: sweepImage('web-updater', '2.0', 64_000),
    }),
  'http-update': () =>
    subjectOf({
      path: 'http-update',
      firmware: sweepImage('http-update', '1.0', 36_000),
      update: sweepImage('http-update', '2.0', 41_000),
    }),
  stream: () =>
    subjectOf({
      path: 'stream',
      firmware: sweepImage('stream-update', '1.0', 36_000),
      update: sweepImage('stream-update', '2.0', 37_000),
    }),
  serial: () =>
    subjectOf({
      path: 'serial',
      firmware: sweepImage('blank', '1.0', 36_000),
      update: sweepImage('blank', '2.0', 33_000),
    }),
  'signed, with verification': () =>
    subjectOf({
      firmware: sweepImage('basic-ota', '1.0', 36_000),
      update: signImage(sweepImage('basic-ota', '2.0', 40_000), keys.privateKey),
      publicKey: keys.publicKey,
    }),
  'signed gzip': () =>
    subjectOf({
      firmware: sweepImage('basic-ota', '1.0', 36_000),
      update: signImage(gzipSync(sweepImage('basic-ota', '2.0', 40_000)), keys.privateKey),
      publicKey: keys.publicKey,
    }),
  gzip: () =>
    subjectOf({
      firmware: sweepImage('basic-ota', '1.0', 50_000),
      update: gzipSync(sweepImage('basic-ota', '2.0', 60_000)),
    }),
  'gzip that unpacks over its own staging area': () =>
    subjectOf({
      path: 'web',
      firmware: sweepImage('web-updater', '1.0', 32_768),
      update: gzipSync(sweepImage('web-updater', '2.0', 90_000)),
    }),
  'file system in place': () =>
    subjectOf({
      target: 'fs',
      firmware: sweepImage('basic-ota', '1.0', 33_000),
      fileSystem: fileSystem(1, 0x10000),
      update: fileSystem(2, 0xc000),
    }),
  'file system, atomic': () =>
    subjectOf({
      target: 'fs',
      atomicFs: true,
      firmware: sweepImage('basic-ota', '1.0', 33_000),
      fileSystem: fileSystem(1, 0x10000),
      update: fileSystem(2, 0x10000),
    }),
  ...Object.fromEntries(
    ['2.0.0', '2.3.0', '2.6.3', '2.7.1', '2.7.2', '3.0.2'].map((core) => [
      `core ${core}`,
      () =>
        subjectOf({
          firmware: sweepImage('basic-ota', '1.0', 40_000, core),
          update: sweepImage('basic-ota', '2.0', 44_000, core),
        }),
    ]),
  ),
};

/** Something like LittleFS: two metadata blocks, then files, then nothing. */
function fileSystem(seed: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(0xff);
  const random = new SeededRandom(seed);
  for (const [at, length] of [
    [0, 100],
    [0x2000, 3000],
    [0x4000, 0x4000],
  ] as const) {
    random.fill(bytes.subarray(at, at + length));
  }
  return bytes;
}

/** Points all over the update, and pairs. */
function samples(world: World, count: number, seed: number): Cut[][] {
  const random = new SeededRandom(seed);
  const cutAt = (index: number): Cut => {
    const kind = KINDS[random.below(KINDS.length)]!;
    const points = kind === 'power-cut' ? (['before', 'inside', 'after'] as const) : (['before', 'after'] as const);
    return {
      kind,
      phase: world.operations.phaseOf(index),
      op: world.operations.opOf(index),
      point: points[random.below(points.length)]!,
    };
  };
  return Array.from({ length: count }, () => {
    const first = cutAt(random.below(world.operations.length));
    if (random.below(3) > 0) return [first];
    const copies = world.operations.counts()['copy'] ?? 0;
    const start = world.operations.find('copy', 0);
    if (copies === 0) return [first];
    const reset: Cut = { ...cutAt(start + random.below(copies)), kind: 'reset', point: 'before' };
    return [reset, cutAt(start + random.below(copies))];
  });
}

describe('invariant: the engine says what a device does', () => {
  for (const [name, make] of Object.entries(SUBJECTS)) {
    test(name, async () => {
      const subject = make();
      const reference = await runReference(subject);
      const world = new World(reference);
      const runner = new ScheduleRunner(world);
      for (const cuts of samples(world, SAMPLES, 1)) {
        let flash: Uint8Array = new Uint8Array(0);
        const outcome = runner.run(cuts, {
          inspect: (chip) => {
            flash = chip.peek(0, chip.capacityBytes);
          },
        });
        const device = await runOnDevice(subject, reference, cuts);
        const id = formatSchedule(cuts);
        expect({ id, verdict: outcome?.verdict, reason: outcome?.reason }).toEqual({
          id,
          verdict: device.verdict,
          reason: device.reason,
        });
        expect(outcome!.fired === cuts.length, id).toBe(device.fired);
        expect(Buffer.compare(flash, device.flash), id).toBe(0);
      }
    });
  }
});

test('invariant: the update once more comes to what it comes to on a device', async () => {
  const subject = smallSubject();
  const reference = await runReference(subject);
  const world = new World(reference);
  const runner = new ScheduleRunner(world);
  const old = { operations: reference.operations };
  const retry = new Retry(world, { old, new: old });
  for (const cuts of samples(world, SAMPLES, 2)) {
    const outcome = runner.run(cuts, { retry });
    // The small images leave the staging address where it is, so what was recorded on the old image holds on the new one.
    const device = await runOnDevice(subject, reference, cuts, { retry: true });
    expect(outcome?.retry, formatSchedule(cuts)).toEqual(device.retry);
  }
});

test('an engine that is wrong about the bootloader is noticed', async () => {
  const subject = smallSubject();
  const reference = await runReference(subject);
  const cuts: Cut[] = [{ kind: 'reset', phase: 'copy', op: 30, point: 'before' }];
  const wrong = new ScheduleRunner(new World({ ...reference, core: '2.3.0' })).run(cuts);
  const device = await runOnDevice(subject, reference, cuts);
  expect(device.verdict).toBe('new');
  // That era copies compressed and other commands alike, but erases first and never compares sector 0: other operations.
  expect(wrong).toMatchObject({ verdict: 'new' });
  // That era clears the command before it copies, so the second reset finds none.
  const pair: Cut[] = [...cuts, { kind: 'reset', phase: 'copy', op: 0, point: 'before' }];
  const [engine, truth] = [
    new ScheduleRunner(new World({ ...reference, core: '2.3.0' })).run(pair),
    await runOnDevice(subject, reference, pair),
  ];
  expect(engine?.verdict).not.toBe(truth.verdict);
});
