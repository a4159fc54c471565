/**
 * The chip in a file: a raw image, byte for byte, kept current.
 *
 * Every chip operation is one positioned write inside one 4 KiB page of the file, which a `kill -9` cannot split: the
 * file always shows the chip before or after an operation, and half-written sectors only where the modelled chip has
 * them. A new file is written whole under another name, then renamed. `FILE.lock` keeps a second writer out.
 * Contract: design.md §4.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CHIP_MAX_BYTES, CHIP_MIN_BYTES } from '../flash/geometry.ts';
import type { FlashMirror } from '../flash/nor-flash.ts';

/** A flash file that cannot be used, with a message for the user. */
export class FlashFileError extends Error {
  override readonly name = 'FlashFileError';
}

const reason = (error: unknown): string => {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full; free some space or choose another place';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'no permission to write there';
    case 'ENOENT':
      return 'the folder does not exist';
    case 'EISDIR':
      return 'that is a folder, not a file';
    default:
      return message;
  }
};

const sizeText = (bytes: number): string =>
  bytes % 0x100000 === 0 ? `${bytes / 0x100000}M` : bytes % 1024 === 0 ? `${bytes / 1024}K` : `${bytes} bytes`;

/** The size of an existing chip file in bytes, or undefined when there is none. */
export function flashFileSize(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  const stat = statSync(path);
  if (!stat.isFile()) throw new FlashFileError(`flash file ${path}: that is not a regular file`);
  return stat.size;
}

export class FlashFile implements FlashMirror {
  private failed = false;

  private constructor(
    readonly path: string,
    readonly capacityBytes: number,
    private readonly descriptor: number,
    private readonly lock: FileLock,
    /** Told once when the file can no longer be written; the chip in memory goes on. */
    private readonly onError: (error: FlashFileError) => void,
  ) {}

  /**
   * Opens a chip file, making it (all 0xFF) when it is missing.
   * @returns the file, its bytes, and whether it was made now
   * @throws FlashFileError wrong size, locked by another device, full disk, no permission
   */
  static open(
    path: string,
    capacityBytes: number,
    onError: (error: FlashFileError) => void,
  ): { file: FlashFile; content: Uint8Array; made: boolean } {
    const size = flashFileSize(path);
    if (size !== undefined && size !== capacityBytes) {
      const usable = size >= CHIP_MIN_BYTES && size <= CHIP_MAX_BYTES && (size & (size - 1)) === 0;
      throw new FlashFileError(
        `flash file ${path} holds ${size} bytes, but the chip has ${capacityBytes} (${sizeText(capacityBytes)}); ` +
          (usable
            ? `use --flash-size ${sizeText(size)} for this file, or name another file`
            : 'a chip file holds every byte of the chip: delete it to get a new one, or name another file'),
      );
    }
    const lock = FileLock.take(path);
    try {
      const made = size === undefined;
      if (made) createBlank(path, capacityBytes);
      const descriptor = openSync(path, 'r+');
      const content = new Uint8Array(capacityBytes);
      for (let at = 0; at < capacityBytes; ) {
        const count = readSync(descriptor, content, at, capacityBytes - at, at);
        if (count === 0) throw new FlashFileError(`flash file ${path} ended at byte ${at} while it was read`);
        at += count;
      }
      return { file: new FlashFile(path, capacityBytes, descriptor, lock, onError), content, made };
    } catch (error) {
      lock.release();
      if (error instanceof FlashFileError) throw error;
      throw new FlashFileError(`flash file ${path}: ${reason(error)}`);
    }
  }

  write(address: number, data: Uint8Array): void {
    if (this.failed) return;
    try {
      let at = 0;
      while (at < data.length) at += writeSync(this.descriptor, data, at, data.length - at, address + at);
    } catch (error) {
      this.failed = true;
      this.onError(
        new FlashFileError(
          `flash file ${this.path}: ${reason(error)}; from address 0x${address.toString(16)} on, ` +
            'changes of the chip are no longer kept',
        ),
      );
    }
  }

