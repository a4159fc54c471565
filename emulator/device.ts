/** The device: its parts, how they are wired, and the verbs a user has. Contract: design.md §3. */
import type { Kernels, SectorStore } from '../assembly/host/kernels.ts';
import { loadKernels } from '../assembly/host/load.ts';
import type { ResetCause } from '../eboot/reset-cause.ts';
import { ResetState } from '../eboot/reset-state.ts';
import { RtcMemory } from '../eboot/rtc-memory.ts';
import { DOWNLOAD, FLASH_BOOT, type Straps } from '../eboot/straps.ts';
import { roundUpToSector } from '../flash/geometry.ts';
import { NorFlash } from '../flash/nor-flash.ts';
import type { TlsIdentity } from '../ota-services/ports.ts';
import { AreaMap } from './area-map.ts';
import { type BoardSetup, boardSetup } from './board-setup.ts';
import { Boot } from './boot.ts';
import { flipSomeBits } from './brown-out.ts';
import { checkOptions } from './check-options.ts';
import { type ClockMode, VirtualClock, WallClock } from './clock.ts';
import type { CpuDebug } from './control/cpu-debug.ts';
import type { KnownSettings } from './control/ports.ts';
import type { ControlServer } from './control/server.ts';
import {
  type Addresses,
  type DeviceEvent,
  type DeviceEventType,
  EventLog,
  type EventOf,
  type HostPort,
  type Stamped,
  type WaitOptions,
} from './events.ts';
import { FaultEngine } from './faults/engine.ts';
import type { Phase } from './faults/spec.ts';
import { factoryImage, readImage } from './first-image.ts';
import { FlashFile } from './flash-file.ts';
import type { GdbServer } from './gdb/server.ts';
import { checkBootEngine } from './native-boot.ts';
import { NativeDebug } from './native-debug.ts';
import { type DeviceNetwork, makeDeviceNetwork } from './network/device-network.ts';
import type { SimulatedNetwork } from './network/simulated-network.ts';
import type { DeviceOptions, SerialOptions } from './options.ts';
import { PowerLoop, type PowerState } from './power.ts';
import { SeededRandom } from './random.ts';
import { type SerialConnection, type SerialHost, SerialPort } from './serial/serial-port.ts';
import { openSerial } from './serial/transport.ts';
import { type OutputListener, Uart } from './serial/uart.ts';
import { defined } from './settings.ts';
import { checkSketch, type SketchChoice } from './sketch-choice.ts';
import { WEB_UPDATER_HOST } from './sketches/web-updater.ts';
import { tlsIdentity } from './tls-identity.ts';
import { updateSettings } from './update-settings.ts';

const DEFAULT_SKETCH: readonly string[] = ['basic-ota', 'web-updater'];
const DEFAULT_OTA_PORT = 8266;
const DEFAULT_HTTP_PORT = 8080;
const DEFAULT_HTTPS_PORT = 8443;
const DEFAULT_STREAM_PORT = 8232;
const DEFAULT_CONTROL_PORT = 8267;
const DEFAULT_FREE_HEAP = 30_000;
const FIRST_CHIP_ID = 0xc0ffee;
/** Odd, so that every seed up to 2^24 has its own chip id. */
const CHIP_ID_STEP = 0x9e3779;

/** Everything that survives in the chip and the flash; the application's RAM is not among it. */
export interface DeviceSnapshot {
  readonly flash: Uint8Array;
  readonly wear: Uint32Array;
  readonly rtc: Uint8Array;
  readonly straps: Readonly<Straps>;
  readonly resetState: ReturnType<ResetState['snapshot']>;
}

/**
 * Makes a device; it is off until {@link Device.powerOn}.
 *
 * @throws DeviceOptionError for unknown names, sizes that cannot be, an image that is none; FlashFileError for a flash file
 *   of the wrong size, in use by another device, or on a full disk; FaultSpecError
 * @example
 * const device = await createDevice({ layout: '4m2m', image: 'firmware.bin', ota: { port: 0 } });
 * await device.powerOn();
 * console.log(device.address.ota);
 * await device.close();
 */
