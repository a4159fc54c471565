/**
 * What can go wrong with an HTTP update, in the core's numbers and words. Source: spec chapter 04 §19
 * (ESP8266HTTPClient.h, ESP8266httpUpdate.h).
 */

export const HTTPC_ERROR_CONNECTION_FAILED = -1;
export const HTTPC_ERROR_SEND_HEADER_FAILED = -2;
export const HTTPC_ERROR_SEND_PAYLOAD_FAILED = -3;
export const HTTPC_ERROR_NOT_CONNECTED = -4;
export const HTTPC_ERROR_CONNECTION_LOST = -5;
export const HTTPC_ERROR_NO_STREAM = -6;
export const HTTPC_ERROR_NO_HTTP_SERVER = -7;
export const HTTPC_ERROR_TOO_LESS_RAM = -8;
export const HTTPC_ERROR_ENCODING = -9;
export const HTTPC_ERROR_STREAM_WRITE = -10;
export const HTTPC_ERROR_READ_TIMEOUT = -11;

export const HTTP_UE_TOO_LESS_SPACE = -100;
export const HTTP_UE_SERVER_NOT_REPORT_SIZE = -101;
export const HTTP_UE_SERVER_FILE_NOT_FOUND = -102;
export const HTTP_UE_SERVER_FORBIDDEN = -103;
export const HTTP_UE_SERVER_WRONG_HTTP_CODE = -104;
export const HTTP_UE_SERVER_FAULTY_MD5 = -105;
export const HTTP_UE_BIN_VERIFY_HEADER_FAILED = -106;
export const HTTP_UE_BIN_FOR_WRONG_FLASH = -107;
export const HTTP_UE_SERVER_UNAUTHORIZED = -108;
export const HTTP_UE_SERVER_NOT_REPORT_VERSION = -109;

const HTTP_CLIENT_TEXTS: Readonly<Record<number, string>> = {
  [HTTPC_ERROR_CONNECTION_FAILED]: 'connection failed',
  [HTTPC_ERROR_SEND_HEADER_FAILED]: 'send header failed',
  [HTTPC_ERROR_SEND_PAYLOAD_FAILED]: 'send payload failed',
  [HTTPC_ERROR_NOT_CONNECTED]: 'not connected',
  [HTTPC_ERROR_CONNECTION_LOST]: 'connection lost',
  [HTTPC_ERROR_NO_STREAM]: 'no stream',
  [HTTPC_ERROR_NO_HTTP_SERVER]: 'no HTTP server',
  [HTTPC_ERROR_TOO_LESS_RAM]: 'not enough ram',
  [HTTPC_ERROR_ENCODING]: 'Transfer-Encoding not supported',
  [HTTPC_ERROR_STREAM_WRITE]: 'Stream write error',
  [HTTPC_ERROR_READ_TIMEOUT]: 'read Timeout',
};

/** A version that is missing (−109) has no text on the device either. */
const UPDATE_TEXTS: Readonly<Record<number, string>> = {
  [HTTP_UE_TOO_LESS_SPACE]: 'Not Enough space',
  [HTTP_UE_SERVER_NOT_REPORT_SIZE]: 'Server Did Not Report Size',
  [HTTP_UE_SERVER_FILE_NOT_FOUND]: 'File Not Found (404)',
  [HTTP_UE_SERVER_FORBIDDEN]: 'Forbidden (403)',
  [HTTP_UE_SERVER_WRONG_HTTP_CODE]: 'Wrong HTTP Code',
  [HTTP_UE_SERVER_FAULTY_MD5]: 'Wrong MD5',
  [HTTP_UE_BIN_VERIFY_HEADER_FAILED]: 'Verify Bin Header Failed',
  [HTTP_UE_BIN_FOR_WRONG_FLASH]: 'New Binary Does Not Fit Flash Size',
  [HTTP_UE_SERVER_UNAUTHORIZED]: 'Unauthorized (401)',
};

/** `HTTPClient::errorToString`: empty for a code that is not one of the client's. */
export const httpErrorText = (code: number): string => HTTP_CLIENT_TEXTS[code] ?? '';

/**
 * `ESPhttpUpdate.getLastErrorString()`.
 *
 * @param updaterLine gives the Updater's **present** error line, its LF included: for a code above 0 the device prints
 *   that, even when the Updater has failed otherwise since
 */
export function lastErrorText(code: number, updaterLine: () => string): string {
  if (code === 0) return '';
  if (code > 0) return `Update error: ${updaterLine().trimEnd()}`;
  if (code > HTTP_UE_TOO_LESS_SPACE) return `HTTP error: ${httpErrorText(code)}`;
  return UPDATE_TEXTS[code] ?? '';
}
