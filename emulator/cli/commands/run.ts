/** `vesp run [image]`: a device that keeps running. Contract: design.md §4. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { type Command, Option } from 'commander';
// As everywhere in the command line nothing but the public API, yet not by its index: that would load the sweeps, too.
import { createDevice, type Device } from '../../device.ts';
import type { Stamped } from '../../events.ts';
import type { DeviceOptions } from '../../options.ts';
import { parseSerial } from '../../serial/transport.ts';
import { UserError } from '../errors.ts';
import { HumanLog } from '../human-log.ts';
import { parseCount, parsePort, parseSeconds } from '../numbers.ts';
import { BoardKeys, KEYS_HINT, listenToKeys } from '../terminal-keys.ts';
import { OnceWatch, parseUntil } from '../until.ts';

const TIMEOUT_EXIT = 42;
/** After a failed update the device serves this long, so that the uploader hears the error before the process ends. */
const LAST_WORDS_MS = 300;
/** Any long time: the timer does nothing. */
const KEEP_ALIVE_MS = 3_600_000;

interface RunOptions {
  board?: string;
  layout?: string;
  flashSize?: string;
  flashId?: string;
  flash?: string;
  sketch?: string;
  host?: string;
  otaPort: string;
  hostname?: string;
  password?: string;
  passwordHash?: string;
  httpPort: string;
  httpUser?: string;
  httpPassword?: string;
  httpPath?: string;
  httpsPort: string;
  cert?: string;
  key?: string;
  streamPort: string;
  streamFile?: string;
  updateUrl?: string;
  updateFsUrl?: string;
  updateInterval: string;
  currentVersion?: string;
  md5?: string;
  followRedirects?: 'disabled' | 'strict' | 'force';
  ca?: string;
  fingerprint?: string;
  insecure?: boolean;
  publicKey?: string;
  atomicFs?: boolean;
  core?: string;
  bootloader: 'auto' | 'model' | 'native';
  stub: 'state' | 'native';
  gdb?: string;
  mdns?: boolean;
  mdnsInterface?: string;
  control?: boolean;
  controlPort?: string;
  boot: 'flash' | 'download';
  serial?: string;
  serialDownload?: 'manual' | 'on-sync';
  serialWiring?: 'cross-coupled' | 'direct';
  serialBaudFaithful?: boolean;
  serialResetOnClose?: boolean;
  time: 'fast' | 'real';
  seed: string;
  fault: string[];
  events?: string;
  until?: string;
  once?: boolean;
  timeout?: string;
}