export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  // Everything that can be wrong is looked at before the flash file is opened and locked.
  checkOptions(options);
  const setup = boardSetup(options);
  const sketch = options.sketch ?? DEFAULT_SKETCH;
  checkSketch(sketch);
  updateSettings(options.update);
  const identity = tlsIdentity({
    cert: options.https?.cert,
    key: options.https?.key,
    flashFile: options.flashFile,
    names: certificateNames(options),
  });
  const image = options.image === undefined ? undefined : readImage(options.image, setup.capacityBytes);
  const kernels = loadKernels();
  const store = kernels.createChip(setup.capacityBytes);
  let file: FlashFile | undefined;
  let fresh = true;
  if (options.flashFile !== undefined) {
    const opened = FlashFile.open(options.flashFile, setup.capacityBytes, (error) => options.onFlashFileError?.(error));
    file = opened.file;
    fresh = opened.made;
    store.overwrite(0, opened.content);
  }
  let device: Device;
  try {
    device = new Device({ options, setup, sketch, identity, image, kernels, store, file, fresh });
  } catch (error) {
    file?.close();
    throw error;
  }
  try {
    if (options.gdb) await device.openGdb(options.gdb.port ?? 0);
    if (options.control) {
      await device.openControl(options.control.port ?? DEFAULT_CONTROL_PORT, {
        password: options.ota?.password,
        httpUser: options.http?.user,
        httpPassword: options.http?.password,
        httpPath: options.http?.path,
      });
    }
    if (options.serial) await device.openSerial(options.serial);
    return device;
  } catch (error) {
    await device.close();
    throw error;
  }
}

interface DeviceParts {
  readonly options: DeviceOptions;
  readonly setup: BoardSetup;
  readonly sketch: SketchChoice;
  readonly identity: () => TlsIdentity;
  readonly image: Uint8Array | undefined;
  readonly kernels: Kernels;
  readonly store: SectorStore;
  readonly file: FlashFile | undefined;
  /** The chip has never been written. */
  readonly fresh: boolean;
}

/** A virtual ESP8266 board. Made by {@link createDevice}. */
export class Device implements AsyncDisposable {
  /** Everything that happens. */
  readonly events: EventLog;
  /** The NOR chip. `read` looks at bytes without device time and without events. */
  readonly flash: { read(address: number, length: number): Uint8Array; readonly chip: NorFlash };
  /** RTC memory, 1024 bytes of which 512 are the user's. */
  readonly rtc: RtcMemory;
  /** Pin levels; they count at the next hardware reset. */
  readonly straps: Straps;
  readonly faults: FaultEngine;
  readonly serial: {
    /** Everything the device sent on UART0 so far (at least the last MiB), latin1. */
    text(): string;
    /** Sends something to the device: text (latin1) or bytes. While a host on the serial port flashes, it is dropped. */
    write(data: string | Uint8Array): void;
    /** Calls `listener` with every byte the device sends, and its baud rate; returns the function that ends it. */
    onOutput(listener: OutputListener): () => void;
    /**
     * Opens the serial port as a host of this program: as one on TCP does, with DTR and RTS where it says so, and by the same
     * rules for several hosts. Undefined when there are too many.
     */
    connect(host: SerialHost): SerialConnection | undefined;
  };
  readonly board: string;
  readonly layout: string;
  /** Rejects when the device cannot go on: a port is in use, or a defect of ours. */
  readonly failed: Promise<never>;

  /** The CPU while code is executed on it: during eboot, with `bootloader: 'native'`. */
  cpu: CpuDebug | undefined;
  private nativeDebug: NativeDebug | undefined;
  private gdb: GdbServer | undefined;

