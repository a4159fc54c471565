/**
 * The files below a served folder, and nothing else of this machine: the second wall behind
 * `ota-services/update-server/url-path.ts`. Source: design.md §4 (`serve`), §9.
 *
 * A path is resolved first and must then lie inside without a dot name; what was opened is looked up again and must still be
 * that file. So links that lead out do not exist, however the tree changes meanwhile. No device takes part here: what is
 * caught in this file can be no Interruption.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, opendir, readlink, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHIP_MAX_BYTES } from '../flash/geometry.ts';
import { type ImageReport, parseImage } from '../flash/image-format.ts';
import { gunzip } from './gzip.ts';

/** The largest chip, and a signature. */
export const MAX_IMAGE_BYTES = CHIP_MAX_BYTES + 4096;
/** Entries of one folder; a folder with more is refused, as its highest version could be missed. */
export const MAX_FOLDER_ENTRIES = 10_000;
const MAX_REMEMBERED = 1000;
/** Tries to catch a file in a moment of rest. */
const TRIES = 4;
const PAUSE_MS = 25;
/**
 * A file that was changed so shortly before it was read may change again without a new time stamp, as the system's clock for
 * files ticks slowly: what is known of it is not kept.
 */
const SETTLED_NS = 2_000_000_000n;
/** Flash modes 0 to 3. The Updater gives a sketch the running one's: spec chapter 02 §3, Q10. */
const FLASH_MODES = [0, 1, 2, 3] as const;
const MODE_BYTE = 2;

/** Something is there and cannot be served now; `message` may be told to the peer. */
export class FileTrouble extends Error {
  override readonly name = 'FileTrouble';
  constructor(
    message: string,
    /** 503: the next try may succeed. */
    readonly status: 500 | 503 = 500,
  ) {
    super(message);
  }
}

/** What is known of a file's bytes. */
export interface FileFacts {
  readonly size: number;
  /** 32 hex digits, lower case. */
  readonly md5: string;
  /** See `Offer.sketchMd5s`. */
  readonly sketchMd5s: readonly string[];
  /** Why no ESP8266 would run it as a sketch. */
  readonly damage?: string;
}

interface FileState {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** A regular file inside the folder, open for reading; the holder closes it. */
export interface OpenFile {
  readonly handle: FileHandle;
  readonly facts: FileFacts;
}

const sameState = (a: FileState, b: FileState): boolean =>
  a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;

export class ServedFolder {
  private readonly known = new Map<string, { readonly state: FileState; readonly facts: FileFacts }>();
  /** One file is read at a time, so that memory holds one. */
  private reading: Promise<unknown> = Promise.resolve();

  private constructor(
    /** Absolute, without links. */
    readonly root: string,
  ) {}

  /** @returns the folder, or why there is none */
  static async at(dir: string): Promise<ServedFolder | string> {
    try {
      const root = await realpath(dir);
      if (!(await stat(root)).isDirectory()) return 'is not a folder';
      const folder = new ServedFolder(root);
      await folder.list([]);
      return folder;
    } catch (error) {
      if (error instanceof FileTrouble) return error.message;
      const code = codeOf(error);
      return code === 'ENOENT' ? 'there is no such folder' : `cannot be read (${code ?? String(error)})`;
    }
  }

  /**
   * The names in a folder.
   *
   * @param names path below the root; plain names as of `urlPath`
   * @returns undefined when there is no such folder
   * @throws FileTrouble when it cannot be read or has too many entries
   */
  async list(names: readonly string[]): Promise<string[] | undefined> {
    const path = await this.resolve(names);
    if (path === undefined) return undefined;
    try {
      const found: string[] = [];
      for await (const { name } of await opendir(path)) {
        if (name.startsWith('.')) continue;
        if (found.length === MAX_FOLDER_ENTRIES) {
          throw new FileTrouble(`the folder has more than ${MAX_FOLDER_ENTRIES} entries`);
        }
        found.push(name);
      }
      return found;
    } catch (error) {
      return missingOrThrow(error);
    }
  }

  /** Whether the path is a folder inside, by the link's end; its real path tells two ways to the same folder. */
  async folder(names: readonly string[]): Promise<string | undefined> {
    const path = await this.resolve(names);
    if (path === undefined) return undefined;
    try {
      return (await lstat(path)).isDirectory() ? path : undefined;
    } catch (error) {
      return missingOrThrow(error);
    }
  }

