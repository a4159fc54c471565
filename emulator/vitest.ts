/**
 * `esp8266-ota-emulator/vitest`: a `test` with a device in it, and matchers over what the device did. Needs the package
 * `vitest`.
 *
 * @example
 * import { expect, test } from 'esp8266-ota-emulator/vitest';
 *
 * test('a new version runs', async ({ device }) => {
 *   await uploadOverOta({ host: '127.0.0.1', port: device.address.ota.port, file: next });
 *   await expect(device).toBoot('2.0');
 *   expect(device).toHoldImage(next);
 * });
 */
import { test as base, expect } from 'vitest';
import { createDevice, type Device } from './device.ts';
import type { DeviceEventType, EventOf, Stamped } from './events.ts';
import type { DeviceOptions } from './options.ts';
import { settle } from './sweep/drive/index.ts';

export { expect };

export interface DeviceFixtures {
  /** Options of the device; extend the test to change them: `test.extend({ deviceOptions: { layout: '4m3m' } })`. */
  deviceOptions: DeviceOptions;
  /** A device that is on and has settled, its services on ports of the system's choice; closed when the test is over. */
  device: Device;
  /** Makes further devices, off; closed when the test is over. */
  makeDevice: (options?: DeviceOptions) => Promise<Device>;
}

/** Vitest's `test` with {@link DeviceFixtures}. Only what a test names is made. */
export const test = base.extend<DeviceFixtures>({
  // Vitest reads the names of the fixtures from the pattern, so it must stand there, empty too.
  // biome-ignore lint/correctness/noEmptyPattern: see above
  deviceOptions: async ({}, use) => use({}),
  makeDevice: async ({ deviceOptions }, use) => {
    const made: Device[] = [];
    await use(async (options = {}) => {
      const device = await createDevice(merged(deviceOptions, options));
      made.push(device);
      return device;
    });
    for (const device of made.reverse()) await device.close();
  },
  device: async ({ makeDevice }, use) => {
    const device = await makeDevice();
    await started(device);
    await use(device);
  },
});

function merged(common: DeviceOptions, own: DeviceOptions): DeviceOptions {
  const { ota, http } = { ...common, ...own };
  return { ...common, ...own, ota: { port: 0, ...ota }, http: { port: 0, ...http } };
}

/** Plugs it in and waits; virtual time is moved meanwhile. */
async function started(device: Device): Promise<void> {
  if (device.timeMode !== 'virtual') {
    await device.powerOn();
    return;
  }
  const start = device.powerOn();
  start.catch(() => {}); // it rejects as the settling does
  await settle(device);
  await start;
}

/** How many of the last events a failure shows. */
const SHOWN_EVENTS = 8;
const DEFAULT_WAIT_MS = 10_000;
/** Virtual time that a wait may take. */
const DEFAULT_WAIT_US = 120_000_000;
const STEP_US = 20_000;

interface Outcome {
  readonly pass: boolean;
  readonly message: () => string;
  readonly actual?: unknown;
  readonly expected?: unknown;
}

type Fields<T extends DeviceEventType> = Partial<EventOf<T>>;

export interface DeviceMatchers<R = unknown> {
  /** The application that started last is this version, and it is sound and still runs. */
  toHaveBooted(version: string): R;
  /** Waits (at most `timeoutMs`, 10,000; with virtual time two minutes of that) until this version runs. */
  toBoot(version: string, timeoutMs?: number): Promise<R>;
  /** There was an event of this type with at least these fields (texts may be patterns). */
  toHaveEvent<T extends DeviceEventType>(type: T, fields?: { [K in keyof Fields<T>]?: Fields<T>[K] | RegExp }): R;
  /** Flash holds these bytes, from `address` on (0). Of a sketch at 0 the bytes that the Updater patches do not count. */
  toHoldImage(bytes: Uint8Array, address?: number): R;
  /** Its application runs. */
  toBeRunning(): R;
  /** It stands still, for this reason (`crash-loop`, `no-image`, …), or for any. */
  toBeDead(why?: string): R;
  /** The sketch printed this on the serial line. */
  toHavePrinted(text: string | RegExp): R;
}

declare module 'vitest' {
  // biome-ignore lint/suspicious/noExplicitAny: the interface that is added to has this very parameter
  interface Matchers<T = any> extends DeviceMatchers<T> {}
}

