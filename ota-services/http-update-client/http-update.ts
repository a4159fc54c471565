/**
 * The core's `ESPhttpUpdate`: asks a server for an image, looks at the answer, and feeds the body to the Updater.
 * Source: spec chapter 04 §16, §20–§22 (ESP8266httpUpdate.cpp), quirks included.
 */
import type { EspFlash } from '../../flash/esp-class.ts';
import type { HttpUpdateEvent } from '../events.ts';
import type { Clock, Emit, Network, System } from '../ports.ts';
import type { ServiceEra } from '../service-era.ts';
import { U_FLASH, U_FS } from '../update-area.ts';
import type { Updater } from '../updater.ts';
import { decideUpdate, decideVersion, PEEKED_BYTES, sketchHeaderError } from './decision.ts';
import {
  HTTP_UE_BIN_VERIFY_HEADER_FAILED,
  HTTP_UE_SERVER_FAULTY_MD5,
  HTTPC_ERROR_CONNECTION_LOST,
  lastErrorText,
} from './error-codes.ts';
import { HTTPClient } from './http-client.ts';
import type { OpenConnections } from './open-connections.ts';
import { type FollowRedirects, HTTPC_DISABLE_FOLLOW_REDIRECTS } from './redirect.ts';
import { type DeviceFacts, macsOf, SDK_VERSION, type UpdateMode, updateHeaders } from './request.ts';
import { WiFiClient } from './wifi-client.ts';

export const HTTP_UPDATE_FAILED = 0;
export const HTTP_UPDATE_NO_UPDATES = 1;
export const HTTP_UPDATE_OK = 2;
export type HTTPUpdateResult = 0 | 1 | 2;

const DEFAULT_CLIENT_TIMEOUT_MS = 8000;
const USER_AGENT = 'ESP8266-http-Update';
/** Between the decision to update and the first look at the image. */
const PAUSE_MS = 100;
const HIGH = 1;

type Callback<Parameters extends unknown[] = []> = (...parameters: Parameters) => void | Promise<void>;

/** What differs from chip to chip, and does not follow from its id. */
export type HttpUpdateIdentity = Partial<Pick<DeviceFacts, 'staMac' | 'apMac' | 'sdkVersion'>>;

export interface HttpUpdatePorts {
  readonly clock: Clock;
  readonly network: Network;
  readonly system: Pick<System, 'restart' | 'chipId' | 'freeHeap'>;
  readonly emit: Emit<HttpUpdateEvent>;
  readonly flash: EspFlash;
  readonly updater: Updater;
  /** Without it no connection is closed before an update. */
  readonly connections?: OpenConnections;
  /** An ATOMIC_FS_UPDATE build restarts after a file system update, too. */
  readonly atomicFs?: boolean;
  /** Of an older core (`master`). */
  readonly era?: ServiceEra;
  /** MAC addresses and SDK version (made from the chip id; the one of `master`). */
  readonly identity?: HttpUpdateIdentity;
}

/**
 * One per running application.
 *
 * @example
 * const ESPhttpUpdate = new ESP8266HTTPUpdate({ clock, network, system, emit, flash, updater });
 * if ((await ESPhttpUpdate.update('http://192.168.1.8:8000/fw.bin', '1.0')) === HTTP_UPDATE_FAILED) {
 *   console.log(ESPhttpUpdate.getLastErrorString());
 * }
 */
export class ESP8266HTTPUpdate {
  /**
   * A fault (off): the look at the image's first bytes sees only the first buffered TCP segment, as on the chip. With 1 to
   * 3 bytes of the image in the segment that ends the head the update fails with −106. Sockets of a host do not show
   * segments, so it would strike by chance there.
   */
  peekFirstSegmentOnly = false;
  private reboot = true;
  private closeConnections = true;
  private followRedirects: FollowRedirects = HTTPC_DISABLE_FOLLOW_REDIRECTS;
  private user = '';
  private password = '';
  private auth = '';
  private md5Sum = '';
  private ledPin = -1;
  private ledOn: number = HIGH;
  /** Survives later successes. */
  private lastError = 0;
  private startCallback: Callback | undefined;
  private endCallback: Callback | undefined;
  private errorCallback: Callback<[error: number]> | undefined;
  private progressCallback: Callback<[current: number, total: number]> | undefined;

  /** @param clientTimeoutMs for DNS, connecting, and each byte of an answer */
  constructor(
    private readonly ports: HttpUpdatePorts,
    private clientTimeoutMs: number = DEFAULT_CLIENT_TIMEOUT_MS,
  ) {}

  setClientTimeout(ms: number): void {
    this.clientTimeoutMs = ms;
  }

  /** Whether a sketch that was updated restarts the device (true). */
  rebootOnUpdate(reboot: boolean): void {
    this.reboot = reboot;
  }

  setFollowRedirects(mode: FollowRedirects): void {
    this.followRedirects = mode;
  }

  /** Whether other TCP clients are closed before the flash is written (true). */
  closeConnectionsOnUpdate(close: boolean): void {
    this.closeConnections = close;
  }

