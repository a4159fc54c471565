/** Files named by the user: read with a limit, written whole or not at all, with errors that say what to do. */
import {
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { UserError } from './errors.ts';

const PIECE_BYTES = 1 << 20;

/**
 * All bytes of a file; a pipe will do.
 *
 * @param what the file's role, for messages: `image`, `key`
 * @param limit bytes; more is an error
 * @throws UserError when it cannot be read or is larger
 */
export function readInput(what: string, path: string, limit: number): Buffer {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const pieces: Buffer[] = [];
    let total = 0;
    for (;;) {
      const piece = Buffer.alloc(PIECE_BYTES);
      const count = readSync(file, piece, 0, PIECE_BYTES, null);
      if (count === 0) return Buffer.concat(pieces, total);
      total += count;
      if (total > limit) throw new UserError(`${what} ${path}: has more than ${limit} bytes: that is no ${what}`);
      pieces.push(piece.subarray(0, count));
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${what} ${path}: ${reading(error)}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

function reading(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EISDIR':
      return 'is a folder; name a file';
    case 'EACCES':
    case 'EPERM':
      return 'may not be read';
    default:
      return `cannot be read (${codeOf(error) ?? String(error)})`;
  }
}

/**
 * Writes a file beside its place and renames it, so that nobody ever sees half of it.
 *
 * @throws UserError when it cannot be written; what was there is then unchanged
 */
export function writeWhole(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${process.pid}.part`;
  try {
    const there = statSync(path, { throwIfNoEntry: false });
    if (there?.isDirectory()) throw new UserError(`--out ${path}: is a folder; name a file in it`);
    if (there && !there.isFile()) {
      writeFileSync(path, bytes); // a device such as /dev/stdout must not be replaced by a file
      return;
    }
    const file = openSync(temporary, 'wx', there?.mode ?? 0o666);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    remove(temporary);
    throw new UserError(`--out ${path}: ${writing(error, path)}`);
  }
}

/** As far as that goes: the first error is the one to tell. */
function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // below a file that is taken for a folder there is nothing to remove
  }
}

function writing(error: unknown, path: string): string {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no folder ${dirname(path)}`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'may not be written';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full';
    default:
      return `cannot be written (${codeOf(error) ?? String(error)})`;
  }
}
