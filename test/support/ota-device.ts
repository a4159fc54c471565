/**
 * A device that runs ArduinoOTA: chip, Updater, and a sketch whose callbacks print a line each. The surroundings are those
 * of the recorded exchanges: 4 MiB, file system 0x200000 to 0x3FA000, running sketch of 300000 bytes, mode DOUT.
 */
import { createHash } from 'node:crypto';
import { referenceKernels } from '../../assembly/host/reference.ts';
import type { DeviceClock } from '../../emulator/clock.ts';
import { DeviceReset } from '../../emulator/device-reset.ts';
import type { Life } from '../../emulator/life.ts';
import { EspFlash } from '../../flash/esp-class.ts';
import type { FlashEvent } from '../../flash/events.ts';
import { layoutByName } from '../../flash/layouts.ts';
import { type FlashFaults, NorFlash } from '../../flash/nor-flash.ts';
import { defaultPart } from '../../flash/parts.ts';
import { Interruption } from '../../flash/ports.ts';
import { ArduinoOTA } from '../../ota-services/arduino-ota/arduino-ota.ts';
import type { OtaMdns } from '../../ota-services/arduino-ota/ports.ts';
import type { ServiceEvent } from '../../ota-services/events.ts';
import type { Clock, Network, ServicePorts, System } from '../../ota-services/ports.ts';
import { Updater, type UpdaterOptions } from '../../ota-services/updater.ts';

const CHIP_BYTES = 0x400000;
/** The image of the running sketch: its header, and one segment that makes it 300000 bytes. */
const RUNNING_SKETCH_BYTES = 300_000;
const RUNNING_MODE_DOUT = 3;
const APP_HEADER = 0x1000;
const LOOP_US = 1000;

export interface OtaDeviceOptions {
  readonly faults?: FlashFaults;
  /** Whether the chip takes its time to erase and to program (true). */
  readonly chipTakesTime?: boolean;
  readonly mdns?: OtaMdns;
  /** Runs before `begin`: settings, other callbacks. */
  readonly setup?: (ota: ArduinoOTA, device: OtaDevice) => void;
  readonly useMdns?: boolean;
  readonly freeHeap?: number;
  readonly wifiOff?: boolean;
  readonly defaultPort?: number;
  readonly updater?: UpdaterOptions;
}

/** What the eboot command in RTC memory holds. */
export interface BootCommand {
  readonly source: number;
  readonly destination: number;
  readonly size: number;
}

export function nodeMd5(): { update(data: Uint8Array): void; digest(): Uint8Array } {
  const hash = createHash('md5');
  return { update: (data) => void hash.update(data), digest: () => new Uint8Array(hash.digest()) };
}

export function md5Hex(data: Uint8Array | string): string {
  return createHash('md5').update(data).digest('hex');
}

export class OtaDevice {
  readonly chip: NorFlash;
  readonly esp: EspFlash;
  readonly ports: ServicePorts;
  readonly updater: Updater;
  readonly ota: ArduinoOTA;
  readonly events: (ServiceEvent & { readonly atMs: number })[] = [];
  readonly flashEvents: FlashEvent[] = [];
  /** What the sketch's callbacks printed. */
  readonly serial: { readonly atMs: number; readonly line: string }[] = [];
  readonly debug: string[] = [];
  /** `2=1`, `2 output`: what was done to pins. */
  readonly pins: string[] = [];
  bootCommand: BootCommand | undefined;
  /** How the device started again, if it did. */
  restart: 'restart' | 'hardware' | undefined;
  wifiIsOn = true;
  /** The sketch's thread ended with something that was no Interruption. */
  crash: unknown;