  /** An LED that is lit while the device waits for bytes; −1 for none. */
  setLedPin(pin = -1, ledOn: number = HIGH): void {
    this.ledPin = pin;
    this.ledOn = ledOn;
  }

  /** What the image must have; goes before the server's `x-MD5`. Any text of 32 characters; an empty one forgets it. */
  setMD5sum(md5: string): void {
    this.md5Sum = md5;
  }

  /** User and password (used when neither is empty), or base64; both go before user information in a URL. */
  setAuthorization(user: string, password: string): void;
  setAuthorization(base64: string): void;
  setAuthorization(userOrBase64: string, password?: string): void {
    if (password === undefined) {
      this.auth = userOrBase64;
    } else {
      this.user = userOrBase64;
      this.password = password;
    }
  }

  onStart(callback: Callback | undefined): void {
    this.startCallback = callback;
  }

  /** Called before the restart. */
  onEnd(callback: Callback | undefined): void {
    this.endCallback = callback;
  }

  onError(callback: Callback<[error: number]> | undefined): void {
    this.errorCallback = callback;
  }

  /** Becomes the Updater's callback, too, at the next update, and so is called by both. */
  onProgress(callback: Callback<[current: number, total: number]> | undefined): void {
    this.progressCallback = callback;
  }

  /** Updates the sketch. After a success it does not return when the device restarts. */
  update(url: string, currentVersion?: string): Promise<HTTPUpdateResult>;
  update(client: WiFiClient, url: string, currentVersion?: string): Promise<HTTPUpdateResult>;
  update(
    client: WiFiClient,
    host: string,
    port: number,
    uri?: string,
    currentVersion?: string,
  ): Promise<HTTPUpdateResult>;
  update(http: HTTPClient, currentVersion?: string): Promise<HTTPUpdateResult>;
  update(...parameters: UpdateParameters): Promise<HTTPUpdateResult> {
    const { http, currentVersion } = this.begin(parameters);
    return this.handleUpdate(http, currentVersion, U_FLASH);
  }

  /** Updates the file system. */
  updateFS(url: string, currentVersion?: string): Promise<HTTPUpdateResult>;
  updateFS(client: WiFiClient, url: string, currentVersion?: string): Promise<HTTPUpdateResult>;
  updateFS(http: HTTPClient, currentVersion?: string): Promise<HTTPUpdateResult>;
  updateFS(...parameters: UpdateParameters): Promise<HTTPUpdateResult> {
    const { http, currentVersion } = this.begin(parameters);
    return this.handleUpdate(http, currentVersion, U_FS);
  }

  /** Asks which version the server has; downloads nothing. */
  async getAvailableVersion(
    client: WiFiClient,
    host: string,
    port: number,
    uri: string,
    currentVersion = '',
  ): Promise<{ readonly result: HTTPUpdateResult; readonly version: string }> {
    const http = this.newHttpClient();
    http.begin(client, host, port, uri);
    const code = await this.request(http, 'version', currentVersion);
    const decision = decideVersion(code, http.header('x-version'));
    if (decision.do === 'fail') await this.setLastError(decision.error);
    await http.end();
    const failed = decision.do === 'fail';
    this.tellEnd(failed ? HTTP_UPDATE_FAILED : HTTP_UPDATE_OK, http);
    return failed ? { result: HTTP_UPDATE_FAILED, version: '' } : { result: HTTP_UPDATE_OK, version: decision.version };
  }

  /** 0 before the first error; a later success does not clear it. */
  getLastError(): number {
    return this.lastError;
  }

  getLastErrorString(): string {
    return lastErrorText(this.lastError, () => this.ports.updater.printError());
  }

  private begin(parameters: UpdateParameters): { http: HTTPClient; currentVersion: string } {
    const [first, ...rest] = parameters;
    if (first instanceof HTTPClient) return { http: first, currentVersion: (rest[0] as string | undefined) ?? '' };
    const [client, texts] =
      typeof first === 'string' ? [new WiFiClient(this.ports), [first, ...rest]] : ([first, rest] as const);
    const http = this.newHttpClient();
    const [urlOrHost, second, uri = '/', version = ''] = texts as [string, (string | number)?, string?, string?];
    // What begin says is not looked at: the request fails then.
    if (typeof second === 'number') http.begin(client, urlOrHost, second, uri);
    else http.begin(client, urlOrHost);
    return { http, currentVersion: typeof second === 'number' ? version : (second ?? '') };
  }

  private newHttpClient(): HTTPClient {
    const { clock, emit, system } = this.ports;
    return new HTTPClient({ clock, emit, heapBytes: () => system.freeHeap() });
  }

  private request(http: HTTPClient, mode: UpdateMode, currentVersion: string): Promise<number> {
    http.useHTTP10(true);
    http.setTimeout(this.clientTimeoutMs);
    http.setFollowRedirects(this.followRedirects);
    http.setUserAgent(USER_AGENT);
    for (const [name, value] of updateHeaders(this.facts(), mode, currentVersion, this.ports.era?.sendsSketchMd5)) {
      http.addHeader(name, value);
    }
    http.collectHeaders(mode === 'version' ? ['x-MD5', 'x-version'] : ['x-MD5']);
    if (this.user !== '' && this.password !== '') http.setAuthorization(this.user, this.password);
    if (this.auth !== '') http.setAuthorization(this.auth);
    return http.GET();
  }

