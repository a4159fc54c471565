/**
 * Snapshots that can be gone back to: a bounded number of named ones, and some that are taken by themselves before an update and
 * before each copy by eboot. */
import { ApiError, conflict } from './api-error.ts';
import type { OpaqueSnapshot } from './ports.ts';

/** A snapshot holds every byte of the chip. */
export const MAX_SNAPSHOTS = 16;

export interface SnapshotInfo {
  readonly id: string;
  readonly name: string;
  readonly atUs: number;
  /** Taken by itself; replaced by the next of its kind. */
  readonly automatic: boolean;
}

interface Entry<S> {
  readonly info: SnapshotInfo;
  readonly snapshot: S;
}

export class Snapshots<S extends OpaqueSnapshot> {
  private readonly entries = new Map<string, Entry<S>>();
  private counter = 0;

  /** @throws ApiError 409 when there are {@link MAX_SNAPSHOTS} */
  add(name: string, atUs: number, take: () => S): SnapshotInfo {
    const own = [...this.entries.values()].filter(({ info }) => !info.automatic);
    if (own.length >= MAX_SNAPSHOTS) {
      throw conflict('too-many-snapshots', `there are ${MAX_SNAPSHOTS} snapshots already; DELETE one first`);
    }
    const id = `s${++this.counter}`;
    return this.put(id, name, atUs, take(), false);
  }

  /** One of its kind is kept. */
  addAutomatic(id: string, name: string, atUs: number, snapshot: S): void {
    this.put(id, name, atUs, snapshot, true);
  }

  list(): SnapshotInfo[] {
    return [...this.entries.values()].map(({ info }) => info);
  }

  /** @throws ApiError 404 */
  get(id: string): Entry<S> {
    const entry = this.entries.get(id);
    if (!entry) throw new ApiError(404, 'no-such-snapshot', `there is no snapshot ${id}`);
    return entry;
  }

  /** @throws ApiError 404 */
  remove(id: string): void {
    this.get(id);
    this.entries.delete(id);
  }

  private put(id: string, name: string, atUs: number, snapshot: S, automatic: boolean): SnapshotInfo {
    const info = { id, name, atUs, automatic };
    this.entries.delete(id);
    this.entries.set(id, { info, snapshot });
    return info;
  }
}
