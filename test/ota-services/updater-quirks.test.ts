/** The quirk list, spec chapter 02 §12: each is a promise to reproduce it. */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { TimedStream } from '../../ota-services/stream.ts';
import { U_FS } from '../../ota-services/updater.ts';
import {
  concat,
  cut,
  erases,
  faultAt,
  firstDifference,
  makeRig,
  md5Hex,
  patternBytes,
  type Rig,
  type RigOptions,
  refusingVerifier,
  rsaVerifier,
  ScriptedSource,
  signedFile,
  sketchBytes,
  sketchBytesWithCrc,
  takeLog,
  word,
} from '../support/updater.ts';

const image = sketchBytes(10000);
const ZEROS = '0'.repeat(32);

async function uploaded(data: Uint8Array, size = data.length, options: RigOptions = {}): Promise<Rig> {
  const rig = makeRig(options);
  expect(await rig.update.begin(size)).toBe(true);
  await rig.update.write(data);
  takeLog(rig);
  return rig;
}

test('Q1: begin during an update kills it and fails with 15; the next works', async () => {
  const rig = await uploaded(image.subarray(0, 5000), 10000);
  expect([await rig.update.begin(10000), rig.update.getError(), rig.update.size()]).toEqual([false, 15, 0]);
  expect([await rig.update.begin(10000), rig.update.getError()]).toEqual([true, 0]);
});

test('Q2: onEnd fires in every begin, and once or twice for an error', async () => {
  const rig = makeRig();
  await rig.update.begin(10000);
  expect(takeLog(rig)).toBe('E S');
  await rig.update.write(sketchBytes(10001));
  expect(takeLog(rig)).toBe('X(4) E');
  await rig.update.begin(10000);
  await rig.update.end();
  expect(takeLog(rig)).toBe('E S X(13) E E');
});

test('Q3: a premature end(false) gives false without an error', async () => {
  const rig = await uploaded(image.subarray(0, 5000), 10000);
  expect([await rig.update.end(), rig.update.getError(), rig.update.isRunning()]).toEqual([false, 0, false]);
});

test('Q4: end(true) ignores a failing last flush', async () => {
  const options = { faults: faultAt('program', 16) };
  const plain = await uploaded(image.subarray(0, 5000), 10000, options);
  expect([await plain.update.end(true), plain.update.getError()]).toEqual([true, 1]);
  expect(plain.commands).toEqual([{ source: 0, destination: 0, size: 0 }]);
  expect(plain.events.slice(-2).map(({ type }) => type)).toEqual(['update.error', 'update.end']);

  const withMd5 = await uploaded(image.subarray(0, 5000), 10000, { faults: faultAt('program', 16) });
  withMd5.update.setMD5(md5Hex(image));
  expect([await withMd5.update.end(true), withMd5.update.getError(), withMd5.commands]).toEqual([false, 7, []]);

  const signed = await uploaded(image.subarray(0, 5000), 10000, { faults: faultAt('program', 16) });
  signed.update.installSignature(rsaVerifier());
  expect([await signed.update.end(true), signed.update.getError(), signed.commands]).toEqual([false, 12, []]);
  expect(takeLog(signed)).toBe('X(1) E X(12) E E');
});

test('Q4: the reset turns a file-system update into a sketch update, so it writes the empty command, too', async () => {
  const rig = makeRig({ faults: faultAt('erase', 1) });
  await rig.update.begin(10000, U_FS);
  await rig.update.write(image.subarray(0, 5000));
  expect([await rig.update.end(true), rig.update.getError()]).toEqual([true, 2]);
  expect(rig.commands).toEqual([{ source: 0, destination: 0, size: 0 }]);
});

