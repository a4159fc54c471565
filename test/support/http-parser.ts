/** Drives the pure request parser with arrays: bytes at given moments, then a peer that is silent or gone. */
import { HTTP_UPLOAD_BUFLEN } from '../../ota-services/web-server/constants.ts';
import { emptyRequest, type ParseResult, type Request } from '../../ota-services/web-server/parsed-request.ts';
import { parseRequest } from '../../ota-services/web-server/request.ts';
import { RequestInput } from '../../ota-services/web-server/request-input.ts';
import {
  UPLOAD_FILE_ABORTED,
  UPLOAD_FILE_END,
  UPLOAD_FILE_START,
  type Upload,
} from '../../ota-services/web-server/upload.ts';
import { latin1, toBytes } from './transcript.ts';

export interface Arrival {
  /** Milliseconds since the piece before (0). */
  readonly afterMs?: number;
  readonly text: string;
}

export interface DriveOptions {
  /** What the peer does after the last piece (`silent`). `gone`: its FIN comes with that piece. */
  readonly peer?: 'silent' | 'gone';
  readonly collect?: readonly string[];
  readonly heapBytes?: number;
  /** Files are taken by {@link Upload.takeMany} where it can be. */
  readonly takeMany?: boolean;
}

/** One file of a form, put together from its callbacks. */
export interface DrivenFile {
  readonly name: string;
  readonly filename: string;
  readonly type: string;
  data: string;
  /** `currentSize` of each WRITE. */
  readonly writes: number[];
  /** How many of them came together with others. */
  together: number;
  /** `totalSize` at END. */
  total: number | undefined;
  aborted: boolean;
}

export interface Driven {
  /** `hung`: the parser waits, and will for ever. */
  readonly result: ParseResult | 'hung';
  readonly request: Request;
  readonly files: DrivenFile[];
  /** The handler was chosen. */
  readonly routed: boolean;
  /** Device time that it took. */
  readonly ms: number;
  /** Bytes that the parser did not take. */
  readonly unread: string;
}

/** So many waits in a row that bring nothing are for ever. */
const HUNG_WAITS = 50;

export function drive(pieces: readonly (Arrival | string)[], options: DriveOptions = {}): Driven {
  const { peer = 'silent', collect = ['Authorization'], heapBytes = 30_000 } = options;
  const input = new RequestInput();
  const request = emptyRequest();
  const parser = parseRequest(input, request, { collect, heapBytes });
  const queue = pieces
    .map((piece) => (typeof piece === 'string' ? { text: piece, afterMs: 0 } : { afterMs: 0, ...piece }))
    .filter(({ text }) => text !== '');
  const files: DrivenFile[] = [];
  let routed = false;
  let ms = 0;
  /** When the last piece that was given came. */
  let cameAt = 0;
  let emptyWaits = 0;
  const isGone = (): boolean => peer === 'gone' && queue.length === 0;
  let step = parser.next(true);
  while (!step.done) {
    let came = true;
    const effect = step.value;
    if (effect.do === 'route') {
      routed = true;
    } else if (effect.do === 'upload') {
      tell(files, effect.upload);
      if (options.takeMany) effect.upload.takeMany = () => {};
    } else if (effect.do === 'pieces') {
      tellMany(files, effect.upload, effect.pieces);
    } else {
      if (!input.isEmpty) throw new Error('the parser waits with bytes in hand');
      const next = queue[0];
      if (next && Math.max(ms, cameAt + next.afterMs) <= ms + effect.ms) {
        queue.shift();
        ms = Math.max(ms, cameAt + next.afterMs);
        cameAt = ms;
        input.load(toBytes(next.text));
        emptyWaits = 0;
      } else {
        came = false;
        if (++emptyWaits > HUNG_WAITS) break;
        if (!isGone() && effect.ms === Number.POSITIVE_INFINITY) break;
        if (!isGone() || effect.evenIfGone) ms += effect.ms;
      }
    }
    input.connected = !isGone();
    step = parser.next(came);
  }
  const left = latin1(input.bytes.subarray(input.at)) + queue.map(({ text }) => text).join('');
  return { result: step.done ? step.value : 'hung', request, files, routed, ms, unread: left };
}

function tell(files: DrivenFile[], upload: Upload): void {
  if (upload.status === UPLOAD_FILE_START) {
    files.push(describe(upload));
    return;
  }
  const file = files.at(-1)!;
  if (upload.status === UPLOAD_FILE_END) file.total = upload.totalSize;
  else if (upload.status === UPLOAD_FILE_ABORTED) file.aborted = true;
  else {
    checkTotal(file, upload);
    file.data += latin1(upload.buf.subarray(0, upload.currentSize));
    file.writes.push(upload.currentSize);
  }
}

function tellMany(files: readonly DrivenFile[], upload: Upload, pieces: Uint8Array): void {
  const file = files.at(-1)!;
  checkTotal(file, upload);
  const count = pieces.length / HTTP_UPLOAD_BUFLEN;
  if (!Number.isInteger(count) || count < 2) throw new Error(`${pieces.length} bytes are not two or more whole pieces`);
  if (upload.currentSize > 0) throw new Error('an earlier piece was not told');
  file.data += latin1(pieces);
  file.together += count;
  for (let i = 0; i < count; i++) file.writes.push(HTTP_UPLOAD_BUFLEN);
}

function checkTotal(file: DrivenFile, upload: Upload): void {
  if (upload.totalSize !== file.data.length) throw new Error('totalSize counts something else than the writes so far');
}

function describe(upload: Upload): DrivenFile {
  const { name, filename, type } = upload;
  return { name, filename, type, data: '', writes: [], together: 0, total: undefined, aborted: false };
}

/** `text` in pieces of one byte. */
export const bytewise = (text: string, afterMs = 0): Arrival[] => [...text].map((one) => ({ text: one, afterMs }));
