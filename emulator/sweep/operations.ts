/** Every operation of one update in order, as plain arrays that a worker can be sent. */
import { PHASES, type Phase } from '../faults/spec.ts';

export type OperationKind = 'erase' | 'program' | 'rtc';
/** Phases that operations can have: all but `any`. */
export type OperationPhase = Exclude<Phase, 'any'>;

const KINDS: readonly OperationKind[] = ['erase', 'program', 'rtc'];

export interface RecordedOperation {
  readonly kind: OperationKind;
  readonly phase: OperationPhase;
  /** Counts from 0 inside its phase. */
  readonly op: number;
  /** Chip offset; of an RTC word its byte offset in user memory. */
  readonly address: number;
  /** Of a program. */
  readonly data: Uint8Array;
  /** Of an RTC word. */
  readonly value: number;
}

/** What crosses to a worker. */
export interface OperationArrays {
  readonly kinds: Uint8Array;
  readonly phases: Uint8Array;
  readonly addresses: Int32Array;
  readonly values: Uint32Array;
  readonly dataEnds: Uint32Array;
  readonly data: Uint8Array;
}

export class Operations {
  readonly length: number;
  /** Index of each operation inside its phase. */
  private readonly ops: Uint32Array;
  private readonly perPhase: number[];

  constructor(readonly arrays: OperationArrays) {
    this.length = arrays.kinds.length;
    this.ops = new Uint32Array(this.length);
    this.perPhase = PHASES.map(() => 0);
    for (let i = 0; i < this.length; i++) this.ops[i] = this.perPhase[arrays.phases[i]!]!++;
  }

  /** The operation at an index. */
  at(index: number): RecordedOperation {
    const { kinds, phases, addresses, values, dataEnds, data } = this.arrays;
    return {
      kind: KINDS[kinds[index]!]!,
      phase: PHASES[phases[index]!] as OperationPhase,
      op: this.ops[index]!,
      address: addresses[index]!,
      value: values[index]!,
      data: data.subarray(index === 0 ? 0 : dataEnds[index - 1]!, dataEnds[index]!),
    };
  }

  phaseOf(index: number): OperationPhase {
    return PHASES[this.arrays.phases[index]!] as OperationPhase;
  }

  opOf(index: number): number {
    return this.ops[index]!;
  }

  /** Index of operation `op` of a phase; -1 when there is none. */
  find(phase: Phase, op: number): number {
    const wanted = PHASES.indexOf(phase);
    for (let i = 0; i < this.length; i++) if (this.arrays.phases[i] === wanted && this.ops[i] === op) return i;
    return -1;
  }

  /** How many operations each phase has, in the order in which the phases began; phases without any are left out. */
  counts(): Record<string, number> {
    const order = [...new Set(this.arrays.phases)];
    return Object.fromEntries(order.map((phase) => [PHASES[phase]!, this.perPhase[phase]!]));
  }
}

/** Collects operations. */
export class OperationRecorder {
  private readonly kinds: number[] = [];
  private readonly phases: number[] = [];
  private readonly addresses: number[] = [];
  private readonly values: number[] = [];
  private readonly dataEnds: number[] = [];
  private readonly pieces: Uint8Array[] = [];
  private bytes = 0;

  add(kind: OperationKind, phase: Phase, address: number, data?: Uint8Array, value = 0): void {
    this.kinds.push(KINDS.indexOf(kind));
    this.phases.push(PHASES.indexOf(phase));
    this.addresses.push(address);
    this.values.push(value);
    if (data) {
      this.pieces.push(data.slice());
      this.bytes += data.length;
    }
    this.dataEnds.push(this.bytes);
  }

  finish(): Operations {
    const data = new Uint8Array(this.bytes);
    let at = 0;
    for (const piece of this.pieces) {
      data.set(piece, at);
      at += piece.length;
    }
    return new Operations({
      kinds: Uint8Array.from(this.kinds),
      phases: Uint8Array.from(this.phases),
      addresses: Int32Array.from(this.addresses),
      values: Uint32Array.from(this.values),
      dataEnds: Uint32Array.from(this.dataEnds),
      data,
    });
  }
}
