/**
 * Faults at work: looks at every chip operation and every RTC word write, and strikes at the armed ones.
 * Contract: design.md §8. Torn states are pure functions of the operation and the fraction (flash/tearing.ts).
 */

import { SECTOR_BYTES } from '../../flash/geometry.ts';
import type { FlashFault, FlashFaults, FlashOperation } from '../../flash/nor-flash.ts';
import { type Emit, type Interruption, PowerLost } from '../../flash/ports.ts';
import { DeviceReset } from '../device-reset.ts';
import type { LifecycleEvent } from '../events.ts';
import type { SeededRandom } from '../random.ts';
import { chosenBits, chosenFraction } from './chance.ts';
import { ChipDamage } from './damage.ts';
import {
  type ChipKind,
  checkFault,
  type Fault,
  FaultSpecError,
  formatFault,
  isNetKind,
  type NetKind,
  type NetPhase,
  type Phase,
  parseFaults,
} from './spec.ts';

/** Which operations a chip fault counts. */
const COUNTED: Record<ChipKind, FlashOperation['kind']> = {
  'erase-fail': 'erase',
  'worn-sector': 'erase',
  'program-fail': 'program',
  'write-drop': 'program',
  'stuck-bits': 'program',
  'read-fail': 'read',
};

/** A list of faults in time order; only its first entry is live. */
interface Schedule {
  readonly entries: Fault[];
  /** Operations of the live entry's phase (and kind) seen since it became live. */
  seen: number;
}

export interface FiredFault {
  readonly spec: string;
  readonly op: number;
  readonly address?: number;
}

/** A network fault has struck: `at` counts from 0 in the bytes that were just about to be received. */
export interface NetStrike {
  readonly kind: NetKind;
  readonly at: number;
}

export class FaultEngine implements FlashFaults {
  private schedules: Schedule[] = [];
  readonly fired: FiredFault[] = [];
  /** Cells that faults have spoilt for good. */
  readonly damage = new ChipDamage();

  constructor(
    /** The phase that the operation about to happen belongs to. */
    private readonly phaseNow: () => Phase,
    private readonly random: SeededRandom,
    private readonly emit: Emit<LifecycleEvent>,
    /** What the chip holds. */
    private readonly cells: (address: number, length: number) => Uint8Array = (_, length) =>
      new Uint8Array(length).fill(0xff),
  ) {}

  /** True while something is armed: the hot paths ask first. */
  get armed(): boolean {
    return this.schedules.length > 0;
  }

  /**
   * Arms a list of faults.
   * @param faults text of the grammar, or objects
   * @throws FaultSpecError when a fault cannot be
   */
  arm(faults: string | Fault | readonly Fault[]): void {
    const entries =
      typeof faults === 'string' ? parseFaults(faults) : ([faults].flat() as Fault[]).map((fault) => checkFault(fault));
    if (entries.length === 0) throw new FaultSpecError('no fault: the list is empty');
    this.schedules.push({ entries: [...entries], seen: 0 });
    for (const fault of entries) {
      const { op, address } = fault.at;
      this.emit({
        type: 'fault.armed',
        spec: formatFault(fault),
        op: op ?? null,
        ...(address === undefined ? {} : { address }),
      });
    }
  }

  /** Disarms everything. What struck already stays broken until {@link ChipDamage.repair}. */
  clear(): void {
    this.schedules = [];
  }

  decide(operation: FlashOperation): FlashFault | undefined {
    if (this.schedules.length === 0) return this.damage.none ? undefined : this.damaged(operation);
    const phase = this.phaseNow();
    const due = this.schedules.filter((schedule) => {
      const fault = schedule.entries[0]!;
      if (isNetKind(fault.kind)) return false;
      const counted = COUNTED[fault.kind as ChipKind];
      // Power faults count operations that change the chip; reads are none (design.md §8).
      if (counted === undefined ? operation.kind === 'read' : operation.kind !== counted) return false;
      return this.isDue(schedule, fault, phase, operation.address);
    });
    if (due.length > 0) {
      // Of several that strike at once, one that stops the machine counts: what else happens then is not seen.
      const faults = due.map(({ entries }) => entries[0]!);
      const fault = faults.find(({ kind }) => COUNTED[kind as ChipKind] === undefined) ?? faults[0]!;
      for (const schedule of due) this.strike(schedule, schedule.entries[0]!, operation.address);
      return this.effect(fault, operation, `${formatFault(fault)} ${operation.address.toString(16)}`);
    }
    return this.damage.none ? undefined : this.damaged(operation);
  }

