/**
 * The application: which sketch a booted image is (design.md §7), whether its bytes are sound, and its run on the
 * device's one thread.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Kernels } from '../assembly/host/kernels.ts';
import { CORE_VERSIONS } from '../eboot/eras.ts';
import { EspFlash } from '../flash/esp-class.ts';
import { type FlashLayout, layoutNames, resolveLayout } from '../flash/layouts.ts';
import type { Manifest } from '../flash/manifest.ts';
import type { NorFlash } from '../flash/nor-flash.ts';
import { Interruption } from '../flash/ports.ts';
import { ArduinoOTA } from '../ota-services/arduino-ota/arduino-ota.ts';
import { ESP8266HTTPUpdate } from '../ota-services/http-update-client/http-update.ts';
import { OpenConnections } from '../ota-services/http-update-client/open-connections.ts';
import type { Mdns } from '../ota-services/mdns/mdns.ts';
import type { EbootCommandPort, Md5, Network, ServicePorts, TlsIdentity } from '../ota-services/ports.ts';
import { PRESENT_ERA, type ServiceEra, serviceEraOf } from '../ota-services/service-era.ts';
import { Updater, type UpdaterOptions } from '../ota-services/updater.ts';
import type { Alterations } from './alterations.ts';
import { type AppImage, readAppImage } from './app-image.ts';
import type { DeviceClock } from './clock.ts';
import { EXCEPTIONS, postMortem } from './crash.ts';
import { DeviceReset } from './device-reset.ts';
import type { Addresses, DeviceEvent, HostPort } from './events.ts';
import type { FaultEngine } from './faults/engine.ts';
import { faultyNetwork } from './faults/net.ts';
import { FACTORY_VERSION } from './first-image.ts';
import type { Life } from './life.ts';
import { md5Source } from './md5-source.ts';
import { asHttp } from './network/http-network.ts';
import { ntpTime } from './ntp.ts';
import type { BootedImage } from './options.ts';
import { chipClock, rebootIntoLoader, sketchClock, systemPort } from './ports.ts';
import { ArduinoSerial } from './serial/arduino-serial.ts';
import type { Uart } from './serial/uart.ts';
import { mergeSettings, type SketchSettings } from './settings.ts';
import { rsaVerifier } from './signing.ts';
import { resolveSketch, type SketchChoice } from './sketch-choice.ts';
import type { Core, Sketch, SketchFactory } from './sketches/sketch.ts';

/** EXCCAUSE of code that is none. */
const ILLEGAL_INSTRUCTION = 0;
/** Between two rounds of `loop()` with nothing to do; whatever arrives ends it. */
const IDLE_US = 10_000;

export interface AppParts {
  readonly chip: NorFlash;
  readonly layout: FlashLayout;
  readonly flashMapSupport: boolean;
  readonly kernels: Kernels;
  readonly clock: DeviceClock;
  readonly uart: Uart;
  readonly emit: (event: DeviceEvent) => void;
  /** `ESP.getResetReason()`. */
  readonly resetReason: () => string;
  readonly command: EbootCommandPort;
  readonly network: Network;
  readonly faults: FaultEngine;
  readonly alter: Alterations | undefined;
  readonly mdns: ((ports: ServicePorts) => Mdns) | undefined;
  readonly freeHeap: number;
  readonly chipId: number;
  /** The hardware random number register. */
  readonly random32: () => number;
  readonly bootStraps: () => number;
  readonly settings: SketchSettings;
  /** Of the firmware's TLS server. */
  readonly tlsIdentity: () => TlsIdentity;
  /** Era of the core; undefined: what the image says, else `master`. */
  readonly core: string | undefined;
  /** The firmware finds its file system where its own manifest says. */
  readonly layoutFromImage: boolean;
  /** For images that do not say what they are. */
  readonly sketch: SketchChoice;
  readonly sketchFor: ((image: BootedImage) => SketchFactory | string | readonly string[] | undefined) | undefined;
  readonly listening: (service: keyof Addresses, at: HostPort) => void;
  /** `setup()` is done. */
  readonly ready: () => void;
  /** Counts a crash; returns how many there were before `setup()` ended, this one included. */
  readonly crashed: () => number;
}

/** Runs the application until the device is reset or loses power: never returns. */
export async function runApp(parts: AppParts, life: Life): Promise<never> {
  parts.uart.startSketch();
  const md5 = md5Source(parts.kernels, life);
  const esp = new EspFlash({
    chip: parts.chip,
    clock: chipClock(parts.clock, life),
    layout: parts.layout,
    flashMapSupport: parts.flashMapSupport,
    md5,
  });
  esp.sdkStart();
  const size = esp.getSketchSize();
  const sketchMd5 = esp.getSketchMD5();
  const image = readAppImage(parts.chip, size);
  const ownLayout = parts.layoutFromImage ? layoutNames.find((name) => name === image.manifest?.layout) : undefined;
  if (ownLayout !== undefined) esp.layout = resolveLayout(ownLayout, parts.chip.capacityBytes);
  const choice = chooseSketch(parts, image.manifest, {
    ...(image.manifest ? { version: image.manifest.version } : {}),
    size,
    md5: sketchMd5,
    read: (address, length) => parts.chip.peek(address, length),
  });
  parts.emit({
    type: 'app.start',
    ...(image.manifest ? { version: image.manifest.version } : {}),
    md5: sketchMd5,
    size,
    sketch: choice.name,
    checksumOk: image.checksumOk,
    ...(image.crcOk === undefined ? {} : { crcOk: image.crcOk }),
    identity: image.damage !== undefined ? 'corrupt' : image.manifest || choice.byRule ? 'known' : 'unknown',
  });
  const crash = (cause: number, what: string): never => {
    life.check();
    parts.uart.send(postMortem(cause, image.entry));
    parts.emit({
      type: 'app.crash',
      reason: `Exception (${cause}) ${EXCEPTIONS[cause] ?? ''}: ${what}`,
      resets: parts.crashed(),
    });
    throw new DeviceReset('exception');
  };
  if (image.damage !== undefined) crash(ILLEGAL_INSTRUCTION, image.damage);
  const core = makeCore(parts, life, esp, md5, image, crash);
  try {
    const sketches = choice.factories.map((factory) => factory(core));
    for (const sketch of sketches) await sketch.setup?.();
    parts.ready();
    return await loopForever(sketches, life);
  } catch (error) {
    if (error instanceof Interruption) throw error;
    // A sketch in TypeScript can fail in ways that C++ cannot; the device answers as to any fatal exception.
    life.check();
    return crash(29, error instanceof Error ? error.message : String(error));
  }
}

