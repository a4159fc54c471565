/**
 * The one event stream: everything that happened, in order, each event stamped with `seq` and `atUs`. The command line, the
 * live page, the reports and the tests are readers of it; none has a private hook. Contract: design.md §5.
 */
import type { BootEvent } from '../eboot/events.ts';
import type { FlashEvent } from '../flash/events.ts';
import type { PageRun } from '../flash/page-runs.ts';
import type { ServiceEvent } from '../ota-services/events.ts';
import type { LoaderEvent } from '../ota-services/rom-loader/events.ts';
import { KeptEvents } from './kept-events.ts';

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
  /** For debuggers. */
  gdb?: HostPort;
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
  | {
      type: 'serial.out' | 'serial.in';
      text: string;
      uart: 0 | 1;
      /** Bytes, where `text` shows only the first 256. */
      length?: number;
      /** A frame to or from the serial loader: nothing to read. */
      loader?: true;
    }
  /** Hosts on the serial port: `flashing` talks with the loader; `ignored` tried to, while another does. */
  | { type: 'serial.host'; peer: string; state: 'connected' | 'flashing' | 'ignored' | 'gone' }
  | { type: 'fault.armed'; spec: string; op: number | null; address?: number }
  | { type: 'fault.fired'; spec: string; op: number; address?: number }
  | { type: 'sketch.log'; text: string };

export type DeviceEvent = FlashEvent | BootEvent | ServiceEvent | LoaderEvent | LifecycleEvent;
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

/** A reader of the stream, and whether it wants to see the operations of the chip. */
interface Reader {
  readonly read: (event: Stamped) => void;
  readonly chip: boolean;
}

export class EventLog {
  private next_ = 0;
  private readonly kept: KeptEvents<Stamped>;
  private readonly readers = new Set<Reader>();
  private chipReaders = 0;

  /** @param chipNowUs for operations of the chip, if that is cheaper; never behind `nowUs` when both are asked in turn */
  constructor(
    private readonly nowUs: () => number,
    private readonly chipNowUs: () => number = nowUs,
    limit = DEFAULT_KEPT,
  ) {
    this.kept = new KeptEvents(limit);
  }

  /** The `seq` that the coming event will have. */
  get nextSeq(): number {
    return this.next_;
  }

  readonly emit = (event: DeviceEvent): void => {
    const seq = this.next_++;
    if ((event.type === 'flash.program' || event.type === 'flash.erase') && event.torn === undefined) {
      this.emitChip(seq, event);
      return;
    }
    const stamped = { seq, atUs: this.nowUs(), ...event } as Stamped;
    this.kept.push(stamped);
    for (const reader of this.readers) tell(reader, stamped);
  };

  /**
   * Thousands of pages are programmed in an update, and its speed is also that of these lines: no object is made when
   * nobody wants it, and field by field it takes half the time of the spread operator.
   */
  private emitChip(seq: number, event: FlashEvent): void {
    const atUs = this.chipNowUs();
    this.kept.pushChip(atUs, event);
    if (this.chipReaders === 0) return;
    const { type, address, length, area, stuckBits, wear } = event;
    const stamped: Stamped<FlashEvent> = { seq, atUs, type, address, length, area, stuckBits, wear };
    for (const reader of this.readers) if (reader.chip) tell(reader, stamped);
  }

  /** True while a reader looks at the operations of the chip. */
  get showsChip(): boolean {
    return this.chipReaders > 0;
  }

  /** The events of pages that are programmed at once, which nobody looks at. @throws Error when somebody does */
  emitRun(run: PageRun): void {
    if (this.showsChip) throw new Error('a reader looks at the operations of the chip: tell it of each');
    this.next_ += run.pages;
    this.kept.pushRun(this.chipNowUs(), run);
  }

  /**
   * Calls `reader` for every coming event, at once and in order; returns the function that ends it.
   *
   * @param options.chip false: not for `flash.program` and `flash.erase`, the thousands of operations of an update
   */
  subscribe(reader: (event: Stamped) => void, options: { readonly chip?: boolean } = {}): () => void {
    const entry: Reader = { read: reader, chip: options.chip ?? true };
    this.readers.add(entry);
    if (entry.chip) this.chipReaders++;
    return () => {
      if (this.readers.delete(entry) && entry.chip) this.chipReaders--;
    };
  }

  /** The last events, oldest first; at least the last 65,536, or what `type` leaves of them. */
  recent(): readonly Stamped[];
  recent<T extends DeviceEventType>(type: T): readonly Stamped<EventOf<T>>[];
  recent(type?: DeviceEventType): readonly Stamped[] {
    return [...this.kept.range(this.kept.oldestSeq, this.next_, type)];
  }

  /** The lowest `seq` that {@link EventLog.since} can still give; that of the coming event when there is none yet. */
  get oldestSeq(): number {
    return this.kept.oldestSeq;
  }

  /** Up to `count` of the events from `seq` on that are still kept, oldest first. */
  since(seq: number, count: number): readonly Stamped[] {
    const from = Math.max(seq, this.oldestSeq);
    return [...this.kept.range(from, from + count)];
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
      for (const past of this.kept.range(since, this.next_, type)) if (matches(past)) return Promise.resolve(past);
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        stop();
        const last = [...this.kept.range(this.next_ - SHOWN_ON_TIMEOUT)].map((event) => `  ${JSON.stringify(event)}`);
        reject(new Error(`no event ${type} within ${timeoutMs} ms; the last events were\n${last.join('\n')}`));
      }, timeoutMs);
      const stop = this.subscribe(
        (event) => {
          if (!matches(event)) return;
          clearTimeout(timer);
          stop();
          resolve(event);
        },
        { chip: type.startsWith('flash.') },
      );
    });
  }
}

function tell(reader: Reader, event: Stamped): void {
  try {
    reader.read(event);
  } catch (error) {
    // A reader's mistake is not the device's: it surfaces as an uncaught error of its own.
    queueMicrotask(() => {
      throw error;
    });
  }
}