test('Q5: end(true) after 1 to 4096 bytes fails with 13; 4097 pass; so does the exact announced size', async () => {
  for (const [length, size, error] of [
    [1, 10000, 13],
    [4096, 10000, 13],
    [4097, 10000, 0],
    [1, 1, 0],
    [4096, 4096, 0],
  ] as const) {
    const rig = await uploaded(sketchBytes(length), size);
    expect([await rig.update.end(true), rig.update.getError()]).toEqual([error === 0, error]);
  }
});

test('Q6: an empty write behind the last byte erases the next sector', async () => {
  const fs = makeRig();
  const all = patternBytes(2072576);
  await fs.update.begin(all.length, U_FS);
  await fs.update.write(all);
  fs.calls.length = 0;
  expect([await fs.update.write(new Uint8Array(0)), fs.update.getError()]).toEqual([0, 1]);
  expect(fs.calls).toEqual([['erase', 0x3fa000, 4096]]); // behind the file system

  const unaligned = await uploaded(image);
  unaligned.calls.length = 0;
  expect([await unaligned.update.write(new Uint8Array(0)), unaligned.update.getError()]).toEqual([0, 1]);
  expect([unaligned.calls, unaligned.update.isRunning()]).toEqual([[], false]);

  const template = await uploaded(sketchBytes(8192));
  const surplus = new ScriptedSource(template.clock, [{ bytes: image }]);
  expect([await template.update.writeFrom(surplus), template.update.getError(), surplus.taken]).toEqual([0, 1, 0]);
  expect(erases(template).at(-1)).toBe(0x200000);

  const earlier = await uploaded(sketchBytes(5000), 8192);
  expect([await earlier.update.write(new Uint8Array(0)), earlier.update.isRunning()]).toEqual([0, true]);
});

test('Q7: writeStream on a finished update with an empty stream loses it', async () => {
  const rig = await uploaded(image);
  const empty = new TimedStream(new ScriptedSource(rig.clock, []), rig.clock);
  expect([await rig.update.writeStream(empty), rig.update.getError(), rig.update.isRunning()]).toEqual([0, 10, false]);
});

test('Q8: idle looks finished', () => {
  const { update } = makeRig();
  expect([update.isFinished(), update.remaining(), update.isRunning()]).toEqual([true, 0, false]);
});

test('Q9: the MD5 is all zeros unless end compared it with a target', async () => {
  const rig = await uploaded(image);
  expect(rig.update.md5String()).toBe(ZEROS);
  rig.update.setMD5(md5Hex(image));
  expect(rig.update.md5String()).toBe(ZEROS);
  await rig.update.end();
  expect(rig.update.md5String()).toBe(md5Hex(image));
  await rig.update.begin(0);
  expect(rig.update.md5String()).toBe(md5Hex(image));
  await rig.update.begin(1);
  expect(rig.update.md5String()).toBe(ZEROS);
});

test('Q9: with a verifier it is zeros again from begin on, whatever the update before left', async () => {
  const rig = await uploaded(image);
  rig.update.setMD5(md5Hex(image));
  await rig.update.end();
  rig.update.installSignature(rsaVerifier());
  await rig.update.begin(10000);
  expect(rig.update.md5String()).toBe(ZEROS);
});

test('Q9: what is flushed while a verifier is installed never reaches the MD5', async () => {
  const rig = await uploaded(image.subarray(0, 4097), 10000);
  rig.update.installSignature(rsaVerifier());
  await rig.update.write(image.subarray(4097));
  rig.update.installSignature(undefined);
  rig.update.setMD5(md5Hex(image.subarray(0, 4096)));
  expect(await rig.update.end()).toBe(true);
});

test('Q10: a mode byte above 3 breaks the MD5 of an intact upload', async () => {
  for (const mode of [4, 5, 254]) {
    const odd = sketchBytes(10000, { mode });
    const rig = await uploaded(odd);
    rig.update.setMD5(md5Hex(odd));
    expect([await rig.update.end(), rig.update.getError()]).toEqual([false, 7]);
    expect(rig.chip.peek(0x1fd002, 1)[0]).toBe(2);
  }
  const unknown = sketchBytes(10000, { mode: 255 }); // decodes to itself
  const rig = await uploaded(unknown);
  rig.update.setMD5(md5Hex(unknown));
  expect(await rig.update.end()).toBe(true);
});