async function loopForever(sketches: readonly Sketch[], life: Life): Promise<never> {
  for (;;) {
    for (const sketch of sketches) await sketch.loop?.();
    await life.idle(IDLE_US);
  }
}

interface ChosenSketch {
  readonly name: string;
  readonly factories: readonly SketchFactory[];
  readonly byRule: boolean;
}

/**
 * 1. the manifest, 2. the rule given to the device, 3. the run's sketch. A factory image cannot name a sketch that is a
 * function, so there the function itself counts.
 */
function chooseSketch(parts: AppParts, manifest: Manifest | undefined, image: BootedImage): ChosenSketch {
  if (manifest?.version === FACTORY_VERSION && typeof parts.sketch === 'function') {
    return { ...resolveSketch(parts.sketch), byRule: true };
  }
  if (manifest) return { ...resolveSketch(manifest.sketch, parts.alter?.sketches), byRule: false };
  const ruled = parts.sketchFor?.(image);
  return ruled === undefined
    ? { ...resolveSketch(parts.sketch), byRule: false }
    : { ...resolveSketch(ruled), byRule: true };
}

/** The services that the firmware was built with. An era that this emulator does not know is as good as the present one. */
function eraOfApp({ core }: AppParts, { manifest }: AppImage): ServiceEra {
  const version = core ?? manifest?.core ?? 'master';
  return CORE_VERSIONS.includes(version) ? serviceEraOf(version) : PRESENT_ERA;
}

const sha256Hex = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex');

function makeCore(
  parts: AppParts,
  life: Life,
  esp: EspFlash,
  md5: () => Md5,
  image: AppImage,
  crash: (cause: number, what: string) => never,
): Core {
  const { kernels, emit, chipId } = parts;
  const settings = mergeSettings(parts.settings, image.manifest?.settings ?? {});
  const connections = new OpenConnections();
  const watched = { faults: parts.faults, life, clock: parts.clock };
  const network = connections.watch(faultyNetwork(parts.network, 'tcp', watched));
  const httpNetwork = connections.watch(faultyNetwork(asHttp(parts.network), 'http', watched));
  const clock = sketchClock(parts.clock, life);
  const system = systemPort({ life, chipId, freeHeap: parts.freeHeap, bootStraps: parts.bootStraps });
  const ports = { clock, network: httpNetwork, system, command: parts.command, md5, emit, random32: parts.random32 };
  const updaterPorts = { ...ports, flash: esp };
  const era = eraOfApp(parts, image);
  const updaterOptions: UpdaterOptions = {
    atomicFs: settings.atomicFs,
    era,
    crash: (what) => crash(ILLEGAL_INSTRUCTION, what),
  };
  const Update =
    parts.alter?.updater?.(updaterPorts, updaterOptions, parts.chip) ?? new Updater(updaterPorts, updaterOptions);
  if (settings.publicKey !== undefined) {
    Update.installSignature(rsaVerifier(settings.publicKey, era.legacySignatures));
  }
  const mdns = parts.mdns?.(ports);
  return {
    Serial: new ArduinoSerial(parts.uart, () => life.check()),
    ESP: {
      restart: () => system.restart(),
      rebootIntoUartDownloadMode: () => rebootIntoLoader(life),
      getResetReason: () => parts.resetReason(),
      getChipId: () => chipId,
      getSketchSize: () => esp.getSketchSize(),
      getSketchMD5: () => esp.getSketchMD5(),
      getFreeSketchSpace: () => esp.getFreeSketchSpace(),
      getFreeHeap: () => system.freeHeap(),
      flash: esp,
    },
    Update,
    ArduinoOTA: new ArduinoOTA({
      ports: { ...ports, network },
      updater: Update,
      eraseConfig: () => esp.eraseConfig(),
      mdns,
      defaultPort: settings.otaPort,
      ...(settings.otaDigest === 'sha256' ? { digest: sha256Hex } : {}),
    }),
    ESPhttpUpdate: new ESP8266HTTPUpdate({
      ...ports,
      flash: esp,
      updater: Update,
      connections,
      atomicFs: settings.atomicFs,
      era,
    }),
    MDNS: mdns,
    ports,
    WiFi: { localIP: () => network.address },
    network,
    settings,
    clock,
    tlsIdentity: parts.tlsIdentity,
    delay: (ms) => clock.delay(ms),
    yield: async () => clock.yield(),
    millis: () => clock.millis(),
    micros: () => clock.micros(),
    time: () => ntpTime(parts.clock),
    listening: parts.listening,
    crash,
    readFile: (path) => life.guard(readFile(path).catch(() => undefined)),
    md5: (data) => Buffer.from(kernels.md5().update(data).digest()).toString('hex'),
    log: (text) => emit({ type: 'sketch.log', text }),
  };
}
