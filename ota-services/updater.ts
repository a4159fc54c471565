/**
 * The core's `Update` object: takes an image piece by piece, stages it in flash, checks it, and leaves the eboot command
 * that installs it at the next restart. Source: spec chapter 02 (Updater.h, Updater.cpp).
 *
 * An error always resets the object, so nothing is ever both running and in error. The quirks of chapter 02 §12 are kept;
 * Q numbers mark the lines that copy them.
 */
import { SECTOR_BYTES } from '../flash/geometry.ts';
import { Md5Builder } from './md5-builder.ts';
import type { SignatureVerifier } from './ports.ts';
import type { Stream } from './stream.ts';
import { findUpdateArea, U_FLASH, U_FS } from './update-area.ts';
import { areaLines, hex8, rangeLines } from './update-debug.ts';
import { findHeaderError, GZIP_MAGIC_0, IMAGE_MAGIC } from './update-header.ts';
import { checkSignature } from './update-signature.ts';
import { UpdateState } from './update-state.ts';

export { U_AUTH, U_FLASH, U_FS } from './update-area.ts';
export type {
  EndHandler,
  ErrorHandler,
  ProgressHandler,
  StartHandler,
  UpdaterOptions,
  UpdaterPorts,
} from './update-state.ts';

/** `writeStream` gives up after this long without a byte, milliseconds. */
export const STREAM_NO_DATA_TIMEOUT_MS = 60_000;

/** With more free heap than this the buffer holds a sector, else a page. */
const ROOMY_HEAP_BYTES = 2 * SECTOR_BYTES;
const LARGE_BUFFER_BYTES = SECTOR_BYTES;
const SMALL_BUFFER_BYTES = 256;
/** The strap number of the ROM's UART loader: a restart would end there instead of in the new sketch. */
const STRAPS_UART_DOWNLOAD = 1;

/** What `writeFrom` takes bytes from; a TCP connection is one. */
export interface UpdateSource {
  /** Bytes that can be read now. */
  available(): number;
  /**
   * Up to `length` bytes, as `read(buffer, length)` would put them there. **How many came is ignored**: after a short read
   * the rest of the place in the buffer keeps what was in it, and counts as data (Q18).
   */
  read(length: number): Uint8Array;
}

/**
 * The Updater of one running application.
 *
 * @example
 * if (await update.begin(image.length)) {
 *   await update.write(image);
 *   if (await update.end()) await system.restart();
 * }
 */
export class Updater extends UpdateState {
  /**
   * Starts an update. Touches no flash. Kills a running one (Q1), and leaves an eboot command of an earlier one armed (Q20).
   *
   * @param size bytes that will come, modulo 2^32
   * @param command U_FLASH or U_FS
   * @param ledPin an LED for `writeStream`, −1 for none
   * @param ledOn the level that lights it
   */
  async begin(size: number, command: number = U_FLASH, ledPin = -1, ledOn: number = 0): Promise<boolean> {
    const { flash, system } = this.ports;
    const total = size >>> 0;
    if (this.isRunning()) {
      this.debug('[begin] already running\n');
      return this.fail({ name: 'RUNNING_ALREADY', code: 15, written: this.progress(), size: this.total });
    }
    this.ledPin = ledPin;
    this.ledOn = ledOn ? 1 : 0;
    const straps = system.bootStraps();
    if (straps === STRAPS_UART_DOWNLOAD && this.era.checksStraps)
      return this.fail({ name: 'BOOTSTRAP', code: 11, straps });
    if (total === 0) return this.fail({ name: 'SIZE', code: 5 });
    // checkFlashConfig(false), spelled out: the error tells both sizes without reading them again.
    const realSize = flash.getFlashChipRealSize();
    const configuredSize = flash.getFlashChipSize();
    if (realSize < configuredSize) return this.fail({ name: 'FLASH_CONFIG', code: 8, realSize, configuredSize });

    await this.reset();
    this.failed = undefined;
    if (this.era.forgetsMd5) this.targetMd5 = '';
    this.md5Builder = new Md5Builder(this.ports.md5);
    system.disableWifiSleep(); // never enabled again (Q15)

    const { fsStart, fsEnd } = flash.layout;
    const sketchSize = flash.getSketchSize();
    const space = { fsStart, fsEnd, sketchSize, atomicFs: this.options.atomicFs ?? false };
    const area = findUpdateArea(total, command, space);
    this.debug(...areaLines(total, command, space));
    if (!area.ok) return this.fail(area.error);

    this.startAddress = area.start;
    this.currentAddress = area.start;
    this.hashedTo = area.start;
    this.total = total;
    this.bufferSize = system.freeHeap() > ROOMY_HEAP_BYTES ? LARGE_BUFFER_BYTES : SMALL_BUFFER_BYTES;
    if (!system.allocate(this.bufferSize)) {
      await this.setError({ name: 'OOM', code: 14, needed: this.bufferSize });
      await this.reset(false);
      return false;
    }
    this.buffer = new Uint8Array(this.bufferSize); // the device's holds old heap content
    this.command = command;
    this.debug(...rangeLines(this.startAddress, this.total));
    if (!this.verifier) this.md5Builder.begin();
    this.ports.emit({
      type: 'update.begin',
      command: command === U_FS ? 'fs' : 'sketch',
      address: this.startAddress,
      size: this.total,
    });
    await this.startHandler?.();
    return true;
  }

