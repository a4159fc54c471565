/** What ArduinoOTA needs besides the ports all services share. */
import type { OtaError } from './ota-constants.ts';

/** The part of the Updater that ArduinoOTA uses. Source: spec chapter 02 §1. */
export interface OtaUpdater {
  begin(size: number, command: number): Promise<boolean>;
  setMD5(text: string): boolean;
  /** Takes what is available, with 1 ms between looks, until nothing more came or the image is complete. */
  writeFrom(source: { available(): number; read(max: number): Uint8Array }): Promise<number>;
  isFinished(): boolean;
  end(): Promise<boolean>;
  /** `ERROR[n]: text\n`. */
  printError(): string;
}

/** The part of the mDNS responder that ArduinoOTA uses. Source: spec chapter 03 §2, §13. */
export interface OtaMdns {
  /** Starts with a hostname, without `.local`; the result is not looked at. */
  begin(hostname: string): boolean;
  /** Advertises `_arduino._tcp`; `authUpload` becomes the TXT string `auth_upload`. */
  addArduinoService(port: number, authUpload: boolean): void;
  /** One step of probing and announcing. */
  update(): void | Promise<void>;
  /** Says goodbye and stops. */
  end(): void;
}

/**
 * What a sketch wants to be told. The functions run on the sketch's thread and may wait (`Promise`), except `onError`
 * with OTA_AUTH_ERROR: that one runs in the network context, where nothing can wait.
 */
export interface OtaCallbacks {
  start: (() => void | Promise<void>) | undefined;
  end: (() => void | Promise<void>) | undefined;
  progress: ((received: number, total: number) => void | Promise<void>) | undefined;
  error: ((code: OtaError) => void | Promise<void>) | undefined;
}
