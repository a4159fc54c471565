/** `serve DIR`: an httpUpdate server, for real devices too. Contract: design.md §4. */
import { isIPv6 } from 'node:net';
import type { Command } from 'commander';
import {
  createUpdateServer,
  type OfferedImage,
  type ServedRequest,
  type UpdateServer,
  type UpdateServerOptions,
} from '../../index.ts';
import { UserError } from '../errors.ts';
import { readInput } from '../files.ts';
import { parsePort } from '../numbers.ts';
import { printTable } from '../table.ts';

const MAX_PEM_BYTES = 65_536;

interface ServeOptions {
  readonly host: string;
  readonly port: string;
  readonly tls?: boolean;
  readonly cert?: string;
  readonly key?: string;
}

export function registerServeCommand(program: Command): void {
  program
    .command('serve')
    .argument('<dir>', 'folder with images: NAME-VERSION.bin, NAME-VERSION.fs.bin, also .gz and .signed')
    .description('An update server for ESPhttpUpdate, for real devices and emulated ones, until Ctrl-C.')
    .option('--host <ip>', 'address to listen on; 0.0.0.0 for devices in your network', '127.0.0.1')
    .option('--port <n>', 'TCP port; 0 lets the system choose', '8000')
    .option('--tls', 'serve https; without --cert with a certificate made at each start')
    .option('--cert <file>', 'PEM certificate, with its chain; with --key, implies --tls')
    .option('--key <file>', 'PEM private key')
    .addHelpText(
      'after',
      `
The path of the URL is a folder below DIR; a folder in it named like the device's MAC (5C-CF-7F-C0-FF-EE) goes first.
The highest version wins. Devices that have it are told 304. A path that names a file gets that file.

Example: vesp serve firmware --host 0.0.0.0
         on the device: ESPhttpUpdate.update(client, "http://192.168.1.8:8000/lamps", VERSION);`,
    )
    .action(async (dir: string, options: ServeOptions) => serve(dir, options));
}

async function serve(dir: string, options: ServeOptions): Promise<void> {
  const port = parsePort('--port', options.port);
  const tls = tlsOf(options);
  let server: UpdateServer;
  try {
    server = await createUpdateServer({
      dir,
      host: options.host,
      port,
      ...(tls ? { tls } : {}),
      onRequest: (request) => console.log(requestLine(request, new Date())),
      onChange: ({ gone, come }) => {
        for (const line of changeLines(gone, come)) console.log(line);
      },
    });
  } catch (error) {
    throw asUserError(error);
  }
  const ended = new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  try {
    printOffers(dir, await server.offers());
    if (server.fingerprint !== undefined) console.log(`certificate, SHA-1: ${server.fingerprint}`);
    const { host, port: chosen } = server.address;
    console.log(`ready ${tls ? 'https' : 'http'}=${isIPv6(host) ? `[${host}]` : host}:${chosen}`);
    await ended;
  } finally {
    await server.close();
  }
}

function tlsOf({ tls, cert, key }: ServeOptions): UpdateServerOptions['tls'] {
  if ((cert === undefined) !== (key === undefined)) {
    throw new UserError('--cert and --key belong together: give both, or none for a self-signed certificate');
  }
  if (cert !== undefined && key !== undefined) {
    const read = (what: string, path: string): string => readInput(what, path, MAX_PEM_BYTES).toString('latin1');
    return { cert: read('certificate', cert), key: read('key', key) };
  }
  return tls ? 'self-signed' : undefined;
}

function asUserError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error.name === 'ListenError') return new UserError(error.message, 1);
  return error.name === 'UpdateServerOptionError' ? new UserError(error.message) : error;
}

function printOffers(dir: string, images: readonly OfferedImage[]): void {
  if (images.length === 0) {
    console.log(`${dir}: no images yet; they are named NAME-VERSION.bin or NAME-VERSION.fs.bin`);
    return;
  }
  printTable(
    ['FOLDER', 'MODE', 'VERSION', 'SIZE', 'MD5', 'PACKING', 'FILE'],
    images.map((image) => [
      image.folder,
      image.mode,
      image.version,
      String(image.size),
      image.md5,
      packing(image),
      `${image.file}${notes(image)}`,
    ]),
  );
}

const packing = ({ gzip, signed }: OfferedImage): string =>
  [gzip ? 'gzip' : '', signed ? 'signed' : ''].filter((word) => word !== '').join('+') || '-';

function notes({ lower, damage }: OfferedImage): string {
  const words = [lower > 0 ? `${lower} lower` : '', damage === undefined ? '' : `no device will run it: ${damage}`];
  const text = words.filter((word) => word !== '').join('; ');
  return text === '' ? '' : `  (${text})`;
}

function changeLines(gone: readonly OfferedImage[], come: readonly OfferedImage[]): string[] {
  const replaced = new Set(come.map(({ folder, mode }) => `${mode} ${folder}`));
  return [
    ...gone
      .filter(({ folder, mode }) => !replaced.has(`${mode} ${folder}`))
      .map((image) => `changed: ${image.folder} no longer offers ${image.file}`),
    ...come.map(
      (image) =>
        `changed: ${image.folder} offers ${image.mode} ${image.version} (${image.file}, ${image.size} bytes, md5 ${image.md5})${notes(image)}`,
    ),
  ];
}

/** Fixed columns first, so that the eye finds a device: time, MAC, peer, path, status, what that means. */
function requestLine(request: ServedRequest, now: Date): string {
  const { device, peer, path, status } = request;
  const time = now.toTimeString().slice(0, 8);
  const mac = device?.mac ?? (device ? '(no MAC)' : '-');
  return `${time}  ${mac.padEnd(17)}  ${peer.padEnd(21)}  ${status}  ${path || '-'}  ${meaning(request)}`;
}

function meaning({ method, device, status, file, version, size, sent, reason }: ServedRequest): string {
  if (reason !== undefined) return method === '' || method === 'GET' ? reason : `${method}: ${reason}`;
  const to = version ?? file ?? '';
  if (status === 0) return 'the peer went away before the answer';
  if (device?.mode === 'version') return `asked for the version: ${to}`;
  const what = device?.mode === 'spiffs' ? 'file system ' : '';
  if (status === 304) return `${what}${to} is what it has`;
  const from = device ? `${what}${device.version ?? 'unknown'} -> ${to}` : `${method} without device headers`;
  if (size === undefined || sent === undefined) return `${from} (${file}, head only)`;
  return sent < size ? `${from} (${file}), cut off after ${sent} of ${size} bytes` : `${from} (${file}, ${size} bytes)`;
}
