/**
 * Notices that a request holds the device's thread for long: the core has no limit for a stalled upload, and reads the part
 * headers of a dead connection for ever (spec chapter 04 §5.5, §5.6). We only say so.
 */
import type { FrozenEvent } from '../events.ts';
import type { Emit } from '../ports.ts';

/** So long must nothing have come. */
export const FROZEN_AFTER_MS = 10_000;

const STALLED =
  'the client keeps its connection open but sends nothing, and the web server waits for the rest of the file without ' +
  'limit: end the client, or reset the device';
const ENDLESS =
  'the client stopped, or is gone, in the middle of a form, and the web server goes on reading lines of it for ever: ' +
  'reset the device';

export class FrozenWatch {
  private cure: string | undefined;

  constructor(private readonly emit: Emit<FrozenEvent>) {}

  /** Nothing has come for {@link FROZEN_AFTER_MS}. @param where inside a file the end of the client ends it */
  freeze(where: 'file' | 'lines'): void {
    if (this.cure !== undefined) return;
    this.cure = where === 'file' ? STALLED : ENDLESS;
    this.emit({ type: 'device.frozen', where: 'http', cure: this.cure });
  }

  /** Bytes came, or the request ended, or the device stopped. */
  thaw(): void {
    if (this.cure === undefined) return;
    this.emit({ type: 'device.thawed', where: 'http', cure: this.cure });
    this.cure = undefined;
  }
}
