/** Signed images against node:crypto as an independent oracle. Spec chapter 02 §7.2. */
import {
  constants,
  createHash,
  createSign,
  createVerify,
  generateKeyPairSync,
  type KeyObject,
  privateEncrypt,
} from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeyError, rsaVerifier, signImage, verifyImage } from '../../emulator/signing.ts';
import { buildImage } from '../../flash/image-build.ts';
import { appendSignature, splitSignature } from '../../flash/signed-image.ts';
import { patched, smallImage } from '../support/images.ts';
import { makeRig } from '../support/updater.ts';

const spki = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();
const pkcs8 = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

interface Pems {
  publicKey: string;
  privateKey: string;
}
const pemsOf = (pair: { publicKey: KeyObject; privateKey: KeyObject }): Pems => ({
  publicKey: spki(pair.publicKey),
  privateKey: pkcs8(pair.privateKey),
});
const rsa = (modulusLength: number): Pems => pemsOf(generateKeyPairSync('rsa', { modulusLength }));
const curve = (namedCurve: string): Pems => pemsOf(generateKeyPairSync('ec', { namedCurve }));
const keys = rsa(2048);
const others = rsa(2048);
const image = smallImage();

const digestOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** Checks as the core does: hash the payload, compare the length, verify. */
function deviceAccepts(file: Uint8Array, publicKey: string): boolean {
  const verifier = rsaVerifier(publicKey);
  const parts = splitSignature(file);
  if (parts?.signature.length !== verifier.length) return false;
  const hash = verifier.hash();
  hash.update(parts.payload.subarray(0, 100));
  hash.update(parts.payload.subarray(100));
  return verifier.verify(hash.digest(), parts.signature);
}

describe('signImage', () => {
  test('puts signature and length behind the image, and another RSA accepts it', () => {
    const signed = signImage(image, keys.privateKey);
    expect(signed.length).toBe(image.length + 256 + 4);
    expect([...signed.subarray(-4)]).toEqual([0, 1, 0, 0]);
    const signature = signed.subarray(image.length, -4);
    expect(createVerify('sha256').update(image).verify(keys.publicKey, signature)).toBe(true);
    expect(signed.subarray(0, image.length)).toEqual(image);
  });

  test('invariant: any bytes signed verify, in the form they were signed in, and give the payload back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.boolean(), (bytes, legacy) => {
        const signed = signImage(bytes, keys.privateKey, { legacy });
        expect(verifyImage(signed, keys.publicKey)).toEqual({
          ok: true,
          format: legacy ? 'legacy' : 'new',
          payload: bytes,
        });
        expect(deviceAccepts(signed, keys.publicKey)).toBe(!legacy);
      }),
      { numRuns: 40 },
    );
  });

  test.each([1024, 3072])('RSA-%i', (bits) => {
    const pair = rsa(bits);
    const signed = signImage(image, pair.privateKey);
    expect(signed.length).toBe(image.length + bits / 8 + 4);
    expect(rsaVerifier(pair.publicKey).length).toBe(bits / 8);
    expect(deviceAccepts(signed, pair.publicKey)).toBe(true);
  });

  test('PKCS#1 keys (-----BEGIN RSA …) will do', () => {
    const pair = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    });
    expect(deviceAccepts(signImage(image, pair.privateKey), pair.publicKey)).toBe(true);
  });

  const ec = curve('P-256');
  const locked = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' },
  });
  test.each([
    ['a public key', keys.publicKey, /signing wants the private one/],
    ['an elliptic curve', ec.privateKey, /key of type ec; a device verifies RSA only/],
    ['an encrypted key', locked.privateKey, /without a passphrase/],
    ['text', 'hello', /no private key in PEM/],
    ['nothing', '', /no private key in PEM/],
  ])('%s is refused in words', (_name, pem, message) => {
    expect(() => signImage(image, pem)).toThrow(KeyError);
    expect(() => signImage(image, pem)).toThrow(message);
  });
});