export function registerRunCommand(program: Command): void {
  program
    .command('run')
    .argument('[image]', 'firmware (.bin) put in flash at every start, as a serial upload would')
    .description('Start a virtual ESP8266 and keep it running until Ctrl-C.')
    .optionsGroup('The chip:')
    .option('--board <id>', 'board; see `vesp boards` (nodemcuv2)')
    .option('--layout <name>', "flash layout; see `vesp layouts`; also auto, auto:max-fs, auto:no-fs (the board's)")
    .option('--flash-size <size>', "512K, 1M, 2M, 4M, 8M or 16M (the layout's)")
    .option('--flash-id <hex>', 'JEDEC id as getFlashChipId() shows it, e.g. 1640ef')
    .option('--flash <file>', 'back the chip with a file, byte for byte; made if missing, kept between runs')
    .addOption(
      new Option('--boot <how>', 'GPIO0 at the first power-on').choices(['flash', 'download']).default('flash'),
    )
    .option('--core <version>', 'era of the Arduino core: master, or a release from 2.0.0 on (master)')
    .addOption(
      new Option(
        '--bootloader <engine>',
        'model, or native: the code that is really in sector 0; auto looks whether there is some',
      )
        .choices(['auto', 'model', 'native'])
        .default('auto'),
    )
    .optionsGroup('The firmware (for images that do not say it themselves):')
    .option(
      '--sketch <names>',
      'basic-ota, web-updater, secure-web-updater, http-update, http-update-fs, http-update-signed, http-update-secure, ' +
        'stream-update or blank; several with commas (basic-ota,web-updater)',
    )
    .option('--hostname <name>', 'ArduinoOTA.setHostname')
    .option('--password <text>', 'ArduinoOTA.setPassword')
    .option('--password-hash <hex>', 'ArduinoOTA.setPasswordHash')
    .option('--http-user <name>', 'user of the web updater')
    .option('--http-password <text>', 'its password')
    .option('--http-path <path>', 'path of its form (/update; secure-web-updater: /firmware)')
    .option('--cert <file>', 'PEM certificate of secure-web-updater (a self-signed one is made)')
    .option('--key <file>', 'its private key')
    .option('--stream-file <file>', 'image that stream-update installs at start')
    .option('--public-key <file>', 'PEM key: the firmware verifies signatures')
    .option('--atomic-fs', 'an ATOMIC_FS_UPDATE build')
    .optionsGroup('Where the http-update sketches ask for updates:')
    .option('--update-url <url>', 'of the sketch; without it nobody is asked')
    .option('--update-fs-url <url>', 'of the file system, for http-update-fs')
    .option('--update-interval <seconds>', 'from one attempt to the next, also with --time fast', '10')
    .option('--current-version <text>', 'sent to the server as x-ESP8266-version')
    .option('--md5 <hex>', 'ESPhttpUpdate.setMD5sum: what the image must have')
    .addOption(
      new Option('--follow-redirects <mode>', 'ESPhttpUpdate.setFollowRedirects (disabled)').choices([
        'disabled',
        'strict',
        'force',
      ]),
    )
    .option('--ca <file>', 'http-update-secure trusts these PEM certificates')
    .option('--fingerprint <hex>', 'or the certificate with this SHA-1; `vesp serve --tls` prints its own')
    .option('--insecure', 'or anybody')
    .optionsGroup('The network:')
    .option('--host <ip>', "the device's address: where it listens (127.0.0.1)")
    .option('--ota-port <n>', 'UDP port of ArduinoOTA; 0 lets the system choose', '8266')
    .option('--http-port <n>', 'TCP port of the web updater', '8080')
    .option('--https-port <n>', 'TCP port of secure-web-updater', '8443')
    .option('--stream-port <n>', 'TCP port of stream-update', '8232')
    .option('--mdns', 'advertise _arduino._tcp (when --host is not loopback)')
    .option('--no-mdns', 'do not advertise')
    .option('--mdns-interface <ip>', 'interface for multicast (--host)')
    .optionsGroup('The serial port (UART0), for monitors and esptool:')
    .option(
      '--serial <where>',
      'tcp:PORT (bytes, for socket://), rfc2217:PORT (with DTR, RTS and baud rate, for rfc2217://), or pty (a ' +
        'pseudo-terminal, made by the program socat of the Debian package of that name; the ready line tells its path). ' +
        'Port 0 lets the system choose. Any number of monitors may listen, one host flashes at a time',
    )
    .addOption(
      new Option(
        '--serial-download <how>',
        "into the loader by straps and reset alone, or also when esptool's SYNC arrives (on-sync; rfc2217: manual)",
      ).choices(['manual', 'on-sync']),
    )
    .addOption(
      new Option('--stub <how>', "an uploaded flasher stub only switches the loader's commands, or is executed")
        .choices(['state', 'native'])
        .default('state'),
    )
    .option(
      '--serial-baud-faithful',
      'a host at another baud rate than the device reads garbage, and so does the device; tcp and pty are 115200',
    )
    .addOption(
      new Option(
        '--serial-wiring <how>',
        'DTR and RTS of rfc2217 go to GPIO0 and RST through two transistors, or straight: RTS alone resets (cross-coupled)',
      ).choices(['cross-coupled', 'direct']),
    )
    .option(
      '--serial-reset-on-close',
      'a host that closes the port presses the reset button, unless another one flashes',
    )
    .optionsGroup('Time, chance and faults:')
    .addOption(
      new Option('--time <mode>', 'fast skips what nobody outside waits for').choices(['fast', 'real']).default('fast'),
    )
    .option('--seed <n>', 'all randomness of the device', '1')
    .option('--fault <spec>', 'arm a fault, e.g. power-cut@copy:17:inside; repeatable', collect, [])
    .optionsGroup('Watching, and when to end:')
    .option('--gdb <port>', 'a port on 127.0.0.1 for GDB; executed code waits for it (0 lets the system choose)')
    .option('--control', 'control API and live page on 127.0.0.1')
    .option('--control-port <n>', 'their TCP port (8267); 0 lets the system choose')
    .option('--events <file>', 'write every event as a line of JSON; with - to stdout, and nothing else there')
    .option('--until <event>', 'end with 0 when it comes, e.g. app.start=2.0')
    .option('--once', 'end with 0 when an update has been booted, with 1 when one failed')
    .option('--timeout <seconds>', 'end with 42 after that time')
    .action(async (image: string | undefined, options: RunOptions, command: Command) => {
      process.exitCode = await run(image, options, command.getOptionValueSource('mdns') === 'cli');
    });
}

const collect = (value: string, list: string[]): string[] => [...list, value];

