/** `upload --port HOST[:PORT] FILE [--password TEXT] [--fs]`: an ArduinoOTA uploader. Contract: design.md §4. */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { type UploadFailure, type UploadStage, uploadOverOta } from '../../uploader.ts';
import { UserError } from '../errors.ts';

/** Larger than any chip: not an image. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const DEFAULT_PORT = 8266;
const BAR_CELLS = 40;
/** Without a terminal, a line is printed each time so many percent are done. */
const LINE_PERCENT = 10;

interface UploadCommandOptions {
  readonly port: string;
  readonly password?: string;
  readonly fs?: boolean;
}

/** Adds the command to the program; `lead` of the command line decides what becomes of a {@link UserError}. */
export function registerUploadCommand(program: Command): void {
  program
    .command('upload')
    .description('upload an image to a device that runs ArduinoOTA, real or emulated (as espota.py does)')
    .argument('<file>', 'sketch image (.bin, .bin.gz), or with --fs a file system image')
    .requiredOption('--port <host[:port]>', `address of the device; UDP port ${DEFAULT_PORT} unless given`)
    .option('--password <text>', 'password, used only if the device asks for one')
    .option('--fs', 'the file is a file system image')
    .addHelpText(
      'after',
      '\nIf FILE.signed exists, it is uploaded instead.\n\nExample: upload --port 192.168.1.50 firmware.bin --password admin\n',
    )
    .action(async (file: string, options: UploadCommandOptions) => upload(file, options));
}

async function upload(file: string, options: UploadCommandOptions): Promise<void> {
  const { host, port } = parseTarget(options.port);
  const path = existsSync(`${file}.signed`) ? `${file}.signed` : file;
  if (path !== file) say(`Detected Signed Update. ${path} will be uploaded instead.`);
  const bytes = await readImage(path);

  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once('SIGINT', interrupt);
  const progress = progressPrinter();
  try {
    const result = await uploadOverOta({
      host,
      port,
      file: bytes,
      fileName: path,
      password: options.password ?? '',
      command: options.fs ? 'fs' : 'sketch',
      onProgress: progress.show,
      onStage: (stage) => {
        const text = stageText(stage, { host, port, path, size: bytes.length });
        if (!text) return;
        progress.end();
        say(text);
      },
      signal: stop.signal,
    });
    progress.end();
    if (!result.ok) throw new UserError(failureText(result.reason, result.message, options), 1);
    process.stdout.write(`Uploaded ${basename(path)} (${bytes.length} bytes): the device answered OK and restarts\n`);
  } finally {
    progress.end();
    process.removeListener('SIGINT', interrupt);
  }
}

/** @throws UserError for anything but a name or an IPv4 address, with a port or without */
function parseTarget(text: string): { host: string; port: number } {
  const [, host, port] = /^([^\s:/]+)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if (host === undefined || number < 1 || number > 65535) {
    throw new UserError(`--port ${text}: give the device as HOST or HOST:PORT, for example 192.168.1.50:8266`);
  }
  return { host, port: number };
}

async function readImage(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new UserError(`${path}: ${size} bytes are more than any ESP8266 has flash`);
    const bytes = await readFile(path);
    if (bytes.length === 0) throw new UserError(`${path} is empty`);
    return bytes;
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new UserError(`${path}: no such file`);
    if (code === 'EISDIR') throw new UserError(`${path} is a folder, not an image`);
    throw new UserError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function stageText(
  stage: UploadStage,
  { host, port, path, size }: { host: string; port: number; path: string; size: number },
): string | undefined {
  switch (stage) {
    case 'inviting':
      return `Inviting ${host}:${port} to take ${basename(path)} (${size} bytes)`;
    case 'authenticating':
      return 'Authenticating';
    case 'waiting-for-device':
      return 'Waiting for the device to connect';
    case 'waiting-for-result':
      return 'Waiting for the result';
    case 'uploading':
      return undefined;
    default:
      return stage satisfies never;
  }
}

/** The message, and what to look at. */
function failureText(reason: UploadFailure, message: string, { port, password }: UploadCommandOptions): string {
  switch (reason) {
    case 'no-answer':
      return `${message} from ${port}: is the device on, in the same network, and does its sketch call ArduinoOTA.handle()?`;
    case 'auth-failed':
      return `${message}: ${password === undefined ? 'the device wants a password (--password)' : 'is the password right?'}`;
    case 'no-connection':
      return `${message}: it accepted the invitation but did not connect back; does a firewall here stop it?`;
    case 'upload-error':
      return `${message}: the device stopped answering or closed the connection`;
    case 'no-result':
      return `${message} The device has all bytes but told neither OK nor an error`;
    case 'device-error':
      return `the device refused the image: ${message}`;
    default:
      return message;
  }
}

/** A bar on a terminal, lines elsewhere; both on stderr. */
function progressPrinter(): { show(sent: number, total: number): void; end(): void } {
  const terminal = process.stderr.isTTY === true;
  let shown = -1;
  let drawn = false;
  return {
    show(sent, total) {
      const percent = Math.floor((sent * 100) / total);
      if (percent === shown) return;
      if (terminal) {
        const full = Math.round((sent * BAR_CELLS) / total);
        process.stderr.write(`\rUploading [${'='.repeat(full)}${' '.repeat(BAR_CELLS - full)}] ${percent}% `);
        drawn = true;
      } else if (shown < 0 || Math.floor(percent / LINE_PERCENT) > Math.floor(shown / LINE_PERCENT)) {
        say(`Uploading ${percent}%`);
      }
      shown = percent;
    },
    end() {
      if (drawn) process.stderr.write('\n');
      drawn = false;
    },
  };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