test('Q10: a device whose own mode is unknown makes every image so', async () => {
  const rig = await uploaded(image, image.length, { mode: 9 });
  rig.update.setMD5(md5Hex(image));
  expect(await rig.update.end()).toBe(true);
  expect(rig.chip.peek(0x1fd002, 1)[0]).toBe(0xff);
});

test('Q11: the mode patch breaks the signature, the CRC and the sketch MD5', async () => {
  const other = sketchBytesWithCrc(10000, 3);
  const signed = await uploaded(signedFile(other));
  signed.update.installSignature(rsaVerifier());
  expect([await signed.update.end(), signed.update.getError()]).toEqual([false, 12]);
  const rig = await uploaded(other);
  expect(await rig.update.end()).toBe(true);
  const staged = rig.chip.peek(0x1fd000, 10000);
  expect(firstDifference(staged, other)).toBe(2);
  rig.chip.load(0, staged);
  rig.esp.sdkStart();
  expect([rig.esp.checkFlashCRC(), rig.esp.getSketchMD5() === md5Hex(other)]).toEqual([false, false]);
});

test('Q12: a size that rounds to 0 is accepted, and data goes over the file system', async () => {
  const rig = makeRig();
  expect(await rig.update.begin(0xfffff001)).toBe(true);
  expect(rig.events.at(-1)).toEqual({ type: 'update.begin', command: 'sketch', address: 0x200000, size: 0xfffff001 });
  expect(await rig.update.write(image)).toBe(10000);
  expect(erases(rig)).toEqual([0x200000, 0x201000]);
  expect(rig.update.remaining()).toBe(0xfffff001 - 8192);
});

test('Q13: of a gzip neither the content nor its header is looked at', async () => {
  const content = sketchBytes(100_000, { nibble: 9 });
  content.fill(0, 16);
  const gzip = new Uint8Array(gzipSync(content));
  const rig = await uploaded(gzip);
  expect(await rig.update.end()).toBe(true);
});

test('Q14: any 32 characters are a target', async () => {
  const rig = await uploaded(image);
  const target = 'this is no md5 but has 32 chars!';
  expect(rig.update.setMD5(target)).toBe(true);
  expect([await rig.update.end(), rig.update.getError()]).toEqual([false, 7]);
  expect(rig.update.getErrorString()).toContain(`expected: ${target}, calculated: ${md5Hex(image)}`);
  expect(rig.update.setMD5(`${'0'.repeat(31)}\0`)).toBe(false);
  expect(rig.update.setMD5(`${ZEROS}\0tail`)).toBe(true);
  expect(rig.update.setMD5('')).toBe(false);
});

test('Q14: letters of the target compare without case, others do not', async () => {
  const rig = await uploaded(image);
  const md5 = md5Hex(image);
  rig.update.setMD5([...md5].map((c, i) => (i % 2 ? c.toUpperCase() : c)).join(''));
  expect(await rig.update.end()).toBe(true);
});

test('Q15: Wi-Fi sleep goes off once a begin gets past its first checks, and stays off', async () => {
  const rig = makeRig();
  await rig.update.begin(0);
  expect(rig.system.wifiSleeps).toBe(true);
  await rig.update.begin(1, 99);
  await rig.update.end();
  expect(rig.system.wifiSleeps).toBe(false);
});

test('Q16: the running sketch has the size it had at the first look', async () => {
  const rig = makeRig({ layout: '4m3m', sketchSize: 0x80000 });
  expect(await rig.update.begin(0x80000)).toBe(true);
  await rig.update.end();
  rig.chip.load(0x100c, word(0x90000)); // the segment grows
  expect(await rig.update.begin(0x80000)).toBe(true);
  await rig.update.end();
  rig.esp.sdkStart();
  expect([await rig.update.begin(0x80000), rig.update.getError()]).toEqual([false, 4]);
});