describe('verifyImage', () => {
  const signed = signImage(image, keys.privateKey);

  test('invariant: one bit changed anywhere is noticed', () => {
    fc.assert(
      fc.property(fc.nat(signed.length * 8 - 1), (bit) => {
        const changed = patched(signed, bit >> 3, signed[bit >> 3]! ^ (1 << (bit & 7)));
        expect(verifyImage(changed, keys.publicKey).ok).toBe(false);
        expect(deviceAccepts(changed, keys.publicKey)).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  test.each<[string, Uint8Array, string, RegExp]>([
    ['another key', signed, others.publicKey, /made with another key, or the image was changed/],
    ['no signature', image, keys.publicKey, /^it is not signed/],
    ['nothing', new Uint8Array(), keys.publicKey, /^it is not signed/],
    [
      'a key of another size',
      signed,
      rsa(1024).publicKey,
      /^its signature has 256 bytes, but signatures of this key have 128$/,
    ],
  ])('%s', (_name, file, key, reason) => {
    expect(verifyImage(file, key)).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });

  test('a private key is no public key, though it contains one', () => {
    expect(() => verifyImage(signed, keys.privateKey)).toThrow(KeyError);
    expect(() => verifyImage(signed, 'hello')).toThrow(KeyError);
  });
});

describe('the verifier of a device', () => {
  /** Signs any padded message, as no tool does. */
  const raw = (message: Buffer): Buffer =>
    privateEncrypt({ key: keys.privateKey, padding: constants.RSA_NO_PADDING }, message);
  const padded = (tail: Buffer, fill = 0xff, type = 1): Buffer =>
    Buffer.concat([Buffer.of(0, type), Buffer.alloc(256 - 3 - tail.length, fill), Buffer.of(0), tail]);
  const digest = digestOf(image);
  const withNull = Buffer.from('3031300d060960864801650304020105000420', 'hex');
  const withoutNull = Buffer.from('302f300b06096086480165030402010420', 'hex');
  const sha1 = Buffer.from('3021300906052b0e03021a05000414', 'hex');

  test.each<[string, Buffer, boolean]>([
    ['DigestInfo with NULL parameters', padded(Buffer.concat([withNull, digest])), true],
    ['DigestInfo without parameters', padded(Buffer.concat([withoutNull, digest])), true],
    ['the bare digest (legacy)', padded(digest), false],
    ['the OID of SHA-1', padded(Buffer.concat([sha1, digest.subarray(0, 20)])), false],
    ['padding of zeros', padded(Buffer.concat([withNull, digest]), 0), false],
    ['padding type 2', padded(Buffer.concat([withNull, digest]), 0xff, 2), false],
    ['bytes behind the digest', padded(Buffer.concat([withNull, digest, Buffer.of(0)])), false],
    [
      'short padding, the digest not at the end',
      Buffer.concat([Buffer.of(0, 1), Buffer.alloc(8, 0xff), Buffer.of(0), withNull, digest, Buffer.alloc(256 - 62)]),
      false,
    ],
  ])('%s: %#', (_name, message, good) => {
    expect(rsaVerifier(keys.publicKey).verify(digest, raw(message))).toBe(good);
  });

  test('refuses other lengths, no signature, a number above the modulus', () => {
    const verifier = rsaVerifier(keys.publicKey);
    const signature = createSign('sha256').update(image).sign(keys.privateKey);
    expect(verifier.verify(digest, signature)).toBe(true);
    expect(verifier.verify(digest, undefined)).toBe(false);
    expect(verifier.verify(digest, signature.subarray(1))).toBe(false);
    expect(verifier.verify(digest.subarray(1), signature)).toBe(false);
    expect(verifier.verify(digest, new Uint8Array(256).fill(0xff))).toBe(false);
  });

  test.each([
    ['P-256', 65],
    ['P-384', 97],
    ['P-521', 133],
  ])('%s: the length of the encoded point, and nothing verifies', (namedCurve, length) => {
    const { publicKey, privateKey } = curve(namedCurve);
    const verifier = rsaVerifier(publicKey);
    expect(verifier.length).toBe(length);
    expect(verifier.verify(digest, createSign('sha256').update(image).sign(privateKey))).toBe(false);
    expect(verifier.verify(digest, new Uint8Array(length))).toBe(false);
  });

  test.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['a private key', keys.privateKey],
    ['a damaged key', keys.publicKey.replace(/A/g, '!')],
    ['an Ed25519 key', spki(generateKeyPairSync('ed25519').publicKey)],
  ])('%s: length 0, and nothing verifies', (_name, pem) => {
    const verifier = rsaVerifier(pem);
    expect(verifier.length).toBe(0);
    expect(verifier.verify(digest, undefined)).toBe(false);
    expect(verifier.verify(digest, new Uint8Array(0))).toBe(false);
  });
});

describe('an Updater with this verifier', () => {
  async function update(file: Uint8Array): Promise<[ok: boolean, error: number, size: number | undefined]> {
    const rig = makeRig();
    rig.update.installSignature(rsaVerifier(keys.publicKey));
    expect(await rig.update.begin(file.length)).toBe(true);
    await rig.update.write(file);
    return [await rig.update.end(), rig.update.getError(), rig.commands[0]?.size];
  }
  const built = buildImage({ sketch: 'basic-ota', version: '2.0', size: 20_000, layout: '4m2m' });
  const gzip = new Uint8Array(gzipSync(built));

  test.each<[string, Uint8Array, [boolean, number, number | undefined]]>([
    ['takes a signed image', signImage(built, keys.privateKey), [true, 0, built.length]],
    ['takes a signed gzip', signImage(gzip, keys.privateKey), [true, 0, gzip.length]],
    ['refuses an unsigned one', built, [false, 12, undefined]],
    ['refuses the legacy form', signImage(built, keys.privateKey, { legacy: true }), [false, 12, undefined]],
    ['refuses another signer', signImage(built, others.privateKey), [false, 12, undefined]],
    ['refuses a wrong length word', appendSignature(built, new Uint8Array(128)), [false, 12, undefined]],
  ])('%s', async (_name, file, result) => {
    expect(await update(file)).toEqual(result);
  });
});
