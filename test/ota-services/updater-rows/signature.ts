/** Rows 56–67 of spec chapter 02 §13: signed updates. */
import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { SignatureVerifier } from '../../../ota-services/ports.ts';
import {
  concat,
  firstDifference,
  legacySignedFile,
  makeRig,
  patternBytes,
  type Rig,
  refusingVerifier,
  rsaVerifier,
  signedFile,
  sketchBytes,
  takeLog,
  word,
} from '../../support/updater.ts';
import type { Row } from './row.ts';

/** A rig after a whole upload and `end`, with that result. */
async function ended(
  file: Uint8Array,
  verifier: SignatureVerifier | undefined,
  md5?: string,
): Promise<{ rig: Rig; result: [boolean, number, string] }> {
  const rig = makeRig();
  rig.update.installSignature(verifier);
  await rig.update.begin(file.length);
  if (md5 !== undefined) rig.update.setMD5(md5);
  expect(await rig.update.write(file)).toBe(file.length);
  takeLog(rig);
  const ok = await rig.update.end();
  return { rig, result: [ok, rig.update.getError(), takeLog(rig)] };
}

async function refused(file: Uint8Array, verifier: SignatureVerifier): Promise<Rig> {
  const { rig, result } = await ended(file, verifier);
  expect(result).toEqual([false, 12, 'X(12) E E']);
  expect(rig.commands).toEqual([]);
  expect(rig.system.held).toBe(0);
  return rig;
}

const image = sketchBytes(10000);
const gzip = new Uint8Array(gzipSync(patternBytes(20000)));

export const signatureRows: Row[] = [
  {
    row: 56,
    name: 'an unsigned file under a verifier fails with 12',
    run: async () => {
      const rig = await refused(image, rsaVerifier());
      const found = new DataView(image.buffer).getUint32(9996, true);
      const problem = { check: 'length', expected: 256, found };
      expect(rig.update.failure).toEqual({ name: 'SIGN', code: 12, problem });
    },
  },
  {
    row: 57,
    name: 'a signed file of the same flash mode passes; eboot gets the payload only',
    run: async () => {
      const { rig, result } = await ended(signedFile(image), rsaVerifier());
      expect(result).toEqual([true, 0, 'E']);
      expect(rig.commands).toEqual([{ source: 0x1fd000, destination: 0, size: 10000 }]);
    },
  },
  {
    row: 58,
    name: 'one changed byte fails with 12',
    run: async () => {
      const file = signedFile(image);
      file[5000]! ^= 1;
      const rig = await refused(file, rsaVerifier());
      expect(rig.update.failure).toEqual({ name: 'SIGN', code: 12, problem: { check: 'signature' } });
    },
  },
  {
    row: 59,
    name: 'a signed file of another flash mode fails with 12: the hash sees the patch',
    run: async () => {
      await refused(signedFile(sketchBytes(10000, { mode: 0 })), rsaVerifier());
    },
  },
  {
    row: 60,
    name: 'signed gzip passes, whatever its length',
    run: async () => {
      for (const extra of [0, 1, 2, 3]) {
        const payload = concat(gzip, new Uint8Array(extra));
        const { rig, result } = await ended(signedFile(payload), rsaVerifier());
        expect(result).toEqual([true, 0, 'E']);
        expect(rig.commands[0]!.size).toBe(payload.length);
      }
    },
  },
  {
    row: 61,
    name: 'a verifier makes a wrong MD5 irrelevant',
    run: async () => {
      const { rig, result } = await ended(signedFile(image), rsaVerifier(), 'f'.repeat(32));
      expect(result).toEqual([true, 0, 'E']);
      expect(rig.update.md5String()).toBe('0'.repeat(32));
    },
  },
  {
    row: 62,
    name: 'a legacy signature fails with 12',
    run: async () => {
      await refused(legacySignedFile(image), rsaVerifier());
    },
  },
  {
    row: 63,
    name: 'a verifier with an EC key fails with 12, even with a well-formed file',
    run: async () => {
      await refused(concat(image, new Uint8Array(65), word(65)), refusingVerifier(65));
    },
  },
  {
    row: 64,
    name: 'a verifier without a key fails with 12',
    run: async () => {
      await refused(image, refusingVerifier(0));
      await refused(signedFile(image), refusingVerifier(0));
    },
  },
  {
    row: 65,
    name: '100 bytes that end in 256 are too short for a signature',
    run: async () => {
      const rig = await refused(concat(sketchBytes(96), word(256)), rsaVerifier());
      expect(rig.update.failure).toEqual({
        name: 'SIGN',
        code: 12,
        problem: { check: 'size', expected: 256, size: 100 },
      });
      const almost = await refused(concat(sketchBytes(255), word(256)), rsaVerifier());
      expect(almost.update.failure).toMatchObject({ problem: { check: 'size', size: 259 } });
      const none = await refused(concat(sketchBytes(256), word(256)), rsaVerifier());
      expect(none.update.failure).toMatchObject({ problem: { check: 'signature' } });
    },
  },
  {
    row: 66,
    name: 'a signed file without a verifier is copied with its trailer',
    run: async () => {
      const file = signedFile(image);
      const { rig, result } = await ended(file, undefined);
      expect(result).toEqual([true, 0, 'E']);
      expect(rig.commands).toEqual([{ source: 0x1fd000, destination: 0, size: 10260 }]);
      expect(firstDifference(rig.chip.peek(0x1fd000, 10260), file)).toBe(-1);
    },
  },
  {
    row: 67,
    name: 'a signed gzip without a verifier: eboot will read the signature length as the size of the content',
    run: async () => {
      const { rig, result } = await ended(signedFile(gzip), undefined);
      expect(result[0]).toBe(true);
      const { source, size } = rig.commands[0]!;
      expect(size).toBe(gzip.length + 260);
      expect(firstDifference(rig.chip.peek(source + size - 4, 4), word(256))).toBe(-1);
    },
  },
];
