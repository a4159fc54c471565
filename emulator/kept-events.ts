/**
 * The last events. Nine in ten are operations of the chip, and an update makes thousands of them: those are kept as rows of
 * numbers, and become objects again when somebody asks. As objects they took a tenth of the time of a fast update, most of
 * it in the garbage collector, which moves twice whatever stays.
 */
import type { Area, FlashEvent } from '../flash/events.ts';
import { PAGE_BYTES } from '../flash/geometry.ts';
import type { PageRun } from '../flash/page-runs.ts';

/** Events that are allocated, and dropped, together. */
const PIECE_EVENTS = 1024;
const AREAS: readonly Area[] = ['eboot', 'app', 'staging', 'fs', 'gap', 'eeprom', 'rfcal', 'wifi'];
const AREA_CODES = new Map(AREAS.map((area, code) => [area, code]));
const CHIP_TYPES: readonly FlashEvent['type'][] = ['flash.program', 'flash.erase'];
/** Numbers in a row: atUs, 8 · area + type, address, length, stuckBits, wear. */
const ROW = 6;

/** An operation of the chip as the stream tells it. */
export type StampedChipEvent = FlashEvent & { readonly seq: number; readonly atUs: number };

interface Piece<E> {
  count: number;
  /** Undefined where the event is a row. */
  readonly events: (E | undefined)[];
  rows: Float64Array | undefined;
}

/** @typeParam E every event of the stream, stamped */
export class KeptEvents<E extends { readonly type: string }> {
  private readonly pieces: Piece<E | StampedChipEvent>[] = [];
  private first = 0;
  private next = 0;

  /** @param limit at least so many are kept */
  constructor(private readonly limit: number) {}

  /** `seq` of the oldest; that of the coming one when there is none. */
  get oldestSeq(): number {
    return this.first;
  }

  /** The coming event, with the `seq` behind that of the one before. */
  push(event: E): void {
    const piece = this.place();
    piece.events[piece.count++] = event;
    this.next++;
  }

  /** As {@link KeptEvents.push}, for a whole operation of the chip. */
  pushChip(atUs: number, { type, address, length, area, stuckBits, wear }: FlashEvent): void {
    const piece = this.place();
    const rows = rowsOf(piece);
    const at = piece.count++ * ROW;
    rows[at] = atUs;
    rows[at + 1] = AREA_CODES.get(area)! * 8 + (type === 'flash.program' ? 0 : 1);
    rows[at + 2] = address;
    rows[at + 3] = length;
    rows[at + 4] = stuckBits;
    rows[at + 5] = wear;
    this.next++;
  }

  /** As {@link KeptEvents.pushChip} for each of its pages. @param startUs before the first was programmed */
  pushRun(startUs: number, { address, pages, area, wear, busyUs }: PageRun): void {
    const code = AREA_CODES.get(area)! * 8;
    for (let page = 0; page < pages; ) {
      const piece = this.place();
      const rows = rowsOf(piece);
      const end = Math.min(pages, page + PIECE_EVENTS - piece.count);
      this.next += end - page;
      for (; page < end; page++) {
        const at = piece.count++ * ROW;
        rows[at] = startUs + (page + 1) * busyUs;
        rows[at + 1] = code;
        rows[at + 2] = address + page * PAGE_BYTES;
        rows[at + 3] = PAGE_BYTES;
        rows[at + 4] = 0;
        rows[at + 5] = wear;
      }
    }
  }

  /** From `seq` on, up to but without `end`, oldest first; of one type when it is given. */
  *range(seq: number, end: number = this.next, type?: E['type']): Generator<E | StampedChipEvent> {
    const isRowType = type === undefined || type.startsWith('flash.');
    for (let i = Math.max(seq, this.first); i < Math.min(end, this.next); i++) {
      const piece = this.pieces[Math.floor((i - this.first) / PIECE_EVENTS)]!;
      const index = (i - this.first) % PIECE_EVENTS;
      const event = piece.events[index] ?? (isRowType ? eventOf(piece.rows!, index, i) : undefined);
      if (event !== undefined && (type === undefined || event.type === type)) yield event;
    }
  }

  /** Where the coming event goes. */
  private place(): Piece<E | StampedChipEvent> {
    const last = this.pieces.at(-1);
    if (last && last.count < PIECE_EVENTS) return last;
    const piece = this.reuse() ?? { count: 0, events: new Array(PIECE_EVENTS), rows: undefined };
    this.pieces.push(piece);
    return piece;
  }

  /** The oldest piece, emptied, when enough are kept: half a megabyte of rows an update is much for the collector. */
  private reuse(): Piece<E | StampedChipEvent> | undefined {
    if (this.next - this.first < this.limit + PIECE_EVENTS) return undefined;
    const piece = this.pieces.shift()!;
    this.first += PIECE_EVENTS;
    piece.count = 0;
    piece.events.fill(undefined);
    return piece;
  }
}

function rowsOf(piece: Pick<Piece<never>, 'rows'>): Float64Array {
  piece.rows ??= new Float64Array(PIECE_EVENTS * ROW);
  return piece.rows;
}

function eventOf(rows: Float64Array, index: number, seq: number): StampedChipEvent {
  const [atUs = 0, code = 0, address = 0, length = 0, stuckBits = 0, wear = 0] = rows.subarray(index * ROW);
  return { seq, atUs, type: CHIP_TYPES[code % 8]!, address, length, area: AREAS[code >> 3]!, stuckBits, wear };
}
