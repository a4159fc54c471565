/**
 * Programming many pages at once, where nobody could tell it from one by one. An update programs thousands of them, and in
 * fast time most of its own time went into asking and telling about each.
 */
import type { Area } from './events.ts';

/** Whole pages, one behind the other in one sector that was erased: none had stuck bits. */
export interface PageRun {
  /** Of the first page. */
  readonly address: number;
  readonly pages: number;
  readonly area: Area;
  readonly wear: number;
  /** Of each page; not spent yet. */
  readonly busyUs: number;
}

/** Asked before each run. */
export interface PageRuns {
  /** Nobody looks at a single operation, and the device does not wait between two. */
  isOpen(): boolean;
  /** In place of one event a page. */
  tell(run: PageRun): void;
}