  private readonly clock: VirtualClock | WallClock;
  private readonly power: PowerLoop;
  private readonly boot: Boot;
  private readonly resetState = new ResetState();
  private readonly net: DeviceNetwork;
  private readonly host: string;
  private readonly file: FlashFile | undefined;
  private readonly serialPort: SerialPort;
  private serialTransport: Awaited<ReturnType<typeof openSerial>> | undefined;
  private addresses: Addresses = {};
  private shownAddresses: string | undefined;
  private closing: Promise<void> | undefined;
  private control: ControlServer | undefined;
  private stepping: Promise<unknown> = Promise.resolve();

  /** @internal use {@link createDevice} */
  constructor(parts: DeviceParts) {
    const { options, setup, kernels } = parts;
    const seed = options.seed ?? 1;
    const random = new SeededRandom(seed);
    const mode = options.clock ?? 'fast';
    const host = options.host ?? '127.0.0.1';
    const otaPort = options.ota?.port ?? DEFAULT_OTA_PORT;

    this.host = host;
    this.board = setup.board.id;
    this.layout = setup.layoutName;
    this.file = parts.file;
    this.clock = mode === 'virtual' ? new VirtualClock() : new WallClock(mode);
    this.events = new EventLog(
      () => this.clock.nowUs(),
      () => this.clock.recentUs(),
    );
    const areas = new AreaMap(setup.layout);
    // Somebody holds FLASH while the power comes on for the first time, and lets go when that is latched.
    let flashHeld = options.boot === 'download';
    const emit = (event: DeviceEvent): void => {
      areas.see(event);
      if (flashHeld && event.type === 'straps') {
        flashHeld = false;
        this.straps.gpio0 = 1;
      }
      this.events.emit(event);
    };

    this.faults = new FaultEngine(
      () => this.boot.phase,
      random.stream('faults'),
      emit,
      (address, length) => this.flash.chip.pageCells(address, length),
    );
    const chip = new NorFlash({
      part: setup.part,
      store: parts.store,
      clock: this.clock,
      emit,
      areaOf: (address) => areas.of(address),
      faults: this.faults,
      runs: {
        isOpen: () => this.clock.neverSettles && !this.events.showsChip,
        tell: (run) => this.events.emitRun(run),
      },
      ...(parts.file ? { mirror: parts.file } : {}),
    });
    this.flash = { chip, read: (address, length) => chip.peek(address, length) };
    if (parts.image) chip.load(0, eraseTail(parts.image));
    else if (parts.fresh && options.boot !== 'download') {
      chip.load(
        0,
        factoryImage({
          sketch: typeof parts.sketch === 'function' ? ['blank'] : [parts.sketch].flat(),
          layoutName: setup.layoutName,
          core: options.core,
          seed,
          mode: setup.board.flashMode,
          freqMHz: setup.board.flashFreqMHz,
          capacityBytes: setup.capacityBytes,
        }),
      );
    }

    checkBootEngine(options.bootloader ?? 'auto', chip);

    const ramNoise = random.stream('ram');
    this.rtc = new RtcMemory({
      noise: (bytes) => ramNoise.fill(bytes),
      flipBits: (bytes) => flipSomeBits(bytes, ramNoise),
      emit,
    });
    this.straps = { ...(options.boot === 'download' ? DOWNLOAD : FLASH_BOOT) };
    const uart = new Uart(emit, () => this.power.currentLife?.wake());
    this.serialPort = new SerialPort({
      uart,
      emit,
      alarm: (us, kind, callback) => this.clock.alarm(us, kind, callback),
      pinOf: (host) => ({
        assert: () => this.power.hold(host),
        release: (gpio0Low) => this.power.letGo(host, gpio0Low ? { gpio0: 0 } : {}),
      }),
      pressFlashAndReset: () => this.power.pressReset({ gpio0: 0 }),
      download: options.serial?.download,
      wiring: options.serial?.wiring ?? 'cross-coupled',
      baudFaithful: options.serial?.baudFaithful ?? false,
      resetOnClose: options.serial?.resetOnClose ?? false,
    });
    this.serial = {
      text: () => uart.text(),
      write: (data) => this.serialPort.type(typeof data === 'string' ? Buffer.from(data, 'latin1') : data),
      onOutput: (listener) => uart.onOutput(listener),
      connect: (host) => this.serialPort.connect(host),
    };
    this.net = makeDeviceNetwork({
      host,
      mode,
      clock: this.clock,
      emit,
      fail: (error) => this.power.giveUp(error),
      ...(options.mdnsInterface === undefined ? {} : { mdnsInterface: options.mdnsInterface }),
    });
    this.boot = new Boot({
      chip,
      rtc: this.rtc,
      kernels,
      clock: this.clock,
      uart,
      emit,
      areas,
      faults: this.faults,
      resetState: this.resetState,
      straps: this.straps,
      random,
      core: options.core,
      bootloader: options.bootloader ?? 'auto',
      stub: options.stub ?? 'state',
      onCpu: (machine) => {
        this.nativeDebug?.end();
        this.nativeDebug =
          machine && new NativeDebug(machine, this.clock.pace, emit, (reason) => this.gdb?.halted(reason));
        this.gdb?.attach(this.nativeDebug);
        this.cpu = this.nativeDebug;
      },
      setup,
      net: this.net,
      freeHeap: options.freeHeap ?? DEFAULT_FREE_HEAP,
      chipId: options.chipId ?? (FIRST_CHIP_ID + (seed - 1) * CHIP_ID_STEP) & 0xffffff,
      settings: {
        otaPort,
        ...defined({
          hostname: options.ota?.hostname,
          password: options.ota?.password,
          passwordHash: options.ota?.passwordHash,
          otaDigest: options.ota?.digest,
          httpUser: options.http?.user,
          httpPassword: options.http?.password,
          httpPath: options.http?.path,
          streamFile: options.stream?.file,
          publicKey: options.publicKey,
        }),
        ...updateSettings(options.update),
        mdns: options.mdns ?? !host.startsWith('127.'),
        httpPort: options.http?.port ?? DEFAULT_HTTP_PORT,
        httpsPort: options.https?.port ?? DEFAULT_HTTPS_PORT,
        streamPort: options.stream?.port ?? DEFAULT_STREAM_PORT,
        atomicFs: options.atomicFs ?? false,
      },
      tlsIdentity: parts.identity,
      sketch: parts.sketch,
      sketchFor: options.sketchFor,
      alter: options.alter,
      quadFlash: options.quadFlash ?? true,
      layoutFromImage: options.layoutFromImage ?? false,
      listening: (service: keyof Addresses, at: HostPort) => {
        this.addresses = { ...this.addresses, [service]: at };
      },
      settle: (state: PowerState) => this.settle(state),
    });
    this.power = new PowerLoop({
      clock: this.clock,
      emit,
      boot: (life, cause, reset) => {
        this.addresses = {};
        return this.boot.run(life, cause, reset);
      },
      onPowerLost: () => void this.rtc.reset('power-on'),
      afterPowerCut: options.afterPowerCut ?? 'stay-off',
    });
    this.failed = this.power.failed;
    for (const text of options.faults ?? []) this.faults.arm(text);
  }