  /**
   * A word of RTC memory is about to be written; power faults may strike.
   * @returns what to throw before or after the write
   */
  decideRtcWord(phase: 'command' | 'clear' | 'app'): { before?: Interruption; after?: Interruption } {
    if (this.schedules.length === 0) return {};
    const due = this.schedules.filter((schedule) => {
      const fault = schedule.entries[0]!;
      if (isNetKind(fault.kind) || COUNTED[fault.kind as ChipKind] !== undefined) return false;
      return fault.at.address === undefined && this.isDue(schedule, fault, phase, undefined);
    });
    const [fault] = due.map(({ entries }) => entries[0]!);
    for (const schedule of due) this.strike(schedule, schedule.entries[0]!, undefined);
    if (!fault) return {};
    // A word is written in one cycle: there is no inside, so a cut inside loses power before it.
    return fault.at.point === 'after' ? { after: interruption(fault) } : { before: interruption(fault) };
  }

  /** True when a network fault of this phase is armed, live or behind another entry. */
  watchesNet(phase: NetPhase): boolean {
    return this.schedules.some(({ entries }) => entries.some(({ kind, at }) => isNetKind(kind) && at.phase === phase));
  }

  /**
   * Bytes of a phase are about to be received. Where a fault strikes, those from `at` on were not: they are counted when
   * they come again.
   *
   * @param whole they come together or not at all (a datagram): all are counted now
   * @returns undefined: all were received
   */
  receive(phase: NetPhase, length: number, whole = false): NetStrike | undefined {
    const live = this.schedules.filter(({ entries: [fault] }) => isNetKind(fault!.kind) && fault!.at.phase === phase);
    let hit: Schedule | undefined;
    let at = length;
    for (const schedule of live) {
      const fault = schedule.entries[0]!;
      const distance = Math.max(0, fault.at.op! - schedule.seen);
      if (fault.kind === 'net-refuse' || distance >= at) continue;
      hit = schedule;
      at = distance;
    }
    for (const schedule of live) if (schedule !== hit) schedule.seen += whole ? length : at;
    if (!hit) return undefined;
    const fault = hit.entries[0]!;
    this.strike(hit, fault, undefined);
    return { kind: fault.kind as NetKind, at };
  }

  /** A connection is about to be made, in either direction. @returns whether it is refused */
  refuses(phase: NetPhase): boolean {
    for (const schedule of this.schedules) {
      const fault = schedule.entries[0]!;
      if (fault.kind !== 'net-refuse' || fault.at.phase !== phase || schedule.seen < fault.at.op!) continue;
      this.strike(schedule, fault, undefined);
      return true;
    }
    return false;
  }

  private isDue(schedule: Schedule, fault: Fault, phase: Phase, address: number | undefined): boolean {
    if (fault.at.address !== undefined) {
      return (
        address !== undefined && Math.floor(address / SECTOR_BYTES) === Math.floor(fault.at.address / SECTOR_BYTES)
      );
    }
    if (fault.at.phase !== 'any' && fault.at.phase !== phase) return false;
    return schedule.seen++ === fault.at.op;
  }

  private strike(schedule: Schedule, fault: Fault, address: number | undefined): void {
    const fired: FiredFault = {
      spec: formatFault(fault),
      op: fault.at.op ?? 0,
      ...(address === undefined ? {} : { address }),
    };
    schedule.entries.shift();
    schedule.seen = 0;
    if (schedule.entries.length === 0) this.schedules = this.schedules.filter((other) => other !== schedule);
    this.fired.push(fired);
    this.emit({ type: 'fault.fired', ...fired });
  }

  /** @param what names fault and operation, for the seed's choices */
  private effect(fault: Fault, operation: FlashOperation, what: string): FlashFault {
    const { address, length } = operation;
    switch (fault.kind) {
      case 'erase-fail':
      case 'program-fail':
      case 'read-fail':
        return { do: 'fail' };
      case 'write-drop':
        return { do: 'drop' };
      case 'stuck-bits':
        this.damage.stick(address, chosenBits(this.random, what, length), this.cells(address, length));
        return this.damaged(operation)!;
      case 'worn-sector':
        this.damage.wear(address, chosenBits(this.random, what, SECTOR_BYTES));
        return this.damaged(operation)!;
      default: {
        const { point = 'before', fraction } = fault.at;
        const held = this.mask(operation);
        // A whole operation on cells some of which no longer change is one that was "torn" behind its last bit.
        if (point === 'before' || (point === 'after' && !held)) return { do: 'stop', point, with: interruption(fault) };
        const share = point === 'after' ? 1 : (fraction ?? chosenFraction(this.random, what));
        const bits = Math.floor(8 * share * length);
        return { do: 'tear', bits, with: interruption(fault), ...(held ? { mask: held } : {}) };
      }
    }
  }

  private damaged(operation: FlashOperation): FlashFault | undefined {
    const mask = this.mask(operation);
    return mask && { do: 'stick', mask };
  }

  private mask({ kind, address, length }: FlashOperation): Uint8Array | undefined {
    if (this.damage.none || kind === 'read') return undefined;
    return kind === 'erase' ? this.damage.eraseMask(address, length) : this.damage.programMask(address, length);
  }
}

function interruption(fault: Fault): Interruption {
  switch (fault.kind) {
    case 'reset':
      return new DeviceReset('external');
    case 'brown-out':
      return new DeviceReset('brown-out');
    default:
      return new PowerLost('fault');
  }
}
