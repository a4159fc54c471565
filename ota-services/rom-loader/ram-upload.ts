/** MEM_BEGIN, MEM_DATA, MEM_END: programs for RAM, flasher stubs among them. Source: spec chapter 05 §7.5, §8.1. */
import type { LoaderRam } from './ports.ts';

/** Where a program may be loaded: first address, first address behind. */
const RAM_WINDOWS = [
  [0x3ffe8000, 0x40000000], // DRAM
  [0x40100000, 0x40110000], // IRAM
] as const;
/** Where flasher stubs have their code. No user program begins here: the flash cache needs it. */
const STUB_CODE_START = 0x4010c000;
const STUB_CODE_END = 0x40110000;
/** Uploaded pieces that are remembered; of more, the oldest give way. Hosts send two. */
const PIECES_KEPT = 32;

export type RamFault = 'address' | 'size' | 'no-begin';

interface Piece {
  readonly start: number;
  /** First address behind what has arrived. */
  end: number;
}

export class RamUpload {
  private readonly pieces: Piece[] = [];
  private size = 0;
  private blockSize = 0;
  private current: Piece | undefined;

  constructor(private readonly ram: LoaderRam) {}

  /** Data of the last MEM_BEGIN has not arrived. */
  get incomplete(): boolean {
    return this.current !== undefined && this.current.end < this.current.start + this.size;
  }

  begin(size: number, blockSize: number, address: number): RamFault | undefined {
    this.current = undefined;
    const window = RAM_WINDOWS.find(([start, end]) => address >= start && address < end);
    if (!window) return 'address';
    if (address + size > window[1]) return 'size';
    this.size = size;
    this.blockSize = blockSize;
    this.current = { start: address, end: address };
    this.pieces.push(this.current);
    if (this.pieces.length > PIECES_KEPT) this.pieces.shift();
    return undefined;
  }

  /** One block, at the place that its number gives it. */
  data(sequence: number, bytes: Uint8Array): RamFault | undefined {
    const { current } = this;
    if (!current) return 'no-begin';
    const offset = sequence * this.blockSize;
    if (offset + bytes.length > this.size) return 'size';
    if (bytes.length > 0 && !this.ram.write(current.start + offset, bytes)) return 'address';
    current.end = Math.max(current.end, current.start + offset + bytes.length);
    return undefined;
  }

  /** Whether a jump to `entry` starts a flasher stub: code that was uploaded to where only stubs have theirs. */
  isStub(entry: number): boolean {
    if (entry < STUB_CODE_START || entry >= STUB_CODE_END) return false;
    return this.pieces.some((piece) => entry >= piece.start && entry < piece.end);
  }

  /** Forgets what was uploaded; RAM keeps it. */
  end(): void {
    this.pieces.length = 0;
    this.current = undefined;
  }
}
