/**
 * What a served folder offers, as a table, and a watch that tells when that changes. Only the table depends on the watch:
 * requests look at the files themselves.
 */
import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import { type CatalogueImage, type ImageSort, imagesOf } from '../ota-services/update-server/catalogue.ts';
import { MAX_DEPTH } from '../ota-services/update-server/url-path.ts';
import { FileTrouble, type ServedFolder } from './update-files.ts';

/** Folders in the table, and watched; more are served, but not listed. */
const MAX_FOLDERS = 256;
/** Names that wait to be looked at. */
const MAX_WAITING = 10_000;
const QUIET_MS = 200;

/** An image that a device would get. */
export interface OfferedImage {
  /** URL path of its folder: `/`, `/lamps`. */
  readonly folder: string;
  readonly file: string;
  readonly mode: ImageSort;
  readonly version: string;
  /** Bytes. */
  readonly size: number;
  /** 32 hex digits, lower case. */
  readonly md5: string;
  readonly gzip: boolean;
  readonly signed: boolean;
  /** How many other files of that mode lie in the folder, of lower versions. */
  readonly lower: number;
  /** Why no device could use it. */
  readonly damage?: string;
}

export interface OfferTable {
  readonly images: readonly OfferedImage[];
  /** Paths of the folders that were looked at. */
  readonly folders: readonly string[];
}

/** Walks the folder. Links are followed inside it; a folder with two names is listed under the shorter path. */
export async function offerTable(files: ServedFolder): Promise<OfferTable> {
  const images: OfferedImage[] = [];
  const folders = new Set<string>();
  const open: string[][] = [[]];
  for (let next = open.shift(); next !== undefined && folders.size < MAX_FOLDERS; next = open.shift()) {
    try {
      const path = await files.folder(next);
      if (path === undefined || folders.has(path)) continue;
      folders.add(path);
      const names = ((await files.list(next)) ?? []).sort();
      for (const mode of ['sketch', 'spiffs'] as const) images.push(...(await offeredIn(files, next, names, mode)));
      if (next.length >= MAX_DEPTH) continue;
      // Images are no folders; this saves a look at each.
      for (const name of names) {
        if (!/\.(bin|gz|signed)$/i.test(name) && open.length < MAX_WAITING) open.push([...next, name]);
      }
    } catch (error) {
      if (!(error instanceof FileTrouble)) throw error;
    }
  }
  return { images, folders: [...folders] };
}

async function offeredIn(
  files: ServedFolder,
  folder: readonly string[],
  names: readonly string[],
  mode: ImageSort,
): Promise<OfferedImage[]> {
  const groups = imagesOf(names, mode);
  for (const [index, group] of groups.entries()) {
    const found: OfferedImage[] = [];
    const lower = groups.slice(index + 1).flat().length;
    for (const image of group) {
      const row = await offered(files, folder, image);
      if (row) found.push({ ...row, lower });
    }
    if (found.length > 0) return found;
  }
  return [];
}

async function offered(
  files: ServedFolder,
  folder: readonly string[],
  { fileName, sort, version, gzip, signed }: CatalogueImage,
): Promise<Omit<OfferedImage, 'lower'> | undefined> {
  const row = { folder: `/${folder.join('/')}`, file: fileName, mode: sort, version, gzip, signed };
  try {
    const file = await files.open([...folder, fileName]);
    if (file === undefined) return undefined;
    await file.handle.close();
    const { size, md5, damage } = file.facts;
    return { ...row, size, md5, ...(damage === undefined || sort === 'spiffs' ? {} : { damage }) };
  } catch (error) {
    if (!(error instanceof FileTrouble)) throw error;
    return { ...row, size: 0, md5: '', damage: error.message };
  }
}

/** What the table lost and gained. */
export interface OfferChange {
  readonly gone: readonly OfferedImage[];
  readonly come: readonly OfferedImage[];
}

/** Calls `onChange` some time after the table changed, until it is closed. */
export class OfferWatch {
  private readonly watchers = new Map<string, FSWatcher>();
  private timer: NodeJS.Timeout | undefined;
  private closed = false;
  private scanning = false;

  constructor(
    private readonly files: ServedFolder,
    private table: OfferTable,
    private readonly onChange: (change: OfferChange) => void,
  ) {
    this.follow();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private follow(): void {
    const wanted = new Set(this.table.folders);
    for (const [path, watcher] of this.watchers) {
      if (wanted.has(path)) continue;
      watcher.close();
      this.watchers.delete(path);
    }
    for (const path of wanted) {
      if (this.watchers.has(path)) continue;
      try {
        const watcher = watch(path, { persistent: false }, () => this.wake());
        watcher.on('error', () => {
          watcher.close();
          this.watchers.delete(path);
        });
        this.watchers.set(path, watcher);
      } catch {
        // The system has no watch to give: the table stays as it is, requests do not need it.
      }
    }
  }

  private wake(): void {
    if (this.closed || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.scan();
    }, QUIET_MS);
    this.timer.unref();
  }

  private async scan(): Promise<void> {
    if (this.scanning) {
      this.wake();
      return;
    }
    this.scanning = true;
    try {
      const before = this.table;
      this.table = await offerTable(this.files);
      if (this.closed) return;
      this.follow();
      const gone = without(before.images, this.table.images);
      const come = without(this.table.images, before.images);
      if (gone.length + come.length > 0) this.onChange({ gone, come });
    } finally {
      this.scanning = false;
    }
  }
}

/** Those of `images` that are not among `others`. */
function without(images: readonly OfferedImage[], others: readonly OfferedImage[]): OfferedImage[] {
  const keyOf = ({ folder, file, size, md5 }: OfferedImage): string => JSON.stringify([join(folder, file), size, md5]);
  const known = new Set(others.map(keyOf));
  return images.filter((image) => !known.has(keyOf(image)));
}
