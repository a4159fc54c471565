/**
 * Every distinct content of a sector, once, under a number. Equal bytes have equal numbers, so chips are compared and copied
 * as tables of numbers. What a trial made and nobody keeps is forgotten when it ends: memory in use depends on the update,
 * not on how many cuts are tried.
 */
import type { SectorTables } from '../../assembly/host/sector-tables.ts';
import { MAX_CONTENTS } from '../../assembly/host/sector-tables.ts';
import { PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';

/** Contents are kept in blocks of so many. */
const BLOCK_CONTENTS = 256;
const PAGES = SECTOR_BYTES / PAGE_BYTES;

/** CRC-32/MPEG-2 that continues from its second argument, as `Kernels.crc32`. */
export type ContinuedCrc = (data: Uint8Array, crc: number) => number;

export class Contents {
  /** The number of the erased sector. */
  readonly blank: number;
  private readonly bytesOf: Uint8Array[] = [];
  private readonly crcs = new Uint32Array(MAX_CONTENTS);
  /** Owners outside of trials; a content without any is forgotten with the scope it was made in. */
  private readonly owners = new Uint32Array(MAX_CONTENTS);
  private readonly byCrc = new Map<number, number>();
  /** The next content with the same CRC, or -1. */
  private readonly chain = new Int32Array(MAX_CONTENTS).fill(-1);
  private readonly free: number[] = [];
  /** Made in the scopes that are open, or given up meanwhile by {@link Contents.disownLater}. */
  private readonly fresh: number[] = [];
  private readonly marks: number[] = [];
  private readonly partials = new Map<number, number>();
  private readonly hasPartials = new Uint8Array(MAX_CONTENTS);
  private readonly forgetters: ((content: number) => void)[] = [];
  private readonly scratch = new Uint8Array(SECTOR_BYTES);
  private count = 0;

  constructor(
    private readonly tables: SectorTables,
    readonly crc32: ContinuedCrc,
  ) {
    this.blank = this.intern(this.scratch.fill(0xff));
    this.own(this.blank);
  }

  /** How many contents exist now. */
  get size(): number {
    return this.count - this.free.length;
  }

  /** The 4096 bytes of a content: not to be changed. */
  bytes(content: number): Uint8Array {
    return this.bytesOf[content]!;
  }

  /** CRC-32/MPEG-2 of a content that starts from 0. */
  crcOf(content: number): number {
    return this.crcs[content]!;
  }

  /** Calls `forget` when a number no longer stands for its content; for whoever remembers things by number. */
  onForget(forget: (content: number) => void): void {
    this.forgetters.push(forget);
  }

  /** The number of these 4096 bytes, which are copied when they are new. */
  intern(bytes: Uint8Array): number {
    const crc = this.crc32(bytes, 0);
    const first = this.byCrc.get(crc) ?? -1;
    for (let content = first; content >= 0; content = this.chain[content]!) {
      if (Buffer.compare(this.bytesOf[content]!, bytes) === 0) return content;
    }
    const content = this.take();
    this.bytesOf[content]!.set(bytes);
    this.crcs[content] = crc;
    this.tables.setCrc(content, crc);
    this.chain[content] = first;
    this.byCrc.set(crc, content);
    this.owners[content] = 0;
    if (this.marks.length > 0) this.fresh.push(content);
    return content;
  }

  /** What programming `data` at `offset` leaves of a content: bits go 1 -> 0 only. Inside the sector, any length. */
  program(content: number, offset: number, data: Uint8Array): number {
    const { scratch } = this;
    scratch.set(this.bytesOf[content]!);
    for (let i = 0; i < data.length; i++) scratch[offset + i]! &= data[i]!;
    return this.intern(scratch);
  }

  /** A content with some bytes replaced, as no chip can. */
  replace(content: number, offset: number, data: Uint8Array): number {
    const { scratch } = this;
    scratch.set(this.bytesOf[content]!);
    scratch.set(data, offset);
    return this.intern(scratch);
  }

  /** An erased sector into which the first `pages` pages of a content were programmed. */
  partial(content: number, pages: number): number {
    if (pages === 0) return this.blank;
    if (pages === PAGES) return content;
    const key = content * PAGES + pages;
    const known = this.partials.get(key);
    if (known !== undefined) return known;
    const { scratch } = this;
    scratch.set(this.bytesOf[content]!);
    scratch.fill(0xff, pages * PAGE_BYTES);
    const partial = this.intern(scratch);
    // Of what stays the parts are wanted again and again: there are at most 15 of each sector of an image.
    if (this.owners[content]! > 0) {
      this.partials.set(key, partial);
      this.hasPartials[content] = 1;
      this.own(partial);
    }
    return partial;
  }

  /** Keeps a content beyond the scope it was made in, until {@link Contents.disown}. */
  own(content: number): void {
    this.owners[content]!++;
  }

  disown(content: number): void {
    if (--this.owners[content]! === 0) this.forget(content);
  }

  /** The same, for an owner that cannot know who uses it just now: it is forgotten with the outermost scope that is open. */
  disownLater(content: number): void {
    if (--this.owners[content]! > 0) return;
    const [outermost] = this.marks;
    if (outermost === undefined) {
      this.forget(content);
      return;
    }
    this.fresh.splice(outermost, 0, content);
    for (let i = 1; i < this.marks.length; i++) this.marks[i]!++;
  }

  /** What is made from here on is forgotten at {@link Contents.close}, unless it is owned. Scopes nest. */
  open(): void {
    this.marks.push(this.fresh.length);
  }

  close(): void {
    const mark = this.marks.pop()!;
    while (this.fresh.length > mark) {
      const content = this.fresh.pop()!;
      if (this.owners[content] === 0 && this.chain[content] !== FORGOTTEN) this.forget(content);
    }
  }

  private take(): number {
    const again = this.free.pop();
    if (again !== undefined) return again;
    const content = this.count++;
    if (content >= MAX_CONTENTS) throw new RangeError(`a sweep holds at most ${MAX_CONTENTS} contents of sectors`);
    if (content % BLOCK_CONTENTS === 0) {
      const block = new Uint8Array(BLOCK_CONTENTS * SECTOR_BYTES);
      for (let i = 0; i < BLOCK_CONTENTS; i++) {
        this.bytesOf.push(block.subarray(i * SECTOR_BYTES, (i + 1) * SECTOR_BYTES));
      }
    }
    return content;
  }

  private forget(content: number): void {
    for (let pages = 1; this.hasPartials[content] && pages < PAGES; pages++) {
      const key = content * PAGES + pages;
      const partial = this.partials.get(key);
      if (partial === undefined) continue;
      this.partials.delete(key);
      this.disown(partial);
    }
    this.hasPartials[content] = 0;
    const crc = this.crcs[content]!;
    const first = this.byCrc.get(crc)!;
    if (first === content) {
      if (this.chain[content]! >= 0) this.byCrc.set(crc, this.chain[content]!);
      else this.byCrc.delete(crc);
    } else {
      let before = first;
      while (this.chain[before] !== content) before = this.chain[before]!;
      this.chain[before] = this.chain[content]!;
    }
    for (const forgetter of this.forgetters) forgetter(content);
    this.chain[content] = FORGOTTEN;
    this.free.push(content);
  }
}

/** In the place of the next content of the same CRC. */
const FORGOTTEN = -2;
