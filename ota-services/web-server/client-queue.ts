/** Connections that wait to be picked up, and the listening socket they came through. Source: spec chapter 04 §1. */
import type { Address, TcpConnection, TcpListener } from '../ports.ts';
import { LISTEN_BACKLOG } from './constants.ts';

export class ClientQueue {
  private listener: TcpListener | undefined;
  private readonly waiting: TcpConnection[] = [];

  /** Starts to take connections from `listener`; {@link ClientQueue.close} closes it. */
  open(listener: TcpListener): void {
    this.listener = listener;
  }

  get local(): Address | undefined {
    return this.listener?.local;
  }

  /** Connections that wait, those who sent nothing included. */
  get length(): number {
    this.pickUp();
    return this.waiting.length;
  }

  /** Somebody who waits has sent something, or nobody else could wait. */
  get isUrgent(): boolean {
    return this.length >= LISTEN_BACKLOG || this.waiting.some((connection) => connection.available() > 0);
  }

  /** The server looks at what waits, so it takes it from the listener, as many as the device's listener would hold. */
  pickUp(): void {
    while (this.waiting.length < LISTEN_BACKLOG) {
      const connection = this.listener?.accept();
      if (!connection) return;
      this.waiting.push(connection);
    }
  }

  /** The oldest. */
  shift(): TcpConnection | undefined {
    return this.waiting.shift();
  }

  /** lwIP aborts those who nobody will accept. */
  close(): void {
    for (const connection of this.waiting.splice(0)) connection.abort();
    this.listener?.close();
    this.listener = undefined;
  }
}
