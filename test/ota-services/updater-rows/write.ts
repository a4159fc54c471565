/** Rows 18–20, 30–33, 36, 37, 46, 51–55, 70, 76 of spec chapter 02 §13: how data goes in. */
import { expect } from 'vitest';
import { TimedStream } from '../../../ota-services/stream.ts';
import { U_FS } from '../../../ota-services/updater.ts';
import {
  changes,
  erases,
  faultAt,
  firstDifference,
  makeRig,
  md5Hex,
  patternBytes,
  type Rig,
  type RigOptions,
  ScriptedSource,
  sketchBytes,
  takeLog,
} from '../../support/updater.ts';
import type { Row } from './row.ts';

async function begun(size: number, options: RigOptions = {}): Promise<Rig> {
  const rig = makeRig(options);
  await rig.update.begin(size);
  takeLog(rig);
  return rig;
}

const streamOf = (rig: Rig, ...pieces: { at?: number; bytes: Uint8Array }[]): TimedStream =>
  new TimedStream(new ScriptedSource(rig.clock, pieces), rig.clock);

export const writeRows: Row[] = [
  {
    row: 18,
    name: 'a buffer that is just full is not flushed',
    run: async () => {
      const rig = await begun(10000);
      expect(await rig.update.write(sketchBytes(4096))).toBe(4096);
      expect(rig.update.progress()).toBe(0);
      expect(changes(rig)).toEqual([]);
    },
  },
  {
    row: 19,
    name: 'one byte more flushes a sector: one erase, 16 pages, the empty write',
    run: async () => {
      const rig = await begun(10000);
      await rig.update.write(sketchBytes(4096));
      expect(await rig.update.write(Uint8Array.of(1))).toBe(1);
      expect(rig.update.progress()).toBe(4096);
      const pages = Array.from({ length: 16 }, (_, i) => ['write', 0x1fd000 + i * 256, 256]);
      expect(changes(rig)).toEqual([['erase', 0x1fd000, 4096], ...pages, ['write', 0x1fe000, 0]]);
    },
  },
  {
    row: 20,
    name: 'more than announced aborts with 4 and stores nothing',
    run: async () => {
      const rig = await begun(10000);
      expect(await rig.update.write(sketchBytes(10001))).toBe(0);
      expect([rig.update.getError(), takeLog(rig), rig.update.isRunning()]).toEqual([4, 'X(4) E', false]);
      expect(rig.update.failure).toEqual({ name: 'SPACE', code: 4, needed: 10001, free: 10000 });
      expect(changes(rig)).toEqual([]);
    },
  },
  {
    row: 30,
    name: 'data starting 1F 00 streams, and fails at the end with 10',
    run: async () => {
      const rig = await begun(5000);
      const bytes = patternBytes(5000);
      bytes.set([0x1f, 0x00]);
      expect(await rig.update.writeStream(streamOf(rig, { bytes }))).toBe(5000);
      takeLog(rig);
      expect(await rig.update.end()).toBe(false);
      expect([rig.update.getError(), takeLog(rig)]).toEqual([10, 'X(10) E E']);
    },
  },
  {
    row: 31,
    name: 'a stream starting 00 is refused with 10, nothing is read from it',
    run: async () => {
      const rig = await begun(5000);
      const source = new ScriptedSource(rig.clock, [{ bytes: sketchBytes(5000, { magic: 0 }) }]);
      expect(await rig.update.writeStream(new TimedStream(source, rig.clock))).toBe(0);
      expect([rig.update.getError(), takeLog(rig), source.taken]).toEqual([10, 'X(10) E E', 0]);
      expect(rig.update.failure).toEqual({ name: 'MAGIC_BYTE', code: 10, found: 0 });
    },
  },
  {
    row: 32,
    name: 'data starting 00 through write fails at the end only, with 10',
    run: async () => {
      const rig = await begun(5000);
      const image = sketchBytes(5000, { magic: 0 });
      expect(await rig.update.write(image)).toBe(5000);
      expect(await rig.update.end()).toBe(false);
      expect([rig.update.getError(), takeLog(rig)]).toEqual([10, 'X(10) E E']);
      expect(firstDifference(rig.chip.peek(0x1fe000, 5000), image)).toBe(-1);
    },
  },
  {
    row: 33,
    name: 'a wrong MD5 wins over a wrong magic',
    run: async () => {
      const rig = await begun(5000);
      rig.update.setMD5('0'.repeat(32));
      await rig.update.write(sketchBytes(5000, { magic: 0 }));
      expect(await rig.update.end()).toBe(false);
      expect(rig.update.getError()).toBe(7);
    },
  },
  {
    row: 36,
    name: 'the second erase fails: write tells what went into earlier flushes',
    run: async () => {
      const rig = await begun(10000, { faults: faultAt('erase', 1) });
      expect(await rig.update.write(sketchBytes(10000))).toBe(4096);
      expect([rig.update.getError(), takeLog(rig)]).toEqual([2, 'X(2) E']);
      expect(rig.update.failure).toEqual({ name: 'ERASE', code: 2, address: 0x1fe000 });
      expect(await rig.update.write(Uint8Array.of(1))).toBe(0);
      expect([await rig.update.end(), rig.update.getError()]).toEqual([false, 2]);
    },
  },
  {
    row: 37,
    name: 'the first program fails: write gives 0, error 1',
    run: async () => {
      const rig = await begun(10000, { faults: faultAt('program', 0) });
      expect(await rig.update.write(sketchBytes(10000))).toBe(0);
      expect(rig.update.failure).toEqual({ name: 'WRITE', code: 1, address: 0x1fd000, size: 4096 });
      const last = await begun(5000, { faults: faultAt('program', 16) });
      expect(await last.update.write(sketchBytes(5000))).toBe(4096); // the last flush does not count either
    },
  },
  {
    row: 46,
    name: 'an empty write behind the last byte erases the first file-system sector and loses the update',
    run: async () => {
      const rig = await begun(8192);
      await rig.update.write(sketchBytes(8192));
      expect(rig.update.isFinished()).toBe(true);
      expect(await rig.update.write(new Uint8Array(0))).toBe(0);
      expect(erases(rig)).toEqual([0x1fe000, 0x1ff000, 0x200000]);
      expect([rig.update.getError(), rig.update.isRunning()]).toEqual([1, false]);
      expect([await rig.update.end(), rig.commands]).toEqual([false, []]);
    },
  },
  {
    row: 51,
    name: 'an empty stream is refused at once with 10',
    run: async () => {
      const rig = await begun(5000);
      const before = rig.clock.millis();
      expect(await rig.update.writeStream(streamOf(rig))).toBe(0);
      expect([rig.update.getError(), rig.clock.millis() - before]).toEqual([10, 0]);
    },
  },
  {
    row: 52,
    name: 'an empty U_FS stream fails with 6 after the timeout',
    run: async () => {
      const rig = makeRig();
      await rig.update.begin(5000, U_FS);
      takeLog(rig);
      const before = rig.clock.millis();
      expect(await rig.update.writeStream(streamOf(rig), 5000)).toBe(0);
      const waited = rig.clock.millis() - before;
      expect(waited).toBeGreaterThanOrEqual(5000);
      expect(waited).toBeLessThanOrEqual(6100);
      expect(rig.update.failure).toMatchObject({ timeoutMs: 5000 });
      expect([rig.update.getError(), takeLog(rig)]).toEqual([
        6,
        'P(0,5000) P(0,5000) P(0,5000) P(0,5000) P(0,5000) X(6) E E',
      ]);
    },
  },
  {
    row: 53,
    name: 'a stream in time: progress after every round and once more',
    run: async () => {
      const rig = await begun(10000);
      const image = sketchBytes(10000);
      expect(await rig.update.writeStream(streamOf(rig, { bytes: image }))).toBe(10000);
      expect(takeLog(rig)).toBe('P(0,10000) P(4096,10000) P(8192,10000) P(10000,10000) P(10000,10000)');
      expect(await rig.update.end()).toBe(true);
      expect(firstDifference(rig.chip.peek(0x1fd000, 10000), image)).toBe(-1);
    },
  },
  {
    row: 54,
    name: 'a sender that stops after 6000 of 10000 bytes: error 6, one sector staged',
    run: async () => {
      const rig = await begun(10000);
      const stream = streamOf(rig, { bytes: sketchBytes(6000) });
      const before = rig.clock.millis();
      expect(await rig.update.writeStream(stream, 60000)).toBe(6000);
      // One sector of flash (56 ms); the short read returned 1 s after the last byte; then rounds of 1.1 s until, at the
      // end of a read, 60 s have passed.
      expect(rig.clock.millis() - before).toBe(56 + 1000 + 54 * 1100 + 1000);
      expect([rig.update.getError(), rig.commands]).toEqual([6, []]);
      expect(erases(rig)).toEqual([0x1fd000]);
      expect(rig.update.failure).toEqual({ name: 'STREAM', code: 6, received: 6000, size: 10000, timeoutMs: 60000 });
    },
  },
  {
    row: 55,
    name: 'the LED lights while reading and is off while flushing',
    run: async () => {
      const rig = makeRig();
      await rig.update.begin(5000, 0, 2, 0);
      rig.system.log.length = 0;
      const seen: string[] = [];
      rig.chip.faults = {
        decide: ({ kind }) => {
          if (kind !== 'read') seen.push(rig.system.log.at(-1) ?? '');
          return undefined;
        },
      };
      await rig.update.writeStream(streamOf(rig, { bytes: sketchBytes(5000) }));
      expect(rig.system.log).toEqual(['mode 2 output', '2=0', '2=1', '2=0', '2=1']);
      expect(new Set(seen)).toEqual(new Set(['2=1']));
      await rig.update.end();
      expect(rig.system.log.at(-1)).toBe('2=1');
    },
  },
  {
    row: 70,
    name: 'a file system may begin with anything',
    run: async () => {
      const rig = makeRig();
      const image = sketchBytes(9000, { magic: 0 });
      await rig.update.begin(9000, U_FS);
      expect(await rig.update.writeStream(streamOf(rig, { bytes: image }))).toBe(9000);
      expect(await rig.update.end()).toBe(true);
      expect(firstDifference(rig.chip.peek(0x200000, 9000), image)).toBe(-1);
    },
  },
  {
    row: 76,
    name: 'a short read counts as full: what was in the buffer goes to flash',
    run: async () => {
      const rig = await begun(4196);
      const image = sketchBytes(4196);
      await rig.update.write(image.subarray(0, 4096));
      rig.update.setMD5(md5Hex(image));
      // The full buffer is flushed first: nothing fits behind it.
      const waiting = { left: 100, available: () => waiting.left, read: (length: number) => take(length) };
      const take = (length: number): Uint8Array => {
        waiting.left -= length;
        return image.subarray(4096, 4096 + Math.min(length, 60));
      };
      expect(await rig.update.writeFrom(waiting)).toBe(100);
      expect(firstDifference(rig.chip.peek(0x1ff000, 60), image.slice(4096, 4156))).toBe(-1);
      expect(firstDifference(rig.chip.peek(0x1ff000 + 60, 40), image.slice(60, 100))).toBe(-1); // from the sector before
      expect([await rig.update.end(), rig.update.getError()]).toEqual([false, 7]);
    },
  },
];
