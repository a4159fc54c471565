/**
 * Faults at work: looks at every chip operation and every RTC word write, and strikes at the armed ones.
 * Contract: design.md §8. Torn states are pure functions of the operation and the fraction (flash/tearing.ts).
 */

import { PAGE_BYTES, SECTOR_BYTES } from '../../flash/geometry.ts';
import type { FlashFault, FlashFaults, FlashOperation } from '../../flash/nor-flash.ts';
import { type Emit, type Interruption, PowerLost } from '../../flash/ports.ts';
import { DeviceReset } from '../device-reset.ts';
import type { LifecycleEvent } from '../events.ts';
import type { SeededRandom } from '../random.ts';
import { type ChipKind, checkFault, type Fault, formatFault, NET_KINDS, type Phase, parseFaults } from './spec.ts';

/** Which operations a chip fault counts. */
const COUNTED: Record<ChipKind, FlashOperation['kind']> = {
  'erase-fail': 'erase',
  'worn-sector': 'erase',
  'program-fail': 'program',
  'write-drop': 'program',
  'stuck-bits': 'program',
  'read-fail': 'read',
};

/** One in this many bits is stuck in a unit that `stuck-bits` or `worn-sector` strikes; at least one always is. */
const STUCK_ONE_IN = 64;

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

export class FaultEngine implements FlashFaults {
  private schedules: Schedule[] = [];
  readonly fired: FiredFault[] = [];

  constructor(
    /** The phase that the operation about to happen belongs to. */
    private readonly phaseNow: () => Phase,
    private readonly random: SeededRandom,
    private readonly emit: Emit<LifecycleEvent>,
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
    for (const fault of entries) {
      if ((NET_KINDS as readonly string[]).includes(fault.kind)) {
        throw new RangeError(
          `fault "${formatFault(fault)}": network faults are not modelled yet; chip and power faults are`,
        );
      }
    }
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

  /** Disarms everything. */
  clear(): void {
    this.schedules = [];
  }

  decide(operation: FlashOperation): FlashFault | undefined {
    if (this.schedules.length === 0) return undefined;
    const phase = this.phaseNow();
    for (const schedule of this.schedules) {
      const fault = schedule.entries[0]!;
      const counted = COUNTED[fault.kind as ChipKind];
      // Power faults count operations that change the chip; reads are none (design.md §8).
      if (counted === undefined ? operation.kind === 'read' : operation.kind !== counted) continue;
      if (!this.isDue(schedule, fault, phase, operation.address)) continue;
      this.strike(schedule, fault, operation.address);
      return this.effect(fault, operation);
    }
    return undefined;
  }

  /**
   * A word of RTC memory is about to be written; power faults may strike.
   * @returns what to throw before or after the write
   */
  decideRtcWord(phase: 'command' | 'clear' | 'app'): { before?: Interruption; after?: Interruption } {
    for (const schedule of this.schedules) {
      const fault = schedule.entries[0]!;
      if (COUNTED[fault.kind as ChipKind] !== undefined || fault.at.address !== undefined) continue;
      if (!this.isDue(schedule, fault, phase, undefined)) continue;
      this.strike(schedule, fault, undefined);
      // A word is written in one cycle: there is no inside, so a cut inside loses power before it.
      return fault.at.point === 'after' ? { after: interruption(fault) } : { before: interruption(fault) };
    }
    return {};
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

  private effect(fault: Fault, operation: FlashOperation): FlashFault {
    switch (fault.kind) {
      case 'erase-fail':
      case 'program-fail':
      case 'read-fail':
        return { do: 'fail' };
      case 'write-drop':
        return { do: 'drop' };
      case 'stuck-bits':
        return { do: 'stick', mask: this.stuckMask(operation.length) };
      case 'worn-sector':
        return { do: 'stick', mask: this.stuckMask(SECTOR_BYTES) };
      default: {
        const { point = 'before', fraction } = fault.at;
        if (point !== 'inside') return { do: 'stop', point, with: interruption(fault) };
        const share = fraction ?? this.random.below(1 << 16) / (1 << 16);
        return { do: 'tear', bits: Math.floor(8 * share * operation.length), with: interruption(fault) };
      }
    }
  }

  private stuckMask(length: number): Uint8Array {
    const mask = new Uint8Array(Math.min(length, Math.max(PAGE_BYTES, SECTOR_BYTES)));
    const bits = mask.length * 8;
    for (let count = Math.max(1, Math.floor(bits / STUCK_ONE_IN)); count > 0; count--) {
      const bit = this.random.below(bits);
      mask[bit >> 3]! |= 0x80 >> (bit & 7);
    }
    return mask;
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
