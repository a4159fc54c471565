/**
 * The event stream for readers over HTTP (server-sent events). No reader has a queue of its own: each has a place in the
 * device's log and gets what follows as fast as it reads. One that falls behind what the log keeps is told of the gap; one
 * that stops reading is dropped.
 */
import type { ServerResponse } from 'node:http';
import type { EventLog, Stamped } from '../events.ts';
import { ApiError } from './api-error.ts';

export interface StreamLimits {
  /** How many may read at once. */
  readonly readers: number;
  /** How long what was sent may lie unread. */
  readonly stalledMs: number;
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = { readers: 32, stalledMs: 30_000 };

/** Events are handed on in batches: a 1 MiB update makes 10,000 within a second. */
const BATCH_MS = 10;
/** Events turned into text at once; between two such pieces the device has its turn. */
const PIECE_EVENTS = 256;
/** A line now and then keeps the connection alive and finds readers that are gone. */
const PING_MS = 15_000;

/** Where a reader begins: behind this event, or with what comes (undefined). */
export type ReadFrom = { readonly after: number; readonly run: string | undefined } | undefined;

export class EventStream {
  private readonly readers = new Set<Reader>();
  private unsubscribe: (() => void) | undefined;
  private batch: NodeJS.Timeout | undefined;
  private ping: NodeJS.Timeout | undefined;

  /** @param run names this device; a reader that comes back to another one begins anew */
  constructor(
    private readonly log: EventLog,
    private readonly run: string,
    private readonly limits: StreamLimits = DEFAULT_STREAM_LIMITS,
  ) {}

  get count(): number {
    return this.readers.size;
  }

  /**
   * Takes over a response and sends events until its client goes away.
   * @throws ApiError 503 when there are too many readers
   */
  add(response: ServerResponse, from: ReadFrom): void {
    if (this.readers.size >= this.limits.readers) {
      throw new ApiError(503, 'too-many-readers', `${this.limits.readers} read the events already`, {
        'Retry-After': '5',
      });
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    const { nextSeq } = this.log;
    const reader = new Reader(response, this.log, from === undefined ? nextSeq : from.after + 1, this.limits.stalledMs);
    reader.greet(this.run, from);
    this.readers.add(reader);
    response.once('close', () => this.remove(reader));
    response.on('drain', () => {
      reader.drained();
      this.schedule();
    });
    this.unsubscribe ??= this.log.subscribe(() => this.schedule());
    this.ping ??= setInterval(() => this.pingAll(), PING_MS).unref();
    this.schedule();
  }

  close(): void {
    for (const reader of this.readers) reader.drop();
  }

  private remove(reader: Reader): void {
    reader.end();
    this.readers.delete(reader);
    if (this.readers.size > 0) return;
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    clearTimeout(this.batch);
    this.batch = undefined;
    clearInterval(this.ping);
    this.ping = undefined;
  }

  private schedule(): void {
    this.batch ??= setTimeout(() => {
      this.batch = undefined;
      let more = false;
      for (const reader of this.readers) more = reader.send() || more;
      if (more) this.schedule();
    }, BATCH_MS);
  }

  private pingAll(): void {
    for (const reader of this.readers) reader.ping();
  }
}

class Reader {
  private full = false;
  private stalled: NodeJS.Timeout | undefined;

  constructor(
    private readonly response: ServerResponse,
    private readonly log: EventLog,
    private next: number,
    private readonly stalledMs: number,
  ) {}

  /** Says which device this is, and what it can still tell. */
  greet(run: string, from: ReadFrom): void {
    const { oldestSeq, nextSeq } = this.log;
    this.write(`retry: 1000\nevent: hello\ndata: ${JSON.stringify({ run, oldest: oldestSeq, next: nextSeq })}\n\n`);
    // A client that comes back after the program was started again counts events that are not ours.
    if (from && (from.after >= nextSeq || (from.run !== undefined && from.run !== run))) {
      this.gap({ from: 0, to: oldestSeq - 1, restarted: true });
      this.next = oldestSeq;
    }
  }

  /** Sends what there is; true when there is more to send at once. */
  send(): boolean {
    if (this.full || this.response.destroyed) return false;
    const { oldestSeq } = this.log;
    if (this.next < oldestSeq) {
      this.gap({ from: this.next, to: oldestSeq - 1 });
      this.next = oldestSeq;
    }
    const events = this.log.since(this.next, PIECE_EVENTS);
    if (events.length === 0) return false;
    this.next += events.length;
    this.write(events.map(eventText).join(''));
    return !this.full && this.next < this.log.nextSeq;
  }

  drained(): void {
    this.full = false;
    clearTimeout(this.stalled);
    this.stalled = undefined;
  }

  ping(): void {
    if (!this.full) this.write(': still here\n\n');
  }

  drop(): void {
    this.response.destroy();
  }

  end(): void {
    clearTimeout(this.stalled);
  }

  private gap(gap: { from: number; to: number; restarted?: true }): void {
    this.write(`event: gap\ndata: ${JSON.stringify({ ...gap, dropped: Math.max(0, gap.to - gap.from + 1) })}\n\n`);
  }

  private write(text: string): void {
    if (this.response.write(text)) return;
    this.full = true;
    this.stalled ??= setTimeout(() => this.drop(), this.stalledMs).unref();
  }
}

const eventText = (event: Stamped): string => `id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`;