async function run(image: string | undefined, options: RunOptions, mdnsAsked: boolean): Promise<number> {
  let lostFile = false;
  const lost = (error: Error): void => {
    lostFile = true;
    process.stderr.write(`error: ${error.message}\n`);
  };
  const until = options.until === undefined ? undefined : parseUntil(options.until);
  const timeoutMs = options.timeout === undefined ? undefined : parseSeconds('--timeout', options.timeout) * 1000;
  const deviceOptions = await deviceOptionsOf(image, options, mdnsAsked);
  const events = options.events === undefined ? undefined : openEvents(options.events, lost);
  const log = new HumanLog(options.events === '-' ? process.stderr : process.stdout, options.events === '-');

  let finish: (code: number) => void = () => {};
  const finished = new Promise<number>((resolve) => {
    finish = resolve;
  });
  let fileFailed = false;
  let device: Device;
  try {
    device = await createDevice({
      ...deviceOptions,
      onFlashFileError: (error) => {
        fileFailed = true;
        log.error(error.message);
      },
    });
  } catch (error) {
    throw asUserError(error);
  }
  const { control } = device.address;
  if (control) log.livePage(`http://${control.host}:${control.port}/`);
  const once = options.once ? new OnceWatch({ atomicFs: options.atomicFs === true }) : undefined;
  const see = (event: Stamped): void => {
    events?.write(event);
    log.see(event);
    if (until?.(event)) finish(0);
    const result = once?.see(event);
    if (result?.ok === true) {
      // The new application has started; its first lines belong to the log.
      device.settled().then(
        () => finish(0),
        () => {},
      );
    }
    if (result?.ok === false) {
      log.error(`the update failed: ${result.why}`);
      setTimeout(() => finish(1), LAST_WORDS_MS);
    }
  };
  // Faults of the command line were armed before anybody could listen.
  for (const event of device.events.recent()) events?.write(event);
  // Nobody but these two wants to see the thousands of operations of the chip, and unseen they cost less.
  device.events.subscribe(see, { chip: events !== undefined || options.until?.startsWith('flash.') === true });
  // A device without sockets (dead, in the loader, blank) must keep the process running too.
  const alive = setInterval(() => {}, KEEP_ALIVE_MS);
  const interrupt = (): void => finish(0);
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const keys = new BoardKeys(device, { note: (text) => log.say(text), quit: () => finish(0) });
  const giveTerminalBack = listenToKeys(keys);
  if (giveTerminalBack) log.say(KEYS_HINT);
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          log.error(`timeout: ${waitedFor(options)} within ${options.timeout} s`);
          finish(TIMEOUT_EXIT);
        }, timeoutMs);
  try {
    // The power loop runs from here on; what it cannot go on from (a port in use, a defect of ours) ends the run.
    const failed = device.powerOn().then(
      () => device.failed,
      (error: unknown) => Promise.reject(error),
    );
    const code = await Promise.race([finished, failed]);
    return (fileFailed || lostFile) && code === 0 ? 1 : code;
  } catch (error) {
    throw asUserError(error, 1);
  } finally {
    giveTerminalBack?.();
    clearInterval(alive);
    clearTimeout(timer);
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    await device.close();
    events?.close();
  }
}

const waitedFor = (options: RunOptions): string =>
  options.until !== undefined
    ? `no event ${options.until}`
    : options.once
      ? 'no update was booted'
      : 'the run did not end';