  /**
   * Adds bytes. A buffer that is exactly full goes to flash only when more comes, or when the image is complete.
   * Offering more than was announced aborts the update with error 4. An empty write behind the last byte flushes an empty
   * buffer: that erases the next sector, fails with error 1 and loses the update (Q6).
   *
   * @returns bytes accepted; after a failed flush those that went into earlier ones
   */
  async write(data: Uint8Array): Promise<number> {
    if (this.hasError() || !this.isRunning()) return 0;
    const offered = (this.progress() + this.bufferLen + data.length) >>> 0;
    if (offered > this.total) {
      await this.setError({ name: 'SPACE', code: 4, needed: offered, free: this.total });
      return 0;
    }
    let taken = 0;
    while (this.bufferLen + data.length - taken > this.bufferSize) {
      const piece = data.subarray(taken, taken + this.bufferSize - this.bufferLen);
      this.append(piece);
      if (!(await this.flush())) return taken;
      taken += piece.length;
      const turn = this.yieldUnlessAsync();
      if (turn) await turn;
    }
    this.append(data.subarray(taken));
    if (this.bufferLen === this.remaining() && !(await this.flush())) return taken;
    return data.length;
  }

  /**
   * As {@link Updater.write} with bytes that only go into the buffer, and without a promise for it: every other piece of a
   * web upload is one of these.
   *
   * @returns undefined, and nothing was done, when there is more to it
   */
  writeNow(data: Uint8Array): number | undefined {
    const held = this.bufferLen + data.length;
    const isMore = held > this.bufferSize || held >= this.remaining() || this.hasError() || !this.isRunning();
    if (isMore) return undefined;
    this.append(data);
    return data.length;
  }

  /**
   * As {@link Updater.write} with one piece after the other, all of which are there already.
   *
   * @param data whole pieces of `pieceBytes` bytes
   * @returns false after the first that was not taken whole; those behind it are not offered
   */
  async writePieces(data: Uint8Array, pieceBytes: number): Promise<boolean> {
    // Where the image ends, each piece must meet the checks by itself.
    const atOnce = this.bufferLen + data.length < this.remaining() ? data.length : pieceBytes;
    for (let at = 0; at < data.length; at += atOnce) {
      const piece = data.subarray(at, at + atOnce);
      if ((await this.write(piece)) !== piece.length) return false;
    }
    return true;
  }

  /**
   * Takes what is available, again and again until nothing is left or the image is complete: the core's `write(T&)`.
   * Surplus data is not read.
   *
   * @returns bytes counted, whether or not they really came (see {@link UpdateSource})
   */
  async writeFrom(source: UpdateSource): Promise<number> {
    if (this.hasError() || !this.isRunning()) return 0;
    let taken = 0;
    for (let available = source.available(); available > 0; available = source.available()) {
      const outstanding = (this.remaining() - this.bufferLen) >>> 0;
      const wanted = Math.min(available, outstanding);
      const room = this.bufferSize - this.bufferLen;
      if (wanted > room) {
        this.readInto(source, room);
        if (!(await this.flush())) return taken;
        taken += room;
      } else {
        this.readInto(source, wanted);
        taken += wanted;
        if (this.bufferLen === this.remaining() && !(await this.flush())) return taken;
      }
      if (this.remaining() === 0) break;
      await this.ports.clock.delay(1);
    }
    return taken;
  }

  /**
   * Reads a whole image from a stream, with LED and progress callbacks. What is wanted per round ignores what the buffer
   * already holds, so surplus bytes behind the image are swallowed and can carry it past the announced size (Q19).
   *
   * @param timeoutMs longest time without a byte, modulo 65536; looked at only when a read brought nothing
   * @returns bytes read, those still in the buffer included
   */
  async writeStream(stream: Stream, timeoutMs: number = STREAM_NO_DATA_TIMEOUT_MS): Promise<number> {
    if (this.hasError() || !this.isRunning()) return 0;
    const { clock, system } = this.ports;
    const timeout = timeoutMs & 0xffff;
    const firstByte = stream.peek() & 0xff; // −1 reads as 0xFF (Q7)
    if (this.command === U_FLASH && firstByte !== IMAGE_MAGIC && !(firstByte === GZIP_MAGIC_0 && this.era.gzip)) {
      this.currentAddress = (this.startAddress + this.total) >>> 0;
      await this.setError({ name: 'MAGIC_BYTE', code: 10, found: firstByte });
      await this.reset();
      return 0;
    }
    let lastByteAt = clock.millis();
    await this.progressHandler?.(0, this.total);
    if (this.ledPin !== -1) system.pinMode(this.ledPin, 'output');

    let taken = 0;
    while (this.remaining() !== 0) {
      this.light(true);
      const wanted = Math.min(this.bufferSize - this.bufferLen, this.remaining());
      const piece = await stream.readBytes(wanted);
      if (piece.length > wanted) throw new RangeError(`readBytes(${wanted}) gave ${piece.length} bytes`);
      if (piece.length > 0) {
        lastByteAt = clock.millis();
      } else if ((clock.millis() - lastByteAt) >>> 0 >= timeout) {
        await this.failAtEnd({ name: 'STREAM', code: 6, received: taken, size: this.total, timeoutMs: timeout });
        await this.reset();
        return taken;
      } else {
        await clock.delay(100);
      }
      this.light(false);
      this.append(piece);
      const full = this.bufferLen === this.remaining() || this.bufferLen === this.bufferSize;
      if (full && !(await this.flush())) return taken;
      taken += piece.length;
      await this.progressHandler?.(this.progress(), this.total);
      const turn = clock.yield();
      if (turn) await turn;
    }
    await this.progressHandler?.(this.progress(), this.total);
    return taken;
  }

