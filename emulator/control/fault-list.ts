/** Which faults wait and which have struck, followed through the events: the engine itself keeps no list to look at. */
import type { DeviceEvent } from '../events.ts';

const KEPT_FIRED = 64;

export interface ArmedFault {
  readonly spec: string;
}

export interface FiredFault extends ArmedFault {
  readonly op: number;
  readonly address?: number;
}

export class FaultList {
  private waiting: string[] = [];
  private struck: FiredFault[] = [];

  see(event: DeviceEvent): void {
    if (event.type === 'fault.armed') this.waiting.push(event.spec);
    if (event.type !== 'fault.fired') return;
    const index = this.waiting.indexOf(event.spec);
    if (index >= 0) this.waiting.splice(index, 1);
    const { spec, op, address } = event;
    this.struck.push(address === undefined ? { spec, op } : { spec, op, address });
    if (this.struck.length > KEPT_FIRED) this.struck.shift();
  }

  /** Everything was disarmed. */
  clear(): void {
    this.waiting = [];
  }

  get count(): number {
    return this.waiting.length;
  }

  get lists(): { armed: ArmedFault[]; fired: FiredFault[] } {
    return { armed: this.waiting.map((spec) => ({ spec })), fired: [...this.struck] };
  }
}