  /**
   * Opens a file and tells what it holds.
   *
   * @returns undefined when there is no such regular file inside
   * @throws FileTrouble when it cannot be read, is too large, or does not come to rest
   */
  async open(names: readonly string[]): Promise<OpenFile | undefined> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (attempt > 0) await sleep(PAUSE_MS);
      const path = await this.resolve(names);
      if (path === undefined) return undefined;
      const handle = await openRegular(path);
      if (handle === undefined) return undefined;
      let kept = false;
      try {
        const state = await handle.stat({ bigint: true });
        if (!state.isFile()) return undefined;
        if (!(await isStillAt(path, handle, state))) continue;
        const facts = await this.factsOf(handle, state);
        if (facts === undefined) continue;
        kept = true;
        return { handle, facts };
      } finally {
        if (!kept) await handle.close();
      }
    }
    throw new FileTrouble('the file is being changed', 503);
  }

  /** The path without links; undefined when it does not exist, leads out, or has a dot name. */
  private async resolve(names: readonly string[]): Promise<string | undefined> {
    try {
      const path = await realpath(join(this.root, ...names));
      return this.contains(path) ? path : undefined;
    } catch (error) {
      return missingOrThrow(error);
    }
  }

  private contains(path: string): boolean {
    const inside = relative(this.root, path);
    return !isAbsolute(inside) && !inside.split(sep).some((name) => name.startsWith('.'));
  }

  private async factsOf(handle: FileHandle, state: FileState): Promise<FileFacts | undefined> {
    const key = `${state.dev}:${state.ino}`;
    const known = this.known.get(key);
    if (known && sameState(known.state, state)) return known.facts;
    if (state.size > BigInt(MAX_IMAGE_BYTES)) {
      throw new FileTrouble(`${state.size} bytes are more than any ESP8266 has flash`);
    }
    const turn = this.reading.then(() => readFacts(handle, state));
    this.reading = turn.catch(() => {});
    const facts = await turn;
    this.known.delete(key);
    if (facts && isSettled(state)) {
      this.known.set(key, { state, facts });
      const [oldest] = this.known.keys();
      if (this.known.size > MAX_REMEMBERED && oldest !== undefined) this.known.delete(oldest);
    }
    return facts;
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** What `serve` takes for "does not exist"; the rest is trouble that the log should show. */
function missingOrThrow(error: unknown): undefined {
  if (error instanceof FileTrouble) throw error;
  const code = codeOf(error);
  if (code === undefined) throw error;
  if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EINVAL'].includes(code)) {
    throw new FileTrouble(`cannot be read (${code})`);
  }
  return undefined;
}

/** A path without links; the flags refuse one that has come since, and do not wait for the writer of a pipe. */
async function openRegular(path: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  try {
    // A folder, a socket or a device is not even opened.
    if (!(await lstat(path)).isFile()) return undefined;
    return await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    return missingOrThrow(error);
  }
}

/** Whether what was opened is what the path (still) names, with none of its folders turned into a link. */
async function isStillAt(path: string, handle: FileHandle, state: FileState): Promise<boolean> {
  try {
    if (process.platform === 'linux' && (await readlink(`/proc/self/fd/${handle.fd}`)) !== path) return false;
    const now = await lstat(path, { bigint: true });
    return now.dev === state.dev && now.ino === state.ino && (await realpath(path)) === path;
  } catch (error) {
    missingOrThrow(error);
    return false;
  }
}

const isSettled = ({ mtimeNs, ctimeNs }: FileState): boolean => {
  const newest = mtimeNs > ctimeNs ? mtimeNs : ctimeNs;
  return BigInt(Date.now()) * 1_000_000n - newest > SETTLED_NS;
};

/** Reads all of it; undefined when it changed meanwhile. */
async function readFacts(handle: FileHandle, before: FileState): Promise<FileFacts | undefined> {
  const size = Number(before.size);
  const bytes = Buffer.alloc(size);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await handle.read(bytes, done, size - done, done);
    if (bytesRead === 0) return undefined;
    done += bytesRead;
  }
  return sameState(before, await handle.stat({ bigint: true })) ? fileFacts(bytes) : undefined;
}

const md5 = (...pieces: readonly Uint8Array[]): string => {
  const hash = createHash('md5');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
};

/** What a file's bytes mean to a device. */
export function fileFacts(bytes: Uint8Array): FileFacts {
  const own = md5(bytes);
  const outside = parseImage(bytes);
  const facts = { size: bytes.length, md5: own };
  const image = outside.kind === 'gzip' ? unpack(bytes, outside) : bytes;
  if (image === undefined) return { ...facts, sketchMd5s: [own], damage: 'does not unpack' };
  const report = outside.kind === 'gzip' ? parseImage(image) : outside;
  const damage = report.damage === undefined ? {} : { damage: report.damage };
  if (report.sketchSize === undefined) return { ...facts, sketchMd5s: [own], ...damage };
  const sketch = image.subarray(0, report.sketchSize);
  const head = sketch.subarray(0, MODE_BYTE);
  const rest = sketch.subarray(MODE_BYTE + 1);
  const patched = FLASH_MODES.map((mode) => md5(head, Uint8Array.of(mode), rest));
  return { ...facts, sketchMd5s: [...new Set([own, md5(sketch), ...patched])], ...damage };
}

const unpack = (bytes: Uint8Array, { signature }: ImageReport): Uint8Array | undefined =>
  gunzip(signature ? bytes.subarray(0, signature.at) : bytes);
