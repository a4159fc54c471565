/** What the control API uses of the device: its public methods, as an interface, so that neither imports the other. */
import type { ResetCause } from '../../eboot/reset-cause.ts';
import type { RtcMemory } from '../../eboot/rtc-memory.ts';
import type { Straps } from '../../eboot/straps.ts';
import type { NorFlash } from '../../flash/nor-flash.ts';
import type { ClockMode } from '../clock.ts';
import type { Addresses, EventLog, Stamped } from '../events.ts';
import type { Fault } from '../faults/spec.ts';
import type { PowerState } from '../power.ts';
import type { CpuDebug } from './cpu-debug.ts';

/** A snapshot as the API sees it; only the device looks into the rest. */
export interface OpaqueSnapshot {
  readonly flash: Uint8Array;
  readonly rtc: Uint8Array;
}

export interface ControlledDevice<S extends OpaqueSnapshot = OpaqueSnapshot> {
  readonly board: string;
  readonly layout: string;
  readonly address: Addresses;
  readonly state: PowerState | undefined;
  /** True between power-on and power-off. */
  readonly isOn: boolean;
  /** Restored from a snapshot and not started yet. */
  readonly isHeld: boolean;
  readonly events: EventLog;
  readonly flash: { read(address: number, length: number): Uint8Array; readonly chip: NorFlash };
  readonly rtc: RtcMemory;
  readonly straps: Straps;
  readonly faults: { arm(faults: string | Fault | readonly Fault[]): void; clear(): void };
  readonly serial: { text(): string; write(text: string): void };
  readonly cpu: CpuDebug | undefined;
  readonly timeMode: ClockMode;
  readonly nowUs: number;
  readonly paused: boolean;
  speed: number;
  pause(): void;
  resume(): void;
  step(timeoutMs?: number): Promise<Stamped | undefined>;
  powerOn(): Promise<PowerState>;
  powerOff(): Promise<void>;
  reset(cause?: Exclude<ResetCause, 'power-on'>): Promise<PowerState>;
  snapshot(): S;
  restore(snapshot: S): Promise<void>;
}

/** Settings of the run that the uploader needs; what the image on the chip says goes first. */
export interface KnownSettings {
  readonly password?: string | undefined;
  readonly httpUser?: string | undefined;
  readonly httpPassword?: string | undefined;
  readonly httpPath?: string | undefined;
}