  /**
   * Where the services of the running sketch listen: the ports that port 0 chose; also the serial port and the control API.
   * Empty while nothing does.
   */
  get address(): Addresses {
    return {
      ...this.addresses,
      ...(this.serialTransport ? { serial: this.serialTransport.address } : {}),
      ...(this.control ? { control: this.control.address } : {}),
      ...(this.gdb ? { gdb: this.gdb.address } : {}),
    };
  }

  /** The phase that an operation happening now would belong to (design.md §8); RTC words of `copy` are those of `clear`. */
  get phase(): Phase {
    return this.boot.phase;
  }

  /** True between power-on and power-off. */
  get isOn(): boolean {
    return this.power.isOn;
  }

  /** True while a serial host holds RST low: the chip stays in reset, whatever else resets it, until the host lets go. */
  get isRstLow(): boolean {
    return this.power.isRstLow;
  }

  /** True from {@link Device.restore} until it is started. */
  get isHeld(): boolean {
    return this.held;
  }

  /** As `--time`. */
  get timeMode(): ClockMode {
    return this.clock.mode;
  }

  /** Device time: microseconds since the device was made. */
  get nowUs(): number {
    return this.clock.nowUs();
  }

  /** True from {@link Device.pause} to {@link Device.resume}. */
  get paused(): boolean {
    return this.clock.pace.paused;
  }

