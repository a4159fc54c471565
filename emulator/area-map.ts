/** Names the areas of the chip for events: the layout, the running sketch, and the last update's staging area. */
import { type AddressRange, areaOf } from '../flash/areas.ts';
import type { Area } from '../flash/events.ts';
import { roundUpToSector } from '../flash/geometry.ts';
import type { FlashLayout } from '../flash/layouts.ts';
import type { DeviceEvent } from './events.ts';

export class AreaMap {
  private staging: AddressRange | undefined;
  private appEnd: number | undefined;
  private updating: 'staging' | 'fs' | undefined;

  constructor(private readonly layout: FlashLayout) {}

  of(address: number): Area {
    return areaOf(this.layout, address, this.staging, this.appEnd);
  }

  /** Which phase of a fault an operation of the running application belongs to (design.md §8). */
  get updatePhase(): 'staging' | 'fs' | 'app' {
    return this.updating ?? 'app';
  }

  /** Follows the events that change it. */
  see(event: DeviceEvent): void {
    switch (event.type) {
      case 'app.start':
        this.appEnd = event.size > 0 && event.size <= this.layout.fsStart ? roundUpToSector(event.size) : undefined;
        this.updating = undefined;
        break;
      case 'update.begin':
        this.staging = { start: event.address, end: event.address + roundUpToSector(event.size) };
        this.updating = event.command === 'fs' && event.address === this.layout.fsStart ? 'fs' : 'staging';
        break;
      case 'update.end':
      case 'update.error':
      case 'reset':
        this.updating = undefined;
        break;
      default:
    }
  }
}
