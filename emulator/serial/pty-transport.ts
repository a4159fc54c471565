/**
 * A serial port that is a file: a pseudo-terminal. Node cannot make one, so `socat` (Debian package of that name) does:
 * it makes the terminal, waits until a host opens it, and then connects it with a socket file of ours. At that moment the
 * next one is started behind the same path: so each host that opens the path has a terminal of its own, and it can be
 * opened again at any time. Source: spec chapter 05 §3.3.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  accessSync,
  constants,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { DeviceOptionError } from '../options.ts';
import type { SerialPort } from './serial-port.ts';
import { listenOnFile, type SerialListener } from './tcp-transport.ts';

/** Begins the name of each port's folder; the process id follows. */
const FOLDER = 'vesp-serial-';
/** How long socat may take to make its terminal. */
const START_MS = 5000;
const LOOK_EVERY_MS = 5;
/** After a failure of socat, so that a broken one does not keep the machine busy. */
const RETRY_MS = 200;

/**
 * Runs socat until it ends, or until file descriptor 3 is closed: by us, or by the system when our process dies, however it
 * dies. So no socat is ever left behind.
 */
const GUARD = 'socat "$@" & s=$!; { cat <&3 >/dev/null; kill $s 2>/dev/null; } & g=$!; wait $s; kill $g 2>/dev/null';

/**
 * Makes a pseudo-terminal for hosts.
 * @throws DeviceOptionError when socat is missing or cannot make one
 */
export async function openPseudoTerminal(port: SerialPort): Promise<SerialListener & { readonly path: string }> {
  const installed = (process.env['PATH'] ?? '').split(delimiter).some((folder) => isExecutable(join(folder, 'socat')));
  if (!installed) {
    throw new DeviceOptionError(
      'serial pty: wants the program socat, which is not installed: install the Debian package socat, or use tcp:PORT or ' +
        'rfc2217:PORT, which need nothing',
    );
  }
  removeLeftovers();
  const folder = mkdtempSync(join(tmpdir(), `${FOLDER}${process.pid}-`));
  const path = join(folder, 'uart0');
  const bridge = new Bridge(folder, path);
  let file: SerialListener | undefined;
  const close = (): void => {
    bridge.close();
    file?.close();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    file = await listenOnFile(port, bridge.socketFile, path, () => bridge.opened());
    await bridge.next();
    return { path, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Folders of our own processes that died without a chance to tidy up. */
function removeLeftovers(): void {
  let names: string[] = [];
  try {
    names = readdirSync(tmpdir());
  } catch {
    // A place where we may write, but not look.
  }
  for (const name of names) {
    const pid = new RegExp(`^${FOLDER}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const folder = join(tmpdir(), name);
    try {
      const { uid } = lstatSync(folder);
      if (uid === process.getuid?.()) rmSync(folder, { recursive: true, force: true });
    } catch {
      // Another process was faster, or it is not for us to remove.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Keeps one socat waiting for the next host. */
class Bridge {
  readonly socketFile: string;
  private readonly children = new Set<ChildProcess>();
  private closed = false;
  private count = 0;
  /** The one that no host has opened yet. */
  private waiting: ChildProcess | undefined;
  private lastWords = '';

  constructor(
    private readonly folder: string,
    private readonly path: string,
  ) {
    this.socketFile = join(folder, 'socket');
  }

  /** Starts the next one; resolves when the path leads to its terminal. */
  async next(): Promise<void> {
    if (this.closed) return;
    // Each has a link of its own, which it removes at its end; ours moves on from one to the next.
    const link = join(this.folder, `terminal${this.count++}`);
    const child = this.spawn(link);
    for (let waited = 0; this.waiting === child && !this.closed; waited += LOOK_EVERY_MS) {
      const terminal = linkTarget(link);
      if (terminal !== undefined) {
        const fresh = `${link}.new`;
        symlinkSync(terminal, fresh);
        renameSync(fresh, this.path);
        return;
      }
      if (waited > START_MS) break;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    const why = this.lastWords.trim();
    throw new DeviceOptionError(`serial pty: socat made no terminal${why === '' ? '' : `: ${why}`}`);
  }

  /** A host has opened the one that waited. */
  opened(): void {
    this.waiting = undefined;
    this.tryNext();
  }

  close(): void {
    this.closed = true;
    for (const child of this.children) child.stdio[3]!.destroy();
  }

  private spawn(link: string): ChildProcess {
    const terminal = `PTY,link=${link},raw,echo=0,wait-slave,pty-interval=0.02`;
    const child = spawn('sh', ['-c', GUARD, 'sh', terminal, `UNIX-CONNECT:${this.socketFile}`], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    this.children.add(child);
    this.waiting = child;
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.lastWords = (this.lastWords + text).slice(-500);
    });
    // The pipe breaks when the child ends first.
    child.stdio[3]!.on('error', () => {});
    child.once('error', (error) => {
      this.lastWords = error.message;
    });
    child.once('exit', () => child.stdio[3]!.destroy());
    child.once('close', () => {
      this.children.delete(child);
      if (this.waiting !== child) return;
      // It ended before its host was here: socat failed, or somebody ended it.
      this.waiting = undefined;
      setTimeout(() => this.tryNext(), RETRY_MS).unref();
    });
    // The process must be able to end while a terminal waits.
    child.unref();
    return child;
  }

  /** The port was there once: it is tried again and again, until it is there again. */
  private tryNext(): void {
    this.next().catch(() => {
      setTimeout(() => this.tryNext(), RETRY_MS).unref();
    });
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
