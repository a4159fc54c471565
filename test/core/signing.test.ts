/** Signatures of the core's own tools/signing.py, which calls openssl. Needs ARDUINO_CORE_DIR, python3 and openssl. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rsaVerifier, signImage, verifyImage } from '../../emulator/signing.ts';
import { buildImage } from '../../flash/image-build.ts';
import { splitSignature } from '../../flash/signed-image.ts';
import { coreFile } from '../support/core-checkout.ts';

let folder: string;
let privateKey: string;
let publicKey: string;
const image = buildImage({ sketch: 'basic-ota', version: '1.0', size: 50_000 });
const path = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vesp-signing-'));
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  writeFileSync(path('private.key'), privateKey);
  writeFileSync(path('public.key'), publicKey);
  writeFileSync(path('a.bin'), image);
  const names = [
    '--bin',
    'a.bin',
    '--out',
    'a.bin.signed',
    '--legacy',
    'a.bin.legacy_sig',
    '--privatekey',
    'private.key',
  ];
  execFileSync('python3', [coreFile('tools/signing.py'), '--mode', 'sign', ...names], { cwd: folder, stdio: 'pipe' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ['a.bin.signed', 'new'],
  ['a.bin.legacy_sig', 'legacy'],
] as const)('%s verifies as %s, and is byte for byte what we sign', (name, format) => {
  const signed = new Uint8Array(readFileSync(path(name)));
  expect(verifyImage(signed, publicKey)).toEqual({ ok: true, format, payload: image });
  expect(Buffer.compare(signImage(image, privateKey, { legacy: format === 'legacy' }), signed)).toBe(0);
  const verifier = rsaVerifier(publicKey);
  const { payload, signature } = splitSignature(signed)!;
  const hash = verifier.hash();
  hash.update(payload);
  expect(verifier.verify(hash.digest(), signature)).toBe(format === 'new');
});
