/**
 * What the Updater remembers, and the primitives that everything else of it hangs on: `reset`, `setError` and the flush of
 * its buffer. Source: spec chapter 02 §2, §4, §6.1 (Updater.h, Updater.cpp).
 */
import type { EspFlash } from '../flash/esp-class.ts';
import { SECTOR_BYTES } from '../flash/geometry.ts';
import { modeOfHeader } from '../flash/header-byte.ts';
import type { UpdateEvent } from './events.ts';
import { Md5Builder } from './md5-builder.ts';
import type { Clock, EbootCommandPort, Emit, Md5, SignatureVerifier, System } from './ports.ts';
import { PRESENT_ERA, type ServiceEra } from './service-era.ts';
import { U_FLASH } from './update-area.ts';
import { hex } from './update-debug.ts';
import { GZIP_MAGIC_0 } from './update-header.ts';
import { describeUpdateError, errorLine, type UpdateError, updateErrorText } from './updater-errors.ts';

const NO_BUFFER = new Uint8Array(0);

/** Callbacks may be async; the update waits for them, as the device's only thread would. */
export type StartHandler = () => void | Promise<void>;
export type EndHandler = () => void | Promise<void>;
/** `done` counts bytes that are in flash, not those in the buffer. */
export type ProgressHandler = (done: number, total: number) => void | Promise<void>;
export type ErrorHandler = (code: number) => void | Promise<void>;

export interface UpdaterPorts {
  readonly flash: EspFlash;
  readonly clock: Clock;
  readonly system: System;
  readonly command: EbootCommandPort;
  /** Starts one MD5 computation. */
  readonly md5: () => Md5;
  readonly emit: Emit<UpdateEvent>;
}

export interface UpdaterOptions {
  /** ATOMIC_FS_UPDATE build: a file system is staged first and put in place by eboot. */
  readonly atomicFs?: boolean;
  /** DEBUG_ESP_UPDATER build: takes the debug output, one line (with its LF) a call. */
  readonly debug?: (line: string) => void;
  /** Of an older core (`master`). */
  readonly era?: ServiceEra;
  /** A fatal exception of the CPU, which only Updaters of older cores raise. Without it they refuse, as today. */
  readonly crash?: (what: string) => never;
}

/** The state of an update. There are three: idle, idle with an error, running without one. */
export class UpdateState {
  protected failed: UpdateError | undefined;
  protected buffer = NO_BUFFER;
  protected bufferLen = 0;
  /** Keeps its value after a reset. */
  protected bufferSize = 0;
  /** The announced size. Not 0 means running. */
  protected total = 0;
  protected startAddress = 0;
  protected currentAddress = 0;
  protected command = U_FLASH;
  protected targetMd5 = '';
  protected md5Builder: Md5Builder;
  /** The MD5 knows everything in flash before this address. */
  protected hashedTo = 0;
  protected ledPin = -1;
  protected ledOn: 0 | 1 = 0;
  protected verifier: SignatureVerifier | undefined;
  protected isAsync = false;
  protected startHandler: StartHandler | undefined;
  protected endHandler: EndHandler | undefined;
  protected progressHandler: ProgressHandler | undefined;
  protected errorHandler: ErrorHandler | undefined;
  protected readonly era: ServiceEra;

  protected readonly ports: UpdaterPorts;

  constructor(
    ports: UpdaterPorts,
    protected readonly options: UpdaterOptions = {},
  ) {
    this.era = options.era ?? PRESENT_ERA;
    const { flash, clock, system, command, md5, emit } = ports;
    // A plain literal: objects made by the spread operator change their shape after some lives, and hot code with them.
    this.ports = { flash, clock, system, command, md5, emit };
    this.md5Builder = new Md5Builder(md5);
  }

  /** Called when `begin` succeeded. Each setter replaces the earlier function; none disables. */
  onStart(handler?: StartHandler): this {
    this.startHandler = handler;
    return this;
  }

  /** Called at every reset of the object: at the start of each `begin`, at each end, once or twice for each error (Q2). */
  onEnd(handler?: EndHandler): this {
    this.endHandler = handler;
    return this;
  }

  /** Called by `writeStream` only. */
  onProgress(handler?: ProgressHandler): this {
    this.progressHandler = handler;
    return this;
  }