  constructor(
    readonly deviceClock: DeviceClock,
    readonly life: Life,
    network: Network,
    private readonly deviceOptions: OtaDeviceOptions,
  ) {
    this.chip = new NorFlash({
      part: defaultPart(CHIP_BYTES),
      store: referenceKernels().createChip(CHIP_BYTES),
      clock:
        deviceOptions.chipTakesTime === false
          ? { nowUs: () => deviceClock.nowUs(), spend: () => {}, settle: () => undefined }
          : deviceClock,
      emit: (event) => void this.flashEvents.push(event),
    });
    this.chip.load(0, runningSketch());
    this.esp = new EspFlash({ chip: this.chip, clock: deviceClock, layout: layoutByName('4m2m'), md5: nodeMd5 });
    this.esp.sdkStart();
    this.chip.faults = deviceOptions.faults;
    this.ports = {
      clock: this.arduinoClock(),
      network,
      system: this.system(),
      command: {
        writeCopy: (source, destination, size) => {
          this.bootCommand = { source, destination, size };
        },
        clear: () => {
          this.bootCommand = undefined;
        },
      },
      md5: nodeMd5,
      emit: (event) => this.tell(event),
    };
    this.updater = new Updater({ ...this.ports, flash: this.esp }, deviceOptions.updater);
    this.ota = new ArduinoOTA({
      ports: this.ports,
      updater: this.updater,
      eraseConfig: () => this.esp.eraseConfig(),
      mdns: deviceOptions.mdns,
      debug: (line) => void this.debug.push(line),
      defaultPort: deviceOptions.defaultPort,
    });
    this.ota.onStart(() => this.print(`Start cmd=${this.ota.getCommand()}`));
    this.ota.onProgress((done, total) => this.print(`Progress ${done}/${total}`));
    this.ota.onEnd(() => this.print('End'));
    this.ota.onError((code) => this.print(`Error[${code}]`));
    deviceOptions.setup?.(this.ota, this);
  }

  get nowMs(): number {
    return this.deviceClock.nowUs() / 1000;
  }

  get lines(): string[] {
    return this.serial.map(({ line }) => line);
  }

  print(line: string): void {
    this.serial.push({ atMs: this.nowMs, line });
  }

  tell(event: ServiceEvent): void {
    this.events.push({ ...event, atMs: this.nowMs });
  }

  eventsOf<T extends ServiceEvent['type']>(type: T): Extract<ServiceEvent, { type: T }>[] {
    return this.events.filter((event) => event.type === type) as unknown as Extract<ServiceEvent, { type: T }>[];
  }

  /** The sketch's thread: `begin`, and `handle()` for ever. Resolves when the device stopped. */
  async runSketch(): Promise<void> {
    try {
      await this.ota.begin(this.deviceOptions.useMdns ?? false);
      for (;;) {
        await this.ota.handle();
        await this.life.idle(LOOP_US);
      }
    } catch (error) {
      if (error instanceof Interruption) return;
      this.crash = error;
      this.life.end(new DeviceReset('exception'));
    }
  }

  private arduinoClock(): Clock {
    const { deviceClock, life } = this;
    return {
      micros: () => deviceClock.nowUs() >>> 0,
      millis: () => Math.floor(deviceClock.nowUs() / 1000) >>> 0,
      delay: (ms, kind = 'device') => life.sleep(ms * 1000, kind === 'peer' ? 'peer' : 'device'),
      yield: () => life.guard(deviceClock.turn()),
    };
  }

  private system(): System {
    return {
      chipId: 0xc0ffee,
      bootStraps: () => 3,
      freeHeap: () => this.deviceOptions.freeHeap ?? 30_000,
      allocate: () => true,
      release: () => {},
      restart: () => this.stop('restart'),
      disableWifiSleep: () => {},
      wifiOff: async () => {
        this.wifiIsOn = !(this.deviceOptions.wifiOff ?? true);
        return !this.wifiIsOn;
      },
      hardwareReset: () => this.stop('hardware'),
      digitalWrite: (pin, level) => void this.pins.push(`${pin}=${level}`),
      pinMode: (pin, mode) => void this.pins.push(`${pin} ${mode}`),
    };
  }

  private stop(how: 'restart' | 'hardware'): Promise<never> {
    this.restart = how;
    const reset = new DeviceReset('software');
    this.life.end(reset);
    return Promise.reject(reset);
  }
}

/** From the header at 0 and the application header at 0x1000 the core reads mode, chip size and sketch size. */
function runningSketch(): Uint8Array {
  const image = new Uint8Array(APP_HEADER + 16).fill(0xff);
  const header = [0xe9, 1, RUNNING_MODE_DOUT, 0x40, 0, 0, 0x10, 0x40];
  image.set(header, 0);
  image.set(header, APP_HEADER);
  const segment = new DataView(image.buffer, APP_HEADER + 8);
  segment.setUint32(0, 0x40201010, true);
  // Header, segment header, and the padding to 16 with the checksum byte belong to the size as well.
  segment.setUint32(4, RUNNING_SKETCH_BYTES - APP_HEADER - 32, true);
  return image;
}
