/**
 * RSA signatures of images, as tools/signing.py makes them and as the core's Updater checks them.
 * Source: spec chapter 02 §7.2 (tools/signing.py, BearSSLHelpers.cpp).
 */
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateEncrypt,
  publicDecrypt,
  sign,
} from 'node:crypto';
import { appendSignature, splitSignature } from '../flash/signed-image.ts';
import type { SignatureVerifier } from '../ota-services/ports.ts';

const DIGEST_BYTES = 32;
/** PKCS#1 v1.5: 00 01, at least eight FF, 00. */
const PADDING_MIN_BYTES = 11;
/** DigestInfo of SHA-256, with the NULL parameters and without: RFC 8017 §9.2 and its note 1. */
const digestInfos = ['3031300d060960864801650304020105000420', '302f300b06096086480165030402010420'].map((text) =>
  Buffer.from(text, 'hex'),
);

/** What a legacy signature holds in front of the digest. */
const NO_INFO = Buffer.alloc(0);

export interface SignOptions {
  /** The form that cores up to 2.5.2 want, and only they accept: the bare digest without DigestInfo. */
  readonly legacy?: boolean;
}

/** Key trouble in words for the user; never part of a key. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

/**
 * Signs an image (raw or gzip): `image ‖ signature ‖ length`.
 *
 * @param privateKeyPem an unencrypted RSA key in PEM
 * @throws KeyError when that is no usable key
 */
export function signImage(image: Uint8Array, privateKeyPem: string, { legacy = false }: SignOptions = {}): Uint8Array {
  const key = privateKey(privateKeyPem);
  const padding = constants.RSA_PKCS1_PADDING;
  const signature = legacy ? privateEncrypt({ key, padding }, sha256(image)) : sign('sha256', image, { key, padding });
  return appendSignature(image, signature);
}

function privateKey(pem: string): KeyObject {
  if (pem.includes('PUBLIC KEY-----')) throw new KeyError('this is a public key; signing wants the private one');
  if (pem.includes('ENCRYPTED')) {
    throw new KeyError('the private key is encrypted; write it out without a passphrase (openssl rsa -in … -out …)');
  }
  const key = attempt(() => createPrivateKey(pem));
  if (!key) throw new KeyError('this is no private key in PEM (-----BEGIN PRIVATE KEY-----)');
  if (key.asymmetricKeyType !== 'rsa') {
    throw new KeyError(
      `this is a key of type ${key.asymmetricKeyType}; a device verifies RSA only (openssl genrsa 2048)`,
    );
  }
  if (modulusBytes(key) < PADDING_MIN_BYTES + digestInfos[0]!.length + DIGEST_BYTES) {
    throw new KeyError('this RSA key is too short to sign with SHA-256; make one of 2048 bits (openssl genrsa 2048)');
  }
  return key;
}

export type Verification =
  /** `payload` is a view on the image without signature and length. */
  | { readonly ok: true; readonly format: 'new' | 'legacy'; readonly payload: Uint8Array }
  | { readonly ok: false; readonly reason: string };

/**
 * Checks a signed image against a public key, and tells the format by what the signature holds.
 *
 * @throws KeyError when there is no RSA public key in `publicKeyPem`
 */
export function verifyImage(image: Uint8Array, publicKeyPem: string): Verification {
  const key = publicKey(publicKeyPem);
  if (!key) throw new KeyError('this is no public key in PEM (-----BEGIN PUBLIC KEY-----)');
  if (key.asymmetricKeyType !== 'rsa') {
    throw new KeyError(`this is a key of type ${key.asymmetricKeyType}; a device verifies RSA only`);
  }
  const parts = splitSignature(image);
  if (!parts) return { ok: false, reason: 'it is not signed: its last four bytes are no length of a signature' };
  const { payload, signature } = parts;
  if (signature.length !== modulusBytes(key)) {
    const reason = `its signature has ${signature.length} bytes, but signatures of this key have ${modulusBytes(key)}`;
    return { ok: false, reason };
  }
  const message = recover(key, signature);
  const digest = sha256(payload);
  if (message && digestInfos.some((info) => holds(message, info, digest))) return { ok: true, format: 'new', payload };
  if (message && holds(message, NO_INFO, digest)) return { ok: true, format: 'legacy', payload };
  return { ok: false, reason: 'the signature was made with another key, or the image was changed after signing' };
}

/**
 * What `Update.installSignature` gets: SHA-256 and a public key. Its `length` is that of the modulus for RSA; that of the
 * encoded point for an elliptic curve, with which nothing ever verifies; 0 without a readable key.
 *
 * @param legacy a core up to 2.5.2: it takes only signatures that hold the bare digest
 */
export function rsaVerifier(publicKeyPem: string, legacy = false): SignatureVerifier {
  const key = publicKey(publicKeyPem);
  const length = key ? expectedLength(key) : 0;
  return {
    length,
    hash: () => {
      const hash = createHash('sha256');
      return { update: (data) => void hash.update(data), digest: () => hash.digest() };
    },
    verify: (digest, signature) => {
      if (key?.asymmetricKeyType !== 'rsa' || signature?.length !== length || digest.length !== DIGEST_BYTES)
        return false;
      const message = recover(key, signature);
      if (message === undefined) return false;
      return legacy ? holds(message, NO_INFO, digest) : digestInfos.some((info) => holds(message, info, digest));
    },
  };
}

function publicKey(pem: string): KeyObject | undefined {
  // Node would also take a private key or a certificate for a public key; the device does not.
  if (!/-----BEGIN (RSA )?PUBLIC KEY-----/.test(pem) || pem.includes('PRIVATE KEY-----')) return undefined;
  return attempt(() => createPublicKey(pem));
}

function expectedLength(key: KeyObject): number {
  if (key.asymmetricKeyType === 'rsa') return modulusBytes(key);
  if (key.asymmetricKeyType !== 'ec') return 0;
  const { x } = attempt(() => key.export({ format: 'jwk' })) ?? {};
  return x === undefined ? 0 : 1 + 2 * Buffer.from(x, 'base64url').length; // 04 ‖ x ‖ y
}

const modulusBytes = (key: KeyObject): number => Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8);

const sha256 = (data: Uint8Array): Buffer => createHash('sha256').update(data).digest();

/** The padded message inside a signature; undefined when the signature is no number below the modulus. */
const recover = (key: KeyObject, signature: Uint8Array): Buffer | undefined =>
  attempt(() => publicDecrypt({ key, padding: constants.RSA_NO_PADDING }, signature));

/** True for exactly 00 01 FF … FF 00 ‖ info ‖ digest, over the whole length. */
function holds(message: Buffer, info: Buffer, digest: Uint8Array): boolean {
  const padding = message.length - 3 - info.length - digest.length;
  if (padding < PADDING_MIN_BYTES - 3) return false;
  const expected = Buffer.concat([Buffer.of(0, 1), Buffer.alloc(padding, 0xff), Buffer.of(0), info, digest]);
  return message.equals(expected);
}

/** For calls that throw on bad input; they are synchronous, so no Interruption can pass. */
function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}
