/** Rows 21–29, 34, 35, 38–45, 47–50, 68, 69, 75 of spec chapter 02 §13: how an update ends, and what eboot will be told. */
import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { U_FS } from '../../../ota-services/updater.ts';
import {
  erases,
  failReadsAt,
  faultAt,
  firstDifference,
  KIB,
  MIB,
  makeRig,
  md5Hex,
  patternBytes,
  type Rig,
  type RigOptions,
  sketchBytes,
  sketchBytesWithCrc,
  takeLog,
} from '../../support/updater.ts';
import type { Row } from './row.ts';

interface Upload extends RigOptions {
  /** Announced; the data's length unless given. */
  size?: number;
  command?: number;
  md5?: string;
}

/** A rig after begin, setMD5 and one write of everything. */
async function uploaded(data: Uint8Array, { size, command, md5, ...options }: Upload = {}): Promise<Rig> {
  const rig = makeRig(options);
  expect(await rig.update.begin(size ?? data.length, command)).toBe(true);
  if (md5 !== undefined) expect(rig.update.setMD5(md5)).toBe(true);
  await rig.update.write(data);
  takeLog(rig);
  return rig;
}

/** Result of `end`, error code, callbacks. */
const end = async (rig: Rig, evenIfRemaining?: boolean): Promise<[boolean, number, string]> => [
  await rig.update.end(evenIfRemaining),
  rig.update.getError(),
  takeLog(rig),
];

const ZEROS = '0'.repeat(32);
const image10000 = sketchBytes(10000);

