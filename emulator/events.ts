/**
 * The one event stream: everything that happened, in order, each event stamped with `seq` and `atUs`. The command line, the
 * live page, the reports and the tests are readers of it; none has a private hook. Contract: design.md §5.
 */
import type { BootEvent } from '../eboot/events.ts';
import type { FlashEvent } from '../flash/events.ts';
import type { ServiceEvent } from '../ota-services/events.ts';

/** Where a transport listens. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface Addresses {
  ota?: HostPort;
  http?: HostPort;
  https?: HostPort;
  /** The TCP port of the sketch `stream-update`. */
  stream?: HostPort;
  serial?: HostPort | { readonly path: string };
  control?: HostPort;
}

export type DeadWhy = 'no-image' | 'bad-checksum' | 'crash-loop' | 'rom-hang';
export type Cure = 'external' | 'power' | 'serial';

/** What the device as a whole tells. */
export type LifecycleEvent =
  | { type: 'device.ready'; board: string; layout: string; host: string; addresses: Addresses }
  | { type: 'power.on' | 'power.off'; cause: 'user' | 'fault' }
  | {
      type: 'app.start';
      /** From the manifest; absent for an image that was not made by `image build`. */
      version?: string;
      md5: string;
      size: number;
      sketch: string;
      checksumOk: boolean;
      /** Absent when the image carries no CRC. */
      crcOk?: boolean;
      identity: 'known' | 'unknown' | 'corrupt';
    }
  | { type: 'app.crash'; reason: string; resets: number }
  | { type: 'device.dead'; why: DeadWhy; cure: Cure; message: string }
  | { type: 'serial.out' | 'serial.in'; text: string; uart: 0 | 1 }
  | { type: 'fault.armed'; spec: string; op: number | null; address?: number }
  | { type: 'fault.fired'; spec: string; op: number; address?: number }
  | { type: 'sketch.log'; text: string };

export type DeviceEvent = FlashEvent | BootEvent | ServiceEvent | LifecycleEvent;
export type DeviceEventType = DeviceEvent['type'];
/** `seq` counts from 0; `atUs` is integer microseconds of device time since the device was made. */
export type Stamped<E extends DeviceEvent = DeviceEvent> = E & { readonly seq: number; readonly atUs: number };
export type EventOf<T extends DeviceEventType> = Extract<DeviceEvent, { type: T }>;

/** How many events the log keeps for `recent()`; a 1 MiB update makes about 10,000. */
const DEFAULT_KEPT = 65_536;
/** How many of the last events a timed-out wait prints. */
const SHOWN_ON_TIMEOUT = 12;

export interface WaitOptions<T extends DeviceEventType> {
  /** Only events for which this holds. */
  where?: (event: Stamped<EventOf<T>>) => boolean;
  /** Wall-clock milliseconds; 10,000 by default. */
  timeoutMs?: number;
  /** Look at events from this `seq` on, past ones too; by default only at coming ones. */
  since?: number;
}

export class EventLog {
  private next_ = 0;
  private readonly kept: Stamped[] = [];
  private readonly readers = new Set<(event: Stamped) => void>();

  constructor(
    private readonly nowUs: () => number,
    private readonly limit = DEFAULT_KEPT,
  ) {}

  /** The `seq` that the coming event will have. */
  get nextSeq(): number {
    return this.next_;
  }

  readonly emit = (event: DeviceEvent): void => {
    const stamped = stamp(this.next_++, this.nowUs(), event);
    this.kept.push(stamped);
    // Trimmed in halves, so that keeping the log bounded costs nothing per event.
    if (this.kept.length > this.limit * 2) this.kept.splice(0, this.kept.length - this.limit);
    for (const reader of this.readers) {
      try {
        reader(stamped);
      } catch (error) {
        // A reader's mistake is not the device's: it surfaces as an uncaught error of its own.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };

  /** Calls `reader` for every coming event, at once and in order; returns the function that ends it. */
  subscribe(reader: (event: Stamped) => void): () => void {
    this.readers.add(reader);
    return () => void this.readers.delete(reader);
  }

  /** The last events, oldest first; at least the last 65,536, or what `type` leaves of them. */
  recent(): readonly Stamped[];
  recent<T extends DeviceEventType>(type: T): readonly Stamped<EventOf<T>>[];
  recent(type?: DeviceEventType): readonly Stamped[] {
    return type === undefined ? this.kept.slice() : this.kept.filter((event) => event.type === type);
  }

  /**
   * The next event of a type.
   * @throws Error on timeout, with the last events, so that a failing test says what happened instead
   */
  next<T extends DeviceEventType>(type: T, options: WaitOptions<T> = {}): Promise<Stamped<EventOf<T>>> {
    const { where = () => true, timeoutMs = 10_000, since } = options;
    const matches = (event: Stamped): event is Stamped<EventOf<T>> =>
      event.type === type && where(event as Stamped<EventOf<T>>);
    if (since !== undefined) {
      const past = this.kept.find((event) => event.seq >= since && matches(event));
      if (past) return Promise.resolve(past as Stamped<EventOf<T>>);
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        stop();
        const last = this.kept.slice(-SHOWN_ON_TIMEOUT).map((event) => `  ${JSON.stringify(event)}`);
        reject(new Error(`no event ${type} within ${timeoutMs} ms; the last events were\n${last.join('\n')}`));
      }, timeoutMs);
      const stop = this.subscribe((event) => {
        if (!matches(event)) return;
        clearTimeout(timer);
        stop();
        resolve(event);
      });
    });
  }
}

/**
 * Thousands of pages are programmed in an update, and its speed is also that of this line: field by field an event of the
 * chip takes 0.2 to 0.4 µs, with the spread operator 0.5 to 1.2 (Node 20).
 */
function stamp(seq: number, atUs: number, event: DeviceEvent): Stamped {
  if ((event.type === 'flash.program' || event.type === 'flash.erase') && event.torn === undefined) {
    const { type, address, length, area, stuckBits, wear } = event;
    return { seq, atUs, type, address, length, area, stuckBits, wear };
  }
  return { seq, atUs, ...event } as Stamped;
}