  /**
   * Stops the device where it stands, at the latest before its next flash operation; device time stands still. Faults,
   * resets and the power plug still strike, and a start that they cause stops in the same way.
   */
  pause(): void {
    this.clock.pace.pause();
  }

  resume(): void {
    this.clock.pace.resume();
  }

  /** Resolves when the device is not paused, or takes a step. Whoever moves virtual time for it waits here. */
  async going(): Promise<void> {
    await this.clock.held();
  }

  /**
   * Factor on top of the clock's mode: 1 as that says, 0.1 ten times slower (`WallClock` says how `fast` is slowed
   * down). On a virtual clock a factor below 1 shows each flash operation for a while of the host's time.
   *
   * @throws RangeError outside 0.001 to 1000
   */
  get speed(): number {
    return this.clock.pace.speed;
  }

  set speed(factor: number) {
    this.clock.pace.speed = factor;
  }

  /**
   * Lets a paused device go on until one flash operation (a page program or a sector erase) was done, or a fault struck.
   *
   * @param timeoutMs wall-clock milliseconds to wait for one (1000); a device that waits for an uploader makes none
   * @returns its event; undefined when there was none
   * @throws Error when the device is not paused
   */
  step(timeoutMs = 1000): Promise<Stamped | undefined> {
    const step = this.stepping.then(() => this.oneStep(timeoutMs));
    this.stepping = step.catch(() => {});
    return step;
  }

