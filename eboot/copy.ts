/**
 * The copy: staging area to destination, sector by sector, raw or unpacked. Source: spec chapter 01 §9.4; chapter 07 §8.2
 * for older builds.
 */
import { roundUpToSector, SECTOR_BYTES } from '../flash/geometry.ts';
import type { Era } from './eras.ts';
import { skipGzipHeader } from './gzip-header.ts';
import { DICTIONARY_BYTES, INFLATE_DONE, INFLATE_NEED_INPUT, INFLATE_OK, INPUT_BYTES, Inflate } from './inflate.ts';
import type { EbootHost, Requests } from './machine.ts';
import type { Ram } from './ram.ts';

/** Result codes, as printed after `cp:`. */
export const COPY_OK = 0;
export const COPY_UNALIGNED = 1;
export const COPY_ERASE_FAILED = 2;
export const COPY_SOURCE_FAILED = 3;
export const COPY_DESTINATION_FAILED = 4;
export const COPY_GZIP_HEADER = 5;
export const COPY_INFLATE = 6;
/** Nothing has set a result yet; and: the compare pass of 2.7.2 found a difference. */
export const COPY_NO_RESULT = 9;

/** Instructions that a part of the copy costs, roughly. Measured on the traces; only the step limit needs them. */
const STEPS_PER_SECTOR = 60;
const STEPS_PER_PACKED_BYTE = 100;

/** What a copy works with. */
export interface CopyContext {
  readonly era: Era;
  readonly ram: Ram;
  readonly host: EbootHost;
  /** Sends text to the UART. */
  readonly print: (text: string) => void;
  /** Charges instructions; throws when the limit is reached. */
  readonly spend: (steps: number) => void;
}

export interface CopyArguments {
  readonly source: number;
  readonly destination: number;
  /** Bytes; rounded up to whole sectors. */
  readonly size: number;
}

/**
 * Copies, or (2.7.2 only) reads everything back and compares.
 *
 * @returns one of the COPY_ codes
 */
export function* copy(context: CopyContext, args: CopyArguments, pass: 'write' | 'verify' = 'write'): Requests<number> {
  const { era, ram, host, print, spend } = context;
  const writing = pass === 'write';
  let source = args.source;
  let destination = args.destination;
  if ((source | destination) & era.alignmentMask) return COPY_UNALIGNED;

  let left = era.signedSize ? roundUpToSector(args.size) | 0 : roundUpToSector(args.size);
  let unpacker: Unpacker | undefined;
  if (era.gzip && (yield* isGzip(context, source))) {
    left = yield* readIsize(context, source + args.size);
    unpacker = new Unpacker(context, source);
    if (!(yield* unpacker.start())) return COPY_GZIP_HEADER;
  }

  const sector = ram.view(era.ram.sector, SECTOR_BYTES);
  while (left > 0) {
    spend(STEPS_PER_SECTOR);
    const eraseAddress = destination - (destination % SECTOR_BYTES);
    if (writing && era.erasesFirst && (yield { op: 'erase', address: eraseAddress, length: SECTOR_BYTES })) {
      return COPY_ERASE_FAILED;
    }
    if (unpacker) {
      if (!(yield* unpacker.unpack(sector, Math.min(left, SECTOR_BYTES)))) return COPY_INFLATE;
    } else if (yield { op: 'read', address: source, length: SECTOR_BYTES, target: sector }) return COPY_SOURCE_FAILED;

    let skipped = false;
    if (!writing || (era.comparesSector0 && destination === 0)) {
      const compare = ram.view(era.ram.compare!, SECTOR_BYTES);
      if (yield { op: 'read', address: destination, length: SECTOR_BYTES, target: compare })
        return COPY_DESTINATION_FAILED;
      skipped = compare.every((byte, index) => byte === sector[index]);
      if (writing && skipped) print('B');
      if (!writing && !skipped) return COPY_NO_RESULT;
    }
    if (writing && !skipped) {
      if (!era.erasesFirst && (yield { op: 'erase', address: eraseAddress, length: SECTOR_BYTES }))
        return COPY_ERASE_FAILED;
      if (yield { op: 'write', address: destination, length: SECTOR_BYTES, data: sector })
        return COPY_DESTINATION_FAILED;
    }
    if (writing) host.emit?.({ type: 'eboot.copy', sector: eraseAddress / SECTOR_BYTES, skipped });
    source = (source + SECTOR_BYTES) >>> 0;
    destination = (destination + SECTOR_BYTES) >>> 0;
    left -= SECTOR_BYTES;
  }
  return COPY_OK;
}

/** One byte of flash, by way of the word it lies in. A failing read leaves the word as the last one left it. */
function* flashByte({ era, ram }: CopyContext, address: number): Requests<number> {
  const word = ram.view(era.ram.unpack!.word, 4);
  yield { op: 'read', address: (address & ~3) >>> 0, length: 4, target: word };
  return word[address & 3]!;
}

function* isGzip(context: CopyContext, source: number): Requests<boolean> {
  return (yield* flashByte(context, source)) === 0x1f && (yield* flashByte(context, source + 1)) === 0x8b;
}

/** The last four bytes before `end`: gzip's ISIZE, taken as a signed number of bytes to produce. */
function* readIsize(context: CopyContext, end: number): Requests<number> {
  let size = 0;
  for (let i = 0; i < 4; i++) size |= (yield* flashByte(context, (end - 4 + i) >>> 0)) << (8 * i);
  return size;
}

/** The packed stream, read in windows of 4096 bytes from the source upwards, without an end. */
class Unpacker {
  private readonly stream: Inflate;

  constructor(
    private readonly context: CopyContext,
    /** Where the next window comes from. */
    private next: number,
  ) {
    const { era, ram } = context;
    const { input, dictionary, undecodable } = era.ram.unpack!;
    this.stream = new Inflate(ram.view(input, INPUT_BYTES), ram.view(dictionary, DICTIONARY_BYTES), undecodable);
  }

  /** False: the gzip header is not acceptable. */
  start(): Requests<boolean> {
    return skipGzipHeader(this.stream, () => this.refill());
  }

  /**
   * Fills `sector` with the next `wanted` bytes of output and 0xFF. When the stream ends early, the rest of `wanted`
   * keeps what the buffer held. False: inflate error.
   */
  *unpack(sector: Uint8Array, wanted: number): Requests<boolean> {
    this.stream.begin(sector, wanted);
    let status = this.stream.run();
    while (status === INFLATE_NEED_INPUT) {
      yield* this.refill();
      status = this.stream.run();
    }
    if (status !== INFLATE_OK && status !== INFLATE_DONE) return false;
    sector.fill(0xff, wanted);
    return true;
  }

  /** Read errors are ignored: the window then shows its old content again. */
  private *refill(): Requests<void> {
    this.context.spend(INPUT_BYTES * STEPS_PER_PACKED_BYTE);
    yield { op: 'read', address: this.next, length: INPUT_BYTES, target: this.stream.input };
    this.next = (this.next + INPUT_BYTES) >>> 0;
    this.stream.refilled();
  }
}