  /** Called with the code while the object still looks running. */
  onError(handler?: ErrorHandler): this {
    this.errorHandler = handler;
    return this;
  }

  /** For callers in the network context, where yielding would panic: no yield in `write` and while flushing. */
  runAsync(isAsync: boolean): void {
    this.isAsync = isAsync;
  }

  /** From now on images must be signed, and MD5 is neither computed nor compared. `undefined` removes the verifier. */
  installSignature(verifier: SignatureVerifier | undefined): void {
    this.verifier = verifier;
  }

  /** The code of the last error, 0 without one. It survives until `clearError` or a `begin` that gets past its first checks. */
  getError(): number {
    return this.failed?.code ?? 0;
  }

  /** The last error with its facts. */
  get failure(): UpdateError | undefined {
    return this.failed;
  }

  clearError(): void {
    this.failed = undefined;
  }

  hasError(): boolean {
    return this.failed !== undefined;
  }

  isRunning(): boolean {
    return this.total > 0;
  }

  /** True when idle, too (Q8). */
  isFinished(): boolean {
    return this.currentAddress === (this.startAddress + this.total) >>> 0;
  }

  /** The announced size; 0 when idle. */
  size(): number {
    return this.total;
  }

  /** Bytes in flash, without those in the buffer. */
  progress(): number {
    return (this.currentAddress - this.startAddress) >>> 0;
  }

  /** Bytes not yet in flash. Wraps to a huge number when a stream overran the announced size (Q19). */
  remaining(): number {
    return (this.total - this.progress()) >>> 0;
  }

  /** The text of the last error, filled in with what holds now. */
  getErrorString(): string {
    const { flash } = this.ports;
    return updateErrorText(this.getError(), {
      expectedMd5: () => this.targetMd5,
      actualMd5: () => this.md5String(),
      realFlashSize: () => flash.getFlashChipRealSize(),
      configuredFlashSize: () => flash.getFlashChipSize(),
    });
  }

  /** The line that `printError` prints, LF included; also without an error: `ERROR[0]: No Error\n`. */
  printError(): string {
    return errorLine(this.getError(), this.getErrorString());
  }

  /**
   * Sets the MD5 that `end` compares with. Call it after `begin`, which forgets it. Not checked to be hex (Q14).
   *
   * @param text one character per byte; like a C string it ends at a NUL
   * @returns false, and keeps the earlier one, unless it has exactly 32 characters
   */
  setMD5(text: string): boolean {
    const [md5 = ''] = text.split('\0', 1);
    if (md5.length !== 32) return false;
    this.targetMd5 = md5;
    return true;
  }

  /** 32 lower-case hex characters; all zeros unless `end` has compared with a target (Q9). */
  md5String(): string {
    return this.md5Builder.toString();
  }

  /** The same as 16 bytes. */
  md5(): Uint8Array {
    return this.md5Builder.getBytes();
  }

  /** `_writeBuffer`, §6.1: puts `bufferLen` bytes at the current address. On false the object has been reset. */
  protected async flush(): Promise<boolean> {
    const { flash, emit } = this.ports;
    const address = this.currentAddress;
    let erased = true;
    if (address % SECTOR_BYTES === 0) {
      const turn = this.yieldUnlessAsync();
      if (turn) await turn;
      const result = flash.eraseSectorNow(address / SECTOR_BYTES);
      erased = typeof result === 'boolean' ? result : await result;
    }
    const imageMode = this.patchFlashMode();
    if (!erased) return this.failAtEnd({ name: 'ERASE', code: 2, address });

    const turn = this.yieldUnlessAsync();
    if (turn) await turn;
    const data = this.bufferLen === this.buffer.length ? this.buffer : this.buffer.subarray(0, this.bufferLen);
    const result = flash.writeNow(address, data); // false for no bytes at all
    const written = typeof result === 'boolean' ? result : await result;
    // What is put back is the decoded mode: 0xFF for a byte above 3, which the MD5 then sees (Q10).
    if (imageMode !== undefined) this.buffer[2] = imageMode;
    if (!written) return this.failAtEnd({ name: 'WRITE', code: 1, address, size: data.length });

    this.hash(address, data);
    this.currentAddress = (address + data.length) >>> 0;
    this.bufferLen = 0;
    emit({ type: 'update.progress', written: this.progress(), size: this.total });
    return true;
  }