async function deviceOptionsOf(
  image: string | undefined,
  options: RunOptions,
  mdnsAsked: boolean,
): Promise<DeviceOptions> {
  if (options.flashId !== undefined && !/^(0x)?[0-9a-f]{1,6}$/i.test(options.flashId)) {
    throw new UserError(`--flash-id "${options.flashId}": wants up to six hex digits, e.g. 1640ef`);
  }
  if (options.passwordHash !== undefined && options.password !== undefined) {
    throw new UserError('--password and --password-hash exclude each other: the first one set would win');
  }
  if ((options.cert === undefined) !== (options.key === undefined)) {
    throw new UserError('--cert and --key belong together: give both, or none for a self-signed certificate');
  }
  if (options.serial === undefined) {
    const { serialDownload, serialWiring, serialBaudFaithful, serialResetOnClose } = options;
    const pointless = Object.entries({
      '--serial-download': serialDownload,
      '--serial-wiring': serialWiring,
      '--serial-baud-faithful': serialBaudFaithful,
      '--serial-reset-on-close': serialResetOnClose,
    }).find(([, value]) => value !== undefined);
    if (pointless)
      throw new UserError(`${pointless[0]} wants --serial, which opens the serial port: e.g. --serial tcp:5555`);
  }
  const seed = parseCount('--seed', options.seed);
  return {
    ...given('board', options.board),
    ...given('layout', options.layout),
    ...given('flashSize', options.flashSize),
    ...(options.flashId === undefined ? {} : { flashId: Number.parseInt(options.flashId, 16) }),
    ...given('image', image),
    ...(options.sketch === undefined ? {} : { sketch: options.sketch.split(',').map((name) => name.trim()) }),
    ota: {
      port: parsePort('--ota-port', options.otaPort),
      ...given('hostname', options.hostname),
      ...given('password', options.password),
      ...given('passwordHash', options.passwordHash),
    },
    http: {
      port: parsePort('--http-port', options.httpPort),
      ...given('user', options.httpUser),
      ...given('password', options.httpPassword),
      ...given('path', httpPath(options.httpPath)),
    },
    https: {
      port: parsePort('--https-port', options.httpsPort),
      ...(options.cert === undefined ? {} : { cert: await readKey('--cert', options.cert) }),
      ...(options.key === undefined ? {} : { key: await readKey('--key', options.key) }),
    },
    update: {
      ...given('url', options.updateUrl),
      ...given('fsUrl', options.updateFsUrl),
      intervalS: parseSeconds('--update-interval', options.updateInterval),
      ...given('currentVersion', options.currentVersion),
      ...given('md5', options.md5),
      ...given('followRedirects', options.followRedirects),
      ...(options.ca === undefined ? {} : { ca: await readKey('--ca', options.ca) }),
      ...given('fingerprint', options.fingerprint),
      ...given('insecure', options.insecure),
    },
    stream: { port: parsePort('--stream-port', options.streamPort), ...given('file', options.streamFile) },
    ...(options.control || options.controlPort !== undefined
      ? { control: { port: parsePort('--control-port', options.controlPort ?? '8267') } }
      : {}),
    ...given('host', options.host),
    ...(mdnsAsked ? given('mdns', options.mdns) : {}),
    ...given('mdnsInterface', options.mdnsInterface),
    clock: options.time,
    seed,
    ...given('flashFile', options.flash),
    bootloader: options.bootloader,
    stub: options.stub,
    ...(options.gdb === undefined ? {} : { gdb: { port: parsePort('--gdb', options.gdb) } }),
    ...given('core', options.core),
    ...(options.publicKey === undefined ? {} : { publicKey: await readKey('--public-key', options.publicKey) }),
    ...given('atomicFs', options.atomicFs),
    boot: options.boot,
    ...(options.serial === undefined ? {} : { serial: serialOptions(options.serial, options) }),
    faults: options.fault,
    afterPowerCut: 'power-on',
  };
}

function serialOptions(where: string, options: RunOptions): NonNullable<DeviceOptions['serial']> {
  let transport: ReturnType<typeof parseSerial>;
  try {
    transport = parseSerial(where);
  } catch (error) {
    throw asUserError(error);
  }
  return {
    ...transport,
    ...given('download', options.serialDownload),
    ...given('wiring', options.serialWiring),
    ...given('baudFaithful', options.serialBaudFaithful),
    ...given('resetOnClose', options.serialResetOnClose),
  };
}

function httpPath(path: string | undefined): string | undefined {
  if (path !== undefined && !/^\/[^\s?#]*$/.test(path))
    throw new UserError(`--http-path "${path}": wants a path that begins with /`);
  return path;
}

async function readKey(option: string, path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new UserError(`${option} ${path}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function given<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}

/** Errors of the library that are the user's to mend become messages without a stack trace. */
function asUserError(error: unknown, exitCode: 1 | 2 = 2): unknown {
  const names = ['DeviceOptionError', 'FlashFileError', 'FaultSpecError', 'ListenError', 'RangeError'];
  if (!(error instanceof Error) || !names.includes(error.name)) return error;
  return new UserError(error.message, error.name === 'ListenError' ? 1 : exitCode);
}

/** The event stream as lines of JSON. */
function openEvents(path: string, onError: (error: Error) => void): { write(event: Stamped): void; close(): void } {
  if (path === '-') {
    return { write: (event) => void process.stdout.write(`${JSON.stringify(event)}\n`), close() {} };
  }
  let failed = false;
  let descriptor: number;
  try {
    descriptor = openSync(path, 'w');
  } catch (error) {
    throw new UserError(`--events ${path}: cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
  return {
    write(event) {
      if (failed) return;
      try {
        writeSync(descriptor, `${JSON.stringify(event)}\n`);
      } catch (error) {
        failed = true;
        onError(new Error(`--events ${path}: no more can be written (${(error as NodeJS.ErrnoException).code})`));
      }
    },
    close: () => closeSync(descriptor),
  };
}
