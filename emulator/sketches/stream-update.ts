/**
 * The Updater through the Stream interface: `Update.begin(size)`, `Update.writeStream(stream)`, `Update.end()`.
 *
 * The core has no one example of it, so the protocol is ours. The stream is a TCP connection: one line
 * `[fs ]SIZE [MD5]` (a file system rather than a sketch, decimal bytes, 32 hex digits), then the image; the device answers
 * `OK` or the Updater's error line and restarts after a success. Or it is a file, as sketches that read an SD card do: with `streamFile` set, an image whose MD5
 * differs from the running sketch's is installed once at start. Updater calls: spec chapter 02 §6.4 and §11.
 */
import type { TcpConnection, TcpListener } from '../../ota-services/ports.ts';
import { BytesSource, type Stream, TimedStream } from '../../ota-services/stream.ts';
import { U_FLASH, U_FS } from '../../ota-services/updater.ts';
import type { Core, SketchFactory } from './sketch.ts';

/** The first line's longest form: `fs`, a space, ten digits, a space, 32 hex digits, CR LF. */
const LINE_BYTES = 64;
const LINE_TIMEOUT_MS = 5000;
/** As `Update.writeStream`'s default. */
const STREAM_TIMEOUT_MS = 60_000;
/** How long the answer may take to be acknowledged before the connection is closed. */
const FLUSH_MS = 300;

export const streamUpdate: SketchFactory = (core) => {
  const { Serial, settings, network } = core;
  let listener: TcpListener | undefined;
  return {
    async setup() {
      Serial.println('Stream update');
      if (settings.streamFile !== undefined) await updateFromFile(core, settings.streamFile);
      listener = await network.listenTcp(settings.streamPort);
      core.listening('stream', { host: listener.local.address, port: listener.local.port });
      Serial.println('Ready');
    },
    async loop() {
      const connection = listener?.accept();
      if (connection) await updateFromConnection(core, connection);
    },
  };
};

async function updateFromConnection(core: Core, connection: TcpConnection): Promise<void> {
  const line = await readLine(core, connection);
  const match = /^(fs )?(\d{1,10})(?: ([0-9a-fA-F]{32}))?$/.exec(line ?? '');
  if (!match) {
    await answer(connection, 'ERROR: the first line is "[fs ]SIZE [MD5]"\n');
    return;
  }
  const stream = new TimedStream(connection, core.clock);
  const error = await update(core, stream, { size: Number(match[2]), md5: match[3], fs: match[1] !== undefined });
  await answer(connection, error ?? 'OK\n');
  if (error === undefined) await core.ESP.restart();
}

/** Runs the three calls; returns the error line, or undefined after a success. */
async function update(
  core: Core,
  stream: Stream,
  { size, md5, fs = false }: { size: number; md5?: string | undefined; fs?: boolean },
): Promise<string | undefined> {
  const { Update, Serial } = core;
  Serial.println(`Update of ${size} bytes`);
  const good =
    (await Update.begin(size, fs ? U_FS : U_FLASH)) &&
    (md5 === undefined || Update.setMD5(md5)) &&
    (await Update.writeStream(stream, STREAM_TIMEOUT_MS)) === size &&
    (await Update.end());
  if (good) {
    Serial.println('Update complete, restarting');
    return undefined;
  }
  const error = Update.printError();
  Serial.print(error.replace('\n', '\r\n'));
  return error;
}

async function updateFromFile(core: Core, path: string): Promise<void> {
  const bytes = await core.readFile(path);
  if (bytes === undefined) {
    core.Serial.println(`No update file ${path}`);
    return;
  }
  if (core.md5(bytes) === core.ESP.getSketchMD5()) {
    core.Serial.println('Update file is already installed');
    return;
  }
  if ((await update(core, new TimedStream(new BytesSource(bytes), core.clock), { size: bytes.length })) === undefined)
    await core.ESP.restart();
}

async function readLine(core: Core, connection: TcpConnection): Promise<string | undefined> {
  const startedAt = core.millis();
  let line = '';
  while (line.length < LINE_BYTES) {
    const byte = connection.read(1)[0];
    if (byte === 0x0a) return line.replace(/\r$/, '');
    if (byte !== undefined) {
      line += String.fromCharCode(byte);
      continue;
    }
    if (!connection.connected() || core.millis() - startedAt > LINE_TIMEOUT_MS) return undefined;
    await connection.wait(100);
  }
  return undefined;
}

async function answer(connection: TcpConnection, text: string): Promise<void> {
  connection.write(new TextEncoder().encode(text));
  await connection.flush(FLUSH_MS);
  connection.close();
}
