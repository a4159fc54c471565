/**
 * The UDP half of ArduinoOTA as a state machine without I/O: a datagram and the time in, effects out. It runs in the
 * network context, once for each datagram, also while the sketch is blocked. Source: spec chapter 03 §3.3–§5.
 *
 * Of the queueing rule (§3.3) nothing is visible: every datagram is handled the moment it arrives, one that was
 * ignored is held by the socket but never read again, and so a datagram changes this object once or not at all.
 */
import type { OtaEvent } from '../events.ts';
import type { Address } from '../ports.ts';
import { readAuthAnswer, readInvitation } from './invitation.ts';
import { OTA_AUTH_ERROR, type OtaError } from './ota-constants.ts';

/** `OTA_IDLE`, `OTA_WAITAUTH`, `OTA_RUNUPDATE`. */
export type OtaState = 'idle' | 'wait-auth' | 'run-update';

/** What the shell has to do, in this order. That an update is to run shows in {@link OtaSession.state}. */
export type SessionEffect =
  | { readonly do: 'reply'; readonly text: string; readonly to: Address }
  /** Call `onError` now, in the network context. */
  | { readonly do: 'error'; readonly code: OtaError; readonly peer: string }
  | { readonly do: 'tell'; readonly event: OtaEvent };

const NOBODY: Address = { address: '0.0.0.0', port: 0 };

/** `ip:port` as events show it. */
export function peerName(peer: Address): string {
  return `${peer.address}:${peer.port}`;
}

export class OtaSession {
  state: OtaState = 'idle';
  /** MD5 of the password as lower-case hex, or what `setPasswordHash` was given; empty: no password. */
  passwordHash = '';

  /** Where the last datagram with a command for us came from; replies go there, whoever answered the challenge. */
  inviter: Address = NOBODY;
  /**
   * Command, TCP port, size and MD5 text of that datagram, even if it was ignored for its MD5: the device keeps what
   * it has read so far.
   */
  command = 0;
  tcpPort = 0;
  size = 0;
  md5 = '';

  private nonce = '';

  /** @param digestHex MD5 (or what the device has in its place) of a latin1 text as lower-case hex characters */
  constructor(private readonly digestHex: (text: string) => string) {}

  /**
   * Takes one datagram. Never throws, whatever the bytes.
   *
   * @param micros the 32-bit microsecond counter now: the challenge is made from it
   */
  receive(datagram: Uint8Array, from: Address, micros: number): SessionEffect[] {
    switch (this.state) {
      case 'idle':
        return this.receiveInvitation(datagram, from, micros);
      case 'wait-auth':
        return this.receiveAnswer(datagram, from);
      case 'run-update':
        return [];
    }
  }

  private receiveInvitation(datagram: Uint8Array, from: Address, micros: number): SessionEffect[] {
    const read = readInvitation(datagram);
    if (read.kind === 'other-command') return [];
    const { command, tcpPort, size, md5 } = read.invitation;
    this.inviter = { address: from.address, port: from.port };
    this.command = command;
    this.tcpPort = tcpPort;
    this.size = size;
    this.md5 = md5;
    if (read.kind === 'malformed') return [];
    const told: SessionEffect = {
      do: 'tell',
      event: { type: 'ota.invite', peer: peerName(from), command, port: tcpPort, size, md5 },
    };
    if (this.passwordHash === '') {
      this.state = 'run-update';
      return [told];
    }
    this.nonce = this.digestHex(String(micros >>> 0));
    this.state = 'wait-auth';
    return [told, { do: 'reply', text: `AUTH ${this.nonce}`, to: this.inviter }];
  }

  /**
   * Any datagram ends the wait. Who sent it is not looked at: ArduinoOTA.cpp compares neither address nor port; so any
   * host may answer, and a second uploader's invitation only cancels the first one.
   */
  private receiveAnswer(datagram: Uint8Array, from: Address): SessionEffect[] {
    const answer = readAuthAnswer(datagram, this.nonce.length);
    const ok = answer !== undefined && answer.response === this.expectedResponse(answer.cnonce);
    this.state = ok ? 'run-update' : 'idle';
    const told: SessionEffect = { do: 'tell', event: { type: 'ota.auth', peer: peerName(from), ok } };
    if (ok || answer === undefined) return [told];
    return [
      told,
      { do: 'reply', text: 'Authentication Failed', to: this.inviter },
      { do: 'error', code: OTA_AUTH_ERROR, peer: peerName(this.inviter) },
    ];
  }

  private expectedResponse(cnonce: string): string {
    return this.digestHex(`${this.passwordHash}:${this.nonce}:${cnonce}`);
  }
}
