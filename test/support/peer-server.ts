/** Servers that tests start as processes of their own, and free ports for those that cannot choose one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const UP_WITHIN_MS = 20_000;
const STEP_MS = 50;

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return address.port;
}

export interface PeerServer {
  readonly child: ChildProcess;
  /** What it printed on stdout and stderr so far. */
  output(): string;
  /** Ends it, and waits until it is gone. */
  stop(): Promise<void>;
}

/** Starts a server; it is up when `isUp` says so. @throws Error with what it printed when it ends before, or never is */
export async function startPeerServer(
  command: string,
  args: readonly string[],
  isUp: (output: string) => boolean | Promise<boolean>,
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<PeerServer> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const note = (text: string): void => {
    output += text;
  };
  child.stdout.setEncoding('utf8').on('data', note);
  child.stderr.setEncoding('utf8').on('data', note);
  let ended = false;
  const gone = new Promise<void>((resolve) => {
    const end = (): void => {
      ended = true;
      resolve();
    };
    child.once('error', (error) => {
      note(String(error));
      end();
    });
    child.once('close', end);
  });
  const stop = async (): Promise<void> => {
    if (!ended) child.kill('SIGTERM');
    await gone;
  };
  for (let waited = 0; !(await isUp(output)); waited += STEP_MS) {
    if (ended) throw new Error(`${command} ended before it was up:\n${output}`);
    if (waited > UP_WITHIN_MS) {
      await stop();
      throw new Error(`${command} is not up:\n${output}`);
    }
    await pause(STEP_MS);
  }
  return { child, output: () => output, stop };
}

/** Whether somebody accepts connections there. */
export const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