expect.extend({
  toHaveBooted: (device: Device, version: string): Outcome => booted(deviceOf(device), version),

  async toBoot(device: Device, version: string, timeoutMs = DEFAULT_WAIT_MS): Promise<Outcome> {
    const one = deviceOf(device);
    if (one.timeMode === 'virtual') {
      for (let spent = 0; spent < DEFAULT_WAIT_US && !booted(one, version).pass; spent += STEP_US)
        await one.advance(STEP_US);
    } else {
      const until = performance.now() + timeoutMs;
      while (!booted(one, version).pass && performance.now() < until) await pause();
    }
    return booted(one, version);
  },

  toHaveEvent(device: Device, type: DeviceEventType, fields: Record<string, unknown> = {}): Outcome {
    const events = deviceOf(device).events.recent(type);
    const matches = (event: object): boolean =>
      Object.entries(fields).every(([name, wanted]) => {
        const value = (event as Record<string, unknown>)[name];
        return wanted instanceof RegExp ? wanted.test(String(value)) : this.equals(value, wanted);
      });
    const pass = events.some(matches);
    const shown = Object.keys(fields).length === 0 ? '' : ` with ${this.utils.stringify(fields)}`;
    return {
      pass,
      message: () =>
        pass
          ? `there is an event ${type}${shown}:\n${lines(events.filter(matches))}`
          : `no event ${type}${shown}; ${
              events.length === 0
                ? `the last events are\n${lastEvents(device)}`
                : `those of that type are\n${lines(events)}`
            }`,
    };
  },

  toHoldImage(device: Device, bytes: Uint8Array, address = 0): Outcome {
    const cells = deviceOf(device).flash.read(address, bytes.length);
    const patched = address === 0 && bytes[0] === IMAGE_MAGIC;
    const different = [...cells.keys()].find((i) => cells[i] !== bytes[i] && !(patched && (i === 2 || i === 3)));
    const where = (i: number): string => `0x${(address + i).toString(16)}`;
    return {
      pass: different === undefined,
      message: () =>
        different === undefined
          ? `flash holds these ${bytes.length} bytes at ${where(0)}`
          : `flash differs from these ${bytes.length} bytes, first at ${where(different)}: ` +
            `0x${hex(cells[different])} instead of 0x${hex(bytes[different])}`,
    };
  },

  toBeRunning(device: Device): Outcome {
    const { state } = deviceOf(device);
    return {
      pass: state?.state === 'running',
      message: () => `the device is ${stateText(device)}; the last events are\n${lastEvents(device)}`,
    };
  },

  toBeDead(device: Device, why?: string): Outcome {
    const { state } = deviceOf(device);
    return {
      pass: state?.state === 'dead' && (why === undefined || state.why === why),
      message: () =>
        `the device is ${stateText(device)}${why === undefined ? '' : `, wanted: ${why}`}; the last events are\n${lastEvents(device)}`,
    };
  },

  toHavePrinted(device: Device, wanted: string | RegExp): Outcome {
    const text = deviceOf(device).serial.text();
    return {
      pass: typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text),
      message: () => `on the serial line: ${JSON.stringify(text.slice(-1000))}`,
      actual: text,
      expected: wanted,
    };
  },
});

const IMAGE_MAGIC = 0xe9;

function booted(device: Device, version: string): Outcome {
  const start = device.events.recent('app.start').at(-1);
  const pass = start?.version === version && start.identity !== 'corrupt' && device.state?.state === 'running';
  return {
    pass,
    message: () =>
      pass
        ? `version ${version} runs`
        : `wanted version ${version}; the last application to start is ${
            start ? `${start.version ?? 'one without a version'} (${start.identity})` : 'none'
          }, the device is ${stateText(device)}; the last events are\n${lastEvents(device)}`,
    actual: start?.version,
    expected: version,
  };
}

function deviceOf(value: unknown): Device {
  if (typeof value === 'object' && value !== null && 'events' in value && 'flash' in value) return value as Device;
  throw new TypeError(`wants a device of createDevice(); got ${typeof value}`);
}

function stateText(device: Device): string {
  const { state } = device;
  if (!state) return 'starting, or off';
  if (state.state === 'dead') return `dead (${state.why}: ${state.message})`;
  return state.state === 'off' ? `off (${state.why})` : state.state;
}

const lines = (events: readonly Stamped[]): string =>
  events
    .slice(-SHOWN_EVENTS)
    .map((event) => `  ${JSON.stringify(event)}`)
    .join('\n');

const lastEvents = (device: Device): string => lines(device.events.recent());

const hex = (byte: number | undefined): string => (byte ?? 0).toString(16).padStart(2, '0');

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));
