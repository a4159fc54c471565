/**
 * What `ESPhttpUpdate` makes of an answer: the decision table, without the doing. Source: spec chapter 04 §20, §22.
 */
import { coreSizeOfHeader } from '../../flash/header-byte.ts';
import { GZIP_MAGIC_0, IMAGE_MAGIC } from '../update-header.ts';
import {
  HTTP_UE_BIN_FOR_WRONG_FLASH,
  HTTP_UE_BIN_VERIFY_HEADER_FAILED,
  HTTP_UE_SERVER_FILE_NOT_FOUND,
  HTTP_UE_SERVER_FORBIDDEN,
  HTTP_UE_SERVER_NOT_REPORT_SIZE,
  HTTP_UE_SERVER_NOT_REPORT_VERSION,
  HTTP_UE_SERVER_UNAUTHORIZED,
  HTTP_UE_SERVER_WRONG_HTTP_CODE,
  HTTP_UE_TOO_LESS_SPACE,
} from './error-codes.ts';

const HTTP_CODE_OK = 200;
const HTTP_CODE_NOT_MODIFIED = 304;

const STATUS_ERRORS: Readonly<Record<number, number>> = {
  401: HTTP_UE_SERVER_UNAUTHORIZED,
  403: HTTP_UE_SERVER_FORBIDDEN,
  404: HTTP_UE_SERVER_FILE_NOT_FOUND,
};

/** Bytes of the body that are looked at before anything is written. */
export const PEEKED_BYTES = 4;

export type UpdateDecision =
  | { readonly do: 'update' }
  | { readonly do: 'nothing' }
  | { readonly do: 'fail'; readonly error: number };

export type VersionDecision =
  | { readonly do: 'tell'; readonly version: string }
  | { readonly do: 'fail'; readonly error: number };

const fail = (error: number) => ({ do: 'fail', error }) as const;

/** A code up to 0 is the HTTP client's own error. */
const statusError = (code: number): number =>
  code <= 0 ? code : (STATUS_ERRORS[code] ?? HTTP_UE_SERVER_WRONG_HTTP_CODE);

/**
 * @param code what `GET()` returned
 * @param size `Content-Length`, −1 without one
 * @param roomBytes for a sketch the free sketch space, for a file system all of its region
 */
export function decideUpdate(code: number, size: number, roomBytes: number): UpdateDecision {
  if (code === HTTP_CODE_NOT_MODIFIED) return { do: 'nothing' };
  if (code !== HTTP_CODE_OK) return fail(statusError(code));
  if (size <= 0) return fail(HTTP_UE_SERVER_NOT_REPORT_SIZE);
  return size > roomBytes ? fail(HTTP_UE_TOO_LESS_SPACE) : { do: 'update' };
}

/** A version query; its 304 is just another wrong code. @param version value of `x-version` */
export function decideVersion(code: number, version: string): VersionDecision {
  if (code !== HTTP_CODE_OK) return fail(statusError(code));
  return version === '' ? fail(HTTP_UE_SERVER_NOT_REPORT_VERSION) : { do: 'tell', version };
}

/** What the chip must hold. */
export interface ChipForImage {
  readonly realSizeBytes: number;
  /** An "autoflash" build does not compare sizes. */
  readonly flashMapSupport: boolean;
}

/**
 * The first bytes of a sketch.
 *
 * @param first {@link PEEKED_BYTES} of them, or fewer when no more came in time
 * @returns the error, or `undefined` when the download may go on
 */
export function sketchHeaderError(first: Uint8Array, chip: ChipForImage): number | undefined {
  if (first.length < PEEKED_BYTES) return HTTP_UE_BIN_VERIFY_HEADER_FAILED;
  const [magic, , , sizeAndSpeed = 0] = first;
  if (magic !== IMAGE_MAGIC && magic !== GZIP_MAGIC_0) return HTTP_UE_BIN_VERIFY_HEADER_FAILED;
  if (magic !== IMAGE_MAGIC || chip.flashMapSupport) return undefined;
  return coreSizeOfHeader(sizeAndSpeed) > chip.realSizeBytes ? HTTP_UE_BIN_FOR_WRONG_FLASH : undefined;
}
