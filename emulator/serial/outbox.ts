/** What waits to be read by a host, with a limit: a monitor that stops reading must not fill our memory. Pure. */

/** Bytes that wait for a slow host; the oldest go first. A second of output at 2 Mbaud. */
export const OUTBOX_BYTES = 256 * 1024;
/** Answers of the protocol are never dropped; a host that asks and asks without reading is closed. */
const MAX_ANSWERS_BYTES = 64 * 1024;

interface Entry {
  readonly bytes: Uint8Array;
  readonly droppable: boolean;
}

export class Outbox {
  /** Bytes of output that were dropped so far. */
  dropped = 0;
  private entries: Entry[] = [];
  private dataBytes = 0;
  private answerBytes = 0;

  constructor(private readonly limit = OUTBOX_BYTES) {}

  /** Output of the device, ready for the wire: goes as a whole or not at all. */
  push(bytes: Uint8Array): void {
    this.entries.push({ bytes, droppable: true });
    this.dataBytes += bytes.length;
    while (this.dataBytes > this.limit) this.dropOldest();
  }

  /** An answer that the host waits for. @returns false when it does not read any: close it */
  answer(bytes: Uint8Array): boolean {
    this.entries.push({ bytes, droppable: false });
    this.answerBytes += bytes.length;
    return this.answerBytes <= MAX_ANSWERS_BYTES;
  }

  /** Drops the output that waits; answers stay. */
  purge(): void {
    this.entries = this.entries.filter(({ droppable }) => !droppable);
    this.dataBytes = 0;
  }

  /** Everything that waits, in order; undefined when nothing does. */
  take(): Uint8Array | undefined {
    if (this.entries.length === 0) return undefined;
    const all = Buffer.concat(this.entries.map(({ bytes }) => bytes));
    this.entries = [];
    this.dataBytes = 0;
    this.answerBytes = 0;
    return all;
  }

  private dropOldest(): void {
    const index = this.entries.findIndex(({ droppable }) => droppable);
    const [entry] = this.entries.splice(index, 1);
    this.dataBytes -= entry!.bytes.length;
    this.dropped += entry!.bytes.length;
  }
}