test('Q17: an EC key never verifies', async () => {
  const rig = await uploaded(concat(image, new Uint8Array(65), word(65)));
  rig.update.installSignature(refusingVerifier(65));
  expect([await rig.update.end(), rig.update.getError()]).toEqual([false, 12]);
});

test('Q18: a short read counts as full', async () => {
  const rig = makeRig();
  await rig.update.begin(1000);
  const source = { left: 1000, available: () => source.left, read: (length: number) => drop(length) };
  const drop = (length: number): Uint8Array => {
    source.left -= length;
    return image.subarray(0, 10);
  };
  expect([await rig.update.writeFrom(source), rig.update.isFinished()]).toEqual([1000, true]);
  expect(firstDifference(rig.chip.peek(0x1ff000, 1000), concat(image.subarray(0, 10), new Uint8Array(990)))).toBe(-1);
});

test('Q19: leftovers of write and a stream with surplus overrun the announced size; only the time-out ends it', async () => {
  const rig = makeRig();
  const bytes = concat(sketchBytes(5000), patternBytes(5000));
  await rig.update.begin(5000);
  await rig.update.write(bytes.subarray(0, 4500)); // 404 bytes stay in the buffer
  takeLog(rig);
  const rest = new ScriptedSource(rig.clock, [{ bytes: concat(Uint8Array.of(0xe9), bytes.subarray(4501)) }]);
  expect(await rig.update.writeStream(new TimedStream(rest, rig.clock))).toBe(5500);
  expect([rig.update.getError(), rig.commands]).toEqual([6, []]);
  // The second sector is full, although 904 bytes were left for it; the third belongs to the file system.
  expect(erases(rig)).toEqual([0x1fe000, 0x1ff000]);
  const [, second] = cut(bytes, [4096, 4096]);
  second![404] = 0xe9;
  expect(firstDifference(rig.chip.peek(0x1ff000, 4096), second!)).toBe(-1);
  expect(takeLog(rig)).toContain('P(8192,5000)');
});

test('Q20: an armed command survives a later update that fails', async () => {
  const rig = await uploaded(image);
  await rig.update.end();
  await rig.update.begin(20000);
  await rig.update.write(patternBytes(20000));
  expect(await rig.update.end()).toBe(false);
  expect(rig.commands).toEqual([{ source: 0x1fd000, destination: 0, size: 10000 }]);
  expect(firstDifference(rig.chip.peek(0x1fd000, 10000), image)).not.toBe(-1); // what eboot would copy
});

test('Q21: a second update of the same size stages at the same place from the beginning', async () => {
  const rig = await uploaded(image.subarray(0, 9000), 10000);
  await rig.update.end();
  rig.calls.length = 0;
  await rig.update.begin(10000);
  await rig.update.write(image);
  expect(await rig.update.end()).toBe(true);
  expect(erases(rig)).toEqual([0x1fd000, 0x1fe000, 0x1ff000]);
  expect(firstDifference(rig.chip.peek(0x1fd000, 10000), image)).toBe(-1);
});

test('Q22: an error stays until a begin gets past its first checks; clearing it does not revive the update', async () => {
  const rig = await uploaded(sketchBytes(101), 100);
  expect([await rig.update.write(image), rig.update.getError()]).toEqual([0, 4]);
  rig.update.clearError();
  expect(rig.update.hasError()).toBe(false);
  expect([await rig.update.write(image), rig.update.getError()]).toEqual([0, 0]);
  await rig.update.begin(100);
  await rig.update.write(sketchBytes(101));
  rig.system.straps = 1;
  await rig.update.begin(100);
  expect(rig.update.getError()).toBe(11);
  rig.system.straps = 3;
  await rig.update.begin(100);
  expect(rig.update.getError()).toBe(0);
});
