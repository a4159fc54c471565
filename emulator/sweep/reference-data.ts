/** What was written down of the one undisturbed run of an update: plain data, so that workers can be sent it. */
import { roundUpToSector } from '../../flash/geometry.ts';
import type { OperationArrays } from './operations.ts';
import type { Judgement } from './reasons.ts';

export interface Reference {
  /** The chip when the update began, and when its image had started (or had not). */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
  /** All of RTC memory when the update began. */
  readonly rtc: Uint8Array;
  readonly operations: OperationArrays;
  readonly target: 'sketch' | 'fs';
  /** The file system area; chip offsets. */
  readonly fsStart: number;
  readonly fsEnd: number;
  /** Bytes of the application before, boot sector included. */
  readonly oldLength: number;
  /** What the update is to leave behind: an image from offset 0, or a file system from `fsStart` on. */
  readonly payload: Uint8Array;
  /** What the update comes to when nothing disturbs it. It should be `new`, but there are images that destroy themselves. */
  readonly undisturbed?: Judgement;
  readonly seed: number;
  /** Era of the device, when it was told one. */
  readonly core: string | undefined;
}

/**
 * The chip after the update, as it should be. That is what the undisturbed run left, unless that run went wrong: then it is
 * the image that was sent. (Bytes 2 and 3 of the first header are patched on the way, which is no damage.)
 */
export function finished({ target, before, after, payload, fsStart }: Reference): Uint8Array {
  const at = target === 'sketch' ? 0 : fsStart;
  const there = after.subarray(at, at + payload.length);
  const same = payload.every((byte, i) => byte === there[i] || (target === 'sketch' && (i === 2 || i === 3)));
  if (same) return after;
  const wanted = before.slice();
  wanted.fill(0xff, at, Math.min(at + roundUpToSector(payload.length), wanted.length));
  wanted.set(payload.subarray(0, wanted.length - at), at);
  return wanted;
}
