/** The numbers of ArduinoOTA, spelled as ArduinoOTA.h spells them. Source: spec chapter 03 §1, §8. */

/** Commands: the first integer of a datagram. */
export const U_FLASH = 0;
export const U_FS = 100;
export const U_AUTH = 200;

/** The UDP port when the sketch sets none. */
export const DEFAULT_OTA_PORT = 8266;

/** `ota_error_t`: what `onError` is told. */
export const OTA_AUTH_ERROR = 0;
export const OTA_BEGIN_ERROR = 1;
export const OTA_CONNECT_ERROR = 2;
export const OTA_RECEIVE_ERROR = 3;
export const OTA_END_ERROR = 4;
export const OTA_ERASE_SETTINGS_ERROR = 5;

/** An `ota_error_t`. */
export type OtaError = 0 | 1 | 2 | 3 | 4 | 5;

const ERROR_NAMES = ['AUTH', 'BEGIN', 'CONNECT', 'RECEIVE', 'END', 'ERASE_SETTINGS'] as const;

/** The name of an error code in ArduinoOTA.h, without `OTA_` and `_ERROR`. */
export function otaErrorName(code: OtaError): string {
  return ERROR_NAMES[code];
}

/** `ota_erase_cfg_t`: whether a good update also erases the Wi-Fi settings. */
export const OTA_ERASE_CFG_NO = 0;
export const OTA_ERASE_CFG_IGNORE_ERROR = 1;
export const OTA_ERASE_CFG_ABORT_ON_ERROR = 2;

/** An `ota_erase_cfg_t`. */
export type EraseConfigMode = 0 | 1 | 2;
