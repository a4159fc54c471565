/**
 * The certificate and key that `secure-web-updater` has compiled in: those that were given, or else a self-signed pair made
 * when the sketch first asks for it. With a flash file it is kept beside it, in `FILE.tls.pem` (readable by its owner only),
 * so that a browser's exception for it holds from one run to the next; without one it lasts as long as the device, resets
 * and updates included.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { TlsIdentity } from '../ota-services/ports.ts';
import { DeviceOptionError } from './options.ts';
import { selfSigned } from './self-signed.ts';

export interface TlsIdentityOptions {
  /** PEM text; needs `key`. */
  readonly cert?: string | undefined;
  /** PEM text; needs `cert`. */
  readonly key?: string | undefined;
  readonly flashFile?: string | undefined;
  /** What a certificate of ours is good for. */
  readonly names: readonly string[];
}

/**
 * @returns the pair, made at the first call if it has to be
 * @throws DeviceOptionError when cert and key cannot be used, those in the file included
 */
export function tlsIdentity({ cert, key, flashFile, names }: TlsIdentityOptions): () => TlsIdentity {
  if ((cert === undefined) !== (key === undefined)) {
    throw new DeviceOptionError(`https: ${cert === undefined ? 'key without cert' : 'cert without key'}; give both`);
  }
  if (cert !== undefined && key !== undefined) {
    const given = { cert, key };
    check(given, 'https: cert and key');
    return () => given;
  }
  const path = flashFile === undefined ? undefined : `${flashFile}.tls.pem`;
  let identity = path === undefined ? undefined : readKept(path);
  return () => {
    if (identity === undefined) {
      identity = selfSigned({ names, now: new Date() });
      if (path !== undefined) keep(path, identity);
    }
    return identity;
  };
}

function readKept(path: string): TlsIdentity | undefined {
  let both: string;
  try {
    both = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new DeviceOptionError(`${path}: cannot be read (${code}); delete it to get a new certificate`);
  }
  const found = { cert: both, key: both };
  check(found, path);
  return found;
}

/** Written whole, then renamed. Where that fails the pair holds for this run only: no reason for a device to stop. */
function keep(path: string, { cert, key }: TlsIdentity): void {
  const draft = `${path}.${process.pid}.new`;
  try {
    writeFileSync(draft, cert + key, { mode: 0o600 });
    renameSync(draft, path);
  } catch {
    rmSync(draft, { force: true });
  }
}

function check(identity: TlsIdentity, where: string): void {
  try {
    process.getBuiltinModule('node:tls').createSecureContext(identity); // loaded by those who need it only
  } catch (error) {
    throw new DeviceOptionError(
      `${where}: no certificate and key in PEM that belong together (${(error as Error).message}); ` +
        'the key may not have a passphrase',
    );
  }
}