export const endRows: Row[] = [
  {
    row: 21,
    name: '10000 valid bytes: three sectors, copy command',
    run: async () => {
      const rig = await uploaded(image10000);
      expect(await end(rig)).toEqual([true, 0, 'E']);
      expect(erases(rig)).toEqual([0x1fd000, 0x1fe000, 0x1ff000]);
      expect(firstDifference(rig.chip.peek(0x1fd000, 10000), image10000)).toBe(-1);
      expect(rig.commands).toEqual([{ source: 0x1fd000, destination: 0, size: 10000 }]);
    },
  },
  {
    row: 22,
    name: 'without a target MD5 none is computed',
    run: async () => {
      const rig = await uploaded(image10000);
      await end(rig);
      expect(rig.update.md5String()).toBe(ZEROS);
      expect(rig.update.md5()).toEqual(new Uint8Array(16));
    },
  },
  {
    row: 23,
    name: 'a correct MD5 in upper case',
    run: async () => {
      const rig = await uploaded(image10000, { md5: md5Hex(image10000).toUpperCase() });
      expect(await end(rig)).toEqual([true, 0, 'E']);
      expect(rig.update.md5String()).toBe(md5Hex(image10000));
    },
  },
  {
    row: 24,
    name: 'a wrong MD5: error 7, one onEnd, no command',
    run: async () => {
      const md5 = '00112233445566778899AABBCCDDEEFF';
      const rig = await uploaded(image10000, { md5 });
      expect(await end(rig)).toEqual([false, 7, 'X(7) E']);
      expect(rig.commands).toEqual([]);
      const text = `MD5 verification failed: expected: ${md5}, calculated: ${md5Hex(image10000)}`;
      expect(rig.update.getErrorString()).toBe(text);
      expect(rig.events.at(-1)).toEqual({ type: 'update.error', code: 7, name: 'MD5', message: text });
    },
  },
  {
    row: 25,
    name: 'setMD5 of another length is refused and keeps the earlier one',
    run: async () => {
      const rig = await uploaded(image10000, { md5: ZEROS });
      expect(rig.update.setMD5('abc')).toBe(false);
      expect(rig.update.setMD5('a'.repeat(33))).toBe(false);
      expect((await end(rig)).slice(0, 2)).toEqual([false, 7]);
      expect(rig.update.getErrorString()).toContain(`expected: ${ZEROS},`);
    },
  },
  {
    row: 26,
    name: 'setMD5 before begin is lost',
    run: async () => {
      const rig = makeRig();
      expect(rig.update.setMD5(ZEROS)).toBe(true);
      await rig.update.begin(10000);
      await rig.update.write(image10000);
      expect(await rig.update.end()).toBe(true);
    },
  },
  {
    row: 27,
    name: 'another flash mode is patched in flash; the MD5 sees the original; the CRC no longer fits',
    run: async () => {
      const image = sketchBytesWithCrc(10000, 0);
      const rig = await uploaded(image, { md5: md5Hex(image) });
      expect((await end(rig)).slice(0, 2)).toEqual([true, 0]);
      const staged = rig.chip.peek(0x1fd000, 10000);
      const patched = image.slice();
      patched[2] = 2;
      expect(firstDifference(staged, patched)).toBe(-1);
      rig.chip.load(0, image);
      expect(rig.esp.checkFlashCRC()).toBe(true);
      rig.chip.load(0, staged); // as eboot copies it
      expect(rig.esp.checkFlashCRC()).toBe(false);
    },
  },
  {
    row: 28,
    name: 'mode byte 5: MD5 sees 0xFF in its place',
    run: async () => {
      const image = sketchBytes(10000, { mode: 5 });
      const rig = await uploaded(image, { md5: md5Hex(image) });
      expect((await end(rig)).slice(0, 2)).toEqual([false, 7]);
      expect(rig.chip.peek(0x1fd002, 1)[0]).toBe(2);
      const seen = image.slice();
      seen[2] = 0xff;
      expect(rig.update.md5String()).toBe(md5Hex(seen));
    },
  },
  {
    row: 29,
    name: 'gzip: no patch, no header checks',
    run: async () => {
      for (const nibble of [0, 4, 9, 15]) {
        const image = patternBytes(5000);
        image.set([0x1f, 0x8b, 8, nibble << 4]);
        const rig = await uploaded(image);
        expect((await end(rig)).slice(0, 2)).toEqual([true, 0]);
        expect(firstDifference(rig.chip.peek(0x1fe000, 5000), image)).toBe(-1);
      }
    },
  },
  {
    row: 34,
    name: 'an image for 16 MiB on a 4 MiB chip fails with 9',
    run: async () => {
      const rig = await uploaded(sketchBytes(10000, { nibble: 9 }));
      expect(await end(rig)).toEqual([false, 9, 'X(9) E E']);
      expect(rig.update.getErrorString()).toBe('new Flash config wrong, real size: 4194304');
      expect(rig.commands).toEqual([]);
      // An "autoflash" build, whose own header says 16 MiB, does not ask.
      const auto = await uploaded(sketchBytes(10000, { nibble: 9 }), { flashMapSupport: true, nibble: 9 });
      expect((await end(auto)).slice(0, 2)).toEqual([true, 0]);
    },
  },
  {
    row: 35,
    name: 'an image for 1 MiB on a 4 MiB chip is accepted',
    run: async () => expect((await end(await uploaded(sketchBytes(10000, { nibble: 2 }))))[0]).toBe(true),
  },
  {
    row: 38,
    name: 'the staged header cannot be read: error 3',
    run: async () => {
      const rig = await uploaded(image10000);
      rig.chip.faults = failReadsAt(0x1fd000);
      expect(await end(rig)).toEqual([false, 3, 'X(3) E E']);
      expect(rig.commands).toEqual([]);
    },
  },
  {
    row: 39,
    name: 'end without begin',
    run: async () => expect(await end(makeRig())).toEqual([false, 0, 'E']),
  },
  {
    row: 40,
    name: 'a premature end gives no error',
    run: async () => {
      const rig = await uploaded(sketchBytes(5000), { size: 10000 });
      expect(await end(rig)).toEqual([false, 0, 'E']);
      expect(rig.commands).toEqual([]);
    },
  },
  {
    row: 41,
    name: 'end(true) after 5000 of 10000 bytes takes what came',
    run: async () => {
      const rig = await uploaded(sketchBytes(5000), { size: 10000 });
      expect(await end(rig, true)).toEqual([true, 0, 'E']);
      expect(rig.commands).toEqual([{ source: 0x1fd000, destination: 0, size: 5000 }]);
      expect(firstDifference(rig.chip.peek(0x1fd000, 5000), sketchBytes(5000))).toBe(-1);
      expect(rig.chip.peek(0x1fd000 + 5000, 8192 - 5000).every((byte) => byte === 0xff)).toBe(true);
    },
  },
  {
    row: 42,
    name: 'end(true) with 4096 bytes in the buffer: no data',
    run: async () => {
      const rig = await uploaded(sketchBytes(4096), { size: 10000 });
      expect(await end(rig, true)).toEqual([false, 13, 'X(13) E E']);
    },
  },
  {
    row: 43,
    name: 'end with nothing written: no data',
    run: async () => {
      const rig = await uploaded(new Uint8Array(0), { size: 10000 });
      expect(await end(rig)).toEqual([false, 13, 'X(13) E E']);
    },
  },
  {
    row: 44,
    name: 'end(true) whose last erase fails, without MD5: true, error 2, and a command that copies nothing',
    run: async () => {
      const rig = await uploaded(sketchBytes(5000), { size: 10000, faults: faultAt('erase', 1) });
      expect(await end(rig, true)).toEqual([true, 2, 'X(2) E E']);
      expect(rig.commands).toEqual([{ source: 0, destination: 0, size: 0 }]);
    },
  },
  {
    row: 45,
    name: 'the same with MD5: 7 replaces 2',
    run: async () => {
      const rig = await uploaded(sketchBytes(5000), { size: 10000, md5: ZEROS, faults: faultAt('erase', 1) });
      expect(await end(rig, true)).toEqual([false, 7, 'X(2) E X(7) E']);
      expect(rig.commands).toEqual([]);
    },
  },
  {
    row: 47,
    name: 'a second end gives false; the command stays',
    run: async () => {
      const rig = await uploaded(image10000);
      expect((await end(rig))[0]).toBe(true);
      expect(await end(rig)).toEqual([false, 0, 'E']);
      expect(rig.commands).toHaveLength(1);
    },
  },
  {
    row: 48,
    name: 'until eboot ran, the old sketch is untouched: without the command it boots',
    run: async () => {
      const rig = await uploaded(image10000);
      const before = rig.chip.peek(0, 0x1fd000);
      await end(rig);
      expect(firstDifference(rig.chip.peek(0, 0x1fd000), before)).toBe(-1);
    },
  },
  {
    row: 49,
    name: 'what the command names is the new sketch',
    run: async () => {
      const rig = await uploaded(image10000);
      await end(rig);
      const { source, destination, size } = rig.commands[0]!;
      expect([destination, size]).toEqual([0, 10000]);
      expect(firstDifference(rig.chip.peek(source, size), image10000)).toBe(-1);
    },
  },
  {
    row: 50,
    name: 'a begin that fails leaves command and staged image of the update before',
    run: async () => {
      const rig = await uploaded(image10000);
      await end(rig);
      expect(await rig.update.begin(4 * MIB)).toBe(false);
      expect(rig.update.getError()).toBe(4);
      expect(rig.commands).toEqual([{ source: 0x1fd000, destination: 0, size: 10000 }]);
      expect(firstDifference(rig.chip.peek(0x1fd000, 10000), image10000)).toBe(-1);
    },
  },
  {
    row: 68,
    name: 'U_FS of 4096 bytes: one sector in place, no command',
    run: async () => {
      const image = patternBytes(4096);
      const rig = await uploaded(image, { command: U_FS });
      expect(await end(rig)).toEqual([true, 0, 'E']);
      expect(erases(rig)).toEqual([0x200000]);
      expect(firstDifference(rig.chip.peek(0x200000, 4096), image)).toBe(-1);
      expect(rig.commands).toEqual([]);
    },
  },
  {
    row: 69,
    name: 'atomic U_FS: staged, and copied by eboot',
    run: async () => {
      const image = patternBytes(524288);
      const rig = await uploaded(image, { command: U_FS, atomicFs: true });
      expect((await end(rig)).slice(0, 2)).toEqual([true, 0]);
      expect(rig.commands).toEqual([{ source: 0x180000, destination: 0x200000, size: 524288 }]);
      expect(firstDifference(rig.chip.peek(0x180000, 524288), image)).toBe(-1);
      expect(rig.chip.peek(0x200000, 16).every((byte) => byte === 0xff)).toBe(true);
    },
  },
  {
    row: 75,
    name: 'a gzip whose content reaches over its own staging area is accepted',
    run: async () => {
      const content = new Uint8Array(2.5 * MIB);
      let noise = 1;
      for (let i = 0; i < 200 * KIB; i++) {
        noise = (Math.imul(noise, 1664525) + 1013904223) >>> 0;
        content[i] = noise >>> 24;
      }
      const image = new Uint8Array(gzipSync(content));
      const rig = await uploaded(image);
      expect((await end(rig)).slice(0, 2)).toEqual([true, 0]);
      const { source, size } = rig.commands[0]!;
      expect(size).toBe(image.length);
      const staged = rig.chip.peek(source, size);
      expect(firstDifference(staged, image)).toBe(-1);
      const unpacked = new DataView(staged.buffer, staged.byteOffset).getUint32(size - 4, true);
      expect(unpacked).toBeGreaterThan(source); // what eboot will trip over
    },
  },
];
