/** A file of a multipart form on its way. Source: spec chapter 04 §5.3, §5.5 (HTTPUpload of ESP8266WebServer.h). */
import { HTTP_UPLOAD_BUFLEN } from './constants.ts';

/** Once, before the first byte. */
export const UPLOAD_FILE_START = 0;
/** `currentSize` bytes of `buf` are good; `totalSize` does not count them yet. At least once a file. */
export const UPLOAD_FILE_WRITE = 1;
/** The whole file came; `totalSize` is its size. */
export const UPLOAD_FILE_END = 2;
/** The connection went away, in the middle or right after UPLOAD_FILE_END. */
export const UPLOAD_FILE_ABORTED = 3;

export type UploadStatus =
  | typeof UPLOAD_FILE_START
  | typeof UPLOAD_FILE_WRITE
  | typeof UPLOAD_FILE_END
  | typeof UPLOAD_FILE_ABORTED;

/** As the parser fills it. The same object, with the same buffer, is told about again and again during one file. */
export class Upload {
  status: UploadStatus = UPLOAD_FILE_START;
  totalSize = 0;
  currentSize = 0;
  readonly buf = new Uint8Array(HTTP_UPLOAD_BUFLEN);
  /**
   * Not on the device. A handler that sets it at UPLOAD_FILE_START is given pieces that have come together at once, in place
   * of a call for each; those that came alone, and the last, still come by themselves.
   *
   * @param pieces two or more, each of HTTP_UPLOAD_BUFLEN bytes; not to be changed
   */
  takeMany: ((pieces: Uint8Array) => void | Promise<void>) | undefined;

  constructor(
    /** Name of the form's field. */
    readonly name: string,
    readonly filename: string,
    /** Content-Type of the part. */
    readonly type: string,
    /** Content-Length of the whole request. */
    readonly contentLength: number,
  ) {}
}

/** Heap that an upload takes on the device: the buffer, and the structure around it. */
export const UPLOAD_HEAP_BYTES = HTTP_UPLOAD_BUFLEN + 64;
