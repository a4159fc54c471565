/**
 * The error codes of the core's `Update` object, the facts behind each, and the texts it prints.
 * Source: spec chapter 02 §3 (Updater.h).
 */

export const UPDATE_ERROR_OK = 0;
export const UPDATE_ERROR_WRITE = 1;
export const UPDATE_ERROR_ERASE = 2;
export const UPDATE_ERROR_READ = 3;
export const UPDATE_ERROR_SPACE = 4;
export const UPDATE_ERROR_SIZE = 5;
export const UPDATE_ERROR_STREAM = 6;
export const UPDATE_ERROR_MD5 = 7;
export const UPDATE_ERROR_FLASH_CONFIG = 8;
export const UPDATE_ERROR_NEW_FLASH_CONFIG = 9;
export const UPDATE_ERROR_MAGIC_BYTE = 10;
export const UPDATE_ERROR_BOOTSTRAP = 11;
export const UPDATE_ERROR_SIGN = 12;
export const UPDATE_ERROR_NO_DATA = 13;
export const UPDATE_ERROR_OOM = 14;
export const UPDATE_ERROR_RUNNING_ALREADY = 15;
export const UPDATE_ERROR_UNKNOWN_COMMAND = 16;

/** Which of the signature checks failed (spec chapter 02 §7.2, steps 2, 3 and 6). */
export type SignatureProblem =
  /** The last word of the file is not the signature length the verifier expects: typically an unsigned file. */
  | { check: 'length'; expected: number; found: number }
  /** The file is shorter than a signature and its length word. */
  | { check: 'size'; expected: number; size: number }
  /** The verifier refused the signature. */
  | { check: 'signature' };

/** Why an update failed: the core's code and name, and the facts at that moment. Addresses are chip offsets, sizes bytes. */
export type UpdateError =
  | { name: 'WRITE'; code: 1; address: number; size: number }
  | { name: 'ERASE'; code: 2; address: number }
  | { name: 'READ'; code: 3; address: number }
  /** `needed` and `free` are whole sectors in `begin`, exact sizes in `write`. */
  | { name: 'SPACE'; code: 4; needed: number; free: number }
  | { name: 'SIZE'; code: 5 }
  | { name: 'STREAM'; code: 6; received: number; size: number; timeoutMs: number }
  /** `expected` as the caller gave it, `actual` in lower case. */
  | { name: 'MD5'; code: 7; expected: string; actual: string }
  | { name: 'FLASH_CONFIG'; code: 8; realSize: number; configuredSize: number }
  | { name: 'NEW_FLASH_CONFIG'; code: 9; realSize: number; wantedSize: number }
  /** `found`: the first byte; 0xFF for a stream with nothing available. */
  | { name: 'MAGIC_BYTE'; code: 10; found: number }
  | { name: 'BOOTSTRAP'; code: 11; straps: number }
  | { name: 'SIGN'; code: 12; problem: SignatureProblem }
  | { name: 'NO_DATA'; code: 13; size: number }
  | { name: 'OOM'; code: 14; needed: number }
  | { name: 'RUNNING_ALREADY'; code: 15; written: number; size: number }
  | { name: 'UNKNOWN_COMMAND'; code: 16; command: number };

export type UpdateErrorName = UpdateError['name'];

/** What three of the texts are filled with. The device looks it up when the text is asked for, not when it failed. */
export interface ErrorTextFacts {
  /** The target MD5 as given. */
  expectedMd5(): string;
  /** The MD5 result, 32 lower-case hex characters. */
  actualMd5(): string;
  /** Size of the chip by its JEDEC id, bytes. */
  realFlashSize(): number;
  /** Size of the chip by the header at flash offset 0, bytes. */
  configuredFlashSize(): number;
}

const FIXED_TEXTS: Readonly<Record<number, string>> = {
  [UPDATE_ERROR_OK]: 'No Error',
  [UPDATE_ERROR_WRITE]: 'Flash Write Failed',
  [UPDATE_ERROR_ERASE]: 'Flash Erase Failed',
  [UPDATE_ERROR_READ]: 'Flash Read Failed',
  [UPDATE_ERROR_SPACE]: 'Not Enough Space',
  [UPDATE_ERROR_SIZE]: 'Bad Size Given',
  [UPDATE_ERROR_STREAM]: 'Stream Read Timeout',
  [UPDATE_ERROR_MAGIC_BYTE]: 'Magic byte is not 0xE9',
  [UPDATE_ERROR_BOOTSTRAP]: 'Invalid bootstrapping state, reset ESP8266 before updating',
  [UPDATE_ERROR_SIGN]: 'Signature verification failed',
  [UPDATE_ERROR_NO_DATA]: 'No data supplied',
  [UPDATE_ERROR_OOM]: 'Out of memory',
  [UPDATE_ERROR_RUNNING_ALREADY]: 'Update already running',
  [UPDATE_ERROR_UNKNOWN_COMMAND]: 'Unknown update command',
};

/** The text of `getErrorString()` for any code; `UNKNOWN` for one that the core does not have. */
export function updateErrorText(code: number, facts: ErrorTextFacts): string {
  switch (code) {
    case UPDATE_ERROR_MD5:
      return `MD5 verification failed: expected: ${facts.expectedMd5()}, calculated: ${facts.actualMd5()}`;
    case UPDATE_ERROR_FLASH_CONFIG:
      return `Flash config wrong: real: ${facts.realFlashSize()}, SDK: ${facts.configuredFlashSize()}`;
    case UPDATE_ERROR_NEW_FLASH_CONFIG:
      return `new Flash config wrong, real size: ${facts.realFlashSize()}`;
    default:
      return FIXED_TEXTS[code] ?? 'UNKNOWN';
  }
}

/** The text of an error from its own facts, without looking at the chip: for events and reports. */
export function describeUpdateError(error: UpdateError): string {
  return updateErrorText(error.code, {
    expectedMd5: () => (error.code === UPDATE_ERROR_MD5 ? error.expected : ''),
    actualMd5: () => (error.code === UPDATE_ERROR_MD5 ? error.actual : ''),
    realFlashSize: () => ('realSize' in error ? error.realSize : 0),
    configuredFlashSize: () => ('configuredSize' in error ? error.configuredSize : 0),
  });
}

/** The line of `printError`, its LF included: `ERROR[4]: Not Enough Space\n`. */
export const errorLine = (code: number, text: string): string => `ERROR[${code}]: ${text}\n`;
