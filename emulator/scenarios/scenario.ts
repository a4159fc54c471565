/**
 * Failures that people met in the field, each to be seen on a virtual device: the symptom in the device's own words, the cause
 * named, the cure shown. Source: spec chapter 06.
 */
import { buildImage } from '../../flash/image-build.ts';
import type { FlashMode } from '../../flash/image-header.ts';
import { createDevice, type Device } from '../device.ts';
import type { DeviceEventType, EventOf, Stamped } from '../events.ts';
import type { DeviceOptions } from '../options.ts';
import type { PowerState } from '../power.ts';
import { type DriveOptions, type DriveResult, deviceOptionsFor, driveUpdate, settle } from '../sweep/drive/index.ts';

/** One or more rows of the catalogue that have one story. */
export interface Scenario {
  /** Name on the command line. */
  readonly name: string;
  /** Rows of the catalogue, from 1. */
  readonly rows: readonly number[];
  /** One line: what people report. */
  readonly title: string;
  /** Public threads; numbers alone are those of esp8266/Arduino. */
  readonly threads: string;
  /** Why it happens, in plain words. */
  readonly cause: string;
  /** What helps, in plain words. */
  readonly cure: string;
  /** What is assumed where neither the chapters nor the thread say it. */
  readonly assumed?: string;
  /** Plays it on a stage. @throws ScenarioFailed when the device does not behave as the row says */
  play(stage: Stage): Promise<void>;
}

/** How long {@link Stage.until} waits, and how often it looks. */
const UNTIL_US = 60_000_000;
const UNTIL_STEP_US = 5_000;

/** The device did not do what the catalogue says. */
export class ScenarioFailed extends Error {
  override readonly name = 'ScenarioFailed';
}

/** What was seen, in order. */
export type Act =
  /** What is done next, in words. */
  | { readonly kind: 'step'; readonly text: string }
  /** The failure as people see it; `text` quotes the device or the uploader. */
  | { readonly kind: 'symptom'; readonly text: string }
  /** What inside the device proves the cause. */
  | { readonly kind: 'evidence'; readonly text: string }
  /** The cure works; `text` says by what that is known. */
  | { readonly kind: 'cure'; readonly text: string };

export interface StageOptions {
  /** Of every device of the scenario (1). */
  readonly seed?: number;
  /** Told each act as it happens. */
  readonly onAct?: (act: Act) => void;
  /** Told each device that enters, before it is switched on. */
  readonly onDevice?: (device: Device) => Promise<void> | void;
  /** Told when the play is over, while its devices are still there. */
  readonly onEnd?: () => Promise<void> | void;
}

export interface ImageWish {
  readonly version: string;
  /** Bytes (300,000). */
  readonly size?: number;
  readonly layout?: string;
  readonly sketch?: string | readonly string[];
  readonly core?: string;
  readonly mode?: FlashMode;
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
}

/** Makes devices with a virtual clock, keeps the record, and tidies up. */
export class Stage {
  readonly acts: Act[] = [];
  readonly seed: number;
  private readonly devices: Device[] = [];

  constructor(private readonly options: StageOptions = {}) {
    this.seed = options.seed ?? 1;
  }

  /** A firmware file; `basic-ota` and `web-updater` unless another sketch is wished for. */
  image({ sketch = ['basic-ota', 'web-updater'], size = 300_000, layout = '4m2m', ...rest }: ImageWish): Uint8Array {
    return buildImage({ sketch, size, layout, seed: this.seed, ...rest });
  }

  /** A device that is on, ready for updates by `path` where one is given. */
  async device(options: DeviceOptions, path?: DriveOptions['path']): Promise<Device> {
    const device = await createDevice({
      seed: this.seed,
      ...(path === undefined ? { clock: 'virtual' as const } : deviceOptionsFor(path, 'sketch')),
      ...options,
    });
    this.devices.push(device);
    await this.options.onDevice?.(device);
    const on = device.powerOn();
    await this.settled(device);
    await on;
    return device;
  }

  /** One update, up to the device's restart or its refusal. */
  update(device: Device, options: Omit<DriveOptions, 'target'> & Partial<DriveOptions>): Promise<DriveResult> {
    return driveUpdate(device, { target: 'sketch', ...options });
  }

  /** Waits in device time for what the present start comes to. */
  async settled(device: Device): Promise<PowerState> {
    const state = await settle(device);
    if (!state) throw new ScenarioFailed('the device did not come to rest within two minutes');
    return state;
  }

  /** Device time passes until `done` holds. @throws ScenarioFailed when it never does */
  async until(device: Device, what: string, done: () => boolean, limitUs = UNTIL_US): Promise<void> {
    for (let spent = 0; !done(); spent += UNTIL_STEP_US) {
      if (spent >= limitUs) throw new ScenarioFailed(`in ${limitUs / 1e6} seconds of device time there was no ${what}`);
      await device.going();
      await device.advance(UNTIL_STEP_US);
    }
  }

  /** Plugs in, resets: device time passes until something comes of it. */
  async restart(device: Device, how: 'power-cycle' | 'reset-button'): Promise<PowerState> {
    if (how === 'power-cycle') await device.powerOff();
    const started = how === 'power-cycle' ? device.powerOn() : device.reset('external');
    await this.settled(device);
    return started;
  }

  /** The last event of a type. @throws ScenarioFailed when there was none */
  last<T extends DeviceEventType>(device: Device, type: T): Stamped<EventOf<T>> {
    const event = device.events.recent(type).at(-1);
    if (!event) throw new ScenarioFailed(`no event ${type}`);
    return event;
  }

  /** The version of the image that started last. */
  running(device: Device): string | undefined {
    return device.events.recent('app.start').at(-1)?.version;
  }

  step(text: string): void {
    this.act({ kind: 'step', text });
  }

  /** The failure has been seen. */
  symptom(seen: unknown, text: string): void {
    this.require(seen, `symptom: ${text}`);
    this.act({ kind: 'symptom', text });
  }

  /** The cause is proven. */
  evidence(seen: unknown, text: string): void {
    this.require(seen, `evidence: ${text}`);
    this.act({ kind: 'evidence', text });
  }

  /** The cure has worked. */
  cured(seen: unknown, text: string): void {
    this.require(seen, `cure: ${text}`);
    this.act({ kind: 'cure', text });
  }

  require(seen: unknown, what: string): void {
    if (!seen) throw new ScenarioFailed(`not seen: ${what}`);
  }

  async close(): Promise<void> {
    for (const device of this.devices.splice(0)) await device.close();
  }

  private act(act: Act): void {
    this.acts.push(act);
    this.options.onAct?.(act);
  }
}

export interface ScenarioResult {
  readonly name: string;
  readonly acts: readonly Act[];
}

/**
 * Plays a scenario from the first step to the cure.
 *
 * @throws ScenarioFailed when symptom, cause or cure is not to be seen
 */
export async function playScenario(scenario: Scenario, options: StageOptions = {}): Promise<ScenarioResult> {
  const stage = new Stage(options);
  try {
    await scenario.play(stage);
    for (const kind of ['symptom', 'evidence', 'cure'] as const) {
      stage.require(
        stage.acts.some((act) => act.kind === kind),
        `any ${kind}`,
      );
    }
    await options.onEnd?.();
    return { name: scenario.name, acts: stage.acts };
  } finally {
    await stage.close();
  }
}
