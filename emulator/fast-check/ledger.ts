/**
 * What may have become of a device, told from its events alone: which command stands in RTC memory, how far a copy got, and
 * whether something was lost on the way. It knows nothing of the bootloader's code, and is what that is checked against.
 */
import { roundUpToSector, SECTOR_BYTES } from '../../flash/geometry.ts';
import type { DeviceEvent, Stamped } from '../events.ts';
import { CHIP_KINDS } from '../faults/spec.ts';
import { InvariantViolation } from './invariants.ts';

interface Copy {
  readonly source: number;
  readonly destination: number;
  /** Whole sectors; of a packed image those of the packed form, so that the end is known by `eboot.end` only. */
  readonly sectors: number;
  readonly copied: Set<number>;
  /** Something was erased or programmed. */
  touched: boolean;
}

export class Ledger {
  /** A whole command was written and has not been carried out. */
  commandPending = false;
  /** Copies to offset 0 that came to their end. */
  applicationsCopied = 0;
  /** Copies to elsewhere: an atomic file system. */
  fileSystemsCopied = 0;
  /** The application is a mixture, unless the copy goes on. */
  mixed = false;
  /** …and what made it go on is lost. */
  lostInCopy = false;
  /** A reset came in a copy over its own source: what is left there is not the image any more. */
  sourceLost = false;
  /** A fault of the chip has struck: cells or operations were not what the driver believes. */
  chipFault = false;
  /** Any fault has struck. */
  struck = 0;
  private copy: Copy | undefined;
  private copying = false;
  private lastSeq: number;
  private lastAtUs = 0;

  /**
   * @param nextSeq number of the first event that will be seen
   * @param commandSurvives the design keeps its command where no loss of power harms it
   */
  constructor(
    nextSeq = 0,
    private readonly commandSurvives = false,
  ) {
    this.lastSeq = nextSeq - 1;
  }

  /** Looks at the next event. @throws InvariantViolation */
  see(event: Stamped<DeviceEvent>): void {
    this.checkOrder(event);
    switch (event.type) {
      case 'update.end':
        this.commandPending = true;
        break;
      case 'rtc.write':
        if (event.meaning === 'eboot command: CRC') this.commandPending = true;
        break;
      case 'eboot.command':
        if (event.action === 1) this.begin(event.source, event.destination, event.size);
        break;
      case 'flash.erase':
      case 'flash.program':
        if (!this.copying || !this.copy) break;
        this.copy.touched = true;
        if (this.copy.destination === 0) this.mixed = true;
        break;
      case 'eboot.copy':
        if (!this.copy) break;
        this.copy.copied.add(event.sector);
        break;
      case 'eboot.end':
        if (this.copying && event.result === 0) this.finish();
        this.copying = false;
        break;
      case 'power.off':
        this.stopped(true);
        break;
      case 'reset':
        if (event.cause !== 'power-on') this.stopped(event.cause === 'brown-out');
        break;
      case 'fault.fired':
        this.struck++;
        if (CHIP_KINDS.some((kind) => event.spec.startsWith(`${kind}@`))) this.chipFault = true;
        break;
      default:
    }
  }

  /** The application was put there by other means. */
  replaced(): void {
    this.mixed = false;
    this.lostInCopy = false;
    this.sourceLost = false;
  }

  /** The application was being written by other means, and was cut off. */
  broken(): void {
    this.mixed = true;
    this.lostInCopy = true;
  }

  private begin(source: number, destination: number, size: number): void {
    if (!this.commandPending && !this.lostInCopy) {
      throw new InvariantViolation('I5', `the bootloader copies ${size} bytes, though no update has ended since`);
    }
    const sectors = roundUpToSector(size) / SECTOR_BYTES;
    const again = this.copy?.touched && this.copy.source === source && this.copy.destination === destination;
    const overlaps = source < destination + sectors * SECTOR_BYTES && destination < source + sectors * SECTOR_BYTES;
    if (again && overlaps) this.sourceLost = true;
    this.copy = { source, destination, sectors, copied: new Set(), touched: false };
    this.copying = true;
  }

  private finish(): void {
    if (!this.copy) return;
    if (this.copy.destination === 0) {
      this.applicationsCopied++;
      this.mixed = false;
      this.lostInCopy = false;
    } else this.fileSystemsCopied++;
    this.copy = undefined;
    this.commandPending = false;
  }

  /** @param rtcLost RTC memory, and the command in it, are gone or cannot be relied on */
  private stopped(rtcLost: boolean): void {
    // Everything is in place, only the command was not cleared: the copy is whole, and may be made once more.
    const whole = this.copy && this.copy.copied.size >= this.copy.sectors;
    if (this.copying && whole && this.copy) {
      const { source, destination, sectors } = this.copy;
      if (destination === 0) {
        this.applicationsCopied++;
        this.mixed = false;
      } else this.fileSystemsCopied++;
      this.copy = rtcLost ? undefined : { source, destination, sectors, copied: new Set(), touched: true };
    }
    this.copying = false;
    if (!rtcLost) return;
    if (this.commandSurvives) return;
    this.commandPending = false;
    if (this.mixed) this.lostInCopy = true;
    if (!this.mixed) this.copy = undefined;
  }

  private checkOrder({ seq, atUs, type }: Stamped<DeviceEvent>): void {
    if (seq !== this.lastSeq + 1 || atUs < this.lastAtUs) {
      throw new InvariantViolation(
        'I11',
        `${type} is number ${seq} at ${atUs} µs, after number ${this.lastSeq} at ${this.lastAtUs} µs`,
      );
    }
    this.lastSeq = seq;
    this.lastAtUs = atUs;
  }
}
