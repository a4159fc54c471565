/** A device that runs ArduinoOTA on real sockets of this machine, 127.0.0.1, with a port that the system chose. */
import { type ClockMode, WallClock } from '../../emulator/clock.ts';
import { Life } from '../../emulator/life.ts';
import { nodeNetwork } from '../../emulator/network/node-network.ts';
import { PowerLost } from '../../flash/ports.ts';
import type { ServiceEvent } from '../../ota-services/events.ts';
import { OtaDevice, type OtaDeviceOptions } from './ota-device.ts';

export class LiveOta extends OtaDevice {
  /** Resolves when the device stopped: after a restart, too. */
  readonly stopped: Promise<void>;

  private constructor(options: OtaDeviceOptions, mode: Exclude<ClockMode, 'virtual'>) {
    const clock = new WallClock(mode);
    const life = new Life(clock);
    const sinks: ((event: ServiceEvent) => void)[] = [];
    const emit = (event: ServiceEvent): void => {
      for (const sink of sinks) sink(event);
    };
    super(clock, life, nodeNetwork({ host: '127.0.0.1', emit }).forDevice(life), { defaultPort: 0, ...options });
    sinks.push((event) => this.tell(event));
    this.stopped = this.runSketch();
  }

  /** Resolves when it can be invited. */
  static async start(options: OtaDeviceOptions = {}, mode: Exclude<ClockMode, 'virtual'> = 'fast'): Promise<LiveOta> {
    const device = new LiveOta(options, mode);
    while (!device.ota.address) await new Promise((resolve) => setImmediate(resolve));
    return device;
  }

  get port(): number {
    return this.ota.address!.port;
  }

  async powerOff(): Promise<void> {
    this.life.end(new PowerLost());
    await this.stopped;
  }
}