  private facts(): DeviceFacts {
    const { flash, system, identity } = this.ports;
    return {
      chipId: system.chipId,
      freeSketchSpace: flash.getFreeSketchSpace(),
      sketchSize: flash.getSketchSize(),
      sketchMd5: flash.getSketchMD5(),
      chipSize: flash.getFlashChipRealSize(),
      sdkVersion: SDK_VERSION,
      ...macsOf(system.chipId),
      ...identity,
    };
  }

  private async handleUpdate(http: HTTPClient, currentVersion: string, command: number): Promise<HTTPUpdateResult> {
    const { flash, system, atomicFs } = this.ports;
    const isFs = command === U_FS;
    const code = await this.request(http, isFs ? 'spiffs' : 'sketch', currentVersion);
    const { fsStart, fsEnd } = flash.layout;
    const decision = decideUpdate(code, http.getSize(), isFs ? fsEnd - fsStart : flash.getFreeSketchSpace());
    switch (decision.do) {
      case 'nothing':
        await http.end();
        this.tellEnd(HTTP_UPDATE_NO_UPDATES, http);
        return HTTP_UPDATE_NO_UPDATES;
      case 'fail':
        await this.setLastError(decision.error);
        break;
      case 'update':
        if (await this.download(http, command)) {
          await http.end();
          await this.endCallback?.();
          this.tellEnd(HTTP_UPDATE_OK, http);
          if (this.reboot && (!isFs || atomicFs)) await system.restart();
          return HTTP_UPDATE_OK;
        }
        break;
      default:
        return decision satisfies never;
    }
    await http.end();
    this.tellEnd(HTTP_UPDATE_FAILED, http);
    return HTTP_UPDATE_FAILED;
  }

  /** §20 steps 3 to 10. */
  private async download(http: HTTPClient, command: number): Promise<boolean> {
    const { clock, connections } = this.ports;
    await this.startCallback?.();
    const client = http.connected() ? http.getStream() : undefined;
    if (!client) return this.fail(HTTPC_ERROR_CONNECTION_LOST);
    if (this.closeConnections) await connections?.stopAllExcept(client.connection);
    await clock.delay(PAUSE_MS);
    if (command === U_FLASH) {
      const error = await this.lookAtImage(http, client);
      if (error !== undefined) return this.fail(error);
    }
    return this.runUpdate(http, client, command);
  }

  private async lookAtImage(http: HTTPClient, client: WiFiClient): Promise<number | undefined> {
    const cutOff = http.bodyBytesWithHead > 0 && http.bodyBytesWithHead < PEEKED_BYTES;
    if (this.peekFirstSegmentOnly && cutOff) return HTTP_UE_BIN_VERIFY_HEADER_FAILED;
    const { flash } = this.ports;
    return sketchHeaderError(await client.peekBytes(PEEKED_BYTES), {
      realSizeBytes: flash.getFlashChipRealSize(),
      flashMapSupport: flash.flashMapSupport,
    });
  }

  /** §21. */
  private async runUpdate(http: HTTPClient, client: WiFiClient, command: number): Promise<boolean> {
    const { updater } = this.ports;
    const size = http.getSize();
    const progress = this.progressCallback;
    if (progress) updater.onProgress(progress);
    if (!(await updater.begin(size, command, this.ledPin, this.ledOn))) return this.fail(updater.getError());
    await progress?.(0, size);
    const md5 = this.md5Sum === '' ? http.header('x-MD5') : this.md5Sum;
    // The Updater stays running: the next update of any kind fails because of it, the one after that works.
    if (md5 !== '' && !updater.setMD5(md5)) return this.fail(HTTP_UE_SERVER_FAULTY_MD5);
    if ((await updater.writeStream(client.stream())) !== size) return this.fail(updater.getError());
    await progress?.(size, size);
    return (await updater.end()) || this.fail(updater.getError());
  }

  private async fail(error: number): Promise<false> {
    await this.setLastError(error);
    return false;
  }

  private async setLastError(error: number): Promise<void> {
    this.lastError = error;
    await this.errorCallback?.(error);
  }

  private tellEnd(result: HTTPUpdateResult, http: HTTPClient): void {
    const { emit } = this.ports;
    if (result !== HTTP_UPDATE_FAILED) {
      emit({ type: 'httpupdate.end', result: result === HTTP_UPDATE_OK ? 'ok' : 'no-updates' });
      return;
    }
    const why = http.getStream()?.failure;
    const end = { error: this.lastError, message: this.getLastErrorString() };
    emit({ type: 'httpupdate.end', result: 'failed', ...end, ...(why === undefined ? {} : { why }) });
  }
}

type UpdateParameters = [client: WiFiClient | HTTPClient | string, ...rest: (string | number | undefined)[]];
