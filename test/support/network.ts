/** A device's life on a simulated network, and a way to wait for promises that need virtual time. */
import { readFileSync } from 'node:fs';
import { VirtualClock } from '../../emulator/clock.ts';
import { Life } from '../../emulator/life.ts';
import { SimulatedNetwork, type SimulatedNetworkOptions } from '../../emulator/network/simulated-network.ts';
import type { WireEvent } from '../../ota-services/events.ts';
import type { Network } from '../../ota-services/ports.ts';

export interface SimulatedLab {
  readonly clock: VirtualClock;
  readonly network: SimulatedNetwork;
  readonly life: Life;
  /** The device's side. */
  readonly device: Network;
  readonly events: WireEvent[];
}

export function simulatedLab(options: Omit<SimulatedNetworkOptions, 'clock' | 'emit'> = {}): SimulatedLab {
  const clock = new VirtualClock();
  const events: WireEvent[] = [];
  const network = new SimulatedNetwork({ ...options, clock, emit: (event) => void events.push(event) });
  const life = new Life(clock);
  return { clock, network, life, device: network.forDevice(life), events };
}

const STEP_US = 1000;

/** Advances `clock` until `promise` settles. @throws Error when it has not after `limitUs` */
export async function drive<T>(clock: VirtualClock, promise: Promise<T>, limitUs = 60_000_000): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => {
    settled = true;
  });
  watched.catch(() => {}); // the caller sees it below
  for (let spent = 0; !settled; spent += STEP_US) {
    if (spent > limitUs) throw new Error(`still pending after ${limitUs} µs of device time`);
    await clock.advance(STEP_US);
  }
  return watched;
}

/** Byte `i` is `i * 31 + (i >> 8) * 7 + 11`: no two neighbours, no two pages alike. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + 11) & 0xff);
}

/** A datagram of `test/golden/mdns`, by its name there. */
export function goldenDatagram(name: string): Uint8Array {
  const text = readFileSync(new URL(`../golden/mdns/${name}.hex`, import.meta.url), 'utf8');
  const lines = text.trim().split('\n');
  return Uint8Array.from(lines.flatMap((line) => line.split(/\s+/).slice(1)).map((byte) => Number.parseInt(byte, 16)));
}
