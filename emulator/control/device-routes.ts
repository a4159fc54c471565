/** Routes that look at the device as a whole and press its buttons. */
import type { ResetCause } from '../../eboot/reset-cause.ts';
import { MAX_SPEED, MIN_SPEED } from '../pace.ts';
import { ApiError, badRequest, conflict } from './api-error.ts';
import { readObject } from './body.ts';
import type { ControlledDevice } from './ports.ts';
import type { Answer, Routes } from './routes.ts';
import { booleanOf, numberOf, oneOf } from './values.ts';

const CAUSES: readonly Exclude<ResetCause, 'power-on'>[] = [
  'external',
  'software',
  'software-watchdog',
  'hardware-watchdog',
  'exception',
  'eboot',
  'brown-out',
];
/** How long an answer waits for what a start comes to. It may take longer: the answer then shows `state: null`. */
const START_MS = 10_000;
const LOOK_MS = 20;
const MAX_STOPS = 16;
const MAX_STEP_MS = 30_000;
const DEFAULT_STEP_MS = 1000;

/** Last things that were told, for pages that come late. */
export interface Latest {
  readonly app: unknown;
  readonly reset: unknown;
}

export interface DeviceRouteParts {
  /** Names this run of the program. */
  readonly run: string;
  readonly latest: () => Latest;
  /** Types of events that pause the device. */
  readonly pauseOn: Set<string>;
  /** Runs what changes the power one after the other. */
  readonly exclusive: Exclusive;
}

export function deviceRoutes(device: ControlledDevice, parts: DeviceRouteParts): Routes {
  const { exclusive, pauseOn } = parts;
  const clock = () => ({ ...clockOf(device), pauseOn: [...pauseOn] });
  const status = (): Answer => ({ json: { ...statusOf(device, parts.run, parts.latest()), clock: clock() } });
  return {
    '/api/device': { GET: status },
    '/api/power': {
      POST: async ({ request }) => {
        const on = booleanOf('on', (await readObject(request))['on']);
        if (!on) {
          await exclusive(() => device.powerOff());
          return status();
        }
        const { start } = await exclusive(async () => ({ start: device.isOn ? undefined : device.powerOn() }));
        await comesToSomething(device, start);
        return status();
      },
    },
    '/api/reset': {
      POST: async ({ request }) => {
        const { cause = 'external' } = await readObject(request);
        const known = oneOf('cause', cause, CAUSES);
        const { start } = await exclusive(async () => {
          if (!device.isOn && !device.isHeld) throw conflict('device-off', 'the device is off: power it on first');
          return { start: device.reset(known) };
        });
        await comesToSomething(device, start);
        return status();
      },
    },
    '/api/straps': {
      GET: () => ({ json: device.straps }),
      PUT: async ({ request }) => {
        const body = await readObject(request);
        const pins = (['gpio0', 'gpio2', 'gpio15'] as const).filter((pin) => body[pin] !== undefined);
        const levels = pins.map((pin) => [pin, numberOf(pin, body[pin], 0, 1)] as const);
        if (levels.length === 0) numberOf('gpio0', undefined, 0, 1);
        for (const [pin, level] of levels) device.straps[pin] = level === 1 ? 1 : 0;
        return { json: device.straps };
      },
    },
    '/api/clock': {
      GET: () => ({ json: clock() }),
      POST: async ({ request }) => {
        const { paused, speed, pauseOn: types } = await readObject(request);
        const factor = speed === undefined ? undefined : numberOf('speed', speed, MIN_SPEED, MAX_SPEED, false);
        const pause = paused === undefined ? undefined : booleanOf('paused', paused);
        const stops = types === undefined ? undefined : typesOf(types);
        if (stops) {
          pauseOn.clear();
          for (const type of stops) pauseOn.add(type);
        }
        if (factor !== undefined) device.speed = factor;
        if (pause === true) device.pause();
        if (pause === false) device.resume();
        return { json: clock() };
      },
    },
    '/api/step': {
      POST: async ({ request }) => {
        const { timeoutMs = DEFAULT_STEP_MS } = await readObject(request);
        const patience = numberOf('timeoutMs', timeoutMs, 0, MAX_STEP_MS);
        if (!device.paused) throw conflict('not-paused', 'step needs a paused device: POST /api/clock {"paused":true}');
        // Between here and its turn somebody else may have let the device go on.
        const event = await device.step(patience).catch(() => undefined);
        return { json: { performed: event !== undefined, event: event ?? null, clock: clock() } };
      },
    },
  };
}

/** Event types to stop at, e.g. `["eboot.command"]`: what happens within one turn nobody can stop by hand. */
function typesOf(value: unknown): string[] {
  if (
    !Array.isArray(value) ||
    value.length > MAX_STOPS ||
    !value.every((type) => /^[a-z]+\.?[a-z]*$/.test(String(type)))
  ) {
    throw badRequest(`"pauseOn" wants a list of up to ${MAX_STOPS} types of events`);
  }
  return value.map(String);
}

/** What `GET /api/device` tells, the clock left out. */
function statusOf(device: ControlledDevice, run: string, latest: Latest) {
  const { chip } = device.flash;
  return {
    board: device.board,
    layout: device.layout,
    /** Names this run of the program, as in the event stream's `hello`. */
    run,
    power: device.isOn ? 'on' : device.isHeld ? 'held' : 'off',
    state: device.isOn ? (device.state ?? null) : null,
    addresses: device.address,
    straps: device.straps,
    chip: {
      id: chip.part.jedecId,
      name: chip.part.name,
      capacityBytes: chip.capacityBytes,
      sectors: chip.sectorCount,
      enduranceCycles: chip.part.enduranceCycles,
    },
    app: latest.app ?? null,
    lastReset: latest.reset ?? null,
    events: { oldest: device.events.oldestSeq, next: device.events.nextSeq },
  };
}

const clockOf = (device: ControlledDevice) => ({
  mode: device.timeMode,
  paused: device.paused,
  speed: device.speed,
  atUs: device.nowUs,
});

/**
 * Waits for what a start comes to. Not while the device is paused or slowed down, and not for ever: then the answer shows
 * `state: null`, and the events tell the rest.
 *
 * @throws ApiError 500 when it could not start, e.g. because a port is taken
 */
export async function comesToSomething(device: ControlledDevice, start: Promise<unknown> | undefined): Promise<void> {
  if (!start) return;
  let timer: NodeJS.Timeout | undefined;
  let look: NodeJS.Timeout | undefined;
  const enough = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, START_MS, undefined);
    look = setInterval(() => {
      if (device.paused || device.speed < 1) resolve(undefined);
    }, LOOK_MS);
  });
  try {
    const failed = start.then(
      () => undefined,
      (error: unknown) => error,
    );
    const error = await Promise.race([failed, enough]);
    if (error !== undefined)
      throw new ApiError(500, 'cannot-start', error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
    clearInterval(look);
  }
}

export type Exclusive = <T>(task: () => Promise<T>) => Promise<T>;

/** Runs tasks one after the other. */
export function mutex(): Exclusive {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const result = last.then(task);
    last = result.catch(() => {});
    return result;
  };
}