  close(): void {
    try {
      if (!this.failed) fsyncSync(this.descriptor);
    } finally {
      closeSync(this.descriptor);
      this.lock.release();
    }
  }
}

/** Writes the whole file under a temporary name first, so that a half-made chip never carries the real name. */
function createBlank(path: string, capacityBytes: number): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
  try {
    const descriptor = openSync(temporary, 'wx');
    try {
      const blank = new Uint8Array(0x10000).fill(0xff);
      for (let at = 0; at < capacityBytes; at += blank.length) {
        let done = 0;
        while (done < blank.length) done += writeSync(descriptor, blank, done, blank.length - done, at + done);
      }
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    if (existsSync(temporary)) unlinkSync(temporary);
    throw new FlashFileError(`flash file ${path} (${sizeText(capacityBytes)}) cannot be made: ${reason(error)}`);
  }
}

/** Locks that this process holds: two devices in one process must not share a file either. */
const held = new Set<string>();

/**
 * `FILE.lock` with the writer's pid. On Linux the process's start time stands behind it, so that a pid that was given to
 * another program is not taken for the dead writer.
 */
class FileLock {
  private constructor(
    private readonly path: string,
    private readonly key: string,
  ) {}

  static take(file: string): FileLock {
    let key: string;
    try {
      // Through links: two names of one file are one file.
      key = existsSync(file) ? realpathSync(file) : join(realpathSync(dirname(resolve(file))), basename(file));
    } catch (error) {
      throw new FlashFileError(`flash file ${file}: ${reason(error)}`);
    }
    const path = `${key === resolve(file) ? file : key}.lock`;
    if (held.has(key)) throw new FlashFileError(`flash file ${file} is in use by another device of this process`);
    const mine = `${path}.${process.pid}`;
    try {
      // Written whole under its own name and linked: a lock that can be seen always says whose it is.
      writeFileSync(mine, `${process.pid} ${startTime(process.pid)}\n`);
      // Two tries: the second after a dead writer's lock was removed. Another device may win in between; then it is its.
      for (let attempt = 0; attempt < 2; attempt++) {
        try {
          linkSync(mine, path);
          held.add(key);
          return new FileLock(path, key);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        }
        const owner = readOwner(path);
        if (owner !== undefined && isAlive(owner)) {
          throw new FlashFileError(
            `flash file ${file} is in use by the device with process id ${owner.pid} (${path}); ` +
              'stop that device, or give this one a file of its own',
          );
        }
        removeStale(path, owner);
      }
    } catch (error) {
      if (error instanceof FlashFileError) throw error;
      throw new FlashFileError(`flash file ${file}: its lock ${path} cannot be made: ${reason(error)}`);
    } finally {
      rmSync(mine, { force: true });
    }
    throw new FlashFileError(`flash file ${file} is being taken by another device (${path}); try again`);
  }

  release(): void {
    held.delete(this.key);
    rmSync(this.path, { force: true });
  }
}

/**
 * Removes a dead writer's lock. It is renamed first, so that of two devices that find it only one removes it; and looked
 * at again, so that a lock which a third device made meanwhile is put back.
 */
function removeStale(path: string, dead: Owner | undefined): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
    const moved = readOwner(aside);
    if (moved?.pid !== dead?.pid || moved?.started !== dead?.started) linkSync(aside, path);
  } catch {
    // Somebody else took it over; the next try finds their lock.
  } finally {
    rmSync(aside, { force: true });
  }
}

interface Owner {
  readonly pid: number;
  readonly started: string;
}

function readOwner(path: string): Owner | undefined {
  try {
    const [pid = '', started = ''] = readFileSync(path, 'latin1').trim().split(/\s+/);
    return /^\d+$/.test(pid) ? { pid: Number(pid), started } : undefined;
  } catch {
    return undefined;
  }
}

/** Field 22 of /proc/PID/stat, behind the command name in parentheses; empty where there is no /proc. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return owner.started === '' || startTime(owner.pid) === owner.started;
}