  private async oneStep(timeoutMs: number): Promise<Stamped | undefined> {
    const { pace } = this.clock;
    if (!pace.paused) throw new Error('step() needs a paused device: call pause() first');
    let seen: Stamped | undefined;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(end, timeoutMs);
      const stop = this.events.subscribe((event) => {
        if (event.type !== 'flash.erase' && event.type !== 'flash.program' && event.type !== 'fault.fired') return;
        pace.endStep();
        // A fault is told before the operation that it spoils.
        seen = event;
        setImmediate(end);
      });
      function end(): void {
        clearTimeout(timer);
        stop();
        pace.endStep();
        resolve();
      }
      pace.beginStep();
    });
    return seen;
  }

  /** What the present start came to; undefined while it is under way or when power is off. */
  get state(): PowerState | undefined {
    return this.power.state;
  }

  /**
   * Plugs the device in and waits for what comes of it: `running` when `setup()` is done and the sockets are bound,
   * `download` in the serial loader, `dead` when nothing comes. With `clock: 'virtual'` a sketch that sleeps in `setup()`
   * needs {@link Device.advance} meanwhile.
   *
   * @throws Error when it is on already, and when the sketch's port is taken (`ListenError`)
   */
  async powerOn(): Promise<PowerState> {
    this.checkOpen();
    this.held = false;
    return this.power.on();
  }

  /** Pulls the plug: RTC memory and RAM are lost. Does nothing when it is off. */
  async powerOff(): Promise<void> {
    if (this.held) this.rtc.reset('power-on');
    this.held = false;
    return this.power.off();
  }

  /**
   * Resets the running device, as its button does with `external`; resolves as {@link Device.powerOn}.
   * A device restored from a snapshot is held in reset: this starts it, with its RTC memory.
   */
  async reset(cause: Exclude<ResetCause, 'power-on'> = 'external'): Promise<PowerState> {
    this.checkOpen();
    if (this.held) {
      this.held = false;
      return this.power.launch(cause);
    }
    return this.power.reset(cause);
  }

  /** What the start under way comes to, or the present state. Rejects as {@link Device.failed}. */
  settled(): Promise<PowerState> {
    return this.power.settled();
  }

  /** Waits for the next event of a type; see {@link EventLog.next}. */
  next<T extends DeviceEventType>(type: T, options?: WaitOptions<T>): Promise<Stamped<EventOf<T>>> {
    return this.events.next(type, options);
  }

  /** Moves virtual time. @throws Error on a device with another clock */
  async advance(us: number): Promise<void> {
    if (!(this.clock instanceof VirtualClock)) throw new Error("advance() needs a device made with clock: 'virtual'");
    await this.clock.advance(us);
  }

  /** The peers' side of the simulated network. @throws Error on a device with another clock */
  get network(): SimulatedNetwork {
    if (!this.net.simulated) throw new Error("device.network needs a device made with clock: 'virtual'");
    return this.net.simulated;
  }

  /** Flash, wear, RTC memory and straps as they are. */
  snapshot(): DeviceSnapshot {
    const { chip } = this.flash;
    return {
      flash: chip.peek(0, chip.capacityBytes),
      wear: chip.wearCounts(),
      rtc: this.rtc.snapshot(),
      straps: { ...this.straps },
      resetState: this.resetState.snapshot(),
    };
  }

  /**
   * Puts a snapshot back. The application's RAM is not in it, so the device is then held in reset: `reset('external')`
   * starts it with RTC memory as it was, `powerOn()` after a loss of power.
   *
   * @throws RangeError when it was taken from a chip of another size
   */
  async restore(snapshot: DeviceSnapshot): Promise<void> {
    const { chip } = this.flash;
    if (snapshot.flash.length !== chip.capacityBytes) {
      throw new RangeError(
        `snapshot of a chip with ${snapshot.flash.length} bytes; this one has ${chip.capacityBytes}`,
      );
    }
    await this.power.off();
    chip.load(0, snapshot.flash);
    chip.restoreWear(snapshot.wear);
    this.rtc.restore(snapshot.rtc);
    Object.assign(this.straps, snapshot.straps);
    this.resetState.restore(snapshot.resetState);
    this.held = true;
  }

  /** Powers the device off and gives everything back. A closed device stays closed. */
  close(): Promise<void> {
    this.closing ??= Promise.all([this.power.off(), this.control?.close(), this.gdb?.close()]).then(() => {
      this.serialTransport?.close();
      this.file?.close();
    });
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Opens the port for debuggers.
   * @internal use the option `gdb`
   */
  async openGdb(port: number): Promise<void> {
    const { GdbServer } = await import('./gdb/server.ts');
    const server = new GdbServer();
    await server.listen(port);
    this.gdb = server;
  }

  /**
   * Opens the control API.
   * @internal use the option `control`
   */
  async openControl(port: number, settings: KnownSettings): Promise<void> {
    // Most devices have none, and its modules take time to load.
    const { startControl } = await import('./control/server.ts');
    this.control = await startControl(this, { port, settings });
  }

  /**
   * Opens UART0 for hosts.
   * @internal use the option `serial`
   */
  async openSerial(options: SerialOptions): Promise<void> {
    this.serialTransport = await openSerial(this.serialPort, options, this.host);
  }

  private held = false;

  private checkOpen(): void {
    if (this.closing) throw new Error('the device is closed');
  }

  /** This start came to something: tells where it listens, when that is news. */
  private settle(state: PowerState): void {
    const addresses = JSON.stringify(this.address);
    if (addresses !== this.shownAddresses) {
      this.shownAddresses = addresses;
      this.events.emit({
        type: 'device.ready',
        board: this.board,
        layout: this.layout,
        host: this.host,
        addresses: this.address,
      });
    }
    this.power.settle(state);
  }
}

/** What a browser may call the device. */
function certificateNames({ host, ota }: DeviceOptions): string[] {
  const own = host === undefined || host === '0.0.0.0' ? [] : [host];
  return [...new Set([`${ota?.hostname ?? WEB_UPDATER_HOST}.local`, 'localhost', '127.0.0.1', ...own])];
}

/** A serial upload erases whole sectors: what follows the image in its last one is 0xFF. */
function eraseTail(image: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(roundUpToSector(image.length)).fill(0xff);
  bytes.set(image);
  return bytes;
}