  /**
   * Finishes: checks MD5 or signature and the header, and arms the eboot command.
   *
   * @param evenIfRemaining accept fewer bytes than announced, if at least one flush happened. A failing last flush is
   * ignored, with strange results (Q4)
   * @returns true when the image is ready; an incomplete one gives false without an error (Q3)
   */
  async end(evenIfRemaining = false): Promise<boolean> {
    if (!this.isRunning()) {
      this.debug('no update\n');
      await this.reset();
      return false;
    }
    // 1 to bufferSize bytes are all in the buffer: no data, too (Q5).
    if (this.progress() === 0) await this.setError({ name: 'NO_DATA', code: 13, size: this.total });
    if (this.hasError() || (!this.isFinished() && !evenIfRemaining)) {
      this.debug(`premature end: res:${this.getError()}, pos:${this.progress()}/${this.total}\n`);
      await this.reset();
      return false;
    }
    if (evenIfRemaining) {
      if (this.bufferLen > 0) await this.flush();
      this.total = this.progress();
    }
    if (this.verifier) {
      if (!(await this.acceptSignature(this.verifier))) return false;
    } else if (this.targetMd5 !== '' && !(await this.acceptMd5())) {
      return false;
    }
    if (!(await this.acceptHeader())) return false;

    this.arm();
    this.ports.emit({ type: 'update.end', md5: this.md5String(), size: this.total });
    await this.reset();
    return true;
  }

  /** §7.2. Afterwards the size is that of the payload. */
  private async acceptSignature(verifier: SignatureVerifier): Promise<boolean> {
    const file = { start: this.startAddress, size: this.total };
    const verdict = checkSignature(verifier, file, this.ports.flash, this.ports.system, (line) => this.debug(line));
    if (verdict.ok) {
      this.total = verdict.payloadSize;
      return true;
    }
    const { error } = verdict;
    if (!this.era.survivesBadSignature && error.name === 'SIGN' && error.problem.check === 'signature') {
      this.options.crash?.('the signature does not match');
    }
    await this.setError(error);
    await this.reset();
    return false;
  }

  /** §8 step 5. The only failure of `end` that resets once. */
  private async acceptMd5(): Promise<boolean> {
    this.hashUpTo(this.currentAddress);
    this.md5Builder.calculate();
    const actual = this.md5String();
    if (asciiLowerCase(this.targetMd5) !== actual) {
      return this.fail({ name: 'MD5', code: 7, expected: this.targetMd5, actual });
    }
    this.debug(`[Updater] MD5 Success: ${this.targetMd5}\n`);
    return true;
  }

  /** `_verifyEnd`, §7.3. A file system is not looked at. */
  private async acceptHeader(): Promise<boolean> {
    if (this.command !== U_FLASH) return true;
    const error = findHeaderError(this.ports.flash, this.startAddress, this.era.gzip);
    if (!error) return true;
    this.currentAddress = this.startAddress;
    await this.setError(error);
    await this.reset();
    return false;
  }

  /** §8 step 7. */
  private arm(): void {
    const isFs = this.command === U_FS;
    if (!isFs) {
      this.ports.command.writeCopy(this.startAddress, 0, this.total);
    } else if (this.options.atomicFs) {
      this.ports.command.writeCopy(this.startAddress, this.ports.flash.layout.fsStart, this.total);
    }
    const where = isFs ? 'Filesystem' : 'Staged';
    this.debug(`${where}: address:${hex8(this.startAddress)}, size:${hex8(this.total)}\n`);
  }

  /** `source.read(buffer + bufferLen, length)` with its result ignored (Q18). */
  private readInto(source: UpdateSource, length: number): void {
    const data = source.read(length);
    if (data.length > length) throw new RangeError(`read(${length}) gave ${data.length} bytes`);
    this.buffer.set(data, this.bufferLen);
    this.bufferLen += length;
  }
}

const asciiLowerCase = (text: string): string => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
