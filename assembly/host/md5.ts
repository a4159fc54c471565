/** MD5 over the states in linear memory (`assembly/md5.ts`, `assembly/md5x4.ts`). */
import type { KernelInstance } from './instance.ts';
import type { Md5Stream, SectorStore } from './kernels.ts';
import { checkRange } from './ranges.ts';
import { WasmSectorStore } from './sector-store.ts';

const DIGEST_BYTES = 16;
const BLOCK_BYTES = 64;
const LANES = 4;
/** A chip of another kind is read in pieces of this size. */
const FOREIGN_CHIP_PIECE = 0x4000;

/**
 * The slots for MD5 states. A stream holds one from its first use to its digest. When all are taken, the stream that
 * has had its slot longest moves its state out to the heap, so streams that are never finished cost nothing for ever.
 */
export class Md5Slots {
  readonly instance: KernelInstance;
  readonly #first: number;
  readonly #slotBytes: number;
  readonly #holders: (WasmMd5 | undefined)[];
  readonly #free: number[] = [];
  #next = 0;

  constructor(instance: KernelInstance) {
    this.instance = instance;
    this.#first = instance.exports.MD5_SLOTS.value as number;
    this.#slotBytes = instance.exports.MD5_SLOT_BYTES.value as number;
    this.#holders = new Array<undefined>(instance.exports.MD5_SLOT_COUNT.value as number).fill(undefined);
    for (let slot = this.#holders.length; slot-- > 0; ) this.#free.push(slot);
  }

  /** An address for the stream's state, with `saved` in it if given. */
  take(stream: WasmMd5, saved: Uint8Array | undefined): number {
    let slot = this.#free.pop();
    if (slot === undefined) {
      slot = this.#next;
      this.#next = (slot + 1) % this.#holders.length;
      const at = this.#address(slot);
      this.#holders[slot]?.moveOut(this.instance.bytes.slice(at, at + this.#slotBytes));
    }
    this.#holders[slot] = stream;
    const at = this.#address(slot);
    if (saved) this.instance.bytes.set(saved, at);
    return at;
  }

  giveBack(address: number): void {
    const slot = (address - this.#first) / this.#slotBytes;
    this.#holders[slot] = undefined;
    this.#free.push(slot);
  }

  #address(slot: number): number {
    return this.#first + slot * this.#slotBytes;
  }
}

type State = { in: 'slot'; at: number } | { in: 'heap'; saved: Uint8Array } | { in: 'nowhere' };

export class WasmMd5 implements Md5Stream {
  readonly #slots: Md5Slots;
  #state: State = { in: 'nowhere' };

  constructor(slots: Md5Slots) {
    this.#slots = slots;
    this.reset();
  }

  reset(): this {
    if (this.#state.in !== 'slot') this.#state = { in: 'slot', at: this.#slots.take(this, undefined) };
    this.#slots.instance.exports.md5Start(this.#state.at);
    return this;
  }

  update(data: Uint8Array): this {
    const at = this.#at('update');
    const { instance } = this.#slots;
    for (let done = 0; done < data.length; ) {
      const length = instance.lend(data, done);
      instance.exports.md5Update(at, instance.transfer, length);
      done += length;
    }
    return this;
  }

  updateFromChip(chip: SectorStore, address: number, length: number): this {
    checkRange('updateFromChip', address, length, chip.capacityBytes);
    const { instance } = this.#slots;
    if (chip instanceof WasmSectorStore && chip.instance === instance) {
      instance.exports.storeMd5Update(this.#at('updateFromChip'), address, length);
      return this;
    }
    for (let done = 0; done < length; done += FOREIGN_CHIP_PIECE) {
      this.update(chip.read(address + done, Math.min(FOREIGN_CHIP_PIECE, length - done)));
    }
    return this;
  }

  digest(): Uint8Array {
    const at = this.#at('digest');
    this.#slots.instance.exports.md5Finish(at);
    const digest = this.#slots.instance.bytes.slice(at, at + DIGEST_BYTES);
    this.free();
    return digest;
  }

  free(): void {
    if (this.#state.in === 'slot') this.#slots.giveBack(this.#state.at);
    this.#state = { in: 'nowhere' };
  }

  /** For {@link Md5Slots}: another stream needs the slot. */
  moveOut(saved: Uint8Array): void {
    this.#state = { in: 'heap', saved };
  }

  #at(what: string): number {
    if (this.#state.in === 'nowhere') throw new RangeError(`${what}: this MD5 has ended; reset() starts another`);
    if (this.#state.in === 'heap') this.#state = { in: 'slot', at: this.#slots.take(this, this.#state.saved) };
    return this.#state.at;
  }
}

/** MD5 of up to four inputs, in lockstep; the transfer region is shared out among the lanes. */
export function md5x4(instance: KernelInstance, inputs: readonly Uint8Array[]): Uint8Array[] {
  if (inputs.length > LANES) throw new RangeError(`md5x4: ${inputs.length} inputs, at most ${LANES}`);
  const { exports, transfer, transferBytes } = instance;
  const laneBytes = transferBytes / LANES;
  const bytes = instance.bytes;
  const totals = Array.from({ length: LANES }, (_, lane) => paddedLength(inputs[lane]));
  const longest = Math.max(...totals);
  exports.md5x4Start();
  for (let done = 0; done < longest; done += laneBytes) {
    const counts = [0, 0, 0, 0] as [number, number, number, number];
    for (let lane = 0; lane < LANES; lane++) {
      const input = inputs[lane];
      const length = Math.min(laneBytes, totals[lane]! - done);
      if (!input || length <= 0) continue;
      fillPadded(bytes, transfer + lane * laneBytes, input, done, length, totals[lane]!);
      counts[lane] = length / BLOCK_BYTES;
    }
    exports.md5x4Blocks(transfer, transfer + laneBytes, transfer + 2 * laneBytes, transfer + 3 * laneBytes, ...counts);
  }
  const state = exports.MD5X4_STATE.value as number;
  return inputs.map((_, lane) => {
    const digest = new Uint8Array(DIGEST_BYTES);
    for (let i = 0; i < DIGEST_BYTES; i++) digest[i] = bytes[state + DIGEST_BYTES * (i >> 2) + 4 * lane + (i & 3)]!;
    return digest;
  });
}

/** Message, 0x80, zeros, 8 bytes of length: to whole blocks. RFC 1321 §3.1, §3.2. */
const paddedLength = (input: Uint8Array | undefined): number =>
  input ? Math.ceil((input.length + 9) / BLOCK_BYTES) * BLOCK_BYTES : 0;

/** Puts `length` bytes of the padded message, from `from` on, at `at`. */
function fillPadded(
  bytes: Uint8Array,
  at: number,
  input: Uint8Array,
  from: number,
  length: number,
  total: number,
): void {
  const data = input.subarray(Math.min(from, input.length), Math.min(from + length, input.length));
  bytes.set(data, at);
  if (data.length === length) return;
  bytes.fill(0, at + data.length, at + length);
  if (from <= input.length) bytes[at + data.length] = 0x80;
  if (from + length < total) return;
  const tail = new DataView(bytes.buffer, at + length - 8, 8);
  tail.setUint32(0, (input.length << 3) >>> 0, true);
  tail.setUint32(4, Math.floor(input.length / 0x20000000), true);
}
