/** The certificate that we write, read by OpenSSL through Node, and used in a TLS 1.2 handshake. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { selfSigned } from '../../emulator/self-signed.ts';
import { tlsIdentity } from '../../emulator/tls-identity.ts';

const NAMES = ['esp8266-webupdate.local', 'localhost', '127.0.0.1'];
const NOW = new Date('2026-05-04T03:02:01Z');

describe('a self-signed certificate', () => {
  test('says what was asked for, and is signed with its own key', () => {
    const { cert, key } = selfSigned({ names: NAMES, now: NOW });
    const read = new X509Certificate(cert);
    expect(read.subject).toBe('CN=esp8266-webupdate.local');
    expect(read.issuer).toBe(read.subject);
    expect(read.subjectAltName).toBe('DNS:esp8266-webupdate.local, DNS:localhost, IP Address:127.0.0.1');
    expect(new Date(read.validFrom)).toEqual(new Date('2026-05-03T03:02:01Z'));
    expect(new Date(read.validTo)).toEqual(new Date('2036-05-01T03:02:01Z'));
    expect(read.ca).toBe(true);
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']); // extended: server authentication
    expect(read.verify(read.publicKey)).toBe(true);
    expect(read.checkIssued(read)).toBe(true);
    expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(read.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    for (const host of NAMES.slice(0, 2)) expect(read.checkHost(host)).toBe(host);
    expect(read.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(read.checkHost('example.org')).toBeUndefined();
  });

  test('serial numbers and keys differ each time, and a serial number is positive and 16 bytes long', () => {
    const made = Array.from({ length: 40 }, () => selfSigned({ names: NAMES, now: NOW }));
    const serials = made.map(({ cert }) => new X509Certificate(cert).serialNumber);
    expect(new Set(serials).size).toBe(made.length);
    expect(new Set(made.map(({ key }) => key)).size).toBe(made.length);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  test('dates from 2050 on, and names so long that lengths take two bytes', () => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.local`;
    const { cert } = selfSigned({ names: [long.slice(0, 64), long], now: new Date('2045-01-01T00:00:00Z') });
    const read = new X509Certificate(cert);
    expect(new Date(read.validTo)).toEqual(new Date('2054-12-30T00:00:00Z'));
    expect(read.subjectAltName).toContain(`DNS:${long}`);
    expect(read.verify(read.publicKey)).toBe(true);
  });

  test('without a name there is none', () => {
    expect(() => selfSigned({ names: [], now: NOW })).toThrow(RangeError);
  });

  test('a client that trusts it, and nothing else, completes a TLS 1.2 handshake', async () => {
    const identity = selfSigned({ names: NAMES, now: new Date() });
    const server = createServer({ ...identity, maxVersion: 'TLSv1.2' }, (socket) => socket.end('hello')).listen(0);
    try {
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const client = connect({ host: '127.0.0.1', port, ca: identity.cert, servername: 'localhost' });
      await once(client, 'secureConnect');
      expect([client.authorized, client.getProtocol()]).toEqual([true, 'TLSv1.2']);
      client.destroy();
    } finally {
      server.close();
    }
  });
});

describe('the identity of a device', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vesp-tls-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('without a flash file it is made once a device', () => {
    const identity = tlsIdentity({ names: NAMES });
    expect(identity()).toBe(identity());
    expect(tlsIdentity({ names: NAMES })().cert).not.toBe(identity().cert);
  });

  test('with a flash file it is made at the first use, kept beside it for its owner only, and used again', () => {
    const flashFile = join(folder, 'x.bin');
    const identity = tlsIdentity({ flashFile, names: NAMES });
    expect(readdirSync(folder)).toEqual([]);
    const { cert } = identity();
    expect(readdirSync(folder)).toEqual(['x.bin.tls.pem']);
    expect(statSync(`${flashFile}.tls.pem`).mode & 0o777).toBe(0o600);
    const again = tlsIdentity({ flashFile, names: NAMES })();
    expect(new X509Certificate(again.cert).fingerprint256).toBe(new X509Certificate(cert).fingerprint256);
    expect(readFileSync(`${flashFile}.tls.pem`, 'utf8')).toContain(cert);
  });

  test('a folder that cannot be written is no reason to stop', () => {
    const identity = tlsIdentity({ flashFile: join(folder, 'nowhere', 'x.bin'), names: NAMES });
    expect(identity().cert).toContain('BEGIN CERTIFICATE');
  });

  test('a pair that was given is used as it is', () => {
    const given = selfSigned({ names: ['given.local'], now: NOW });
    expect(tlsIdentity({ ...given, names: NAMES })()).toEqual(given);
  });

  test('halves, strangers and rubbish are refused, with what to do', () => {
    const [one, other] = [selfSigned({ names: NAMES, now: NOW }), selfSigned({ names: NAMES, now: NOW })];
    expect(() => tlsIdentity({ cert: one.cert, names: NAMES })).toThrow(/cert without key; give both/);
    expect(() => tlsIdentity({ key: one.key, names: NAMES })).toThrow(/key without cert; give both/);
    expect(() => tlsIdentity({ cert: one.cert, key: other.key, names: NAMES })).toThrow(/belong together/);
    expect(() => tlsIdentity({ cert: 'x', key: 'y', names: NAMES })).toThrow(/in PEM/);
    const flashFile = join(folder, 'x.bin');
    writeFileSync(`${flashFile}.tls.pem`, 'half a file');
    expect(() => tlsIdentity({ flashFile, names: NAMES })).toThrow(/x\.bin\.tls\.pem: no certificate and key/);
  });
});
