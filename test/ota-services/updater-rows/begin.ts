/** Rows 1–17 and 71–74 of spec chapter 02 §13: what `begin` accepts, and errors. */
import { expect } from 'vitest';
import { U_FS } from '../../../ota-services/updater.ts';
import { updateErrorText } from '../../../ota-services/updater-errors.ts';
import { changes, KIB, MIB, makeRig, md5Hex, type Rig, sketchBytes, takeLog } from '../../support/updater.ts';
import type { Row } from './row.ts';

/** What `begin` left: result, error, callbacks. */
async function begin(rig: Rig, size: number, command?: number): Promise<[boolean, number, string]> {
  return [await rig.update.begin(size, command), rig.update.getError(), takeLog(rig)];
}

const start = (rig: Rig): number | undefined =>
  rig.events.flatMap((event) => (event.type === 'update.begin' ? [event.address] : [])).at(-1);

export const beginRows: Row[] = [
  {
    row: 1,
    name: 'begin(0) fails with 5',
    run: async () => expect(await begin(makeRig(), 0)).toEqual([false, 5, 'X(5) E']),
  },
  {
    row: 2,
    name: 'begin(342704) stages at 0x1AC000 and touches no flash',
    run: async () => {
      const rig = makeRig();
      expect(await begin(rig, 342704)).toEqual([true, 0, 'E S']);
      expect([rig.update.size(), rig.update.progress(), start(rig)]).toEqual([342704, 0, 0x1ac000]);
      expect(changes(rig)).toEqual([]);
    },
  },
  {
    row: 3,
    name: 'begin twice: the second kills both, the third works',
    run: async () => {
      const rig = makeRig();
      await begin(rig, 1000);
      expect(await begin(rig, 1000)).toEqual([false, 15, 'X(15) E']);
      expect(rig.update.isRunning()).toBe(false);
      expect(await begin(rig, 1000)).toEqual([true, 0, 'E S']);
    },
  },
  {
    row: 4,
    name: 'strap number 1 fails with 11',
    run: async () => {
      const rig = makeRig();
      rig.system.straps = 1;
      expect(await begin(rig, 1000)).toEqual([false, 11, 'X(11) E']);
      expect(rig.update.getErrorString()).toBe('Invalid bootstrapping state, reset ESP8266 before updating');
      rig.system.straps = 9; // four bits are compared, one more than the straps have
      expect((await begin(rig, 1000))[0]).toBe(true);
    },
  },
  {
    row: 5,
    name: 'strap number 1 and size 0: straps are checked first',
    run: async () => {
      const rig = makeRig();
      rig.system.straps = 1;
      expect((await begin(rig, 0))[1]).toBe(11);
    },
  },
  {
    row: 6,
    name: 'a 1 MiB chip under a 4 MiB header fails with 8',
    run: async () => {
      const rig = makeRig({ chip: MIB, nibble: 4 });
      expect(await begin(rig, 1000)).toEqual([false, 8, 'X(8) E']);
      expect(rig.update.getErrorString()).toBe('Flash config wrong: real: 1048576, SDK: 4194304');
    },
  },
  {
    row: 7,
    name: 'a 4 MiB chip under a 1 MiB header passes',
    run: async () => expect(await begin(makeRig({ nibble: 2 }), 1000)).toEqual([true, 0, 'E S']),
  },
  {
    row: 8,
    name: 'an unknown size nibble passes',
    run: async () => expect(await begin(makeRig({ nibble: 7 }), 1000)).toEqual([true, 0, 'E S']),
  },
  {
    row: 9,
    name: 'command 200 fails with 16',
    run: async () => expect(await begin(makeRig(), 100, 200)).toEqual([false, 16, 'E X(16) E']),
  },
  {
    row: 10,
    name: '1m64 with a sketch of 487424: 480000 bytes fail with 4',
    run: async () =>
      expect(await begin(makeRig({ layout: '1m64', sketchSize: 487424 }), 480000)).toEqual([false, 4, 'E X(4) E']),
  },
  {
    row: 11,
    name: '4m3m with a sketch of 524288: as large again fits, one byte more does not',
    run: async () => {
      const rig = makeRig({ layout: '4m3m', sketchSize: 524288 });
      expect(await begin(rig, 524288)).toEqual([true, 0, 'E S']);
      expect(start(rig)).toBe(0x80000);
      expect(await begin(makeRig({ layout: '4m3m', sketchSize: 524288 }), 524289)).toEqual([false, 4, 'E X(4) E']);
    },
  },
  {
    row: 12,
    name: 'no file system on 1m: any U_FS fails with 4',
    run: async () => expect((await begin(makeRig({ layout: '1m' }), 1, U_FS)).slice(0, 2)).toEqual([false, 4]),
  },
  {
    row: 13,
    name: 'U_FS takes the whole file system of 4m2m and not a byte more',
    run: async () => {
      const rig = makeRig();
      expect(await begin(rig, 2072576, U_FS)).toEqual([true, 0, 'E S']);
      expect(start(rig)).toBe(0x200000);
      expect((await begin(makeRig(), 2072577, U_FS)).slice(0, 2)).toEqual([false, 4]);
    },
  },
  {
    row: 14,
    name: 'atomic U_FS of 524288 bytes stages at 0x180000',
    run: async () => {
      const rig = makeRig({ atomicFs: true });
      expect((await begin(rig, 524288, U_FS))[0]).toBe(true);
      expect(start(rig)).toBe(0x180000);
    },
  },
  {
    row: 15,
    name: 'atomic U_FS of the whole file system does not fit before it',
    run: async () => expect((await begin(makeRig({ atomicFs: true }), 2072576, U_FS)).slice(0, 2)).toEqual([false, 4]),
  },
  {
    row: 16,
    name: 'with 8000 bytes of heap the buffer holds 256',
    run: async () => {
      const rig = makeRig();
      rig.system.heap = 8000;
      await begin(rig, 10000);
      const seen: number[] = [];
      for (let i = 0; i < 9; i++) {
        await rig.update.write(sketchBytes(100));
        seen.push(rig.update.progress());
      }
      expect(seen).toEqual([0, 0, 256, 256, 256, 512, 512, 768, 768]);
      expect(rig.system.held).toBe(256);
      for (const [heap, buffer] of [
        [8192, 256],
        [8193, 4096],
      ] as const) {
        const other = makeRig();
        other.system.heap = heap;
        await begin(other, 10000);
        expect(other.system.held).toBe(buffer);
      }
    },
  },
  {
    row: 17,
    name: 'a failing allocation fails with 14, and the last reset is silent',
    run: async () => {
      const rig = makeRig();
      rig.system.failAllocationsFrom = 1;
      expect(await begin(rig, 1000)).toEqual([false, 14, 'E X(14) E']);
      expect(rig.update.isRunning()).toBe(false);
    },
  },
  {
    row: 71,
    name: 'texts after success and for an unknown code',
    run: async () => {
      const rig = makeRig();
      await begin(rig, 5000);
      await rig.update.write(sketchBytes(5000));
      await rig.update.end();
      expect(rig.update.getErrorString()).toBe('No Error');
      const unused = (): never => {
        throw new Error('no fact belongs to this text');
      };
      const facts = { expectedMd5: unused, actualMd5: unused, realFlashSize: unused, configuredFlashSize: unused };
      expect(updateErrorText(99, facts)).toBe('UNKNOWN');
    },
  },
  {
    row: 72,
    name: 'printError with error 4',
    run: async () => {
      const rig = makeRig();
      await begin(rig, 4 * MIB);
      expect(rig.update.printError()).toBe('ERROR[4]: Not Enough Space\n');
    },
  },
  {
    row: 73,
    name: 'a good begin after an error forgets error and target MD5',
    run: async () => {
      const rig = makeRig();
      await begin(rig, 5000);
      rig.update.setMD5('0'.repeat(32));
      await rig.update.write(sketchBytes(5001));
      expect(rig.update.getError()).toBe(4);
      expect(await begin(rig, 5000)).toEqual([true, 0, 'X(4) E E S']);
      await rig.update.write(sketchBytes(5000));
      expect(await rig.update.end()).toBe(true); // the wrong target is gone
    },
  },
  {
    row: 74,
    name: 'a begin that fails with 5 keeps the target MD5 of the earlier update',
    run: async () => {
      const rig = makeRig();
      const image = sketchBytes(5 * KIB);
      await begin(rig, image.length);
      const target = 'A'.repeat(32);
      rig.update.setMD5(target);
      await rig.update.write(image);
      expect(await rig.update.end()).toBe(false);
      const text = `MD5 verification failed: expected: ${target}, calculated: ${md5Hex(image)}`;
      expect(rig.update.getErrorString()).toBe(text);
      expect((await begin(rig, 0)).slice(0, 2)).toEqual([false, 5]);
      // No text shows it now, so look inside.
      expect((rig.update as unknown as { targetMd5: string }).targetMd5).toBe(target);
    },
  },
];
