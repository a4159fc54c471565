/** What both kinds of network tell about the bytes that cross them. */
import { Interruption } from '../../flash/ports.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type { Address } from '../../ota-services/ports.ts';
import type { Life } from '../life.ts';
import type { Timer } from './signal.ts';

/** An event shows so many bytes of what crossed the wire. Source: design.md §5. */
const SHOWN_BYTES = 256;

/** Connections that may wait to be accepted, as in the core's `WiFiServer`. Source: spec chapter 04 §1. */
export const LISTEN_BACKLOG = 5;

/** lwIP's receive window with its default MSS of 536: 4 segments. Source: spec chapter 03 §6.3. */
export const DEFAULT_WINDOW_BYTES = 2144;

/** The event for bytes that came in or went out. `length` is the whole length. */
export function wireEvent(
  type: WireEvent['type'],
  channel: WireEvent['channel'],
  peer: Address,
  data: Uint8Array,
): WireEvent {
  const shown = Buffer.from(data.buffer, data.byteOffset, Math.min(data.length, SHOWN_BYTES));
  return {
    type,
    channel,
    peer: addressKey(peer),
    length: data.length,
    data: shown.toString('base64'),
  };
}

/**
 * Runs device code in the network context. When that very code ends the life (a reset, a power cut), the power loop
 * knows already, and there is nobody below us on the stack who could pass the interruption on.
 */
export function inNetworkContext(life: Life, run: () => void): void {
  if (life.ended) return;
  try {
    run();
  } catch (error) {
    if (!(error instanceof Interruption && life.ended === error)) throw error;
  }
}

/** @throws RangeError unless `port` is an integer in 0…65535. */
export function checkPort(port: number, lowest = 0): number {
  if (!Number.isInteger(port) || port < lowest || port > 65535) {
    throw new RangeError(`a port is an integer from ${lowest} to 65535, not ${port}`);
  }
  return port;
}

/** Real sockets have real peers: their time is the wall clock's in every mode. */
export const wallTimer: Timer = (us, callback) => {
  const handle = setTimeout(callback, us / 1000);
  return { cancel: () => clearTimeout(handle) };
};

/** Why a port could not be opened, in words, with what to do about it. */
export function bindingError(protocol: 'UDP' | 'TCP', { address, port }: Address, cause: unknown): Error {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  const name = `${protocol} port ${address}:${port}`;
  const reasons: Record<string, string> = {
    EADDRINUSE: `${name} is in use: stop the program that has it, or choose another port (0 lets the system choose)`,
    EACCES: `${name} needs privileges: choose a port from 1024 on (0 lets the system choose)`,
    EADDRNOTAVAIL: `${name} cannot be opened: ${address} is not an address of this machine`,
  };
  const why = reasons[String(code)] ?? `${name} cannot be opened: ${cause instanceof Error ? cause.message : cause}`;
  return new Error(why, { cause });
}

export function addressKey({ address, port }: Address): string {
  return `${address}:${port}`;
}

/** Names a connection as one of its ends sees it. */
export function connectionKey(local: Address, remote: Address): string {
  return `${addressKey(local)} ${addressKey(remote)}`;
}
