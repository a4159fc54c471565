/**
 * TLS 1.2 over a TCP socket of the operating system, as the device's BearSSL client speaks it, seen from outside. Source:
 * spec chapter 04 §23. What is checked follows from the trust: with authorities the chain, the name and the dates (by this
 * machine's clock); with a fingerprint the certificate alone; else nothing.
 */
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import type { TlsOptions } from '../../ota-services/ports.ts';
import type { Life } from '../life.ts';
import { resetSocket } from './node-tcp.ts';

/** BearSSL speaks nothing newer; older versions are refused by most servers and by OpenSSL here. */
const VERSION = 'TLSv1.2';
/** The handshake may take so long, whatever the client's timeout. */
const HANDSHAKE_MS = 15_000;

/** Makes `carrier` a TLS connection. @returns the socket for plain bytes, or why there is none; then the carrier is gone */
export function startTls(carrier: Socket, options: TlsOptions, life: Life): Promise<TLSSocket | string> {
  let socket: TLSSocket;
  try {
    socket = connect({ socket: carrier, ...connectionOptions(options) });
  } catch (error) {
    // A PEM text that cannot be read; nothing here waits, so no Interruption can pass.
    resetSocket(carrier);
    return Promise.resolve(messageOf(error));
  }
  return new Promise((resolve) => {
    const finish = (failure: string | undefined): void => {
      clearTimeout(timer);
      forget();
      socket.removeAllListeners().on('error', () => {});
      if (failure === undefined) {
        resolve(socket);
        return;
      }
      resetSocket(socket); // and with it the carrier
      resolve(failure);
    };
    const timer = setTimeout(() => finish(`no handshake within ${HANDSHAKE_MS} ms`), HANDSHAKE_MS);
    const forget = life.onEnd(() => finish('the device was reset'));
    socket.once('secureConnect', () => finish(refusal(socket, options)));
    socket.once('error', (error) => finish(messageOf(error)));
    socket.once('close', () => finish('the server closed the connection during the handshake'));
  });
}

function connectionOptions({ host, trust }: TlsOptions): ConnectionOptions {
  return {
    minVersion: VERSION,
    maxVersion: VERSION,
    // An address is no name: it may not stand in the SNI (RFC 6066).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...('ca' in trust
      ? { ca: trust.ca, checkServerIdentity: (_name, certificate) => checkName(host, certificate) }
      : { rejectUnauthorized: false }),
  };
}

/** BearSSL compares texts: an address as a host must stand in the certificate as a name. Here it may also stand as an address. */
function checkName(host: string, certificate: PeerCertificate): Error | undefined {
  const names = [certificate.subject?.CN, ...(certificate.subjectaltname ?? '').split(', ')].flat();
  if (isIP(host) !== 0 && (names.includes(host) || names.includes(`DNS:${host}`))) return undefined;
  return checkServerIdentity(host, certificate);
}

function refusal(socket: TLSSocket, { trust }: TlsOptions): string | undefined {
  if (!('fingerprint' in trust)) return undefined;
  const wanted = Buffer.from(trust.fingerprint).toString('hex').toUpperCase();
  const found = (socket.getPeerCertificate().fingerprint ?? '').replaceAll(':', '');
  return wanted === found ? undefined : `the certificate's SHA-1 is ${found || 'missing'}, not ${wanted}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