  /**
   * Gives a new sketch the flash mode of the running one, in the buffer (Q11: its signature and CRC no longer fit).
   * @returns the image's own mode when it was replaced
   */
  private patchFlashMode(): number | undefined {
    const [first = 0, second = 0, modeByte = 0, fourth = 0] = this.buffer;
    const isFirst = this.currentAddress === this.startAddress;
    if (!isFirst || first === GZIP_MAGIC_0 || !this.patchesThis()) return undefined;
    const runningMode = this.ports.flash.getFlashChipMode();
    const imageMode = modeOfHeader(modeByte);
    this.debug(`Header: 0x${hex(first)} ${hex(second)} ${hex(modeByte)} ${hex(fourth)}\n`);
    if (imageMode === runningMode) return undefined;
    this.debug(`Set flash mode from 0x${hex(imageMode)} to 0x${hex(runningMode)}\n`);
    this.buffer[2] = runningMode;
    return imageMode;
  }

  private patchesThis(): boolean {
    const { patchesMode } = this.era;
    return patchesMode === 'everything' || (patchesMode === 'sketches' && this.command === U_FLASH);
  }

  /**
   * What was written goes into the MD5, unless a verifier is installed. Only {@link UpdateState.setMD5} makes anybody look at that, and to hash a web
   * upload, which has none, took as long as to program it: so until then it waits, where flash holds the very same bytes.
   */
  private hash(address: number, data: Uint8Array): void {
    if (this.verifier) {
      this.hashUpTo(address); // what came before it was installed
      this.hashedTo = address + data.length;
      return;
    }
    const { chip } = this.ports.flash;
    const isThere = address + data.length <= chip.capacityBytes && chip.store.equals(address, data);
    if (this.targetMd5 === '' && isThere) return;
    this.hashUpTo(address);
    this.md5Builder.add(data);
    this.hashedTo = address + data.length;
  }

  /** Catches up on what waits in flash. */
  protected hashUpTo(end: number): void {
    const { chip } = this.ports.flash;
    for (let at = this.hashedTo; at < end; at += SECTOR_BYTES) {
      this.md5Builder.add(chip.peek(at, Math.min(SECTOR_BYTES, end - at)));
    }
    this.hashedTo = end;
  }

  protected append(data: Uint8Array): void {
    this.buffer.set(data, this.bufferLen);
    this.bufferLen += data.length;
  }

  /** `undefined`: there is nothing to wait for. */
  protected yieldUnlessAsync(): Promise<void> | undefined {
    return this.isAsync ? undefined : this.ports.clock.yield() || undefined;
  }

  /** Back to idle. Error, target MD5, MD5 result, LED pin and the eboot command stay. */
  protected async reset(callback = true): Promise<void> {
    if (this.buffer.length > 0) this.ports.system.release(this.buffer.length);
    this.buffer = NO_BUFFER;
    this.bufferLen = 0;
    this.startAddress = 0;
    this.currentAddress = 0;
    this.total = 0;
    this.command = U_FLASH;
    if (callback) await this.endHandler?.();
    this.light(false);
  }

  protected async setError(error: UpdateError): Promise<void> {
    this.failed = error;
    const message = describeUpdateError(error);
    this.ports.emit({ type: 'update.error', code: error.code, name: error.name, message });
    await this.errorHandler?.(error.code);
    if (this.options.debug) this.debug(this.printError());
    await this.reset();
  }

  protected async fail(error: UpdateError): Promise<false> {
    await this.setError(error);
    return false;
  }

  /** As {@link UpdateState.fail}, for errors whose handler sees `progress() === size()`. */
  protected async failAtEnd(error: UpdateError): Promise<false> {
    this.currentAddress = (this.startAddress + this.total) >>> 0;
    return this.fail(error);
  }

  protected light(on: boolean): void {
    if (this.ledPin === -1) return;
    this.ports.system.digitalWrite(this.ledPin, on ? this.ledOn : this.ledOn === 0 ? 1 : 0);
  }

  protected debug(...lines: string[]): void {
    if (this.options.debug) for (const line of lines) this.options.debug(line);
  }
}
